//! What dead latents learn from their prediction of the error.

use pulp::{Arch, Simd, WithSimd};

use super::Prediction;
use crate::fused::buffers::Scratch;
use crate::fused::kernels::{Buffer, Matrix, PaddedRows, dots, weighted_sum};
use crate::fused::layers::Layers;
use crate::fused::outer::Decoded;
use crate::fused::parallel::parallel;

/// Latents a task.
const TILE: usize = 32;

/// Which of a latent's rows learns.
#[derive(Clone, Copy)]
pub enum DeadRow<'a> {
    /// The encoder's, from these samples.
    Encoder(PaddedRows<'a>),
    /// The decoder's.
    Decoder,
}

impl Prediction {
    /// Makes the derivatives by the pre-codes; in the order of the samples too where levels around need them.
    pub(super) fn back(
        &mut self,
        arch: Arch,
        layers: &Layers,
        has_outer: bool,
        scratches: &mut [Scratch],
    ) {
        let Self { lists, rows, values, back, by_sample, errors, .. } = self;
        let dictionary = layers.dictionary();
        lists.sort_by_latent(dictionary.rows(), false);
        let (lists, rows) = (&*lists, rows.first_rows(errors.len()));
        for numbers in [&mut *values, &mut *back] {
            numbers.clear();
            numbers.resize(lists.entries(), 0.0);
        }
        let mut rest = (values.as_mut_slice(), back.as_mut_slice());
        let tiles = (0..dictionary.rows()).step_by(TILE).map(|first| {
            let latents = first..dictionary.rows().min(first + TILE);
            let size = lists.places_of_latents(latents.clone()).len();
            let (values, back) = std::mem::take(&mut rest);
            let (values, back) = (values.split_at_mut(size), back.split_at_mut(size));
            rest = (values.1, back.1);
            (latents, values.0, back.0)
        });
        parallel(scratches, tiles, |_, (latents, values, mut rest)| {
            let first = lists.places_of_latent(latents.start).start;
            for latent in latents {
                let (samples, places) = lists.of_latent(latent);
                let (out, others) = std::mem::take(&mut rest).split_at_mut(samples.len());
                rest = others;
                let own = &mut values[lists.places_of_latent(latent).start - first..];
                for (value, place) in own.iter_mut().zip(places) {
                    *value = lists.values[*place as usize];
                }
                let atom = dictionary.row(latent);
                arch.dispatch(Products { rows, samples, atom, out });
            }
        });
        if has_outer {
            by_sample.clear();
            by_sample.resize(lists.room(), 0.0);
            lists.each_place(|entry, place| by_sample[place] = back[entry]);
        }
    }

    /// The derivative by the bias of a latent.
    #[inline(never)]
    pub fn by_bias(&self, latent: usize) -> f32 {
        self.back[self.lists.places_of_latent(latent)].iter().sum()
    }

    /// Adds what a latent learns to the gradient of one of its rows.
    #[cold]
    #[inline(never)]
    pub fn add_to(
        &self,
        arch: Arch,
        latent: usize,
        row: DeadRow<'_>,
        gradient: &mut [f32],
        spare: &mut Buffer,
    ) {
        let (of, _) = self.lists.of_latent(latent);
        if of.is_empty() {
            return;
        }
        let entries = self.lists.places_of_latent(latent);
        let (rows, weights) = match row {
            DeadRow::Encoder(x) => (x, &self.back[entries]),
            DeadRow::Decoder => (self.rows.first_rows(self.errors.len()), &self.values[entries]),
        };
        let start = spare.get(gradient.len());
        start.copy_from_slice(gradient);
        arch.dispatch(Add { rows, of, weights, start, out: gradient });
    }

    /// Adds the derivatives by what the level that makes the code maps of a sample to `row`.
    pub fn add_back(&self, arch: Arch, encoder: &Matrix, sample: usize, row: &mut [f32]) {
        let range = self.lists.range(sample);
        let (of, weights) = (&self.lists.latents[range.clone()], &self.by_sample[range]);
        let start = &row.to_vec();
        arch.dispatch(Add {
            rows: encoder.first_rows(encoder.rows()),
            of,
            weights,
            start,
            out: row,
        });
    }

    /// What the decoder of the outer level `level` maps, and the derivatives by what it gives.
    pub fn decoded(&self, level: usize) -> Decoded<'_> {
        self.outer[level].decoded(self.errors.len())
    }
}

struct Products<'a> {
    rows: PaddedRows<'a>,
    samples: &'a [u32],
    atom: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        dots(simd, self.rows, self.samples, self.atom, self.out);
    }
}

/// out ← start + the weighted sum of some rows.
struct Add<'a> {
    rows: PaddedRows<'a>,
    of: &'a [u32],
    weights: &'a [f32],
    start: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { rows, of, weights, start, out } = self;
        weighted_sum(simd, rows, of, weights, Some(start), out);
    }
}
