//! The samples of the timed steps.

use framework::plugin::{Data, SampleShape, Split};
use framework::rand::RngExt;
use framework::random::Streams;
use rand_distr::StandardNormal;

/// Number of batches that the steps take in turn.
pub const BATCHES: usize = 4;

/// Number of classes that the samples are said to be of, in turn.
const CLASSES: usize = 10;

/// Samples of normal random numbers, the same every time. Where a sample has a square number of them, they are
/// its pixels, for corruptions of images.
pub struct NormalSamples {
    /// Numbers per sample.
    pub inputs: usize,
    /// The class of each sample.
    labels: Vec<u32>,
    classes: Vec<String>,
}

impl NormalSamples {
    /// Samples for all batches of `batch` samples each.
    pub fn new(inputs: usize, batch: usize) -> Self {
        let labels = (0..batch.saturating_mul(BATCHES)).map(|row| (row % CLASSES) as u32).collect();
        let classes = (0..CLASSES).map(|class| class.to_string()).collect();
        Self { inputs, labels, classes }
    }

    /// The classes of the samples of a batch of `batch`.
    pub fn classes(&self, batch: usize) -> &[u32] {
        &self.labels[..batch]
    }

    /// Returns the batches, each [batch, inputs].
    ///
    /// # Errors
    /// As [`Data::gather`].
    pub fn batches(&self, batch: usize) -> Result<Vec<Vec<f32>>, String> {
        (0..BATCHES)
            .map(|at| {
                let rows: Vec<usize> = (at * batch..(at + 1) * batch).collect();
                let mut x = vec![0.0; batch * self.inputs];
                self.gather(Split::Train, &rows, &mut x).map(|()| x)
            })
            .collect()
    }
}

impl Data for NormalSamples {
    fn shape(&self) -> SampleShape {
        match self.inputs.isqrt() {
            side if side * side == self.inputs => {
                SampleShape::Image { channels: 1, height: side, width: side }
            }
            _ => SampleShape::Vector(self.inputs),
        }
    }

    fn rows(&self, _: Split) -> usize {
        self.labels.len()
    }

    fn labels(&self, _: Split) -> Option<&[u32]> {
        Some(&self.labels)
    }

    fn class_names(&self) -> &[String] {
        &self.classes
    }

    fn gather(&self, _: Split, rows: &[usize], out: &mut [f32]) -> Result<(), String> {
        for (row, out) in rows.iter().zip(out.chunks_exact_mut(self.inputs)) {
            let mut random = Streams::new(0).stream(&format!("bench-step/{row}"));
            out.iter_mut().for_each(|value| *value = random.sample(StandardNormal));
        }
        Ok(())
    }
}
