//! The penalty's own parameters, one number a latent: their gradients are collected latent by latent, and used once
//! all latents have been.

use pulp::{Arch, Simd, WithSimd};

use super::columns::MOST_OWN;
use super::{GradientUse, RowKind, RowUse, WithMoments};
use crate::fused::kernels::Matrix;
use crate::fused::tensors::OwnTensor;

/// Uses the gradients of the penalty's own parameters, [latents, parameters], and returns what the use sums. The second
/// moments may be missing.
pub fn learn_own<U: GradientUse>(
    arch: Arch,
    uses: &RowUse<'_, U>,
    gradients: &[[f32; MOST_OWN]],
    tensors: &mut [OwnTensor],
    (first, second): (&mut [OwnTensor], &mut [OwnTensor]),
) -> f64 {
    let mut sum = [0.0];
    let seconds = second.iter_mut().map(Some).chain(std::iter::repeat_with(|| None));
    let all = tensors.iter_mut().zip(first).zip(seconds).enumerate();
    for (at, ((own, first), second)) in all {
        let of_own: Vec<f32> = gradients.iter().map(|of_latent| of_latent[at]).collect();
        let mut gradient = Matrix::from_rows(&of_own, of_own.len());
        let tensor = WithMoments {
            values: own.values.as_mut_slice(),
            first: first.values.as_mut_slice(),
            second: second.map(|own| own.values.as_mut_slice()).unwrap_or_default(),
        };
        let gradient = gradient.row_mut(0);
        arch.dispatch(LearnOwn { uses, gradient, tensor, sum: &mut sum });
        if U::MOVES {
            own.enforce();
        }
    }
    sum[0]
}

struct LearnOwn<'a, U> {
    uses: &'a RowUse<'a, U>,
    gradient: &'a mut [f32],
    tensor: WithMoments<'a>,
    sum: &'a mut [f64],
}

impl<U: GradientUse> WithSimd for LearnOwn<'_, U> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { uses, gradient, tensor, sum } = self;
        let kind = RowKind { side: None, unit: false, inputs: gradient.len() };
        uses.take(simd, gradient, tensor, kind, sum);
    }
}
