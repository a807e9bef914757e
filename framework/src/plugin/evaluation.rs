//! Evaluations: what is measured on a model.

use linkme::distributed_slice;

use super::{Data, Plugin, Split, Unfit};

/// Every registered evaluation.
#[distributed_slice]
pub static EVALUATIONS: [Plugin<dyn Evaluation>];

/// When an evaluation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At every evaluation point and at the end: cheap.
    EveryPoint,
    /// Once, at the end.
    End,
}

/// A model and its data, as an evaluation meets them.
pub struct Subject<'a> {
    /// The data.
    pub data: &'a dyn Data,
    /// How many numbers a sample has.
    pub inputs: usize,
    /// How many latents a code has.
    pub latents: usize,
    /// A latent counts as active where its value is above this; 0 stands for "is not zero".
    pub l0_threshold: f64,
    /// The decoder's rows in the units of the data, [latents, inputs], where there are such.
    pub dictionary: Option<&'a [f32]>,
}

impl Subject<'_> {
    /// Whether a latent of this value counts as active.
    pub fn is_active(&self, value: f32) -> bool {
        is_active(value, self.l0_threshold)
    }
}

/// Whether a latent of this value counts as active: it is above the threshold, or, where that is 0,
/// it is not zero.
pub fn is_active(value: f32, l0_threshold: f64) -> bool {
    if l0_threshold > 0.0 { f64::from(value) > l0_threshold } else { value != 0.0 }
}

/// A batch of samples and what the model made of them, in the units of the data.
pub struct EvaluatedBatch<'a> {
    /// The part the samples are of.
    pub split: Split,
    /// How many samples.
    pub rows: usize,
    /// The samples, [rows, inputs].
    pub x: &'a [f32],
    /// Their reconstructions, [rows, inputs].
    pub x_hat: &'a [f32],
    /// The reconstructions from codes in which every inactive latent is 0, [rows, inputs].
    pub x_hat_thresholded: &'a [f32],
    /// The codes, [rows, latents].
    pub code: &'a [f32],
    /// The class of each sample.
    pub labels: Option<&'a [u32]>,
}

/// A number in the results; `None` where it is undefined.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// The column: `split_metric`, as in `test_mse`.
    pub name: String,
    /// The value; one that is not finite is undefined.
    pub value: Option<f64>,
}

/// A column of the table of latents.
#[derive(Clone, Debug, PartialEq)]
pub struct LatentColumn {
    /// The column's name.
    pub name: String,
    /// One value a latent.
    pub values: Vec<Option<f64>>,
}

/// What a measure found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Numbers of the whole run.
    pub metrics: Vec<Metric>,
    /// Numbers of each latent.
    pub latents: Vec<LatentColumn>,
}

impl Measured {
    /// Adds a number of the whole run; one that is not finite becomes undefined.
    pub fn metric(&mut self, name: impl Into<String>, value: f64) {
        let value = value.is_finite().then_some(value);
        self.metrics.push(Metric { name: name.into(), value });
    }

    /// Adds a number of each latent.
    pub fn latent_column(
        &mut self,
        name: impl Into<String>,
        values: impl IntoIterator<Item = f64>,
    ) {
        let values = values.into_iter().map(|value| value.is_finite().then_some(value)).collect();
        self.latents.push(LatentColumn { name: name.into(), values });
    }
}

/// An evaluation as settings describe it.
pub trait Evaluation: Send + Sync {
    /// When it runs.
    fn when(&self) -> When;

    /// The parts of the data it wants to see, each once, in this order.
    fn splits(&self) -> &[Split] {
        &[Split::Test]
    }

    /// Whether the data has what is to be measured.
    ///
    /// # Errors
    /// What is missing: labels for a probe, truth for recovery.
    fn fits(&self, data: &dyn Data) -> Result<(), Unfit> {
        let _ = data;
        Ok(())
    }

    /// Starts a measurement.
    fn start(&self, subject: &Subject<'_>) -> Box<dyn Measure>;
}

/// A measurement under way: it sees every batch once, in order, and sums up.
pub trait Measure {
    /// Takes a batch in.
    fn batch(&mut self, subject: &Subject<'_>, batch: &EvaluatedBatch<'_>);

    /// What was found.
    fn finish(self: Box<Self>, subject: &Subject<'_>) -> Measured;
}
