//! The inputs that latents prefer: where a latent has no decoder row, the input that activates it most shows what
//! it stands for.
//!
//! The length of an input has to be bounded, as most latents grow without end along some direction: inputs are
//! taken from a ball around the mean training sample, as wide as samples are far from it on average. What grows is
//! the code before its activation, which has the same order as the code and a slope where that is silent or at its
//! end.

use dfdx::prelude::{Backward, Merge, PutTape, Rank0, SplitTape, SumTo};

use crate::dims::{Batch, Latent};
use crate::model::{EncoderPass, Parameters, Real, Step, Tensor, Weights, tensor, values};
use crate::plugin::dataset::gather;
use crate::plugin::{Data, Encoded, Split};
use crate::train::{Model, Normalizer};

/// Maximum number of training samples that decide the ball.
const ROWS: usize = 10_000;
/// Number of samples read at once.
const ROWS_AT_ONCE: usize = 1024;
/// Number of latents whose inputs are searched at once.
const LATENTS_AT_ONCE: usize = 64;

/// Number of steps of a search.
const STEPS: usize = 32;
/// Length of the first step, as a share of the radius. Steps shrink evenly to 0; together they come to four
/// radii.
const FIRST_STEP: f64 = 0.25;

/// A ball around the mean training sample, in the units that a model sees.
pub struct InputBall {
    /// The mean of the training samples.
    pub center: Vec<f32>,
    /// The mean distance of training samples from the center.
    pub radius: f64,
}

impl InputBall {
    /// Returns the ball of the training samples, or of evenly chosen ones where there are many.
    ///
    /// # Errors
    /// If the data cannot be read.
    pub fn of(data: &dyn Data, normalizer: &Normalizer) -> Result<Self, String> {
        let (inputs, all) = (data.shape().inputs(), data.rows(Split::Train));
        let count = all.min(ROWS);
        let rows: Vec<usize> = (0..count).map(|at| at * all / count).collect();
        let mut samples = Vec::new();
        let mut for_each = |see: &mut dyn FnMut(&[f32])| {
            for rows in rows.chunks(ROWS_AT_ONCE) {
                samples.resize(rows.len() * inputs, 0.0);
                gather(data, Split::Train, rows, &mut samples)?;
                normalizer.apply(&mut samples);
                samples.chunks_exact(inputs).for_each(&mut *see);
            }
            Ok::<(), String>(())
        };
        let mut mean = vec![0.0_f64; inputs];
        for_each(&mut |sample| {
            mean.iter_mut().zip(sample).for_each(|(sum, value)| *sum += f64::from(*value));
        })?;
        mean.iter_mut().for_each(|sum| *sum /= count.max(1) as f64);
        let mut distances = 0.0;
        for_each(&mut |sample| {
            let off = sample.iter().zip(&mean).map(|(value, mean)| f64::from(*value) - mean);
            distances += off.map(|off| off * off).sum::<f64>().sqrt();
        })?;
        let center = mean.into_iter().map(|mean| mean as f32).collect();
        Ok(Self { center, radius: distances / count.max(1) as f64 })
    }

    /// Returns the input in the ball that most activates each of these latents, [latents, inputs], in the units of
    /// the data: as far as gradient ascent from the center finds it.
    pub fn preferred(&self, model: &Model<'_>, latents: &[usize]) -> Vec<f32> {
        let parameters = model.parameters();
        let climbed = |some: &[usize]| self.climb(model, &parameters, some);
        let mut all: Vec<f32> = latents.chunks(LATENTS_AT_ONCE).flat_map(climbed).collect();
        model.normalizer.undo(&mut all);
        all
    }

    /// Searches the inputs of some latents, each from the center.
    fn climb(
        &self,
        model: &Model<'_>,
        parameters: &Parameters<f32>,
        latents: &[usize],
    ) -> Vec<f32> {
        let batch = Batch(latents.len());
        let encoder = f32::autoencoder(model.definition.architecture);
        let weights = Weights::new(model.sample, parameters);
        let pass = EncoderPass::new(Step::EVALUATE, &model.streams);
        let mut own = vec![0.0; latents.len() * model.latents()];
        latents.iter().enumerate().for_each(|(row, at)| own[row * model.latents() + at] = 1.0);
        let own: Tensor<_, f32> = tensor(own, (batch, Latent(model.latents())));
        // Where each input is, from the center.
        let mut places = vec![0.0_f64; latents.len() * model.input.0];
        let inputs = |places: &[f64]| -> Vec<f32> {
            let centers = self.center.iter().cycle();
            places.iter().zip(centers).map(|(off, mean)| (f64::from(*mean) + off) as f32).collect()
        };
        for step in 0..STEPS {
            let x: Tensor<_, f32> = tensor(inputs(&places), (batch, model.input));
            let Encoded { pre_code, code, .. } = encoder.encode(x.retaped(), &weights, &pass);
            // The pre-code may have an empty tape; then its history is on that of the code.
            let (_, tape) = code.split_tape();
            let (pre_code, more) = pre_code.split_tape();
            let sum = (pre_code.put_tape(tape.merge(more)) * own.clone()).sum::<Rank0, _>();
            let mut gradients = sum.backward();
            if gradients.try_alloc_for(&x).is_err() {
                break; // There is no memory for it: what was found so far is returned.
            }
            let slopes = values(&gradients.get(&x));
            let length = self.radius * FIRST_STEP * (1.0 - step as f64 / STEPS as f64);
            let rows = places.chunks_exact_mut(model.input.0);
            rows.zip(slopes.chunks_exact(model.input.0)).for_each(|(place, slope)| {
                self.step(place, slope, length);
            });
        }
        inputs(&places)
    }

    /// Moves a place along its slope, and back to the ball's surface if it left the ball.
    fn step(&self, place: &mut [f64], slope: &[f32], length: f64) {
        let norm = slope.iter().map(|slope| f64::from(*slope).powi(2)).sum::<f64>().sqrt();
        if !(norm > 0.0 && norm.is_finite()) {
            return; // There is no direction in which the latent grows.
        }
        let along = place.iter_mut().zip(slope);
        along.for_each(|(place, slope)| *place += length * f64::from(*slope) / norm);
        let away = place.iter().map(|off| off * off).sum::<f64>().sqrt();
        if away > self.radius {
            place.iter_mut().for_each(|off| *off *= self.radius / away);
        }
    }
}
