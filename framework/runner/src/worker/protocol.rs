//! What workers tell their controller: one JSON object a line.

use framework::spec::RunId;
use serde::{Deserialize, Serialize};

use crate::store::Status;

/// Something that happened in a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A worker began a run.
    Started {
        /// Which worker.
        worker: usize,
        /// Which run.
        run: RunId,
        /// Which attempt at it, counted from 1.
        attempt: usize,
    },
    /// A run went on.
    Progress {
        /// Which worker.
        worker: usize,
        /// Which run.
        run: RunId,
        /// Steps done.
        step: usize,
        /// Steps in all.
        steps: usize,
        /// The loss of the last step.
        loss: f64,
        /// Mean number of active latents in the last step.
        l0: f64,
    },
    /// A run ended, and its results are stored.
    Finished {
        /// Which worker.
        worker: usize,
        /// Which run.
        run: RunId,
        /// How it ended.
        status: Status,
        /// Why, where it is not done.
        reason: Option<String>,
        /// `test_mse`, where it was measured.
        test_mse: Option<f64>,
        /// `test_l0`, where it was measured.
        test_l0: Option<f64>,
        /// How long it took.
        seconds: f64,
    },
    /// A worker cannot go on.
    Broken {
        /// Which worker.
        worker: usize,
        /// Why.
        message: String,
        /// The exit code that this means for the command.
        exit: u8,
    },
}
