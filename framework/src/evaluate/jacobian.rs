//! ‖∂h/∂x‖²_F of samples, h the code after its activation and before any constraint, in the units of the model.

use std::cell::OnceCell;

use rayon::prelude::*;

use crate::dims::Batch;
use crate::model::{EncoderPass, Parameters, Real, Step, Weights, tensor, values};
use crate::plugin::{
    Activation, Architecture, Codes, EvaluatedBatch, Level, LevelMap, Offer, When,
};
use crate::train::Model;

/// The Jacobian of a model's encoder. What does not depend on samples is found once.
#[derive(Default)]
pub(super) struct EncoderJacobian {
    /// ‖w_j‖² of each latent's column of a dense encoder.
    columns: OnceCell<Vec<f64>>,
    parameters: OnceCell<Parameters<f32>>,
}

/// Numbers that the Jacobians of the samples that are taken at once have, each in its widest form: 64 MiB.
const NUMBERS_AT_ONCE: usize = 1 << 24;

/// Number of samples of a part, at most, whose Jacobian is taken where it is a product of several: each takes
/// milliseconds.
const PRODUCTS: usize = 1000;

/// Sums over a sample are kept in so many parts, which vector instructions add to at once.
const LANES: usize = 8;

impl EncoderJacobian {
    /// Returns the norm of each sample of a batch, out of a part of `of_part` samples; where the Jacobian is a product of
    /// several, of at most 1,000 samples of the part, evenly spaced. `scale` gives samples as the model sees them,
    /// [samples, inputs]. `None` if the architecture does not offer it. Where the constraint of the penalty hides h,
    /// samples are encoded once more, at the end alone.
    pub(super) fn norms(
        &self,
        model: &Model<'_>,
        batch: &EvaluatedBatch<'_>,
        of_part: usize,
        when: When,
        scale: impl FnOnce(&[f32]) -> Vec<f32>,
    ) -> Option<Vec<f64>> {
        let definition = &model.definition;
        if !definition.architecture.offers().contains(&Offer::Jacobian) {
            return None;
        }
        let sees_h =
            |level: &Level| level.activation == Activation::Identity || definition.leaves_codes();
        match only_level(definition.architecture) {
            Some(level) if sees_h(&level) => {
                Some(of_dense(level.activation, batch.code, self.columns(model, &level)))
            }
            _ if when == When::EveryPoint => None,
            Some(_) => self.by_definition(model, scale(batch.x)),
            None => {
                let every = of_part.div_ceil(PRODUCTS).max(1);
                let inputs = model.input.0;
                let samples = batch.x.chunks_exact(inputs).zip(batch.first..);
                let taken = samples.filter(|(_, at)| at.is_multiple_of(every));
                let taken: Vec<f32> = taken.flat_map(|(sample, _)| sample).copied().collect();
                self.by_definition(model, scale(&taken))
            }
        }
    }

    fn columns(&self, model: &Model<'_>, level: &Level) -> &[f64] {
        self.columns.get_or_init(|| {
            let mut squares = vec![0.0; model.latents()];
            let parameters = model.parameters();
            let w_enc = parameters.get(&level.encoder.weights).expect("a level has its matrix");
            for row in w_enc.values.chunks_exact(squares.len()) {
                squares.iter_mut().zip(row).for_each(|(sum, w)| *sum += f64::from(*w).powi(2));
            }
            squares
        })
    }

