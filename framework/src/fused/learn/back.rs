//! The derivatives by what the encoder's affine map gave. A level on its own makes them while it learns, tile by
//! tile; one that has levels around it, which need them too, makes them all before anything moves.

use pulp::{Simd, WithSimd};

use super::columns::{LatentGradient, LatentRows};
use super::{BatchCode, DENSE_TILE, GradientUse, LIST_TILE, Lesson};
use crate::fused::buffers::Scratch;
use crate::fused::kernels::{
    Buffer, MatMut, Matrix, PaddedRows, differentiate, dots, matmul, slope, through,
};
use crate::fused::layers::Layers;
use crate::fused::lists::Lists;
use crate::fused::parallel::{parallel, worth};
use crate::plugin::Activation;

/// The derivatives of a batch, in the form of its codes.
#[derive(Default)]
pub struct Back {
    /// [samples, latents], where codes are dense.
    pub dense: Matrix,
    /// Of each entry of the lists by latent.
    pub by_latent: Vec<f32>,
    /// The same in the order of the lists by sample, where levels around need them.
    pub by_sample: Vec<f32>,
    /// What each latent learns besides; empty for zeros.
    factors: Vec<LatentGradient>,
}

impl Back {
    /// Room for those of codes of so many latents.
    pub fn new(latents: usize) -> Self {
        Self { dense: Matrix::zeros(0, latents), ..Self::default() }
    }
}

/// Derivatives that are there before a level learns.
#[derive(Clone, Copy)]
pub struct Given<'a>(pub &'a Back);

impl<'a> Given<'a> {
    /// Those of the entries of a latent, and what it learns besides.
    #[inline(always)]
    pub(super) fn of_latent(self, lists: &Lists, latent: usize) -> (&'a [f32], LatentGradient) {
        let factors = self.0.factors.get(latent).copied().unwrap_or_default();
        (&self.0.by_latent[lists.places_of_latent(latent)], factors)
    }

    /// Those of `count` latents from `first` on, to the scratch, with the sums over samples; and what these latents
    /// learn besides.
    pub(super) fn tile(
        self,
        [first, count]: [usize; 2],
        samples: usize,
        scratch: &mut Scratch,
    ) -> Vec<LatentGradient> {
        let width = count.next_multiple_of(16);
        let Scratch { tile, row: bias, .. } = scratch;
        bias.clear();
        bias.resize(width, 0.0);
        let rows = tile.get(samples * width).chunks_exact_mut(width);
        for (sample, row) in rows.enumerate() {
            row[..count].copy_from_slice(&self.0.dense.row(sample)[first..first + count]);
            bias.iter_mut().zip(&row[..count]).for_each(|(sum, value)| *sum += value);
        }
        self.0.factors.get(first..first + count).unwrap_or_default().to_vec()
    }
}

/// Latents a task where codes are dense.
pub(super) fn dense_tile(latents: usize) -> usize {
    DENSE_TILE.min(latents.div_ceil(4).next_multiple_of(16))
}

