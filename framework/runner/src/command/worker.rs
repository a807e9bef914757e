//! `worker`: works on an experiment folder without its experiment file, beside whoever else does, and ends
//! when nothing is left to claim. This is what a cluster starts many of.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use framework::shared::Shared;
use framework::spec::{Experiment, Opened, RunSpec, open_data};

use super::events::Events;
use crate::exit::{Exit, Failure};
use crate::interrupt::Signals;
use crate::progress::{Style, reporter, say};
use crate::provenance;
use crate::store::{Folder, Status};
use crate::worker::{Event, Idle, Pool, PoolEnd, outstanding};

#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 nothing is left to claim, also where live workers still have runs; 100 a run that this worker \
had failed, diverged or timed out; 129, 130, 138 and 143 interrupted by a signal: what ran is kept and given \
back, and another worker resumes it.")]
pub struct Arguments {
    /// The experiment folder, as in results/kl_sweep
    folder: PathBuf,
    /// Runs at once; by default as many as there are processors (in a Slurm job: those of the job) and runs
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Threads a run; by default the processors divided by the runs at once
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// How progress is shown
    #[arg(long, value_enum, default_value_t)]
    progress: Style,
    /// Write what happens to FILE, one JSON object a line
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
}

pub fn worker(arguments: &Arguments) -> Result<Exit, Failure> {
    let signals = Signals::catch_patiently();
    let folder = Folder::at(&arguments.folder);
    let experiment = folder.experiment()?;
    let runs = experiment.runs()?;
    let left = outstanding(&folder, &experiment, &runs)?;
    if left == 0 {
        say(&format!("nothing to do: all {} runs have ended", runs.len()));
        return Ok(Exit::Done);
    }
    let processors = processors(|name| std::env::var(name).ok());
    let jobs = arguments.jobs.map_or(processors, usize::from).min(left).max(1);
    let threads = arguments.threads.map_or((processors / jobs).max(1), usize::from);
    // Several processes have data in memory once; a single one opens its own.
    let opened = if jobs > 1 { Some(open_data(&runs)?) } else { None };
    let none = Shared::default();
    let pool = Pool {
        folder: &folder,
        experiment: &experiment,
        runs: &runs,
        jobs,
        threads,
        idle: Idle::Ends,
        shared: opened.as_ref().map_or(&none, Opened::shared),
        signals: &signals,
    };
    let (did, end) = work(&pool, left, arguments)?;
    if let (PoolEnd::Stopped, Some(exit)) = (end?, signals.caught()) {
        return Ok(exit);
    }
    if did.ended > 0 {
        make_tables(&folder, &experiment, &runs)?;
    }
    Ok(if did.failed > 0 { Exit::RunsFailed } else { Exit::Done })
}

/// What this worker came to.
#[derive(Default)]
struct Did {
    /// How many runs have ended in it.
    ended: usize,
    /// How many of them came to no result.
    failed: usize,
}

impl Did {
    fn hear(&mut self, event: &Event) {
        if let Event::Finished { status, .. } = event {
            self.ended += 1;
            self.failed += usize::from(!matches!(status, Status::Done | Status::Stopped));
        }
    }
}

fn work(
    pool: &Pool<'_>,
    left: usize,
    arguments: &Arguments,
) -> Result<(Did, Result<PoolEnd, Failure>), Failure> {
    let Pool { experiment, runs, jobs, threads, .. } = pool;
    let (name, all) = (&experiment.name, runs.len());
    let each = if *threads == 1 { "thread" } else { "threads" };
    say(&format!(
        "{name}: {left} of {all} runs have not ended; {jobs} at once, {threads} {each} each"
    ));
    let mut events = arguments.events.as_deref().map(Events::create).transpose()?;
    let mut report = reporter(arguments.progress, runs, all - left, *jobs);
    let mut did = Did::default();
    let end = pool.run(&mut |event| {
        report.hear(event);
        if let Some(event) = event {
            did.hear(event);
            events.iter_mut().for_each(|events| events.write(event));
        }
    });
    report.finish();
    say(&format!("{} runs have ended in this worker, {} of them failed", did.ended, did.failed));
    Ok((did, end))
}

/// The last worker leaves the tables as they are to be.
fn make_tables(folder: &Folder, experiment: &Experiment, runs: &[RunSpec]) -> Result<(), Failure> {
    if outstanding(folder, experiment, runs)? == 0 {
        let (_, warnings) = folder.compact(runs)?;
        warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
    }
    Ok(())
}

/// How many processors are this worker's: in a Slurm job those of the job, on a machine that it may share
/// with others.
fn processors(variable: impl Fn(&str) -> Option<String>) -> usize {
    let number = |name: &str| variable(name)?.parse().ok().filter(|number| *number > 0);
    number("SLURM_CPUS_PER_TASK")
        .or_else(|| number("SLURM_CPUS_ON_NODE"))
        .unwrap_or_else(provenance::cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if a worker took the processors of others on its node.
    #[test]
    fn a_worker_in_a_slurm_job_has_the_processors_of_the_job() {
        let of = |known: &[(&str, &str)]| {
            processors(|name| known.iter().find(|one| one.0 == name).map(|one| one.1.to_owned()))
        };
        let (task, node) = (("SLURM_CPUS_PER_TASK", "3"), ("SLURM_CPUS_ON_NODE", "8"));
        assert_eq!((of(&[task, node]), of(&[node])), (3, 8));
        assert_eq!(of(&[]), provenance::cores());
        assert_eq!(of(&[("SLURM_CPUS_PER_TASK", "x")]), provenance::cores());
    }
}
