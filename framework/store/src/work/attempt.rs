//! Attempts at a run: each works in a folder of its own and publishes that folder, whole, in one step.
//!
//! The holder of attempt N at run ID may write to the folder `work/ID/N`. Taking a run over renames that
//! folder to the next attempt. The former holder's path is then gone, so a worker that was stopped or cut
//! off, and wakes up again, changes nothing. Publishing renames the folder to `runs/ID`; that name is
//! free only once.

use std::fs::File;
use std::path::{Path, PathBuf};

use framework::spec::RunId;

use super::claim::Claim;
use crate::exit::Failure;
use crate::folder::Folder;
use crate::runs::manifest::{Manifest, RunState};
use crate::storage::files;
use crate::storage::names::{CLAIM, EXHIBITS, LOG, MANIFEST, NOTE, UNFINISHED};

/// An attempt that this process holds. Dropping it leaves the folder as it is: the run is free when
/// the process is gone.
#[derive(Clone, Debug)]
pub struct Attempt {
    folder: Folder,
    id: RunId,
    claim: Claim,
}

/// Outcome of publishing an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// Its results are now those of the run.
    Yes,
    /// The run was taken over; nothing of this attempt counts.
    Lost,
}

/// Number of tries when other workers are quicker.
pub const TRIES: usize = 64;

/// Writes a claim into the folder of an attempt.
///
/// # Errors
/// If it cannot be written.
pub fn write_claim(folder: &Folder, attempt: &Path, claim: &Claim) -> Result<(), Failure> {
    files::place(folder.storage(), &attempt.join(CLAIM), &[&claim_text(claim)?])
}

/// Content of a claim file.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn claim_text(claim: &Claim) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(claim)
        .map_err(|error| Failure::Io(format!("cannot write down a claim: {error}")))
}

impl Attempt {
    /// An attempt that was begun or taken over with this claim.
    pub fn new(folder: &Folder, id: &RunId, claim: Claim) -> Self {
        Self { folder: folder.clone(), id: id.clone(), claim }
    }

    /// Number of this attempt at the run, counted from 1.
    pub fn number(&self) -> usize {
        self.claim.attempt
    }

    /// Number of attempts that ended because their process crashed.
    pub fn crashes(&self) -> usize {
        self.claim.crashes
    }

    /// Path of its folder.
    pub fn path(&self) -> PathBuf {
        self.folder.attempt(&self.id, self.claim.attempt)
    }

    /// Opens its log, and makes it if it is missing; `None` if that fails.
    pub fn make_log(&self) -> Option<File> {
        self.folder.storage().make_log(&self.path().join(LOG)).ok()
    }

    /// Opens its log, if it exists, to read it and to write at its end.
    pub fn open_log(&self) -> Option<File> {
        self.folder.storage().open_log(&self.path().join(LOG)).ok()
    }

    /// Experiment folder that it is in.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Renews the lease. Returns `false` if the run was taken over; another error does not lose the run
    /// yet.
    pub fn renew(&self) -> bool {
        let path = self.path().join(CLAIM);
        let renewed = self.folder.storage().append(&path, b"\n");
        !renewed.is_err_and(|error| files::is_missing(&error)) || !self.is_lost()
    }

    /// Returns whether the run was taken over.
    pub fn is_lost(&self) -> bool {
        // An error of the disk does not mean that the folder is gone.
        matches!(self.folder.storage().kind(&self.path()), Ok(None))
    }

    /// Gives the run back, so that any worker can resume it; `crashed` if its process was lost.
    ///
    /// # Errors
    /// If the claim cannot be written; then the run is free when this process is gone.
    pub fn release(&self, crashed: bool) -> Result<(), Failure> {
        let crashes = self.claim.crashes.saturating_add(usize::from(crashed));
        let claim = Claim { released: true, crashes, ..self.claim.clone() };
        write_claim(&self.folder, &self.path(), &claim).or_else(|failure| self.unless_lost(failure))
    }

    /// Returns the failure, unless the run was taken over: then the failure does not matter.
    fn unless_lost(&self, failure: Failure) -> Result<(), Failure> {
        if self.is_lost() { Ok(()) } else { Err(failure) }
    }

    /// Removes the folder of the attempt: there was nothing to do.
    pub fn remove(&self) {
        self.folder.remove_attempt(&self.id, &self.path());
        self.clean_up();
    }

    /// Removes the unfinished files and the progress note of an earlier attempt.
    pub fn clear(&self) {
        files::remove_unfinished(self.folder.storage(), &self.path());
        let _ = self.folder.storage().remove(&self.path().join(NOTE));
    }

