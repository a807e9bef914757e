//! `run`: trains and measures unfinished runs, then prints a summary.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use framework::spec::{Experiment, RunId, RunSpec};
use rayon::prelude::*;
use store::exit::{Exit, Failure};
use store::process::Process;
use store::provenance;
use store::{Folder, Holder, Leases, Manifest, RunCondition, RunState, Status, Taken};
use worker::signals::Signals;
use worker::{Idle, Next, Pool, PoolEnd, Rungs, next};

use super::events::Events;
use super::grid::Grid;
use super::list::print_list;
use super::summary::{summary, summary_json};
use super::{Chosen, print, print_json};
use crate::progress::{Style, reporter, say};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    chosen: Chosen,
    /// Number of runs at once; by default as many as there are cores, or fewer if fewer are unfinished
    #[arg(short, long, value_name = "N")]
    jobs: Option<std::num::NonZeroUsize>,
    /// Threads per run; by default the cores divided by the runs at once
    #[arg(long, value_name = "N")]
    threads_per_run: Option<std::num::NonZeroUsize>,
    /// List every run and its status; run nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Repeat ended runs: `failed` (or diverged, timed out or out of memory), `stale` (their data has changed
    /// since), `all`, or one run by its id
    #[arg(long, value_name = "failed|stale|all|ID")]
    rerun: Option<String>,
    /// How to show progress
    #[arg(long, value_enum, default_value_t)]
    progress: Style,
    /// Write events to FILE, one JSON object a line
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let signals = Signals::catch();
    let mut grid = Grid::read(&arguments.chosen)?;
    if arguments.dry_run {
        return print_list(&mut grid, arguments.jobs.map(usize::from), arguments.json);
    }
    let warnings =
        grid.folder.open_for(&grid.experiment, &arguments.chosen.file, &grid.overrides)?;
    warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
    match &arguments.rerun {
        Some(which) => put_aside(&grid, which)?,
        None => adopt(&grid.folder, &grid.experiment, &grid.runs)?,
    }
    warn_of_stale(&grid)?;
    look_through(&grid)?;
    let end = work(&grid, arguments, &signals)?;
    let (table, warnings) = grid.folder.compact(&grid.runs)?;
    warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
    let exit = match end {
        End::Interrupted(exit) => exit,
        End::Finished => outcome(&grid)?,
    };
    if arguments.json {
        print_json(&summary_json(&grid, &table))?;
    } else {
        print(&summary(&grid, &table))?;
    }
    if !matches!(exit, Exit::Done | Exit::RunsFailed) {
        say(&format!("not all runs have ended; to go on with the rest:\n{}", resuming()));
    }
    Ok(exit)
}

/// Returns this command as the user can type it to resume the unfinished runs.
fn resuming() -> String {
    let mut words = Vec::new();
    let mut given = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    while let Some(word) = given.next() {
        // Without `--rerun`: its runs are put aside already, and once is enough.
        if word == "--rerun" {
            given.next();
        } else if !word.starts_with("--rerun=") {
            words.push(word);
        }
    }
    // Only a zero byte cannot be quoted, and no argument of a program holds one.
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}

/// How the work of this call ended.
enum End {
    Finished,
    Interrupted(Exit),
}

