//! Two layers: first = tanh(x W₁ + b₁), second = relu(first W₂ + b₂), x̂ = second W₃ + b₃. Either
//! hidden code may be the one that the penalty sees.

use std::num::NonZeroUsize;

use dfdx::prelude::{BroadcastTo, HasShape, ReshapeTo, TryMatMul, WithEmptyTape};
use framework::dims::{Batch, Input, Latent};
use framework::linkme::distributed_slice;
use framework::model::{Declaration, EncoderPass, Init, Real, Side, Traced, Weights};
use framework::plugin::{
    ARCHITECTURES, Architecture, Autoencoder, CodeRange, Encoded, Plugin, SampleShape,
};
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

framework::dim! {
    /// Units of the first hidden layer.
    First,
    /// Units of the second hidden layer.
    Second,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TwoLayer {
    /// Units of the hidden layer whose code the penalty sees.
    latents: NonZeroUsize,
    /// Units of the other hidden layer.
    #[serde(default = "four")]
    others: NonZeroUsize,
    /// Which hidden layer's code the penalty sees.
    #[serde(default)]
    code: Seen,
}

/// A hidden layer.
#[derive(Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Seen {
    First,
    #[default]
    Second,
}

fn four() -> NonZeroUsize {
    const { NonZeroUsize::new(4).unwrap() }
}

#[distributed_slice(ARCHITECTURES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Architecture> = Plugin {
    name: "two-layer",
    about: "a tanh layer, a relu layer and a linear decoder; the penalty sees either hidden code",
    example: "latents = 6",
    build: |settings| Ok(Box::new(settings.read::<TwoLayer>()?)),
    schema: schema_of::<TwoLayer>,
};

impl TwoLayer {
    fn sizes(&self) -> (First, Second) {
        let (latents, others) = (self.latents.get(), self.others.get());
        match self.code {
            Seen::First => (First(latents), Second(others)),
            Seen::Second => (First(others), Second(latents)),
        }
    }

    /// The first layer before its tanh.
    fn first_pre_code<E: Real>(
        &self,
        x: Traced<(Batch, Input), E>,
        weights: &Weights<'_, E>,
    ) -> Traced<(Batch, First), E> {
        let ((batch, input), first) = (*x.shape(), self.sizes().0);
        let b_1 = weights.get("b_1", (first,)).broadcast_like(&(batch, first));
        x.matmul(weights.get("w_1", (input, first))) + b_1
    }

    /// The second layer before its relu.
    fn second_pre_code<E: Real>(
        &self,
        code: Traced<(Batch, First), E>,
        weights: &Weights<'_, E>,
    ) -> Traced<(Batch, Second), E> {
        let ((batch, first), second) = (*code.shape(), self.sizes().1);
        let b_2 = weights.get("b_2", (second,)).broadcast_like(&(batch, second));
        code.matmul(weights.get("w_2", (first, second))) + b_2
    }

    fn output<E: Real>(
        &self,
        code: Traced<(Batch, Second), E>,
        weights: &Weights<'_, E>,
    ) -> Traced<(Batch, Input), E> {
        let ((batch, second), input) = (*code.shape(), weights.input());
        let b_3 = weights.get("b_3", (input,)).broadcast_like(&(batch, input));
        code.matmul(weights.get("w_3", (second, input))) + b_3
    }
}

impl<E: Real> Autoencoder<E> for TwoLayer {
    fn encode(
        &self,
        x: Traced<(Batch, Input), E>,
        weights: &Weights<'_, E>,
        _: &EncoderPass<'_>,
    ) -> Encoded<E> {
        let seam = (x.shape().0, Latent(self.latents.get()));
        let first = self.first_pre_code(x, weights);
        match self.code {
            Seen::First => {
                let pre_code = first.with_empty_tape().reshape_like(&seam);
                Encoded::new(pre_code, first.tanh().reshape_like(&seam))
            }
            Seen::Second => {
                let second = self.second_pre_code(first.tanh(), weights);
                let pre_code = second.with_empty_tape().reshape_like(&seam);
                Encoded::new(pre_code, second.relu().reshape_like(&seam))
            }
        }
    }

    fn decode(
        &self,
        code: Traced<(Batch, Latent), E>,
        weights: &Weights<'_, E>,
    ) -> Traced<(Batch, Input), E> {
        let (batch, (first, second)) = (code.shape().0, self.sizes());
        let second = match self.code {
            Seen::First => self.second_pre_code(code.reshape_like(&(batch, first)), weights).relu(),
            Seen::Second => code.reshape_like(&(batch, second)),
        };
        self.output(second, weights)
    }
}

impl Architecture for TwoLayer {
    fn latents(&self) -> usize {
        self.latents.get()
    }

    fn code_range(&self) -> CodeRange {
        match self.code {
            Seen::First => CodeRange::Symmetric,
            Seen::Second => CodeRange::NonNegative,
        }
    }

    fn parameters(&self, sample: SampleShape) -> Vec<Declaration> {
        let inputs = sample.inputs();
        let (First(first), Second(second)) = self.sizes();
        let middle = match self.code {
            Seen::First => Side::Decoder,
            Seen::Second => Side::Encoder,
        };
        vec![
            Declaration::new("w_1", [inputs, first], Init::GlorotUniform).of(Side::Encoder),
            Declaration::new("b_1", [first], Init::Zeros).of(Side::Encoder),
            Declaration::new("w_2", [first, second], Init::GlorotUniform).of(middle),
            Declaration::new("b_2", [second], Init::Zeros).of(middle),
            Declaration::new("w_3", [second, inputs], Init::GlorotUniform).of(Side::Decoder),
            Declaration::new("b_3", [inputs], Init::Zeros).of(Side::Decoder),
        ]
    }
}
