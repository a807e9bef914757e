//! State of an experiment folder, from its files alone: `status` shows it once, `watch` repeatedly.

use std::collections::{BTreeMap, HashMap};

use analysis::{Comparisons, Question, Runs, rows_of};
use framework::spec::{ColumnName, Experiment, RunId, RunSpec};
use rayon::prelude::*;
use store::exit::{Exit, Failure};
use store::{Folder, FoundClaim, RunCondition, Status};
use tables::Table;
use worker::Rungs;

use super::{settings, show};
use crate::progress::describe;
use crate::slurm::Jobs;

/// Largest number of lines in a list without `--all`.
const MOST: usize = 20;

/// Experiment folder as it is now.
pub struct Overview {
    /// The experiment.
    pub experiment: Experiment,
    /// Its runs.
    pub runs: Vec<RunSpec>,
    /// Condition of each run, in the order of `runs`.
    pub known: Vec<RunCondition>,
}

/// Results of runs that are done, kept so that nothing is read twice; `None` if they cannot be read.
#[derive(Default)]
pub struct DoneTables(HashMap<RunId, Option<Table>>);

impl Overview {
    /// Reads the state of a folder.
    ///
    /// # Errors
    /// If it is not an experiment folder, or cannot be read.
    pub fn of(folder: &Folder) -> Result<Self, Failure> {
        let experiment = folder.experiment()?;
        let runs = experiment.runs()?;
        let mut known = folder.survey(&experiment, &runs)?;
        Rungs::new(folder, &experiment, &runs)?.tell(&mut known);
        Ok(Self { experiment, runs, known })
    }

    /// Returns the number of runs in each state, by the state's name.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        self.known.iter().for_each(|known| *counts.entry(known.word()).or_default() += 1);
        counts
    }

    /// Returns the exit code for the states of all runs.
    pub fn exit(&self) -> Exit {
        let counts = self.counts();
        let count = |word| counts.get(word).copied().unwrap_or(0);
        let outstanding = ["new", "running", "lost", "interrupted", "waiting", "damaged"];
        match count("done") + count("stale") + count("stopped") {
            done if done == self.runs.len() => Exit::Done,
            _ if outstanding.into_iter().any(|word| count(word) > 0) => Exit::Outstanding,
            _ => Exit::RunsFailed,
        }
    }

    /// Formats the number of runs in each state as one line.
    pub fn line(&self) -> String {
        let words: Vec<String> =
            self.counts().iter().map(|(status, count)| format!("{count} {status}")).collect();
        format!("{}: {} runs: {}\n", self.experiment.name, self.runs.len(), words.join(", "))
    }

    /// Formats all of it as text: the jobs on a cluster, which process works on which run and how far it is,
    /// why runs are not done, and the results of settings if there are two or more. Lists are short unless
    /// `all` is set.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn text(
        &self,
        folder: &Folder,
        results: &mut DoneTables,
        jobs: &Jobs,
        all: bool,
    ) -> Result<String, Failure> {
        let most = if all { usize::MAX } else { MOST };
        let mut text = self.line() + &jobs.text();
        let begun = self.of_kind(|known| attempt_of(known).is_some());
        text.push_str(&listed(
            &["run", "settings", "status", "where", "since", "progress"],
            &begun,
            most,
            |(run, known)| begun_row(folder, run, known),
        )?);
        let reasons = self.of_kind(|known| known.reason().is_some());
        text.push_str(&listed(
            &["run", "settings", "status", "reason"],
            &reasons,
            most,
            |(run, known)| {
                let reason = known.reason().unwrap_or_default().to_owned();
                Ok(vec![run.id.to_string(), describe(run), known.to_string(), reason])
            },
        )?);
        let (comparisons, runs) = self.compared(folder, results);
        if comparisons.groups().map(|group| group.settings.len()).sum::<usize>() > 1 {
            text.push_str(&settings::brief(&comparisons, &runs, folder));
        }
        Ok(text)
    }

    /// Returns the runs whose condition passes `is_so`, with their conditions.
    fn of_kind(&self, is_so: impl Fn(&RunCondition) -> bool) -> Vec<(&RunSpec, &RunCondition)> {
        self.runs.iter().zip(&self.known).filter(|(_, known)| is_so(known)).collect()
    }

    /// Compares the runs that are done. Returns them too.
    fn compared(
        &self,
        folder: &Folder,
        DoneTables(results): &mut DoneTables,
    ) -> (Comparisons, Runs) {
        let done = self.of_kind(|known| known.status() == Some(Status::Done));
        if results.is_empty() {
            // Most results are in one file, and the results of a done run never change.
            let table = folder.last_runs().unwrap_or_default();
            let runs = Runs::new(table);
            let is_done = |row: &usize| runs.text(*row, "status") == Status::Done.as_str();
            for row in (0..runs.count()).filter(is_done) {
                let id = RunId(runs.text(row, "run_id"));
                results.insert(id, Some(rows_of(runs.table(), &[row])));
            }
        }
        let unread = done.par_iter().filter(|(run, _)| !results.contains_key(&run.id));
        // Skips results that cannot be read: the code that makes the tables warns of them.
        let read = |(run, _): &(&RunSpec, &RunCondition)| {
            (run.id.clone(), folder.table_of(&run.id, "run.parquet").ok().flatten())
        };
        let read: Vec<(RunId, Option<Table>)> = unread.map(read).collect();
        results.extend(read);
        let tables = done.iter().filter_map(|(run, _)| results.get(&run.id)?.clone());
        let mut runs = Runs::new(Table::union(tables));
        runs.show(self.experiment.evaluate.show.iter().map(ColumnName::as_str));
        (Comparisons::new(&runs, &Question::default()), runs)
    }
}

