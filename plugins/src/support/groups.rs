//! Groups of neighbouring latents, and the sum of their norms. Norms are smoothed in value and gradient alike: a
//! bare root has no gradient at an all-zero group.

use std::num::NonZeroUsize;

use dfdx::prelude::{Axis, HasShape, Rank0, ReshapeTo, SumTo};
use framework::dims::{Batch, Latent};
use framework::model::{Real, Traced};
use framework::plugin::{CodeFacts, SampleCode, Unfit};

framework::dim! {
    /// Groups of latents.
    Group,
    /// Latents of a group.
    Member,
}

/// Added to a sum of squares before its root is taken.
pub const SMOOTHING: f64 = 1e-8;

/// How latents are split into groups of neighbours.
#[derive(Clone, Copy)]
pub struct Groups {
    /// Latents a group.
    pub size: NonZeroUsize,
    /// Whether each group's norm counts by the root of its size.
    pub scale_by_size: bool,
}

impl Groups {
    /// Refuses a size that does not divide the latents.
    ///
    /// # Errors
    /// The sizes that do.
    pub fn fit(self, code: &CodeFacts) -> Result<(), Unfit> {
        let (latents, size) = (code.latents, self.size.get());
        if latents.is_multiple_of(size) {
            return Ok(());
        }
        let divisors: Vec<String> = (1..=latents)
            .filter(|n| latents.is_multiple_of(*n))
            .take(8)
            .map(|n| n.to_string())
            .collect();
        let message = format!(
            "groups of {size} do not divide {latents} latents; the smallest sizes that do: {}",
            divisors.join(", ")
        );
        Err(Unfit::new("group_size", message))
    }

    /// The mean over samples of the sum over groups of √(Σ h² + 1e-8).
    pub fn mean_norms<E: Real>(self, code: Traced<(Batch, Latent), E>) -> Traced<Rank0, E> {
        let (batch, Latent(latents)) = *code.shape();
        let size = self.size.get();
        let groups = code.reshape_like(&(batch, Group(latents / size), Member(size)));
        let squares = groups.square().sum::<(Batch, Group), Axis<2>>();
        let norms = (squares + E::of(SMOOTHING)).sqrt().sum::<Rank0, _>();
        norms * E::of(self.factor() / batch.0 as f64)
    }

    fn factor(self) -> f64 {
        if self.scale_by_size { (self.size.get() as f64).sqrt() } else { 1.0 }
    }

    /// The sum over the groups of a sample by hand; `weight` times its derivatives goes to `gradient`.
    #[inline(always)]
    pub fn sum_norms(self, code: SampleCode<'_>, weight: f32, gradient: &mut [f32]) -> f64 {
        let (size, factor) = (self.size.get(), self.factor());
        let mut sum = 0.0;
        let mut group = |values: &[f32], gradient: &mut [f32]| {
            let norm = (squares(values) + SMOOTHING as f32).sqrt();
            let scale = weight * factor as f32 / norm;
            gradient.iter_mut().zip(values).for_each(|(g, value)| *g = value * scale);
            sum += f64::from(norm);
        };
        let silent = match code.latents {
            None => {
                let groups = code.values.chunks_exact(size).zip(gradient.chunks_exact_mut(size));
                groups.for_each(|(values, gradient)| group(values, gradient));
                0
            }
            Some(latents) => {
                let (mut start, mut seen) = (0, 0);
                let same = |a: &u32, b: &u32| *a as usize / size == *b as usize / size;
                for latents in latents.chunk_by(same) {
                    let range = start..start + latents.len();
                    group(&code.values[range.clone()], &mut gradient[range.clone()]);
                    (start, seen) = (range.end, seen + 1);
                }
                code.size / size - seen
            }
        };
        // The norm of a silent group is what the smoothing leaves of it.
        factor * (sum + silent as f64 * SMOOTHING.sqrt())
    }
}

/// Σ value², in four partial sums, so that it is vectorised.
#[inline(always)]
fn squares(values: &[f32]) -> f32 {
    let (fours, rest) = values.as_chunks::<4>();
    let sums = fours.iter().fold([0.0; 4], |sums: [f32; 4], four| {
        std::array::from_fn(|lane| sums[lane] + four[lane] * four[lane])
    });
    let rest: f32 = rest.iter().map(|value| value * value).sum();
    (sums[0] + sums[2]) + (sums[1] + sums[3]) + rest
}