    /// Encodes samples again and takes the norms that the architecture defines. Where the Jacobian is a product of
    /// several, each sample needs a matrix of its own: few are taken at once.
    fn by_definition(&self, model: &Model<'_>, x: Vec<f32>) -> Option<Vec<f64>> {
        let architecture = model.definition.architecture;
        let parameters = self.parameters.get_or_init(|| model.parameters().into_owned());
        let weights = Weights::new(model.sample, parameters);
        let encoder = f32::autoencoder(architecture);
        let pass = EncoderPass::new(Step::EVALUATE, &model.streams);
        let inputs = model.input.0;
        let at_once = match only_level(architecture) {
            Some(_) => x.len(),
            None => (NUMBERS_AT_ONCE / widest(parameters).pow(2)).max(1) * inputs,
        };
        let mut norms = Vec::with_capacity(x.len() / inputs);
        for x in x.chunks(at_once.max(1)) {
            let x = tensor(x.to_vec(), (Batch(x.len() / inputs), model.input));
            let h = encoder.encode(x.retaped(), &weights, &pass).code;
            let of_samples = values(&encoder.jacobian_norm(&x, h, &weights)?);
            norms.extend(of_samples.into_iter().map(f64::from));
        }
        Some(norms)
    }
}

/// Returns the largest size of a parameter along any dimension.
fn widest(parameters: &Parameters<f32>) -> usize {
    let shapes = parameters.entries.iter().map(|entry| &entry.declaration.shape);
    shapes.flatten().copied().max().unwrap_or(1)
}

/// Returns the level of an architecture of one dense level.
fn only_level(architecture: &dyn Architecture) -> Option<Level> {
    let [level] = <[Level; 1]>::try_from(architecture.layers()?.levels).ok()?;
    (level.map == LevelMap::Dense).then_some(level)
}

/// Returns Σ_j s_j² ‖w_j‖² of each code, where s_j is the slope of the activation and `columns` has ‖w_j‖². The
/// order of sums depends on neither the number of codes nor their form.
fn of_dense(activation: Activation, code: Codes<'_>, columns: &[f64]) -> Vec<f64> {
    match activation {
        Activation::Identity => vec![columns.iter().sum(); code.rows()],
        Activation::Relu => {
            let mut sums = vec![0.0; code.rows()];
            code.for_each_nonzero(|row, latent, h| {
                if h > 0.0 {
                    sums[row] += columns[latent];
                }
            });
            sums
        }
        Activation::Sigmoid => by_slope(code, columns, |h| h * (1.0 - h)),
        Activation::Tanh => by_slope(code, columns, |h| 1.0 - h * h),
    }
}

fn by_slope(code: Codes<'_>, columns: &[f64], slope: impl Fn(f64) -> f64 + Sync) -> Vec<f64> {
    let of_row = |row: &[f32]| {
        let mut sums = [0.0; LANES];
        for (values, columns) in row.chunks(LANES).zip(columns.chunks(LANES)) {
            for (lane, (h, square)) in values.iter().zip(columns).enumerate() {
                sums[lane] += slope(f64::from(*h)).powi(2) * square;
            }
        }
        sums.iter().sum()
    };
    code.to_dense().par_chunks_exact(columns.len()).map(of_row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_by_hand() {
        let columns: Vec<f64> = (1..=9).map(f64::from).collect();
        let mut values = vec![0.0; 18];
        (values[0], values[9], values[17]) = (0.5, -0.25, 0.75);
        let code = Codes::Dense { latents: 9, values: &values };
        let norms = |activation| of_dense(activation, code, &columns);
        assert_eq!(norms(Activation::Identity), [45.0, 45.0]);
        assert_eq!(norms(Activation::Relu), [1.0, 9.0], "a negative value is behind a kink");
        // h (1 − h) is 0.25, −0.3125 and 0.1875; it is 0 where h is.
        let sigmoid = [0.0625, 0.3125_f64.powi(2) + 9.0 * 0.1875_f64.powi(2)];
        assert_eq!(norms(Activation::Sigmoid), sigmoid);
        // 1 − h² is 0.75, 0.9375 and 0.4375.
        let tanh = [
            0.75_f64.powi(2) + 44.0,
            0.9375_f64.powi(2) + (2..=8).map(f64::from).sum::<f64>() + 9.0 * 0.4375_f64.powi(2),
        ];
        assert_eq!(norms(Activation::Tanh), tanh);
    }
}
