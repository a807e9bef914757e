//! Deep: hidden layers between samples and code. h₀ = x, hᵢ = hidden_activation(hᵢ₋₁ Wᵢ + bᵢ), and the code is the
//! activation of the last layer; the decoder mirrors the encoder and ends in x̂ = [sigmoid](… + b).

use std::num::NonZeroUsize;

use dfdx::prelude::{Axes2, BroadcastTo, HasShape, PermuteTo, ReshapeTo, TryMatMul, WithEmptyTape};
use framework::dims::{Batch, Input, Latent};
use framework::linkme::distributed_slice;
use framework::model::{
    Declaration, EncoderPass, Init, Parameters, Real, Side, Tensor, Traced, Weights,
};
use framework::plugin::{
    ALIASES, ARCHITECTURES, Activation, Alias, Architecture, Autoencoder, CodeRange, Encoded,
    LayeredForm, Level, LevelMap, Meant, Offer, Plugin, PretrainedLayer, Pretraining, SampleShape,
};
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dense::Dense;
use crate::support::jacobian::{LayerOnTape, jacobian_of_layers, jacobian_of_one_layer};
use crate::support::layers::{DecoderActivation, Width, activated, affine, identity, nth_layer};
use crate::support::transpose;

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Deep {
    /// How many units each hidden layer of the encoder has, from samples inward. The decoder mirrors them. May be
    /// empty: then there is one layer, as in `dense`.
    #[serde(default = "hidden")]
    hidden: Vec<NonZeroUsize>,
    /// How many latents the code has.
    latents: NonZeroUsize,
    /// What follows the affine map that makes the code.
    #[serde(default = "identity")]
    activation: Activation,
    /// What follows the affine map of every hidden layer, in the encoder and in the decoder.
    #[serde(default)]
    hidden_activation: Activation,
    /// What follows the decoder's last affine map.
    #[serde(default)]
    decoder: DecoderActivation,
    /// Whether each matrix of the decoder is the transpose of its mirror in the encoder.
    #[serde(default)]
    tied: bool,
    /// For how many epochs each layer is first trained as a dense autoencoder of its own, on the codes of the layers
    /// before it, without penalty and auxiliaries; then all are trained together. With 0, all are from the start.
    #[serde(default)]
    pretrain_epochs: usize,
}

fn hidden() -> Vec<NonZeroUsize> {
    const { [NonZeroUsize::new(512).unwrap(), NonZeroUsize::new(128).unwrap()] }.to_vec()
}

#[distributed_slice(ARCHITECTURES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Architecture> = Plugin {
    name: "deep",
    about: "hidden layers between samples and code, tied or untied, with a linear or sigmoid decoder",
    example: "hidden = [12]\nlatents = 8",
    build: |settings| Ok(Box::new(settings.read::<Deep>()?)),
    schema: schema_of::<Deep>,
};

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["stacked", "stacked-autoencoder", "deep-autoencoder", "multi-layer", "mlp"],
    meant: Meant::Plugin { kind: "architecture", name: "deep" },
    about: "the architecture `deep` has hidden layers between samples and code, and their mirror in the decoder",
    lines: "[architecture]\n\
            kind = \"deep\"\n\
            hidden = [512, 128]\n\
            latents = 32",
};

impl Deep {
    /// Number of layers of the encoder, and of the decoder.
    fn depth(&self) -> usize {
        self.hidden.len() + 1
    }

    /// How many numbers the encoder has after so many layers; samples have `inputs`.
    fn width(&self, layers: usize, inputs: usize) -> usize {
        match layers {
            0 => inputs,
            layers => self.hidden.get(layers - 1).unwrap_or(&self.latents).get(),
        }
    }

    /// The same of the decoder.
    fn decoded_width(&self, layers: usize, inputs: usize) -> usize {
        self.width(self.depth() - layers, inputs)
    }

    /// What follows a layer of the encoder.
    fn activation_of(&self, layer: usize) -> Activation {
        if layer == self.depth() { self.activation } else { self.hidden_activation }
    }

    /// What the last hidden layer of the encoder makes of samples, or the samples if there is none. `see` is shown
    /// what each makes.
    fn encode_hidden<E: Real>(
        &self,
        x: Traced<(Batch, Input), E>,
        weights: &Weights<'_, E>,
        mut see: impl FnMut(&Traced<(Batch, Width), E>),
    ) -> Traced<(Batch, Width), E> {
        let (batch, Input(inputs)) = *x.shape();
        let mut below = x.reshape_like(&(batch, Width(inputs)));
        for layer in 1..self.depth() {
            below = activated(self.encode_layer(layer, below, weights), self.hidden_activation);
            see(&below);
        }
        below
    }

    /// The affine map of a layer of the encoder.
    fn encode_layer<E: Real>(
        &self,
        layer: usize,
        below: Traced<(Batch, Width), E>,
        weights: &Weights<'_, E>,
    ) -> Traced<(Batch, Width), E> {
        let to = Width(self.width(layer, below.shape().1.0));
        affine(below, &nth_layer("enc", layer), to, weights)
    }

