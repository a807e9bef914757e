//! Makes ended runs run again: `put_aside` from the start, `revive` from the last checkpoint.

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
    /// Moves the results of a run to `replaced/`, so that it starts anew; deletes nothing. Its attempts
    /// keep counting from the last number.
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
                // Results that were never published, or that were replaced.
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
            write_claim(self, &counted, &released_claim(attempt.max(1)))?;
        }
        self.put_records_aside(id)?;
        self.move_aside(id, &from)
    }

    /// Moves a killed or stopped run back to `work/`, so that it can resume from its last checkpoint.
    ///
    /// # Errors
    /// If its folder cannot be moved.
    pub fn revive(&self, id: &RunId) -> Result<(), Failure> {
        let RunState::Ended(manifest) = self.state(id, false)? else { return Ok(()) };
        let (from, to) = (self.run(id), self.attempt(id, manifest.attempt.max(1)));
        if !manifest.status.can_resume() || self.holder(id)?.is_some() {
            return Ok(());
        }
        self.clear_way(id)?;
        self.make_folder(&self.attempts(id))?;
        match write_claim(self, &from, &released_claim(manifest.attempt.max(1))) {
            // Another worker was quicker. The rename below may find that out too.
            Err(_) if !self.exists(&from)? => Ok(()),
            written => written.and_then(|()| self.try_rename(&from, &to).map(drop)),
        }
    }
}

/// Claim on an attempt that any worker may resume.
fn released_claim(attempt: usize) -> Claim {
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
