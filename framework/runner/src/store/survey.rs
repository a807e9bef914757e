//! What is known of many runs, with few looks at the disk: grids may have 100,000 of them.

use std::collections::HashSet;
use std::fmt;

use framework::spec::RunId;
use rayon::prelude::*;

use super::claim::Found;
use super::files;
use super::folder::Folder;
use super::manifest::{Brief, Manifest, Status};
use crate::exit::Failure;
use crate::process::Process;

/// What is known of a run.
#[derive(Clone, Debug)]
pub enum Known {
    /// Nobody ever began it.
    New,
    /// Somebody works on it.
    Running(Found),
    /// Nobody works on it any more: it can be gone on with.
    Stopped(Found),
    /// It ended.
    Ended(Status, Option<String>),
    /// It ended, and its manifest is damaged.
    Damaged(String),
}

impl Known {
    /// Why, where a run is not done.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Ended(_, reason) => reason.as_deref(),
            Self::Damaged(what) => Some(what),
            _ => None,
        }
    }
}

/// In one word.
impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "new",
            Self::Running(_) => "running",
            Self::Stopped(_) => "stopped",
            Self::Ended(status, _) => status.as_str(),
            Self::Damaged(_) => "damaged",
        })
    }
}

impl Folder {
    /// What is known of each of these runs. Of files, only manifests are read.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn survey<'a>(&self, runs: impl Iterator<Item = &'a RunId>) -> Result<Vec<Known>, Failure> {
        let names = |folder: &str| -> Result<HashSet<String>, Failure> {
            Ok(files::names(self.storage(), &self.path().join(folder))?.into_iter().collect())
        };
        let (ended, begun, here) = (names("runs")?, names("work")?, Process::this());
        let runs: Vec<&RunId> = runs.collect();
        let known = |id: &&RunId| -> Result<Known, Failure> {
            if ended.contains(&id.0) {
                let path = self.run(id).join("manifest.json");
                if let Some(bytes) = files::read(self.storage(), &path)? {
                    return Ok(match Manifest::brief(&bytes) {
                        Ok(Brief { status, reason }) => Known::Ended(status, reason),
                        Err(what) => Known::Damaged(format!("its manifest is damaged: {what}")),
                    });
                }
            }
            let holder = if begun.contains(&id.0) { self.holder(id)? } else { None };
            Ok(match holder {
                None => Known::New,
                Some(found) if found.is_void(&here) == Some(true) => Known::Stopped(found),
                Some(found) => Known::Running(found),
            })
        };
        runs.par_iter().map(known).collect()
    }
}
