//! How far a run is, and what it has counted on the way: all that a step changes besides what the
//! trainer holds.

use std::time::{Duration, Instant};

use crate::engine::StepLoss;
use crate::model::TermOwner;
use crate::plugin::Metric;

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
    /// The auxiliaries' terms, with their weights; `None` without such terms.
    pub auxiliary: Option<f64>,
    /// The architecture's terms, with their weights; `None` without such terms.
    pub prior: Option<f64>,
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
    /// Time since the run started, in all attempts whose steps count.
    pub seconds: f64,
}

/// The way that a run has come.
pub struct Course {
    /// Steps done.
    pub(super) step: usize,
    /// Samples seen.
    pub(super) samples: usize,
    /// The loss of the last step.
    pub(super) last_loss: Option<f64>,
    /// The losses of this epoch, or of the last one until the next one starts.
    pub(super) epoch: LossSums,
    /// The losses since the last row of the history.
    pub(super) row: LossSums,
    /// The evaluation points.
    pub(super) history: Vec<HistoryRow>,
    /// Time spent on training alone.
    pub(super) training: Duration,
    /// The time that earlier attempts took to come so far.
    pub(super) earlier: Duration,
    /// When this attempt started.
    pub(super) started: Instant,
}

impl Course {
    /// Of a run that starts, or goes on, at `started`.
    pub(super) fn start(started: Instant) -> Self {
        Self {
            step: 0,
            samples: 0,
            last_loss: None,
            epoch: LossSums::default(),
            row: LossSums::default(),
            history: Vec::new(),
            training: Duration::ZERO,
            earlier: Duration::ZERO,
            started,
        }
    }

    /// Time since the run started, in all attempts whose steps count.
    pub(super) fn elapsed(&self) -> Duration {
        self.earlier.saturating_add(self.started.elapsed())
    }

    /// Counts a step on `batch` samples.
    pub(super) fn count(&mut self, loss: &StepLoss, batch: usize) {
        self.step += 1;
        self.samples = self.samples.saturating_add(batch);
        self.last_loss = Some(loss.total);
        self.epoch.add(loss, batch);
        self.row.add(loss, batch);
    }

    /// Counts a step of pretraining on `batch` samples: time and samples alone, as its loss is of another model.
    pub(super) fn count_pretraining(&mut self, time: Duration, batch: usize) {
        self.training = self.training.saturating_add(time);
        self.samples = self.samples.saturating_add(batch);
    }

    /// Adds a row to the history: an evaluation point, in epochs of so many steps.
    pub(super) fn write_row(&mut self, per_epoch: usize, metrics: Vec<Metric>) {
        self.history.push(HistoryRow {
            epoch: self.step / per_epoch,
            step: self.step,
            loss: std::mem::take(&mut self.row).means(),
            metrics,
            seconds: self.elapsed().as_secs_f64(),
        });
    }
}

/// Sums of losses over samples.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LossSums {
    pub(super) sums: LossMeans,
    pub(super) samples: usize,
}

impl LossSums {
    /// Adds a step: its loss is a mean over `batch` samples.
    fn add(&mut self, step: &StepLoss, batch: usize) {
        let weight = batch as f64;
        self.samples = self.samples.saturating_add(batch);
        self.sums.total += weight * step.total;
        self.sums.reconstruction += weight * step.reconstruction;
        for term in &step.terms {
            let weighted = weight * term.weight * term.raw;
            match term.owner {
                TermOwner::Penalty => {
                    self.sums.penalty += weighted;
                    self.sums.penalty_raw += weight * term.raw;
                }
                TermOwner::Auxiliary => *self.sums.auxiliary.get_or_insert(0.0) += weighted,
                TermOwner::Architecture => *self.sums.prior.get_or_insert(0.0) += weighted,
            }
        }
    }

    pub(super) fn means(self) -> LossMeans {
        let samples = self.samples.max(1) as f64;
        LossMeans {
            total: self.sums.total / samples,
            reconstruction: self.sums.reconstruction / samples,
            penalty: self.sums.penalty / samples,
            penalty_raw: self.sums.penalty_raw / samples,
            auxiliary: self.sums.auxiliary.map(|sum| sum / samples),
            prior: self.sums.prior.map(|sum| sum / samples),
        }
    }
}
