//! Dense: one hidden layer. code = activation((x − [b_dec]) W_enc + b_enc) and
//! x̂ = [sigmoid](code W_dec + b_dec), where W_dec is W_encᵀ if the weights are tied.

use std::num::NonZeroUsize;

use dfdx::prelude::{Axes2, BroadcastTo, HasShape, PermuteTo, TryMatMul, WithEmptyTape};
use framework::dims::{Batch, Input, Latent};
use framework::linkme::distributed_slice;
use framework::model::{Constraint, Declaration, Init, Parameters, Real, Traced, Weights};
use framework::plugin::{
    ARCHITECTURES, Activation, Architecture, Autoencoder, CodeRange, DenseForm, Encoded, Plugin,
};
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::support::transpose;

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Dense {
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

/// The decoder's nonlinearity.
#[derive(Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum DecoderActivation {
    #[default]
    Linear,
    Sigmoid,
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

impl Dense {
    fn latent(&self) -> Latent {
        Latent(self.latents.get())
    }

    /// The decoder's affine map.
    fn decode_affine<E: Real>(
        &self,
        code: Traced<(Batch, Latent), E>,
        weights: &Weights<'_, E>,
    ) -> Traced<(Batch, Input), E> {
        let batch = code.shape().0;
        let input = weights.input();
        let product = if self.tied {
            let w_enc = weights.get("w_enc", (input, self.latent()));
            code.matmul(w_enc.permute::<(Latent, Input), Axes2<1, 0>>())
        } else {
            code.matmul(weights.get("w_dec", (self.latent(), input)))
        };
        let b_dec = weights.get("b_dec", (input,));
        product + b_dec.broadcast_like(&(batch, input))
    }
}

impl<E: Real> Autoencoder<E> for Dense {
    fn encode(&self, x: Traced<(Batch, Input), E>, weights: &Weights<'_, E>) -> Encoded<E> {
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
        let code = match self.activation {
            Activation::Identity => pre_code,
            Activation::Relu => pre_code.relu(),
            Activation::Sigmoid => pre_code.sigmoid(),
            Activation::Tanh => pre_code.tanh(),
        };
        Encoded { pre_code: before, code }
    }

    fn decode(
        &self,
        code: Traced<(Batch, Latent), E>,
        weights: &Weights<'_, E>,
    ) -> Traced<(Batch, Input), E> {
        let x_hat = self.decode_affine(code, weights);
        match self.decoder {
            DecoderActivation::Linear => x_hat,
            DecoderActivation::Sigmoid => x_hat.sigmoid(),
        }
    }

    fn decode_before_sigmoid(
        &self,
        code: Traced<(Batch, Latent), E>,
        weights: &Weights<'_, E>,
    ) -> Option<Traced<(Batch, Input), E>> {
        self.ends_in_sigmoid().then(|| self.decode_affine(code, weights))
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

    fn parameters(&self, Input(inputs): Input) -> Vec<Declaration> {
        let latents = self.latents.get();
        let unit = |constraint| self.unit_norm.then_some(constraint);
        let tied = unit(Constraint::UnitColumns).filter(|_| self.tied);
        let w_enc = Declaration::new("w_enc", [inputs, latents], Init::GlorotUniform);
        let mut parameters = vec![
            w_enc.constrained(tied).by_latent(1).of_encoder(),
            Declaration::new("b_enc", [latents], Init::Zeros).by_latent(0).of_encoder(),
        ];
        if !self.tied {
            let w_dec = Declaration::new("w_dec", [latents, inputs], Init::TransposeOf("w_enc"));
            parameters.push(w_dec.constrained(unit(Constraint::UnitRows)).by_latent(0));
        }
        parameters.push(Declaration::new("b_dec", [inputs], Init::Zeros));
        parameters
    }

    fn dense_form(&self) -> Option<DenseForm> {
        Some(DenseForm {
            activation: self.activation,
            tied: self.tied,
            sigmoid_decoder: self.ends_in_sigmoid(),
            subtract_decoder_bias: self.subtract_decoder_bias,
            unit_norm: self.unit_norm,
        })
    }

    fn dictionary(&self, _: Input, parameters: &Parameters<f32>) -> Option<Vec<f32>> {
        if self.tied {
            let w_enc = parameters.get("w_enc")?;
            return Some(transpose(&w_enc.values, self.latents.get()));
        }
        Some(parameters.get("w_dec")?.values.clone())
    }

    fn derived_tensors(
        &self,
        input: Input,
        parameters: &Parameters<f32>,
    ) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        let w_dec = self.dictionary(input, parameters).filter(|_| self.tied);
        let shape = vec![self.latents.get(), input.0];
        w_dec.into_iter().map(|values| ("w_dec".to_owned(), shape.clone(), values)).collect()
    }
}
