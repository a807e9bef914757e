//! Events that workers send to their controller: one JSON object a line.

use framework::spec::RunId;
use serde::{Deserialize, Serialize};
use store::provenance;
use store::{FoundClaim, Status};

/// Event in a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A worker started a run.
    Started {
        /// Number of the worker.
        worker: usize,
        /// Id of the run.
        run: RunId,
        /// Number of the attempt, counted from 1.
        attempt: usize,
    },
    /// A run made progress.
    Progress {
        /// Number of the worker.
        worker: usize,
        /// Id of the run.
        run: RunId,
        /// Number of steps done.
        step: usize,
        /// Number of steps in all.
        steps: usize,
        /// Loss of the last step.
        loss: f64,
        /// Mean number of active latents in the last step.
        l0: f64,
        /// True if these are steps of pretraining, which the run takes before its own.
        #[serde(default)]
        pretraining: bool,
    },
    /// A run has reached a rung, where it is compared with others, and waits.
    Paused {
        /// Number of the worker.
        worker: usize,
        /// Id of the run.
        run: RunId,
        /// Number of steps done.
        step: usize,
    },
    /// A run ended, and its results are stored.
    Finished {
        /// Number of the worker.
        worker: usize,
        /// Id of the run.
        run: RunId,
        /// How it ended.
        status: Status,
        /// Reason, if it is not done.
        reason: Option<String>,
        /// `test_mse`, if it was measured.
        test_mse: Option<f64>,
        /// `test_l0`, if it was measured.
        test_l0: Option<f64>,
        /// `test_mean_activation`, if it was measured and is the target of the run.
        test_mean_activation: Option<f64>,
        /// Time that it took.
        seconds: f64,
    },
    /// A worker has nothing to do and waits for runs that others work on.
    Waiting {
        /// Number of the worker.
        worker: usize,
        /// Runs that it waits for.
        runs: Vec<HeldRun>,
    },
    /// Something was wrong with files of a run; the worker dealt with it.
    Warning {
        /// Number of the worker.
        worker: usize,
        /// Id of the run.
        run: RunId,
        /// What was wrong.
        message: String,
    },
    /// A worker cannot continue.
    Broken {
        /// Number of the worker.
        worker: usize,
        /// Reason.
        message: String,
        /// Exit code of the command that follows from it.
        exit: u8,
    },
}

impl Event {
    /// Removes runs from a `Waiting` event if their process runs on this machine and `is_ours`.
    pub fn of_others(mut self, is_ours: impl Fn(u32) -> bool) -> Self {
        if let Self::Waiting { runs, .. } = &mut self {
            let host = provenance::host();
            runs.retain(|holding| holding.host != host || !is_ours(holding.pid));
        }
        self
    }
}

/// Run that a worker works on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldRun {
    /// Id of the run.
    pub run: RunId,
    /// Machine of the worker; empty if unknown.
    pub host: String,
    /// Process id of the worker there; 0 if unknown.
    pub pid: u32,
}

impl HeldRun {
    /// Reads the holder of a run from its claim.
    pub fn of(run: &RunId, found: &FoundClaim) -> Self {
        let process = found.claim.as_ref().map(|claim| &claim.process);
        Self {
            run: run.clone(),
            host: process.map_or(String::new(), |process| process.host.clone()),
            pid: process.map_or(0, |process| process.pid),
        }
    }
}