    /// What precedes the activation of the decoder's last layer, with or without the biases.
    fn decode_affine<E: Real>(
        &self,
        code: Traced<(Batch, Latent), E>,
        weights: &Weights<'_, E>,
        is_biased: bool,
    ) -> Traced<(Batch, Input), E> {
        let ((batch, Latent(latents)), input) = (*code.shape(), weights.input());
        let mut above = code.reshape_like(&(batch, Width(latents)));
        for layer in 1..=self.depth() {
            let [from, to] =
                [layer - 1, layer].map(|layers| Width(self.decoded_width(layers, input.0)));
            above = if self.tied {
                let mirror = nth_layer("enc", self.depth() + 1 - layer).weights;
                let mirror = weights.get(&mirror, (to, from));
                above.matmul(mirror.permute::<(Width, Width), Axes2<1, 0>>())
            } else {
                above.matmul(weights.get(&nth_layer("dec", layer).weights, (from, to)))
            };
            if is_biased {
                let bias = weights.get(&nth_layer("dec", layer).bias, (to,));
                above = above + bias.broadcast_like(&(batch, to));
            }
            if layer < self.depth() {
                above = activated(above, self.hidden_activation);
            }
        }
        above.reshape_like(&(batch, input))
    }
}

impl<E: Real> Autoencoder<E> for Deep {
    fn encode(
        &self,
        x: Traced<(Batch, Input), E>,
        weights: &Weights<'_, E>,
        _: &EncoderPass<'_>,
    ) -> Encoded<E> {
        let shape = (x.shape().0, Latent(self.latents.get()));
        let hidden = self.encode_hidden(x, weights, |_| {});
        let pre_code = self.encode_layer(self.depth(), hidden, weights).reshape_like(&shape);
        let before = pre_code.with_empty_tape();
        Encoded::new(before, activated(pre_code, self.activation))
    }

    fn decode(
        &self,
        code: Traced<(Batch, Latent), E>,
        weights: &Weights<'_, E>,
    ) -> Traced<(Batch, Input), E> {
        activated(self.decode_affine(code, weights, true), self.decoder.activation())
    }

    fn decode_before_sigmoid(
        &self,
        code: Traced<(Batch, Latent), E>,
        weights: &Weights<'_, E>,
    ) -> Option<Traced<(Batch, Input), E>> {
        self.ends_in_sigmoid().then(|| self.decode_affine(code, weights, true))
    }

    fn decode_without_bias(
        &self,
        code: Traced<(Batch, Latent), E>,
        weights: &Weights<'_, E>,
    ) -> Option<Traced<(Batch, Input), E>> {
        Some(self.decode_affine(code, weights, false))
    }

    fn dictionary_on_tape(&self, weights: &Weights<'_, E>) -> Option<Traced<(Latent, Input), E>> {
        let Input(inputs) = weights.input();
        let sizes = (Latent(self.latents.get()), Input(self.decoded_width(1, inputs)));
        Some(if self.tied {
            let mirror = weights.get(&nth_layer("enc", self.depth()).weights, (sizes.1, sizes.0));
            mirror.permute::<(Latent, Input), Axes2<1, 0>>()
        } else {
            weights.get(&nth_layer("dec", 1).weights, sizes)
        })
    }

    fn code_bias(&self, weights: &Weights<'_, E>) -> Option<Traced<(Latent,), E>> {
        Some(weights.get(&nth_layer("enc", self.depth()).bias, (Latent(self.latents.get()),)))
    }

    fn jacobian_norm(
        &self,
        x: &Tensor<(Batch, Input), E>,
        h: Traced<(Batch, Latent), E>,
        weights: &Weights<'_, E>,
    ) -> Option<Traced<(Batch,), E>> {
        if self.hidden.is_empty() {
            let w_enc = weights.get(&nth_layer("enc", 1).weights, (weights.input(), h.shape().1));
            return Some(jacobian_of_one_layer(w_enc, h, self.activation));
        }
        let mut codes = Vec::with_capacity(self.hidden.len());
        let see = |code: &Traced<_, E>| codes.push(code.with_empty_tape());
        let last = self.encode_hidden(x.retaped(), weights, see);
        // The others have no tape: it is in the last one.
        codes.pop();
        codes.push(last);
        let layer = |layer: usize, code: Traced<(Batch, Width), E>| {
            let from = Width(self.width(layer - 1, weights.input().0));
            let w = weights.get(&nth_layer("enc", layer).weights, (from, code.shape().1));
            LayerOnTape { w, activation: self.activation_of(layer), code }
        };
        let hidden = (1..).zip(codes).map(|(at, code)| layer(at, code)).collect();
        let (batch, latent) = *h.shape();
        let last = layer(self.depth(), h.reshape_like(&(batch, Width(latent.0))));
        Some(jacobian_of_layers(hidden, last))
    }
}

