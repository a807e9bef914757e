//! From samples to codes: the encoder's product in tiles of latents, with bias, activation and
//! whatever looks at every pre-code done while the tile is in cache.

use pulp::{Arch, Simd, WithSimd};

use super::buffers::Scratch;
use super::dead::{Capture, TileCapture};
use super::jump::{JumpBuffers, JumpTile};
use super::kernels::{
    Bf16Inputs, Buffer, Candidates, MatMut, Matrix, PaddedRows, activate, matmul,
};
use super::layers::Layers;
use super::narrow::Narrow;
use super::parallel::{parallel, worth};
use crate::plugin::{Activation, KeptBy, L0Rule, PerLatent};

/// What a batch is encoded with.
#[derive(Clone, Copy)]
pub struct Encoder<'a> {
    /// Which instruction set there is.
    pub arch: Arch,
    /// What follows the affine map.
    pub activation: Activation,
    /// The parameters.
    pub layers: &'a Layers,
    /// The samples, with the decoder's bias taken away if that is the form.
    pub x: PaddedRows<'a>,
    /// The encoder and the samples in bf16, if that is the precision.
    pub narrow: Option<(&'a Narrow, &'a Bf16Inputs)>,
}

/// What is learnt of a dense code while it is made.
pub struct Seen<'a> {
    /// The active latents of each sample in each tile, [tiles, samples]; with thresholds, the codes that are active or
    /// marked.
    pub counts: &'a mut Vec<u32>,
    /// Which latents are active.
    pub rule: L0Rule,
    /// What thresholds do to codes, where the penalty has them.
    pub jump: &'a mut JumpBuffers,
    /// What is added to codes, [samples, latents], and where they are kept without it.
    pub noise: Option<(&'a Matrix, &'a mut Matrix)>,
    /// Terms of each latent's mean, and what their slopes are multiplied by.
    pub terms: &'a [(f64, &'a dyn PerLatent)],
    /// Their values for each latent, [latents, terms].
    pub term_values: &'a mut [f64],
    /// The sum of their derivatives by the mean, [latents]; untouched without terms.
    pub term_slopes: &'a mut [f32],
}

/// Latents a tile: enough for the product to be efficient, few enough that threads share the work
/// evenly. It depends on nothing but the model, and so do the results.
pub fn tile_width(latents: usize) -> usize {
    latents.div_ceil(16).clamp(64, 512).next_multiple_of(16)
}

