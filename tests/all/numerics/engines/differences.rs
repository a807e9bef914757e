//! The fused engine's gradients against central differences of its own loss, with no second engine
//! between: what it computes forward is what it differentiates backward.

use framework::dims::{Batch, Input};
use framework::engine::{FUSED, Minibatch};
use framework::model::{EncoderPass, Parameters, Step, Weights, tensor, values};
use framework::plugin::{Architecture, Autoencoder, Penalty};
use framework::random::Streams;
use framework::spec::TrainObjective;
use framework::train::{Model, Trainer};

use super::{Case, OnTape, Shrink, TRAINING, sgd};
use crate::support::models::{architecture, model, penalty, shape_of};

/// Between a point and its neighbours. A loss of size 3 is known to some 5e-7 in f32, so its
/// differences over twice this step to some 6e-5; the third derivatives that they leave out, times
/// the square of the step over 6, are as small.
const STEP: f32 = 1.0 / 256.0;

/// Of the largest derivative by a tensor, which is at least [`LIVELY`]: three times what is
/// expected, and a hundredth of what a wrong sign or a factor of 2 changes.
const TOLERANCE: f64 = 1e-2;

/// Every tensor has a derivative as large as this where gradients are checked.
const LIVELY: f64 = 0.02;

/// How far pre-codes are from kinks. A step moves a pre-code by at most 1.25 steps (samples are at
/// most 1, the bias taken from them a quarter), two of them against each other by twice that.
const MARGIN: f64 = 2.5 * STEP as f64;

/// The gradients of all parameters for every activation, penalty, objective and form, where relu leaves
/// much and where it leaves little (codes are kept in two ways).
#[test]
fn gradients_are_differences_of_the_loss() {
    for activation in ["identity", "relu", "sigmoid", "tanh"] {
        for flags in 0..16_u64 {
            let flag = |bit: u64| flags & (1 << bit) != 0;
            let case = Case {
                batch: 4,
                inputs: 5,
                latents: 6,
                activation,
                tied: flag(0),
                decoder: if flag(1) { "sigmoid" } else { "linear" },
                objective: TrainObjective::Squared,
                subtract: flag(2),
                unit_norm: flag(3),
                dead: 0,
                seed: flags,
            };
            check_all(&case);
            if activation == "relu" {
                check_all(&Case { dead: 4, ..case });
            }
        }
    }
}

fn check_all(case: &Case) {
    let built = architecture(&case.architecture());
    let fitting = if case.decoder == "sigmoid" { 3 } else { 2 };
    for (at, text) in case.penalties().into_iter().enumerate() {
        let objective = TrainObjective::ALL[(case.seed as usize / 2 + at) % fitting];
        let case = &Case { objective, ..case.clone() };
        let penalty = penalty(&text);
        check(case, &*built.plugin, &*penalty.plugin, &text);
        if text.contains("lasso") {
            let what = format!("{text}, on tape");
            check(case, &*built.plugin, &OnTape(&*penalty.plugin), &what);
        }
    }
    check(case, &*built.plugin, &Shrink, "another, on tape");
}