impl Architecture for Deep {
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
        let (inputs, depth) = (sample.inputs(), self.depth());
        let mut parameters = Vec::with_capacity(4 * depth);
        for layer in 1..=depth {
            let sizes = [layer - 1, layer].map(|layers| self.width(layers, inputs));
            let side = if self.tied { Side::Both } else { Side::Encoder };
            let w = Declaration::new(nth_layer("enc", layer).weights, sizes, Init::GlorotUniform)
                .of(side);
            let b = Declaration::new(nth_layer("enc", layer).bias, [sizes[1]], Init::Zeros);
            let b = b.of(Side::Encoder);
            let is_code = layer == depth;
            parameters.push(if is_code { w.by_latent(1) } else { w });
            parameters.push(if is_code { b.by_latent(0) } else { b });
        }
        for layer in 1..=depth {
            let sizes = [layer - 1, layer].map(|layers| self.decoded_width(layers, inputs));
            if !self.tied {
                let w =
                    Declaration::new(nth_layer("dec", layer).weights, sizes, Init::GlorotUniform);
                let w = w.of(Side::Decoder);
                parameters.push(if layer == 1 { w.by_latent(0) } else { w });
            }
            let b = Declaration::new(nth_layer("dec", layer).bias, [sizes[1]], Init::Zeros);
            parameters.push(b.of(Side::Decoder));
        }
        parameters
    }

    fn size_setting(&self) -> &'static str {
        if self.hidden.iter().any(|units| *units > self.latents) { "hidden" } else { "latents" }
    }

    fn offers(&self) -> &'static [Offer] {
        const ALL: &[Offer] = &[
            Offer::Dictionary,
            Offer::CodeBias,
            Offer::Jacobian,
            Offer::DecodeWithoutBias,
            Offer::Directions,
        ];
        // Where layers stand between, a latent has no direction in the space of samples.
        if self.hidden.is_empty() { ALL } else { &ALL[..4] }
    }

    fn layers(&self) -> Option<LayeredForm> {
        let level = |layer: usize| {
            let mirror = self.depth() + 1 - layer;
            Level {
                map: LevelMap::Dense,
                activation: self.activation_of(layer),
                decoder_activation: match layer {
                    1 => self.decoder.activation(),
                    _ => self.hidden_activation,
                },
                encoder: nth_layer("enc", layer),
                decoder: nth_layer("dec", mirror),
                tied: self.tied,
            }
        };
        Some(LayeredForm {
            levels: (1..=self.depth()).map(level).collect(),
            subtract_decoder_bias: false,
            unit_norm: false,
            noise: None,
        })
    }

    fn pretraining(&self) -> Option<Pretraining> {
        let epochs = NonZeroUsize::new(self.pretrain_epochs)?;
        let units = self.hidden.iter().chain([&self.latents]);
        let layer = |(layer, units): (usize, &NonZeroUsize)| {
            let mirror = self.depth() + 1 - layer;
            let decoder = match layer {
                1 => self.decoder,
                _ => self.hidden_activation.into(),
            };
            let mut names = vec![
                ("w_enc", nth_layer("enc", layer).weights),
                ("b_enc", nth_layer("enc", layer).bias),
                ("b_dec", nth_layer("dec", mirror).bias),
            ];
            names.extend((!self.tied).then(|| ("w_dec", nth_layer("dec", mirror).weights)));
            let dense = Dense::layer(*units, self.activation_of(layer), self.tied, decoder);
            PretrainedLayer { architecture: Box::new(dense), names }
        };
        Some(Pretraining { epochs, layers: (1..).zip(units).map(layer).collect() })
    }

    /// A latent has a row in the space of samples only where nothing stands between.
    fn dictionary(&self, _: SampleShape, parameters: &Parameters<f32>) -> Option<Vec<f32>> {
        if !self.hidden.is_empty() {
            return None;
        }
        if self.tied {
            let mirror = parameters.get(&nth_layer("enc", 1).weights)?;
            return Some(transpose(&mirror.values, self.latents.get()));
        }
        Some(parameters.get(&nth_layer("dec", 1).weights)?.values.clone())
    }

    fn derived_tensors(
        &self,
        sample: SampleShape,
        parameters: &Parameters<f32>,
    ) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        let layers = (1..=self.depth()).filter(|_| self.tied);
        let of_layer = |layer: usize| {
            let mirror = parameters.get(&nth_layer("enc", self.depth() + 1 - layer).weights)?;
            let sizes =
                [layer - 1, layer].map(|layers| self.decoded_width(layers, sample.inputs()));
            let values = transpose(&mirror.values, sizes[0]);
            Some((nth_layer("dec", layer).weights, sizes.to_vec(), values))
        };
        layers.filter_map(of_layer).collect()
    }
}
