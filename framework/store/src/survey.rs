//! Finds the condition of every run of a grid with few reads: grids may have 100,000 runs.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use framework::spec::{Experiment, RunId, RunSpec};
use rayon::prelude::*;

use crate::exit::Failure;
use crate::folder::Folder;
use crate::process::Process;
use crate::runs::data_files::{Changes, DataFiles, setting};
use crate::runs::manifest::{Manifest, Status};
use crate::storage::files;
use crate::storage::names::CLAIM;
use crate::work::claim::FoundClaim;

/// Condition of a run, as `status` shows it.
#[derive(Clone, Debug)]
pub enum RunCondition {
    /// No worker has begun it.
    New,
    /// A worker has it.
    Running(FoundClaim),
    /// A worker on another machine has it, and has given no sign of life for long. This is only shown to
    /// users: workers find out for themselves whether it is alive.
    Lost(FoundClaim),
    /// No worker has it any more: it can resume.
    Interrupted(FoundClaim),
    /// It waits to be compared with other runs; the text says where.
    Waiting(String),
    /// It ended with this status, and a reason if there is one.
    Ended(Status, Option<String>),
    /// It ended with this status, and the next `run` measures its stored model; the text says why and
    /// what.
    Unmeasured(Status, String),
    /// It is done, and its data has changed since.
    Stale(String),
    /// It ended, and its manifest is damaged.
    Damaged(String),
}

impl RunCondition {
    /// Returns the condition in one word.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Running(_) => "running",
            Self::Lost(_) => "lost",
            Self::Interrupted(_) => "interrupted",
            Self::Waiting(_) => "waiting",
            Self::Ended(status, _) | Self::Unmeasured(status, _) => status.as_str(),
            Self::Stale(_) => "stale",
            Self::Damaged(_) => "damaged",
        }
    }

    /// Returns how it ended, if it did and its files and data are unchanged.
    pub const fn status(&self) -> Option<Status> {
        match self {
            Self::Ended(status, _) | Self::Unmeasured(status, _) => Some(*status),
            _ => None,
        }
    }

    /// Returns why a run is not done, or what is still to be measured of it.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Ended(_, reason) => reason.as_deref(),
            Self::Unmeasured(_, what)
            | Self::Waiting(what)
            | Self::Stale(what)
            | Self::Damaged(what) => Some(what),
            _ => None,
        }
    }
}

impl fmt::Display for RunCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Difference allowed between the clocks of two machines, or of a machine and the disk, before a worker
/// is shown as lost. Nothing else depends on it.
const SKEW: Duration = Duration::from_secs(120);

impl Folder {
    /// Returns whether a worker of another machine has let its lease run out, by the time of its claim
    /// file and this machine's clock.
    fn is_silent(&self, id: &RunId, found: &FoundClaim, here: &Process) -> bool {
        found.claim.is_some()
            && found.is_void(here).is_none()
            && files::age(self.storage(), &self.attempt(id, found.attempt).join(CLAIM))
                .is_some_and(|age| age > found.lease() + SKEW)
    }

    /// Returns the condition of each of these runs of an experiment. Reads only manifests, claims, and
    /// data whose size or time has changed.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn survey(
        &self,
        experiment: &Experiment,
        runs: &[RunSpec],
    ) -> Result<Vec<RunCondition>, Failure> {
        let names = |folder: &str| -> Result<HashSet<String>, Failure> {
            Ok(files::names(self.storage(), &self.path().join(folder))?.into_iter().collect())
        };
        let (ended, begun, here) = (names("runs")?, names("work")?, Process::this());
        let known = |run: &RunSpec| -> Result<(RunCondition, DataFiles), Failure> {
            let id = &run.id;
            if ended.contains(&id.0) {
                let brief = |bytes: Vec<u8>| {
                    Manifest::brief(&bytes)
                        .map_err(|what| format!("its manifest is damaged: {what}"))
                };
                match self.manifest_in(&self.run(id))?.map(|read| read.and_then(brief)) {
                    Some(Ok(brief)) => {
                        let more = brief.to_measure(experiment, run);
                        let known = match (brief.reason, more) {
                            (Some(why), Some(more)) => {
                                RunCondition::Unmeasured(brief.status, format!("{why}; {more}"))
                            }
                            (None, Some(more)) => RunCondition::Unmeasured(brief.status, more),
                            (why, None) => RunCondition::Ended(brief.status, why),
                        };
                        return Ok((known, brief.data));
                    }
                    Some(Err(what)) => return Ok((RunCondition::Damaged(what), DataFiles::new())),
                    None => {}
                }
            }
            let holder = if begun.contains(&id.0) { self.holder(id)? } else { None };
            let known = match holder {
                None => RunCondition::New,
                Some(found) if found.is_void(&here) == Some(true) => {
                    RunCondition::Interrupted(found)
                }
                Some(found) if self.is_silent(id, &found, &here) => RunCondition::Lost(found),
                Some(found) => RunCondition::Running(found),
            };
            Ok((known, DataFiles::new()))
        };
        let known: Result<Vec<_>, Failure> = runs.par_iter().map(known).collect();
        let mut changes = Changes::default();
        let told = known?.into_iter().zip(runs).map(|((known, data), run)| {
            if known.status() != Some(Status::Done) || data.is_empty() {
                return known;
            }
            match changes.since(run, &data) {
                Some(key) => {
                    let key = setting(key);
                    RunCondition::Stale(format!("the file of `{key}` has changed since"))
                }
                None => known,
            }
        });
        Ok(told.collect())
    }
}
