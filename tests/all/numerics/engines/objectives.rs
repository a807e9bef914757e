//! Objectives as evaluations see them: one number a sample, the same in both engines.

use framework::engine::{FUSED, Minibatch, REFERENCE};
use framework::model::Step;
use framework::plugin::Penalty;
use framework::spec::TrainObjective;

use super::{Case, OnTape, Shrink, TRAINING, sgd, trainer};
use crate::support::models::{architecture, penalty};

const CASE: Case = Case {
    batch: 9,
    inputs: 37,
    latents: 24,
    activation: "relu",
    tied: false,
    decoder: "sigmoid",
    objective: TrainObjective::Squared,
    subtract: false,
    unit_norm: false,
    dead: 0,
    seed: 4,
};

/// Checks that both engines find the same objective of each sample, whose mean is the term of a step.
fn check(case: &Case, penalty: &dyn Penalty, what: &str) {
    let built = architecture(&case.architecture());
    let [(mut fused, x), (mut reference, _)] =
        [FUSED, REFERENCE].map(|engine| trainer(&*built.plugin, penalty, case, sgd(), engine));
    let found = [&fused, &reference].map(|trainer| trainer.model.forward(&x, TRAINING).objective);
    let step = |trainer: &mut framework::train::Trainer<'_>| {
        trainer.step(Minibatch::clean(&x), TRAINING, 1.0).reconstruction
    };
    let steps = [step(&mut fused), step(&mut reference)];
    if case.objective == TrainObjective::Squared {
        assert_eq!(found, [None, None], "{what}: columns stay as they are");
        return;
    }
    let [fused, reference] = found.map(|found| found.unwrap());
    assert_eq!((fused.len(), reference.len()), (case.batch, case.batch));
    for (fused, reference) in fused.iter().zip(&reference) {
        assert!((fused - reference).abs() < 1e-5 * reference, "{what}: {fused}, not {reference}");
    }
    for (found, step) in [fused, reference].into_iter().zip(steps) {
        let mean = found.iter().sum::<f64>() / case.batch as f64;
        assert!((mean - step).abs() < 1e-5 * step, "{what}: {mean}, not {step}");
    }
}

/// Wrong if an evaluation were told another objective than the one that a step takes, for codes in full, as
/// lists or on the tape.
#[test]
fn both_engines_find_the_same_objective_of_each_sample() {
    for objective in TrainObjective::ALL {
        for decoder in ["linear", "sigmoid"] {
            if objective == TrainObjective::CrossEntropy && decoder == "linear" {
                continue;
            }
            for dead in [0, 20] {
                let case = Case { objective, decoder, dead, ..CASE };
                for text in case.penalties() {
                    check(&case, &*penalty(&text).plugin, &format!("{case:?} with {text}"));
                }
                let l1 = penalty("kind = \"l1\"\nlambda = 0.3");
                check(&case, &OnTape(&*l1.plugin), &format!("{case:?} on tape"));
                check(&case, &Shrink, &format!("{case:?} with another"));
            }
        }
    }
}

/// Wrong if a sample's objective depended on the samples beside it.
#[test]
fn the_objective_of_a_sample_is_its_own() {
    for objective in [TrainObjective::Absolute, TrainObjective::CrossEntropy] {
        let case = Case { objective, ..CASE };
        let built = architecture(&case.architecture());
        let l1 = penalty("kind = \"l1\"\nlambda = 0.3");
        for engine in [FUSED, REFERENCE] {
            let (trainer, x) = trainer(&*built.plugin, &*l1.plugin, &case, sgd(), engine);
            let of = |x: &[f32]| trainer.model.forward(x, Step::EVALUATE).objective.unwrap();
            let (all, last) = (of(&x), of(&x[8 * case.inputs..]));
            assert!((all[8] - last[0]).abs() < 1e-5 * last[0], "{engine:?} {objective:?}");
        }
    }
}
