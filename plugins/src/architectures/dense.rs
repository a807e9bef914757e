//! Dense: one hidden layer. code = activation((x − [b_dec]) W_enc + b_enc) and
//! x̂ = [sigmoid](code W_dec + b_dec), where W_dec is W_encᵀ if the weights are tied.

use std::num::NonZeroUsize;

use dfdx::prelude::{Axes2, BroadcastTo, HasShape, PermuteTo, TryMatMul, WithEmptyTape};
use framework::dims::{Batch, Input, Latent};
use framework::linkme::distributed_slice;
use framework::model::{
    Constraint, Declaration, EncoderPass, Init, Parameters, Real, Side, Tensor, Traced, Weights,
};
use framework::plugin::{
    ALIASES, ARCHITECTURES, Activation, Alias, Architecture, Autoencoder, CodeRange, Encoded,
    LayerNames, LayeredForm, Level, LevelMap, Meant, Offer, Plugin, SampleShape,
};
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::support::jacobian::jacobian_of_one_layer;
use crate::support::layers::{DecoderActivation, activated};
use crate::support::transpose;

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Dense {
    /// How many latents the code has.
    latents: NonZeroUsize,
    /// What follows the encoder's affine map.
    #[serde(default)]
    activation: Activation,
    /// Whether the decoder's matrix is the encoder's transpose.
    #[serde(default)]
    tied: bool,
    /// What follows the decoder's affine map.
    #[serde(default)]
    decoder: DecoderActivation,
    /// Whether the decoder's bias is subtracted from the input before it is encoded.
    #[serde(default)]
    subtract_decoder_bias: bool,
    /// Whether each decoder row has norm 1: gradients lose their part along the row, and rows are
    /// rescaled after each step.
    #[serde(default)]
    unit_norm: bool,
}

#[distributed_slice(ARCHITECTURES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Architecture> = Plugin {
    name: "dense",
    about: "one hidden layer, tied or untied, with a linear or sigmoid decoder",
    example: "latents = 8",
    build: |settings| Ok(Box::new(settings.read::<Dense>()?)),
    schema: schema_of::<Dense>,
};

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &[
        "sae",
        "sparse-autoencoder",
        "autoencoder",
        "ae",
        "vanilla",
        "undercomplete",
        "shallow",
    ],
    meant: Meant::Plugin { kind: "architecture", name: "dense" },
    about: "the architecture `dense` is an autoencoder with one hidden layer; the penalty beside it makes it a sparse one (SAE), fewer latents than inputs an undercomplete one",
    lines: "[architecture]\n\
            kind = \"dense\"\n\
            latents = 256",
};

impl Dense {
    /// One layer of a deep autoencoder as an autoencoder of its own, which ends in any activation.
    pub(super) fn layer(
        latents: NonZeroUsize,
        activation: Activation,
        tied: bool,
        decoder: DecoderActivation,
    ) -> Self {
        let (subtract_decoder_bias, unit_norm) = (false, false);
        Self { latents, activation, tied, decoder, subtract_decoder_bias, unit_norm }
    }

    fn latent(&self) -> Latent {
        Latent(self.latents.get())
    }

    /// The decoder's matrix, [latents, inputs].
    fn w_dec<E: Real>(&self, weights: &Weights<'_, E>) -> Traced<(Latent, Input), E> {
        let input = weights.input();
        if self.tied {
            let w_enc = weights.get("w_enc", (input, self.latent()));
            w_enc.permute::<(Latent, Input), Axes2<1, 0>>()
        } else {
            weights.get("w_dec", (self.latent(), input))
        }
    }

    /// The decoder's affine map.
    fn decode_affine<E: Real>(
        &self,
        code: Traced<(Batch, Latent), E>,
        weights: &Weights<'_, E>,
    ) -> Traced<(Batch, Input), E> {
        let shape = (code.shape().0, weights.input());
        code.matmul(self.w_dec(weights)) + weights.get("b_dec", (shape.1,)).broadcast_like(&shape)
    }
}

impl<E: Real> Autoencoder<E> for Dense {
    fn encode(
        &self,
        x: Traced<(Batch, Input), E>,
        weights: &Weights<'_, E>,
        _: &EncoderPass<'_>,
    ) -> Encoded<E> {
        let (batch, input) = *x.shape();
        let latent = self.latent();
        let x = if self.subtract_decoder_bias {
            x - weights.get("b_dec", (input,)).broadcast_like(&(batch, input))
        } else {
            x
        };
        let w_enc = weights.get("w_enc", (input, latent));
        let b_enc = weights.get("b_enc", (latent,));
        let pre_code = x.matmul(w_enc) + b_enc.broadcast_like(&(batch, latent));
        let before = pre_code.with_empty_tape();
        Encoded::new(before, activated(pre_code, self.activation))
    }

