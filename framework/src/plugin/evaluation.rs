//! Evaluations: what is measured on a model.

use std::sync::Arc;

use linkme::distributed_slice;

use super::dataset::gather;
use super::{
    Codes, Data, DataFacts, Finding, L0Rule, Measured, OwnedCodes, Plugin, Revision, Split, Title,
    Unfit, Within,
};
use crate::random::{ChaCha8Rng, Streams};
use crate::train::Model;

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

/// A trained model as evaluations use it: samples go in and reconstructions come out in the units of the
/// data. Whatever random numbers the model draws are the same every time.
pub trait Coder {
    /// Returns the codes of samples, [samples, inputs].
    fn encode(&self, x: &[f32]) -> OwnedCodes;

    /// Returns the reconstructions of samples, [samples, inputs].
    fn reconstruct(&self, x: &[f32]) -> Vec<f32>;

    /// Returns the reconstructions of samples of the test part, of which `x` has those from `first` on, after
    /// they were corrupted as in the training of the run; `None` if it has no corruption. What is drawn
    /// depends on the place of a sample alone: it is the same in every run.
    fn reconstruct_corrupted(&self, x: &[f32], first: usize) -> Option<Vec<f32>> {
        let _ = (x, first);
        None
    }

    /// Returns the reconstructions from codes, [samples, inputs].
    fn decode(&self, codes: Codes<'_>) -> Vec<f32>;

    /// Returns the decoder's rows, [latents, inputs], where each latent has one.
    fn dictionary(&self) -> Option<&[f32]>;

    /// Returns the number of neighbouring latents that form a group, if the run's penalty has groups.
    fn group_size(&self) -> Option<usize> {
        None
    }

    /// Returns ‖∂h/∂x‖²_F of each sample of a batch, where h is the code after its activation and before any
    /// constraint, and x and h are in the units of the model; `None` if the architecture does not offer it.
    /// Where it takes another pass of the encoder, it is there at the end alone. Behind hidden layers, it is there of
    /// at most 1,000 samples of the part, evenly spaced.
    fn jacobian_norms(&self, batch: &EvaluatedBatch<'_>, when: When) -> Option<Vec<f64>> {
        let _ = (batch, when);
        None
    }

    /// Returns the KL divergence of each latent's distribution from its prior, in nats, of each sample of a batch,
    /// [samples, latents]; `None` if the architecture does not offer it.
    fn kl_prior(&self, batch: &EvaluatedBatch<'_>) -> Option<Vec<f64>> {
        let _ = batch;
        None
    }

    /// Returns the model itself, with its parameters and in its own units, for evaluations that go on from
    /// what was learnt; `None` in tests that have no model.
    fn whole(&self) -> Option<&Model<'_>>;
}

/// A model and its data, as an evaluation meets them.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The data.
    pub data: &'a dyn Data,
    /// What is known of the data, whatever evaluation found it.
    pub facts: &'a DataFacts,
    /// The test part's mean and spread.
    pub test_spread: &'a Spread,
    /// How many numbers a sample has.
    pub inputs: usize,
    /// How many latents a code has.
    pub latents: usize,
    /// Which latents are active.
    pub l0_rule: L0Rule,
    /// Whether a latent that says nothing is exactly 0; see [`rests_at_zero`](crate::model::Definition::rests_at_zero).
    pub rests_at_zero: bool,
    /// The model.
    pub model: &'a dyn Coder,
    /// The random streams of the run.
    pub streams: Streams,
    /// The evaluation that this subject is for.
    pub role: Role<'a>,
    /// The settings of the run's corruption, as text, if it has one.
    pub corruption: Option<&'a str>,
    /// Which point this is: one of many, or the end. Only at the end are columns of latents, tables and
    /// pictures kept.
    pub when: When,
}

/// What tells an evaluation from others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Role<'a> {
    /// The name that its results go by.
    pub name: &'a str,
    /// Its kind and its settings: evaluations for which they are the same find the same facts.
    pub settings: &'a str,
}

impl Subject<'_> {
    /// Returns the random stream of this evaluation, from its start. It depends on the seed of the run and
    /// on the name of the evaluation alone, so it is the same at every point and on a stored model.
    pub fn random(&self) -> ChaCha8Rng {
        self.streams.stream(&format!("evaluation/{}", self.role.name))
    }

    /// Returns what depends on the data and on the settings of this evaluation alone. `find` finds it for
    /// the first run on the data; later runs, and evaluations with the same settings, share it. So it must
    /// use neither the model nor [`Subject::random`]. What does not depend on the settings either is a fact
    /// of [`Subject::facts`].
    ///
    /// # Errors
    /// Those of `find`.
    pub fn once<T: Send + Sync + 'static>(
        &self,
        name: &str,
        find: impl FnOnce() -> Result<T, String>,
    ) -> Result<Arc<T>, String> {
        self.facts.once(&format!("{}/{name}", self.role.settings), find)
    }

    /// Returns samples of either part, [rows, inputs], in the units of the data.
    ///
    /// # Errors
    /// If the data cannot be read.
    pub fn samples(&self, split: Split, rows: &[usize]) -> Result<Vec<f32>, String> {
        let mut samples = vec![0.0; rows.len() * self.inputs];
        gather(self.data, split, rows, &mut samples)?;
        Ok(samples)
    }
}

