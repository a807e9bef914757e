//! What the layers of several architectures do on the tape.

use dfdx::prelude::{Axis, BroadcastTo, HasShape, Shape, SumTo, WithEmptyTape};
use framework::dims::{Batch, Input, Latent};
use framework::model::{Real, Traced, tensor, values};
use framework::plugin::Activation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The decoder's nonlinearity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DecoderActivation {
    #[default]
    Linear,
    Sigmoid,
    /// Of layers that are pretrained alone; no file can say so.
    #[serde(skip)]
    Relu,
    /// Of layers that are pretrained alone; no file can say so.
    #[serde(skip)]
    Tanh,
}

impl From<Activation> for DecoderActivation {
    fn from(activation: Activation) -> Self {
        match activation {
            Activation::Identity => Self::Linear,
            Activation::Relu => Self::Relu,
            Activation::Sigmoid => Self::Sigmoid,
            Activation::Tanh => Self::Tanh,
        }
    }
}

impl From<DecoderActivation> for Activation {
    fn from(decoder: DecoderActivation) -> Self {
        match decoder {
            DecoderActivation::Linear => Self::Identity,
            DecoderActivation::Sigmoid => Self::Sigmoid,
            DecoderActivation::Relu => Self::Relu,
            DecoderActivation::Tanh => Self::Tanh,
        }
    }
}

/// What an activation makes of what comes before it.
pub fn activated<S: Shape, E: Real>(before: Traced<S, E>, activation: Activation) -> Traced<S, E> {
    match activation {
        Activation::Identity => before,
        Activation::Relu => before.relu(),
        Activation::Sigmoid => before.sigmoid(),
        Activation::Tanh => before.tanh(),
    }
}

/// The slope of an activation where it gives `h`: 1[h > 0], h(1 − h), 1 − h². `None` stands for 1, the slope of
/// identity.
pub fn slopes<S: Shape, E: Real>(h: Traced<S, E>, activation: Activation) -> Option<Traced<S, E>> {
    match activation {
        Activation::Identity => None,
        Activation::Relu => {
            let is_open = |h: E| E::of(f64::from(u8::from(h.f64() > 0.0)));
            let open = values(&h).into_iter().map(is_open).collect();
            Some(tensor(open, *h.shape()).retaped())
        }
        Activation::Sigmoid => Some(h.with_empty_tape() * (h.negate() + E::of(1.0))),
        Activation::Tanh => Some(h.square().negate() + E::of(1.0)),
    }
}

/// ‖∂h/∂x‖²_F of each sample where `h` is the code of a single dense layer: Σⱼ φ'(zⱼ)² ‖wⱼ‖², wⱼ the latent's column of
/// the layer's matrix.
///
/// Source: Rifai et al. 2011, Contractive Auto-Encoders, section 3.
pub fn jacobian_of_one_layer<E: Real>(
    w_enc: Traced<(Input, Latent), E>,
    h: Traced<(Batch, Latent), E>,
    activation: Activation,
) -> Traced<(Batch,), E> {
    let norms = w_enc.square().sum::<(Latent,), Axis<0>>().broadcast_like(h.shape());
    let of_columns = match slopes(h, activation) {
        None => norms,
        Some(slopes) => norms * slopes.square(),
    };
    of_columns.sum::<(Batch,), Axis<1>>()
}
