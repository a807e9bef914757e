//! Gradients that are clipped, in both engines.

use framework::engine::{ENGINES, EngineKind, FUSED, Minibatch, REFERENCE};
use framework::model::{Definition, Parameters};
use framework::plugin::Penalty;
use framework::spec::TrainObjective;
use proptest::prelude::*;

use super::equality::{FLAT, GRADIENT, cases, tensors_agree};
use super::{Case, OnTape, Shrink, TRAINING, sgd, trainer};
use crate::support::models::{Samples, architecture, pass, penalty};
use crate::support::strategies::config;

/// The velocities and the parameters after one step with a limit: the velocity is the clipped gradient.
fn after_a_step(
    case: &Case,
    penalty: &dyn Penalty,
    engine: EngineKind,
    limit: Option<f64>,
) -> (Parameters<f32>, Parameters<f32>) {
    let built = architecture(&case.architecture());
    let (trainer, x) = trainer(&*built.plugin, penalty, case, sgd(), engine);
    let mut trainer = trainer.clipping(limit);
    let target = case.target(&trainer.model, &x);
    trainer.step(Minibatch { sample: &x, target: &target }, TRAINING, 1.0);
    (trainer.model.first_moments().unwrap(), trainer.model.parameters().into_owned())
}

/// The gradient of every parameter by autodiff in f64, and its norm.
fn gradient(case: &Case, penalty: &dyn Penalty) -> (Vec<Vec<f64>>, f64) {
    let built = architecture(&case.architecture());
    let (trainer, x) = trainer(&*built.plugin, penalty, case, sgd(), REFERENCE);
    let parameters = trainer.model.parameters().cast::<f64>();
    let wide = |values: &[f32]| values.iter().map(|value| f64::from(*value)).collect();
    let target = case.target(&trainer.model, &x);
    let Case { inputs, objective, .. } = *case;
    let samples = Samples { x: wide(&x), target: wide(&target), inputs };
    let definition = Definition { objective, ..Definition::new(&*built.plugin, penalty) };
    let gradients = pass(definition, &parameters, &samples, TRAINING).gradients;
    let norm = gradients.iter().flatten().map(|value| value * value).sum::<f64>().sqrt();
    (gradients, norm)
}

fn check(case: &Case, penalty: &dyn Penalty, what: &str) -> Result<(), TestCaseError> {
    let (mut right, norm) = gradient(case, penalty);
    prop_assume!(norm > 0.0);
    let limit = 0.5 * norm;
    right.iter_mut().flatten().for_each(|value| *value *= 0.5);
    for engine in ENGINES {
        let (got, _) = after_a_step(case, penalty, engine, Some(limit));
        if case.unit_norm {
            // The optimizer projects gradients before its moments see them, and both engines do it alike.
            let (reference, _) = after_a_step(case, penalty, REFERENCE, Some(limit));
            let entries = reference.cast::<f64>().entries.into_iter();
            right = entries.map(|entry| entry.values).collect();
        }
        tensors_agree(&format!("{what}, {engine:?}"), &got, &right, GRADIENT, FLAT)?;
        let (loose, plain) = (Some(2.0 * norm), None);
        prop_assert_eq!(
            after_a_step(case, penalty, engine, loose),
            after_a_step(case, penalty, engine, plain),
            "{}, {:?}: a limit that is not reached changes no bit",
            what,
            engine
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(config(150))]

    /// Wrong if an engine took another norm than that of all parameters' gradients together, scaled some of
    /// them only, or changed a bit where the limit is not reached.
    #[test]
    fn a_gradient_above_the_limit_is_scaled_to_it_in_every_engine(case in cases()) {
        for text in case.penalties() {
            let built = penalty(&text);
            check(&case, &*built.plugin, &format!("{case:?} with {text}"))?;
        }
        let built = penalty("kind = \"l1\"\nlambda = 0.3");
        check(&case, &OnTape(&*built.plugin), &format!("{case:?} on tape"))?;
        check(&case, &Shrink, &format!("{case:?} with another"))?;
    }
}

/// Wrong if the norm were taken after the part of the gradient that keeps rows at norm 1 is taken away, or
/// depended on how many threads there are.
#[test]
fn the_norm_is_that_of_the_gradient_before_unit_norms_on_any_number_of_threads() {
    let case = Case {
        batch: 9,
        inputs: 7,
        latents: 300,
        activation: "tanh",
        tied: false,
        decoder: "linear",
        objective: TrainObjective::Squared,
        subtract: true,
        unit_norm: true,
        dead: 0,
        seed: 5,
    };
    let built = penalty("kind = \"l1\"\nlambda = 0.3");
    let (_, norm) = gradient(&case, &*built.plugin);
    let plain = after_a_step(&case, &*built.plugin, REFERENCE, None).0;
    let half = after_a_step(&case, &*built.plugin, REFERENCE, Some(0.5 * norm)).0;
    for (plain, half) in plain.entries.iter().zip(&half.entries) {
        for (plain, half) in plain.values.iter().zip(&half.values) {
            assert!((plain * 0.5 - half).abs() <= 1e-5 * plain.abs().max(0.1), "{half} {plain}");
        }
    }
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| after_a_step(&case, &*built.plugin, FUSED, Some(0.5 * norm)))
    };
    assert_eq!(on(1), on(3));
}