impl<U: GradientUse> Lesson<'_, U> {
    /// Makes the derivatives of the whole batch; in the order of the samples too where levels around need them.
    /// Returns the sum of each term of columns.
    pub fn back(
        &self,
        layers: &Layers,
        has_outer: bool,
        back: &mut Back,
        scratches: &mut [Scratch],
    ) -> Vec<f64> {
        let (latents, samples, stride) = (layers.latents(), self.x.len(), self.x.stride());
        let width = match self.code {
            BatchCode::Lists { .. } => LIST_TILE,
            BatchCode::Dense { .. } => dense_tile(latents),
        };
        let Back { dense, by_latent, by_sample, factors } = back;
        factors.clear();
        factors.resize(latents, LatentGradient::default());
        let count = self.columns.len();
        let mut sums = vec![0.0; latents.div_ceil(width) * count];
        let rows_of = |first: usize, count: usize| {
            let range = first * stride..(first + count) * stride;
            LatentRows {
                encoder: &layers.encoder.as_slice()[range.clone()],
                decoder: &layers.dictionary().as_slice()[range],
            }
        };
        let mut sums_of_tiles = sums.chunks_mut(count.max(1));
        let of_tiles = factors
            .chunks_mut(width)
            .zip(std::iter::repeat_with(move || sums_of_tiles.next().unwrap_or_default()))
            .enumerate();
        match self.code {
            BatchCode::Dense { code, before, gradients, whole } => {
                dense.reserve_rows(samples);
                let tiles = of_tiles.zip(dense.view_mut(samples).column_tiles(width));
                let scratches = worth(scratches, samples * latents * layers.inputs());
                parallel(scratches, tiles, |scratch, ((at, (factors, sums)), mut tile)| {
                    let range = [at * width, factors.len()];
                    let rows = rows_of(range[0], range[1]);
                    let codes = ([code, before], gradients, whole);
                    let found = self.back_of_tile(codes, range, rows, scratch, sums);
                    factors.iter_mut().zip(found).for_each(|(factors, found)| *factors = found);
                    let width = range[1].next_multiple_of(16);
                    let made = scratch.tile.get(samples * width).chunks_exact(width);
                    for (sample, row) in made.enumerate() {
                        tile.row_mut(sample)[..range[1]].copy_from_slice(&row[..range[1]]);
                    }
                });
            }
            BatchCode::Lists { lists, term } => {
                by_latent.clear();
                by_latent.resize(lists.entries(), 0.0);
                let mut rest = by_latent.as_mut_slice();
                let tiles = of_tiles.map(|(at, (factors, sums))| {
                    let latents = at * width..at * width + factors.len();
                    let size = lists.places_of_latents(latents.clone()).len();
                    let (own, others) = std::mem::take(&mut rest).split_at_mut(size);
                    rest = others;
                    (latents.start, factors, sums, own)
                });
                parallel(scratches, tiles, |scratch, (first, factors, sums, back)| {
                    let rows = rows_of(first, factors.len());
                    self.arch.dispatch(BackOfLists {
                        lesson: self,
                        lists,
                        term,
                        first,
                        rows,
                        factors,
                        sums,
                        back,
                        scratch,
                    });
                });
                if has_outer {
                    by_sample.clear();
                    by_sample.resize(lists.room(), 0.0);
                    lists.each_place(|entry, place| by_sample[place] = by_latent[entry]);
                }
            }
        }
        if count == 0 && !self.has_own {
            // Then they say nothing.
            factors.clear();
        }
        (0..count).map(|at| sums.iter().skip(at).step_by(count).sum()).collect()
    }

    /// Makes the derivatives of `count` latents from `first` on of a dense code, after and before it is
    /// constrained, to the scratch, with their sums over samples. The rows are those of these latents; the sums of
    /// the terms of columns are added to `sums`. Returns what they learn besides.
    pub(super) fn back_of_tile(
        &self,
        ([code, before], gradients, whole): ([&Matrix; 2], Option<&Matrix>, bool),
        [first, count]: [usize; 2],
        rows: LatentRows<'_>,
        scratch: &mut Scratch,
        sums: &mut [f64],
    ) -> Vec<LatentGradient> {
        let (samples, stride) = (self.x.len(), self.x.stride());
        let dictionary = PaddedRows::new(&rows.decoder[..count * stride], stride);
        let width = count.next_multiple_of(16);
        let Scratch { tile: back, row: bias, values: more, columns, .. } = scratch;
        let back = back.get(samples * width);
        match gradients.filter(|_| whole) {
            Some(whole) => {
                for (sample, back) in back.chunks_exact_mut(width).enumerate() {
                    back[..count].copy_from_slice(&whole.row(sample)[first..][..count]);
                }
            }
            None => {
                let mut out = MatMut::new(back, samples, width, width);
                matmul(self.g.view(stride), dictionary.view(stride).t(), &mut out, false);
            }
        }
        let mut factors = Vec::new();
        if !self.columns.is_empty() {
            let back = (&mut *back, width);
            let code = [code, before];
            factors = self.columns_of_tile(code, [first, count], rows, back, columns, sums);
        }
        if let Some(gates) = &self.gates {
            let terms = gradients.map(|gradients| (gradients, self.weight));
            let range = [first, count];
            let codes = (code, before, terms);
            gates.back_of_tile(self.arch, codes, range, dictionary, scratch, &mut factors);
            return factors;
        }
        bias.clear();
        bias.resize(width, 0.0);
        more.clear();
        more.resize(count, 0.0);
        let mut of_thresholds = vec![0.0; if self.jump.is_some() { count } else { 0 }];
        self.arch.dispatch(ThroughActivation {
            lesson: self,
            code: before,
            gradients: gradients.filter(|_| !whole),
            first,
            count,
            back,
            bias,
            more,
            of_thresholds: &mut of_thresholds,
        });
        if let Some(jump) = self.jump {
            factors.resize(count, LatentGradient::default());
            let all = factors.iter_mut().zip(of_thresholds);
            all.for_each(|(factors, sum)| factors.own[0] = jump.of_sum(sum));
        }
        factors
    }

    /// Makes the derivatives of the entries of a latent, to `back`; `values` are those of the entries. The sums of
    /// the terms of columns are added to `sums`. Returns what they learn besides.
    #[inline(always)]
    pub(super) fn back_of_list<S: Simd>(
        &self,
        simd: S,
        (lists, term, latent): (&Lists, bool, usize),
        rows: LatentRows<'_>,
        (values, back): (&[f32], &mut [f32]),
        columns: &mut Buffer,
        sums: &mut [f64],
    ) -> LatentGradient {
        let (samples, places) = lists.of_latent(latent);
        dots(simd, self.g, lists.rows_of_latent(latent), rows.decoder, back);
        let mut factors = LatentGradient::default();
        if !self.columns.is_empty() {
            factors = self.column_of_list((values, &mut *back), samples, rows, columns, sums);
        }
        let more_slope = self.slopes.get(latent).map_or(0.0, |slope| slope * self.weight);
        if let Some(jump) = self.jump {
            for (pre, place) in back.iter_mut().zip(places) {
                let own = if term { lists.gradients[*place as usize] * self.weight } else { 0.0 };
                *pre += more_slope + own;
            }
            factors.own[0] = jump.of_list(latent, values, back);
            return factors;
        }
        for ((pre, value), place) in back.iter_mut().zip(values).zip(places) {
            let own = if term { lists.gradients[*place as usize] * self.weight } else { 0.0 };
            *pre = (*pre + more_slope + own) * slope(self.form.activation, *value);
        }
        if let Some(gates) = &self.gates {
            let of = (latent, samples, rows.decoder);
            gates.back_of_list(simd, of, (values, back), columns, &mut factors);
        }
        factors
    }
}

