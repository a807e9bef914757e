//! Tables of finished experiments for those who analyse them.

use std::path::PathBuf;

use tables::Table;

use super::folder::Folder;
use crate::exit::Failure;

impl Folder {
    /// Brings the tables up to date with the runs that are there, without running anything. Returns
    /// the table of runs, and what was wrong with files that are left out.
    ///
    /// # Errors
    /// If it is no folder of an experiment, or cannot be read or, where tables are not current,
    /// written to.
    pub fn tables(&self) -> Result<(Table, Vec<String>), Failure> {
        self.compact(&self.experiment()?.runs()?)
    }
}

/// The runs of these experiment folders, each once, and what was wrong with files that are left out.
///
/// # Errors
/// If a folder is none of an experiment, or cannot be read.
pub fn load_runs(folders: &[PathBuf]) -> Result<(Table, Vec<String>), Failure> {
    let (mut tables, mut warnings) = (Vec::new(), Vec::new());
    for path in folders {
        let (table, found) = Folder::at(path).tables()?;
        tables.push(table);
        warnings.extend(found);
    }
    Ok((Table::union(tables), warnings))
}
