//! The search of a run under way: its trials so far, and the state that the next short one goes on
//! from, in one file behind a digest.

use std::time::Duration;

use framework::search::Trial;
use serde::{Deserialize, Serialize};

use super::attempt::Attempt;
use super::files;
use crate::exit::Failure;

/// The name of the file.
const SEARCH: &str = "search";

/// A search as far as it has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The trainings that came to their end.
    pub trials: Vec<Trial>,
    /// The time that they took.
    pub elapsed: Duration,
    /// A checkpoint of the end of the training that the next short one goes on from.
    #[serde(skip)]
    pub state: Option<Vec<u8>>,
}

impl Attempt {
    /// Keeps a search; `data` is the identity of what is trained on.
    ///
    /// # Errors
    /// If it cannot be written; the one before stays.
    pub fn keep_search(&self, data: &str, search: &Kept) -> Result<(), Failure> {
        let mut text = serde_json::to_vec(search)
            .map_err(|error| Failure::Io(format!("cannot write down a search: {error}")))?;
        text.push(b'\n');
        text.extend(search.state.iter().flatten());
        let header = format!("saegrid search 1 {data} {}\n", files::digest(&text));
        let (storage, folder) = (self.folder().storage(), self.path());
        files::place(storage, &folder.join(SEARCH), &[header.as_bytes(), &text])?;
        storage.sync_folder(&folder).map_err(|error| Failure::io("write", &folder, &error))
    }

    /// The search as it was kept; from its start, if there is none that is whole and of this data.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub fn search(&self, data: &str) -> Result<Kept, Failure> {
        let bytes = files::read(self.folder().storage(), &self.path().join(SEARCH))?;
        Ok(bytes.and_then(|bytes| read(data, &bytes)).unwrap_or_default())
    }

    /// Removes it; what cannot be removed is in nobody's way.
    pub fn remove_search(&self) {
        let _ = self.folder().storage().remove(&self.path().join(SEARCH));
    }
}

fn read(data: &str, bytes: &[u8]) -> Option<Kept> {
    let line = |bytes: &'_ [u8]| bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
    let (header, text) = bytes.split_at(line(bytes)?);
    if header != format!("saegrid search 1 {data} {}\n", files::digest(text)).as_bytes() {
        return None;
    }
    let (trials, state) = text.split_at(line(text)?);
    let kept: Kept = serde_json::from_slice(trials).ok()?;
    Some(Kept { state: (!state.is_empty()).then(|| state.to_vec()), ..kept })
}
