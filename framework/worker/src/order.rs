//! In which order a worker asks for the runs of a grid, and which runs it skips.
//!
//! To ask for a run takes a few disk operations. If each of many workers asked for every run from the first
//! to the last, looks at runs of other workers would take most of the time, and more with each worker. So a
//! worker lists the folder of ended runs now and then. A worker that finds runs of others again and again
//! continues elsewhere in the grid.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

use framework::spec::{Experiment, RunSpec};
use store::exit::Failure;
use store::{Folder, RunState, Status};

/// Number of held runs in a row after which a worker continues elsewhere. Fewer workers than that work
/// on a grid in its order.
const IN_A_ROW: usize = 4;

/// Number of names that can be listed in the time of one look at a run, about (examples/claiming.rs).
const NAMES_A_LOOK: usize = 128;

/// Smallest number of runs that are asked for before the names of all are listed.
const AT_LEAST: usize = 16;

/// Number of threads that read manifests: they wait for the disk, not for a processor.
const READERS: usize = 8;

/// Runs of a grid that are not known to have ended, by their places in it.
pub struct Order<'a> {
    folder: &'a Folder,
    experiment: &'a Experiment,
    runs: &'a [RunSpec],
    /// Runs that this pass still asks for.
    asked_next: VecDeque<usize>,
    /// Runs that the next pass asks for.
    later: Vec<usize>,
    /// Runs whose names are in the folder of ended runs and whose manifests are not read yet.
    named: Vec<usize>,
    in_a_row: usize,
    misses: usize,
    random: RandomState,
}

impl<'a> Order<'a> {
    /// Makes an order that asks for all runs.
    pub fn new(folder: &'a Folder, experiment: &'a Experiment, runs: &'a [RunSpec]) -> Self {
        Self {
            folder,
            experiment,
            runs,
            asked_next: VecDeque::new(),
            later: (0..runs.len()).collect(),
            named: Vec::new(),
            in_a_row: 0,
            misses: 0,
            random: RandomState::new(),
        }
    }

    /// Returns true if all runs are known to have ended.
    pub fn is_empty(&self) -> bool {
        self.later.is_empty() && self.asked_next.is_empty() && self.named.is_empty()
    }

    /// Begins a pass through all runs that are left.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn begin_pass(&mut self) -> Result<(), Failure> {
        self.later.sort_unstable();
        self.asked_next.extend(self.later.drain(..));
        (self.in_a_row, self.misses) = (0, 0);
        if self.asked_next.len() > self.looks_worth_a_list() { self.list() } else { Ok(()) }
    }

    /// Returns the next run of this pass. Runs that seem to have ended come last.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn next(&mut self) -> Result<Option<usize>, Failure> {
        if self.misses > self.looks_worth_a_list() {
            self.misses = 0;
            self.list()?;
        }
        if self.in_a_row >= IN_A_ROW && !self.asked_next.is_empty() {
            self.in_a_row = 0;
            let place = self.random.hash_one(self.asked_next.len()) as usize;
            self.asked_next.rotate_left(place % self.asked_next.len());
        }
        if self.asked_next.is_empty() && !self.named.is_empty() {
            let open = self.with_work_left()?;
            self.asked_next.extend(open);
        }
        Ok(self.asked_next.pop_front())
    }

    /// Asks for a run again in the next pass.
    pub fn ask_again(&mut self, run: usize) {
        self.later.push(run);
    }

    /// Notes that the last run was free.
    pub fn was_free(&mut self) {
        self.in_a_row = 0;
    }

    /// Notes that another worker held the last run.
    pub fn was_held(&mut self) {
        self.in_a_row += 1;
        self.misses += 1;
    }

    /// Notes that the last run had ended. That says nothing about other workers, so the order stays: a
    /// grid resumes where it was.
    pub fn had_ended(&mut self) {
        self.misses += 1;
    }

    /// Number of looks that take longer than to list all names.
    fn looks_worth_a_list(&self) -> usize {
        AT_LEAST + self.runs.len() / NAMES_A_LOOK
    }

    /// Lists the folder of ended runs, and sets the runs apart whose names are in it.
    fn list(&mut self) -> Result<(), Failure> {
        let ended: HashSet<_> = self.folder.run_ids()?.into_iter().collect();
        let asked_next = std::mem::take(&mut self.asked_next);
        let (named, open) =
            asked_next.into_iter().partition(|run| ended.contains(&self.runs[*run].id));
        self.asked_next = open;
        self.named.extend::<VecDeque<_>>(named);
        Ok(())
    }

    /// Reads the manifests of the runs that seem to have ended, and returns those that need work.
    fn with_work_left(&mut self) -> Result<Vec<usize>, Failure> {
        let mut named = std::mem::take(&mut self.named);
        named.sort_unstable();
        let share = named.len().div_ceil(READERS).max(AT_LEAST);
        let (folder, experiment, runs) = (self.folder, self.experiment, self.runs);
        let read = |part: &[usize]| -> Result<Vec<usize>, Failure> {
            let open = |run: &usize| match needs_no_work(folder, experiment, &runs[*run]) {
                Ok(true) => None,
                Ok(false) => Some(Ok(*run)),
                Err(failure) => Some(Err(failure)),
            };
            part.iter().filter_map(open).collect()
        };
        let parts: Vec<_> = std::thread::scope(|scope| {
            let readers: Vec<_> =
                named.chunks(share).map(|part| scope.spawn(|| read(part))).collect();
            readers
                .into_iter()
                .map(|reader| {
                    reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect()
        });
        Ok(parts.into_iter().collect::<Result<Vec<_>, _>>()?.concat())
    }
}

/// Returns true if a run has ended and needs no more work. A stopped run may be allowed again.
fn needs_no_work(folder: &Folder, experiment: &Experiment, run: &RunSpec) -> Result<bool, Failure> {
    Ok(match folder.state(&run.id, false)? {
        RunState::Outstanding | RunState::Damaged(_) => false,
        RunState::Ended(manifest) => {
            manifest.status != Status::Stopped && manifest.to_measure(experiment, run).is_empty()
        }
    })
}
