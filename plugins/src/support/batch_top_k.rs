//! BatchTopK: the constraint, the running threshold and the settings that its penalties share.

use dfdx::prelude::HasShape;
use framework::dims::{Batch, Latent};
use framework::model::{
    Mode, Pass, Real, State, Step, Traced, follow_threshold, kept_of_batch, tensor, values,
};
use framework::plugin::{CodeFacts, CodeRange, FusedPenalty, PrefixTerm, Unfit};
use framework::spec::numbers::Positive;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::selection::largest_of_rows;

/// Name of the state: the running mean of the least value above 0 that each training batch keeps.
const THRESHOLD: &str = "threshold";

/// What is kept of codes in evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BatchInference {
    /// What is above a threshold: the exponential mean (rate 0.01, starting at the first value) of the least value
    /// above 0 that each training batch kept.
    #[default]
    Threshold,
    /// The largest of each batch, as in training: the rows in file order, in batches of `train.batch`.
    Batch,
}

/// Of codes after relu, the largest of a batch.
#[derive(Clone, Copy)]
pub struct BatchTopK {
    /// How many of a sample, on average.
    pub k: Positive,
    /// What is kept in evaluation.
    pub inference: BatchInference,
}

impl BatchTopK {
    /// Whether the largest of the batch are kept at a step.
    fn is_by_batch(self, step: &Step<'_>) -> bool {
        step.mode == Mode::Train || self.inference == BatchInference::Batch
    }

    /// Whether evaluation looks at batches.
    pub fn sees_batches(self) -> bool {
        self.inference == BatchInference::Batch
    }

    /// The code that is kept; in training, the threshold moves.
    pub fn constrain<E: Real>(
        self,
        code: Traced<(Batch, Latent), E>,
        pass: &Pass<'_, E>,
    ) -> Traced<(Batch, Latent), E> {
        let shape = *code.shape();
        let all = values(&code);
        let mask = if self.is_by_batch(&pass.step) {
            let count = kept_of_batch(self.k.get(), shape.0.0);
            let mask = largest_of_rows(&all, all.len(), count, |value| value);
            if pass.step.mode == Mode::Train {
                let kept = all.iter().zip(&mask).filter(|(_, kept)| kept.f64() > 0.0);
                let positive = kept.map(|(value, _)| value.f64()).filter(|value| *value > 0.0);
                follow_threshold(&mut pass.state(THRESHOLD)[0], positive.reduce(f64::min));
            }
            mask
        } else {
            let threshold = pass.state(THRESHOLD)[0];
            all.iter().map(|value| E::of(f64::from(value.f64() > threshold))).collect()
        };
        code * tensor(mask, shape)
    }

    /// Whether it fits the code.
    pub fn fits(self, code: &CodeFacts) -> Result<(), Unfit> {
        let (latents, k) = (code.latents, self.k.get());
        if code.range != CodeRange::NonNegative {
            let message = "it keeps the largest of codes that are at least 0, so it needs `activation = \"relu\"`";
            return Err(Unfit::new("kind", message));
        }
        let message =
            format!("at most all {latents} latents of a sample can be kept on average, got {k}");
        if k > latents as f64 { Err(Unfit::new("k", message)) } else { Ok(()) }
    }

    /// The same by hand.
    pub fn fused<'a>(self, step: &Step<'_>, prefixes: Option<PrefixTerm<'a>>) -> FusedPenalty<'a> {
        match self.is_by_batch(step) {
            true => {
                FusedPenalty::KeepLargestOfBatch { k: self.k.get(), threshold: THRESHOLD, prefixes }
            }
            false => FusedPenalty::KeepAbove(THRESHOLD),
        }
    }

    /// The state at the start: no value yet.
    pub fn state(self) -> State {
        State::from([(THRESHOLD.to_owned(), vec![0.0])])
    }
}
