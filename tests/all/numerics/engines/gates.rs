//! Gates in the fused engine: against autodiff in f64, with the penalty's own parameters, for codes in lists and dense
//! ones, beside what else trains, and on other numbers of threads.

use framework::engine::{FUSED, Minibatch, REFERENCE};
use framework::model::{Definition, Step};
use framework::plugin::NamedAuxiliary;
use framework::spec::TrainObjective;
use framework::train::Trainer;
use proptest::prelude::*;

use super::equality::tensors_agree;
use super::equality::{LOSS, LOSS_ON_TAPE, cases, check_definition, check_definition_to};
use super::{Case, TRAINING, adam, sgd, trainer_of, training, with_dead};
use crate::support::models::{architecture, auxiliaries, penalty, runs};
use crate::support::strategies::config;

const GATED: &str = "kind = \"gated\"\nlambda = 0.3";

/// What f32 rounding may do to parameters in three steps, as of the other properties.
const PARAMETERS: f64 = 5e-6;

/// Rounding of one level, times what four of them in a row make of it.
const DEEP_GRADIENT: f64 = 1e-4;

/// Lists of auxiliaries that the fused engine takes beside gates.
const LISTS: [&str; 5] = [
    "",
    "{ kind = \"l1\", lambda = 0.3 }",
    "{ kind = \"auxk\", k = 3, weight = 0.5 }, { kind = \"weight-decay\", lambda = 0.05 }",
    "{ kind = \"l1\", lambda = 0.2, norm_weighted = true }, { kind = \"class-group-lasso\", lambda = 0.2 }",
    "{ kind = \"group-lasso\", lambda = 0.2, group_size = 1 }, { kind = \"l1\", lambda = 0.1 }, \
     { kind = \"auxk\", normalize = false }",
];

/// Cases of gates: many of them, half of them or few are ever open, so that codes are dense or in lists.
fn gated_cases() -> impl Strategy<Value = Case> {
    cases().prop_map(|case| {
        let dead = [0, case.latents / 2, 9 * case.latents / 10][case.seed as usize / 3 % 3];
        // A tied row of unit norm is on no grid, so gates may differ.
        let unit_norm = case.seed.is_multiple_of(5) && !case.tied;
        Case { activation: "identity", dead, unit_norm, ..case }
    })
}

fn deep(case: &Case, hidden: &str, of_hidden: &str) -> String {
    let Case { latents, tied, decoder, .. } = case;
    format!(
        "kind = \"deep\"\nhidden = {hidden}\nlatents = {latents}\nhidden_activation = \"{of_hidden}\"\n\
         tied = {tied}\ndecoder = \"{decoder}\""
    )
}

