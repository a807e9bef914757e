//! What an architecture tells of training its layers one after another, before all of them together.

use std::num::NonZeroUsize;

use super::Architecture;

/// How the layers of an architecture are pretrained: each as an autoencoder of its own on what the layers before it
/// make of samples.
pub struct Pretraining {
    /// Passes over the training rows for each layer.
    pub epochs: NonZeroUsize,
    /// The layers, from samples inward.
    pub layers: Vec<PretrainedLayer>,
}

/// A layer as an autoencoder of its own.
pub struct PretrainedLayer {
    /// The autoencoder: its latents are what the layer makes of its input.
    pub architecture: Box<dyn Architecture>,
    /// The name of each of its parameters, and the name of the same parameter in the whole.
    pub names: Vec<(&'static str, String)>,
}
