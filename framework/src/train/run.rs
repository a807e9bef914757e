//! One run: from the first batch to the last measurement.

use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use super::feed::{Feed, Gatherer};
use super::{Batches, Model, Normaliser, StepLoss, Trainer};
use crate::dims::Input;
use crate::evaluate::Evaluator;
use crate::model::{Mode, Step};
use crate::plugin::{Data, Measured, Metric, Split, When};
use crate::random::Streams;
use crate::spec::{Evaluate, Length, RunSpec};

/// How far a running run is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Steps done.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// The loss of the last step.
    pub loss: f64,
    /// Mean number of active latents of the last step's samples.
    pub l0: f64,
}

/// Means over training samples, as seen while training.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LossMeans {
    /// The whole loss.
    pub total: f64,
    /// The reconstruction term.
    pub reconstruction: f64,
    /// The penalty's terms, with their weights.
    pub penalty: f64,
    /// The penalty's terms, without.
    pub penalty_raw: f64,
}

/// One evaluation point.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryRow {
    /// Epochs done.
    pub epoch: usize,
    /// Steps done.
    pub step: usize,
    /// Means over the samples since the row before.
    pub loss: LossMeans,
    /// What was measured.
    pub metrics: Vec<Metric>,
    /// Time since the run started.
    pub seconds: f64,
}

/// A run that went to its end.
pub struct Trained<'a> {
    /// The model.
    pub model: Model<'a>,
    /// The evaluation points; the last one is at the end.
    pub history: Vec<HistoryRow>,
    /// Means over the samples of the last epoch.
    pub loss: LossMeans,
    /// What was measured at the end.
    pub measured: Measured,
    /// Samples seen in training.
    pub samples: usize,
    /// Time spent on training alone.
    pub training: Duration,
}

/// How a run ended.
pub enum Ended<'a> {
    /// It went to its end.
    Done(Box<Trained<'a>>),
    /// The loss, or a parameter, was no finite number any more.
    Diverged {
        /// The step, counted from 1.
        step: usize,
        /// The last finite loss.
        last_loss: Option<f64>,
    },
    /// It took longer than it may.
    Timeout {
        /// Steps done.
        step: usize,
    },
    /// The data could not be read.
    Failed(String),
}

/// Trains and measures one run. `watch` hears of every step.
pub fn train<'a>(
    run: &'a RunSpec,
    data: &dyn Data,
    settings: &Evaluate,
    timeout: Option<Duration>,
    watch: &mut dyn FnMut(&Progress),
) -> Ended<'a> {
    // Threads that gather samples end with the run.
    thread::scope(|scope| train_inner(scope, run, data, settings, timeout, watch))
        .unwrap_or_else(Ended::Failed)
}

fn train_inner<'a, 'scope>(
    scope: &'scope Scope<'scope, '_>,
    run: &'a RunSpec,
    data: &'scope dyn Data,
    settings: &Evaluate,
    timeout: Option<Duration>,
    watch: &mut dyn FnMut(&Progress),
) -> Result<Ended<'a>, String> {
    let started = Instant::now();
    let (train, streams) = (&run.train.value, Streams::new(run.seed));
    let inputs = data.shape().inputs();
    let normaliser = Normaliser::fit(run.dataset.value.normalize, data)?;
    let (architecture, penalty) = (&*run.architecture.value.plugin, &*run.penalty.value.plugin);
    let model = Model::new(architecture, penalty, Input(inputs), normaliser, &streams);
    let model = model.as_asked(run);
    let mut trainer = Trainer::new(model, train.optimizer);

    let batches = Batches::new(streams, data.rows(Split::Train), train.batch);
    let per_epoch = batches.per_epoch();
    let (steps, every) = match train.length {
        Length::Epochs(epochs) => (
            epochs.saturating_mul(per_epoch),
            settings.every.unwrap_or(1).saturating_mul(per_epoch),
        ),
        Length::Steps(steps) => (steps, settings.every.unwrap_or(per_epoch)),
    };
    let evaluations: Vec<_> = settings.evaluations.iter().map(|built| &*built.plugin).collect();
    let mut evaluator = Evaluator::new(data, settings.batch);
    let gatherer = Gatherer::new(data, batches, trainer.model.normaliser.clone());
    let mut feed = Feed::new(scope, gatherer, steps);
    let (mut epoch_sums, mut row_sums) = (Sums::default(), Sums::default());
    let mut history = Vec::new();
    let (mut samples, mut training) = (0, Duration::ZERO);
    let mut last_loss = None;
    for step in 0..steps {
        let step_started = Instant::now();
        if step % per_epoch == 0 {
            epoch_sums = Sums::default();
        }
        let batch = feed.next()?;
        let at = Step {
            mode: Mode::Train,
            progress: step as f64 / steps as f64,
            labels: batch.labels(),
        };
        let measured = trainer.step(&batch.x, at, train.schedule.factor(step, steps));
        samples += batch.rows;
        training += step_started.elapsed();
        if !measured.total.is_finite() {
            return Ok(Ended::Diverged { step: step + 1, last_loss });
        }
        last_loss = Some(measured.total);
        epoch_sums.add(&measured, batch.rows);
        row_sums.add(&measured, batch.rows);
        let done = step + 1;
        watch(&Progress { step: done, steps, loss: measured.total, l0: measured.l0 });
        if done == steps {
            break;
        }
        if timeout.is_some_and(|timeout| started.elapsed() > timeout) {
            return Ok(Ended::Timeout { step: done });
        }
        if done % every == 0 {
            if !trainer.model.is_finite() {
                return Ok(Ended::Diverged { step: done, last_loss });
            }
            let measured = evaluator.measure(&trainer.model, &evaluations, When::EveryPoint)?;
            history.push(HistoryRow {
                epoch: done / per_epoch,
                step: done,
                loss: std::mem::take(&mut row_sums).means(),
                metrics: measured.metrics,
                seconds: started.elapsed().as_secs_f64(),
            });
        }
    }
    if !trainer.model.is_finite() {
        return Ok(Ended::Diverged { step: steps, last_loss });
    }
    let measured = evaluator.measure(&trainer.model, &evaluations, When::End)?;
    history.push(HistoryRow {
        epoch: steps / per_epoch,
        step: steps,
        loss: row_sums.means(),
        metrics: measured.metrics.clone(),
        seconds: started.elapsed().as_secs_f64(),
    });
    let model = trainer.model;
    let loss = epoch_sums.means();
    Ok(Ended::Done(Box::new(Trained { model, history, loss, measured, samples, training })))
}

/// Sums of losses over samples.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    sums: LossMeans,
    samples: usize,
}

impl Sums {
    /// Adds a step: its loss is a mean over `batch` samples.
    fn add(&mut self, step: &StepLoss, batch: usize) {
        let weight = batch as f64;
        self.samples += batch;
        self.sums.total += weight * step.total;
        self.sums.reconstruction += weight * step.reconstruction;
        for term in &step.terms {
            self.sums.penalty += weight * term.weight * term.raw;
            self.sums.penalty_raw += weight * term.raw;
        }
    }

    fn means(self) -> LossMeans {
        let samples = self.samples.max(1) as f64;
        LossMeans {
            total: self.sums.total / samples,
            reconstruction: self.sums.reconstruction / samples,
            penalty: self.sums.penalty / samples,
            penalty_raw: self.sums.penalty_raw / samples,
        }
    }
}
