//! How far the distributions of codes are from their prior.

use std::cell::OnceCell;

use crate::dims::Batch;
use crate::model::{Parameters, Real, Weights, tensor, values};
use crate::plugin::Offer;
use crate::train::Model;

/// The divergence of a model's codes from their prior. The parameters are copied out of the model once.
#[derive(Default)]
pub(super) struct CodePrior {
    parameters: OnceCell<Parameters<f32>>,
}

impl CodePrior {
    /// Returns the KL divergence of each latent of each sample, [samples, latents], in nats; `scaled` gives the
    /// samples as the model sees them, [samples, inputs]. `None` if the architecture does not offer it. It takes
    /// another pass of the encoder.
    pub(super) fn divergences(
        &self,
        model: &Model<'_>,
        scaled: impl FnOnce() -> Vec<f32>,
    ) -> Option<Vec<f64>> {
        let architecture = model.definition.architecture;
        if !architecture.offers().contains(&Offer::Prior) {
            return None;
        }
        let parameters = self.parameters.get_or_init(|| model.parameters().into_owned());
        let (weights, x) = (Weights::new(model.sample, parameters), scaled());
        let shape = (Batch(x.len() / model.input.0), model.input);
        let x = tensor(x, shape).retaped();
        let divergences = f32::autoencoder(architecture).kl_prior(x, &weights)?;
        Some(values(&divergences).into_iter().map(f64::from).collect())
    }
}
