//! How many groups of neighbouring latents are active.

use framework::plugin::{Codes, L0Rule};
use rayon::prelude::*;

/// Active groups over the samples seen.
pub struct GroupCounts {
    /// Latents of a group.
    size: usize,
    active: u64,
}

impl GroupCounts {
    /// Nothing seen yet of groups of `size` latents.
    pub fn new(size: usize) -> Self {
        Self { size: size.max(1), active: 0 }
    }

    /// Counts the groups of which a latent is active.
    pub fn add(&mut self, codes: &Codes<'_>, rule: L0Rule) {
        let size = self.size;
        match *codes {
            Codes::Dense { latents, values } => {
                let is_active = |group: &&[f32]| group.iter().any(|h| rule.is_active(*h));
                let of_sample = |code: &[f32]| code.chunks(size).filter(is_active).count() as u64;
                self.active += values.par_chunks_exact(latents).map(of_sample).sum::<u64>();
            }
            Codes::Sparse { .. } => {
                let mut last = None;
                codes.for_each_nonzero(|row, latent, h| {
                    let group = Some((row, latent / size));
                    if rule.is_active(h) && last != group {
                        last = group;
                        self.active += 1;
                    }
                });
            }
        }
    }

    /// The mean over samples.
    pub fn mean(&self, samples: f64) -> f64 {
        self.active as f64 / samples
    }

    /// The group of each latent, counted from 0.
    pub fn of_latents(&self, latents: usize) -> impl Iterator<Item = f64> {
        let size = self.size;
        (0..latents).map(move |latent| (latent / size) as f64)
    }
}
