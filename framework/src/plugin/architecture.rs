//! Architectures: how a sample becomes a code, and a code a sample.

use linkme::distributed_slice;

use super::{LayeredForm, Plugin, Pretraining, Term, Unfit};
use crate::dims::{Batch, Input, Latent};
use crate::model::{Declaration, EncoderPass, Parameters, Real, Tensor, Traced, Weights};
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
    /// Terms that the architecture adds to the loss.
    pub terms: Vec<Term<E>>,
}

impl<E: Real> Encoded<E> {
    /// A code without terms of its own.
    pub fn new(pre_code: Traced<(Batch, Latent), E>, code: Traced<(Batch, Latent), E>) -> Self {
        Self { pre_code, code, terms: Vec::new() }
    }

    /// The same with terms of the loss.
    pub fn with_terms(self, terms: Vec<Term<E>>) -> Self {
        Self { terms, ..self }
    }
}

/// What an architecture offers to penalties and auxiliaries that need more than codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// A dictionary that is one matrix: [`Autoencoder::dictionary_on_tape`].
    Dictionary,
    /// A bias that its pre-codes are made with: [`Autoencoder::code_bias`].
    CodeBias,
    /// The norm of the encoder's Jacobian: [`Autoencoder::jacobian_norm`].
    Jacobian,
    /// Decoding without the biases: [`Autoencoder::decode_without_bias`].
    DecodeWithoutBias,
    /// The divergence of its codes from a prior: [`Autoencoder::kl_prior`].
    Prior,
    /// An encoder and a decoder of one matrix each, so that what a latent owns of them are directions of samples:
    /// [`Architecture::dictionary`].
    Directions,
}

impl Offer {
    /// What it is, in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Dictionary => "a dictionary that is one matrix",
            Self::CodeBias => "a bias of the map that makes its codes",
            Self::Jacobian => "the Jacobian of its encoder",
            Self::DecodeWithoutBias => "a decoder that can leave its bias out",
            Self::Prior => "a prior of its codes",
            Self::Directions => "latents that are directions of samples, with nothing between",
        }
    }
}

/// The definition of an architecture, generic over the dtype: f32 trains, f64 is checked.
///
/// The code between `encode` and `decode` is the one that the penalty sees. With several hidden
/// layers, `encode` ends at the one that the settings choose and `decode` goes on from there.
///
/// What is returned must be computed from the arguments with dfdx operations: a tensor made anew
/// from their values has no history, and no gradient passes it.
pub trait Autoencoder<E: Real>: Send + Sync {
    /// The code of each sample of `x`, [batch, inputs]. An encoder that draws random numbers takes them from
    /// `pass`, and draws none in evaluation.
    fn encode(
        &self,
        x: Traced<(Batch, Input), E>,
        weights: &Weights<'_, E>,
        pass: &EncoderPass<'_>,
    ) -> Encoded<E>;

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

    /// The reconstruction without the biases of the decoder and without what follows its last affine map,
    /// [batch, inputs]; of architectures that offer [`Offer::DecodeWithoutBias`].
    fn decode_without_bias(
        &self,
        code: Traced<(Batch, Latent), E>,
        weights: &Weights<'_, E>,
    ) -> Option<Traced<(Batch, Input), E>> {
        let _ = (code, weights);
        None
    }

    /// The rows of the decoder's first matrix on the tape, one a latent: [latents, inputs], or, where layers follow
    /// it, [latents, numbers that the first one writes]; of architectures that offer [`Offer::Dictionary`].
    fn dictionary_on_tape(&self, weights: &Weights<'_, E>) -> Option<Traced<(Latent, Input), E>> {
        let _ = weights;
        None
    }

    /// The bias of the affine map that makes pre-codes, on the tape: [latents]; of architectures that offer
    /// [`Offer::CodeBias`].
    fn code_bias(&self, weights: &Weights<'_, E>) -> Option<Traced<(Latent,), E>> {
        let _ = weights;
        None
    }

    /// ‖∂h/∂x‖²_F of each sample `x`, [batch], where `h` is what `encode` makes of it, [batch, latents]; of
    /// architectures that offer [`Offer::Jacobian`].
    fn jacobian_norm(
        &self,
        x: &Tensor<(Batch, Input), E>,
        h: Traced<(Batch, Latent), E>,
        weights: &Weights<'_, E>,
    ) -> Option<Traced<(Batch,), E>> {
        let _ = (x, h, weights);
        None
    }

    /// The KL divergence of the distribution of each latent from its prior, of each sample `x`, in nats,
    /// [batch, latents]; of architectures that offer [`Offer::Prior`].
    fn kl_prior(
        &self,
        x: Traced<(Batch, Input), E>,
        weights: &Weights<'_, E>,
    ) -> Option<Traced<(Batch, Latent), E>> {
        let _ = (x, weights);
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

    /// The parameters for samples of this shape, which fits.
    fn parameters(&self, sample: SampleShape) -> Vec<Declaration>;

    /// Whether the settings fit samples of this shape.
    ///
    /// # Errors
    /// What does not fit.
    fn fits(&self, sample: &SampleShape) -> Result<(), Unfit> {
        let _ = sample;
        Ok(())
    }

    /// The setting that decides most about how many parameters there are: an error says so where they are too many
    /// for any memory.
    fn size_setting(&self) -> &'static str {
        "latents"
    }

    /// What penalties and auxiliaries may ask of it besides codes; those that need more are refused.
    fn offers(&self) -> &'static [Offer] {
        &[]
    }

    /// Its layers, as the fused engine needs to know them, if it is made of layers that the engine has.
    fn layers(&self) -> Option<LayeredForm> {
        None
    }

    /// How its layers are trained one after another before a run trains all of them together, if they are.
    fn pretraining(&self) -> Option<Pretraining> {
        None
    }

    /// The decoder's rows, [latents, inputs], where each latent has one in the space of samples.
    fn dictionary(&self, sample: SampleShape, parameters: &Parameters<f32>) -> Option<Vec<f32>> {
        let _ = (sample, parameters);
        None
    }

    /// Tensors that the stored model has besides the parameters: what readers expect that is not
    /// a parameter of its own (the decoder of tied weights). Names, shapes and values.
    fn derived_tensors(
        &self,
        sample: SampleShape,
        parameters: &Parameters<f32>,
    ) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        let _ = (sample, parameters);
        Vec::new()
    }
}
