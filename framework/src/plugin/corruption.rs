//! Corruptions: noise on the samples that a model encodes in training.

use linkme::distributed_slice;

use super::{Plugin, SampleShape, Unfit};
use crate::random::ChaCha8Rng;

/// Every registered corruption.
#[distributed_slice]
pub static CORRUPTIONS: [Plugin<dyn Corruption>];

/// What a corruption may know of the samples, in the units that the encoder sees.
#[derive(Clone, Debug)]
pub struct SampleFacts {
    shape: SampleShape,
    range: Option<(f32, f32)>,
}

impl SampleFacts {
    /// Facts about samples of a shape; `range` is for corruptions that need it.
    pub fn new(shape: SampleShape, range: Option<(f32, f32)>) -> Self {
        Self { shape, range }
    }

    /// Returns the shape of every sample.
    pub fn shape(&self) -> &SampleShape {
        &self.shape
    }

    /// Returns the least and the greatest value of the whole training part.
    ///
    /// # Panics
    /// If the corruption does not say [`Corruption::needs_range`].
    pub fn range(&self) -> (f32, f32) {
        self.range.expect("a corruption sees the range if it says `Corruption::needs_range`")
    }
}

/// Changes the samples that are encoded in training. What is to be reconstructed stays clean, and so
/// does everything that is measured.
pub trait Corruption: Send + Sync {
    /// Whether the settings fit the samples.
    ///
    /// # Errors
    /// What does not fit: a square cut out of a vector.
    fn fits(&self, shape: &SampleShape) -> Result<(), Unfit> {
        let _ = shape;
        Ok(())
    }

    /// Whether it changes any sample.
    fn is_any(&self) -> bool {
        true
    }

    /// Whether it needs [`SampleFacts::range`], which takes a pass over the training part before the first
    /// step.
    fn needs_range(&self) -> bool {
        false
    }

    /// Corrupts samples, [samples, inputs], in place. `random` is a stream of the run's own, another one
    /// at each step: no state may be kept from step to step.
    fn corrupt(&self, samples: &mut [f32], facts: &SampleFacts, random: &mut ChaCha8Rng);
}