    fn decode(
        &self,
        code: Traced<(Batch, Latent), E>,
        weights: &Weights<'_, E>,
    ) -> Traced<(Batch, Input), E> {
        activated(self.decode_affine(code, weights), self.decoder.activation())
    }

    fn decode_before_sigmoid(
        &self,
        code: Traced<(Batch, Latent), E>,
        weights: &Weights<'_, E>,
    ) -> Option<Traced<(Batch, Input), E>> {
        self.ends_in_sigmoid().then(|| self.decode_affine(code, weights))
    }

    fn decode_without_bias(
        &self,
        code: Traced<(Batch, Latent), E>,
        weights: &Weights<'_, E>,
    ) -> Option<Traced<(Batch, Input), E>> {
        Some(code.matmul(self.w_dec(weights)))
    }

    fn dictionary_on_tape(&self, weights: &Weights<'_, E>) -> Option<Traced<(Latent, Input), E>> {
        Some(self.w_dec(weights))
    }

    fn code_bias(&self, weights: &Weights<'_, E>) -> Option<Traced<(Latent,), E>> {
        Some(weights.get("b_enc", (self.latent(),)))
    }

    fn jacobian_norm(
        &self,
        _: &Tensor<(Batch, Input), E>,
        h: Traced<(Batch, Latent), E>,
        weights: &Weights<'_, E>,
    ) -> Option<Traced<(Batch,), E>> {
        let w_enc = weights.get("w_enc", (weights.input(), self.latent()));
        Some(jacobian_of_one_layer(w_enc, h, self.activation))
    }
}

impl Architecture for Dense {
    fn latents(&self) -> usize {
        self.latents.get()
    }

    fn code_range(&self) -> CodeRange {
        self.activation.range()
    }

    fn ends_in_sigmoid(&self) -> bool {
        self.decoder == DecoderActivation::Sigmoid
    }

    fn parameters(&self, sample: SampleShape) -> Vec<Declaration> {
        let (inputs, latents) = (sample.inputs(), self.latents.get());
        let unit = |constraint| self.unit_norm.then_some(constraint);
        let tied = unit(Constraint::UnitColumns).filter(|_| self.tied);
        let w_enc = Declaration::new("w_enc", [inputs, latents], Init::GlorotUniform);
        let mut parameters = vec![
            w_enc.constrained(tied).by_latent(1).of(if self.tied {
                Side::Both
            } else {
                Side::Encoder
            }),
            Declaration::new("b_enc", [latents], Init::Zeros).by_latent(0).of(Side::Encoder),
        ];
        if !self.tied {
            let w_dec = Declaration::new("w_dec", [latents, inputs], Init::TransposeOf("w_enc"));
            let w_dec = w_dec.constrained(unit(Constraint::UnitRows));
            parameters.push(w_dec.by_latent(0).of(Side::Decoder));
        }
        parameters.push(Declaration::new("b_dec", [inputs], Init::Zeros).of(Side::Decoder));
        parameters
    }

    fn offers(&self) -> &'static [Offer] {
        &[
            Offer::Dictionary,
            Offer::CodeBias,
            Offer::Jacobian,
            Offer::DecodeWithoutBias,
            Offer::Directions,
        ]
    }

    fn layers(&self) -> Option<LayeredForm> {
        let level = Level {
            map: LevelMap::Dense,
            activation: self.activation,
            decoder_activation: self.decoder.activation(),
            encoder: LayerNames::new("w_enc", "b_enc"),
            decoder: LayerNames::new("w_dec", "b_dec"),
            tied: self.tied,
        };
        Some(LayeredForm {
            levels: vec![level],
            subtract_decoder_bias: self.subtract_decoder_bias,
            unit_norm: self.unit_norm,
            noise: None,
        })
    }

    fn dictionary(&self, _: SampleShape, parameters: &Parameters<f32>) -> Option<Vec<f32>> {
        if self.tied {
            let w_enc = parameters.get("w_enc")?;
            return Some(transpose(&w_enc.values, self.latents.get()));
        }
        Some(parameters.get("w_dec")?.values.clone())
    }

    fn derived_tensors(
        &self,
        sample: SampleShape,
        parameters: &Parameters<f32>,
    ) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        let w_dec = self.dictionary(sample, parameters).filter(|_| self.tied);
        let shape = vec![self.latents.get(), sample.inputs()];
        w_dec.into_iter().map(|values| ("w_dec".to_owned(), shape.clone(), values)).collect()
    }
}
