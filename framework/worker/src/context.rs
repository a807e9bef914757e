//! A worker, and what it works on.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use framework::spec::{Experiment, RunSpec};
use store::process::Process;
use store::{DataFiles, Folder};

use crate::log::Output;
use crate::protocol::Event;
use crate::stop::StopRequest;

/// A worker: its number, its process, and where its events go.
pub struct Worker<'a> {
    /// Its number in its pool.
    pub number: usize,
    /// The process that it runs in.
    pub process: Process,
    /// Number of threads that a run has.
    pub threads: usize,
    /// Behavior when it finds nothing to claim.
    pub idle: Idle,
    /// Request that it stops.
    pub stop: StopRequest,
    /// Its standard output and error, if logs of runs may have them.
    pub output: Option<&'a Output>,
    /// Receiver of its events.
    pub say: &'a (dyn Fn(&Event) + Sync),
}

/// Behavior of a worker that finds nothing to claim while other workers are busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// It waits, and takes over runs that others leave. Workers of `run` do so: when that command
    /// ends, all runs have ended.
    Waits,
    /// It ends as soon as it has seen that the others are alive. Workers on a cluster do so, as each
    /// has a processor for itself.
    Ends,
}

/// Folder, experiment and worker that runs share.
pub struct Context<'a> {
    /// Folder that results go to.
    pub folder: &'a Folder,
    /// Experiment that the runs belong to.
    pub experiment: &'a Experiment,
    /// Worker that executes the runs.
    pub worker: &'a Worker<'a>,
    /// Files of each dataset and stored model as they were when this worker first looked, by their canonical
    /// settings.
    data_files: Mutex<BTreeMap<String, DataFiles>>,
}

impl<'a> Context<'a> {
    /// Makes a context that has looked at no data yet.
    pub fn new(folder: &'a Folder, experiment: &'a Experiment, worker: &'a Worker<'a>) -> Self {
        Self { folder, experiment, worker, data_files: Mutex::default() }
    }

    /// Files that a run's data is read from. Looks at them once for all runs that share them, before the
    /// data is opened: runs are not made from what changes on the disk later.
    pub fn data_files(&self, run: &RunSpec) -> DataFiles {
        let mut known = self.data_files.lock().unwrap_or_else(PoisonError::into_inner);
        let sections = format!("{} {}", run.dataset.canonical, run.init.canonical);
        if let Some(files) = known.get(&sections) {
            return files.clone();
        }
        // Data that cannot be read fails the run later, with its reason.
        let Ok(files) = store::data_files_of(run) else { return DataFiles::new() };
        known.insert(sections, files.clone());
        files
    }
}
