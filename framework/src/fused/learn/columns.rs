//! Terms of one latent's values in the batch, and maybe of the norm of its row: what they come to, their
//! derivatives by the code, and the multiples of rows that are their derivatives by the rows.

use super::{BatchCode, Lesson};
use crate::fused::kernels::{Buffer, Matrix};
use crate::fused::tensors::Tensors;
use crate::model::Side;
use crate::plugin::{CodeColumn, PerColumn, sum_of};

/// Latents whose columns are taken out of a dense code together: a cache line of it.
const LANES: usize = 16;

/// The rows of one latent, padded.
#[derive(Clone, Copy)]
pub struct LatentRows<'a> {
    pub encoder: &'a [f32],
    pub decoder: &'a [f32],
}

/// Most parameters of its own that a penalty may have of a latent.
pub const MOST_OWN: usize = 2;

/// What a latent learns besides what the derivatives of its entries say of its rows and its bias.
#[derive(Clone, Copy, Default)]
pub struct LatentGradient {
    /// The multiple of the encoder's row that is added to its gradient.
    pub encoder: f32,
    /// The same of the decoder's row.
    pub decoder: f32,
    /// The derivatives by the penalty's own parameters, in the order of their declaration.
    pub own: [f32; MOST_OWN],
    /// The part of the sum of the derivatives that does not reach the encoder's bias.
    pub past_bias: f32,
}

/// Adds `factor` times a row to its gradient.
#[inline(always)]
pub fn add_multiple(gradient: &mut [f32], factor: f32, row: &[f32]) {
    gradient.iter_mut().zip(row).for_each(|(sum, value)| *sum += factor * value);
}

impl<U> Lesson<'_, U> {
    /// Takes the terms of a latent whose values are in a list: adds their derivatives to `back` and their sums
    /// to `sums`.
    #[cold]
    #[inline(never)]
    pub(super) fn column_of_list(
        &self,
        (values, back): (&[f32], &mut [f32]),
        samples: &[u32],
        rows: LatentRows<'_>,
        slopes: &mut Buffer,
        sums: &mut [f64],
    ) -> LatentGradient {
        let slopes = slopes.get(values.len());
        let mut factors = LatentGradient::default();
        for ((weight, term), sum) in self.columns.iter().zip(sums) {
            let column = Column { values, samples: Some(samples), rows };
            *sum += self.take_column(*term, *weight, column, slopes, &mut factors);
            back.iter_mut().zip(&*slopes).for_each(|(back, slope)| *back += weight * slope);
        }
        factors
    }

    /// Takes the terms of `count` latents from `first` on of a dense code, after and before it is constrained:
    /// adds their derivatives to `back`, [samples, width], and their sums to `sums`. The rows are those of these
    /// latents.
    #[inline(never)]
    pub(super) fn columns_of_tile(
        &self,
        [code, before]: [&Matrix; 2],
        [first, count]: [usize; 2],
        rows: LatentRows<'_>,
        (back, width): (&mut [f32], usize),
        columns: &mut Buffer,
        sums: &mut [f64],
    ) -> Vec<LatentGradient> {
        let (samples, stride) = (self.x.len(), self.x.stride());
        let mut factors = vec![LatentGradient::default(); count];
        let (columns, slopes) = columns.get(2 * LANES * samples).split_at_mut(LANES * samples);
        for ((weight, term), sum) in self.columns.iter().zip(sums) {
            let code = if term.is_before_constraint() { before } else { code };
            for start in (0..count).step_by(LANES) {
                let latents = start..count.min(start + LANES);
                for sample in 0..samples {
                    let values = &code.row(sample)[first + latents.start..first + latents.end];
                    for (at, value) in values.iter().enumerate() {
                        columns[at * samples + sample] = *value;
                    }
                }
                let of_block = columns.chunks_exact(samples).zip(slopes.chunks_exact_mut(samples));
                for (latent, (values, slopes)) in latents.clone().zip(of_block) {
                    let row = latent * stride..(latent + 1) * stride;
                    let rows = LatentRows {
                        encoder: &rows.encoder[row.clone()],
                        decoder: &rows.decoder[row],
                    };
                    let column = Column { values, samples: None, rows };
                    *sum += self.take_column(*term, *weight, column, slopes, &mut factors[latent]);
                }
                for sample in 0..samples {
                    let back = &mut back[sample * width..][latents.clone()];
                    for (at, back) in back.iter_mut().enumerate() {
                        *back += weight * slopes[at * samples + sample];
                    }
                }
            }
        }
        factors
    }

    /// The sum over samples of a term of one latent; its derivatives by the values go to `slopes`, those by the
    /// rows are added to `factors`.
    fn take_column(
        &self,
        term: &dyn PerColumn,
        weight: f32,
        column: Column<'_>,
        slopes: &mut [f32],
        factors: &mut LatentGradient,
    ) -> f64 {
        let Column { values, samples, rows } = column;
        let side = term.row();
        let norm = side.map_or(0.0, |side| {
            let row = if side == Side::Decoder { rows.decoder } else { rows.encoder };
            sum_of(row, |weight| weight * weight).sqrt()
        });
        let (range, classes) = (self.form.activation.range(), self.classes);
        let column = CodeColumn { values, samples, range, norm, classes };
        let found = term.value(column, slopes);
        // The derivative of a norm by its row is the row over the norm; that of a row of zeros is 0.
        if norm > 0.0 {
            let factor = weight * (found.by_norm / norm) as f32;
            match side {
                Some(Side::Decoder) => factors.decoder += factor,
                _ => factors.encoder += factor,
            }
        }
        found.value
    }

    /// The sum of each term of the weights, then of each term of columns, with nothing learnt.
    pub fn values(&self, tensors: &Tensors) -> Vec<f64> {
        let mut all = tensors.values_of(self.uses.weight_terms);
        let layers = &tensors.core;
        let mut sums = vec![0.0; self.columns.len()];
        let (mut buffer, mut back) = (Buffer::default(), Vec::new());
        let dictionary = layers.dictionary();
        for first in (0..layers.latents()).step_by(LANES) {
            if sums.is_empty() {
                break;
            }
            let count = LANES.min(layers.latents() - first);
            let stride = layers.encoder.stride();
            let rows = first * stride..(first + count) * stride;
            let rows = LatentRows {
                encoder: &layers.encoder.as_slice()[rows.clone()],
                decoder: &dictionary.as_slice()[rows],
            };
            match self.code {
                BatchCode::Dense { code, before, .. } => {
                    back.resize(self.x.len() * count, 0.0);
                    let back = (&mut *back, count);
                    let range = [first, count];
                    self.columns_of_tile([code, before], range, rows, back, &mut buffer, &mut sums);
                }
                BatchCode::Lists { lists, .. } => {
                    for at in 0..count {
                        let (samples, places) = lists.of_latent(first + at);
                        let values = places.iter().map(|place| lists.values[*place as usize]);
                        let values: Vec<f32> = values.collect();
                        back.resize(values.len(), 0.0);
                        let row = at * stride..(at + 1) * stride;
                        let rows = LatentRows {
                            encoder: &rows.encoder[row.clone()],
                            decoder: &rows.decoder[row],
                        };
                        let numbers = (&*values, &mut *back);
                        self.column_of_list(numbers, samples, rows, &mut buffer, &mut sums);
                    }
                }
            }
        }
        all.extend(sums);
        all
    }
}

/// One latent's values with its rows.
struct Column<'a> {
    values: &'a [f32],
    samples: Option<&'a [u32]>,
    rows: LatentRows<'a>,
}
