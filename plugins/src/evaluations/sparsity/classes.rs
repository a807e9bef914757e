//! How far each latent's activation belongs to one class.

use framework::plugin::{Codes, EvaluatedBatch, Split, Subject};
use rayon::prelude::*;

/// Neighbouring latents whose sums a thread takes.
const OF_A_BLOCK: usize = 64;

/// Number of sums that are kept at most: 256 MiB.
const SUMS: usize = 1 << 25;

/// Σ|h| over the samples of each class, of each latent.
pub struct ClassSums {
    /// The classes of the test part, ascending.
    classes: Vec<u32>,
    latents: usize,
    /// Blocks of latents, each [classes, latents of the block].
    sums: Vec<f64>,
}

impl ClassSums {
    /// Sums for the classes of the test part; `None` without labels, or where they would be too many.
    pub fn new(subject: &Subject<'_>) -> Option<Self> {
        let mut classes = subject.data.labels(Split::Test)?.to_vec();
        classes.sort_unstable();
        classes.dedup();
        let latents = subject.latents;
        let padded = latents.next_multiple_of(OF_A_BLOCK);
        let size = classes.len().checked_mul(padded).filter(|size| (1..=SUMS).contains(size))?;
        Some(Self { classes, latents, sums: vec![0.0; size] })
    }

    /// Takes a batch in. Each latent's sums are sample by sample, whatever the form of the codes.
    pub fn add(&mut self, batch: &EvaluatedBatch<'_>) {
        let Some(labels) = batch.labels else { return };
        let Self { classes, latents, sums } = self;
        // Labels are of the test part, which has these classes.
        let place = |label: &u32| classes.binary_search(label).unwrap_or(0);
        let places: Vec<usize> = labels.iter().map(place).collect();
        let of_a_block = classes.len() * OF_A_BLOCK;
        match batch.code {
            Codes::Dense { values, .. } => {
                sums.par_chunks_mut(of_a_block).enumerate().for_each(|(block, sums)| {
                    let start = block * OF_A_BLOCK;
                    let end = (start + OF_A_BLOCK).min(*latents);
                    for (values, place) in values.chunks_exact(*latents).zip(&places) {
                        let sums = &mut sums[place * OF_A_BLOCK..][..OF_A_BLOCK];
                        let values = &values[start..end];
                        sums.iter_mut().zip(values).for_each(|(sum, h)| *sum += f64::from(h.abs()));
                    }
                });
            }
            sparse @ Codes::Sparse { .. } => sparse.for_each_nonzero(|row, latent, h| {
                let (block, lane) = (latent / OF_A_BLOCK, latent % OF_A_BLOCK);
                let at = block * of_a_block + places[row] * OF_A_BLOCK + lane;
                sums[at] += f64::from(h.abs());
            }),
        }
    }

    /// The share of its Σ|h| that a latent has on the samples of its best class; undefined for a latent that is
    /// 0 on every sample.
    pub fn selectivity(&self) -> Vec<f64> {
        let of_a_block = self.classes.len() * OF_A_BLOCK;
        let of_latent = |latent: usize| {
            let block = &self.sums[latent / OF_A_BLOCK * of_a_block..][..of_a_block];
            let of_classes = || block.iter().skip(latent % OF_A_BLOCK).step_by(OF_A_BLOCK);
            let all: f64 = of_classes().sum();
            let best = of_classes().fold(0.0, |best: f64, sum| best.max(*sum));
            if all > 0.0 { best / all } else { f64::NAN }
        };
        (0..self.latents).map(of_latent).collect()
    }
}

/// The mean of the numbers that are defined; undefined if none is.
pub fn mean_of_defined(values: &[f64]) -> f64 {
    let defined = values.iter().filter(|value| value.is_finite());
    let (sum, count) = defined.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}
