//! L1, plain or weighted by the norms of decoder rows. Its gradient at 0 is 0.

use dfdx::prelude::{BroadcastTo, HasShape, Rank0, SumTo};
use framework::dims::{Batch, Latent};
use framework::linkme::distributed_slice;
use framework::model::{Pass, Real, Side, Step, Traced};
use framework::plugin::{
    ALIASES, Alias, CodeColumn, CodeFacts, ColumnTerm, FusedPenalty, Meant, Offer, PENALTIES,
    Penalize, Penalty, PerColumn, PerSample, Plugin, SampleCode, StrengthKey, Term, Unfit, sum_of,
};
use framework::spec::numbers::Strength;
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::support::{doubt_without_zeros, row_norms};

/// `lambda` times the mean over samples of Σⱼ |hⱼ|, or of Σⱼ |hⱼ| ‖dⱼ‖.
///
/// Source: Bricken et al. 2023, Towards Monosemanticity; weighted by norms: Conerly et al. 2024, Update on
/// how we train SAEs (April update of the Transformer Circuits team).
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct L1 {
    /// Weight of the penalty in the loss, whose reconstruction term sums over the input dimensions.
    lambda: Strength,
    /// Whether each latent counts by the norm of its decoder row dⱼ, so that small codes with long rows gain
    /// nothing. The gradient reaches the rows too.
    // Left out of what is stored while it says nothing: it came after models that have none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    norm_weighted: bool,
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
    fn penalize(&self, code: Traced<(Batch, Latent), E>, pass: &Pass<'_, E>) -> Vec<Term<E>> {
        let shape = *code.shape();
        let mut sizes = code.abs();
        if self.norm_weighted {
            sizes = sizes * row_norms(pass.dictionary()).broadcast_like(&shape);
        }
        let value = sizes.sum::<Rank0, _>() * E::of(1.0 / shape.0.0 as f64);
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

    fn doubt(&self, code: &CodeFacts) -> Option<Unfit> {
        doubt_without_zeros(code)
    }

    fn fits(&self, code: &CodeFacts) -> Result<(), Unfit> {
        if self.norm_weighted { code.needs("norm_weighted", Offer::Dictionary) } else { Ok(()) }
    }

    fn fused(&self, _: &Step<'_>, _: usize) -> Option<FusedPenalty<'_>> {
        let (name, weight) = ("l1", self.lambda.get());
        Some(match self.norm_weighted {
            true => FusedPenalty::PerColumn { name, weight, term: self },
            false => FusedPenalty::PerSample { name, weight, term: self },
        })
    }
}

impl PerSample for L1 {
    fn value(&self, code: SampleCode<'_>, gradient: &mut [f32]) -> f64 {
        absolute(code.values, 1.0, gradient)
    }
}

impl PerColumn for L1 {
    fn row(&self) -> Option<Side> {
        Some(Side::Decoder)
    }

    fn value(&self, column: CodeColumn<'_>, gradient: &mut [f32]) -> ColumnTerm {
        let sum = absolute(column.values, column.norm as f32, gradient);
        ColumnTerm { value: sum * column.norm, by_norm: sum }
    }
}

/// Σ |value|; `scale` times its slopes goes to `gradient`. At 0 the slope is 0, as dfdx has it.
#[inline(always)]
fn absolute(values: &[f32], scale: f32, gradient: &mut [f32]) -> f64 {
    for (gradient, value) in gradient.iter_mut().zip(values) {
        *gradient = scale * (f32::from(*value > 0.0) - f32::from(*value < 0.0));
    }
    sum_of(values, f32::abs)
}

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["lasso", "l1-norm", "l1-sae"],
    meant: Meant::Plugin { kind: "penalty", name: "l1" },
    about: r#"the penalty `l1` is on codes; on weights it is the auxiliary `weight-decay` with `norm = "l1"`"#,
    lines: "[penalty]\n\
            kind = \"l1\"\n\
            lambda = 0.1",
};
