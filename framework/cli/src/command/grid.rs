//! First step of most commands: reads and checks an experiment file, and finds the folder of its results.

use std::path::Path;

use framework::diagnostics::Diagnostic;
use framework::fit::{Opened, check_fit, open_data};
use framework::spec::{Expanded, Experiment, Override, RunSpec};
use store::Folder;
use store::exit::Failure;

use super::{Chosen, say_problems};

/// Experiment and its runs, all checked.
pub struct Grid {
    /// The experiment.
    pub experiment: Experiment,
    /// Its runs.
    pub runs: Vec<RunSpec>,
    /// Overrides of the command line.
    pub overrides: Vec<Override>,
    /// Folder where its results are or will be.
    pub folder: Folder,
    /// The data of its runs.
    pub opened: Opened,
}

impl Grid {
    /// Reads and checks the chosen experiment; writes nothing.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(chosen: &Chosen) -> Result<Self, Failure> {
        let here = std::env::current_dir().unwrap_or_default();
        let overrides: Vec<Override> =
            chosen.sets.iter().map(|set| Override::new(set.as_str(), &here)).collect();
        let (experiment, runs, opened) = read_experiment(&chosen.file, &overrides, say_problems)?;
        let folder = Folder::at(chosen.output_dir.join(&experiment.name));
        Ok(Self { experiment, runs, overrides, folder, opened })
    }
}

/// Reads and checks an experiment file, its runs and their data. Passes probable mistakes to `warn`.
///
/// # Errors
/// Everything that is wrong with it, or that it leaves no run.
pub fn read_experiment(
    file: &Path,
    overrides: &[Override],
    mut warn: impl FnMut(&[Diagnostic]),
) -> Result<(Experiment, Vec<RunSpec>, Opened), Failure> {
    let experiment = Experiment::read(file, overrides)?;
    let Expanded { runs, excluded, warnings } = experiment.expand()?;
    warn(&warnings);
    if runs.is_empty() {
        return Err(Failure::NoRuns(experiment.none_left(excluded)));
    }
    let mut opened = open_data(&runs)?;
    warn(&check_fit(&experiment, &runs, &mut opened)?);
    Ok((experiment, runs, opened))
}
