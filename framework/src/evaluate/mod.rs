//! Measures a model on its data: streams the samples once, in batches, to all evaluations.

mod jacobian;
mod model_in_use;
mod preferred_input;
mod prior;

use std::sync::Arc;

use self::model_in_use::ModelInUse;
pub use self::preferred_input::InputBall;
use crate::model::{Mode, Step};
use crate::plugin::dataset::gather;
use crate::plugin::{
    Data, DataFacts, EvaluatedBatch, L0Rule, Measure, Measured, NamedEvaluation, Role, Split,
    Spread, Subject, When,
};
use crate::search::Quantity;
use crate::spec::RunSpec;
use crate::train::{Model, Noise, Normalizer};

/// Measures models on one dataset. What depends on the data alone is found once, and buffers serve
/// every measurement.
pub struct Evaluator<'a> {
    data: &'a dyn Data,
    /// Samples a batch.
    batch: usize,
    facts: Arc<DataFacts>,
    /// The noise of the run whose models are measured, with its settings.
    noise: Option<(Noise<'a>, &'a str)>,
    buffers: EvaluationBuffers,
}

/// Why a model has no measurements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmeasured {
    /// The data cannot be read.
    Unread(String),
    /// What the model makes of the samples is not finite; the first metric that this makes undefined.
    NotFinite(String),
}

impl From<String> for Unmeasured {
    fn from(message: String) -> Self {
        Self::Unread(message)
    }
}

#[derive(Default)]
struct EvaluationBuffers {
    /// 0, 1, …, as far as a part has rows.
    rows: Vec<usize>,
    /// The samples of a batch, in the units of the data.
    x: Vec<f32>,
    /// The same as the model sees them, where that differs.
    scaled: Vec<f32>,
}

impl<'a> Evaluator<'a> {
    /// Measures on `data` in batches of `batch` samples.
    pub fn new(data: &'a dyn Data, batch: usize) -> Self {
        let (facts, buffers) = (Arc::default(), EvaluationBuffers::default());
        Self { data, batch, facts, noise: None, buffers }
    }

    /// The same; it shares what is known of the data with others who measure on it.
    pub fn knowing(self, facts: Arc<DataFacts>) -> Self {
        Self { facts, ..self }
    }

    /// The same for models of one run, which see samples scaled by `normalizer`: how well they do on samples
    /// that are corrupted as in its training is measured too.
    ///
    /// # Errors
    /// If the data cannot be read.
    pub fn of_run(self, run: &'a RunSpec, normalizer: &Normalizer) -> Result<Self, String> {
        let noise = Noise::of(run, self.data, normalizer)?;
        Ok(self.with_noise(noise, run))
    }

    /// The same with the noise of the run, if it has any.
    pub(crate) fn with_noise(self, noise: Option<Noise<'a>>, run: &'a RunSpec) -> Self {
        Self { noise: noise.map(|noise| (noise, &*run.corruption.canonical)), ..self }
    }

