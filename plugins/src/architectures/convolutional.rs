//! Convolutional: cross-correlations, each with `hidden_activation` behind it, then one dense layer to the code; the
//! decoder is a dense layer and transposed convolutions back to exactly the sizes that the encoder read.
//!
//! A layer with stride s makes ⌈n / s⌉ rows of n, whatever the kernel, since (kernel − 1) / 2 zeros stand around
//! each map: some pixel is always left. A stride that is greater than both sides of the maps that a layer reads
//! would drop all but one pixel for nothing, so it is refused: that is a stride beyond the image, or one layer more
//! than the image has pixels for.

use std::num::NonZeroUsize;

use dfdx::prelude::{HasShape, ReshapeTo, WithEmptyTape};
use framework::diagnostics::Diagnostic;
use framework::dims::{Batch, Coarse, CoarseChannel, Fine, FineChannel, Input, Latent};
use framework::linkme::distributed_slice;
use framework::model::{
    Convolution, Declaration, EncoderPass, Init, Maps, Real, Side, Traced, Weights,
};
use framework::plugin::{
    ALIASES, ARCHITECTURES, Activation, Alias, Architecture, Autoencoder, CodeRange, Encoded,
    LayeredForm, Level, LevelMap, Meant, Plugin, SampleShape, Unfit,
};
use framework::spec::{Settings, schema_of};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::support::layers::{DecoderActivation, activated, affine, identity, layer_names};

/// Convolutions, then one dense layer to the code; the decoder mirrors them. Each convolution is a
/// cross-correlation with (kernel − 1) / 2 zeros around each map. Of images alone.
///
/// Source: Masci et al. 2011, Stacked Convolutional Auto-Encoders for Hierarchical Feature Extraction; with strides
/// in place of pooling: Springenberg et al. 2015, arXiv:1412.6806.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Convolutional {
    /// Number of channels of each of the encoder's layers, from samples on; the decoder has the same in the
    /// opposite order. At least one layer.
    #[serde(default = "sixteen_and_thirty_two")]
    channels: Vec<NonZeroUsize>,
    /// Rows, and columns, of every kernel: an odd number.
    #[serde(default = "three")]
    kernel: NonZeroUsize,
    /// Pixels from one that is kept to the next, in each layer. n rows become n / stride, rounded up. At most the
    /// longer side of what a layer reads.
    #[serde(default = "two")]
    stride: NonZeroUsize,
    /// How many latents the code has.
    latents: NonZeroUsize,
    /// What follows the affine map to the code.
    #[serde(default = "identity")]
    activation: Activation,
    /// What follows each hidden layer.
    #[serde(default)]
    hidden_activation: Activation,
    /// What follows the decoder's last layer.
    #[serde(default)]
    decoder: DecoderActivation,
}

fn sixteen_and_thirty_two() -> Vec<NonZeroUsize> {
    [16, 32].into_iter().filter_map(NonZeroUsize::new).collect()
}

fn three() -> NonZeroUsize {
    const { NonZeroUsize::new(3).unwrap() }
}

fn two() -> NonZeroUsize {
    const { NonZeroUsize::new(2).unwrap() }
}

#[distributed_slice(ARCHITECTURES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Architecture> = Plugin {
    name: "convolutional",
    about: "convolutions of images and one dense layer, and the mirror of both as decoder",
    example: "latents = 4\nchannels = [2]",
    build: |settings| Ok(Box::new(read(settings)?)),
    schema: schema_of::<Convolutional>,
};

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["conv", "cnn", "convolution", "convolutional-autoencoder", "conv-autoencoder"],
    meant: Meant::Plugin { kind: "architecture", name: "convolutional" },
    about: "the architecture `convolutional` reads images through convolutions, and has one dense layer to the code",
    lines: "[architecture]\n\
            kind = \"convolutional\"\n\
            channels = [16, 32]\n\
            kernel = 3\n\
            stride = 2\n\
            latents = 64",
};