proptest! {
    #![proptest_config(config(200))]

    /// Wrong if a gate, a magnitude, a term or a gradient, of parameters of the penalty's own too, were not those of
    /// the definition, alone or beside auxiliaries.
    #[test]
    fn losses_and_gradients_are_those_of_the_definition(case in gated_cases()) {
        let (built, gated) = (architecture(&case.architecture()), penalty(GATED));
        for list in LISTS {
            let section = auxiliaries(&format!("[{list}]"));
            let definition = Definition {
                auxiliaries: &section.value,
                ..Definition::new(&*built.plugin, &*gated.plugin)
            };
            prop_assert_eq!((FUSED.covers)(&definition), Ok(()), "{}", list);
            let tolerance = if list.is_empty() { LOSS } else { LOSS_ON_TAPE };
            check_definition(&case, definition, &format!("{case:?} with {list}"), tolerance)?;
        }
    }

    /// Wrong if levels around the code learnt from what the gates let through, or the encoder's did not.
    #[test]
    fn levels_around_gates_have_the_gradients_of_the_definition(
        case in gated_cases(),
        hidden in prop::sample::select(vec!["[]", "[3]", "[5, 4]", "[2, 3, 4]"]),
        of_hidden in prop::sample::select(vec!["identity", "relu", "sigmoid", "tanh"]),
        list in prop::sample::select(LISTS.to_vec()),
    ) {
        let case = Case { unit_norm: false, ..case };
        let (built, gated) = (architecture(&deep(&case, hidden, of_hidden)), penalty(GATED));
        let section = auxiliaries(&format!("[{list}]"));
        let definition = Definition {
            auxiliaries: &section.value,
            objective: case.objective,
            ..Definition::new(&*built.plugin, &*gated.plugin)
        };
        prop_assert_eq!((FUSED.covers)(&definition), Ok(()), "{}", list);
        let what = format!("{case:?} with {hidden} after {of_hidden} and {list}");
        check_definition_to(&case, definition, &what, LOSS_ON_TAPE, DEEP_GRADIENT)?;
    }

    /// Wrong if a step moved a parameter otherwise than the definition does, with gradients that are clipped or not,
    /// the last batch shorter; or if a moment were another parameter's.
    #[test]
    fn parameters_after_three_steps_are_those_of_the_definition(
        case in gated_cases(),
        clips in any::<bool>(),
        list in prop::sample::select(LISTS.to_vec()),
    ) {
        let (built, gated) = (architecture(&case.architecture()), penalty(GATED));
        let section = auxiliaries(&format!("[{list}]"));
        let definition = Definition {
            auxiliaries: &section.value,
            ..Definition::new(&*built.plugin, &*gated.plugin)
        };
        for optimizer in [sgd(), adam()] {
            let trained = |engine| {
                let (trainer, x) = trainer_of(definition, &case, optimizer, engine);
                let trainer = with_dead(trainer).warming_up(0.7);
                let mut trainer = trainer.clipping(clips.then_some(0.5));
                let target = case.target(&trainer.model, &x);
                let short = case.batch.div_ceil(2) * case.inputs;
                for count in [x.len(), short, short] {
                    let batch = Minibatch { sample: &x[..count], target: &target[..count] };
                    trainer.step(batch, training(count / case.inputs), 0.5);
                }
                trainer.model.parameters().into_owned()
            };
            let right = trained(REFERENCE).cast::<f64>().entries;
            let right: Vec<_> = right.into_iter().map(|entry| entry.values).collect();
            let what = format!("{case:?} with {list} and {optimizer:?}, clipped: {clips}");
            tensors_agree(&what, &trained(FUSED), &right, PARAMETERS, 1.0)?;
        }
    }

    /// Wrong if an evaluation saw what the gates let through in the place of codes, listed a 0, or depended on which
    /// samples are passed together or on the step before it.
    #[test]
    fn evaluations_see_the_codes_of_the_definition(case in gated_cases()) {
        let (built, gated) = (architecture(&case.architecture()), penalty(GATED));
        let definition = Definition::new(&*built.plugin, &*gated.plugin);
        let [fused, reference] = [FUSED, REFERENCE].map(|engine| {
            let (mut trainer, x) = trainer_of(definition, &case, sgd(), engine);
            trainer.step(Minibatch::clean(&x), training(case.batch), 0.0);
            (trainer.model, x)
        });
        let ((fused, x), (reference, _)) = (fused, reference);
        for x in [&x[..], &x[..case.batch.div_ceil(3) * case.inputs]] {
            let [got, right] = [&fused, &reference].map(|model| model.forward(x, Step::EVALUATE));
            let mut listed = 0;
            got.code.view().for_each_nonzero(|_, _, value| {
                assert_ne!(value, 0.0);
                listed += 1;
            });
            let (dense, code) = (got.code.view().to_dense(), right.code.view().to_dense());
            prop_assert_eq!(listed, code.iter().filter(|h| **h != 0.0).count(), "{:?}", case);
            for (got, right) in dense.iter().zip(&*code).chain(got.x_hat.iter().zip(&right.x_hat)) {
                let close = (got - right).abs() <= 2e-6 * right.abs().max(10.0);
                prop_assert!(close, "{case:?}: {got}, not {right}");
            }
        }
    }
}

/// Several tiles and blocks, none of them whole.
const LARGE: Case = Case {
    batch: 130,
    inputs: 70,
    latents: 600,
    activation: "identity",
    tied: false,
    decoder: "linear",
    objective: TrainObjective::Squared,
    subtract: true,
    unit_norm: true,
    dead: 0,
    seed: 7,
};

fn definition<'a>(
    built: &'a framework::plugin::Built<dyn framework::plugin::Architecture>,
    gated: &'a framework::plugin::Built<dyn framework::plugin::Penalty>,
    auxiliaries: &'a [NamedAuxiliary],
) -> Definition<'a> {
    Definition { auxiliaries, ..Definition::new(&*built.plugin, &*gated.plugin) }
}

/// Wrong if a sum depended on who made it: of lists, of dense codes, behind levels, beside dead latents.
#[test]
fn gates_have_the_same_bits_on_any_number_of_threads() {
    let gated = penalty("kind = \"gated\"\nlambda = 0.1");
    let lists = Case { dead: 500, ..LARGE };
    for (case, section) in [
        (LARGE, LARGE.architecture()),
        (lists.clone(), lists.architecture()),
        (Case { tied: true, ..LARGE }, Case { tied: true, ..LARGE }.architecture()),
        (LARGE, deep(&Case { latents: 300, ..LARGE }, "[90, 40]", "tanh")),
    ] {
        let built = architecture(&section);
        let of_dead = auxiliaries("[{ kind = \"auxk\", k = 7 }, { kind = \"l1\", lambda = 0.1 }]");
        for list in [&[][..], &of_dead.value] {
            let trained = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let definition = definition(&built, &gated, list);
                    let (trainer, x) = trainer_of(definition, &case, adam(), FUSED);
                    let mut trainer = with_dead(trainer);
                    let mut losses = Vec::new();
                    for x in [&x[..], &x, &x[..37 * case.inputs]] {
                        let at = training(x.len() / case.inputs);
                        let loss = trainer.step(Minibatch::clean(x), at, 1.0);
                        losses.extend(loss.terms.iter().map(|term| term.raw.to_bits()));
                        losses.extend([loss.total.to_bits(), loss.l0.to_bits()]);
                    }
                    let seen = trainer.model.forward(&x, Step::EVALUATE);
                    let parameters = trainer.model.parameters().into_owned();
                    let own = parameters.entries.into_iter().flat_map(|entry| entry.values);
                    let all = seen.x_hat.into_iter().chain(own);
                    (losses, all.map(f32::to_bits).collect::<Vec<_>>())
                })
            };
            let one = trained(1);
            for threads in [1, 2, 5] {
                assert!(one == trained(threads), "{section}: {threads} threads");
            }
        }
    }
}