/// The derivatives of the entries of some latents.
struct BackOfLists<'a, 'b, U> {
    lesson: &'a Lesson<'a, U>,
    lists: &'a Lists,
    term: bool,
    first: usize,
    rows: LatentRows<'a>,
    factors: &'a mut [LatentGradient],
    sums: &'a mut [f64],
    back: &'b mut [f32],
    scratch: &'a mut Scratch,
}

impl<U: GradientUse> WithSimd for BackOfLists<'_, '_, U> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { lesson, lists, term, first, rows, factors, sums, back, scratch } = self;
        let Scratch { values, columns, .. } = scratch;
        let stride = lesson.x.stride();
        let mut rest = back;
        for (at, factors) in factors.iter_mut().enumerate() {
            let (_, places) = lists.of_latent(first + at);
            values.clear();
            values.extend(places.iter().map(|place| lists.values[*place as usize]));
            let (own, others) = std::mem::take(&mut rest).split_at_mut(places.len());
            rest = others;
            let row = at * stride..(at + 1) * stride;
            let rows =
                LatentRows { encoder: &rows.encoder[row.clone()], decoder: &rows.decoder[row] };
            let entries = (lists, term, first + at);
            *factors = lesson.back_of_list(simd, entries, rows, (values, own), columns, sums);
        }
    }
}

/// From derivatives by the code to derivatives by the pre-code, and their sums for the bias.
struct ThroughActivation<'a, U> {
    lesson: &'a Lesson<'a, U>,
    code: &'a Matrix,
    gradients: Option<&'a Matrix>,
    first: usize,
    count: usize,
    back: &'a mut [f32],
    bias: &'a mut [f32],
    more: &'a mut [f32],
    /// Sums of what thresholds learn; empty without them.
    of_thresholds: &'a mut [f32],
}

impl<U: GradientUse> WithSimd for ThroughActivation<'_, U> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { lesson, code, gradients, first, count, back, bias, more, of_thresholds } = self;
        let width = bias.len();
        let columns = first..first + count;
        let weight = lesson.weight;
        if !lesson.slopes.is_empty() {
            let slopes = &lesson.slopes[columns.clone()];
            more.iter_mut().zip(slopes).for_each(|(more, slope)| *more = weight * slope);
        }
        for (sample, back) in back.chunks_exact_mut(width).take(lesson.x.len()).enumerate() {
            let back = &mut back[..count];
            let code = &code.row(sample)[columns.clone()];
            if let Some(gradients) = gradients {
                let gradients = &gradients.row(sample)[columns.clone()];
                back.iter_mut().zip(gradients).for_each(|(back, own)| *back += weight * own);
            }
            match lesson.jump {
                Some(jump) => {
                    back.iter_mut().zip(&*more).for_each(|(back, more)| *back += more);
                    jump.add_row(first, code, back, of_thresholds);
                    differentiate(Activation::Relu, code, back);
                }
                None => through(lesson.form.activation, code, more, back),
            }
            bias.iter_mut().zip(&*back).for_each(|(sum, value)| *sum += value);
        }
    }
}
