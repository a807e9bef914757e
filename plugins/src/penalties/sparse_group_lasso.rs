//! Sparse group lasso: few groups of latents are active, and few latents in those.

use std::num::NonZeroUsize;

use dfdx::prelude::{HasShape, Rank0, SumTo};
use framework::dims::{Batch, Latent};
use framework::linkme::distributed_slice;
use framework::model::{Pass, Real, Step, Traced};
use framework::plugin::{
    ALIASES, Alias, CodeFacts, FusedPenalty, Meant, PENALTIES, Penalize, Penalty, PerSample,
    Plugin, SampleCode, StrengthKey, Term, Unfit, sum_of,
};
use framework::spec::numbers::Strength;
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::support::{Groups, doubt_without_zeros};

/// `lambda` times the mean over samples of Σⱼ |hⱼ|, plus `group_lambda` times that of Σ_g ‖h_g‖, where the
/// latents are split into groups g of neighbours and ‖h_g‖ = √(Σ h² + 1e-8).
///
/// Source: Simon et al. 2013, A Sparse-Group Lasso.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SparseGroupLasso {
    /// Weight of the L1 norm in the loss.
    lambda: Strength,
    /// Weight of the norms of groups in the loss.
    group_lambda: Strength,
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
    name: "sparse-group-lasso",
    about: "lambda times the L1 norm, plus group_lambda times the norms of groups of latents",
    example: "lambda = 0.05\ngroup_lambda = 0.1\ngroup_size = 2",
    build: |settings| Ok(Box::new(settings.read::<SparseGroupLasso>()?)),
    schema: schema_of::<SparseGroupLasso>,
};

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["sgl"],
    meant: Meant::Plugin { kind: "penalty", name: "sparse-group-lasso" },
    about: "the penalty `sparse-group-lasso`: few groups, and few latents of each",
    lines: "[penalty]\n\
            kind = \"sparse-group-lasso\"\n\
            lambda = 0.05\n\
            group_lambda = 0.1\n\
            group_size = 8",
};

impl SparseGroupLasso {
    fn groups(&self) -> Groups {
        Groups { size: self.group_size, scale_by_size: self.scale_by_size }
    }
}

impl<E: Real> Penalize<E> for SparseGroupLasso {
    fn penalize(&self, code: Traced<(Batch, Latent), E>, _: &Pass<'_, E>) -> Vec<Term<E>> {
        let Batch(batch) = code.shape().0;
        let groups = self.groups().mean_norms(code.retaped()) * E::of(self.group_lambda.get());
        let sizes = code.abs().sum::<Rank0, _>() * E::of(self.lambda.get() / batch as f64);
        vec![Term::new("sparse_group_lasso", sizes + groups, 1.0)]
    }
}

impl Penalty for SparseGroupLasso {
    fn is_soft(&self) -> bool {
        true
    }

    fn strength(&self) -> Option<StrengthKey> {
        Some(StrengthKey::Weights("lambda", "group_lambda"))
    }

    fn group_size(&self) -> Option<usize> {
        Some(self.group_size.get())
    }

    fn fused(&self, _: &Step<'_>, _: usize) -> Option<FusedPenalty<'_>> {
        Some(FusedPenalty::PerSample { name: "sparse_group_lasso", weight: 1.0, term: self })
    }

    fn doubt(&self, code: &CodeFacts) -> Option<Unfit> {
        doubt_without_zeros(code)
    }

    fn fits(&self, code: &CodeFacts) -> Result<(), Unfit> {
        self.groups().fit(code)
    }
}

impl PerSample for SparseGroupLasso {
    fn value(&self, code: SampleCode<'_>, gradient: &mut [f32]) -> f64 {
        let (lambda, group_lambda) = (self.lambda.get(), self.group_lambda.get());
        let norms = self.groups().sum_norms(code, group_lambda as f32, gradient);
        for (gradient, value) in gradient.iter_mut().zip(code.values) {
            // At 0 the slope is 0, as dfdx has it.
            let sign = f32::from(*value > 0.0) - f32::from(*value < 0.0);
            *gradient += lambda as f32 * sign;
        }
        lambda * sum_of(code.values, f32::abs) + group_lambda * norms
    }
}
