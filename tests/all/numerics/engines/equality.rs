//! Losses, gradients and parameters of both engines, at random sizes and settings.

use framework::engine::{ENGINES, FUSED, Minibatch, REFERENCE, StepLoss};
use framework::model::{Definition, Parameters};
use framework::plugin::Penalty;
use framework::spec::TrainObjective;
use framework::train::Trainer;
use proptest::prelude::*;

use super::{
    Case, NORM_WEIGHTED, OnTape, Shrink, TRAINING, adam, sgd, trainer, trainer_of, training,
    with_dead,
};
use crate::support::models::{Samples, architecture, model, pass, penalty};
use crate::support::strategies::config;

/// What f32 rounding may do to a gradient, of the largest derivative by its tensor. Each is a sum of
/// at most a few hundred products whose errors are some 6e-8 of their size; the factor between is
/// how much larger the terms can be than their sum.
pub const GRADIENT: f64 = 2e-5;

/// What three steps make of that: 0.3 % of how far a parameter moves.
const PARAMETERS: f64 = 5e-6;

/// A derivative below this is the difference of numbers of size 1 (1 − sigmoid, at saturation), and
/// has their rounding error.
pub const FLAT: f64 = 0.2;

/// The same for the terms of a loss.
pub const LOSS: f64 = 2e-6;

/// The same where dfdx sums the terms one after another, thousands of them.
pub const LOSS_ON_TAPE: f64 = 2e-4;

pub fn cases() -> impl Strategy<Value = Case> {
    let sizes = (
        prop_oneof![Just(1_usize), 2..=9_usize, 10..=70_usize],
        prop_oneof![Just(1_usize), 2..=40_usize],
        prop_oneof![Just(1_usize), 2..=20_usize, 21..=150_usize],
    );
    let activation = prop::sample::select(vec!["identity", "relu", "sigmoid", "tanh"]);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (sizes, activation, flags, 0..=2_usize, any::<u32>()).prop_map(
        |((batch, inputs, latents), activation, flags, dead, seed)| {
            let objective = TrainObjective::ALL[seed as usize / 2 % 3];
            Case {
                batch,
                inputs,
                latents,
                activation,
                tied: flags.0,
                decoder: if flags.1 || objective == TrainObjective::CrossEntropy {
                    "sigmoid"
                } else {
                    "linear"
                },
                objective,
                subtract: flags.2,
                // A row of unit norm is on no grid, so nothing with kinks is exact then.
                unit_norm: flags.3 && matches!(activation, "sigmoid" | "tanh"),
                dead: if activation == "relu" { dead * latents / 2 } else { 0 },
                seed: seed.into(),
            }
        },
    )
}

fn close(what: &str, got: f64, right: f64, tolerance: f64) -> Result<(), TestCaseError> {
    prop_assert!(
        (got - right).abs() <= tolerance,
        "{what}: {got:e}, not {right:e} ({tolerance:e})"
    );
    Ok(())
}

pub fn tensors_agree(
    what: &str,
    got: &Parameters<f32>,
    right: &[Vec<f64>],
    tolerance: f64,
    least: f64,
) -> Result<(), TestCaseError> {
    for (entry, right) in got.entries.iter().zip(right) {
        let largest = right.iter().fold(least, |largest: f64, value| largest.max(value.abs()));
        for (at, (got, right)) in entry.values.iter().zip(right).enumerate() {
            let name = format!("{what}: {} {at}", entry.declaration.name);
            close(&name, f64::from(*got), *right, tolerance * largest)?;
        }
    }
    Ok(())
}

/// Loss and gradients of one step, against autodiff in f64. Targets are those of [`Case::target`].
pub fn check_gradients(
    case: &Case,
    penalty: &dyn Penalty,
    what: &str,
    loss: f64,
) -> Result<(), TestCaseError> {
    let built = architecture(&case.architecture());
    check_definition(case, Definition::new(&*built.plugin, penalty), what, loss)
}

/// The same of all that a definition has.
pub fn check_definition(
    case: &Case,
    definition: Definition<'_>,
    what: &str,
    loss: f64,
) -> Result<(), TestCaseError> {
    check_definition_to(case, definition, what, loss, GRADIENT)
}

/// The same with gradients to a tolerance.
pub fn check_definition_to(
    case: &Case,
    definition: Definition<'_>,
    what: &str,
    loss: f64,
    gradient: f64,
) -> Result<(), TestCaseError> {
    let (fused, x) = trainer_of(definition, case, sgd(), FUSED);
    let (reference, _) = trainer_of(definition, case, sgd(), REFERENCE);
    let [mut fused, mut reference] = [fused, reference].map(with_dead);
    let parameters = reference.model.parameters().cast::<f64>();
    let target = case.target(&reference.model, &x);
    let wide = |values: &[f32]| values.iter().map(|value| f64::from(*value)).collect();
    let Case { inputs, objective, .. } = *case;
    let samples = Samples { x: wide(&x), target: wide(&target), inputs };
    let definition = Definition { objective, ..definition };
    let batch = Minibatch { sample: &x, target: &target };
    let at = training(case.batch);
    let right = pass(definition, &parameters, &samples, at);
    let got = fused.step(batch, at, 1.0);
    let in_f32 = reference.step(batch, at, 1.0);
    let names = |loss: &StepLoss| -> Vec<_> {
        let named = loss.terms.iter().map(|term| (term.name.clone(), term.weight.to_bits()));
        named.collect::<std::collections::BTreeMap<_, _>>().into_iter().collect()
    };
    prop_assert_eq!(names(&got), names(&in_f32), "{}", what);
    close(&format!("{what}: l0"), got.l0, in_f32.l0, 1e-9)?;
    // A cross-entropy against targets outside [0, 1] is a difference of numbers of about size 1 an input.
    let least = match objective {
        TrainObjective::CrossEntropy => inputs as f64,
        _ => FLAT,
    };
    let weight = definition.penalty.reconstruction_weight();
    let of_terms = got.terms.iter().map(|term| term.weight * term.raw).sum();
    for (name, got, right) in [
        ("total", got.total, right.total),
        ("terms", of_terms, right.terms),
        ("reconstruction", weight * got.reconstruction, right.total - right.terms),
    ] {
        close(&format!("{what}: {name}"), got, right, loss * right.abs().max(least))?;
    }
    if case.unit_norm {
        // The optimizer projects gradients before its moments see them.
        let moments = reference.model.first_moments().unwrap().cast::<f64>();
        let right: Vec<_> = moments.entries.into_iter().map(|entry| entry.values).collect();
        return tensors_agree(what, &fused.model.first_moments().unwrap(), &right, gradient, FLAT);
    }
    // After one step, the velocity is the gradient.
    tensors_agree(what, &fused.model.first_moments().unwrap(), &right.gradients, gradient, FLAT)
}

