//! Variational: a code is drawn from a normal distribution of each sample's own, whose mean μ and log-variance
//! s = log σ² the encoder gives. In training the code is μ + exp(s / 2) ⊙ ε, in evaluation it is μ.
//!
//! The loss has the term `kl_prior`, the mean over samples of Σⱼ ½ (μⱼ² + exp(sⱼ) − sⱼ − 1): the KL divergence from
//! a standard normal prior. With the squared error, `beta` is twice the variance of a decoder whose outputs are
//! normal around x̂: `beta = 2` is the bound on the likelihood at variance 1.

use std::num::NonZeroUsize;

use dfdx::prelude::{HasShape, Rank0, ReshapeTo, SumTo, WithEmptyTape};
use framework::diagnostics::Diagnostic;
use framework::dims::{Batch, Input, Latent};
use framework::linkme::distributed_slice;
use framework::model::{
    Declaration, EncoderPass, Init, Mode, Parameters, Real, Side, Traced, Weights, tensor,
};
use framework::plugin::{
    ALIASES, ARCHITECTURES, Activation, Alias, Architecture, Autoencoder, CodeNoise, CodeRange,
    Encoded, LayerNames, LayeredForm, Level, LevelMap, Meant, Offer, Plugin, SampleShape, Term,
};
use framework::spec::numbers::Strength;
use framework::spec::{Settings, schema_of};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::support::layers::{
    DecoderActivation, Width, activated, affine, identity, layer_names, nth_layer,
};

/// In training the code is drawn from a normal distribution of each sample's own: μ + exp(s / 2) ⊙ ε, where the
/// encoder gives the mean μ and the log-variance s, clamped to ±20, and ε is standard normal. In evaluation the
/// code is μ.
///
/// Source: Kingma and Welling 2014, arXiv:1312.6114; `beta`: Higgins et al. 2017, beta-VAE.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Variational {
    /// Sizes of the encoder's hidden layers, from samples on; the decoder has the same in the opposite order. May
    /// be empty.
    #[serde(default = "four_hundred")]
    hidden: Vec<NonZeroUsize>,
    /// How many latents the code has.
    latents: NonZeroUsize,
    /// Weight of the KL divergence of codes from a standard normal prior: mean over samples of the sum over
    /// latents.
    #[serde(default = "one")]
    beta: Strength,
    /// What follows the encoder's affine map to μ: `identity` alone.
    #[serde(default = "identity")]
    activation: Activation,
    /// What follows each hidden layer.
    #[serde(default)]
    hidden_activation: Activation,
    /// What follows the decoder's last affine map.
    #[serde(default)]
    decoder: DecoderActivation,
}

fn four_hundred() -> Vec<NonZeroUsize> {
    NonZeroUsize::new(400).into_iter().collect()
}

fn one() -> Strength {
    Strength::try_from(1.0).expect("1 is at least 0")
}

#[distributed_slice(ARCHITECTURES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Architecture> = Plugin {
    name: "variational",
    about: "codes drawn around a mean, with noise that the encoder gives and a normal prior",
    example: "latents = 4\nhidden = [6]",
    build: |settings| Ok(Box::new(read(settings)?)),
    schema: schema_of::<Variational>,
};

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["vae", "beta-vae", "variational-autoencoder", "variational-bayes"],
    meant: Meant::Plugin { kind: "architecture", name: "variational" },
    about: "the architecture `variational` is a variational autoencoder (VAE), and a beta-VAE where `beta` is not 1",
    lines: "[architecture]\n\
            kind = \"variational\"\n\
            hidden = [400]\n\
            latents = 20\n\
            beta = 1.0",
};

fn read(settings: &Settings) -> Result<Variational, Vec<Diagnostic>> {
    let read: Variational = settings.read()?;
    if read.activation != Activation::Identity {
        let message = "the mean of a code is any number, so nothing may follow it; the only value is \"identity\"";
        let help = "what follows hidden layers is `hidden_activation`";
        return Err(vec![settings.problem("activation", message).help(help)]);
    }
    Ok(read)
}

/// The encoder's map to μ.
const MEAN: &str = "enc.mean";

/// The encoder's map to log σ².
const LOG_VARIANCE: &str = "enc.log_variance";

impl Variational {
    fn latent(&self) -> Latent {
        Latent(self.latents.get())
    }

    /// Sizes of the hidden layers of the encoder.
    fn sizes(&self) -> impl DoubleEndedIterator<Item = usize> {
        self.hidden.iter().map(|size| size.get())
    }

    /// μ and log σ² of each sample, [batch, latents].
    fn distribution<E: Real>(
        &self,
        x: Traced<(Batch, Input), E>,
        weights: &Weights<'_, E>,
    ) -> [Traced<(Batch, Latent), E>; 2] {
        let (batch, input) = *x.shape();
        let mut h = x.reshape_like(&(batch, Width(input.0)));
        for (at, size) in self.sizes().enumerate() {
            let names = nth_layer("enc", at + 1);
            h = activated(affine(h, &names, Width(size), weights), self.hidden_activation);
        }
        let [of_mean, of_log_variance] = [MEAN, LOG_VARIANCE].map(layer_names);
        let log_variance = affine(h.with_empty_tape(), &of_log_variance, self.latent(), weights);
        let mean = affine(h, &of_mean, self.latent(), weights);
        [mean, log_variance.clamp(-CodeNoise::MOST, CodeNoise::MOST)]
    }

