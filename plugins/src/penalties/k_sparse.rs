//! k-sparse. The gradient passes through the kept latents alone.

use std::num::NonZeroUsize;

use dfdx::prelude::HasShape;
use framework::dims::{Batch, Latent};
use framework::linkme::distributed_slice;
use framework::model::{Mode, Pass, Real, Step, Traced, tensor, values};
use framework::plugin::{
    ALIASES, Alias, CodeFacts, FusedPenalty, KeptBy, Meant, PENALTIES, Penalize, Penalty, Plugin,
    StrengthKey, Unfit,
};
use framework::spec::numbers::{AtLeastOne, Share};
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::support::selection::largest_of_rows;

/// hⱼ stays where j is among the k largest values of its sample, and is 0 elsewhere. Values are
/// compared with their sign; the lowest index wins a tie. With identity activation this is the
/// paper's method; with relu it is TopK.
///
/// Source: Makhzani and Frey 2013, k-Sparse Autoencoders, arXiv:1312.5663.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct KSparseSettings {
    /// Latents kept of each sample, from 1 to the number of latents.
    k: NonZeroUsize,
    /// In evaluation ⌊alpha · k⌋ latents are kept, at most all.
    #[serde(default = "one")]
    alpha: AtLeastOne,
    /// Training starts with this many latents kept, against dead ones, and goes linearly to `k`.
    k_start: Option<NonZeroUsize>,
    /// The share of the training steps after which `k` is reached.
    #[serde(default = "half")]
    k_anneal: Share,
}

fn one() -> AtLeastOne {
    AtLeastOne::try_from(1.0).expect("1 is at least 1")
}

fn half() -> Share {
    Share::try_from(0.5).expect("a half is a share")
}

struct KSparse(KSparseSettings);

#[distributed_slice(PENALTIES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Penalty> = Plugin {
    name: "k-sparse",
    about: "keeps the k largest latents of each sample",
    example: "k = 2",
    build: |settings| Ok(Box::new(KSparse(settings.read()?))),
    schema: schema_of::<KSparseSettings>,
};

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["top-k", "top-k-sae", "ksae"],
    meant: Meant::Plugin { kind: "penalty", name: "k-sparse" },
    about: r#"TopK is the penalty `k-sparse` with `activation = "relu"`"#,
    lines: "[architecture]\n\
            kind = \"dense\"\n\
            latents = 256\n\
            activation = \"relu\"\n\
            [penalty]\n\
            kind = \"k-sparse\"\n\
            k = 32",
};

impl KSparse {
    /// How many latents of `latents` are kept at a step.
    fn kept(&self, step: &Step<'_>, latents: usize) -> usize {
        let k = self.0.k.get();
        let kept = match (step.mode, self.0.k_start) {
            // The small number keeps a product like 1.1 · 30 from losing its last latent to rounding.
            (Mode::Evaluate, _) => (self.0.alpha.get() * k as f64 + 1e-9).floor() as usize,
            (Mode::Train, None) => k,
            (Mode::Train, Some(start)) => {
                let anneal = self.0.k_anneal.get();
                let done = if anneal > 0.0 { (step.progress / anneal).min(1.0) } else { 1.0 };
                let start = start.get() as f64;
                (start + (k as f64 - start) * done).round() as usize
            }
        };
        kept.min(latents)
    }
}

impl<E: Real> Penalize<E> for KSparse {
    fn constrain(
        &self,
        code: Traced<(Batch, Latent), E>,
        pass: &Pass<'_, E>,
    ) -> Traced<(Batch, Latent), E> {
        let shape = *code.shape();
        let Latent(latents) = shape.1;
        let k = self.kept(&pass.step, latents);
        let mask = largest_of_rows(&values(&code), latents, k, |value| value);
        code * tensor(mask, shape)
    }
}

impl Penalty for KSparse {
    fn strength(&self) -> Option<StrengthKey> {
        Some(StrengthKey::Count("k"))
    }

    fn fits(&self, code: &CodeFacts) -> Result<(), Unfit> {
        let latents = code.latents;
        let of = |key: &'static str, k: usize| {
            let message = format!("at most all {latents} latents can be kept, got {k}");
            if k > latents { Err(Unfit::new(key, message)) } else { Ok(()) }
        };
        of("k", self.0.k.get())?;
        of("k_start", self.0.k_start.map_or(0, NonZeroUsize::get))
    }

    fn leaves_zeros(&self) -> bool {
        true
    }

    fn fused(&self, step: &Step<'_>, latents: usize) -> Option<FusedPenalty<'_>> {
        Some(FusedPenalty::KeepLargest { k: self.kept(step, latents), by: KeptBy::Value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn k_sparse(k: usize, alpha: f64, k_start: Option<usize>) -> KSparse {
        let at_least_one = |n| NonZeroUsize::new(n).unwrap();
        KSparse(KSparseSettings {
            k: at_least_one(k),
            alpha: AtLeastOne::try_from(alpha).unwrap(),
            k_start: k_start.map(at_least_one),
            k_anneal: half(),
        })
    }

    fn training(progress: f64) -> Step<'static> {
        Step { mode: Mode::Train, progress, ..Step::EVALUATE }
    }

    #[test]
    fn evaluation_keeps_alpha_k_and_never_more_than_all() {
        let evaluate = Step { mode: Mode::Evaluate, ..training(1.0) };
        assert_eq!(k_sparse(25, 1.5, None).kept(&evaluate, 1000), 37);
        assert_eq!(k_sparse(30, 1.1, None).kept(&evaluate, 1000), 33);
        assert_eq!(k_sparse(25, 3.0, None).kept(&evaluate, 60), 60);
        assert_eq!(k_sparse(25, 3.0, None).kept(&training(0.5), 1000), 25);
    }

    #[test]
    fn the_schedule_goes_linearly_from_its_start_to_k_and_stays() {
        let scheduled = k_sparse(20, 1.0, Some(100));
        let kept: Vec<usize> =
            [0.0, 0.25, 0.5, 0.9].map(|done| scheduled.kept(&training(done), 1000)).to_vec();
        assert_eq!(kept, [100, 60, 20, 20]);
    }
}