/// Wrong if lists, which few open gates make, came to other steps than dense codes of the same numbers: half of the
/// latents, which are never active, are there or not.
#[test]
fn lists_and_dense_codes_learn_the_same() {
    let gated = penalty(GATED);
    let trained = |latents: usize, dead: usize| {
        let case = Case { latents, dead, batch: 9, inputs: 6, ..LARGE };
        let built = architecture(&case.architecture());
        let (mut trainer, _) = trainer_of(definition(&built, &gated, &[]), &case, sgd(), FUSED);
        let x: Vec<f32> = (0..54).map(|at| ((at * 29) % 17) as f32 / 8.0 - 1.0).collect();
        // The living latents are the last ones; they are given the same numbers in both.
        let living: Vec<usize> = (dead..latents).collect();
        let mut slices = trainer.model.of_latents(&living);
        for (at, entry) in slices.entries.iter_mut().enumerate() {
            let number = |place: usize| ((place * 37 + at * 11) % 33) as f32 / 64.0 - 0.25;
            (0..).zip(&mut entry.values).for_each(|(place, value)| *value = number(place));
        }
        let mut parameters = trainer.model.parameters().into_owned();
        parameters.set_latents(&living, &slices);
        parameters.enforce_constraints();
        for entry in &mut parameters.entries {
            if entry.declaration.name == "b_dec" {
                entry.values.fill(0.125);
            }
        }
        let model = trainer.model.with_parameters(parameters).on(FUSED);
        trainer = Trainer::new(model, sgd());
        let losses: Vec<f64> =
            (0..3).map(|_| trainer.step(Minibatch::clean(&x), training(9), 1.0).total).collect();
        (trainer.model.of_latents(&living), losses, trainer.model.forward(&x, TRAINING).x_hat)
    };
    let (dense, lists) = (trained(8, 0), trained(80, 72));
    for (dense, lists) in dense.0.entries.iter().zip(&lists.0.entries) {
        for (dense, lists) in dense.values.iter().zip(&lists.values) {
            assert!((dense - lists).abs() < 1e-5, "{lists}, not {dense}");
        }
    }
    for (dense, lists) in dense.1.iter().zip(&lists.1) {
        assert!((dense - lists).abs() < 1e-5 * dense, "{lists}, not {dense}");
    }
    assert!(dense.2.iter().zip(&lists.2).all(|(dense, lists)| (dense - lists).abs() < 1e-4));
}

/// Wrong if gates trained in another engine than they can where nobody chose one, or if the fused engine took what it
/// has no gradient of: terms of codes before the gates, and terms that are not by hand.
#[test]
fn auto_is_fused_wherever_the_gates_are_by_hand() {
    let engine = |architecture: &str, auxiliary: &str| {
        let text = format!(
            "name = \"gates\"\n[dataset]\nkind = \"digits\"\n[architecture]\nlatents = 12\n{architecture}\n\
             [penalty]\n{GATED}\n{auxiliary}"
        );
        let (_, runs) = runs(&text);
        (framework::engine::EngineKind::of(&runs[0]), (FUSED.covers)(&Definition::of(&runs[0])))
    };
    for architecture in
        ["kind = \"dense\"", "kind = \"deep\"", "kind = \"dense\"\ntied = true\nunit_norm = true"]
    {
        assert_eq!(engine(architecture, ""), (FUSED, Ok(())), "{architecture}");
        let auxk = "[[auxiliary]]\nkind = \"auxk\"";
        assert_eq!(engine(architecture, auxk), (FUSED, Ok(())), "{architecture}");
    }
    let contractive = "[[auxiliary]]\nkind = \"contractive\"\nlambda = 0.1";
    let why = "the fused engine trains gates only beside terms by hand, of the code that they make";
    assert_eq!(engine("kind = \"dense\"", contractive), (REFERENCE, Err(why)));
}
