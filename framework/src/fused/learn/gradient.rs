//! What becomes of a gradient once it is made.

use pulp::Simd;

use super::WithMoments;
use crate::fused::kernels::{Update, dot};

/// What a lesson does with its gradients, one row after another. Each use is compiled by itself, so that
/// plain steps know nothing of the others.
pub trait GradientUse: Copy + Send + Sync {
    /// Whether it moves parameters.
    const MOVES: bool = true;

    /// Uses the gradient of a row of whole vectors, which with `unit` has norm 1 before it; what is summed
    /// over all rows is added to `squares`.
    fn take<S: Simd>(
        self,
        simd: S,
        gradient: &mut [f32],
        row: WithMoments<'_>,
        unit: bool,
        squares: &mut f64,
    );
}

/// Moves the parameters.
impl GradientUse for Update {
    #[inline(always)]
    fn take<S: Simd>(
        self,
        simd: S,
        gradient: &mut [f32],
        row: WithMoments<'_>,
        unit: bool,
        _: &mut f64,
    ) {
        if unit {
            let along = dot(simd, gradient, row.values);
            gradient.iter_mut().zip(&*row.values).for_each(|(g, value)| *g -= along * value);
        }
        self.apply(simd, gradient, row.values, row.first, row.second);
    }
}

/// Scales a row to norm 1, if it is not zero.
#[inline(always)]
pub fn normalize(row: &mut [f32]) {
    // In f64: the square of a small f32 is none.
    let square = row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>();
    if square > 0.0 {
        let scale = 1.0 / square.sqrt();
        row.iter_mut().for_each(|value| *value = (f64::from(*value) * scale) as f32);
    }
}

/// Keeps the gradients in the place of first moments and sums their squares, and moves nothing.
#[derive(Clone, Copy)]
pub struct KeepGradients;

impl GradientUse for KeepGradients {
    const MOVES: bool = false;

    #[inline(always)]
    fn take<S: Simd>(
        self,
        _: S,
        gradient: &mut [f32],
        row: WithMoments<'_>,
        _: bool,
        squares: &mut f64,
    ) {
        row.first.copy_from_slice(gradient);
        // Partial sums, so that additions do not wait for one another; rows are whole vectors.
        let mut sums = [0.0; 16];
        for values in gradient.chunks(16) {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += f64::from(*value) * f64::from(*value);
            }
        }
        *squares += sums.iter().sum::<f64>();
    }
}

/// Moves the parameters along gradients times a factor.
#[derive(Clone, Copy)]
pub struct ScaledGradients {
    pub update: Update,
    pub factor: f32,
}

impl GradientUse for ScaledGradients {
    #[inline(always)]
    fn take<S: Simd>(
        self,
        simd: S,
        gradient: &mut [f32],
        row: WithMoments<'_>,
        unit: bool,
        squares: &mut f64,
    ) {
        gradient.iter_mut().for_each(|value| *value *= self.factor);
        self.update.take(simd, gradient, row, unit, squares);
    }
}
