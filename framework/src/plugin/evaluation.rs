//! Evaluations: what is measured on a model.

use std::borrow::Cow;
use std::cell::LazyCell;
use std::collections::BTreeMap;

use linkme::distributed_slice;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Data, Declared, L0Rule, Plugin, Revision, Split, Unfit, Within};

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
    /// The test part's mean and spread.
    pub test_spread: &'a Spread,
    /// How many numbers a sample has.
    pub inputs: usize,
    /// How many latents a code has.
    pub latents: usize,
    /// Which latents are active.
    pub l0_rule: L0Rule,
    /// The decoder's rows in the units of the data, [latents, inputs], where there are such.
    pub dictionary: Dictionary<'a>,
    /// Which point this is: one of many, or the end. Only at the end are columns of latents kept.
    pub when: When,
}

/// A decoder's rows, copied out of the model when the first evaluation asks for them.
pub type Dictionary<'a> = LazyCell<Option<Vec<f32>>, Box<dyn FnOnce() -> Option<Vec<f32>> + 'a>>;

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

/// The codes of a batch, [rows, latents], in full or without their zeros.
#[derive(Clone, Copy, Debug)]
pub enum Codes<'a> {
    /// Every value.
    Dense {
        /// How many latents a row has.
        latents: usize,
        /// [rows, latents]
        values: &'a [f32],
    },
    /// Lists of what is not zero.
    Sparse {
        /// How many latents a row has.
        latents: usize,
        /// Where in the two lists below the entries of each row start; there may be more of these
        /// than rows, and gaps between the entries of one row and the next.
        starts: &'a [usize],
        /// How many entries each row has.
        lengths: &'a [u32],
        /// The latent of each entry, ascending within a row.
        indices: &'a [u32],
        /// The value of each entry. All that are not listed are zero; listed ones may be.
        values: &'a [f32],
    },
}

/// Codes of a batch that own their numbers; see [`Codes`].
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // the fields are those of `Codes`
pub enum OwnedCodes {
    /// Every value.
    Dense { latents: usize, values: Vec<f32> },
    /// Lists of what is not zero.
    Sparse {
        latents: usize,
        starts: Vec<usize>,
        lengths: Vec<u32>,
        indices: Vec<u32>,
        values: Vec<f32>,
    },
}

impl OwnedCodes {
    /// The same, borrowed.
    pub fn view(&self) -> Codes<'_> {
        match self {
            Self::Dense { latents, values } => Codes::Dense { latents: *latents, values },
            Self::Sparse { latents, starts, lengths, indices, values } => {
                Codes::Sparse { latents: *latents, starts, lengths, indices, values }
            }
        }
    }
}

impl<'a> Codes<'a> {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        match *self {
            Self::Dense { latents, values } => values.len() / latents,
            Self::Sparse { lengths, .. } => lengths.len(),
        }
    }

    /// Calls `f` with row, latent and value of everything that is not zero, in order. Of a sparse
    /// form it costs as much as is there.
    pub fn for_each_nonzero(&self, mut f: impl FnMut(usize, usize, f32)) {
        match *self {
            Self::Dense { latents, values } => {
                for (row, values) in values.chunks_exact(latents).enumerate() {
                    for (latent, value) in values.iter().enumerate() {
                        if *value != 0.0 {
                            f(row, latent, *value);
                        }
                    }
                }
            }
            Self::Sparse { starts, lengths, indices, values, .. } => {
                for (row, (start, length)) in starts.iter().zip(lengths).enumerate() {
                    let entries = *start..start + *length as usize;
                    for (latent, value) in indices[entries.clone()].iter().zip(&values[entries]) {
                        if *value != 0.0 {
                            f(row, *latent as usize, *value);
                        }
                    }
                }
            }
        }
    }

    /// Every value, [rows, latents]: for what needs them all.
    pub fn to_dense(&self) -> Cow<'a, [f32]> {
        match *self {
            Self::Dense { values, .. } => Cow::Borrowed(values),
            Self::Sparse { latents, .. } => {
                let mut all = vec![0.0; self.rows() * latents];
                self.for_each_nonzero(|row, latent, value| all[row * latents + latent] = value);
                Cow::Owned(all)
            }
        }
    }
}

/// A number in the results; `None` where it is undefined.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// The column: `split_metric`, as in `test_mse`.
    pub name: String,
    /// The value; one that is not finite is undefined.
    pub value: Option<f64>,
}

/// Which values of a metric are the good ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Best {
    /// The lowest, as of an error.
    Lowest,
    /// The highest, as of an accuracy.
    Highest,
    /// Those near to this one, as of a ratio that should be 1.
    #[serde(skip_deserializing)]
    Value(f64),
}

/// A metric that an evaluation finds: its name, and which of its values are good where that can be
/// said.
pub type Finding = (&'static str, Option<Best>);

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
    /// What metrics declare whose names [`Evaluation::metrics`] cannot list.
    pub declared: BTreeMap<String, Declared>,
}

impl Measured {
    /// Adds a number of the whole run; one that is not finite becomes undefined.
    pub fn metric(&mut self, name: impl Into<String>, value: f64) {
        let value = value.is_finite().then_some(value);
        self.metrics.push(Metric { name: name.into(), value });
    }

    /// Says which values of a metric are good, and what it depends on, where [`Evaluation::metrics`] does
    /// not list it: its name is made at run time.
    pub fn declare(&mut self, name: impl Into<String>, best: Option<Best>, within: Within) {
        self.declared.insert(name.into(), Declared { best, within, how: String::new() });
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
    fn start(&self, subject: &Subject<'_>) -> Box<dyn Measure>;
}

/// A measurement under way: it sees every batch once, in order, and sums up.
pub trait Measure {
    /// Takes a batch in.
    fn batch(&mut self, subject: &Subject<'_>, batch: &EvaluatedBatch<'_>);

    /// What was found.
    fn finish(self: Box<Self>, subject: &Subject<'_>) -> Measured;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_codes_say_the_same() {
        let all = [0.0, 2.0, 0.0, -1.0, 0.0, 0.0, 0.5, 0.0, 3.0];
        let dense = Codes::Dense { latents: 3, values: &all };
        let sparse = Codes::Sparse {
            latents: 3,
            starts: &[0, 3, 4, 7],
            lengths: &[2, 1, 2],
            indices: &[0, 1, 9, 0, 0, 2, 9],
            values: &[0.0, 2.0, 9.0, -1.0, 0.5, 3.0, 9.0],
        };
        let entries = |codes: Codes<'_>| {
            let mut entries = Vec::new();
            codes.for_each_nonzero(|row, latent, value| entries.push((row, latent, value)));
            entries
        };
        assert_eq!(entries(dense), [(0, 1, 2.0), (1, 0, -1.0), (2, 0, 0.5), (2, 2, 3.0)]);
        assert_eq!(entries(sparse), entries(dense));
        assert_eq!((dense.rows(), sparse.rows()), (3, 3));
        assert_eq!(sparse.to_dense(), all.as_slice());
        assert!(matches!(dense.to_dense(), Cow::Borrowed(_)));
    }
}
