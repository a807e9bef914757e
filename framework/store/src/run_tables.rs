//! The tables of single runs, for commands that show a few of them while others are being made.

use framework::spec::RunId;
use tables::Table;

use super::folder::Folder;
use super::manifest::{RunState, Unread};

impl Folder {
    /// A table of a run, as in `history.parquet`; `None` if the run has not ended, or not got so far
    /// as to have it.
    ///
    /// # Errors
    /// If it is there and damaged, or cannot be read.
    pub fn table_of(&self, id: &RunId, name: &str) -> Result<Option<Table>, Unread> {
        let manifest = match self.state(id, false)? {
            RunState::Outstanding => return Ok(None),
            RunState::Damaged(what) => return Err(Unread::Damaged(what)),
            RunState::Ended(manifest) => manifest,
        };
        if !manifest.digests.contains_key(name) {
            return Ok(None);
        }
        let bytes = self.read_run_file(&manifest, name)?;
        let table = Table::from_parquet(&bytes);
        table.map(Some).map_err(|error| Unread::Damaged(format!("its `{name}`: {error}")))
    }
}
