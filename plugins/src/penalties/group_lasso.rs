//! Group lasso: whole groups of latents are silent together.

use std::num::NonZeroUsize;

use framework::dims::{Batch, Latent};
use framework::linkme::distributed_slice;
use framework::model::{Pass, Real, Step, Traced};
use framework::plugin::{
    ALIASES, Alias, CodeFacts, FusedPenalty, Meant, PENALTIES, Penalize, Penalty, PerSample,
    Plugin, SampleCode, StrengthKey, Term, Unfit,
};
use framework::spec::numbers::Strength;
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::support::{Groups, doubt_without_zeros};

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

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["group-sparsity", "group-l1", "l21", "structured-sparsity"],
    meant: Meant::Plugin { kind: "penalty", name: "group-lasso" },
    about: "the penalty `group-lasso`; with single latents sparse too it is `sparse-group-lasso`, with classes as groups `class-group-lasso`",
    lines: "[penalty]\n\
            kind = \"group-lasso\"\n\
            lambda = 0.1\n\
            group_size = 8",
};

impl GroupLasso {
    fn groups(&self) -> Groups {
        Groups { size: self.group_size, scale_by_size: self.scale_by_size }
    }
}

impl<E: Real> Penalize<E> for GroupLasso {
    fn penalize(&self, code: Traced<(Batch, Latent), E>, _: &Pass<'_, E>) -> Vec<Term<E>> {
        let value = self.groups().mean_norms(code);
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

    fn doubt(&self, code: &CodeFacts) -> Option<Unfit> {
        doubt_without_zeros(code)
    }

    fn fits(&self, code: &CodeFacts) -> Result<(), Unfit> {
        self.groups().fit(code)
    }
}

impl PerSample for GroupLasso {
    fn value(&self, code: SampleCode<'_>, gradient: &mut [f32]) -> f64 {
        self.groups().sum_norms(code, 1.0, gradient)
    }
}
