//! Tables of finished experiments for those who analyse them.

use std::path::{Path, PathBuf};

use tables::{LazyFrame, Table, scan};

use super::compact::TABLES;
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
    for path in folders {
        let (table, found) = Folder::at(path).tables()?;
        tables.push(table);
        warnings.extend(found);
    }
    Ok((Table::union(tables), warnings))
}

/// The tables of one or several experiments, to be computed with; the column `experiment` of each
/// tells experiments apart.
pub struct Results {
    /// One row a run.
    pub runs: LazyFrame,
    /// One row an evaluation point of a run.
    pub history: LazyFrame,
    /// One row a latent of a run.
    pub latents: LazyFrame,
    /// One row a pair of runs that differ by their seed; `None` until `saegrid stability` or `report` has
    /// compared them.
    pub stability: Option<LazyFrame>,
    /// What was wrong with files that are left out.
    pub warnings: Vec<String>,
}

/// The tables of these experiment folders, brought up to date.
///
/// # Errors
/// If a folder is none of an experiment, or cannot be read.
pub fn load<P: AsRef<Path>>(folders: &[P]) -> Result<Results, Failure> {
    let mut files: [Vec<(String, PathBuf)>; 3] = Default::default();
    let (mut compared, mut warnings) = (Vec::new(), Vec::new());
    for path in folders {
        let folder = Folder::at(path.as_ref());
        let experiment = folder.experiment()?;
        warnings.extend(folder.compact(&experiment.runs()?)?.1);
        let file = |name: &str| (experiment.name.clone(), folder.path().join(name));
        for (files, (name, _)) in files.iter_mut().zip(TABLES) {
            files.push(file(name));
        }
        if folder.stability()?.rows() > 0 {
            compared.push(file(STABILITY));
        }
    }
    let open = |files: &Vec<_>| {
        scan(files, "experiment")
            .map_err(|error| Failure::Io(format!("cannot read the tables: {error}")))
    };
    let [runs, history, latents] = &files;
    let (runs, history, latents) = (open(runs)?, open(history)?, open(latents)?);
    let stability = (!compared.is_empty()).then(|| open(&compared)).transpose()?;
    Ok(Results { runs, history, latents, stability, warnings })
}
