//! Architectures of several levels, convolutions and random codes: the fused engine against autodiff in f64, and
//! against itself on other numbers of threads.

use framework::engine::{FUSED, Minibatch};
use framework::model::{Definition, Step};
use framework::plugin::Penalty;
use framework::spec::TrainObjective;
use proptest::prelude::*;

use super::equality::{LOSS, LOSS_ON_TAPE, check_definition_to};
use super::{Case, OnTape, Shrink, adam, sgd, trainer_of, training};
use crate::support::models::{architecture, auxiliaries, penalty};
use crate::support::strategies::config;

/// Of the largest derivative by a tensor: rounding of one level, times what four of them in a row make of it.
const GRADIENT: f64 = 1e-4;

/// An architecture by its section, and the sizes that it is tried at.
#[derive(Clone, Debug)]
struct Levels {
    section: String,
    case: Case,
}

const ACTIVATIONS: [&str; 4] = ["identity", "relu", "sigmoid", "tanh"];

fn levels() -> impl Strategy<Value = Levels> {
    let activation = || prop::sample::select(ACTIVATIONS.to_vec());
    let kinds = prop::sample::select(vec!["deep", "variational", "convolutional"]);
    let widths = prop::collection::vec(1..=20_usize, 0..=3);
    let convolution = (1..=2_usize, prop::sample::select(vec![1, 3, 5]), 1..=2_usize);
    let sizes = (1..=40_usize, 3..=7_usize, 1..=24_usize, any::<u32>());
    let flags = (any::<bool>(), any::<bool>());
    (kinds, (activation(), activation()), widths, convolution, sizes, flags).prop_map(
        |(kind, (activation, hidden), widths, (channels, kernel, stride), sizes, flags)| {
            let (batch, side, latents, seed) = sizes;
            let activation = if kind == "variational" { "identity" } else { activation };
            let objective = TrainObjective::ALL[seed as usize / 2 % 3];
            let is_bounded = flags.1 || objective == TrainObjective::CrossEntropy;
            let decoder = if is_bounded { "sigmoid" } else { "linear" };
            let own = match kind {
                "deep" => format!("hidden = {widths:?}\ntied = {}", flags.0),
                "variational" => format!("hidden = {widths:?}\nbeta = 0.7"),
                _ => format!(
                    "channels = {:?}\nkernel = {kernel}\nstride = {stride}",
                    [3, 2][..channels].to_vec()
                ),
            };
            let section = format!(
                "kind = \"{kind}\"\nlatents = {latents}\nactivation = \"{activation}\"\n\
                 hidden_activation = \"{hidden}\"\ndecoder = \"{decoder}\"\n{own}"
            );
            let case = Case {
                batch,
                inputs: side * side,
                latents,
                activation,
                tied: false,
                decoder,
                objective,
                subtract: false,
                unit_norm: false,
                dead: 0,
                seed: seed.into(),
            };
            Levels { section, case }
        },
    )
}