/// Works on the unfinished runs, if there are any.
fn work(grid: &Grid, arguments: &Arguments, signals: &Signals) -> Result<End, Failure> {
    let mut outstanding = 0;
    let mut rungs = Rungs::new(&grid.folder, &grid.experiment, &grid.runs)?;
    for run in &grid.runs {
        let next = next(&grid.folder, &grid.experiment, &mut rungs, run)?;
        outstanding += usize::from(next != Next::Nothing);
    }
    if outstanding == 0 {
        say(&format!("nothing to do: all {} runs have ended", grid.runs.len()));
        return Ok(End::Finished);
    }
    let cores = provenance::cores();
    let jobs = arguments.jobs.map_or(cores, usize::from).min(outstanding).max(1);
    let threads = arguments.threads_per_run.map_or((cores / jobs).max(1), usize::from);
    let done = grid.runs.len() - outstanding;
    say(&format!(
        "{}: {outstanding} of {} runs to do, {jobs} at once, {threads} {} each",
        grid.experiment.name,
        grid.runs.len(),
        if threads == 1 { "thread" } else { "threads" },
    ));

    let mut events = arguments.events.as_deref().map(Events::create).transpose()?;
    let mut report = reporter(arguments.progress, &grid.runs, done, jobs);
    let pool = Pool {
        folder: &grid.folder,
        experiment: &grid.experiment,
        runs: &grid.runs,
        jobs,
        threads,
        idle: Idle::Waits,
        shared: grid.opened.shared(),
        signals,
        say,
    };
    signals.begin();
    let end = pool.run(&mut |event| {
        report.hear(event);
        if let (Some(event), Some(events)) = (event, &mut events) {
            events.write(event);
        }
    });
    report.finish();
    Ok(match (end?, signals.caught()) {
        (PoolEnd::Stopped, Some(exit)) => End::Interrupted(exit),
        _ => End::Finished,
    })
}

/// Adopts the results of done runs that differ only in the spelling of a data path, and says so.
pub fn adopt(folder: &Folder, experiment: &Experiment, runs: &[RunSpec]) -> Result<(), Failure> {
    let holder = || Holder { worker: 0, lease: experiment.run.lease() };
    let mut adopted = Vec::new();
    for one in folder.adoptable(runs)? {
        if folder.adopt(&one, holder())? {
            adopted.push(one);
        }
    }
    if let Some(first) = adopted.first() {
        let (run, done) = (&first.run.id, &first.done);
        say(&format!(
            "runs that are done under another spelling of the path to their data: {} (as {run}, which is {done}); \
             their results are adopted",
            adopted.len()
        ));
    }
    Ok(())
}

/// Warns of runs whose data has changed since they were made; leaves them as they are.
fn warn_of_stale(grid: &Grid) -> Result<(), Failure> {
    let known = grid.folder.survey(&grid.experiment, &grid.runs)?;
    let mut stale = known.iter().filter_map(|known| match known {
        RunCondition::Stale(what) => Some(what),
        _ => None,
    });
    if let Some(what) = stale.next() {
        let count = stale.count() + 1;
        say(&format!("warning: stale runs: {count} ({what}); `--rerun stale` runs them again"));
    }
    Ok(())
}

/// Checks every file of every run against its digest. Puts runs with damaged files aside, so that they run
/// again. Resumes killed runs and retries crashed evaluations.
fn look_through(grid: &Grid) -> Result<(), Failure> {
    let states: Result<Vec<RunState>, Failure> =
        grid.runs.par_iter().map(|run| grid.folder.state(&run.id, true)).collect();
    let experiment = &grid.experiment;
    let holder = Holder { worker: 0, lease: experiment.run.lease() };
    let mut otherwise = 0;
    for (run, state) in grid.runs.iter().zip(states?) {
        if let RunState::Ended(manifest) = &state
            && manifest.status == Status::Done
        {
            let every = Manifest::every_of(experiment, run);
            otherwise += usize::from(manifest.every.is_some_and(|then| then != every));
        }
        match state {
            RunState::Ended(manifest) if manifest.status == Status::Killed => {
                grid.folder.revive(&run.id)?;
            }
            RunState::Damaged(_) => {
                // A worker that is storing new measurements holds the run; when it has finished, the digests
                // match again.
                let mut leases = Leases::new(Process::this());
                let taken = grid.folder.take(&run.id, holder, &mut leases)?;
                let Taken::Mine(attempt) = taken else { continue };
                if let RunState::Damaged(what) = grid.folder.state(&run.id, true)? {
                    let kept = "it is kept in replaced/ and run again";
                    say(&format!("warning: run {}: {what}; {kept}", run.id));
                    grid.folder.put_aside(&run.id)?;
                }
                attempt.release(false)?;
            }
            RunState::Ended(manifest) if !manifest.to_measure(experiment, run).is_empty() => {
                measure_again(&grid.folder, &run.id, holder)?;
            }
            _ => {}
        }
    }
    if otherwise > 0 {
        say(&format!(
            "warning: runs that were trained with another `evaluate.every`: {otherwise}; their history keeps its \
             points, and `--rerun` trains them again"
        ));
    }
    Ok(())
}

