//! Measures a model on its data: streams the samples once, in batches, to all evaluations.

use rayon::prelude::*;

use crate::model::{Mode, Step};
use crate::plugin::{
    Data, Dictionary, EvaluatedBatch, Evaluation, L0Rule, Measure, Measured, Split, Spread,
    Subject, When,
};
use crate::train::Model;

/// Measures models on one dataset. What depends on the data alone is found once, and buffers serve
/// every measurement.
pub struct Evaluator<'a> {
    data: &'a dyn Data,
    /// Samples a batch.
    batch: usize,
    test_spread: Option<Spread>,
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
        Self { data, batch, test_spread: None, buffers: EvaluationBuffers::default() }
    }

    /// What those of `evaluations` find on `model` that run at such a point, first on the training
    /// part where one of them wants it, then on the test part.
    ///
    /// # Errors
    /// If the data cannot be read; at the end also if codes or reconstructions are not finite.
    pub fn measure(
        &mut self,
        model: &Model<'_>,
        evaluations: &[&dyn Evaluation],
        when: When,
    ) -> Result<Measured, Unmeasured> {
        let Self { data, batch, test_spread, buffers } = self;
        let subject = subject(*data, test_spread, model, when)?;
        let mut measures: Vec<(&dyn Evaluation, Box<dyn Measure>)> = evaluations
            .iter()
            .filter(|evaluation| when == When::End || evaluation.when() == When::EveryPoint)
            .map(|evaluation| (*evaluation, evaluation.start(&subject)))
            .collect();
        let mut is_finite = true;
        for split in [Split::Train, Split::Test] {
            let mut wanting: Vec<&mut Box<dyn Measure>> = measures
                .iter_mut()
                .filter(|(evaluation, _)| evaluation.splits().contains(&split))
                .map(|(_, measure)| measure)
                .collect();
            if !wanting.is_empty() {
                buffers.stream(model, &subject, split, *batch, &mut |batch| {
                    is_finite &= when != When::End || batch.is_finite();
                    wanting.iter_mut().for_each(|measure| measure.batch(&subject, batch));
                })?;
            }
        }
        let mut all = Measured::default();
        for (_, measure) in measures {
            let found = measure.finish(&subject);
            all.metrics.extend(found.metrics);
            all.latents.extend(found.latents);
            all.declared.extend(found.declared);
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
        let Self { data, batch, test_spread, buffers } = self;
        let subject = subject(*data, test_spread, model, When::End)?;
        buffers.stream(model, &subject, split, *batch, &mut |batch| see(&subject, batch))
    }
}

/// What evaluations know of a model and its data; the spread of the test part is found once.
fn subject<'a>(
    data: &'a dyn Data,
    test_spread: &'a mut Option<Spread>,
    model: &'a Model<'_>,
    when: When,
) -> Result<Subject<'a>, String> {
    let test_spread = match test_spread {
        Some(known) => known,
        unknown => unknown.insert(Spread::of(data, Split::Test)?),
    };
    let dictionary = || {
        let mut dictionary = model.dictionary()?;
        model.normalizer.undo_direction(&mut dictionary);
        Some(dictionary)
    };
    Ok(Subject {
        data,
        test_spread,
        inputs: model.input.0,
        latents: model.latents(),
        l0_rule: model.l0_rule(),
        dictionary: Dictionary::new(Box::new(dictionary)),
        when,
    })
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

/// Rows that a thread gathers at once.
const ROWS_AT_ONCE: usize = 128;

/// Writes samples to `out` with all threads; of several errors the first row's.
fn gather(data: &dyn Data, split: Split, rows: &[usize], out: &mut [f32]) -> Result<(), String> {
    let inputs = out.len() / rows.len();
    let parts = rows.par_chunks(ROWS_AT_ONCE).zip(out.par_chunks_mut(ROWS_AT_ONCE * inputs));
    let failed = parts.find_map_first(|(rows, out)| data.gather(split, rows, out).err());
    failed.map_or(Ok(()), Err)
}
