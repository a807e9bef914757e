//! Matryoshka: codes of BatchTopK whose first latents alone reconstruct too.

use std::num::NonZeroUsize;

use dfdx::prelude::{HasShape, OwnedTape, PutTape, Rank0, SplitTape};
use framework::dims::{Batch, Latent};
use framework::linkme::distributed_slice;
use framework::model::{Pass, Real, State, Step, Tensor, Traced, tensor};
use framework::plugin::{
    ALIASES, Activation, Alias, CodeFacts, FusedPenalty, Meant, PENALTIES, Penalize, Penalty,
    Plugin, PrefixSizes, PrefixTerm, StrengthKey, Term, Unfit,
};
use framework::spec::numbers::{Positive, PositiveShare};
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::support::batch_top_k::{BatchInference, BatchTopK};

/// Name of the term.
const TERM: &str = "prefixes";

/// The codes of `batch-top-k`. The loss has a reconstruction for each prefix of the code, of decoding its first latents
/// alone, compared as `train.objective` says. The last prefix is the whole code, whose reconstruction is that of the
/// model; the sum of the others is the term `prefixes`, and does not warm up. Either `prefixes` or `fractions` say
/// where prefixes end.
///
/// Source: Bussmann et al. 2025, Learning Multi-Level Features with Matryoshka Sparse Autoencoders, arXiv:2503.17547.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MatryoshkaSettings {
    /// Latents kept of a sample, on average; it need not be whole, and is at most the number of latents.
    k: Positive,
    /// Numbers of latents of the prefixes, each more than the one before; the last is the number of latents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefixes: Option<Vec<NonZeroUsize>>,
    /// The same as shares of the latents, rounded to the nearest number and to at least 1; the last is 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fractions: Option<Vec<PositiveShare>>,
    /// Whether each reconstruction, that of the whole code too, has the weight 1 / number of prefixes in the loss;
    /// otherwise each has weight 1.
    #[serde(default = "yes")]
    average: bool,
    /// What is kept in evaluation.
    #[serde(default)]
    inference: BatchInference,
}

fn yes() -> bool {
    true
}

struct Matryoshka {
    codes: BatchTopK,
    sizes: PrefixSizes,
    /// The setting that they are of.
    key: &'static str,
    average: bool,
}

#[distributed_slice(PENALTIES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Penalty> = Plugin {
    name: "matryoshka",
    about: "batch-top-k whose first latents alone reconstruct the samples too",
    example: "k = 2\nfractions = [0.25, 0.5, 1.0]",
    build: |settings| {
        let MatryoshkaSettings { k, prefixes, fractions, average, inference } = settings.read()?;
        let (sizes, key) = match (prefixes, fractions) {
            (Some(counts), None) => {
                let counts = counts.into_iter().map(NonZeroUsize::get).collect();
                (PrefixSizes::Counts(counts), "prefixes")
            }
            (None, Some(shares)) => {
                let shares = shares.into_iter().map(PositiveShare::get).collect();
                (PrefixSizes::Fractions(shares), "fractions")
            }
            (Some(_), Some(_)) => {
                let message =
                    "`prefixes` and `fractions` both say where prefixes end; give one of them";
                return Err(vec![settings.problem("fractions", message)]);
            }
            (None, None) => {
                let message = "one of `prefixes` and `fractions` is missing";
                let help = "prefixes = [64, 256, 1024] ends at these numbers of latents, \
                            fractions = [0.0625, 0.25, 1.0] at these shares of them";
                return Err(vec![settings.problem("kind", message).help(help)]);
            }
        };
        let codes = BatchTopK { k, inference };
        let built = Matryoshka { codes, sizes, key, average };
        built.check_order().map_err(|message| vec![settings.problem(key, message)])?;
        Ok(Box::new(built))
    },
    schema: schema_of::<MatryoshkaSettings>,
};

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["matryoshka-sae", "matryoshka-batch-top-k", "msae"],
    meant: Meant::Plugin { kind: "penalty", name: "matryoshka" },
    about: "the penalty `matryoshka` keeps the codes of `batch-top-k`, and its first latents reconstruct alone too",
    lines: "[penalty]\n\
            kind = \"matryoshka\"\n\
            k = 32\n\
            fractions = [0.0625, 0.25, 1.0]",
};

