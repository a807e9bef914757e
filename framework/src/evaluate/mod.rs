//! Measures a model on its data: streams the samples once, in batches, to all evaluations.

use crate::model::{Mode, Step};
use crate::plugin::{Data, EvaluatedBatch, Evaluation, Measure, Measured, Split, Subject};
use crate::train::Model;

/// What `evaluations` find on `model`, in batches of `batch` samples, first on the training part
/// where one of them wants it, then on the test part.
///
/// # Errors
/// If the data cannot be read.
pub fn evaluate(
    model: &Model<'_>,
    data: &dyn Data,
    evaluations: &[&dyn Evaluation],
    batch: usize,
) -> Result<Measured, String> {
    let mut dictionary = model.dictionary();
    if let Some(dictionary) = &mut dictionary {
        model.normaliser.undo_direction(dictionary);
    }
    let subject = Subject {
        data,
        inputs: model.input.0,
        latents: model.architecture.latents(),
        l0_threshold: model.l0_threshold(),
        dictionary: dictionary.as_deref(),
    };
    let mut measures: Vec<(&dyn Evaluation, Box<dyn Measure>)> =
        evaluations.iter().map(|evaluation| (*evaluation, evaluation.start(&subject))).collect();
    for split in [Split::Train, Split::Test] {
        let mut wanting: Vec<&mut Box<dyn Measure>> = measures
            .iter_mut()
            .filter(|(evaluation, _)| evaluation.splits().contains(&split))
            .map(|(_, measure)| measure)
            .collect();
        if !wanting.is_empty() {
            stream(model, &subject, split, batch, &mut |batch| {
                wanting.iter_mut().for_each(|measure| measure.batch(&subject, batch));
            })?;
        }
    }
    let mut all = Measured::default();
    for (_, measure) in measures {
        let found = measure.finish(&subject);
        all.metrics.extend(found.metrics);
        all.latents.extend(found.latents);
    }
    Ok(all)
}

/// Passes every sample of a part through the model, in the order of the data.
fn stream(
    model: &Model<'_>,
    subject: &Subject<'_>,
    split: Split,
    batch: usize,
    see: &mut dyn FnMut(&EvaluatedBatch<'_>),
) -> Result<(), String> {
    let data = subject.data;
    let all: Vec<usize> = (0..data.rows(split)).collect();
    for rows in all.chunks(batch) {
        let mut x = vec![0.0; rows.len() * subject.inputs];
        data.gather(split, rows, &mut x)?;
        let mut scaled = x.clone();
        model.normaliser.apply(&mut scaled);
        let labels = data.labels(split).map(|labels| &labels[rows[0]..rows[0] + rows.len()]);
        let step = Step { mode: Mode::Evaluate, labels, ..Step::EVALUATE };
        let mut forward = model.forward(&scaled, step);
        model.normaliser.undo(&mut forward.x_hat);
        let thresholded = if subject.l0_threshold > 0.0 {
            let silence = |value: &f32| if subject.is_active(*value) { *value } else { 0.0 };
            let mut x_hat = model.decode(forward.code.iter().map(silence).collect());
            model.normaliser.undo(&mut x_hat);
            Some(x_hat)
        } else {
            None
        };
        see(&EvaluatedBatch {
            split,
            rows: rows.len(),
            x: &x,
            x_hat: &forward.x_hat,
            x_hat_thresholded: thresholded.as_deref().unwrap_or(&forward.x_hat),
            code: &forward.code,
            labels,
        });
    }
    Ok(())
}