proptest! {
    #![proptest_config(config(600))]

    /// Loss terms and every gradient, for every penalty by hand and through its definition.
    #[test]
    fn losses_and_gradients_are_those_of_the_definition(case in cases()) {
        for text in case.penalties() {
            let built = penalty(&text);
            let what = format!("{case:?} with {text}");
            prop_assert!(built.plugin.fused(&TRAINING, case.latents).is_some());
            check_gradients(&case, &*built.plugin, &what, LOSS)?;
            let what = format!("{what}, on tape");
            check_gradients(&case, &OnTape(&*built.plugin), &what, LOSS_ON_TAPE)?;
        }
        for text in case.of_batch() {
            let built = penalty(&text);
            let what = format!("{case:?} with {text}");
            check_gradients(&case, &*built.plugin, &what, LOSS)?;
            if built.plugin.is_of_code_alone() {
                check_gradients(&case, &OnTape(&*built.plugin), &what, LOSS_ON_TAPE)?;
            }
        }
        let norms = penalty(NORM_WEIGHTED);
        check_gradients(&case, &*norms.plugin, &format!("{case:?} with norms"), LOSS)?;
        check_gradients(&case, &Shrink, &format!("{case:?} with another"), LOSS_ON_TAPE)?;
    }

    /// The parameters after three steps of either optimizer, the last batch shorter.
    #[test]
    fn parameters_after_three_steps_are_those_of_the_definition(case in cases()) {
        let built = architecture(&case.architecture());
        for text in case.penalties().into_iter().chain([NORM_WEIGHTED.to_owned()]) {
            let penalty = penalty(&text);
            for optimizer in [sgd(), adam()] {
                let (reference, _) =
                    trainer(&*built.plugin, &*penalty.plugin, &case, optimizer, REFERENCE);
                let start = reference.model;
                let trained = |engine| {
                    let (mut trainer, x) =
                        trainer(&*built.plugin, &*penalty.plugin, &case, optimizer, engine);
                    let short = &x[..case.batch.div_ceil(2) * case.inputs];
                    let target = case.target(&start, &x);
                    for sample in [&x, short, short] {
                        let batch = Minibatch { sample, target: &target[..sample.len()] };
                        trainer.step(batch, training(sample.len() / case.inputs), 0.5);
                    }
                    trainer.model.parameters().into_owned()
                };
                let right = trained(REFERENCE).cast::<f64>();
                let right: Vec<_> = right.entries.into_iter().map(|entry| entry.values).collect();
                let what = format!("{case:?} with {text} and {optimizer:?}");
                tensors_agree(&what, &trained(FUSED), &right, PARAMETERS, 1.0)?;
            }
        }
    }
}

/// Wrong if an engine reset the moments of other latents or other parameters than the definition does, or
/// another number of them.
#[test]
fn moments_of_latents_are_reset_alike_in_every_engine() {
    for tied in [false, true] {
        let text = format!("kind = \"dense\"\nlatents = 7\nactivation = \"tanh\"\ntied = {tied}");
        let (dense, l1) = (architecture(&text), penalty("kind = \"l1\"\nlambda = 0.1"));
        for optimizer in [adam(), sgd()] {
            for engine in ENGINES {
                let model = model(&*dense.plugin, &*l1.plugin, 5, 0).on(engine);
                let mut trainer = Trainer::new(model, optimizer);
                let x: Vec<f32> = (0..20).map(|at| (at as f32 * 0.7).sin()).collect();
                trainer.step(Minibatch::clean(&x), TRAINING, 1.0);
                let before = trainer.model.first_moments().unwrap();
                trainer.model.reset_moments(&[1, 4]);
                let after = trainer.model.first_moments().unwrap();
                for (before, after) in before.entries.iter().zip(&after.entries) {
                    let reset: Vec<usize> =
                        [1, 4].iter().flat_map(|j| before.declaration.of_latent(*j)).collect();
                    for (at, (before, after)) in before.values.iter().zip(&after.values).enumerate()
                    {
                        let right = if reset.contains(&at) { 0.0 } else { *before };
                        assert_eq!(*after, right, "{engine:?} {text} at {at}");
                        assert!(*before != 0.0, "{engine:?}: every number moves");
                    }
                }
            }
        }
    }
}
