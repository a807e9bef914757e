//! Keeping the pre-codes of dead latents while tiles of all are made.

use super::DeadBuffers;
use crate::fused::encode::tile_width;

/// Room for the pre-codes of dead latents.
pub struct Capture<'a> {
    latents: &'a [u32],
    values: &'a mut [f32],
    samples: usize,
}

/// The same of the dead latents of one tile.
#[derive(Default)]
pub struct TileCapture<'a> {
    latents: &'a [u32],
    /// [samples, latents]
    values: &'a mut [f32],
}

/// How many of some latents, ascending, are below `end`.
fn below(latents: &[u32], end: usize) -> usize {
    latents.partition_point(|latent| (*latent as usize) < end)
}

impl DeadBuffers {
    /// Room for those of so many samples.
    pub fn capture(&mut self, samples: usize) -> Capture<'_> {
        let values = self.pre_codes.get(self.latents.len() * samples);
        Capture { latents: &self.latents, values, samples }
    }

    /// The pre-codes of a sample, of a code of `all` latents, to `row`.
    pub(super) fn gather(
        (latents, values): (&[u32], &[f32]),
        [sample, samples, all]: [usize; 3],
        row: &mut Vec<f32>,
    ) {
        row.clear();
        let width = tile_width(all);
        let mut first = 0;
        for end in (width..all + width).step_by(width) {
            let count = below(&latents[first..], end);
            row.extend_from_slice(&values[first * samples + sample * count..][..count]);
            first += count;
        }
    }
}

impl<'a> Capture<'a> {
    /// The parts of tiles of `width` latents, and empty ones after the last.
    pub fn tiles(self, width: usize) -> impl Iterator<Item = TileCapture<'a>> + Send {
        let Self { mut latents, mut values, samples } = self;
        (1..).map(move |tile| {
            let (own, rest) = latents.split_at(below(latents, tile * width));
            latents = rest;
            let (of_own, rest) = std::mem::take(&mut values).split_at_mut(own.len() * samples);
            values = rest;
            TileCapture { latents: own, values: of_own }
        })
    }
}

impl TileCapture<'_> {
    /// Keeps what is wanted of a sample, of a tile from the latent `first` on: `row` is what the product gave.
    #[inline(always)]
    pub fn take(&mut self, first: usize, sample: usize, bias: &[f32], row: &[f32]) {
        let count = self.latents.len();
        if count > 0 {
            let own = &mut self.values[sample * count..][..count];
            for (value, latent) in own.iter_mut().zip(self.latents) {
                let at = *latent as usize - first;
                *value = row[at] + bias[at];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if a pre-code went to another latent or sample, with tiles that hold no dead latent or many.
    #[test]
    fn what_is_kept_of_tiles_is_gathered_by_sample() {
        let all = 150;
        let width = tile_width(all);
        assert_eq!(width, 64);
        let bias: Vec<f32> = (0..all).map(|at| at as f32).collect();
        let product = |sample: usize, latent: usize| (1000 * (sample + 1) + latent) as f32;
        for latents in [vec![], vec![0], vec![3, 63, 64, 149], vec![64, 65], vec![128, 149]] {
            let mut buffers = DeadBuffers { latents, ..DeadBuffers::default() };
            let tiles = (0..all).step_by(width).zip(buffers.capture(2).tiles(width));
            for (first, mut tile) in tiles {
                let last = all.min(first + width);
                for sample in 0..2 {
                    let row: Vec<f32> = (first..last).map(|at| product(sample, at)).collect();
                    tile.take(first, sample, &bias[first..last], &row);
                }
            }
            let DeadBuffers { latents, pre_codes, .. } = &mut buffers;
            let values = &*pre_codes.get(2 * latents.len());
            for sample in 0..2 {
                let mut row = Vec::new();
                DeadBuffers::gather((latents, values), [sample, 2, all], &mut row);
                let right = latents.iter().map(|at| *at as usize);
                let right: Vec<f32> = right.map(|at| product(sample, at) + at as f32).collect();
                assert_eq!(row, right, "{latents:?}");
            }
        }
    }
}