/// How samples lie around their mean.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spread {
    /// How many samples.
    pub samples: f64,
    /// The mean sample x̄, [inputs].
    pub mean: Vec<f64>,
    /// Σ‖x − x̄‖².
    pub variation: f64,
}

/// Rows of data read at once.
const ROWS_AT_ONCE: usize = 1024;

impl Spread {
    /// The spread of a part of the data.
    ///
    /// # Errors
    /// If the data cannot be read.
    pub fn of(data: &dyn Data, split: Split) -> Result<Self, String> {
        let inputs = data.shape().inputs();
        let mut spread = Self { mean: vec![0.0; inputs], ..Self::default() };
        let rows: Vec<usize> = (0..data.rows(split)).collect();
        let mut samples = Vec::new();
        for rows in rows.chunks(ROWS_AT_ONCE) {
            samples.resize(rows.len() * inputs, 0.0);
            data.gather(split, rows, &mut samples)?;
            samples.chunks_exact(inputs).for_each(|x| spread.add(x));
        }
        Ok(spread)
    }

    /// Welford's update: there is no difference of two large sums, which would drown the variance of
    /// data far from 0.
    fn add(&mut self, x: &[f32]) {
        self.samples += 1.0;
        let share = 1.0 / self.samples;
        for (mean, x) in self.mean.iter_mut().zip(x) {
            let before = f64::from(*x) - *mean;
            *mean += before * share;
            self.variation += before * (f64::from(*x) - *mean);
        }
    }
}

/// A batch of samples and what the model made of them, in the units of the data.
pub struct EvaluatedBatch<'a> {
    /// The part the samples are of.
    pub split: Split,
    /// The first sample's place in that part; the others follow it.
    pub first: usize,
    /// How many samples.
    pub rows: usize,
    /// The samples, [rows, inputs].
    pub x: &'a [f32],
    /// Their reconstructions, [rows, inputs].
    pub x_hat: &'a [f32],
    /// The reconstructions from codes in which every inactive latent is 0, [rows, inputs]; `None`
    /// where every inactive latent is 0 anyway, so that these are `x_hat`.
    pub x_hat_thresholded: Option<&'a [f32]>,
    /// The objective that the model was trained on of each sample, in the units of the model; `None` where it
    /// is the squared error.
    pub objective: Option<&'a [f64]>,
    /// The codes, [rows, latents].
    pub code: Codes<'a>,
    /// The class of each sample.
    pub labels: Option<&'a [u32]>,
}

impl EvaluatedBatch<'_> {
    /// Whether every code and reconstruction is finite.
    pub fn is_finite(&self) -> bool {
        // No early end: then it is vectorised.
        let are_finite = |values: &[f32]| values.iter().fold(true, |so, v| so & v.is_finite());
        let mut is_finite = are_finite(self.x_hat) && self.x_hat_thresholded.is_none_or(are_finite);
        match self.code {
            Codes::Dense { values, .. } => is_finite &= are_finite(values),
            sparse @ Codes::Sparse { .. } => {
                sparse.for_each_nonzero(|_, _, value| is_finite &= value.is_finite());
            }
        }
        is_finite
    }
}

/// An evaluation as settings describe it.
pub trait Evaluation: Send + Sync {
    /// When it runs.
    fn when(&self) -> When;

    /// The metrics it finds. Settings can name those that are listed, and no others.
    fn metrics(&self) -> &[Finding] {
        &[]
    }

    /// What has changed in what it measures, the oldest change first; see [`Revision`].
    fn revisions(&self) -> &[Revision] {
        &[]
    }

    /// Which settings change the meaning of a metric: runs that differ in these are not compared by it.
    fn within(&self, metric: &str) -> Within {
        let _ = metric;
        Within::Labels
    }

    /// What a column of its results is called for people, where it has words for it. `input` is the data's word
    /// for one number of a sample, as `pixel`.
    fn title(&self, column: &str, input: &str) -> Option<Title> {
        let _ = (column, input);
        None
    }

    /// Whether it finds a curve over budgets ([`AtBudget`](super::AtBudget)): a metric that compares codes
    /// that are never 0 too.
    fn has_budgets(&self) -> bool {
        false
    }

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

    /// Why the numbers say less about this data than they seem to, if so: a warning, no error.
    fn doubt(&self, data: &dyn Data) -> Option<Unfit> {
        let _ = data;
        None
    }

    /// Starts a measurement.
    ///
    /// # Errors
    /// If the data cannot be read.
    fn start(&self, subject: &Subject<'_>) -> Result<Box<dyn Measure>, String>;
}

/// A measurement under way: it sees every batch once, in order, and sums up.
pub trait Measure {
    /// Takes a batch in.
    fn batch(&mut self, subject: &Subject<'_>, batch: &EvaluatedBatch<'_>);

    /// What was found.
    ///
    /// # Errors
    /// If the data cannot be read.
    fn finish(self: Box<Self>, subject: &Subject<'_>) -> Result<Measured, String>;
}
