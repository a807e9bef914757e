//! What makes codes sparse in a pass, and what trains beside it, in the form that the engine takes it: by hand
//! where all of it can be, otherwise the code's part of it through its definition.

use std::borrow::Cow;
use std::ops::Range;

use super::OnTape;
use super::dead::DeadTerms;
use crate::model::{Definition, EncoderPass, LossTerm, Mode, PassAt, Step, TermOwner};
use crate::plugin::{
    BatchClasses, FusedAuxiliary, FusedPenalty, GateTerms, KeptBy, NamedAuxiliary, PerColumn,
    PerCount, PerLatent, PerSample, Shrink, ThresholdCost, WeightTerm,
};

/// Everything of one pass that is neither the model nor its samples.
pub struct PassTerms<'a> {
    /// What becomes of the code, and what it costs.
    pub code: CodeTerms<'a>,
    /// Terms of each latent's values in the batch.
    pub columns: ColumnTerms<'a>,
    /// Terms of the weights.
    pub weights: Vec<Weighted<'a, dyn WeightTerm + 'a>>,
    /// What changes weights after the step.
    pub shrinks: Vec<&'a dyn Shrink>,
    /// Terms of dead latents.
    pub dead: DeadTerms,
    /// What the reconstruction term is multiplied by.
    pub reconstruction_weight: f64,
    /// What a random encoder sees of the pass; only training is random.
    pub random: Option<EncoderPass<'a>>,
    /// The prefixes of the code that reconstruct the target too.
    pub prefixes: Prefixes,
    /// Where in the run the pass stands.
    pub at: PassAt<'a>,
}

/// Terms of each latent's values, and what they may know of the batch.
#[derive(Default)]
pub struct ColumnTerms<'a> {
    /// The terms.
    pub terms: Vec<Weighted<'a, dyn PerColumn + 'a>>,
    /// The classes in the batch; none without terms.
    pub classes: BatchClasses,
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
    /// What of the code is kept, if not all.
    pub keep: Option<Keep<'a>>,
    /// Terms of each sample's code.
    pub per_sample: Vec<Weighted<'a, dyn PerSample + 'a>>,
    /// Terms of each latent's mean.
    pub per_latent: Vec<Weighted<'a, dyn PerLatent + 'a>>,
}

/// What of a code is kept.
#[derive(Clone, Copy)]
pub enum Keep<'a> {
    /// The k largest of each sample.
    Largest(usize, KeptBy),
    /// The largest of the batch, k of a sample on average; and the name of the state that follows the least of them
    /// in training.
    OfBatch(f64, &'static str),
    /// What is above a state of the penalty.
    Above(&'static str),
    /// What gates and magnitudes make of it.
    Gated(GateTerms),
    /// What is above the threshold of its latent.
    AboveThresholds {
        /// The width of the box around a threshold in which it learns.
        width: f64,
        /// A term of the number of active latents.
        count: Option<CountOf<'a>>,
    },
}

/// A term of the mean number of active latents of a sample.
#[derive(Clone, Copy)]
pub struct CountOf<'a> {
    name: &'static str,
    /// Its weight in the loss.
    pub weight: f64,
    /// Its value and slope.
    pub term: &'a dyn PerCount,
}

impl CountOf<'_> {
    /// The term with this value.
    pub fn measured(&self, raw: f64) -> LossTerm {
        let Self { name, weight, .. } = *self;
        LossTerm { name: name.into(), owner: TermOwner::Penalty, raw, weight }
    }
}

/// The prefixes of the code that reconstruct the target too.
#[derive(Default)]
pub struct Prefixes {
    /// Where each ends, the whole code last; empty where there is the whole code alone.
    pub ends: Vec<usize>,
    term: Option<(&'static str, f64)>,
}

/// The parts of some latents by the first prefix that they are in: its place, and the part. Without prefixes, all are
/// one part.
pub fn parts_by_prefix(
    ends: &[usize],
    latents: Range<usize>,
) -> impl Iterator<Item = (usize, Range<usize>)> {
    let whole = ends.is_empty().then_some((0, latents.clone()));
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let parts = starts.zip(ends).enumerate().map(move |(prefix, (start, end))| {
        (prefix, start.max(latents.start)..(*end).min(latents.end))
    });
    whole.into_iter().chain(parts.filter(|(_, part)| !part.is_empty()))
}

impl Prefixes {
    fn of(definition: &Definition<'_>, step: &Step<'_>) -> Self {
        let latents = definition.latents().0;
        let Some(FusedPenalty::KeepLargestOfBatch { prefixes: Some(term), .. }) =
            definition.penalty.fused(step, latents)
        else {
            return Self::default();
        };
        let ends = term.sizes.ends(latents);
        let ends = if ends.len() > 1 { ends } else { Vec::new() };
        Self { ends, term: Some((term.name, term.weight)) }
    }

    /// The term whose value is the sum of the objectives of the prefixes but the last.
    pub fn measured(&self, raw: f64) -> Option<LossTerm> {
        let (name, weight) = self.term.filter(|_| !self.ends.is_empty())?;
        Some(LossTerm { name: name.into(), owner: TermOwner::Penalty, raw, weight })
    }
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
        let of_auxiliary = |auxiliary: &'a NamedAuxiliary| auxiliary.weight_factor(&at);
        let by_hand = ByHand::of(definition, &at.step, at.penalty_factor, of_auxiliary);
        let columns = ColumnTerms::of(definition, at, by_hand.is_some());
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
        let dead = DeadTerms::of(definition, at);
        let random = at.step.mode == Mode::Train;
        let random = random.then(|| EncoderPass::new(at.step, at.streams));
        let prefixes = Prefixes::of(definition, &at.step);
        Self { code, columns, weights, shrinks, dead, reconstruction_weight, random, prefixes, at }
    }
}

