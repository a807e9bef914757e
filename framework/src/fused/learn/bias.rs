//! The decoder's bias, the only parameter that every sample and every latent may move.

use pulp::{Simd, WithSimd};

use super::{GradientUse, Lesson, WithMoments};
use crate::fused::kernels::Matrix;

/// The decoder's bias: the sum of the derivatives over samples, less what subtracting it from the
/// input does.
pub struct LearnBias<'a, U> {
    pub lesson: &'a Lesson<'a, U>,
    pub pulls: Option<(&'a Matrix, usize)>,
    pub gradient: &'a mut [f32],
    pub tensor: WithMoments<'a>,
    pub sums: &'a mut [f64],
}

impl<U: GradientUse> WithSimd for LearnBias<'_, U> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { lesson, pulls, gradient, tensor, sums } = self;
        gradient.fill(0.0);
        // The first row of a sample has all that its prefixes say.
        let rows = (0..lesson.g.len()).step_by(lesson.g.len() / lesson.x.len().max(1));
        for sample in rows {
            let row = lesson.g.row(sample);
            gradient.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        if let Some((pulls, tiles)) = pulls {
            for tile in 0..tiles {
                let row = pulls.row(tile);
                gradient.iter_mut().zip(row).for_each(|(sum, value)| *sum -= value);
            }
        }
        lesson.take(simd, gradient, tensor, None, sums);
    }
}
