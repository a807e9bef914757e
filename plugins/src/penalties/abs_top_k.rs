//! AbsTopK: codes of both signs, of which the largest by size are kept. The gradient passes through these alone.

use std::num::NonZeroUsize;

use dfdx::prelude::HasShape;
use framework::dims::{Batch, Latent};
use framework::linkme::distributed_slice;
use framework::model::{Pass, Real, Step, Traced, tensor, values};
use framework::plugin::{
    ALIASES, Activation, Alias, CodeFacts, CodeRange, FusedPenalty, KeptBy, Meant, PENALTIES,
    Penalize, Penalty, Plugin, StrengthKey, Unfit,
};
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::support::selection::largest_of_rows;

/// zⱼ stays, with its sign, where |zⱼ| is among the k largest of its sample, and is 0 elsewhere; the lowest index wins
/// a tie. Codes are those after `activation = "identity"`.
///
/// Source: Zhu et al. 2025, AbsTopK: Rethinking Sparse Autoencoders For Bidirectional Features, arXiv:2510.00404.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AbsTopK {
    /// Latents kept of each sample, from 1 to the number of latents.
    k: NonZeroUsize,
}

#[distributed_slice(PENALTIES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Penalty> = Plugin {
    name: "abs-top-k",
    about: "keeps the k largest latents of each sample by size, with their sign",
    example: "k = 2",
    build: |settings| Ok(Box::new(settings.read::<AbsTopK>()?)),
    schema: schema_of::<AbsTopK>,
};

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["signed-top-k"],
    meant: Meant::Plugin { kind: "penalty", name: "abs-top-k" },
    about: "the penalty `abs-top-k` compares codes by their size; `k-sparse` compares them with their sign",
    lines: "[penalty]\n\
            kind = \"abs-top-k\"\n\
            k = 32",
};

impl<E: Real> Penalize<E> for AbsTopK {
    fn constrain(
        &self,
        code: Traced<(Batch, Latent), E>,
        _: &Pass<'_, E>,
    ) -> Traced<(Batch, Latent), E> {
        let shape = *code.shape();
        let mask = largest_of_rows(&values(&code), shape.1.0, self.k.get(), f64::abs);
        code * tensor(mask, shape)
    }
}

impl Penalty for AbsTopK {
    fn strength(&self) -> Option<StrengthKey> {
        Some(StrengthKey::Count("k"))
    }

    fn activation(&self) -> Option<Activation> {
        Some(Activation::Identity)
    }

    fn fits(&self, code: &CodeFacts) -> Result<(), Unfit> {
        let (latents, k) = (code.latents, self.k.get());
        if code.range != CodeRange::Real {
            let message =
                "it compares codes by their size, so it needs `activation = \"identity\"`";
            return Err(Unfit::new("kind", message));
        }
        let message = format!("at most all {latents} latents can be kept, got {k}");
        if k > latents { Err(Unfit::new("k", message)) } else { Ok(()) }
    }

    fn leaves_zeros(&self) -> bool {
        true
    }

    fn is_of_code_alone(&self) -> bool {
        true
    }

    fn fused(&self, _: &Step<'_>, latents: usize) -> Option<FusedPenalty<'_>> {
        Some(FusedPenalty::KeepLargest { k: self.k.get().min(latents), by: KeptBy::Size })
    }
}
