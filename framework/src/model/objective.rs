//! The reconstruction term of a loss: the objective of a batch, on the tape, and of one sample, in numbers.

use dfdx::prelude::{HasShape, Merge, OwnedTape, PutTape, Rank0, SplitTape};
use dfdx::tensor_ops::SumTo;

use super::pass::ModelPass;
use super::{Real, Tensor, Traced};
use crate::dims::{Batch, Input, Latent};
use crate::spec::TrainObjective;

/// A reconstruction and how far it is from its target.
pub(super) struct Reconstructed<E: Real> {
    /// x̂, [batch, inputs].
    pub(super) x_hat: Tensor<(Batch, Input), E>,
    /// What x̂ is the sigmoid of, where the objective is taken from that.
    pub(super) before_sigmoid: Option<Tensor<(Batch, Input), E>>,
    /// Mean over the batch of the objective, on the tape.
    pub(super) term: Traced<Rank0, E>,
}

/// Decodes the code of a pass, whose tape is given, and takes the objective against the target.
///
/// # Panics
/// If the objective is the cross-entropy and the decoder does not end in a sigmoid: such runs are refused
/// before they start.
pub(super) fn reconstruct<E: Real>(
    objective: TrainObjective,
    model: &ModelPass<'_, E>,
    code: &Tensor<(Batch, Latent), E>,
    tape: OwnedTape<E, E::Device>,
) -> Reconstructed<E> {
    let target = Tensor::clone(model.target);
    let share = E::of(1.0 / code.shape().0.0 as f64);
    if objective == TrainObjective::CrossEntropy {
        // A penalty may have asked for x̂ itself.
        let tape = tape.merge(model.decoder_tape.take());
        let (before, term) = cross_entropy(model, code.clone().put_tape(tape));
        return Reconstructed {
            x_hat: before.clone().sigmoid(),
            before_sigmoid: Some(before),
            term,
        };
    }
    let x_hat = model.x_hat().clone();
    let tape = tape.merge(model.decoder_tape.take());
    let error = distances(objective, x_hat.clone().put_tape(tape) - target);
    Reconstructed { x_hat, before_sigmoid: None, term: error.sum::<Rank0, _>() * share }
}

/// The reconstruction term that another code than that of the pass would have.
pub(super) fn reconstruction_of<E: Real>(
    model: &ModelPass<'_, E>,
    code: Traced<(Batch, Latent), E>,
) -> Traced<Rank0, E> {
    let ModelPass { architecture, weights, target, objective, .. } = *model;
    if objective == TrainObjective::CrossEntropy {
        return cross_entropy(model, code).1;
    }
    let share = E::of(1.0 / code.shape().0.0 as f64);
    let error = architecture.decode(code, weights) - Tensor::clone(target);
    distances(objective, error).sum::<Rank0, _>() * share
}

/// The distances of numbers from their targets, from the differences.
fn distances<E: Real>(
    objective: TrainObjective,
    differences: Traced<(Batch, Input), E>,
) -> Traced<(Batch, Input), E> {
    match objective {
        TrainObjective::Absolute => differences.abs(),
        _ => differences.square(),
    }
}

/// The cross-entropy of decoding a code, mean over the batch, with what the reconstruction is the sigmoid of.
fn cross_entropy<E: Real>(
    model: &ModelPass<'_, E>,
    code: Traced<(Batch, Latent), E>,
) -> (Tensor<(Batch, Input), E>, Traced<Rank0, E>) {
    let ModelPass { architecture, weights, target, .. } = *model;
    let share = E::of(1.0 / code.shape().0.0 as f64);
    let before = architecture.decode_before_sigmoid(code, weights);
    let before = before.expect("cross-entropy is for decoders that end in a sigmoid");
    let (before, tape) = before.split_tape();
    let agreement = before.retaped::<OwnedTape<E, E::Device>>() * Tensor::clone(target);
    let term = (softplus(before.clone().put_tape(tape)) - agreement).sum::<Rank0, _>() * share;
    (before, term)
}

/// ln(1 + eᵃ). With m = max(a, 0) held fixed it is m + ln(e⁻ᵐ + eᵃ⁻ᵐ): no power overflows, and the
/// gradient is sigmoid(a) everywhere, at 0 too.
fn softplus<E: Real>(a: Traced<(Batch, Input), E>) -> Traced<(Batch, Input), E> {
    let (a, tape) = a.split_tape();
    let most = a.clone().relu();
    let least = (-most.clone()).exp();
    let a = a.put_tape(tape);
    ((a - most.clone()).exp() + least).ln() + most
}

/// The objective of one sample, in f64: `x_hat` is its reconstruction or, for the cross-entropy, what that is
/// the sigmoid of.
pub fn objective_of_sample(objective: TrainObjective, x_hat: &[f32], target: &[f32]) -> f64 {
    let term = |x_hat: f64, x: f64| match objective {
        TrainObjective::Squared => (x_hat - x).powi(2),
        TrainObjective::Absolute => (x_hat - x).abs(),
        TrainObjective::CrossEntropy => x_hat.max(0.0) - x * x_hat + (-x_hat.abs()).exp().ln_1p(),
    };
    x_hat.iter().zip(target).map(|(x_hat, x)| term(f64::from(*x_hat), f64::from(*x))).sum()
}
