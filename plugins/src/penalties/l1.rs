//! L1. Its gradient at 0 is 0.

use dfdx::prelude::{HasShape, Rank0, SumTo};
use framework::dims::{Batch, Latent};
use framework::linkme::distributed_slice;
use framework::model::{Pass, Real, Step, Traced};
use framework::plugin::{
    FusedPenalty, PENALTIES, Penalize, Penalty, PerSample, Plugin, SampleCode, StrengthKey, Term,
    sum_of,
};
use framework::spec::numbers::Strength;
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `lambda` times the mean over samples of Σⱼ |hⱼ|.
///
/// Source: Bricken et al. 2023, Towards Monosemanticity.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct L1 {
    /// Weight of the penalty in the loss, whose reconstruction term sums over the input dimensions.
    lambda: Strength,
}

#[distributed_slice(PENALTIES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Penalty> = Plugin {
    name: "l1",
    about: "lambda times the L1 norm of the code",
    example: "lambda = 0.1",
    build: |settings| Ok(Box::new(settings.read::<L1>()?)),
    schema: schema_of::<L1>,
};

impl<E: Real> Penalize<E> for L1 {
    fn penalize(&self, code: Traced<(Batch, Latent), E>, _: &Pass<'_, E>) -> Vec<Term<E>> {
        let Batch(batch) = code.shape().0;
        let value = code.abs().sum::<Rank0, _>() * E::of(1.0 / batch as f64);
        vec![Term::new("l1", value, self.lambda.get())]
    }
}

impl Penalty for L1 {
    fn is_soft(&self) -> bool {
        true
    }

    fn strength(&self) -> Option<StrengthKey> {
        Some(StrengthKey::Weight("lambda"))
    }

    fn fused(&self, _: &Step<'_>, _: usize) -> Option<FusedPenalty<'_>> {
        Some(FusedPenalty::PerSample { name: "l1", weight: self.lambda.get(), term: self })
    }
}

impl PerSample for L1 {
    fn value(&self, code: SampleCode<'_>, gradient: &mut [f32]) -> f64 {
        for (gradient, value) in gradient.iter_mut().zip(code.values) {
            // At 0 the slope is 0, as dfdx has it.
            *gradient = f32::from(*value > 0.0) - f32::from(*value < 0.0);
        }
        sum_of(code.values, f32::abs)
    }
}
