//! Loading the runs of experiment folders for a comparison, with the digests of their data files.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use framework::spec::{ColumnName, RunId};
use rayon::prelude::*;
use store::exit::Failure;
use store::{Folder, distinct, load_runs};
use tables::{Table, Values};

use super::runs::{RowOrigin, Runs, rows_of};

impl Runs {
    /// Loads the runs of these folders, each folder once. Returns them with warnings about files that it
    /// left out. Leaves out and counts runs that the experiment file no longer contains, unless `all` is
    /// set.
    ///
    /// # Errors
    /// If a folder is no experiment folder, or cannot be read.
    pub fn load(folders: &[PathBuf], all: bool) -> Result<(Self, Vec<String>), Failure> {
        let (mut tables, mut origins, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
        let (mut earlier, mut show) = (0, Vec::new());
        for path in distinct(folders) {
            let (table, found) = load_runs(&[path])?;
            warnings.extend(found);
            let current = if all { table } else { current(&table, &mut earlier) };
            let runs = Self::new(current);
            let folder = Folder::at(path);
            origins.extend(origins_of(&folder, &runs)?);
            show.extend(folder.experiment()?.evaluate.show);
            tables.push(runs.into_table());
        }
        let mut runs = Self::new(Table::union(tables)).from(origins);
        runs.earlier = earlier;
        runs.show(show.iter().map(ColumnName::as_str));
        Ok((runs, warnings))
    }
}

/// Returns the rows of runs that the experiment file contains, and adds the number of others to `earlier`.
fn current(table: &Table, earlier: &mut usize) -> Table {
    let Some(Values::Flag(flags)) = table.get("in_experiment") else { return table.clone() };
    let rows: Vec<usize> = (0..table.rows()).filter(|row| flags[*row] != Some(false)).collect();
    *earlier += table.rows() - rows.len();
    rows_of(table, &rows)
}

/// Returns the origin of each run of a folder, with the digests of its data files from its manifest.
fn origins_of(folder: &Folder, runs: &Runs) -> Result<Vec<RowOrigin>, Failure> {
    let name: Arc<str> = folder.path().to_string_lossy().into();
    let origin = |row: usize| {
        let mut files = BTreeMap::new();
        if runs.has_files(row)
            && let Some(brief) = folder.brief(&RunId(runs.text(row, "run_id")))?
        {
            let digest = |(key, file): (String, store::DataFile)| (key, file.into_digest());
            files = brief.data.into_iter().map(digest).collect();
        }
        Ok(RowOrigin { folder: name.clone(), files })
    };
    (0..runs.count()).into_par_iter().map(origin).collect()
}
