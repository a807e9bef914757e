//! Tables of finished experiments for those who analyse them.

use std::path::PathBuf;

use tables::Table;

use super::folder::Folder;
use crate::exit::Failure;

/// The runs of these experiment folders, each once, and what was wrong with files that are left out.
///
/// # Errors
/// If a folder is none of an experiment, or cannot be read.
pub fn load_runs(folders: &[PathBuf]) -> Result<(Table, Vec<String>), Failure> {
    let (mut tables, mut warnings) = (Vec::new(), Vec::new());
    for path in folders {
        let folder = Folder::at(path);
        let runs = folder.experiment()?.runs()?;
        let (table, found) = folder.compact(&runs)?;
        tables.push(table);
        warnings.extend(found);
    }
    Ok((Table::union(tables), warnings))
}
