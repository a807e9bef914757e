//! Tables of finished experiments for those who analyse them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use tables::{Stack, Table};

use super::compact::TABLES;
use super::files::read;
use super::folder::Folder;
use super::stability::STABILITY;
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
    for path in distinct(folders) {
        let (table, found) = Folder::at(path).tables()?;
        tables.push(table);
        warnings.extend(found);
    }
    Ok((Table::union(tables), warnings))
}

/// The folders without those that are there twice, by whatever path.
#[allow(clippy::disallowed_methods, reason = "it compares the paths that a user names")]
pub(super) fn distinct<P: AsRef<Path>>(folders: &[P]) -> impl Iterator<Item = &Path> {
    let mut seen = HashSet::new();
    folders.iter().map(AsRef::as_ref).filter(move |path| {
        // A folder that is not there is told of by whoever opens it.
        seen.insert(path.canonicalize().unwrap_or_else(|_| path.to_path_buf()))
    })
}

/// The tables of one or several experiments as they stand in their folders; the column `experiment` of
/// each tells experiments apart.
pub struct Stacks {
    /// The tables `runs`, `history`, `latents` and, once `saegrid stability` or `report` has compared
    /// seeds, `stability`, by their names.
    pub tables: Vec<(&'static str, Stack)>,
    /// What was wrong with files that are left out.
    pub warnings: Vec<String>,
}

/// The name of the column that tells experiments apart.
const LABEL: &str = "experiment";

/// Brings the tables of these experiment folders up to date and opens them.
///
/// # Errors
/// If a folder is none of an experiment, or cannot be read.
pub fn open_tables<P: AsRef<Path>>(folders: &[P]) -> Result<Stacks, Failure> {
    let (mut opened, mut warnings) = (Vec::new(), Vec::new());
    for path in distinct(folders) {
        let folder = Folder::at(path);
        let experiment = folder.experiment()?;
        warnings.extend(folder.compact(&experiment.runs()?)?.1);
        opened.push((folder, experiment.name));
    }
    let mut tables = Vec::new();
    for file in TABLES.map(|(file, _)| file).into_iter().chain([STABILITY]) {
        let mut files = Vec::new();
        for (folder, experiment) in &opened {
            if file == STABILITY && folder.stability()?.rows() == 0 {
                continue;
            }
            let bytes = read(folder.storage(), &folder.path().join(file))?;
            files.extend(bytes.map(|bytes| (experiment.clone(), bytes)));
        }
        if !files.is_empty() {
            let stack = Stack::open(files, LABEL)
                .map_err(|error| Failure::Io(format!("cannot read `{file}`: {error}")))?;
            tables.push((file.trim_end_matches(".parquet"), stack));
        }
    }
    Ok(Stacks { tables, warnings })
}
