//! Checkpoints of a run in progress: the two newest are kept, each with its own digest.

use framework::spec::RunId;

use super::attempt::Attempt;
use super::claim::FoundClaim;
use crate::exit::Failure;
use crate::folder::Folder;
use crate::storage::files::{self, Content};
use crate::storage::names::{CHECKPOINT, DAMAGED};

/// Number of checkpoints kept: if the newest is damaged, there is another.
const KEPT: usize = 2;

/// Result of reading the newest checkpoint.
#[derive(Debug, Default)]
pub struct Resumed {
    /// Newest whole checkpoint; `None` if there is none.
    pub checkpoint: Option<Vec<u8>>,
    /// Step at which it was kept.
    pub step: usize,
    /// Messages about newer checkpoints, which were put aside.
    pub warnings: Vec<String>,
}

impl Attempt {
    /// Keeps a checkpoint of the run at a step, and the one before; `data` is the identity of the
    /// training data.
    ///
    /// # Errors
    /// If it cannot be written; the ones before stay.
    pub fn keep_checkpoint(&self, step: usize, data: &str, bytes: &[u8]) -> Result<(), Failure> {
        let (storage, folder) = (self.folder().storage(), self.path());
        let header = header(data, bytes);
        files::place(storage, &folder.join(name(step)), &[header.as_bytes(), bytes])?;
        storage.sync_folder(&folder).map_err(|error| Failure::io("write", &folder, &error))?;
        for step in self.steps()?.into_iter().skip(KEPT) {
            // A checkpoint too many does no harm.
            let _ = storage.remove(&folder.join(name(step)));
        }
        Ok(())
    }

    /// Reads the newest checkpoint that is whole and of this data. Renames newer ones.
    ///
    /// # Errors
    /// If a checkpoint exists and cannot be read.
    pub fn checkpoint(&self, data: &str) -> Result<Resumed, Failure> {
        let (storage, folder) = (self.folder().storage(), self.path());
        let mut resumed = Resumed::default();
        for step in self.steps()? {
            let path = folder.join(name(step));
            let what = match files::look(storage, &path)? {
                Content::Missing => continue,
                Content::Strange(what) => format!("not read: {what}"),
                Content::Whole(mut bytes) => match header_length(data, &bytes) {
                    Ok(length) => {
                        bytes.drain(..length);
                        (resumed.checkpoint, resumed.step) = (Some(bytes), step);
                        break;
                    }
                    Err(what) => what.to_owned(),
                },
            };
            resumed.warnings.push(format!("its checkpoint at step {step} is {what}"));
            self.put_checkpoint_aside(step)?;
        }
        Ok(resumed)
    }

    /// Renames the checkpoint of a step, because it is of no use.
    ///
    /// # Errors
    /// If it cannot be renamed.
    pub fn put_checkpoint_aside(&self, step: usize) -> Result<(), Failure> {
        let (storage, folder) = (self.folder().storage(), self.path());
        let damaged = |number| folder.join(format!("{DAMAGED}{}.{number}", name(step)));
        files::rename_to_free(storage, &folder.join(name(step)), damaged)
    }

    /// Removes all checkpoints; one that stays does no harm.
    pub fn remove_checkpoints(&self) {
        let (storage, folder) = (self.folder().storage(), self.path());
        for step in self.steps().unwrap_or_default() {
            let _ = storage.remove(&folder.join(name(step)));
        }
    }

    /// Steps that have a checkpoint, the newest first.
    fn steps(&self) -> Result<Vec<usize>, Failure> {
        let names = files::names(self.folder().storage(), &self.path())?;
        Ok(steps(names.iter().map(String::as_str)))
    }
}

impl Folder {
    /// Step of the newest checkpoint of an attempt.
    ///
    /// # Errors
    /// If its folder cannot be read.
    pub fn last_checkpoint(
        &self,
        id: &RunId,
        found: &FoundClaim,
    ) -> Result<Option<usize>, Failure> {
        let names = files::names(self.storage(), &self.attempt(id, found.attempt))?;
        Ok(steps(names.iter().map(String::as_str)).first().copied())
    }
}

/// Steps of the checkpoints among these files, the newest first.
fn steps<'a>(names: impl Iterator<Item = &'a str>) -> Vec<usize> {
    let mut steps: Vec<usize> =
        names.filter_map(|name| name.strip_prefix(CHECKPOINT)?.parse().ok()).collect();
    steps.sort_unstable_by(|a, b| b.cmp(a));
    steps
}

fn name(step: usize) -> String {
    format!("{CHECKPOINT}{step}")
}

fn header(data: &str, bytes: &[u8]) -> String {
    format!("saegrid checkpoint 1 {data} {}\n", files::digest(bytes))
}

/// Length of a checkpoint file's header, if the digest and the data in it are right; else what is wrong.
fn header_length(data: &str, bytes: &[u8]) -> Result<usize, &'static str> {
    let length = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
    let (first, rest) = bytes.split_at(length);
    let digest = files::digest(rest);
    let words =
        std::str::from_utf8(first).map(|first| first.split_whitespace().collect::<Vec<_>>());
    match words.as_deref() {
        Ok(["saegrid", "checkpoint", "1", of, stored]) if *stored == digest => {
            if *of == data {
                Ok(length)
            } else {
                Err("of data that has changed since")
            }
        }
        _ => Err("damaged"),
    }
}
