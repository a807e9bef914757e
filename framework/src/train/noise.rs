//! The noise of a run: what its corruption puts on the samples of a step.

use super::Normalizer;
use super::normalizer::for_each_row;
use crate::plugin::{Corruption, Data, SampleFacts};
use crate::random::Streams;
use crate::spec::RunSpec;

/// A corruption with what it needs of the run.
#[derive(Clone)]
pub struct Noise<'a> {
    corruption: &'a dyn Corruption,
    facts: SampleFacts,
    streams: Streams,
}

impl<'a> Noise<'a> {
    /// The noise of a run on samples that are scaled so; `None` if its corruption changes nothing.
    ///
    /// # Errors
    /// If the data cannot be read.
    pub fn of(
        run: &'a RunSpec,
        data: &dyn Data,
        normalizer: &Normalizer,
    ) -> Result<Option<Self>, String> {
        Self::new(&*run.corruption.value.plugin, data, normalizer, Streams::new(run.seed))
    }

    /// The noise of a run; `None` if its corruption changes nothing.
    ///
    /// # Errors
    /// If the data cannot be read.
    pub fn new(
        corruption: &'a dyn Corruption,
        data: &dyn Data,
        normalizer: &Normalizer,
        streams: Streams,
    ) -> Result<Option<Self>, String> {
        if !corruption.is_any() {
            return Ok(None);
        }
        let range = corruption.needs_range().then(|| range(data, normalizer)).transpose()?;
        let facts = SampleFacts::new(data.shape(), range);
        Ok(Some(Self { corruption, facts, streams }))
    }

    /// Makes the samples of a step, counted from 0, from clean ones. They depend on the seed and the step
    /// alone, so that a resumed run sees the same.
    pub fn put_on(&self, clean: &[f32], step: usize, noisy: &mut Vec<f32>) {
        noisy.clear();
        noisy.extend_from_slice(clean);
        let mut random = self.streams.stream(&format!("corruption/{step}"));
        self.corruption.corrupt(noisy, &self.facts, &mut random);
    }
}

impl Noise<'_> {
    /// Corrupts a sample of the test part, counted from 0, in the units that the model sees. What is drawn
    /// depends on the sample's place alone: it is the same in every run, whatever its seed, at every point,
    /// and in batches of any size.
    pub fn put_on_test(&self, sample: &mut [f32], row: usize) {
        let mut random = Streams::new(0).stream(&format!("corruption/test/{row}"));
        self.corruption.corrupt(sample, &self.facts, &mut random);
    }
}

/// Returns the least and the greatest value of the training part as the model sees it.
fn range(data: &dyn Data, normalizer: &Normalizer) -> Result<(f32, f32), String> {
    let (mut least, mut greatest) = (f32::INFINITY, f32::NEG_INFINITY);
    let mut scaled = Vec::new();
    for_each_row(data, |row| {
        scaled.clear();
        scaled.extend_from_slice(row);
        normalizer.apply(&mut scaled);
        for value in &scaled {
            (least, greatest) = (least.min(*value), greatest.max(*value));
        }
    })?;
    Ok((least, greatest))
}
