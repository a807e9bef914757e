//! AuxK: dead latents learn to predict the error that the others leave, and so come back to life.

use std::num::NonZeroUsize;

use dfdx::prelude::{HasShape, Rank0, SumTo};
use framework::dims::{Batch, Latent};
use framework::linkme::distributed_slice;
use framework::model::{Pass, Real, Step, Traced, tensor, values};
use framework::plugin::{
    ALIASES, AUXILIARIES, Alias, Auxiliary, AuxiliaryTerms, CodeFacts, DeadPrediction,
    FusedAuxiliary, Meant, Offer, Plugin, Term, Unfit,
};
use framework::spec::numbers::Strength;
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `weight` times mean ‖e − ê‖² / mean ‖e‖², means over the samples: e = x − x̂ is what the reconstruction leaves,
/// held fixed, and ê is what the dead latents make of it. Of their pre-codes after relu, whatever the activation,
/// the `k` largest of each sample are decoded without biases and without the decoder's sigmoid. A latent is dead
/// where it was active for none of the last `train.dead_after` training samples; without dead latents the term is 0.
///
/// Source: Gao et al. 2024, Scaling and evaluating sparse autoencoders, arXiv:2406.04093, appendix A.2.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AuxK {
    /// Number of dead latents that predict the error of a sample, at most as many as are dead.
    #[serde(default = "k")]
    k: NonZeroUsize,
    /// Weight of the term in the loss.
    #[serde(default = "weight")]
    weight: Strength,
    /// Whether the term is divided by mean ‖e‖². Without, it is multiplied by the number of dead latents over `k`,
    /// if that is less than 1.
    #[serde(default = "normalize")]
    normalize: bool,
}

fn k() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(255)
}

fn weight() -> Strength {
    Strength::try_from(0.03125).unwrap_or_else(|error| unreachable!("{error}"))
}

fn normalize() -> bool {
    true
}

#[distributed_slice(AUXILIARIES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Auxiliary> = Plugin {
    name: "auxk",
    about: "dead latents predict the error that the others leave",
    example: "k = 256",
    build: |settings| Ok(Box::new(settings.read::<AuxK>()?)),
    schema: schema_of::<AuxK>,
};

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["aux-loss", "auxiliary-k", "ghost-grads"],
    meant: Meant::Plugin { kind: "auxiliary", name: "auxk" },
    about: "the auxiliary `auxk` has dead latents learn from the error that the others leave, as ghost grads do too",
    lines: "[[auxiliary]]\n\
            kind = \"auxk\"",
};

impl AuxK {
    fn prediction(&self) -> DeadPrediction {
        let Self { k, weight, normalize } = self;
        DeadPrediction { k: k.get(), weight: weight.get(), normalize: *normalize }
    }
}

/// 1 where a row's value is among the k largest of these latents, 0 elsewhere; the lowest index wins a tie.
fn mask<E: Real>(code: &[E], latents: usize, of: &[usize], k: usize) -> Vec<E> {
    let mut mask = vec![E::of(0.0); code.len()];
    for (row, mask) in code.chunks_exact(latents).zip(mask.chunks_exact_mut(latents)) {
        let mut order = of.to_vec();
        let value = |at: usize| row[at].f64();
        order.sort_by(|a, b| value(*b).total_cmp(&value(*a)).then(a.cmp(b)));
        order.iter().take(k).for_each(|at| mask[*at] = E::of(1.0));
    }
    mask
}

impl<E: Real> AuxiliaryTerms<E> for AuxK {
    fn terms(&self, _: Traced<(Batch, Latent), E>, pass: &Pass<'_, E>) -> Vec<Term<E>> {
        let term = |value| vec![Term::new("auxk", value, self.weight.get())];
        let dead = pass.dead();
        if dead.is_empty() {
            return term(tensor(vec![E::of(0.0)], ()).retaped());
        }
        let error = pass.detached(&(-(pass.x_hat() - pass.target().clone())));
        let found = pass.pre_code().relu();
        let (batch, Latent(latents)) = *found.shape();
        let mask = mask(&values(&found), latents, &dead, self.k.get());
        let predicted = pass.decode_without_bias(found * tensor(mask, (batch, Latent(latents))));
        let squares = values(&error).iter().map(|e| e.f64() * e.f64()).sum();
        let scale = self.prediction().scale(squares, batch.0, dead.len());
        term((predicted - error).square().sum::<Rank0, _>() * E::of(scale))
    }
}

impl Auxiliary for AuxK {
    fn fits(&self, code: &CodeFacts) -> Result<(), Unfit> {
        code.needs("kind", Offer::DecodeWithoutBias)
    }

    fn fused(&self, _: &Step<'_>, _: usize) -> Option<FusedAuxiliary<'_>> {
        Some(FusedAuxiliary::DeadLatents(self.prediction()))
    }

    fn watches_activity(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if a latent that is not dead were taken, another than the largest, or a later one of a tie.
    #[test]
    fn the_largest_of_some_latents_are_taken_and_the_lowest_index_wins_ties() {
        let row = [9.0, 1.0, 2.0, 9.0, 2.0, 2.0];
        assert_eq!(mask(&row, 6, &[1, 2, 4, 5], 2), [0.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
        assert_eq!(mask(&row, 6, &[1, 5], 3), [0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    }

    /// Wrong if a batch without error were divided by it, or few dead latents counted for all.
    #[test]
    fn terms_are_scaled_as_computed_by_hand() {
        let of = |normalize| DeadPrediction { k: 8, weight: 1.0, normalize };
        assert_eq!([of(true).scale(4.0, 10, 2), of(true).scale(0.0, 10, 2)], [0.25, 0.0]);
        assert_eq!([of(false).scale(4.0, 10, 2), of(false).scale(0.0, 10, 20)], [0.025, 0.1]);
    }
}