impl Matryoshka {
    /// Refuses sizes that do not rise to the whole code, whatever the number of latents.
    fn check_order(&self) -> Result<(), String> {
        let is_whole = match &self.sizes {
            PrefixSizes::Counts(counts) => !counts.is_empty(),
            PrefixSizes::Fractions(shares) => shares.last() == Some(&1.0),
        };
        if self.sizes.count() == 0 {
            return Err("at least one prefix is needed: the whole code, got none".to_owned());
        }
        if !is_whole {
            return Err(
                "the last prefix is the whole code: the last of the fractions is 1".to_owned()
            );
        }
        let rises = match &self.sizes {
            PrefixSizes::Counts(counts) => counts.is_sorted_by(|a, b| a < b),
            PrefixSizes::Fractions(shares) => shares.is_sorted_by(|a, b| a < b),
        };
        let message = "each prefix is longer than the one before";
        if rises { Ok(()) } else { Err(message.to_owned()) }
    }

    /// The weight of each reconstruction.
    fn weight(&self) -> f64 {
        if self.average { 1.0 / self.sizes.count() as f64 } else { 1.0 }
    }
}

impl<E: Real> Penalize<E> for Matryoshka {
    fn constrain(
        &self,
        code: Traced<(Batch, Latent), E>,
        pass: &Pass<'_, E>,
    ) -> Traced<(Batch, Latent), E> {
        self.codes.constrain(code, pass)
    }

    fn penalize(&self, code: Traced<(Batch, Latent), E>, pass: &Pass<'_, E>) -> Vec<Term<E>> {
        let (code, tape) = code.split_tape();
        let ends = self.sizes.ends(code.shape().1.0);
        let (_, shorter) = ends.split_last().expect("there is the whole code");
        let mut tape = Some(tape);
        let of_prefix = |end: &usize| {
            let tape: OwnedTape<E, E::Device> = tape.take().unwrap_or_default();
            pass.reconstruction(code.clone().put_tape(tape) * first_latents(&code, *end))
        };
        let sum = shorter.iter().map(of_prefix).reduce(|sum: Traced<Rank0, E>, one| sum + one);
        sum.into_iter().map(|sum| Term::new(TERM, sum, self.weight()).at_once()).collect()
    }
}

/// 1 for each of the first latents, 0 elsewhere.
fn first_latents<E: Real>(
    code: &Tensor<(Batch, Latent), E>,
    end: usize,
) -> Tensor<(Batch, Latent), E> {
    let shape = *code.shape();
    let (Batch(samples), Latent(latents)) = shape;
    let is_first = |at: usize| E::of(f64::from(at % latents < end));
    tensor((0..samples * latents).map(is_first).collect(), shape)
}

impl Penalty for Matryoshka {
    fn reconstruction_weight(&self) -> f64 {
        self.weight()
    }

    fn strength(&self) -> Option<StrengthKey> {
        Some(StrengthKey::MeanCount("k"))
    }

    fn activation(&self) -> Option<Activation> {
        Some(Activation::Relu)
    }

    fn sees_batches(&self) -> bool {
        self.codes.sees_batches()
    }

    fn fits(&self, code: &CodeFacts) -> Result<(), Unfit> {
        let ends = self.sizes.ends(code.latents);
        let latents = code.latents;
        if let Some(last) = ends.last().filter(|last| **last != latents) {
            let message = format!(
                "the last prefix is the whole code of {latents} latents, got one of {last}"
            );
            return Err(Unfit::new(self.key, message));
        }
        if !ends.is_sorted_by(|a, b| a < b) {
            let ends: Vec<String> = ends.iter().map(usize::to_string).collect();
            let message = format!(
                "each prefix is longer than the one before, and of {latents} latents these end at {}",
                ends.join(", ")
            );
            return Err(Unfit::new(self.key, message));
        }
        self.codes.fits(code)
    }

    fn leaves_zeros(&self) -> bool {
        true
    }

    fn fused(&self, step: &Step<'_>, _: usize) -> Option<FusedPenalty<'_>> {
        let term = PrefixTerm { name: TERM, weight: self.weight(), sizes: &self.sizes };
        Some(self.codes.fused(step, Some(term)))
    }

    fn state(&self, _: Latent) -> State {
        self.codes.state()
    }
}