/// Allows a done run to be measured again, even if measuring it has crashed too often.
pub fn measure_again(folder: &Folder, id: &RunId, holder: Holder) -> Result<(), Failure> {
    let mut leases = Leases::new(Process::this());
    if folder.holder(id)?.is_some()
        && let Taken::Mine(attempt) = folder.take(id, holder, &mut leases)?
    {
        attempt.remove();
    }
    Ok(())
}

/// Puts the results of the chosen runs aside, so that they run again.
fn put_aside(grid: &Grid, which: &str) -> Result<(), Failure> {
    let mut chosen: Vec<&RunId> = Vec::new();
    for (run, known) in grid.runs.iter().zip(grid.folder.survey(&grid.experiment, &grid.runs)?) {
        let wanted = match which {
            "all" => true,
            "failed" => known
                .status()
                .is_some_and(|status| !matches!(status, Status::Done | Status::Stopped)),
            "stale" => matches!(known, RunCondition::Stale(_)),
            id => run.id.0.starts_with(id),
        };
        if wanted {
            chosen.push(&run.id);
        }
    }
    let by_id = !matches!(which, "all" | "failed" | "stale");
    if by_id && chosen.len() != 1 {
        let message = format!("`--rerun {which}`: {} runs have an id that starts so", chosen.len());
        let help = "`failed`, `stale`, `all`, or the id of one run as `list` shows it";
        let problem = framework::diagnostics::Diagnostic::nowhere(message).help(help);
        return Err(Failure::Problems(vec![problem]));
    }
    // All or none: if a run is held, the command ends and puts nothing aside.
    let here = Process::this();
    for id in &chosen {
        let found = grid.folder.holder(id)?.filter(|found| found.is_void(&here) != Some(true));
        if let Some(found) = found {
            // Whole seconds are easy to read.
            let lease = Duration::from_secs(found.lease().as_secs_f64().ceil() as u64);
            let lease = humantime::format_duration(lease);
            let process = found.claim.map(|claim| claim.process);
            let who = process.map_or(String::new(), |process| {
                format!(" (process {} on {})", process.pid, process.host)
            });
            return Err(Failure::Busy(format!(
                "a live worker has run {id}{who}; it cannot be run again now\n\
                 if it does not renew its claim within {lease} it is gone, and `run` without `--rerun` goes on; \
                 where nobody works on it, remove the folder `{}`",
                grid.folder.path().join("work").join(&id.0).display()
            )));
        }
    }
    chosen.into_iter().try_for_each(|id| grid.folder.put_aside(id))
}

/// Returns the exit code for the statuses of all runs of the grid.
fn outcome(grid: &Grid) -> Result<Exit, Failure> {
    let mut exit = Exit::Done;
    for run in &grid.runs {
        match grid.folder.state(&run.id, false)? {
            RunState::Ended(manifest) if !manifest.to_measure(&grid.experiment, run).is_empty() => {
                return Ok(Exit::Outstanding);
            }
            RunState::Ended(manifest) if manifest.status == Status::Done => {}
            // A run that was stopped did badly, which is a result.
            RunState::Ended(manifest) if manifest.status == Status::Stopped => {}
            RunState::Ended(_) => exit = Exit::RunsFailed,
            RunState::Outstanding | RunState::Damaged(_) => return Ok(Exit::Outstanding),
        }
    }
    Ok(exit)
}