fn read(settings: &Settings) -> Result<Convolutional, Vec<Diagnostic>> {
    let read: Convolutional = settings.read()?;
    if read.channels.is_empty() {
        let message = "expected at least one layer";
        return Err(vec![settings.problem("channels", message).help("as in channels = [16, 32]")]);
    }
    if read.kernel.get().is_multiple_of(2) {
        let message = format!("a kernel has an odd number of rows, got {}", read.kernel);
        let help = "an even one has no middle; as in kernel = 3";
        return Err(vec![settings.problem("kernel", message).help(help)]);
    }
    Ok(read)
}

/// The encoder's affine map to the code.
const TO_CODE: &str = "enc.code";

/// The decoder's affine map from the code.
const FROM_CODE: &str = "dec.code";

/// Prefix of the names of a convolution's parameters; they are counted from 1, in the order that data passes them.
fn nth(side: &str, number: usize) -> String {
    format!("{side}.conv.{number}")
}

impl Convolutional {
    fn latent(&self) -> Latent {
        Latent(self.latents.get())
    }

    /// The encoder's convolutions, from samples on.
    ///
    /// # Errors
    /// If the samples are no images, or do not fit.
    fn convolutions(&self, sample: SampleShape) -> Result<Vec<Convolution>, Unfit> {
        if let SampleShape::Vector(_) = sample {
            return Err(Unfit::new("kind", "it needs images, and the samples are vectors"));
        }
        let mut maps = Maps::of(sample);
        let mut all = Vec::with_capacity(self.channels.len());
        for (at, channels) in self.channels.iter().enumerate() {
            let Maps { height, width, .. } = maps;
            let stride = self.stride.get();
            if stride > height.max(width) {
                let message = format!(
                    "layer {} of {} reads maps of {height} x {width} pixels, and a stride of {stride} leaves no \
                     pixel beside the first; a smaller stride or fewer layers do",
                    at + 1,
                    self.channels.len()
                );
                return Err(Unfit::new("stride", message));
            }
            let made = Convolution::new(maps, channels.get(), self.kernel.get(), stride);
            let made = made.map_err(|message| Unfit::new("channels", message))?;
            maps = made.coarse();
            all.push(made);
        }
        Ok(all)
    }

    /// The same for samples that fit.
    ///
    /// # Panics
    /// If they do not.
    fn fitting(&self, sample: SampleShape) -> Vec<Convolution> {
        let made = self.convolutions(sample);
        made.unwrap_or_else(|unfit| panic!("`fits` refuses these samples: {}", unfit.message))
    }

    /// The decoder before what follows its last layer.
    fn decode_maps<E: Real>(
        &self,
        code: Traced<(Batch, Latent), E>,
        weights: &Weights<'_, E>,
    ) -> Traced<(Batch, Input), E> {
        let batch = code.shape().0;
        let convolutions = self.fitting(weights.sample());
        let innermost = convolutions.last().map_or(0, |inner| inner.coarse().numbers());
        let mut x = affine(code, &layer_names(FROM_CODE), Fine(innermost), weights);
        for (at, convolution) in convolutions.iter().rev().enumerate() {
            let names = layer_names(&nth("dec", at + 1));
            let kernels = weights.get(&names.weights, convolution.kernel_dims());
            let bias = weights.get(&names.bias, (FineChannel(convolution.fine().channels),));
            let y = activated(x, self.hidden_activation);
            let y = y.reshape_like(&(batch, convolution.coarse_dim()));
            x = convolution.convolve_transposed(y, kernels, bias);
        }
        x.reshape_like(&(batch, weights.input()))
    }
}

impl<E: Real> Autoencoder<E> for Convolutional {
    fn encode(
        &self,
        x: Traced<(Batch, Input), E>,
        weights: &Weights<'_, E>,
        _: &EncoderPass<'_>,
    ) -> Encoded<E> {
        let (batch, input) = *x.shape();
        let mut h = x.reshape_like(&(batch, Coarse(input.0)));
        for (at, convolution) in self.fitting(weights.sample()).iter().enumerate() {
            let names = layer_names(&nth("enc", at + 1));
            let kernels = weights.get(&names.weights, convolution.kernel_dims());
            let bias = weights.get(&names.bias, (CoarseChannel(convolution.coarse().channels),));
            let x = h.reshape_like(&(batch, convolution.fine_dim()));
            h = activated(convolution.convolve(x, kernels, bias), self.hidden_activation);
        }
        let pre_code = affine(h, &layer_names(TO_CODE), self.latent(), weights);
        let before = pre_code.with_empty_tape();
        Encoded::new(before, activated(pre_code, self.activation))
    }

