//! Learning from dense codes: products for a tile of latents, then its rows one after another.

use pulp::{Simd, WithSimd};

use super::columns::{LatentRows, add_multiple};
use super::{GradientUse, LatentTile, Lesson, WithMoments};
use crate::fused::buffers::Scratch;
use crate::fused::kernels::{Mat, MatMut, Matrix, PaddedRows, matmul, through};
use crate::model::Side;

impl<U: GradientUse> Lesson<'_, U> {
    pub(super) fn learn_dense(
        &self,
        [code, before]: [&Matrix; 2],
        gradients: Option<&Matrix>,
        whole: bool,
        tile: LatentTile<'_>,
        scratch: &mut Scratch,
    ) {
        let (samples, stride) = (self.x.len(), self.x.stride());
        let latents = code.columns();
        let count = (tile.encoder.values.len() / stride).min(latents - tile.first);
        let dictionary = if self.form.tied { &tile.encoder } else { &tile.decoder };
        let dictionary = PaddedRows::new(&dictionary.values[..count * stride], stride);

        let width = count.next_multiple_of(16);
        let Scratch { tile: back, gradient, row: bias, values: more, columns, .. } = scratch;
        let back = back.get(samples * width);
        match gradients.filter(|_| whole) {
            Some(whole) => {
                for (sample, back) in back.chunks_exact_mut(width).enumerate() {
                    back[..count].copy_from_slice(&whole.row(sample)[tile.first..][..count]);
                }
            }
            None => {
                let mut out = MatMut::new(back, samples, width, width);
                matmul(self.g.view(stride), dictionary.view(stride).t(), &mut out, false);
            }
        }
        let mut factors = Vec::new();
        if !self.columns.is_empty() {
            let decoder = if self.form.tied { &tile.encoder } else { &tile.decoder };
            let rows = LatentRows { encoder: tile.encoder.values, decoder: decoder.values };
            let (range, back) = ([tile.first, count], (&mut *back, width));
            let sums = &mut tile.sums[1 + self.weight_terms.len()..];
            factors = self.columns_of_tile([code, before], range, rows, back, columns, sums);
        }
        bias.clear();
        bias.resize(width, 0.0);
        more.clear();
        more.resize(count, 0.0);
        self.arch.dispatch(ThroughActivation {
            lesson: self,
            code: before,
            gradients: gradients.filter(|_| !whole),
            first: tile.first,
            count,
            back: &mut *back,
            bias: &mut *bias,
            more: &mut *more,
        });

        let code = code.view(samples).columns(tile.first, count);
        let back = Mat::new(back, samples, count, width);
        let gradient = gradient.get(count * stride);
        let product = |gradient: &mut [f32], codes: Mat<'_>, rows: PaddedRows<'_>, add| {
            let mut out = MatMut::new(gradient, count, stride, stride);
            matmul(codes.t(), rows.view(stride), &mut out, add);
        };
        let LatentTile { mut encoder, b_enc, mut decoder, mut narrow, pull, sums, .. } = tile;
        self.arch.dispatch(Pull { bias, encoder: encoder.values, stride, pull });
        product(gradient, code, self.g, false);
        let own = if self.form.tied { &*encoder.values } else { &*decoder.values };
        let rows = gradient.chunks_exact_mut(stride).zip(own.chunks_exact(stride));
        for (factors, (gradient, row)) in factors.iter().zip(rows) {
            add_multiple(gradient, factors.decoder, row);
        }
        if !self.form.tied {
            self.arch.dispatch(UpdateRows {
                lesson: self,
                gradient: &mut *gradient,
                tensor: &mut decoder,
                stride,
                side: Side::Decoder,
                sums: &mut *sums,
            });
        }
        product(gradient, back, self.x, self.form.tied);
        let rows = gradient.chunks_exact_mut(stride).zip(encoder.values.chunks_exact(stride));
        for (factors, (gradient, row)) in factors.iter().zip(rows) {
            add_multiple(gradient, factors.encoder, row);
        }
        self.arch.dispatch(UpdateRows {
            lesson: self,
            gradient,
            tensor: &mut encoder,
            stride,
            side: if self.form.tied { Side::Both } else { Side::Encoder },
            sums: &mut *sums,
        });
        if let Some(narrow) = &mut narrow {
            (0..count).for_each(|at| narrow.update(at, &encoder.values[at * stride..][..stride]));
        }
        self.arch.dispatch(UpdateAll { lesson: self, gradient: bias, tensor: b_enc, sums });
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
}

impl<U: GradientUse> WithSimd for ThroughActivation<'_, U> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { lesson, code, gradients, first, count, back, bias, more } = self;
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
            through(lesson.form.activation, code, more, back);
            bias.iter_mut().zip(&*back).for_each(|(sum, value)| *sum += value);
        }
    }
}

struct Pull<'a> {
    bias: &'a [f32],
    encoder: &'a [f32],
    stride: usize,
    pull: &'a mut [f32],
}

impl WithSimd for Pull<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { bias, encoder, stride, pull } = self;
        pull.fill(0.0);
        if !pull.is_empty() {
            for (bias, row) in bias.iter().zip(encoder.chunks_exact(stride)) {
                pull.iter_mut().zip(row).for_each(|(sum, value)| *sum += bias * value);
            }
        }
    }
}

struct UpdateRows<'a, 'b, U> {
    lesson: &'a Lesson<'a, U>,
    gradient: &'a mut [f32],
    tensor: &'a mut WithMoments<'b>,
    stride: usize,
    side: Side,
    sums: &'a mut [f64],
}

impl<U: GradientUse> WithSimd for UpdateRows<'_, '_, U> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (at, gradient) in self.gradient.chunks_exact_mut(self.stride).enumerate() {
            let row = self.tensor.row(at, self.stride);
            self.lesson.take(simd, gradient, row, Some(self.side), self.sums);
        }
    }
}

struct UpdateAll<'a, U> {
    lesson: &'a Lesson<'a, U>,
    gradient: &'a mut [f32],
    tensor: WithMoments<'a>,
    sums: &'a mut [f64],
}

impl<U: GradientUse> WithSimd for UpdateAll<'_, U> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { lesson, gradient, tensor, sums } = self;
        let size = tensor.values.len();
        lesson.take(simd, &mut gradient[..size], tensor, None, sums);
    }
}