    /// Returns the manifest of results that an earlier attempt finished and could not publish.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn finished(&self) -> Result<Option<Box<Manifest>>, Failure> {
        Ok(match self.folder.state_in(&self.path(), &self.id, true)? {
            RunState::Ended(manifest) if !manifest.status.can_resume() => Some(manifest),
            _ => None,
        })
    }

    /// Stores results and publishes them as those of the run.
    ///
    /// # Errors
    /// If they cannot be written; then the run has not ended.
    pub fn publish(
        &self,
        manifest: Manifest,
        contents: &[(impl AsRef<str>, Vec<u8>)],
    ) -> Result<Published, Failure> {
        self.remove_exhibits();
        match self.write(manifest, contents) {
            Err(failure) => self.unless_lost(failure).map(|()| Published::Lost),
            Ok(()) => self.publish_finished(),
        }
    }

    /// Replaces results of the run by these, and keeps its other files.
    ///
    /// # Errors
    /// As for [`publish`](Self::publish); then the run keeps its old results.
    pub fn replace(
        &self,
        manifest: Manifest,
        contents: &[(impl AsRef<str>, Vec<u8>)],
    ) -> Result<Published, Failure> {
        let (storage, run) = (self.folder.storage(), self.folder.run(&self.id));
        self.remove_exhibits();
        if let Err(failure) = self.make_place_of_exhibits(&manifest) {
            return self.unless_lost(failure).map(|()| Published::Lost);
        }
        let is_kept = |name: &String| contents.iter().all(|(written, _)| written.as_ref() != name);
        for name in manifest.files().map(|(name, _)| name).filter(is_kept) {
            let to = self.path().join(&name);
            // An attempt that was killed here may have left it. If it stays, `link` fails.
            let _ = storage.remove(&to);
            storage
                .link(&run.join(&name), &to)
                .map_err(|error| Failure::io("write", &to, &error))
                .or_else(|failure| self.unless_lost(failure))?;
        }
        if let Err(failure) = self.write(manifest, contents) {
            return self.unless_lost(failure).map(|()| Published::Lost);
        }
        match storage.exchange(&self.path(), &run) {
            Ok(()) => {
                self.settle(&run)?;
                // The folder of the attempt has the old results now.
                self.remove();
                Ok(Published::Yes)
            }
            // The run is gone or was taken over: publishing finds out which.
            Err(error) if files::is_missing(&error) => self.publish_finished(),
            Err(error) => Err(Failure::io("rename", &run, &error)),
        }
    }

    /// Removes the exhibits that an attempt that was killed here may have left.
    fn remove_exhibits(&self) {
        let _ = self.folder.storage().remove(&self.path().join(EXHIBITS));
    }

    /// Makes the folder of exhibits, if the run has any.
    fn make_place_of_exhibits(&self, manifest: &Manifest) -> Result<(), Failure> {
        match manifest.exhibits[..] {
            [] => Ok(()),
            _ => self.folder.make_folder(&self.path().join(EXHIBITS)),
        }
    }

    fn write(
        &self,
        mut manifest: Manifest,
        contents: &[(impl AsRef<str>, Vec<u8>)],
    ) -> Result<(), Failure> {
        let (storage, path) = (self.folder.storage(), self.path());
        self.make_place_of_exhibits(&manifest)?;
        for (name, bytes) in contents {
            files::place(storage, &path.join(name.as_ref()), &[bytes])?;
            manifest.set_digest(name.as_ref(), files::digest(bytes));
        }
        if !manifest.exhibits.is_empty() {
            let exhibits = path.join(EXHIBITS);
            let unsynced = |error| Failure::io("write", &exhibits, &error);
            storage.sync_folder(&exhibits).map_err(unsynced)?;
        }
        manifest.attempt = self.claim.attempt;
        files::write(storage, &path.join(MANIFEST), &manifest.to_bytes()?)
    }

    /// Publishes finished results: renames this folder to that of the run.
    ///
    /// # Errors
    /// If it cannot be renamed.
    pub fn publish_finished(&self) -> Result<Published, Failure> {
        let (storage, path) = (self.folder.storage(), self.path());
        let run = self.folder.run(&self.id);
        if let Ok(RunState::Ended(manifest)) = self.folder.state_in(&path, &self.id, false)
            && !manifest.status.can_resume()
        {
            self.remove_checkpoints();
            self.remove_search();
        }
        for _ in 0..TRIES {
            match storage.rename(&path, &run) {
                Ok(()) => {
                    self.settle(&run)?;
                    self.clean_up();
                    return Ok(Published::Yes);
                }
                Err(error) if files::is_taken(&error) => {
                    if let RunState::Ended(_) = self.folder.state(&self.id, false)? {
                        self.remove();
                        return Ok(Published::Lost);
                    }
                    // The folder there is not a result.
                    self.folder.move_aside(&self.id, &run)?;
                }
                Err(error) if files::is_missing(&error) && self.is_lost() => {
                    // On a shared disk a rename may succeed and be reported as failed.
                    let is_ours = matches!(
                        self.folder.state(&self.id, false)?,
                        RunState::Ended(manifest) if manifest.attempt == self.claim.attempt
                    );
                    return Ok(if is_ours { Published::Yes } else { Published::Lost });
                }
                Err(error) => return Err(Failure::io("rename", &path, &error)),
            }
        }
        Err(self.folder.changes_too_fast(&run))
    }

    /// Syncs a run's new name, so that it outlasts a crash of the machine, and removes the files that
    /// only the attempt needed.
    fn settle(&self, run: &Path) -> Result<(), Failure> {
        let (storage, runs) = (self.folder.storage(), self.folder.path().join("runs"));
        storage.sync_folder(&runs).map_err(|error| Failure::io("write", &runs, &error))?;
        for done_with in [CLAIM, NOTE] {
            let _ = storage.remove(&run.join(done_with));
        }
        if storage.read(&run.join(LOG)).is_ok_and(|log| log.is_empty()) {
            let _ = storage.remove(&run.join(LOG));
        }
        Ok(())
    }

    /// Removes what earlier attempts at an ended run left.
    fn clean_up(&self) {
        let (storage, attempts) = (self.folder.storage(), self.folder.attempts(&self.id));
        for name in storage.names(&attempts).unwrap_or_default() {
            // Numbered folders are attempts of other workers; the program makes no other names.
            if name.to_str().is_some_and(|name| name.starts_with(UNFINISHED)) {
                let _ = storage.remove(&attempts.join(name));
            }
        }
        // It is empty, unless another worker has begun an attempt.
        let _ = storage.remove_empty(&attempts);
    }
}

#[cfg(test)]
#[path = "attempt_tests.rs"]
mod tests;
