//! Architectures: how a sample becomes a code, and a code a sample.

use linkme::distributed_slice;

use super::{DenseForm, Plugin, Unfit};
use crate::dims::{Batch, Input, Latent};
use crate::model::{Declaration, Parameters, Real, Traced, Weights};
use crate::plugin::SampleShape;

/// Every registered architecture.
#[distributed_slice]
pub static ARCHITECTURES: [Plugin<dyn Architecture>];

/// The values a code can take before the penalty constrains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeRange {
    /// Any number (identity).
    Real,
    /// At least 0, and exactly 0 where a latent is silent (relu).
    NonNegative,
    /// Strictly between 0 and 1 (sigmoid): never exactly 0.
    Unit,
    /// Strictly between -1 and 1 (tanh): 0 means nothing special.
    Symmetric,
}

/// What an encoder makes of a batch.
pub struct Encoded<E: Real> {
    /// Before the activation, [batch, latents]; its tape may be empty, as `with_empty_tape` gives it.
    pub pre_code: Traced<(Batch, Latent), E>,
    /// After it, on the tape, [batch, latents].
    pub code: Traced<(Batch, Latent), E>,
}

/// The definition of an architecture, generic over the dtype: f32 trains, f64 is checked.
///
/// The code between `encode` and `decode` is the one that the penalty sees. With several hidden
/// layers, `encode` ends at the one that the settings choose and `decode` goes on from there.
///
/// What is returned must be computed from the arguments with dfdx operations: a tensor made anew
/// from their values has no history, and no gradient passes it.
pub trait Autoencoder<E: Real>: Send + Sync {
    /// The code of each sample of `x`, [batch, inputs].
    fn encode(&self, x: Traced<(Batch, Input), E>, weights: &Weights<'_, E>) -> Encoded<E>;

    /// The reconstruction from a code, [batch, inputs].
    fn decode(
        &self,
        code: Traced<(Batch, Latent), E>,
        weights: &Weights<'_, E>,
    ) -> Traced<(Batch, Input), E>;

    /// What the reconstruction is the sigmoid of, [batch, inputs], where the decoder ends in a sigmoid; to
    /// be given where [`Architecture::ends_in_sigmoid`] says so.
    fn decode_before_sigmoid(
        &self,
        code: Traced<(Batch, Latent), E>,
        weights: &Weights<'_, E>,
    ) -> Option<Traced<(Batch, Input), E>> {
        let _ = (code, weights);
        None
    }
}

/// What the registry holds: a definition in both dtypes, and what the rest of a run asks about it.
pub trait Architecture: Autoencoder<f32> + Autoencoder<f64> {
    /// How many latents the penalty sees.
    fn latents(&self) -> usize;

    /// The values the code can take.
    fn code_range(&self) -> CodeRange;

    /// Whether the decoder ends in a sigmoid and gives what stands before it
    /// ([`Autoencoder::decode_before_sigmoid`]): then it can be trained on the cross-entropy.
    fn ends_in_sigmoid(&self) -> bool {
        false
    }

    /// The parameters for samples of `input` numbers.
    fn parameters(&self, input: Input) -> Vec<Declaration>;

    /// Whether the settings fit samples of this shape.
    ///
    /// # Errors
    /// What does not fit.
    fn fits(&self, sample: &SampleShape) -> Result<(), Unfit> {
        let _ = sample;
        Ok(())
    }

    /// What the fused engine needs to know, if the architecture is of that form.
    fn dense_form(&self) -> Option<DenseForm> {
        None
    }

    /// The decoder's rows, [latents, inputs], where each latent has one.
    fn dictionary(&self, input: Input, parameters: &Parameters<f32>) -> Option<Vec<f32>> {
        let _ = (input, parameters);
        None
    }

    /// Tensors that the stored model has besides the parameters: what readers expect that is not
    /// a parameter of its own (the decoder of tied weights). Names, shapes and values.
    fn derived_tensors(
        &self,
        input: Input,
        parameters: &Parameters<f32>,
    ) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        let _ = (input, parameters);
        Vec::new()
    }
}
