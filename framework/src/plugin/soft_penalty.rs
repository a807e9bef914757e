//! Penalties that stand in `auxiliary`, beside the one penalty.

use super::{
    Auxiliary, AuxiliaryTerms, Built, CodeFacts, FusedAuxiliary, FusedPenalty, OwnedCodes, Penalty,
    Term, Unfit,
};
use crate::dims::{Batch, Latent};
use crate::model::{Declaration, OwnState, Pass, Real, State, Step, Traced};

/// A soft penalty as an auxiliary: its terms are added to the loss.
pub struct SoftPenalty(Box<dyn Penalty>);

impl SoftPenalty {
    /// Makes an auxiliary of a penalty that [is soft](Penalty::is_soft).
    pub fn built(penalty: Built<dyn Penalty>) -> Built<dyn Auxiliary> {
        let Built { kind, plugin, settings } = penalty;
        Built { kind, plugin: Box::new(Self(plugin)), settings }
    }
}

impl<E: Real> AuxiliaryTerms<E> for SoftPenalty {
    fn terms(&self, code: Traced<(Batch, Latent), E>, pass: &Pass<'_, E>) -> Vec<Term<E>> {
        E::penalize(&*self.0).penalize(code, pass)
    }
}

impl Auxiliary for SoftPenalty {
    fn fits(&self, code: &CodeFacts) -> Result<(), Unfit> {
        self.0.fits(code)
    }

    fn doubt(&self, code: &CodeFacts) -> Option<Unfit> {
        self.0.doubt(code)
    }

    fn is_of_code_alone(&self) -> bool {
        self.0.is_of_code_alone()
    }

    fn fused(&self, step: &Step<'_>, latents: usize) -> Option<FusedAuxiliary<'_>> {
        match self.0.fused(step, latents)? {
            FusedPenalty::Nothing => Some(FusedAuxiliary::Nothing),
            FusedPenalty::PerSample { weight, term, .. } => {
                Some(FusedAuxiliary::PerSample(weight, term))
            }
            FusedPenalty::PerLatent { weight, term, .. } => {
                Some(FusedAuxiliary::PerLatent(weight, term))
            }
            FusedPenalty::PerColumn { weight, term, .. } => {
                Some(FusedAuxiliary::PerColumn(weight, term))
            }
            // It changes codes, so the penalty is not soft.
            FusedPenalty::KeepLargest { .. }
            | FusedPenalty::KeepLargestOfBatch { .. }
            | FusedPenalty::KeepAbove(_)
            | FusedPenalty::Gates(_)
            | FusedPenalty::Threshold { .. } => None,
        }
    }

    fn group_size(&self) -> Option<usize> {
        self.0.group_size()
    }

    fn parameters(&self, latents: Latent) -> Vec<Declaration> {
        self.0.parameters(latents)
    }

    fn state(&self, latents: Latent) -> State {
        self.0.state(latents)
    }

    fn weight_factor(&self, step: &Step<'_>, state: OwnState<'_>) -> f64 {
        self.0.weight_factor(step, state)
    }

    fn observe(&self, step: &Step<'_>, state: OwnState<'_>, codes: &dyn Fn() -> OwnedCodes) {
        self.0.observe(step, state, codes);
    }
}
