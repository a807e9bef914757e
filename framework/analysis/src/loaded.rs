//! Reading the runs of experiment folders for a comparison: which take part, and what their data is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use framework::spec::RunId;
use rayon::prelude::*;
use store::exit::Failure;
use store::{Folder, distinct, load_runs};
use tables::{Table, Values};

use super::runs::{RowOrigin, Runs, rows_of};

impl Runs {
    /// The runs of these folders, each folder once, and what was wrong with files that are left out. Runs
    /// that the experiment file does not contain any more are left out and counted, unless `all` of them
    /// are asked for.
    ///
    /// # Errors
    /// If a folder is none of an experiment, or cannot be read.
    pub fn load(folders: &[PathBuf], all: bool) -> Result<(Self, Vec<String>), Failure> {
        let (mut tables, mut origins, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
        let mut earlier = 0;
        for path in distinct(folders) {
            let (table, found) = load_runs(&[path])?;
            warnings.extend(found);
            let current = if all { table } else { current(&table, &mut earlier) };
            let runs = Self::new(current);
            origins.extend(origins_of(&Folder::at(path), &runs)?);
            tables.push(runs.into_table());
        }
        let mut runs = Self::new(Table::union(tables)).from(origins);
        runs.earlier = earlier;
        Ok((runs, warnings))
    }
}

/// The rows of runs that the experiment file contains; the others are counted.
fn current(table: &Table, earlier: &mut usize) -> Table {
    let Some(Values::Flag(flags)) = table.get("in_experiment") else { return table.clone() };
    let rows: Vec<usize> = (0..table.rows()).filter(|row| flags[*row] != Some(false)).collect();
    *earlier += table.rows() - rows.len();
    rows_of(table, &rows)
}

/// Where each of the runs of a folder is from, with the digests of the files that its data was in: what
/// its manifest says.
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
