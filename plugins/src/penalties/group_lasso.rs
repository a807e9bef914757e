//! Group lasso. Norms are smoothed in value and gradient alike: a bare root has no gradient at an
//! all-zero group.

use std::num::NonZeroUsize;

use dfdx::prelude::{Axis, HasShape, Rank0, ReshapeTo, SumTo};
use framework::dims::{Batch, Latent};
use framework::linkme::distributed_slice;
use framework::model::{Pass, Real, Step, Traced};
use framework::plugin::{
    CodeFacts, FusedPenalty, PENALTIES, Penalize, Penalty, PerSample, Plugin, SampleCode,
    StrengthKey, Term, Unfit,
};
use framework::spec::numbers::Strength;
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

framework::dim! {
    /// Groups of latents.
    Group,
    /// Latents of a group.
    Member,
}

/// Added to a group's sum of squares.
const SMOOTHING: f64 = 1e-8;

/// `lambda` times the mean over samples of Σ_g ‖h_g‖, where the latents are split into groups g of
/// neighbours and ‖h_g‖ = √(Σ h² + 1e-8).
///
/// Source: Yuan and Lin 2006, Model selection and estimation in regression with grouped variables.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GroupLasso {
    /// Weight of the penalty in the loss.
    lambda: Strength,
    /// Latents a group; it divides the number of latents.
    group_size: NonZeroUsize,
    /// Multiplies each group's norm by the root of its size, so that groups of different sizes
    /// weigh alike.
    #[serde(default)]
    scale_by_size: bool,
}

#[distributed_slice(PENALTIES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Penalty> = Plugin {
    name: "group-lasso",
    about: "lambda times the sum of the norms of groups of latents",
    example: "lambda = 0.1\ngroup_size = 2",
    build: |settings| Ok(Box::new(settings.read::<GroupLasso>()?)),
    schema: schema_of::<GroupLasso>,
};

impl<E: Real> Penalize<E> for GroupLasso {
    fn penalize(&self, code: Traced<(Batch, Latent), E>, _: &Pass<'_, E>) -> Vec<Term<E>> {
        let (batch, Latent(latents)) = *code.shape();
        let size = self.group_size.get();
        let groups = code.reshape_like(&(batch, Group(latents / size), Member(size)));
        let squares = groups.square().sum::<(Batch, Group), Axis<2>>();
        let norms = (squares + E::of(SMOOTHING)).sqrt().sum::<Rank0, _>();
        let value = norms * E::of(self.factor() / batch.0 as f64);
        vec![Term::new("group_lasso", value, self.lambda.get())]
    }
}

impl Penalty for GroupLasso {
    fn is_soft(&self) -> bool {
        true
    }

    fn strength(&self) -> Option<StrengthKey> {
        Some(StrengthKey::Weight("lambda"))
    }

    fn group_size(&self) -> Option<usize> {
        Some(self.group_size.get())
    }

    fn fused(&self, _: &Step<'_>, _: usize) -> Option<FusedPenalty<'_>> {
        let weight = self.lambda.get();
        Some(FusedPenalty::PerSample { name: "group_lasso", weight, term: self })
    }

    fn fits(&self, code: &CodeFacts) -> Result<(), Unfit> {
        let (latents, size) = (code.latents, self.group_size.get());
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
}

impl GroupLasso {
    fn factor(&self) -> f64 {
        if self.scale_by_size { (self.group_size.get() as f64).sqrt() } else { 1.0 }
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

impl PerSample for GroupLasso {
    fn value(&self, code: SampleCode<'_>, gradient: &mut [f32]) -> f64 {
        let (size, factor) = (self.group_size.get(), self.factor());
        let mut sum = 0.0;
        let mut group = |values: &[f32], gradient: &mut [f32]| {
            let norm = (squares(values) + SMOOTHING as f32).sqrt();
            let scale = factor as f32 / norm;
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
