//! Learning from dense codes: products for a tile of latents, then its rows one after another.

use pulp::{Simd, WithSimd};

use super::columns::{LatentRows, add_multiple};
use super::{GradientUse, LatentTile, Lesson, WithMoments};
use crate::fused::buffers::Scratch;
use crate::fused::dead::DeadRow;
use crate::fused::kernels::{Mat, MatMut, Matrix, PaddedRows, matmul};
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
        let count = (tile.encoder.values.len() / stride).min(code.columns() - tile.first);
        let range = [tile.first, count];
        let factors = match self.given {
            Some(given) => given.tile(range, samples, scratch),
            None => {
                let decoder = if self.form.tied { &tile.encoder } else { &tile.decoder };
                let rows = LatentRows { encoder: tile.encoder.values, decoder: decoder.values };
                let sums = &mut tile.sums[1 + self.uses.weight_terms.len()..];
                self.back_of_tile(([code, before], gradients, whole), range, rows, scratch, sums)
            }
        };
        let width = count.next_multiple_of(16);
        let Scratch { tile: back, gradient, row: bias, columns: spare, .. } = scratch;
        for dead in self.dead {
            let own = bias.iter_mut().take(count).zip(tile.first..);
            own.for_each(|(bias, latent)| *bias += dead.by_bias(latent));
        }
        let first = tile.first;
        let back = back.get(samples * width);
        let code = code.view(samples).columns(tile.first, count);
        let back = Mat::new(back, samples, count, width);
        let gradient = gradient.get(count * stride);
        let product = |gradient: &mut [f32], codes: Mat<'_>, rows: PaddedRows<'_>, add| {
            let mut out = MatMut::new(gradient, count, stride, stride);
            matmul(codes.t(), rows.view(stride), &mut out, add);
        };
        let LatentTile { mut encoder, b_enc, mut decoder, mut narrow, pull, own, sums, .. } = tile;
        self.arch.dispatch(Pull { bias, encoder: encoder.values, stride, pull });
        for (own, (bias, factors)) in own.iter_mut().zip(bias.iter_mut().zip(&factors)) {
            *own = factors.own;
            *bias -= factors.past_bias;
        }
        product(gradient, code, self.g, false);
        let atoms = if self.form.tied { &*encoder.values } else { &*decoder.values };
        let rows = gradient.chunks_exact_mut(stride).zip(atoms.chunks_exact(stride));
        for (factors, (gradient, row)) in factors.iter().zip(rows) {
            add_multiple(gradient, factors.decoder, row);
        }
        let mut add_dead = |gradient: &mut [f32], row| {
            if !self.dead.is_empty() {
                for (at, gradient) in gradient.chunks_exact_mut(stride).enumerate() {
                    self.add_dead(first + at, row, gradient, spare);
                }
            }
        };
        add_dead(gradient, DeadRow::Decoder);
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
        add_dead(gradient, DeadRow::Encoder(self.x));
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