/// Returns the attempt that a run is in, or was in when it was lost or interrupted.
pub fn attempt_of(known: &RunCondition) -> Option<&FoundClaim> {
    match known {
        RunCondition::Running(found)
        | RunCondition::Lost(found)
        | RunCondition::Interrupted(found) => Some(found),
        _ => None,
    }
}

/// Formats the first `most` rows as a table, and says how many more there are.
fn listed<T>(
    heading: &[&str],
    all: &[T],
    most: usize,
    row: impl Fn(&T) -> Result<Vec<String>, Failure>,
) -> Result<String, Failure> {
    if all.is_empty() {
        return Ok(String::new());
    }
    let rows: Vec<Vec<String>> = all.iter().take(most).map(row).collect::<Result<_, _>>()?;
    let mut text = show::table(heading, &rows);
    if rows.len() < all.len() {
        text.push_str(&format!("… and {} more; `--all` lists them\n", all.len() - rows.len()));
    }
    Ok(text)
}

/// Returns the row of a run that was begun: which process works on it, or did last, and how far it is.
fn begun_row(folder: &Folder, run: &RunSpec, known: &RunCondition) -> Result<Vec<String>, Failure> {
    let found = attempt_of(known);
    let claim = found.and_then(|found| found.claim.as_ref());
    let place =
        claim.map(|claim| format!("{} (process {})", claim.process.host, claim.process.pid));
    let since = claim.map(|claim| claim.since.clone());
    let progress = match found {
        Some(found) => progress(folder, run, found)?,
        None => String::new(),
    };
    Ok(vec![
        run.id.to_string(),
        describe(run),
        known.to_string(),
        place.unwrap_or_default(),
        since.unwrap_or_default(),
        progress,
    ])
}

/// Formats how far a run is, by its worker's note or else by its last checkpoint.
fn progress(folder: &Folder, run: &RunSpec, found: &FoundClaim) -> Result<String, Failure> {
    let checkpoint = folder.last_checkpoint(&run.id, found)?;
    Ok(match (folder.note(&run.id, found), checkpoint) {
        (Some(note), _) => {
            let share = percent(note.step, note.steps);
            let what = if note.pretraining { "pretraining step" } else { "step" };
            format!("{what} {} of {} ({share} %)", note.step, note.steps)
        }
        (None, Some(step)) => format!("checkpoint at step {step}"),
        (None, None) => String::new(),
    })
}

/// Returns the percentage of steps that are done. A note may hold any numbers.
fn percent(step: usize, steps: usize) -> u128 {
    100 * step as u128 / steps.max(1) as u128
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if large numbers in a forged note overflowed, or 0 steps caused a division by zero.
    #[test]
    fn a_share_is_right_whatever_a_note_says() {
        assert_eq!((percent(1, 3), percent(usize::MAX, usize::MAX)), (33, 100));
        assert_eq!((percent(0, 0), percent(usize::MAX / 2, usize::MAX)), (0, 49));
    }
}
