//! What makes codes sparse in a pass, and what trains beside it, in the form that the engine takes it: by hand
//! where all of it can be, otherwise the code's part of it through its definition.

use std::borrow::Cow;

use super::OnTape;
use crate::model::{Definition, LossTerm, PassAt, TermOwner};
use crate::plugin::{
    FusedAuxiliary, FusedPenalty, NamedAuxiliary, PerLatent, PerSample, Shrink, WeightTerm,
};

/// Everything of one pass that is neither the model nor its samples.
pub struct PassTerms<'a> {
    /// What becomes of the code, and what it costs.
    pub code: CodeTerms<'a>,
    /// Terms of the weights.
    pub weights: Vec<Weighted<'a, dyn WeightTerm + 'a>>,
    /// What changes weights after the step.
    pub shrinks: Vec<&'a dyn Shrink>,
    /// What the reconstruction term is multiplied by.
    pub reconstruction_weight: f64,
}

/// What becomes of the code, and what it costs.
pub enum CodeTerms<'a> {
    /// By hand.
    ByHand(ByHand<'a>),
    /// By its definition.
    OnTape(OnTape<'a>),
}

/// The code's part by hand.
#[derive(Default)]
pub struct ByHand<'a> {
    /// How many of a sample's largest values are kept, if not all.
    pub keep_largest: Option<usize>,
    /// Terms of each sample's code.
    pub per_sample: Vec<Weighted<'a, dyn PerSample + 'a>>,
    /// Terms of each latent's mean.
    pub per_latent: Vec<Weighted<'a, dyn PerLatent + 'a>>,
}

/// A term of the loss with its name and its weight.
pub struct Weighted<'a, T: ?Sized> {
    pub name: Cow<'static, str>,
    pub owner: TermOwner,
    pub weight: f64,
    pub term: &'a T,
}

impl<T: ?Sized> Weighted<'_, T> {
    /// The term with this value.
    pub fn measured(&self, raw: f64) -> LossTerm {
        LossTerm { name: self.name.clone(), owner: self.owner, raw, weight: self.weight }
    }
}

impl<'a> PassTerms<'a> {
    /// Those of a model at one pass.
    pub fn of(definition: &Definition<'a>, at: PassAt<'a>) -> Self {
        let by_hand = ByHand::of(definition, at);
        let code = by_hand.map_or_else(
            || CodeTerms::OnTape(OnTape { definition: *definition, at }),
            CodeTerms::ByHand,
        );
        let latents = definition.latents().0;
        let of_weights = |NamedAuxiliary { name, built }: &'a NamedAuxiliary| {
            let Some(FusedAuxiliary::Weights(weight, term)) = built.plugin.fused(&at.step, latents)
            else {
                return None;
            };
            let (name, owner) = (name.clone().into(), TermOwner::Auxiliary);
            Some(Weighted { name, owner, weight, term })
        };
        let weights = definition.auxiliaries.iter().filter_map(of_weights).collect();
        let shrinks = definition.shrinks().collect();
        let reconstruction_weight = definition.penalty.reconstruction_weight();
        Self { code, weights, shrinks, reconstruction_weight }
    }
}

impl<'a> ByHand<'a> {
    /// The code's part of a model by hand; `None` if something of it is not.
    pub fn of(definition: &Definition<'a>, at: PassAt<'a>) -> Option<Self> {
        let latents = definition.latents().0;
        let mut all = Self::default();
        let weight = |weight: f64| weight * at.penalty_factor;
        match definition.penalty.fused(&at.step, latents)? {
            FusedPenalty::Nothing => {}
            FusedPenalty::KeepLargest(k) => all.keep_largest = Some(k),
            FusedPenalty::PerSample { name, weight: of, term } => {
                let (name, owner, weight) = (name.into(), TermOwner::Penalty, weight(of));
                all.per_sample.push(Weighted { name, owner, weight, term });
            }
            FusedPenalty::PerLatent { name, weight: of, term } => {
                let (name, owner, weight) = (name.into(), TermOwner::Penalty, weight(of));
                all.per_latent.push(Weighted { name, owner, weight, term });
            }
        }
        for NamedAuxiliary { name, built } in definition.auxiliaries {
            let (name, owner) = (name.clone().into(), TermOwner::Auxiliary);
            match built.plugin.fused(&at.step, latents)? {
                FusedAuxiliary::Nothing | FusedAuxiliary::Weights(..) => {}
                FusedAuxiliary::PerSample(weight, term) => {
                    all.per_sample.push(Weighted { name, owner, weight, term });
                }
                FusedAuxiliary::PerLatent(weight, term) => {
                    all.per_latent.push(Weighted { name, owner, weight, term });
                }
            }
        }
        // A latent's mean is taken while codes are made, before the largest of them are known.
        let is_known = all.keep_largest.is_none() || all.per_latent.is_empty();
        is_known.then_some(all)
    }

    /// Number of terms.
    pub fn count(&self) -> usize {
        self.per_sample.len() + self.per_latent.len()
    }

    /// The weights of all terms.
    pub fn weights(&self) -> impl Iterator<Item = f64> {
        let of_samples = self.per_sample.iter().map(|term| term.weight);
        of_samples.chain(self.per_latent.iter().map(|term| term.weight))
    }

    /// The terms as they came out: means of [samples, terms] and sums of [latents, terms]. The penalty's comes
    /// first.
    pub fn measured(
        &self,
        of_samples: &[f64],
        samples: usize,
        of_latents: &[f64],
        latents: usize,
    ) -> Vec<LossTerm> {
        let sum = |values: &[f64], rows: usize, terms: usize, at: usize| {
            values[..rows * terms].iter().skip(at).step_by(terms).sum::<f64>()
        };
        let per_sample = self.per_sample.iter().enumerate().map(|(at, term)| {
            term.measured(sum(of_samples, samples, self.per_sample.len(), at) / samples as f64)
        });
        let per_latent =
            self.per_latent.iter().enumerate().map(|(at, term)| {
                term.measured(sum(of_latents, latents, self.per_latent.len(), at))
            });
        let mut all: Vec<_> = per_sample.chain(per_latent).collect();
        all.sort_by_key(|term| term.owner != TermOwner::Penalty);
        all
    }
}
