//! State of a search in progress: its trials so far, and the checkpoint that the next short trial starts
//! from. Both are in one file with a digest.

use std::time::Duration;

use framework::search::Trial;
use serde::{Deserialize, Serialize};

use super::attempt::Attempt;
use crate::exit::Failure;
use crate::storage::files;
use crate::storage::names::SEARCH;

/// State of a search so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SearchState {
    /// Trainings that ended.
    pub trials: Vec<Trial>,
    /// Time that they took.
    pub elapsed: Duration,
    /// Checkpoint from the end of the training that the next short one continues.
    #[serde(skip)]
    pub state: Option<Vec<u8>>,
}

impl Attempt {
    /// Keeps a search; `data` is the identity of the training data.
    ///
    /// # Errors
    /// If it cannot be written; the one before stays.
    pub fn keep_search(&self, data: &str, search: &SearchState) -> Result<(), Failure> {
        let (header, text) = written(data, search)
            .map_err(|error| Failure::Io(format!("cannot write down a search: {error}")))?;
        let (storage, folder) = (self.folder().storage(), self.path());
        files::place(storage, &folder.join(SEARCH), &[header.as_bytes(), &text])?;
        storage.sync_folder(&folder).map_err(|error| Failure::io("write", &folder, &error))
    }

    /// Reads the search as it was kept; a new one, if none is whole and of this data.
    ///
    /// # Errors
    /// If it exists and cannot be read.
    pub fn search(&self, data: &str) -> Result<SearchState, Failure> {
        let bytes = files::read(self.folder().storage(), &self.path().join(SEARCH))?;
        Ok(bytes.and_then(|bytes| read(data, &bytes)).unwrap_or_default())
    }

    /// Removes the kept search; a file that stays does no harm.
    pub fn remove_search(&self) {
        let _ = self.folder().storage().remove(&self.path().join(SEARCH));
    }
}

/// Returns the header of the file and the bytes after it.
fn written(data: &str, search: &SearchState) -> serde_json::Result<(String, Vec<u8>)> {
    let mut text = serde_json::to_vec(search)?;
    text.push(b'\n');
    text.extend(search.state.iter().flatten());
    Ok((format!("saegrid search 1 {data} {}\n", files::digest(&text)), text))
}

fn read(data: &str, bytes: &[u8]) -> Option<SearchState> {
    let line = |bytes: &'_ [u8]| bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
    let (header, text) = bytes.split_at(line(bytes)?);
    if header != format!("saegrid search 1 {data} {}\n", files::digest(text)).as_bytes() {
        return None;
    }
    let (trials, state) = text.split_at(line(text)?);
    let kept: SearchState = serde_json::from_slice(trials).ok()?;
    Some(SearchState { state: (!state.is_empty()).then(|| state.to_vec()), ..kept })
}

#[cfg(test)]
mod tests {
    use framework::search::TrialLength;

    use super::*;

    /// Wrong if a search began anew after every interruption, or resumed from a state that is not its
    /// own.
    #[test]
    fn a_search_is_read_as_it_was_kept_and_nothing_else_is() {
        let trial = Trial { strength: 0.123457, length: TrialLength::Short, value: 1.0 / 3.0 };
        for state in [None, Some(b"any\nbytes \xff".to_vec())] {
            let kept =
                SearchState { trials: vec![trial; 2], elapsed: Duration::from_millis(1500), state };
            let (header, text) = written("data", &kept).unwrap();
            let bytes = [header.as_bytes(), &text].concat();
            assert_eq!(read("data", &bytes), Some(kept));
            assert_eq!(read("other data", &bytes), None);
            for at in 0..bytes.len() {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1;
                assert_eq!(read("data", &damaged), None, "byte {at}");
                assert_eq!(read("data", &bytes[..at]), None, "the first {at} bytes");
            }
        }
    }
}
