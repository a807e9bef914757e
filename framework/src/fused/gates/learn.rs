//! What gates and magnitudes learn: the derivatives by pre-codes and by the magnitudes' parameters.

use pulp::{Simd, WithSimd};

use crate::fused::buffers::Scratch;
use crate::fused::kernels::{Buffer, MatMut, Matrix, PaddedRows, dots, matmul};
use crate::fused::learn::LatentGradient;

/// What a step learns from besides what every code has.
#[derive(Clone, Copy)]
pub struct GateLesson<'a> {
    /// The derivatives by what the decoder's affine map gave of what the gates let through, [samples, inputs].
    pub(super) g: PaddedRows<'a>,
    /// exp(r) of each latent.
    pub(super) scales: &'a [f32],
    /// s of each latent.
    pub(super) shifts: &'a [f32],
    /// Places of r and s among the penalty's own parameters.
    pub(super) own: [usize; 2],
    /// The derivative of the sum's term by each number that is let through.
    pub(super) slope: f32,
}

/// Codes, [samples, latents], what gates let through, and the derivatives of terms of codes with what these are
/// multiplied by.
pub type GatedCodes<'a> = (&'a Matrix, &'a Matrix, Option<(&'a Matrix, f32)>);

impl GateLesson<'_> {
    /// What the sums over the samples of the derivatives by codes, and of these times exp(r) (z − b), say to a latent.
    #[inline(always)]
    fn gradient(&self, latent: usize, [by_shift, by_r]: [f32; 2]) -> LatentGradient {
        let mut gradient = LatentGradient::default();
        gradient.own[self.own[0]] = by_r;
        gradient.own[self.own[1]] = by_shift;
        gradient.past_bias = by_shift * self.scales[latent];
        gradient
    }

    /// From the derivatives by the codes of a latent's entries, in `back`, to those by its pre-codes; adds what else it
    /// learns to `learnt`. Its decoder row is `atom`.
    #[inline(always)]
    pub fn back_of_list<S: Simd>(
        &self,
        simd: S,
        (latent, samples, atom): (usize, &[u32], &[f32]),
        (values, back): (&[f32], &mut [f32]),
        spare: &mut Buffer,
        learnt: &mut LatentGradient,
    ) {
        let (scale, shift) = (self.scales[latent], self.shifts[latent]);
        let of_gates = spare.get(values.len());
        dots(simd, self.g, samples, atom, of_gates);
        let (mut by_shift, mut by_r) = (0.0, 0.0);
        for ((back, value), of_gate) in back.iter_mut().zip(values).zip(of_gates) {
            let own = if *value > 0.0 { *back } else { 0.0 };
            // A value above 0 is exp(r) (z − b) + s.
            by_shift += own;
            by_r += own * (value - shift);
            *back = own * scale + *of_gate + self.slope;
        }
        let LatentGradient { own, past_bias, .. } = self.gradient(latent, [by_shift, by_r]);
        (learnt.own, learnt.past_bias) = (own, past_bias);
    }

    /// The same of `count` latents from `first` on of dense codes, whose decoder rows are `atoms`: the derivatives are
    /// in the scratch's tile, and the sums over samples of what they become go to its row. Adds to `learnt` what each
    /// latent learns besides; empty says nothing so far.
    pub fn back_of_tile(
        &self,
        arch: pulp::Arch,
        codes: GatedCodes<'_>,
        [first, count]: [usize; 2],
        atoms: PaddedRows<'_>,
        scratch: &mut Scratch,
        learnt: &mut Vec<LatentGradient>,
    ) {
        let samples = self.g.len();
        let (width, stride) = (count.next_multiple_of(16), atoms.stride());
        let Scratch { tile, row: bias, values, columns, .. } = scratch;
        let (back, of_gates) = (tile.get(samples * width), columns.get(samples * width));
        let mut out = MatMut::new(&mut *of_gates, samples, width, width);
        matmul(self.g.view(stride), atoms.view(stride).t(), &mut out, false);
        for sums in [&mut *bias, &mut *values] {
            sums.clear();
        }
        bias.resize(width, 0.0);
        values.resize(2 * count, 0.0);
        let (by_shift, by_r) = values.split_at_mut(count);
        let sums = [&mut **bias, &mut *by_shift, &mut *by_r];
        arch.dispatch(BackOfTile { lesson: self, codes, first, count, back, of_gates, sums });
        learnt.resize(count, LatentGradient::default());
        let sums = by_shift.iter().zip(&*by_r);
        for ((at, learnt), (by_shift, by_r)) in learnt.iter_mut().enumerate().zip(sums) {
            let found = self.gradient(first + at, [*by_shift, *by_r]);
            (learnt.own, learnt.past_bias) = (found.own, found.past_bias);
        }
    }
}

struct BackOfTile<'a> {
    lesson: &'a GateLesson<'a>,
    codes: GatedCodes<'a>,
    first: usize,
    count: usize,
    back: &'a mut [f32],
    of_gates: &'a [f32],
    /// The sums over samples of the derivatives by pre-codes, by s and by r.
    sums: [&'a mut [f32]; 3],
}

impl WithSimd for BackOfTile<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { lesson, codes, first, count, back, of_gates, sums } = self;
        let (values, gates, terms) = codes;
        let [bias, by_shift, by_r] = sums;
        let (width, latents) = (bias.len(), first..first + count);
        let bias = &mut bias[..count];
        let (scales, shifts) = (&lesson.scales[latents.clone()], &lesson.shifts[latents.clone()]);
        let rows = back.chunks_exact_mut(width).zip(of_gates.chunks_exact(width));
        for (sample, (back, of_gates)) in rows.enumerate() {
            let (back, of_gates) = (&mut back[..count], &of_gates[..count]);
            if let Some((terms, weight)) = terms {
                let terms = &terms.row(sample)[latents.clone()];
                back.iter_mut().zip(terms).for_each(|(back, slope)| *back += weight * slope);
            }
            let values = &values.row(sample)[latents.clone()];
            let gates = &gates.row(sample)[latents.clone()];
            for at in 0..count {
                let own = if values[at] > 0.0 { back[at] } else { 0.0 };
                let of_gate = if gates[at] > 0.0 { of_gates[at] + lesson.slope } else { 0.0 };
                by_shift[at] += own;
                by_r[at] += own * (values[at] - shifts[at]);
                back[at] = own * scales[at] + of_gate;
                bias[at] += back[at];
            }
        }
    }
}