proptest! {
    #![proptest_config(config(48))]

    /// Wrong if a level's map, its activation, its bias or its place among the others had another gradient than
    /// the definition; if a penalty by hand, in lists, of columns or on the tape did not reach the levels around
    /// the code; or if noise were another, or its prior had another slope.
    #[test]
    fn levels_and_penalties_have_the_gradients_of_the_definition(levels in levels()) {
        let Levels { section, case } = &levels;
        let built = architecture(section);
        for text in case.penalties() {
            let own = penalty(&text);
            let definition = Definition::new(&*built.plugin, &*own.plugin);
            let definition = Definition { objective: case.objective, ..definition };
            prop_assert_eq!((FUSED.covers)(&definition), Ok(()), "{}", text);
            check_definition_to(case, definition, &format!("{section}\n{text}"), LOSS, GRADIENT)?;
        }
        let own = penalty("kind = \"l1\"\nlambda = 0.3");
        let others: [(_, &dyn Penalty); 2] = [("on tape", &OnTape(&*own.plugin)), ("another", &Shrink)];
        for (what, penalty) in others {
            let definition = Definition::new(&*built.plugin, penalty);
            let definition = Definition { objective: case.objective, ..definition };
            check_definition_to(case, definition, &format!("{section}\n{what}"), LOSS_ON_TAPE, GRADIENT)?;
        }
    }

    /// Wrong if terms of weights, or of the code beside the penalty, left a level out or counted one twice.
    #[test]
    fn auxiliaries_reach_every_level(levels in levels()) {
        let Levels { section, case } = &levels;
        let built = architecture(section);
        let own = penalty("kind = \"l1\"\nlambda = 0.1");
        let all = auxiliaries(
            r#"[{ kind = "weight-decay", lambda = 0.2 },
                { kind = "weight-decay", lambda = 0.1, norm = "l1", of = "decoder" },
                { kind = "sparse-group-lasso", lambda = 0.1, group_lambda = 0.1, group_size = 1 }]"#
                .replace('\n', " ")
                .as_str(),
        );
        let definition = Definition {
            auxiliaries: &all.value,
            objective: case.objective,
            ..Definition::new(&*built.plugin, &*own.plugin)
        };
        prop_assert_eq!((FUSED.covers)(&definition), Ok(()));
        check_definition_to(case, definition, section, LOSS, GRADIENT)?;
    }

    /// Wrong if the length of the gradient were that of some levels alone, or levels were scaled apart.
    #[test]
    fn gradients_of_all_levels_are_clipped_together(levels in levels()) {
        let Levels { section, case } = &levels;
        let built = architecture(section);
        let own = penalty("kind = \"l1\"\nlambda = 0.1");
        let definition = Definition::new(&*built.plugin, &*own.plugin);
        let velocities = |limit| {
            let (trainer, x) = trainer_of(definition, case, sgd(), FUSED);
            let mut trainer = trainer.clipping(limit);
            trainer.step(Minibatch::clean(&x), training(case.batch), 1.0);
            let velocities = trainer.model.first_moments().unwrap();
            velocities.entries.into_iter().flat_map(|entry| entry.values).map(f64::from).collect::<Vec<_>>()
        };
        let whole = velocities(None);
        let norm = whole.iter().map(|value| value * value).sum::<f64>().sqrt();
        prop_assume!(norm > 0.0);
        prop_assert_eq!(velocities(Some(2.0 * norm)), whole.clone());
        for (half, whole) in velocities(Some(0.5 * norm)).iter().zip(&whole) {
            prop_assert!((half - 0.5 * whole).abs() <= 1e-6 * norm, "{half} of {whole}: {section}");
        }
    }
}

/// Wrong if a sum depended on who made it.
#[test]
fn levels_have_the_same_bits_on_any_number_of_threads() {
    let deep = "kind = \"deep\"\nlatents = 300\nhidden = [200, 90]\nactivation = \"relu\"";
    let variational = "kind = \"variational\"\nlatents = 70\nhidden = [200]";
    let convolutional = "kind = \"convolutional\"\nlatents = 70";
    for section in [deep, variational, convolutional] {
        let built = architecture(section);
        for text in
            ["kind = \"l1\"\nlambda = 0.01", "kind = \"k-sparse\"\nk = 9", "kind = \"none\""]
        {
            let own = penalty(text);
            let definition = Definition::new(&*built.plugin, &*own.plugin);
            let trained = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let (mut trainer, x) = trainer_of(definition, &LARGE, adam(), FUSED);
                    for x in [&x[..], &x, &x[..37 * LARGE.inputs]] {
                        trainer.step(Minibatch::clean(x), training(x.len() / LARGE.inputs), 1.0);
                    }
                    let seen = trainer.model.forward(&x, Step::EVALUATE);
                    let mut numbers = seen.x_hat;
                    numbers.extend(&*seen.code.view().to_dense());
                    let parameters = trainer.model.parameters().into_owned();
                    numbers.extend(parameters.entries.into_iter().flat_map(|entry| entry.values));
                    numbers.into_iter().map(f32::to_bits).collect::<Vec<_>>()
                })
            };
            let one = trained(1);
            assert_eq!(one, trained(1), "{section}\n{text}: again");
            for threads in [2, 5] {
                assert!(one == trained(threads), "{section}\n{text}: {threads} threads");
            }
        }
    }
}

/// Several tiles and blocks, none of them whole.
const LARGE: Case = Case {
    batch: 130,
    inputs: 169,
    latents: 1,
    activation: "relu",
    tied: false,
    decoder: "linear",
    objective: TrainObjective::Squared,
    subtract: false,
    unit_norm: false,
    dead: 0,
    seed: 7,
};