/// Checks at the first point that is smooth, and where every parameter matters.
fn check(case: &Case, architecture: &dyn Architecture, penalty: &dyn Penalty, what: &str) {
    for seed in 0..1_000 {
        let case = Case { seed: case.seed + 1_000 * seed, ..case.clone() };
        let start = model(architecture, penalty, case.inputs, 0);
        let (parameters, x) = case.numbers(&start.parameters());
        let start = start.with_parameters(parameters.clone());
        let by_size = what.contains("abs-top-k");
        if !is_smooth(&case, architecture, &parameters, &x, by_size) || !is_far(&case, &start, &x) {
            continue;
        }
        let fused = |parameters: &Parameters<f32>| {
            let model = model(architecture, penalty, case.inputs, 0);
            let model = model.with_parameters(parameters.clone()).minimizing(case.objective);
            let mut trainer = Trainer::new(model.on(FUSED), sgd());
            // What a step says is the loss before it.
            let loss = trainer.step(Minibatch::clean(&x), TRAINING, 1.0).total;
            (trainer, loss)
        };
        let mut numeric = Vec::new();
        for (at, entry) in parameters.entries.iter().enumerate() {
            let derivative = |element: usize| {
                let moved = |by: f32| {
                    let mut moved = parameters.clone();
                    let value = &mut moved.entries[at].values[element];
                    *value += by;
                    (f64::from(*value), fused(&moved).1)
                };
                let ((above, high), (below, low)) = (moved(STEP), moved(-STEP));
                (high - low) / (above - below)
            };
            numeric.push((0..entry.values.len()).map(derivative).collect::<Vec<f64>>());
        }
        // With rows of unit norm, the gradient is what is left along the sphere.
        parameters.cast::<f64>().project_gradients(&mut numeric);
        let largest = |of: &Vec<f64>| of.iter().fold(0.0_f64, |max, d| max.max(d.abs()));
        if numeric.iter().any(|tensor| largest(tensor) < LIVELY) {
            continue;
        }
        // After one step, the velocity is the gradient.
        let gradients = fused(&parameters).0.model.first_moments().unwrap();
        for (entry, numeric) in gradients.entries.iter().zip(&numeric) {
            let (name, tolerance) = (&entry.declaration.name, TOLERANCE * largest(numeric));
            for (at, (got, right)) in entry.values.iter().zip(numeric).enumerate() {
                assert!(
                    (f64::from(*got) - right).abs() <= tolerance,
                    "{name} {at}: {got:e}, not {right:e} ({tolerance:e}): {case:?} with {what}"
                );
            }
        }
        return;
    }
    panic!("nowhere to check {case:?} with {what}");
}

/// Whether reconstructions stay on their side of the samples, where the absolute error has a kink: a step
/// moves them by at most 2.5 steps, as it moves pre-codes.
fn is_far(case: &Case, model: &Model<'_>, x: &[f32]) -> bool {
    let far = |(x, x_hat): (&f32, &f32)| f64::from((x - x_hat).abs()) >= MARGIN;
    case.objective != TrainObjective::Absolute
        || x.iter().zip(&model.forward(x, TRAINING).x_hat).all(far)
}

/// Whether no step to a neighbour crosses a kink: of relu and of L1 at 0, of what [`Shrink`] takes
/// away, or where two latents of a sample change places: by value, or by size too.
fn is_smooth(
    case: &Case,
    architecture: &dyn Architecture,
    parameters: &Parameters<f32>,
    x: &[f32],
    by_size: bool,
) -> bool {
    let (shape, parameters) = ((Batch(case.batch), Input(case.inputs)), parameters.cast::<f64>());
    let weights = Weights::new(shape_of(case.inputs), &parameters);
    let x = tensor(x.iter().map(|value| f64::from(*value)).collect(), shape).retaped();
    let streams = Streams::new(0);
    let pass = EncoderPass::new(Step::EVALUATE, &streams);
    let encoded = Autoencoder::<f64>::encode(architecture, x, &weights, &pass);
    let (pre_code, code) = (values(&encoded.pre_code), values(&encoded.code));
    pre_code.chunks(case.latents).zip(code.chunks(case.latents)).all(|(z, h)| {
        let apart = |a: usize, b: usize| {
            let by_size = !by_size || (z[a] + z[b]).abs() >= MARGIN;
            (h[a] == 0.0 && h[b] == 0.0) || by_size && (z[a] - z[b]).abs() >= MARGIN
        };
        z.iter().all(|z| z.abs() >= MARGIN)
            && h.iter().all(|h| (h - 0.25).abs() >= MARGIN)
            && (0..case.latents).all(|a| (0..a).all(|b| apart(a, b)))
    })
}
