//! Nothing is lost: whatever happens to the machine, the processes or the disk, repeating the same
//! command ends with the results that an undisturbed run would have given.

mod damage;
#[cfg(target_os = "linux")]
mod disk;
#[cfg(target_os = "linux")]
mod kills;
#[cfg(target_os = "linux")]
mod plugins;
mod readers;
#[cfg(target_os = "linux")]
mod signals;
mod storage;
#[cfg(target_os = "linux")]
mod stranger;

use std::path::Path;
use std::sync::Arc;

use framework::shared::Shared;
use framework::spec::{Experiment, RunSpec};
use store::exit::Failure;
use store::process::Process;
use store::{Disk, FileKind, Folder, Storage};
use tables::Table;
use worker::{Event, Idle, StopRequest, Worker, work};

use crate::support::models::runs;
use crate::support::program::assert_same;

/// A command of `run` in this process, with one worker, so that a test can replace its storage.
struct Command {
    experiment: Experiment,
    runs: Vec<RunSpec>,
}

impl Command {
    fn of(text: &str) -> Self {
        let (experiment, runs) = runs(text);
        Self { experiment, runs }
    }

    /// Executes the unfinished runs of a folder and makes the tables.
    fn run(&self, folder: &Folder, say: &(dyn Fn(&Event) + Sync)) -> Result<Table, Failure> {
        folder.open_for(&self.experiment, Path::new("x.toml"), &[])?;
        let (process, stop) = (ended(), StopRequest::default());
        let worker =
            Worker { number: 0, process, threads: 1, idle: Idle::Waits, stop, output: None, say };
        work(folder, &worker, Shared::default())?;
        Ok(folder.compact(&self.runs)?.0)
    }
}

/// A process that has ended, for the claims of a command that fails: this process still lives.
fn ended() -> Process {
    let mut this = serde_json::to_value(Process::this()).unwrap();
    this["start"] = 0.into();
    serde_json::from_value(this).unwrap()
}
