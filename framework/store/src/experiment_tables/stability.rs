//! Table of what dictionaries of different seeds have in common. It is derived: deleting it loses
//! nothing.

use tables::Table;

use crate::exit::Failure;
use crate::folder::Folder;
use crate::storage::files;

/// Name of its file.
pub(crate) const STABILITY: &str = "stability.parquet";

impl Folder {
    /// Reads the table as it was last made; empty if it is missing or damaged.
    ///
    /// # Errors
    /// If it exists and cannot be read.
    pub fn stability(&self) -> Result<Table, Failure> {
        let bytes = files::read(self.storage(), &self.path().join(STABILITY))?;
        Ok(bytes.and_then(|bytes| Table::from_parquet(&bytes).ok()).unwrap_or_default())
    }

    /// Writes the table.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep_stability(&self, table: &Table) -> Result<(), Failure> {
        let bytes = table
            .to_parquet()
            .map_err(|error| Failure::Io(format!("cannot make `{STABILITY}`: {error}")))?;
        files::write(self.storage(), &self.path().join(STABILITY), &bytes)
    }
}
