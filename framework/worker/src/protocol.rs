//! What workers tell their controller: one JSON object a line.

use framework::spec::RunId;
use serde::{Deserialize, Serialize};
use store::provenance;
use store::{FoundClaim, Status};

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
    /// A run has come to where it is compared with others, and waits.
    Paused {
        /// Which worker.
        worker: usize,
        /// Which run.
        run: RunId,
        /// Steps done.
        step: usize,
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
    /// A worker has nothing to do but to wait for runs that others work on.
    Waiting {
        /// Which worker.
        worker: usize,
        /// For what.
        runs: Vec<HeldRun>,
    },
    /// Something was wrong with files of a run, and was seen to.
    Warning {
        /// Which worker.
        worker: usize,
        /// Which run.
        run: RunId,
        /// What.
        message: String,
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

impl Event {
    /// The same without waiting for those processes of this machine that `is_ours` knows.
    pub fn of_others(mut self, is_ours: impl Fn(u32) -> bool) -> Self {
        if let Self::Waiting { runs, .. } = &mut self {
            let host = provenance::host();
            runs.retain(|holding| holding.host != host || !is_ours(holding.pid));
        }
        self
    }
}

/// A run that somebody works on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldRun {
    /// The run.
    pub run: RunId,
    /// His machine; empty if unknown.
    pub host: String,
    /// His process there.
    pub pid: u32,
}

impl HeldRun {
    /// What a claim says.
    pub fn of(run: &RunId, found: &FoundClaim) -> Self {
        let process = found.claim.as_ref().map(|claim| &claim.process);
        Self {
            run: run.clone(),
            host: process.map_or(String::new(), |process| process.host.clone()),
            pid: process.map_or(0, |process| process.pid),
        }
    }
}
