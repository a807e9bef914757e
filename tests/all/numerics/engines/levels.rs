//! Architectures of several levels, convolutions and random codes: the fused engine against autodiff in f64, and
//! against itself on other numbers of threads.

use framework::engine::{FUSED, Minibatch, REFERENCE};
use framework::model::{Definition, Step};
use framework::plugin::Penalty;
use framework::spec::{Precision, TrainObjective};
use framework::train::{Model, Trainer};
use proptest::prelude::*;

use super::equality::{LOSS, LOSS_ON_TAPE, check_definition_to};
use super::{Case, OnTape, Shrink, adam, sgd, trainer_of, training};
use crate::support::models::{architecture, auxiliaries, penalty};
use crate::support::strategies::config;

/// Of the largest derivative by a tensor: rounding of one level, times what four of them in a row make of it.
pub const GRADIENT: f64 = 1e-4;

/// An architecture by its section, and the sizes that it is tried at.
#[derive(Clone, Debug)]
pub struct Levels {
    pub section: String,
    pub case: Case,
}

const ACTIVATIONS: [&str; 4] = ["identity", "relu", "sigmoid", "tanh"];

pub fn levels() -> impl Strategy<Value = Levels> {
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
        for text in case.penalties().into_iter().chain(case.of_batch()) {
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

/// One form of each architecture, without kinks, so that steps of two engines stay together.
const SMOOTH: [&str; 5] = [
    "kind = \"deep\"\nlatents = 6\nhidden = [11, 7]\nhidden_activation = \"tanh\"",
    "kind = \"deep\"\nlatents = 6\nhidden = [9]\nhidden_activation = \"sigmoid\"\ntied = true",
    "kind = \"variational\"\nlatents = 6\nhidden = [9]\nhidden_activation = \"tanh\"",
    "kind = \"variational\"\nlatents = 6\nhidden = []",
    "kind = \"convolutional\"\nlatents = 6\nchannels = [3, 2]\nhidden_activation = \"tanh\"",
];

const SMALL: Case = Case { batch: 20, inputs: 25, latents: 6, activation: "tanh", ..LARGE };

/// Wrong if a moment were another tensor's, if a level were moved twice or not at all, or if weights of a level
/// were not shrunk; parameters and not only gradients are compared.
#[test]
fn steps_move_every_level_as_the_definition_does() {
    let shrink = r#"[{ kind = "weight-decay", lambda = 5.0, decoupled = true }]"#;
    for (section, shrinks) in SMOOTH.iter().flat_map(|one| [(one, "[]"), (one, shrink)]) {
        let (built, own) = (architecture(section), penalty("kind = \"none\""));
        let all = auxiliaries(shrinks);
        let definition = Definition::new(&*built.plugin, &*own.plugin);
        let definition = Definition { auxiliaries: &all.value, ..definition };
        for optimizer in [adam(), sgd()] {
            let trained = |engine| {
                let (mut trainer, x) = trainer_of(definition, &SMALL, optimizer, engine);
                let start = trainer.model.parameters().into_owned();
                for samples in [20, 20, 7] {
                    let x = &x[..samples * SMALL.inputs];
                    trainer.step(Minibatch::clean(x), training(samples), 0.5);
                }
                (start, trainer.model.parameters().into_owned())
            };
            let ((start, right), (_, got)) = (trained(REFERENCE), trained(FUSED));
            for ((start, right), got) in start.entries.iter().zip(&right.entries).zip(&got.entries)
            {
                let name = &right.declaration.name;
                assert_ne!(start.values, right.values, "{section}: {name} does not move");
                for (right, got) in right.values.iter().zip(&got.values) {
                    let close = (right - got).abs() <= 1e-5;
                    assert!(close, "{section}, {shrinks}: {name}: {got}, not {right}");
                }
            }
        }
    }
}

/// Wrong if what belongs to a latent were other numbers in one engine than in the other: its slices as they are read
/// and written, or its moments as they are reset.
#[test]
fn latents_own_the_same_numbers_in_both_engines() {
    for section in SMOOTH {
        let (built, own) = (architecture(section), penalty("kind = \"none\""));
        let definition = Definition::new(&*built.plugin, &*own.plugin);
        let of = |engine| {
            let (mut trainer, x) = trainer_of(definition, &SMALL, sgd(), engine);
            let others = trainer.model.of_latents(&[0, 3]);
            trainer.model.set_latents(&[4, 1], &others);
            assert_eq!(trainer.model.of_latents(&[4, 1]), others, "{section}: {engine:?}");
            let parameters = trainer.model.parameters().into_owned();
            trainer.step(Minibatch::clean(&x), training(SMALL.batch), 1.0);
            trainer.model.reset_moments(&[2, 5]);
            let moments = trainer.model.first_moments().unwrap();
            let is_zero: Vec<Vec<bool>> = moments
                .entries
                .iter()
                .map(|entry| entry.values.iter().map(|value| *value == 0.0).collect())
                .collect();
            (others, parameters, is_zero)
        };
        let ((slices, parameters, is_zero), fused) = (of(REFERENCE), of(FUSED));
        // Tied weights are one matrix; a variational encoder has two heads.
        let is = |what: &str| section.contains(what);
        let tensors = 3 - usize::from(is("tied")) + 2 * usize::from(is("variational"));
        assert_eq!(slices.entries.len(), tensors, "{section}");
        let zeros = is_zero.iter().flatten().filter(|zero| **zero).count();
        let owned: usize = slices.entries.iter().map(|entry| entry.values.len()).sum();
        assert_eq!(zeros, owned, "{section}: two latents' moments, and no others");
        assert!((slices, parameters, is_zero) == fused, "{section}");
    }
}

/// Wrong if the rounded encoder of the code did not follow the steps, or were one of another level.
#[test]
fn the_rounded_encoder_follows_behind_levels() {
    for (section, text) in [
        (SMOOTH[0], "kind = \"none\""),
        (SMOOTH[2], "kind = \"none\""),
        (SMOOTH[4], "kind = \"l1\"\nlambda = 0.1"),
        (
            "kind = \"deep\"\nlatents = 40\nhidden = [9]\nactivation = \"relu\"",
            "kind = \"k-sparse\"\nk = 3",
        ),
    ] {
        let (built, own) = (architecture(section), penalty(text));
        let definition = Definition::new(&*built.plugin, &*own.plugin);
        let (trainer, x) = trainer_of(definition, &SMALL, adam(), FUSED);
        let exact = trainer.model.forward(&x, Step::EVALUATE).x_hat;
        let mut trainer = Trainer::new(trainer.model.in_precision(Precision::Bf16), adam());
        assert_ne!(trainer.model.forward(&x, Step::EVALUATE).x_hat, exact, "nothing was rounded");
        for _ in 0..5 {
            trainer.step(Minibatch::clean(&x), training(SMALL.batch), 1.0);
        }
        let parameters = trainer.model.parameters().into_owned();
        let (again, _) = trainer_of(definition, &SMALL, adam(), FUSED);
        let again = again.model.with_parameters(parameters).in_precision(Precision::Bf16);
        let seen = |model: &Model<'_>| model.forward(&x, Step::EVALUATE).x_hat;
        assert_eq!(seen(&again), seen(&trainer.model), "{section} with {text}");
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
