//! What architectures are made of: affine maps by the names of their parameters, and what follows them.

use dfdx::prelude::{Axis, BroadcastTo, Dim, HasShape, Shape, TryMatMul};
use framework::dims::Batch;
use framework::model::{Real, Traced, Weights};
use framework::plugin::{Activation, LayerNames};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

framework::dim! {
    /// Numbers that a layer reads or writes: which layer, is known at run time only.
    Width,
}

/// The decoder's nonlinearity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DecoderActivation {
    /// Nothing.
    #[default]
    Linear,
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// Of layers that are pretrained alone; no file can say so.
    #[serde(skip)]
    Relu,
    /// Of layers that are pretrained alone; no file can say so.
    #[serde(skip)]
    Tanh,
}

impl DecoderActivation {
    /// The same as an activation.
    pub const fn activation(self) -> Activation {
        match self {
            Self::Linear => Activation::Identity,
            Self::Sigmoid => Activation::Sigmoid,
            Self::Relu => Activation::Relu,
            Self::Tanh => Activation::Tanh,
        }
    }
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

/// The activation of codes where a file says none, of architectures with hidden layers.
pub const fn identity() -> Activation {
    Activation::Identity
}

/// The names `PREFIX.w` and `PREFIX.b`.
pub fn layer_names(prefix: &str) -> LayerNames {
    LayerNames::new(format!("{prefix}.w"), format!("{prefix}.b"))
}

/// Names of the parameters of a layer of the encoder (`enc`) or the decoder (`dec`); layers are counted from 1, in the
/// order that data passes them.
pub fn nth_layer(side: &str, layer: usize) -> LayerNames {
    layer_names(&format!("{side}.{layer}"))
}

/// What an activation makes of each number.
pub fn activated<S: Shape, E: Real>(x: Traced<S, E>, activation: Activation) -> Traced<S, E> {
    match activation {
        Activation::Identity => x,
        Activation::Relu => x.relu(),
        Activation::Sigmoid => x.sigmoid(),
        Activation::Tanh => x.tanh(),
    }
}

/// x · W + b, where W is [in, out].
pub fn affine<I: Dim, O: Dim, E: Real>(
    x: Traced<(Batch, I), E>,
    names: &LayerNames,
    out: O,
    weights: &Weights<'_, E>,
) -> Traced<(Batch, O), E> {
    let (batch, inner) = *x.shape();
    let bias = weights.get(&names.bias, (out,));
    let product = x.matmul(weights.get(&names.weights, (inner, out)));
    product + bias.broadcast_like::<_, Axis<0>>(&(batch, out))
}
