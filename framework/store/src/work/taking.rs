//! Takes a run for a worker: begins the first attempt, or takes over an attempt whose worker is gone.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use framework::spec::RunId;

use super::attempt::{Attempt, TRIES, claim_text, write_claim};
use super::claim::{Claim, FoundClaim, Leases};
use crate::exit::Failure;
use crate::folder::Folder;
use crate::provenance;
use crate::storage::FileKind;
use crate::storage::files;
use crate::storage::names::CLAIM;
use crate::storage::strange::Strange;

/// Number and lease that a worker writes into its claims.
#[derive(Clone, Copy, Debug)]
pub struct Holder {
    /// Number of the worker in its pool.
    pub worker: usize,
    /// Time without renewal after which others may take over.
    pub lease: Duration,
}

/// Outcome of taking a run.
#[derive(Debug)]
pub enum Taken {
    /// This process has the run.
    Mine(Attempt),
    /// Another worker has it.
    Held(FoundClaim),
}

impl Folder {
    /// Folder of all attempts at a run: `work/ID`.
    pub(crate) fn attempts(&self, id: &RunId) -> PathBuf {
        self.path().join("work").join(&id.0)
    }

    /// Folder of one attempt at a run: `work/ID/N`.
    pub(crate) fn attempt(&self, id: &RunId, number: usize) -> PathBuf {
        self.attempts(id).join(number.to_string())
    }