impl Encoder<'_> {
    /// The product for some latents, to the first columns of `tile`; `scratch` is for bf16.
    fn product(&self, first: usize, count: usize, tile: &mut MatMut<'_>, scratch: &mut Buffer) {
        if let Some((narrow, packed)) = self.narrow {
            let out = scratch.get(packed.batch() * count);
            narrow.tile(packed, [first, count], out, count);
            for (sample, row) in out.chunks_exact(count).enumerate() {
                tile.row_mut(sample)[..count].copy_from_slice(row);
            }
            return;
        }
        let inputs = self.layers.inputs();
        let rows = first..first + count;
        let stride = self.layers.encoder.stride();
        let weights = PaddedRows::new(
            &self.layers.encoder.as_slice()[rows.start * stride..rows.end * stride],
            stride,
        );
        matmul(self.x.view(inputs), weights.view(inputs).t(), tile, false);
    }

    fn bias(&self, first: usize, count: usize) -> &[f32] {
        &self.layers.b_enc.row(0)[first..first + count]
    }

    /// All codes, to the first rows of `code`, [samples, latents].
    pub fn dense(
        &self,
        code: &mut Matrix,
        seen: Seen<'_>,
        dead: Capture<'_>,
        scratches: &mut [Scratch],
    ) {
        let (latents, samples) = (self.layers.latents(), self.x.len());
        let width = tile_width(latents);
        seen.counts.clear();
        seen.counts.resize(samples * latents.div_ceil(width), 0);
        let tiles = code.view_mut(samples).column_tiles(width).enumerate();
        let (terms, rule) = (seen.terms, seen.rule);
        let (spread, mean) = seen.noise.unzip();
        let mut means = mean.map(|mean| mean.view_mut(samples).column_tiles(width));
        let noise = std::iter::repeat_with(move || spread.zip(means.as_mut()?.next()));
        let values_of_tile = (width * terms.len()).max(1);
        let mut values = seen.term_values.chunks_mut(values_of_tile);
        let tiles = tiles
            .zip(seen.counts.chunks_mut(samples))
            .zip(std::iter::repeat_with(move || values.next().unwrap_or_default()))
            .zip(seen.term_slopes.chunks_mut(width))
            .zip(noise)
            .zip(dead.tiles(width))
            .zip(seen.jump.tiles(width, samples));
        let work = samples * latents * self.layers.inputs();
        parallel(
            worth(scratches, work),
            tiles,
            |scratch, (((((((at, mut tile), counts), values), slopes), noise), dead), jump)| {
                let first = at * width;
                let count = width.min(latents - first);
                self.product(first, count, &mut tile, &mut scratch.tile);
                let bias = self.bias(first, count);
                let sums = &mut scratch.row;
                sums.clear();
                sums.resize(if terms.is_empty() { 0 } else { count }, 0.0);
                let activation = self.activation;
                self.arch.dispatch(DenseTile {
                    activation,
                    bias,
                    first,
                    tile,
                    noise,
                    dead,
                    jump,
                    rule,
                    counts,
                    sums,
                });
                for (at, sum) in scratch.row.iter().enumerate() {
                    let mean = f64::from(*sum) / samples as f64;
                    let values = &mut values[at * terms.len()..];
                    let slope = terms.iter().zip(values).map(|((weight, term), found)| {
                        let (value, slope) = term.value(mean, self.activation.range());
                        *found = value;
                        weight * slope
                    });
                    slopes[at] = slope.sum::<f64>() as f32;
                }
            },
        );
    }

    /// The candidates for the `k` largest codes of each sample above `floor` (NaN for no floor), in
    /// each scratch those of the tiles that its thread took.
    pub fn candidates(
        &self,
        (k, floor, by): (usize, f32, KeptBy),
        dead: Capture<'_>,
        scratches: &mut [Scratch],
    ) {
        let (latents, samples) = (self.layers.latents(), self.x.len());
        let width = tile_width(latents);
        for scratch in &mut *scratches {
            scratch.candidates.resize_with(scratch.candidates.len().max(samples), Default::default);
            scratch.candidates[..samples].iter_mut().for_each(|list| list.start(k, floor, by));
        }
        let tiles = (0..latents).step_by(width).zip(dead.tiles(width));
        parallel(scratches, tiles, |scratch, (first, dead)| {
            let count = width.min(latents - first);
            let out = scratch.tile.get(samples * count);
            if let Some((narrow, packed)) = self.narrow {
                narrow.tile(packed, [first, count], out, count);
            } else {
                let mut tile = MatMut::new(&mut *out, samples, count, count);
                self.product(first, count, &mut tile, &mut scratch.gradient);
            }
            let tile = MatMut::new(out, samples, count, count);
            self.arch.dispatch(SelectTile {
                activation: self.activation,
                bias: self.bias(first, count),
                first,
                tile,
                dead,
                candidates: &mut scratch.candidates[..samples],
            });
        });
    }
}

struct DenseTile<'a> {
    activation: Activation,
    bias: &'a [f32],
    first: usize,
    tile: MatMut<'a>,
    noise: Option<(&'a Matrix, MatMut<'a>)>,
    dead: TileCapture<'a>,
    jump: Option<JumpTile<'a>>,
    rule: L0Rule,
    counts: &'a mut [u32],
    sums: &'a mut [f32],
}

impl WithSimd for DenseTile<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { activation, bias, first, mut tile, mut noise, mut dead, .. } = self;
        let Self { mut jump, rule, counts, sums, .. } = self;
        for (at, active) in counts.iter_mut().enumerate() {
            let row = &mut tile.row_mut(at)[..bias.len()];
            dead.take(first, at, bias, row);
            activate(activation, bias, row);
            if let Some((spread, mean)) = &mut noise {
                mean.row_mut(at)[..row.len()].copy_from_slice(row);
                let spread = &spread.row(at)[first..first + row.len()];
                row.iter_mut().zip(spread).for_each(|(value, spread)| *value += spread);
            }
            *active = match &mut jump {
                Some(jump) => jump.take(at, row),
                None => rule.count(row) as u32,
            };
            sums.iter_mut().zip(&*row).for_each(|(sum, value)| *sum += value);
        }
    }
}

struct SelectTile<'a> {
    activation: Activation,
    bias: &'a [f32],
    first: usize,
    tile: MatMut<'a>,
    dead: TileCapture<'a>,
    candidates: &'a mut [Candidates],
}

impl WithSimd for SelectTile<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { activation, bias, first, mut tile, mut dead, candidates } = self;
        for (at, candidates) in candidates.iter_mut().enumerate() {
            let row = tile.row_mut(at);
            dead.take(first, at, bias, row);
            activate(activation, bias, row);
            candidates.see(first, row);
        }
    }
}
