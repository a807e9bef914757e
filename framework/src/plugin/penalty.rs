//! Penalties: the ways of making a code sparse.

use linkme::distributed_slice;

use super::{Activation, CodeRange, FusedPenalty, Offer, OwnedCodes, Plugin, Unfit};
use crate::dims::{Batch, Latent};
use crate::model::{Declaration, OwnState, Pass, Real, State, Step, Traced};
use crate::search::MeanPull;
use dfdx::prelude::Rank0;

/// Every registered penalty.
#[distributed_slice]
pub static PENALTIES: [Plugin<dyn Penalty>];

/// A soft term of the loss: it adds `weight · value`.
pub struct Term<E: Real> {
    /// What results call it.
    pub name: &'static str,
    /// The value before the weight.
    pub value: Traced<Rank0, E>,
    /// The weight in the loss.
    pub weight: f64,
    /// Whether the weight of a penalty's term rises over `train.penalty_warmup`.
    pub warms_up: bool,
}

impl<E: Real> Term<E> {
    /// A term `weight · value`.
    pub fn new(name: &'static str, value: Traced<Rank0, E>, weight: f64) -> Self {
        Self { name, value, weight, warms_up: true }
    }

    /// The same at its whole weight from the first step: a term that does not make codes sparse, as a
    /// reconstruction that a penalty adds.
    pub fn at_once(self) -> Self {
        Self { warms_up: false, ..self }
    }
}

/// The definition of a penalty, generic over the dtype: f32 trains, f64 is checked against finite
/// differences. Either hook may be left out.
pub trait Penalize<E: Real>: Send + Sync {
    /// A hard constraint: the code that is decoded, measured and stored, [batch, latents].
    fn constrain(
        &self,
        code: Traced<(Batch, Latent), E>,
        pass: &Pass<'_, E>,
    ) -> Traced<(Batch, Latent), E> {
        let _ = pass;
        code
    }

    /// Soft terms of the constrained code, [batch, latents].
    fn penalize(&self, code: Traced<(Batch, Latent), E>, pass: &Pass<'_, E>) -> Vec<Term<E>> {
        let _ = (code, pass);
        Vec::new()
    }
}

/// What a penalty may want to know of the run it is to be part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeFacts {
    /// How many latents there are.
    pub latents: usize,
    /// The values they take.
    pub range: CodeRange,
    /// How many classes the labels have; 0 without labels.
    pub classes: usize,
    /// What the architecture offers besides codes.
    pub offers: &'static [Offer],
}

impl CodeFacts {
    /// Refuses the setting `key` where the architecture lacks what it needs.
    ///
    /// # Errors
    /// What is lacking.
    pub fn needs(&self, key: &'static str, offer: Offer) -> Result<(), Unfit> {
        if self.offers.contains(&offer) {
            return Ok(());
        }
        let message = format!("it needs {}, and the architecture has none", offer.words());
        Err(Unfit::new(key, message))
    }
}

/// The setting that decides how sparse codes are: what a run with a target searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrengthKey {
    /// A weight of its own terms: any number above 0, and the larger it is, the fewer latents are active. A controller
    /// multiplies the weights of those terms instead.
    Weight(&'static str),
    /// The same, with a second weight that keeps its ratio to it.
    Weights(&'static str, &'static str),
    /// A number of active latents: from 1 to all of them, and the larger it is, the more are active.
    Count(&'static str),
    /// A mean number of active latents, which need not be whole: more than 0 and at most all of them, and the larger
    /// it is, the more are active.
    MeanCount(&'static str),
}

impl StrengthKey {
    /// The key of the setting.
    pub fn key(self) -> &'static str {
        match self {
            Self::Weight(key) | Self::Weights(key, _) | Self::Count(key) | Self::MeanCount(key) => {
                key
            }
        }
    }

    /// The key of the setting that keeps its ratio to it, if there is one.
    pub fn second(self) -> Option<&'static str> {
        match self {
            Self::Weights(_, second) => Some(second),
            Self::Weight(_) | Self::Count(_) | Self::MeanCount(_) => None,
        }
    }
}

