//! Runs that ended and are to run again: `put_aside` makes one start anew, `revive` makes one resume.

use framework::spec::RunId;

use super::attempt::write_claim;
use super::claim::Claim;
use crate::exit::Failure;
use crate::folder::Folder;
use crate::process::Process;
use crate::provenance;
use crate::runs::manifest::RunState;
use crate::storage::names::{CLAIM, MANIFEST};

impl Folder {
    /// Puts the results of a run aside, under `replaced/`; nothing is deleted. Attempts go on to be
    /// counted from where they were.
    ///
    /// # Errors
    /// If they cannot be moved.
    pub fn put_aside(&self, id: &RunId) -> Result<(), Failure> {
        let from = self.run(id);
        if !self.exists(&from)? {
            return Ok(());
        }
        self.clear_way(id)?;
        let attempt = match (self.holder(id)?, self.state(id, false)?) {
            (Some(found), _) => {
                // Results that were never published, or that others took the place of.
                let left = self.attempt(id, found.attempt);
                if self.exists(&left.join(MANIFEST))? {
                    self.move_aside(id, &left)?;
                }
                found.attempt
            }
            (None, RunState::Ended(manifest)) => manifest.attempt,
            (None, _) => 0,
        };
        let counted = self.attempt(id, attempt.max(1));
        self.make_folder(&counted)?;
        if !self.exists(&counted.join(CLAIM))? {
            write_claim(self, &counted, &free(attempt.max(1)))?;
        }
        self.put_records_aside(id)?;
        self.move_aside(id, &from)
    }

    /// Makes a run whose process was killed, or that was stopped, one that can be gone on with, from
    /// its last checkpoint.
    ///
    /// # Errors
    /// If its folder cannot be moved.
    pub fn revive(&self, id: &RunId) -> Result<(), Failure> {
        let RunState::Ended(manifest) = self.state(id, false)? else { return Ok(()) };
        let (from, to) = (self.run(id), self.attempt(id, manifest.attempt.max(1)));
        if !manifest.status.can_go_on() || self.holder(id)?.is_some() {
            return Ok(());
        }
        self.clear_way(id)?;
        self.make_folder(&self.attempts(id))?;
        match write_claim(self, &from, &free(manifest.attempt.max(1))) {
            // Somebody else was quicker; or, if it is not moved, now is.
            Err(_) if !self.exists(&from)? => Ok(()),
            written => written.and_then(|()| self.moved(&from, &to).map(drop)),
        }
    }
}

/// The claim on an attempt that anybody may go on with.
fn free(attempt: usize) -> Claim {
    Claim {
        attempt,
        process: Process::this(),
        worker: 0,
        lease: 0.0,
        since: provenance::now(),
        crashes: 0,
        released: true,
    }
}
