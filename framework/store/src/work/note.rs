//! How far a run under way is, for those who look on: a small file that workers replace from time to
//! time. Nothing depends on it, so what goes wrong with it is no matter.

use framework::spec::RunId;
use serde::{Deserialize, Serialize};

use super::attempt::Attempt;
use super::claim::FoundClaim;
use crate::folder::Folder;
use crate::storage::files;
use crate::storage::names::NOTE;

/// How far a run is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// Steps that are done.
    pub step: usize,
    /// Of how many; of a run that searches for its strength, those of the training under way.
    pub steps: usize,
    /// The loss on a batch.
    pub loss: f64,
    /// The mean number of active latents in it.
    pub l0: f64,
}

impl Attempt {
    /// Notes how far the run is.
    pub fn note(&self, note: &Note) {
        let storage = self.folder().storage();
        if let Ok(text) = serde_json::to_vec(note) {
            let _ = files::place(storage, &self.path().join(NOTE), &[&text]);
        }
    }
}

impl Folder {
    /// How far an attempt is, as its worker noted it last.
    pub fn note(&self, id: &RunId, found: &FoundClaim) -> Option<Note> {
        let path = self.attempt(id, found.attempt).join(NOTE);
        serde_json::from_slice(&files::read(self.storage(), &path).ok()??).ok()
    }
}
