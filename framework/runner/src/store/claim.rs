//! Claims: at most one worker at a time has a run.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::PathBuf;

use framework::spec::RunId;

use super::files;
use super::folder::Folder;
use crate::exit::Failure;

/// A run that this process, and no other, works on. It ends with the value, or with the process,
/// however that ends: the operating system's lock on the run's claim file is what counts. The file
/// itself holds the number of attempts so far.
pub struct Claim {
    file: File,
    folder: PathBuf,
}

impl Claim {
    /// Takes a run, if no living worker has it.
    ///
    /// # Errors
    /// If the claim file cannot be made.
    pub fn take(folder: &Folder, id: &RunId) -> Result<Option<Self>, Failure> {
        let folder = folder.run(id);
        files::make_folder(&folder)?;
        let path = folder.join("claim");
        let opened =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let file = opened.map_err(|error| Failure::io("open", &path, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { file, folder })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(Failure::io("lock", &path, &error)),
        }
    }

    /// Whether a living worker has the run.
    pub fn is_taken(folder: &Folder, id: &RunId) -> bool {
        let path = folder.run(id).join("claim");
        let Ok(file) = OpenOptions::new().write(true).open(path) else { return false };
        matches!(file.try_lock(), Err(TryLockError::WouldBlock))
    }

    /// How many attempts at the run have begun.
    pub fn attempts(&mut self) -> usize {
        let mut text = String::new();
        let read = self.file.rewind().and_then(|()| self.file.read_to_string(&mut text));
        read.ok().and_then(|_| text.trim().parse().ok()).unwrap_or(0)
    }

    /// Begins an attempt and returns its number, counted from 1. What an earlier one left half
    /// written is removed.
    pub fn begin_attempt(&mut self) -> usize {
        files::remove_unfinished(&self.folder);
        let attempt = self.attempts() + 1;
        // The number informs; a run does not depend on it.
        let _ =
            self.file.rewind().and_then(|()| self.file.write_all(attempt.to_string().as_bytes()));
        attempt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_taken_once_and_free_again_when_its_worker_is_gone() {
        let folder = Folder::at(tempfile::tempdir().unwrap().path());
        let id = RunId("0123456789abcdef".into());
        assert!(!Claim::is_taken(&folder, &id));
        let mut claim = Claim::take(&folder, &id).unwrap().unwrap();
        assert!(Claim::take(&folder, &id).unwrap().is_none());
        assert!(Claim::is_taken(&folder, &id));
        assert_eq!(claim.begin_attempt(), 1);
        drop(claim);
        assert!(!Claim::is_taken(&folder, &id));
        let mut again = Claim::take(&folder, &id).unwrap().unwrap();
        assert_eq!(again.begin_attempt(), 2);
    }
}
