//! Opens the tables of experiments as polars' lazy frames, behind the feature `lazy`.

use std::path::Path;

use tables::{File, LazyFrame, scan};

use super::compact::TABLES;
use super::load::distinct;
use super::stability::STABILITY;
use crate::exit::Failure;
use crate::folder::Folder;

/// Tables of one or several experiments, to compute with; the column `experiment` of each tells
/// experiments apart.
pub struct Results {
    /// One row per run.
    pub runs: LazyFrame,
    /// One row per evaluation point of a run.
    pub history: LazyFrame,
    /// One row per latent of a run.
    pub latents: LazyFrame,
    /// One row per pair of runs that differ by their seed; `None` until `saegrid stability` or `report`
    /// has compared them.
    pub stability: Option<LazyFrame>,
    /// Messages about files that are left out or cannot be written.
    pub warnings: Vec<String>,
}

/// Brings the tables of these experiment folders up to date and opens them; those that cannot be written
/// are made in memory.
///
/// # Errors
/// If a folder is not an experiment folder, or cannot be read.
pub fn load<P: AsRef<Path>>(folders: &[P]) -> Result<Results, Failure> {
    let mut files: [Vec<(String, File)>; 3] = Default::default();
    let (mut compared, mut warnings) = (Vec::new(), Vec::new());
    for path in distinct(folders) {
        let folder = Folder::at(path);
        let experiment = folder.experiment()?;
        let current = folder.current_to_read(&experiment.runs()?)?;
        warnings.extend(current.warnings);
        let unwritten = current.unwritten.map(|unwritten| unwritten.files).unwrap_or_default();
        let on_disk = |name: &str| File::Path(folder.path().join(name));
        for ((files, (name, _)), bytes) in files.iter_mut().zip(TABLES).zip(unwritten) {
            let file = bytes.map_or_else(|| on_disk(name), File::Bytes);
            files.push((experiment.name.clone(), file));
        }
        if folder.stability()?.rows() > 0 {
            compared.push((experiment.name.clone(), on_disk(STABILITY)));
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
