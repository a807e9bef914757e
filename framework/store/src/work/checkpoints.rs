//! Checkpoints of a run under way: the two newest are kept, each behind a digest of its own.

use framework::spec::RunId;

use super::attempt::Attempt;
use super::claim::FoundClaim;
use crate::exit::Failure;
use crate::folder::Folder;
use crate::storage::files::{self, Content};
use crate::storage::names::{CHECKPOINT, DAMAGED};

/// How many are kept: should the newest be damaged, there is another.
const KEPT: usize = 2;

/// A checkpoint that was read.
#[derive(Debug, Default)]
pub struct Resumed {
    /// The newest one that is whole; `None` if there is none.
    pub checkpoint: Option<Vec<u8>>,
    /// At which step it was kept.
    pub step: usize,
    /// What was wrong with newer ones, which were put aside.
    pub warnings: Vec<String>,
}

impl Attempt {
    /// Keeps a checkpoint of the run at a step, and the one before; `data` is the identity of what it
    /// was trained on.
    ///
    /// # Errors
    /// If it cannot be written; the ones before stay.
    pub fn keep_checkpoint(&self, step: usize, data: &str, bytes: &[u8]) -> Result<(), Failure> {
        let (storage, folder) = (self.folder().storage(), self.path());
        let header = header(data, bytes);
        files::place(storage, &folder.join(name(step)), &[header.as_bytes(), bytes])?;
        storage.sync_folder(&folder).map_err(|error| Failure::io("write", &folder, &error))?;
        for step in self.steps()?.into_iter().skip(KEPT) {
            // One too many does no harm.
            let _ = storage.remove(&folder.join(name(step)));
        }
        Ok(())
    }

    /// The newest checkpoint that is whole and of this data. Others get another name.
    ///
    /// # Errors
    /// If one is there and cannot be read.
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

    /// Gives the checkpoint of a step another name: it is of no use.
    ///
    /// # Errors
    /// If it cannot be renamed.
    pub fn put_checkpoint_aside(&self, step: usize) -> Result<(), Failure> {
        let (storage, folder) = (self.folder().storage(), self.path());
        let damaged = |number| folder.join(format!("{DAMAGED}{}.{number}", name(step)));
        files::rename_to_free(storage, &folder.join(name(step)), damaged)
    }

    /// Removes all checkpoints; what cannot be removed is in nobody's way.
    pub fn remove_checkpoints(&self) {
        let (storage, folder) = (self.folder().storage(), self.path());
        for step in self.steps().unwrap_or_default() {
            let _ = storage.remove(&folder.join(name(step)));
        }
    }

    /// The steps of which there are checkpoints, the newest first.
    fn steps(&self) -> Result<Vec<usize>, Failure> {
        let names = files::names(self.folder().storage(), &self.path())?;
        Ok(steps(names.iter().map(String::as_str)))
    }
}

impl Folder {
    /// The step of the newest checkpoint of an attempt.
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

/// The steps of the checkpoints among these files, the newest first.
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

/// How long the header of a checkpoint file is, if what follows is as it says and of this data; else
/// what it is.
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
