//! Which engine trains a run.

use crate::dims::Latent;
use crate::model::Step;
use crate::plugin::{Architecture, Penalty};
use crate::spec::{EngineChoice, RunSpec};

/// The two engines: one meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// dfdx: every architecture and penalty; the definition of what is right.
    Reference,
    /// By hand: dense architectures, and penalties of the code alone.
    Fused,
}

impl Engine {
    /// The engine of a run: the one that was asked for, or the fastest that covers it.
    pub fn of(run: &RunSpec) -> Self {
        match run.train.value.engine {
            EngineChoice::Reference => Self::Reference,
            EngineChoice::Fused => Self::Fused,
            EngineChoice::Auto => {
                let (architecture, penalty) = (&run.architecture.value, &run.penalty.value);
                match Self::fused_covers(&*architecture.plugin, &*penalty.plugin) {
                    Ok(()) => Self::Fused,
                    Err(_) => Self::Reference,
                }
            }
        }
    }

    /// What results call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Fused => "fused",
        }
    }

    /// Whether the fused engine covers a model.
    ///
    /// # Errors
    /// Why not.
    pub fn fused_covers(
        architecture: &dyn Architecture,
        penalty: &dyn Penalty,
    ) -> Result<(), &'static str> {
        if architecture.dense_form().is_none() {
            return Err("the fused engine trains dense architectures of one hidden layer");
        }
        let latents = architecture.latents();
        let is_by_hand = penalty.fused(&Step::EVALUATE, latents).is_some();
        let is_alone = penalty.is_of_code_alone() && penalty.parameters(Latent(latents)).is_empty();
        if is_by_hand || is_alone {
            return Ok(());
        }
        Err("the fused engine trains penalties of the code alone, without parameters of their own")
    }
}