    /// The decoder before what follows its last affine map.
    fn decode_affine<E: Real>(
        &self,
        code: Traced<(Batch, Latent), E>,
        weights: &Weights<'_, E>,
    ) -> Traced<(Batch, Input), E> {
        let (batch, latent) = *code.shape();
        let mut h = code.reshape_like(&(batch, Width(latent.0)));
        for (at, size) in self.sizes().rev().enumerate() {
            let names = nth_layer("dec", at + 1);
            h = activated(affine(h, &names, Width(size), weights), self.hidden_activation);
        }
        let last = nth_layer("dec", self.hidden.len() + 1);
        affine(h, &last, weights.input(), weights)
    }
}

/// ½ (μ² + exp(s) − s − 1), [batch, latents]: KL(N(μ, exp s) ‖ N(0, 1)).
fn divergence<E: Real>(
    mean: Traced<(Batch, Latent), E>,
    log_variance: Traced<(Batch, Latent), E>,
) -> Traced<(Batch, Latent), E> {
    let variance = log_variance.with_empty_tape().exp();
    (mean.square() + variance - log_variance - E::of(1.0)) * E::of(0.5)
}

impl<E: Real> Autoencoder<E> for Variational {
    fn encode(
        &self,
        x: Traced<(Batch, Input), E>,
        weights: &Weights<'_, E>,
        pass: &EncoderPass<'_>,
    ) -> Encoded<E> {
        let [mean, log_variance] = self.distribution(x, weights);
        let shape = *mean.shape();
        let before = mean.with_empty_tape();
        let code = match pass.step.mode {
            Mode::Evaluate => mean,
            Mode::Train => {
                let noise = CodeNoise::draw(&mut pass.random(), shape.0.0 * shape.1.0);
                let noise = tensor(noise.into_iter().map(E::of).collect(), shape);
                mean + (log_variance.with_empty_tape() * E::of(0.5)).exp() * noise
            }
        };
        let prior = divergence(before.with_empty_tape(), log_variance).sum::<Rank0, _>();
        let prior = prior * E::of(1.0 / shape.0.0 as f64);
        let term = Term::new(CodeNoise::TERM, prior, self.beta.get());
        Encoded::new(before, code).with_terms(vec![term])
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

    fn kl_prior(
        &self,
        x: Traced<(Batch, Input), E>,
        weights: &Weights<'_, E>,
    ) -> Option<Traced<(Batch, Latent), E>> {
        let [mean, log_variance] = self.distribution(x, weights);
        Some(divergence(mean, log_variance))
    }
}

impl Architecture for Variational {
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
        let mut all = Vec::new();
        let mut layer = |names: LayerNames, from: usize, to: usize, side: Side| {
            let matrix = Declaration::new(names.weights, [from, to], Init::GlorotUniform).of(side);
            let bias = Declaration::new(names.bias, [to], Init::Zeros).of(side);
            all.extend([matrix, bias]);
        };
        let (inputs, latents) = (sample.inputs(), self.latents.get());
        let mut from = inputs;
        for (at, to) in self.sizes().enumerate() {
            layer(nth_layer("enc", at + 1), from, to, Side::Encoder);
            from = to;
        }
        layer(layer_names(MEAN), from, latents, Side::Encoder);
        layer(layer_names(LOG_VARIANCE), from, latents, Side::Encoder);
        let mut from = latents;
        for (at, to) in self.sizes().rev().chain([inputs]).enumerate() {
            layer(nth_layer("dec", at + 1), from, to, Side::Decoder);
            from = to;
        }
        // Two heads write latents, and the decoder's first matrix reads them.
        let heads = 2 * self.hidden.len();
        let axes = [(heads, 1), (heads + 1, 0), (heads + 2, 1), (heads + 3, 0), (heads + 4, 0)];
        for (at, axis) in axes {
            all[at].latent_axis = Some(axis);
        }
        all
    }

    fn offers(&self) -> &'static [Offer] {
        &[Offer::Prior]
    }

    fn layers(&self) -> Option<LayeredForm> {
        let layers = self.hidden.len() + 1;
        let level = |at: usize| {
            let is_code = at + 1 == layers;
            Level {
                map: LevelMap::Dense,
                activation: if is_code { self.activation } else { self.hidden_activation },
                decoder_activation: match at {
                    0 => self.decoder.activation(),
                    _ => self.hidden_activation,
                },
                encoder: if is_code { layer_names(MEAN) } else { nth_layer("enc", at + 1) },
                decoder: nth_layer("dec", layers - at),
                tied: false,
            }
        };
        Some(LayeredForm {
            levels: (0..layers).map(level).collect(),
            subtract_decoder_bias: false,
            unit_norm: false,
            noise: Some(CodeNoise {
                log_variance: layer_names(LOG_VARIANCE),
                beta: self.beta.get(),
            }),
        })
    }

    /// The decoder's only matrix, where there are no hidden layers.
    fn dictionary(&self, _: SampleShape, parameters: &Parameters<f32>) -> Option<Vec<f32>> {
        let is_one_matrix = self.hidden.is_empty();
        is_one_matrix.then(|| Some(parameters.get("dec.1.w")?.values.clone())).flatten()
    }
}
