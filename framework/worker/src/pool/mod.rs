//! The pool of a command: worker processes, started and watched.
//!
//! - `watch.rs`: starts the workers, hears their events, replaces those that are lost, and stops them.
//! - `settle.rs`: what becomes of the run of a worker that is lost.
//! - `process.rs`: one worker process.
//! - `ends.rs`: why a process ended that could not say so itself.

mod ends;
mod process;
mod settle;
mod watch;

use framework::shared::Shared;
use framework::spec::{Experiment, RunSpec};
use store::Folder;

use crate::context::Idle;
use crate::signals::Signals;

/// Worker processes of one command.
pub struct Pool<'a> {
    /// Experiment folder that they work on.
    pub folder: &'a Folder,
    /// Experiment of the folder.
    pub experiment: &'a Experiment,
    /// Runs of the grid.
    pub runs: &'a [RunSpec],
    /// Number of worker processes.
    pub jobs: usize,
    /// Number of threads that each run has.
    pub threads: usize,
    /// Behavior of workers that find nothing to claim.
    pub idle: Idle,
    /// Data that is in memory already.
    pub shared: &'a Shared,
    /// Signals to this command.
    pub signals: &'a Signals,
    /// Function that shows a message to the user.
    pub say: fn(&str),
}

/// Reason why a pool ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolEnd {
    /// Nothing was left to do.
    Finished,
    /// A signal asked it to stop.
    Stopped,
}
