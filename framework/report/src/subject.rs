//! The subject of a page: one or several experiments, and the files of single runs that the page needs.

use std::cell::RefCell;

use analysis::{Comparison, Comparisons, Group, Runs, Setting};
use framework::fit::Opened;
use framework::spec::{RunId, RunSpec};
use store::{Folder, Manifest, RunState, Unread};
use tables::{Table, Values};

/// Experiments with their results.
pub struct ExperimentView<'a> {
    /// Name of the experiment, or the names of all.
    pub name: String,
    /// Folders of the experiments; at least one.
    pub folders: &'a [Folder],
    /// Runs of the experiments.
    pub runs: &'a Runs,
    /// Comparisons of its methods.
    pub comparisons: &'a Comparisons,
    /// The same at L0, where those are made with the same number of latents.
    pub by_l0: &'a Comparisons,
    /// Warnings: what could not be shown, and why.
    pub warnings: RefCell<Vec<String>>,
}

/// Runs of a folder's experiment, and its data as far as it was opened: a path to data counts from the folder.
pub struct FolderGrid {
    /// Runs of the experiment file.
    pub runs: Vec<RunSpec>,
    /// Data of these runs.
    pub opened: Opened,
}

/// Maximum number of methods that are shown in detail: more lines in one figure cannot be told apart.
const METHODS: usize = 8;
/// Maximum number of settings of each method that are shown in detail.
const SETTINGS: usize = 6;

impl ExperimentView<'_> {
    /// Returns the methods that are shown in detail, each with its comparison.
    pub fn methods(&self) -> impl Iterator<Item = (&Comparison, &Group)> {
        self.comparisons.parts_of_groups().take(METHODS)
    }

    /// Says that only some methods are shown; `None` if all are.
    pub fn left_out(&self) -> Option<String> {
        let count = self.comparisons.groups().count();
        (count > METHODS).then(|| format!("Only the first {METHODS} of {count} methods are shown."))
    }

    /// Returns the place of a run's folder among the folders.
    pub fn place(&self, row: usize) -> usize {
        let is_own = |folder: &Folder| {
            self.runs.folder(row).is_some_and(|own| folder.path().to_string_lossy() == own)
        };
        self.folders.iter().position(is_own).unwrap_or_default()
    }

    /// Returns the grid of each folder. If one cannot be read, adds a warning that says `what` is missing.
    pub fn grids(&self, what: &str) -> Vec<FolderGrid> {
        let grid = |folder: &Folder| {
            let runs = folder.experiment().and_then(|experiment| Ok(experiment.runs()?));
            let runs = runs.unwrap_or_else(|failure| {
                self.warn::<()>(format!("{what}: {failure}"));
                Vec::new()
            });
            FolderGrid { runs, opened: Opened::default() }
        };
        self.folders.iter().map(grid).collect()
    }

    /// Returns the manifest of a run. If it cannot be read, adds a warning.
    pub fn manifest(&self, row: usize) -> Option<Box<Manifest>> {
        let id = RunId(self.runs.text(row, "run_id"));
        match self.folders[self.place(row)].state(&id, false) {
            Ok(RunState::Ended(manifest)) => Some(manifest),
            Ok(RunState::Damaged(what)) => self.warn(format!("run {id}: {what}")),
            Ok(RunState::Outstanding) => self.warn(format!("run {id} is not there any more")),
            Err(failure) => self.warn(format!("run {id}: {failure}")),
        }
    }

    /// Returns a file of a run. If it cannot be read, adds a warning.
    pub fn file(&self, row: usize, manifest: &Manifest, name: &str) -> Option<Vec<u8>> {
        match self.folders[self.place(row)].read_run_file(manifest, name) {
            Ok(bytes) => Some(bytes),
            Err(Unread::Damaged(what)) => self.warn(what),
            Err(Unread::Failed(failure)) => self.warn(failure.to_string()),
        }
    }

    /// Returns a table of a run. If it cannot be read, adds a warning.
    pub fn table(&self, row: usize, name: &str) -> Option<Table> {
        let bytes = self.file(row, &*self.manifest(row)?, name)?;
        match Table::from_parquet(&bytes) {
            Ok(table) => Some(table),
            Err(error) => {
                self.warn(format!("run {}: its `{name}`: {error}", self.runs.text(row, "run_id")))
            }
        }
    }

    /// Adds a warning. Returns `None`.
    pub fn warn<T>(&self, what: String) -> Option<T> {
        self.warnings.borrow_mut().push(what);
        None
    }
}

/// Returns the settings of a method that are shown in detail, in their order: all if they are few, else those on the
/// front, and others if these are fewer.
pub fn shown(group: &Group) -> Vec<&Setting> {
    let places = 0..group.settings.len();
    let (front, others): (Vec<usize>, Vec<usize>) =
        places.partition(|at| group.settings[*at].is_on_front);
    let mut shown = evenly(&front, SETTINGS);
    shown.extend(evenly(&others, SETTINGS - shown.len()));
    shown.sort_unstable();
    shown.into_iter().map(|at| &group.settings[at]).collect()
}

/// Returns at most `most` of these, evenly chosen, the first and the last among them.
fn evenly(all: &[usize], most: usize) -> Vec<usize> {
    let count = all.len().min(most);
    let at = |nth: usize| if count > 1 { nth * (all.len() - 1) / (count - 1) } else { 0 };
    (0..count).map(|nth| all[at(nth)]).collect()
}

/// Maximum number of settings of a method that have pictures, unless fewer are chosen: pictures need no colours to
/// be told apart.
const PICTURED: usize = 12;

/// Returns the settings of a method that have pictures: all, or else those that are shown in detail.
pub fn pictured(group: &Group) -> Vec<&Setting> {
    match group.settings.len() {
        0..=PICTURED => group.settings.iter().collect(),
        _ => shown(group),
    }
}

/// Returns the name of a setting among others of its method.
pub fn name(group: &Group, setting: &Setting) -> String {
    if setting.words.is_empty() { group.title() } else { setting.words.clone() }
}

/// Returns the finite numbers of a column, by row.
pub fn numbers(table: &Table, column: &str) -> Vec<Option<f64>> {
    let values = match table.get(column) {
        Some(Values::Number(values)) => values.clone(),
        Some(Values::Whole(values)) => {
            values.iter().map(|value| value.map(|value| value as f64)).collect()
        }
        _ => vec![None; table.rows()],
    };
    values.into_iter().map(|value| value.filter(|value| value.is_finite())).collect()
}