    /// Returns the claim of the newest attempt at a run; `None` if there was no attempt.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn holder(&self, id: &RunId) -> Result<Option<FoundClaim>, Failure> {
        for attempt in self.attempt_numbers(id)?.into_iter().rev() {
            if self.kind(&self.attempt(id, attempt))? == Some(FileKind::Folder) {
                return self.found_in(&self.attempt(id, attempt), attempt).map(Some);
            }
        }
        Ok(None)
    }

    /// Numbers of the attempts at a run, in order; also of files and links with such a name.
    fn attempt_numbers(&self, id: &RunId) -> Result<Vec<usize>, Failure> {
        let attempts = self.attempts(id);
        let names = match self.storage().names(&attempts) {
            Err(error) if Strange::of(&error).is_some() => Vec::new(),
            Err(error) if files::is_missing(&error) => Vec::new(),
            names => names.map_err(|error| Failure::io("read", &attempts, &error))?,
        };
        // Attempts are counted one by one: no worker can have counted to the largest number.
        let is_counted = |number: &u32| number.checked_add(1).is_some();
        let number = |name: OsString| {
            let name = name.to_str()?;
            let number = name.parse().ok().filter(is_counted)?;
            (number.to_string() == name).then_some(number as usize)
        };
        let mut numbers: Vec<usize> = names.into_iter().filter_map(number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Moves files and links that have the name of an attempt, or of the folder of attempts, to
    /// `replaced/`: the program did not make them, and they are in its way.
    pub(crate) fn clear_way(&self, id: &RunId) -> Result<(), Failure> {
        let clear = |path: &Path| match self.kind(path)? {
            Some(FileKind::Folder) | None => Ok(()),
            Some(FileKind::File | FileKind::Other) => self.move_aside(id, path),
        };
        clear(&self.attempts(id))?;
        let numbers = self.attempt_numbers(id)?;
        numbers.into_iter().try_for_each(|number| clear(&self.attempt(id, number)))
    }

    /// Removes the folder of an attempt. Moves it to `replaced/` if it holds files that the program did
    /// not make.
    pub(crate) fn remove_attempt(&self, id: &RunId, attempt: &Path) {
        // If it stayed, it would count as an interrupted attempt.
        let removed = self.storage().remove(attempt);
        if removed.is_err_and(|error| error.kind() == ErrorKind::DirectoryNotEmpty) {
            let _ = self.move_aside(id, attempt);
        }
    }

    /// Reads the claim in the folder of an attempt.
    pub(crate) fn found_in(&self, folder: &Path, attempt: usize) -> Result<FoundClaim, Failure> {
        let bytes = files::read(self.storage(), &folder.join(CLAIM))?.unwrap_or_default();
        let claim = serde_json::from_slice(&bytes).ok();
        Ok(FoundClaim { attempt, claim, size: bytes.len() })
    }

    /// Takes a run, if no worker has it.
    ///
    /// # Errors
    /// If the folder cannot be read or written to.
    pub fn take(&self, id: &RunId, holder: Holder, leases: &mut Leases) -> Result<Taken, Failure> {
        let mut claim = Claim {
            attempt: 1,
            process: leases.here().clone(),
            worker: holder.worker,
            lease: holder.lease.as_secs_f64(),
            since: provenance::now(),
            crashes: 0,
            released: false,
        };
        self.clear_way(id)?;
        for _ in 0..TRIES {
            match self.holder(id)? {
                None => {
                    claim.attempt = 1;
                    if self.begin(id, &claim)? {
                        return Ok(Taken::Mine(Attempt::new(self, id, claim)));
                    }
                }
                Some(found) => {
                    if !leases.is_over(id, &found, Instant::now()) {
                        return Ok(Taken::Held(found));
                    }
                    claim.attempt = found.attempt + 1;
                    claim.crashes = found.claim.as_ref().map_or(0, |claim| claim.crashes);
                    if self.take_over(id, &found, &claim)? {
                        return Ok(Taken::Mine(Attempt::new(self, id, claim)));
                    }
                }
            }
        }
        Err(self.changes_too_fast(&self.attempts(id)))
    }

    /// Returns the failure to report after [`TRIES`] tries.
    pub(crate) fn changes_too_fast(&self, path: &Path) -> Failure {
        let busy = || Failure::Busy(format!("`{}` changes too fast", path.display()));
        self.gone().unwrap_or_else(busy)
    }

    /// Makes the folder of the first attempt, with its claim in it; `false` if another worker was
    /// quicker.
    fn begin(&self, id: &RunId, claim: &Claim) -> Result<bool, Failure> {
        let (storage, attempts) = (self.storage(), self.attempts(id));
        let new = attempts.join(files::unfinished());
        let text = claim_text(claim)?;
        // No other worker reads the folder before it has its final name.
        let claimed = new.join(CLAIM);
        let made = storage.make_folder(&new);
        let made = made.and_then(|()| storage.create(&claimed, &[&text]));
        let begun = match made {
            Ok(()) => self.try_rename(&new, &self.attempt(id, claim.attempt)),
            Err(error) => match self.gone() {
                Some(gone) => Err(gone),
                // A worker that ended the run is removing its folders.
                None if error.kind() == ErrorKind::NotFound => Ok(false),
                None => Err(Failure::io("write", &claimed, &error)),
            },
        };
        if !matches!(begun, Ok(true)) {
            let _ = storage.remove(&new);
            return begun;
        }
        // Since no attempt was found here, another worker may have begun one, and a third may have taken
        // that over.
        let first = self.holder(id)?.is_some_and(|found| found.attempt == claim.attempt);
        if !first {
            self.remove_attempt(id, &self.attempt(id, claim.attempt));
        }
        Ok(first)
    }

    /// Renames the folder of an attempt that is over to the next attempt, and writes this claim into it;
    /// `false` if another worker was quicker.
    pub(crate) fn take_over(
        &self,
        id: &RunId,
        found: &FoundClaim,
        claim: &Claim,
    ) -> Result<bool, Failure> {
        let (from, to) = (self.attempt(id, found.attempt), self.attempt(id, claim.attempt));
        if !self.try_rename(&from, &to)? {
            return Ok(false);
        }
        let now = self.found_in(&to, claim.attempt)?;
        if (&now.claim, now.size) != (&found.claim, found.size) {
            // Between the read and the rename, another worker took it or its holder woke up.
            self.try_rename(&to, &from)?;
            return Ok(false);
        }
        match write_claim(self, &to, claim) {
            Err(_) if matches!(self.storage().kind(&to), Ok(None)) => Ok(false),
            written => written.map(|()| true),
        }
    }

    /// Renames a folder; `false` if it is gone or the new name is taken.
    pub(crate) fn try_rename(&self, from: &Path, to: &Path) -> Result<bool, Failure> {
        match self.storage().rename(from, to) {
            Ok(()) => Ok(true),
            Err(error) if files::is_missing(&error) || files::is_taken(&error) => Ok(false),
            Err(error) => Err(Failure::io("rename", from, &error)),
        }
    }

    /// Moves a folder of a run to `replaced/`.
    pub(crate) fn move_aside(&self, id: &RunId, from: &Path) -> Result<(), Failure> {
        let replaced = self.path().join("replaced");
        self.make_folder(&replaced)?;
        files::rename_to_free(self.storage(), from, |n| replaced.join(format!("{id}.{n}")))
    }
}