    /// What those of `evaluations` find on `model` that run at such a point, first on the training
    /// part where one of them wants it, then on the test part.
    ///
    /// # Errors
    /// If the data cannot be read; at the end also if codes or reconstructions are not finite.
    pub fn measure<'e>(
        &mut self,
        model: &Model<'_>,
        evaluations: impl IntoIterator<Item = &'e NamedEvaluation>,
        when: When,
    ) -> Result<Measured, Unmeasured> {
        let Self { data, batch, facts, noise, buffers } = self;
        let test_spread = test_spread(*data, facts)?;
        let batch = model.definition.evaluation_batch(*batch);
        let in_use = ModelInUse::new(model, *data, batch, noise.as_ref());
        let subject = subject(*data, facts, &test_spread, &in_use, when);
        let mut measures = Vec::new();
        for evaluation in evaluations {
            let plugin = evaluation.plugin();
            if when == When::End || plugin.when() == When::EveryPoint {
                let subject = Subject { role: evaluation.role(), ..subject };
                measures.push((evaluation, subject, plugin.start(&subject)?));
            }
        }
        let mut is_finite = true;
        for split in [Split::Train, Split::Test] {
            let mut wanting: Vec<(&Subject<'_>, &mut Box<dyn Measure>)> = measures
                .iter_mut()
                .filter(|(evaluation, ..)| evaluation.plugin().splits().contains(&split))
                .map(|(_, subject, measure)| (&*subject, measure))
                .collect();
            if !wanting.is_empty() {
                buffers.stream(model, &subject, split, batch, &mut |batch| {
                    is_finite &= when != When::End || batch.is_finite();
                    wanting.iter_mut().for_each(|(subject, measure)| measure.batch(subject, batch));
                })?;
            }
        }
        let mut all = Measured::default();
        for (evaluation, subject, measure) in measures {
            all.extend(evaluation.renamed(measure.finish(&subject)?));
        }
        match when {
            When::EveryPoint => all.exhibits.clear(),
            When::End => all.check_exhibits()?,
        }
        if !is_finite {
            let undefined = all.metrics.into_iter().find(|metric| metric.value.is_none());
            let name = undefined.map_or("a reconstruction".to_owned(), |metric| metric.name);
            return Err(Unmeasured::NotFinite(name));
        }
        Ok(all)
    }

    /// The mean number of active latents of a test sample.
    ///
    /// # Errors
    /// If the data cannot be read, or codes or reconstructions are not finite.
    pub fn l0(&mut self, model: &Model<'_>) -> Result<f64, Unmeasured> {
        let (mut active, mut is_finite) = (0, true);
        self.each_batch(model, Split::Test, &mut |subject, batch| {
            active += subject.l0_rule.count(&batch.code.to_dense());
            is_finite &= batch.is_finite();
        })?;
        if !is_finite {
            return Err(Unmeasured::NotFinite("test_l0".to_owned()));
        }
        Ok(active as f64 / self.data.rows(Split::Test).max(1) as f64)
    }

    /// The mean of the codes over the test samples and all latents: the same number as `test_mean_activation`.
    ///
    /// # Errors
    /// If the data cannot be read, or codes or reconstructions are not finite.
    pub fn mean_activation(&mut self, model: &Model<'_>) -> Result<f64, Unmeasured> {
        let (mut sums, mut is_finite) = (vec![0.0_f64; model.latents()], true);
        self.each_batch(model, Split::Test, &mut |_, batch| {
            batch.code.for_each_nonzero(|_, latent, value| sums[latent] += f64::from(value));
            is_finite &= batch.is_finite();
        })?;
        if !is_finite {
            return Err(Unmeasured::NotFinite("test_mean_activation".to_owned()));
        }
        let samples = self.data.rows(Split::Test).max(1) as f64;
        Ok(sums.iter().sum::<f64>() / samples / sums.len().max(1) as f64)
    }

    /// What a model has of the quantity that a target is a value of; of a share, its L0.
    ///
    /// # Errors
    /// If the data cannot be read, or codes or reconstructions are not finite.
    pub fn reached(&mut self, model: &Model<'_>, quantity: Quantity) -> Result<f64, Unmeasured> {
        match quantity {
            Quantity::L0 | Quantity::Share => self.l0(model),
            Quantity::MeanActivation => self.mean_activation(model),
        }
    }

    /// Passes every sample of a part through the model, in the order of the data, and shows each batch
    /// with what the model made of it.
    ///
    /// # Errors
    /// If the data cannot be read.
    pub fn each_batch(
        &mut self,
        model: &Model<'_>,
        split: Split,
        see: &mut dyn FnMut(&Subject<'_>, &EvaluatedBatch<'_>),
    ) -> Result<(), String> {
        let Self { data, batch, facts, noise, buffers } = self;
        let batch = model.definition.evaluation_batch(*batch);
        let (test_spread, in_use) =
            (test_spread(*data, facts)?, ModelInUse::new(model, *data, batch, noise.as_ref()));
        let subject = subject(*data, facts, &test_spread, &in_use, When::End);
        buffers.stream(model, &subject, split, batch, &mut |batch| see(&subject, batch))
    }
}

/// The test part's mean and spread.
fn test_spread(data: &dyn Data, facts: &DataFacts) -> Result<Arc<Spread>, String> {
    facts.once("test spread", || Spread::of(data, Split::Test))
}

/// What evaluations know of a model and its data.
fn subject<'a>(
    data: &'a dyn Data,
    facts: &'a DataFacts,
    test_spread: &'a Spread,
    in_use: &'a ModelInUse<'_>,
    when: When,
) -> Subject<'a> {
    let model = in_use.model();
    Subject {
        data,
        facts,
        test_spread,
        inputs: model.input.0,
        latents: model.latents(),
        l0_rule: model.l0_rule(),
        rests_at_zero: model.definition.rests_at_zero(),
        model: in_use,
        streams: model.streams,
        role: Role::default(),
        corruption: in_use.corruption(),
        when,
    }
}

impl EvaluationBuffers {
    /// Passes every sample of a part through the model, in the order of the data.
    fn stream(
        &mut self,
        model: &Model<'_>,
        subject: &Subject<'_>,
        split: Split,
        batch: usize,
        see: &mut dyn FnMut(&EvaluatedBatch<'_>),
    ) -> Result<(), String> {
        let (data, inputs) = (subject.data, subject.inputs);
        let Self { rows: all, x, scaled } = self;
        all.clear();
        all.extend(0..data.rows(split));
        for rows in all.chunks(batch) {
            x.resize(rows.len() * inputs, 0.0);
            gather(data, split, rows, x)?;
            let seen = if model.normalizer.is_none() {
                &*x
            } else {
                scaled.clone_from(x);
                model.normalizer.apply(scaled);
                &*scaled
            };
            let labels = data.labels(split).map(|labels| &labels[rows[0]..rows[0] + rows.len()]);
            let step = Step { mode: Mode::Evaluate, labels, ..Step::EVALUATE };
            let mut forward = model.forward(seen, step);
            model.normalizer.undo(&mut forward.x_hat);
            let rule = subject.l0_rule;
            let thresholded = (rule != L0Rule::Nonzero).then(|| {
                let silence = |value: &f32| if rule.is_active(*value) { *value } else { 0.0 };
                let code = forward.code.view().to_dense().iter().map(silence).collect();
                let mut x_hat = model.decode(code);
                model.normalizer.undo(&mut x_hat);
                x_hat
            });
            see(&EvaluatedBatch {
                split,
                first: rows[0],
                rows: rows.len(),
                x,
                x_hat: &forward.x_hat,
                x_hat_thresholded: thresholded.as_deref(),
                objective: forward.objective.as_deref(),
                code: forward.code.view(),
                labels,
            });
        }
        Ok(())
    }
}
