//! BatchTopK: some samples may keep more than others. The gradient passes through the kept latents alone.

use framework::dims::{Batch, Latent};
use framework::linkme::distributed_slice;
use framework::model::{Pass, Real, State, Step, Traced};
use framework::plugin::{
    ALIASES, Activation, Alias, CodeFacts, FusedPenalty, Meant, PENALTIES, Penalize, Penalty,
    Plugin, StrengthKey, Unfit,
};
use framework::spec::numbers::Positive;
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::support::batch_top_k::{BatchInference, BatchTopK};

/// Of the codes of a batch after relu, the ⌊k · samples⌋ largest stay, and the others are 0; the lowest sample and then
/// the lowest latent wins a tie. A kept 0 is not active. Codes are those after `activation = "relu"`.
///
/// Source: Bussmann et al. 2024, BatchTopK Sparse Autoencoders, arXiv:2412.06410.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BatchTopKSettings {
    /// Latents kept of a sample, on average; it need not be whole, and is at most the number of latents.
    k: Positive,
    /// What is kept in evaluation.
    #[serde(default)]
    inference: BatchInference,
}

impl BatchTopKSettings {
    fn shared(&self) -> BatchTopK {
        BatchTopK { k: self.k, inference: self.inference }
    }
}

#[distributed_slice(PENALTIES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Penalty> = Plugin {
    name: "batch-top-k",
    about: "keeps the largest latents of each batch, k of a sample on average",
    example: "k = 2",
    build: |settings| Ok(Box::new(settings.read::<BatchTopKSettings>()?)),
    schema: schema_of::<BatchTopKSettings>,
};

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["batch-top-k-sae"],
    meant: Meant::Plugin { kind: "penalty", name: "batch-top-k" },
    about: "the penalty `batch-top-k` keeps the largest codes of a batch; `k-sparse` with relu those of each sample",
    lines: "[penalty]\n\
            kind = \"batch-top-k\"\n\
            k = 32",
};

impl<E: Real> Penalize<E> for BatchTopKSettings {
    fn constrain(
        &self,
        code: Traced<(Batch, Latent), E>,
        pass: &Pass<'_, E>,
    ) -> Traced<(Batch, Latent), E> {
        self.shared().constrain(code, pass)
    }
}

impl Penalty for BatchTopKSettings {
    fn strength(&self) -> Option<StrengthKey> {
        Some(StrengthKey::MeanCount("k"))
    }

    fn activation(&self) -> Option<Activation> {
        Some(Activation::Relu)
    }

    fn sees_batches(&self) -> bool {
        self.shared().sees_batches()
    }

    fn fits(&self, code: &CodeFacts) -> Result<(), Unfit> {
        self.shared().fits(code)
    }

    fn leaves_zeros(&self) -> bool {
        true
    }

    fn is_of_code_alone(&self) -> bool {
        true
    }

    fn fused(&self, step: &Step<'_>, _: usize) -> Option<FusedPenalty<'_>> {
        Some(self.shared().fused(step, None))
    }

    fn state(&self, _: Latent) -> State {
        self.shared().state()
    }
}
