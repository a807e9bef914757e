//! Progress of a run, for users who watch it: a small file that workers replace from time to time.
//! Nothing depends on it, so errors are ignored.

use framework::spec::RunId;
use serde::{Deserialize, Serialize};

use super::attempt::Attempt;
use super::claim::FoundClaim;
use crate::folder::Folder;
use crate::storage::files;
use crate::storage::names::NOTE;

/// Progress of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// Number of steps done.
    pub step: usize,
    /// Number of all steps; in a search for a strength, those of the current training.
    pub steps: usize,
    /// Loss on a batch.
    pub loss: f64,
    /// Mean number of active latents in that batch.
    pub l0: f64,
    /// True if these are steps of pretraining.
    #[serde(default)]
    pub pretraining: bool,
}

impl Attempt {
    /// Writes the progress of the run.
    pub fn note(&self, note: &Note) {
        let storage = self.folder().storage();
        if let Ok(text) = serde_json::to_vec(note) {
            let _ = files::place(storage, &self.path().join(NOTE), &[&text]);
        }
    }
}

impl Folder {
    /// Reads the progress of an attempt, as its worker last wrote it.
    pub fn note(&self, id: &RunId, found: &FoundClaim) -> Option<Note> {
        let path = self.attempt(id, found.attempt).join(NOTE);
        serde_json::from_slice(&files::read(self.storage(), &path).ok()??).ok()
    }
}
