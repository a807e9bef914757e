//! Noisy code: code = z + exp(s/2) ⊙ ε in training and z in evaluation, where z is affine in the sample, each
//! latent learns its log-variance s, and ε is standard normal. It adds the prior ½ mean Σ (z² + eˢ − s − 1).

use std::num::NonZeroUsize;

use dfdx::prelude::{BroadcastTo, HasShape, Rank0, SumTo, TryMatMul, WithEmptyTape};
use framework::dims::{Batch, Input, Latent};
use framework::linkme::distributed_slice;
use framework::model::{Declaration, EncoderPass, Init, Mode, Real, Side, Traced, Weights, tensor};
use framework::plugin::{
    ARCHITECTURES, Architecture, Autoencoder, CodeRange, Encoded, Plugin, SampleShape, Term,
};
use framework::rand::RngExt;
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoisyCode {
    /// Number of latents.
    latents: NonZeroUsize,
}

#[distributed_slice(ARCHITECTURES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Architecture> = Plugin {
    name: "noisy-code",
    about: "an affine code with noise of a learnt size in training, and a prior",
    example: "latents = 4",
    build: |settings| Ok(Box::new(settings.read::<NoisyCode>()?)),
    schema: schema_of::<NoisyCode>,
};

/// A standard normal number, by Box and Muller.
fn normal(random: &mut impl RngExt) -> f64 {
    let (radius, angle): (f64, f64) = (1.0 - random.random::<f64>(), random.random());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

impl<E: Real> Autoencoder<E> for NoisyCode {
    fn encode(
        &self,
        x: Traced<(Batch, Input), E>,
        weights: &Weights<'_, E>,
        pass: &EncoderPass<'_>,
    ) -> Encoded<E> {
        let (batch, input) = *x.shape();
        let shape = (batch, Latent(self.latents.get()));
        let bias = weights.get("b_enc", (shape.1,)).broadcast_like(&shape);
        let z = x.matmul(weights.get("w_enc", (input, shape.1))) + bias;
        let s = weights.get("s", (shape.1,)).broadcast_like(&shape);
        let prior = z.with_empty_tape().square() + s.with_empty_tape().exp() - s.with_empty_tape();
        let prior = (prior - E::of(1.0)).sum::<Rank0, _>() * E::of(0.5 / batch.0 as f64);
        let before = z.with_empty_tape();
        let code = match pass.step.mode {
            Mode::Evaluate => z,
            Mode::Train => {
                let mut random = pass.random();
                let noise = (0..batch.0 * shape.1.0).map(|_| E::of(normal(&mut *random))).collect();
                z + (s * E::of(0.5)).exp() * tensor(noise, shape)
            }
        };
        Encoded::new(before, code).with_terms(vec![Term::new("prior", prior, 0.1)])
    }

    fn decode(
        &self,
        code: Traced<(Batch, Latent), E>,
        weights: &Weights<'_, E>,
    ) -> Traced<(Batch, Input), E> {
        let ((batch, latent), input) = (*code.shape(), weights.input());
        let bias = weights.get("b_dec", (input,)).broadcast_like(&(batch, input));
        code.matmul(weights.get("w_dec", (latent, input))) + bias
    }
}

impl Architecture for NoisyCode {
    fn latents(&self) -> usize {
        self.latents.get()
    }

    fn code_range(&self) -> CodeRange {
        CodeRange::Real
    }

    fn parameters(&self, sample: SampleShape) -> Vec<Declaration> {
        let inputs = sample.inputs();
        let latents = self.latents.get();
        let (encoder, decoder) = (Side::Encoder, Side::Decoder);
        vec![
            Declaration::new("w_enc", [inputs, latents], Init::GlorotUniform)
                .by_latent(1)
                .of(encoder),
            Declaration::new("b_enc", [latents], Init::Zeros).by_latent(0).of(encoder),
            Declaration::new("s", [latents], Init::Constant(-2.0)).by_latent(0).of(encoder),
            Declaration::new("w_dec", [latents, inputs], Init::GlorotUniform)
                .by_latent(0)
                .of(decoder),
            Declaration::new("b_dec", [inputs], Init::Zeros).of(decoder),
        ]
    }
}