impl<'a> ColumnTerms<'a> {
    /// Those of a model at one pass. Where the code's part is on the tape, those of the code that is decoded are
    /// there too.
    fn of(definition: &Definition<'a>, at: PassAt<'a>, is_by_hand: bool) -> Self {
        let latents = definition.latents().0;
        let mut terms = Vec::new();
        let mut add = |name, owner, weight, term: &'a dyn PerColumn| {
            if is_by_hand || term.is_before_constraint() {
                terms.push(Weighted { name, owner, weight, term });
            }
        };
        if let Some(
            FusedPenalty::PerColumn { name, weight, term }
            | FusedPenalty::Threshold { cost: ThresholdCost::Columns { name, weight, term }, .. },
        ) = definition.penalty.fused(&at.step, latents)
        {
            add(name.into(), TermOwner::Penalty, weight * at.penalty_factor, term);
        }
        for auxiliary in definition.auxiliaries {
            let NamedAuxiliary { name, built } = auxiliary;
            if let Some(FusedAuxiliary::PerColumn(weight, term)) =
                built.plugin.fused(&at.step, latents)
            {
                let weight = weight * auxiliary.weight_factor(&at);
                add(name.clone().into(), TermOwner::Auxiliary, weight, term);
            }
        }
        let labels = at.step.labels.filter(|_| !terms.is_empty());
        Self { terms, classes: labels.map(BatchClasses::of).unwrap_or_default() }
    }
}

impl<'a> ByHand<'a> {
    /// The code's part of a model by hand at one step, the weights of the penalty and of each auxiliary times a
    /// factor; `None` if something of it is not.
    pub fn of(
        definition: &Definition<'a>,
        step: &Step<'_>,
        penalty_factor: f64,
        auxiliary_factor: impl Fn(&'a NamedAuxiliary) -> f64,
    ) -> Option<Self> {
        let latents = definition.latents().0;
        let mut all = Self::default();
        let mut is_before_constraint = false;
        let weight = |weight: f64| weight * penalty_factor;
        match definition.penalty.fused(step, latents)? {
            FusedPenalty::Nothing | FusedPenalty::PerColumn { .. } => {}
            FusedPenalty::KeepLargest { k, by } => all.keep = Some(Keep::Largest(k, by)),
            FusedPenalty::KeepLargestOfBatch { k, threshold, .. } => {
                all.keep = Some(Keep::OfBatch(k, threshold));
            }
            FusedPenalty::KeepAbove(threshold) => all.keep = Some(Keep::Above(threshold)),
            FusedPenalty::Gates(terms) => {
                let sum = (terms.sum.0, weight(terms.sum.1));
                all.keep = Some(Keep::Gated(GateTerms { sum, ..terms }));
            }
            FusedPenalty::Threshold { bandwidth: width, cost } => {
                let count = match cost {
                    ThresholdCost::Count { name, weight: of, term } => {
                        Some(CountOf { name, weight: weight(of), term })
                    }
                    ThresholdCost::Columns { .. } => None,
                };
                all.keep = Some(Keep::AboveThresholds { width, count });
            }
            FusedPenalty::PerSample { name, weight: of, term } => {
                let (name, owner, weight) = (name.into(), TermOwner::Penalty, weight(of));
                all.per_sample.push(Weighted { name, owner, weight, term });
            }
            FusedPenalty::PerLatent { name, weight: of, term } => {
                let (name, owner, weight) = (name.into(), TermOwner::Penalty, weight(of));
                all.per_latent.push(Weighted { name, owner, weight, term });
            }
        }
        for auxiliary in definition.auxiliaries {
            let NamedAuxiliary { name, built } = auxiliary;
            let (name, owner) = (name.clone().into(), TermOwner::Auxiliary);
            let weight = |weight: f64| weight * auxiliary_factor(auxiliary);
            match built.plugin.fused(step, latents)? {
                FusedAuxiliary::Nothing
                | FusedAuxiliary::Weights(..)
                | FusedAuxiliary::DeadLatents(_) => {}
                FusedAuxiliary::PerSample(of, term) => {
                    let weight = weight(of);
                    all.per_sample.push(Weighted { name, owner, weight, term });
                }
                FusedAuxiliary::PerLatent(of, term) => {
                    let weight = weight(of);
                    all.per_latent.push(Weighted { name, owner, weight, term });
                }
                FusedAuxiliary::PerColumn(_, term) => {
                    is_before_constraint |= term.is_before_constraint();
                }
            }
        }
        // A latent's mean is taken while codes are made, before the largest of them are known; and of those
        // that are not the largest, nothing is kept.
        let is_known = all.per_latent.is_empty() && !is_before_constraint;
        // Of a random code, the prior is a term of every latent.
        let is_random =
            || definition.architecture.layers().is_some_and(|form| form.noise.is_some());
        let is_known = is_known && (all.keep.is_none() || !is_random());
        (all.keep.is_none() || is_known).then_some(all)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if a latent were in no part, or in that of a prefix after its first.
    #[test]
    fn latents_are_parted_by_the_first_prefix_that_they_are_in() {
        let parts = |ends: &[usize], latents| parts_by_prefix(ends, latents).collect::<Vec<_>>();
        assert_eq!(parts(&[], 3..9), [(0, 3..9)]);
        assert_eq!(parts(&[2, 5, 12], 0..12), [(0, 0..2), (1, 2..5), (2, 5..12)]);
        assert_eq!(parts(&[2, 5, 12], 4..8), [(1, 4..5), (2, 5..8)]);
        assert_eq!(parts(&[2, 5, 12], 5..6), [(2, 5..6)]);
    }
}
