//! Opens the tables of experiments, for analysis.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use tables::{Stack, Table, Values};

use super::compact::{Current, TABLES};
use super::stability::STABILITY;
use crate::exit::Failure;
use crate::folder::Folder;
use crate::storage::files::{self, read};

impl Folder {
    /// Brings the tables up to date with the runs that ended, without running anything. Returns the table
    /// of runs, and messages about files that are left out or cannot be written.
    ///
    /// # Errors
    /// If it is not an experiment folder, or cannot be read.
    pub fn tables(&self) -> Result<(Table, Vec<String>), Failure> {
        let Current { runs, warnings, .. } = self.current_to_read(&self.experiment()?.runs()?)?;
        Ok((runs, warnings))
    }

    /// Reads the table of runs as a command last made it: it lacks runs that ended since. Empty if it is
    /// missing or damaged.
    ///
    /// # Errors
    /// If it exists and cannot be read.
    pub fn last_runs(&self) -> Result<Table, Failure> {
        let bytes = files::read(self.storage(), &self.path().join("runs.parquet"))?;
        Ok(bytes.and_then(|bytes| Table::from_parquet(&bytes).ok()).unwrap_or_default())
    }

    /// Seconds that each done run took, by its id, from the table of runs as a command last made it.
    /// Empty without that table.
    ///
    /// # Errors
    /// If it exists and cannot be read.
    pub fn seconds(&self) -> Result<HashMap<String, f64>, Failure> {
        let table = self.last_runs()?;
        let columns = ["run_id", "status", "seconds"].map(|name| table.get(name));
        let [Some(Values::Text(ids)), Some(Values::Text(status)), Some(Values::Number(seconds))] =
            columns
        else {
            return Ok(HashMap::new());
        };
        let done = ids.iter().zip(status).zip(seconds).filter_map(|((id, status), seconds)| {
            (status.as_deref() == Some("done")).then_some((id.clone()?, (*seconds)?))
        });
        Ok(done.collect())
    }
}

/// Returns the runs of these experiment folders, each folder once, and messages about files that are left
/// out or cannot be written.
///
/// # Errors
/// If a folder is not an experiment folder, or cannot be read.
pub fn load_runs<P: AsRef<Path>>(folders: &[P]) -> Result<(Table, Vec<String>), Failure> {
    let (mut tables, mut warnings) = (Vec::new(), Vec::new());
    for path in distinct(folders) {
        let (table, found) = Folder::at(path).tables()?;
        tables.push(table);
        warnings.extend(found);
    }
    Ok((Table::union(tables), warnings))
}

/// Returns each folder once, even if several paths name it.
#[allow(clippy::disallowed_methods, reason = "it compares the paths that a user names")]
pub fn distinct<P: AsRef<Path>>(folders: &[P]) -> impl Iterator<Item = &Path> {
    let mut seen = HashSet::new();
    folders.iter().map(AsRef::as_ref).filter(move |path| {
        // A missing folder is an error when it is opened.
        seen.insert(path.canonicalize().unwrap_or_else(|_| path.to_path_buf()))
    })
}

/// Tables of one or several experiments; the column `experiment` of each tells experiments apart.
pub struct Stacks {
    /// Tables by name: `runs`, `history`, `latents` and, once `saegrid stability` or `report` has
    /// compared seeds, `stability`.
    pub tables: Vec<(&'static str, Stack)>,
    /// Messages about files that are left out or cannot be written.
    pub warnings: Vec<String>,
}

/// Name of the column that tells experiments apart.
const LABEL: &str = "experiment";

/// Brings the tables of these experiment folders up to date and opens them; those that cannot be written are
/// made in memory.
///
/// # Errors
/// If a folder is not an experiment folder, or cannot be read.
pub fn open_tables<P: AsRef<Path>>(folders: &[P]) -> Result<Stacks, Failure> {
    let (mut opened, mut warnings) = (Vec::new(), Vec::new());
    for path in distinct(folders) {
        let folder = Folder::at(path);
        let experiment = folder.experiment()?;
        let current = folder.current_to_read(&experiment.runs()?)?;
        warnings.extend(current.warnings);
        let unwritten = current.unwritten.map(|unwritten| unwritten.files).unwrap_or_default();
        opened.push((folder, experiment.name, unwritten));
    }
    let mut tables = Vec::new();
    for (at, file) in TABLES.map(|(file, _)| file).into_iter().chain([STABILITY]).enumerate() {
        let mut files = Vec::new();
        for (folder, experiment, unwritten) in &mut opened {
            if file == STABILITY && folder.stability()?.rows() == 0 {
                continue;
            }
            let bytes = match unwritten.get_mut(at).and_then(Option::take) {
                Some(bytes) => Some(bytes),
                None => read(folder.storage(), &folder.path().join(file))?,
            };
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
