//! Auxiliaries: what trains beside the one penalty. Further terms of the loss, of codes or of weights, and
//! interventions after a step.

use linkme::distributed_slice;

use super::{Built, CodeFacts, FusedAuxiliary, OwnedCodes, Plugin, Shrink, Term, Unfit};
use crate::dims::{Batch, Latent};
use crate::engine::AfterStep;
use crate::model::{Declaration, OwnState, Owner, Pass, PassAt, Real, State, Step, Traced};

/// Every registered auxiliary. Soft penalties may stand beside them; see [`Penalty::is_soft`](super::Penalty::is_soft).
#[distributed_slice]
pub static AUXILIARIES: [Plugin<dyn Auxiliary>];

/// An auxiliary of a run, under a name that no other of the run has.
pub struct NamedAuxiliary {
    /// Its kind in snake case; the second of a kind in the list has `_2` at the end, and so on.
    pub name: String,
    /// The auxiliary.
    pub built: Built<dyn Auxiliary>,
}

impl NamedAuxiliary {
    /// What the weights of its terms are multiplied by at a pass.
    pub(crate) fn weight_factor<'a>(&'a self, at: &PassAt<'a>) -> f64 {
        let state = at.own_state(Owner::Auxiliary(&self.name));
        self.built.plugin.weight_factor(&at.step, state)
    }
}

/// The definition of an auxiliary's terms, generic over the dtype: f32 trains, f64 is checked against finite
/// differences.
pub trait AuxiliaryTerms<E: Real>: Send + Sync {
    /// Terms of the loss; `code` is the constrained code, [batch, latents].
    fn terms(&self, code: Traced<(Batch, Latent), E>, pass: &Pass<'_, E>) -> Vec<Term<E>> {
        let _ = (code, pass);
        Vec::new()
    }
}

/// What the registry holds: a definition in both dtypes, and what the rest of a run asks about it.
pub trait Auxiliary: AuxiliaryTerms<f32> + AuxiliaryTerms<f64> {
    /// Whether the settings fit the code.
    ///
    /// # Errors
    /// What does not fit.
    fn fits(&self, code: &CodeFacts) -> Result<(), Unfit> {
        let _ = code;
        Ok(())
    }

    /// Why it makes less sense on such codes than it seems to, if so: a warning, no error. It is not asked
    /// beside a penalty that leaves zeros itself.
    fn doubt(&self, code: &CodeFacts) -> Option<Unfit> {
        let _ = code;
        None
    }

    /// Whether its terms look at nothing but the code, the step, the state and the random stream: then the
    /// fused engine trains them through their definition. They panic if they ask for more.
    fn is_of_code_alone(&self) -> bool {
        false
    }

    /// The same by hand, for the fused engine, at a step of a code of `latents` latents; for all steps or for
    /// none.
    fn fused(&self, step: &Step<'_>, latents: usize) -> Option<FusedAuxiliary<'_>> {
        let _ = (step, latents);
        None
    }

    /// Parameters of its own; they are trained and stored as `auxiliary.NAME.PARAMETER`.
    fn parameters(&self, latents: Latent) -> Vec<Declaration> {
        let _ = latents;
        Vec::new()
    }

    /// Running state as a run starts with it.
    fn state(&self, latents: Latent) -> State {
        let _ = latents;
        State::new()
    }

    /// What the weights of its terms are multiplied by; see [`Penalty::weight_factor`](super::Penalty::weight_factor).
    fn weight_factor(&self, step: &Step<'_>, state: OwnState<'_>) -> f64 {
        let _ = (step, state);
        1.0
    }

    /// Moves the running state after a training step; see [`Penalty::observe`](super::Penalty::observe).
    fn observe(&self, step: &Step<'_>, state: OwnState<'_>, codes: &dyn Fn() -> OwnedCodes) {
        let _ = (step, state, codes);
    }

    /// Number of latents of a group; see [`Penalty::group_size`](super::Penalty::group_size).
    fn group_size(&self) -> Option<usize> {
        None
    }

    /// Whether it asks which latents are dead: then activity is counted at every step.
    fn watches_activity(&self) -> bool {
        false
    }

    /// Changes weights after every step of the optimizer, before constraints are enforced; `None` if it
    /// changes none. It is the same at every step.
    fn shrinks(&self) -> Option<&dyn Shrink> {
        None
    }

    /// Intervenes after a step: it may change the parameters and reset the moments of given latents.
    fn after_step(&self, after: &mut AfterStep<'_>) {
        let _ = after;
    }
}
