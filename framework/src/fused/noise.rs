//! Random codes, as of a variational autoencoder: μ + exp(s / 2) ε in training, and μ elsewhere.

use super::Fused;
use super::buffers::Buffers;
use super::kernels::{Matrix, exp};
use super::parallel::awake;
use super::products::inward;
use crate::model::{EncoderPass, LossTerm, TermOwner};
use crate::plugin::CodeNoise;

/// What a pass writes of the noise, [samples, latents].
#[derive(Default)]
pub struct NoiseBuffers {
    /// Whether the last pass drew some.
    pub is_drawn: bool,
    /// s = log σ², within its bounds.
    log_variance: Matrix,
    /// exp(s / 2) ε.
    pub spread: Matrix,
    /// μ.
    pub mean: Matrix,
    /// Derivatives by what the map to s gave.
    pub back: Matrix,
}

impl NoiseBuffers {
    /// Room for codes of so many latents.
    pub fn new(latents: usize) -> Self {
        let [log_variance, spread, mean, back] = [(); 4].map(|()| Matrix::zeros(0, latents));
        Self { is_drawn: false, log_variance, spread, mean, back }
    }
}

impl Fused {
    /// Draws what is to be added to the codes of a batch, if this pass is random.
    pub(super) fn draw_noise(
        &self,
        buffers: &mut Buffers,
        x: &[f32],
        pass: Option<&EncoderPass<'_>>,
    ) {
        let (Some(head), Some(pass)) = (&self.tensors.log_variance, pass) else {
            buffers.noise.is_drawn = false;
            return;
        };
        let Buffers { x: copy, outer, noise, scratches, .. } = buffers;
        let x = self.core_input(copy, outer, x).view(self.tensors.core.inputs());
        let (samples, latents, bias) = (x.row_count(), head.latents(), head.b_enc.row(0));
        let NoiseBuffers { is_drawn, log_variance, spread, mean, .. } = noise;
        *is_drawn = true;
        let most = CodeNoise::MOST as f32;
        inward(self.arch, x, &head.encoder, log_variance, scratches, |_, first, row, _| {
            // `clamp` leaves NaN, so that a run that diverged is seen to.
            let biased = row.iter_mut().zip(&bias[first..]);
            biased.for_each(|(value, bias)| *value = (*value + bias).clamp(-most, most));
        });
        mean.reserve_rows(samples);
        spread.reserve_rows(samples);
        awake(|| {
            let drawn = CodeNoise::draw(&mut pass.random(), samples * latents);
            self.arch.dispatch(|| {
                for (sample, drawn) in drawn.chunks_exact(latents).enumerate() {
                    let row = spread.row_mut(sample).iter_mut();
                    for ((value, s), drawn) in row.zip(log_variance.row(sample)).zip(drawn) {
                        *value = exp(s / 2.0) * *drawn as f32;
                    }
                }
            });
        });
    }

    /// The term that noise adds to the loss, if some was drawn.
    pub(super) fn noise_term(&self, noise: &NoiseBuffers, samples: usize) -> Option<LossTerm> {
        let CodeNoise { beta, .. } = self.layered.noise.as_ref().filter(|_| noise.is_drawn)?;
        let latents = self.tensors.core.latents();
        let mut sum = 0.0;
        for sample in 0..samples {
            let rows = noise.log_variance.row(sample).iter().zip(noise.mean.row(sample));
            let of_latent = |(s, mean): (&f32, &f32)| {
                let (s, mean) = (f64::from(*s), f64::from(*mean));
                -0.5 * (1.0 + s - mean * mean - s.exp())
            };
            sum += rows.take(latents).map(of_latent).sum::<f64>();
        }
        let (name, owner) = (CodeNoise::TERM.into(), TermOwner::Architecture);
        Some(LossTerm { name, owner, raw: sum / samples as f64, weight: *beta })
    }

    /// From the derivatives by the code in `back`, [samples, latents], to those by μ, there, and by what the map to
    /// s gave.
    pub(super) fn back_through_noise(
        &self,
        noise: &mut NoiseBuffers,
        back: &mut Matrix,
        samples: usize,
    ) {
        let Some(CodeNoise { beta, .. }) = &self.layered.noise else { return };
        let (share, most) = ((beta / samples as f64) as f32, CodeNoise::MOST as f32);
        let NoiseBuffers { log_variance, spread, mean, back: back_of_s, .. } = noise;
        back_of_s.reserve_rows(samples);
        self.arch.dispatch(|| {
            for sample in 0..samples {
                let (by_mean, by_s) = (back.row_mut(sample), back_of_s.row_mut(sample));
                let (s, spread) = (log_variance.row(sample), spread.row(sample));
                let of_latents =
                    by_mean.iter_mut().zip(by_s).zip(s).zip(spread).zip(mean.row(sample));
                for ((((by_mean, by_s), s), spread), mean) in of_latents {
                    let found = 0.5 * (*by_mean * spread + share * (exp(*s) - 1.0));
                    *by_s = if s.abs() < most { found } else { 0.0 };
                    *by_mean += share * mean;
                }
            }
        });
    }
}