    fn decode(
        &self,
        code: Traced<(Batch, Latent), E>,
        weights: &Weights<'_, E>,
    ) -> Traced<(Batch, Input), E> {
        activated(self.decode_maps(code, weights), self.decoder.activation())
    }

    fn decode_before_sigmoid(
        &self,
        code: Traced<(Batch, Latent), E>,
        weights: &Weights<'_, E>,
    ) -> Option<Traced<(Batch, Input), E>> {
        self.ends_in_sigmoid().then(|| self.decode_maps(code, weights))
    }
}

impl Architecture for Convolutional {
    fn latents(&self) -> usize {
        self.latents.get()
    }

    fn code_range(&self) -> CodeRange {
        self.activation.range()
    }

    fn size_setting(&self) -> &'static str {
        if self.channels.iter().any(|channels| *channels > self.latents) {
            "channels"
        } else {
            "latents"
        }
    }

    fn ends_in_sigmoid(&self) -> bool {
        self.decoder == DecoderActivation::Sigmoid
    }

    fn fits(&self, sample: &SampleShape) -> Result<(), Unfit> {
        self.convolutions(*sample).map(|_| ())
    }

    fn parameters(&self, sample: SampleShape) -> Vec<Declaration> {
        let convolutions = self.fitting(sample);
        let mut all = Vec::new();
        let declared = |name: &str, shape: Vec<usize>, biases: usize, side: Side| {
            let names = layer_names(name);
            let weights = Declaration::new(names.weights, shape, Init::GlorotUniform).of(side);
            [weights, Declaration::new(names.bias, [biases], Init::Zeros).of(side)]
        };
        let kernels = |of: &Convolution| {
            let side = self.kernel.get();
            vec![of.coarse().channels, of.fine().channels, side, side]
        };
        for (at, one) in convolutions.iter().enumerate() {
            let biases = one.coarse().channels;
            all.extend(declared(&nth("enc", at + 1), kernels(one), biases, Side::Encoder));
        }
        let innermost = convolutions.last().map_or(0, |inner| inner.coarse().numbers());
        let latents = self.latents.get();
        let [to_w, to_b] = declared(TO_CODE, vec![innermost, latents], latents, Side::Encoder);
        let [from_w, from_b] =
            declared(FROM_CODE, vec![latents, innermost], innermost, Side::Decoder);
        all.extend([to_w.by_latent(1), to_b.by_latent(0), from_w.by_latent(0), from_b]);
        for (at, one) in convolutions.iter().rev().enumerate() {
            let biases = one.fine().channels;
            all.extend(declared(&nth("dec", at + 1), kernels(one), biases, Side::Decoder));
        }
        all
    }

    fn layers(&self) -> Option<LayeredForm> {
        let layers = self.channels.len();
        let convolution = |(at, channels): (usize, &NonZeroUsize)| Level {
            map: LevelMap::Convolution {
                channels: channels.get(),
                kernel: self.kernel.get(),
                stride: self.stride.get(),
            },
            activation: self.hidden_activation,
            decoder_activation: match at {
                0 => self.decoder.activation(),
                _ => self.hidden_activation,
            },
            encoder: layer_names(&nth("enc", at + 1)),
            decoder: layer_names(&nth("dec", layers - at)),
            tied: false,
        };
        let code = Level {
            map: LevelMap::Dense,
            activation: self.activation,
            decoder_activation: self.hidden_activation,
            encoder: layer_names(TO_CODE),
            decoder: layer_names(FROM_CODE),
            tied: false,
        };
        let convolutions = self.channels.iter().enumerate().map(convolution);
        Some(LayeredForm {
            levels: convolutions.chain([code]).collect(),
            subtract_decoder_bias: false,
            unit_norm: false,
            noise: None,
        })
    }
}
