//! In which order a worker asks for the runs of a grid, and for which it need not ask.
//!
//! To ask for a run takes a few operations of the disk. If each of many workers asked for each run,
//! from the first to the last, it would be the looks at runs of others that take the time, the more of
//! them the more workers there are. So the folder of what has ended is listed now and then, and whoever
//! meets runs of others again and again goes on elsewhere in the grid.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

use framework::spec::{Experiment, RunSpec};
use store::exit::Failure;
use store::{Folder, RunState, Status};

/// So many runs of others one after another, and a worker goes on elsewhere. With fewer workers than
/// that, a grid is worked on in its order.
const IN_A_ROW: usize = 4;

/// About so many names are listed in the time that it takes to ask for one run (examples/claiming.rs).
const NAMES_A_LOOK: usize = 128;

/// Runs that are asked for in any case before the names of all are listed.
const AT_LEAST: usize = 16;

/// How many threads read what has ended: they wait for the disk, not for a processor.
const READERS: usize = 8;

/// The runs of a grid that are not known to have ended, by their places in it.
pub struct Order<'a> {
    folder: &'a Folder,
    experiment: &'a Experiment,
    runs: &'a [RunSpec],
    /// What this pass has yet to ask for.
    asked_next: VecDeque<usize>,
    /// What the next one has to.
    later: Vec<usize>,
    /// Runs that seem to have ended and were not looked at.
    named: Vec<usize>,
    in_a_row: usize,
    misses: usize,
    random: RandomState,
}

impl<'a> Order<'a> {
    /// All runs are to be asked for.
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

    /// Whether all runs are known to have ended.
    pub fn is_empty(&self) -> bool {
        self.later.is_empty() && self.asked_next.is_empty() && self.named.is_empty()
    }

    /// Begins a pass through all that are left.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn begin_pass(&mut self) -> Result<(), Failure> {
        self.later.sort_unstable();
        self.asked_next.extend(self.later.drain(..));
        (self.in_a_row, self.misses) = (0, 0);
        if self.asked_next.len() > self.worth_a_list() { self.list() } else { Ok(()) }
    }

    /// The next run of this pass. What only seems to have ended comes last.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn next(&mut self) -> Result<Option<usize>, Failure> {
        if self.misses > self.worth_a_list() {
            self.misses = 0;
            self.list()?;
        }
        if self.in_a_row >= IN_A_ROW && !self.asked_next.is_empty() {
            self.in_a_row = 0;
            let place = self.random.hash_one(self.asked_next.len()) as usize;
            self.asked_next.rotate_left(place % self.asked_next.len());
        }
        if self.asked_next.is_empty() && !self.named.is_empty() {
            let open = self.not_over()?;
            self.asked_next.extend(open);
        }
        Ok(self.asked_next.pop_front())
    }

    /// A run that was asked for is to be asked for again in the next pass.
    pub fn again(&mut self, run: usize) {
        self.later.push(run);
    }

    /// What was asked for was free.
    pub fn hit(&mut self) {
        self.in_a_row = 0;
    }

    /// What was asked for was somebody else's.
    pub fn held(&mut self) {
        self.in_a_row += 1;
        self.misses += 1;
    }

    /// What was asked for had ended. That says nothing of others, so the order stays: a grid that is gone
    /// on with begins where it was.
    pub fn over(&mut self) {
        self.misses += 1;
    }

    fn worth_a_list(&self) -> usize {
        AT_LEAST + self.runs.len() / NAMES_A_LOOK
    }

    /// Sets those runs apart that have ended by their names.
    fn list(&mut self) -> Result<(), Failure> {
        let ended: HashSet<_> = self.folder.run_ids()?.into_iter().collect();
        let asked_next = std::mem::take(&mut self.asked_next);
        let (named, open) =
            asked_next.into_iter().partition(|run| ended.contains(&self.runs[*run].id));
        self.asked_next = open;
        self.named.extend::<VecDeque<_>>(named);
        Ok(())
    }

    /// Reads the manifests of those that seem to have ended: for which something is left to do.
    fn not_over(&mut self) -> Result<Vec<usize>, Failure> {
        let mut named = std::mem::take(&mut self.named);
        named.sort_unstable();
        let share = named.len().div_ceil(READERS).max(AT_LEAST);
        let (folder, experiment, runs) = (self.folder, self.experiment, self.runs);
        let read = |part: &[usize]| -> Result<Vec<usize>, Failure> {
            let open = |run: &usize| match is_over(folder, experiment, &runs[*run]) {
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

/// Whether a run has ended and nothing is left to do for it. One that was stopped may yet be to go on.
fn is_over(folder: &Folder, experiment: &Experiment, run: &RunSpec) -> Result<bool, Failure> {
    Ok(match folder.state(&run.id, false)? {
        RunState::Outstanding | RunState::Damaged(_) => false,
        RunState::Ended(manifest) => {
            manifest.status != Status::Stopped && manifest.to_measure(experiment, run).is_empty()
        }
    })
}