/// What the registry holds: a definition in both dtypes, and what the rest of a run asks about it.
pub trait Penalty: Penalize<f32> + Penalize<f64> {
    /// Whether the settings fit the code.
    ///
    /// # Errors
    /// What does not fit: KL on codes that are no probabilities, k above the number of latents.
    fn fits(&self, code: &CodeFacts) -> Result<(), Unfit> {
        let _ = code;
        Ok(())
    }

    /// Why it makes less sense on such codes than it seems to, if so: a warning, no error.
    fn doubt(&self, code: &CodeFacts) -> Option<Unfit> {
        let _ = code;
        None
    }

    /// Activation that makes the codes it is for, if it is for one alone. An architecture has it where the file says
    /// none; where the file says another, [`fits`](Self::fits) refuses it.
    fn activation(&self) -> Option<Activation> {
        None
    }

    /// Whether what it makes of a sample depends on the other samples of the batch in evaluation too. Then
    /// evaluations pass the samples in batches of `train.batch`.
    fn sees_batches(&self) -> bool {
        false
    }

    /// Whether it leaves codes as they are and only adds terms: then it may also stand in `auxiliary`.
    fn is_soft(&self) -> bool {
        false
    }

    /// What the reconstruction term of the loss is multiplied by. Results have the term without it.
    fn reconstruction_weight(&self) -> f64 {
        1.0
    }

    /// Which setting decides how sparse codes are; `None` if none does.
    fn strength(&self) -> Option<StrengthKey> {
        None
    }

    /// Why no setting decides how sparse codes are, with the setting that says so, where settings of the same penalty
    /// have one that does.
    fn lacks_strength(&self) -> Option<Unfit> {
        None
    }

    /// Mean activation that more strength pulls codes to, if it is one, with the setting that says it. Then a search
    /// for a mean activation goes by it: more strength raises a mean that is below, and lowers one that is above.
    fn pulls_mean_to(&self) -> Option<MeanPull> {
        None
    }

    /// Whether the constraint leaves exact zeros, so that "active" means "not zero" whatever the
    /// activation.
    fn leaves_zeros(&self) -> bool {
        false
    }

    /// The penalty's own parameter, one number a latent, that a code has to exceed to be active, if there is one.
    fn thresholds(&self) -> Option<&'static str> {
        None
    }

    /// Whether a latent of −h is as active as one of h; not if low codes are "off" to the penalty.
    /// Where codes take both signs and are never exactly 0, this decides what "active" means; see
    /// [`L0Rule`](super::L0Rule).
    fn treats_signs_alike(&self) -> bool {
        true
    }

    /// Number of latents of a group, where neighbours form groups that are to be active together: the first so
    /// many latents are the first group. `None` if there are no groups.
    fn group_size(&self) -> Option<usize> {
        None
    }

    /// Whether the two hooks look at nothing but the code, the step, the state and the random
    /// stream: then the penalty trains in the fused engine through them, whatever it is. They
    /// panic if they ask for more.
    fn is_of_code_alone(&self) -> bool {
        false
    }

    /// The same penalty by hand, for the fused engine, at a step of a code of `latents` latents;
    /// for all steps or for none.
    fn fused(&self, step: &Step<'_>, latents: usize) -> Option<FusedPenalty<'_>> {
        let _ = (step, latents);
        None
    }

    /// Parameters of the penalty's own; they are trained and stored as `penalty.NAME`.
    fn parameters(&self, latents: Latent) -> Vec<Declaration> {
        let _ = latents;
        Vec::new()
    }

    /// Running state as a run starts with it.
    fn state(&self, latents: Latent) -> State {
        let _ = latents;
        State::new()
    }

    /// What the weights of its own terms are multiplied by at a training step, by the running state: for a strength
    /// that follows what was seen.
    fn weight_factor(&self, step: &Step<'_>, state: OwnState<'_>) -> f64 {
        let _ = (step, state);
        1.0
    }

    /// Moves the running state after a training step, by the constrained codes of its batch if it asks for them.
    fn observe(&self, step: &Step<'_>, state: OwnState<'_>, codes: &dyn Fn() -> OwnedCodes) {
        let _ = (step, state, codes);
    }
}
