//! `worker`: works on an experiment folder without its experiment file, beside other workers, and ends when
//! no run is left to claim. A cluster starts many of these.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use framework::fit::open_data;
use framework::spec::RunId;
use store::exit::{Exit, Failure};
use store::provenance;
use store::{Folder, Status};
use worker::signals::Signals;
use worker::{Event, Idle, Pool, PoolEnd, outstanding};

use super::events::Events;
use super::run::adopt;
use crate::progress::{Style, reporter, say};
use crate::slurm::OwnJob;

#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 nothing is left to claim, also where live workers still have runs; 5 with --requeue, no run got \
on before the time of the job was over; 100 a run that this worker had failed, diverged or timed out; 129, 130, 138 and 143 interrupted by a signal: what ran is kept and given \
back, and another worker resumes it.")]
pub struct Arguments {
    /// Experiment folder, such as results/kl_sweep
    folder: PathBuf,
    /// Number of runs at once; by default as many as there are processors (in a Slurm job: those of the job),
    /// or fewer if fewer runs are unfinished
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Threads per run; by default the processors divided by the runs at once
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Requeue this Slurm job when its time is nearly over (SIGUSR1) and work is left
    #[arg(long)]
    requeue: bool,
    /// How to show progress
    #[arg(long, value_enum, default_value_t)]
    progress: Style,
    /// Write events to FILE, one JSON object a line
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
}

pub fn worker(arguments: &Arguments) -> Result<Exit, Failure> {
    let signals = Signals::catch_patiently();
    let folder = Folder::at(&arguments.folder);
    let experiment = folder.experiment()?;
    folder.make_place_of_runs()?;
    let runs = experiment.runs()?;
    adopt(&folder, &experiment, &runs)?;
    let left = outstanding(&folder, &experiment, &runs)?.count;
    if left == 0 {
        say(&format!("nothing to do: all {} runs have ended", runs.len()));
        return Ok(Exit::Done);
    }
    let processors = processors(|name| std::env::var(name).ok());
    let jobs = arguments.jobs.map_or(processors, usize::from).min(left).max(1);
    let threads = arguments.threads.map_or((processors / jobs).max(1), usize::from);
    // The worker's processes share one copy of the data in memory. If data cannot be opened, no run is to
    // blame.
    let opened = open_data(&runs)?;
    let pool = Pool {
        folder: &folder,
        experiment: &experiment,
        runs: &runs,
        jobs,
        threads,
        idle: Idle::Ends,
        shared: opened.shared(),
        signals: &signals,
        say,
    };
    let mut did = JobSummary::new(&folder);
    let end = work(&pool, left, arguments, &mut did)?;
    let exit = match (end, signals.caught()) {
        (PoolEnd::Stopped, Some(exit)) => exit,
        _ if did.begun.is_empty() => return Ok(Exit::Done),
        _ => did.exit(),
    };
    let left = outstanding(&folder, &experiment, &runs)?.count;
    if left == 0 {
        // The last worker brings the tables up to date.
        let (_, warnings) = folder.compact(&runs)?;
        warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
        return Ok(did.exit());
    }
    if exit == Exit::Warned && arguments.requeue {
        return come_back(&folder, &did, &signals);
    }
    Ok(exit)
}

/// Requeues the job of this worker, so that a run that takes longer than the job can resume. Does not requeue
/// a job in which no run made progress, or a worker that was cancelled or asked to end.
fn come_back(folder: &Folder, did: &JobSummary<'_>, signals: &Signals) -> Result<Exit, Failure> {
    let Some(job) = OwnJob::of_this_process() else {
        say("this is no Slurm job; another worker goes on");
        return Ok(Exit::Warned);
    };
    if !did.has_moved()? {
        say(
            "no run got on in this job, and none would in another one as short: a run needs more time \
             from its start to its first checkpoint, or to be measured at its end; \
             submit again with more, as in --slurm time=4:00:00",
        );
        return Ok(Exit::Outstanding);
    }
    let (submissions, _) = folder.submissions()?;
    let is_cancelled = submissions.iter().any(|one| one.job == job.array && one.cancelled);
    let asked = signals.caught().unwrap_or(Exit::Warned);
    if is_cancelled || asked != Exit::Warned {
        say(if is_cancelled { "the job is cancelled" } else { "this worker was asked to end" });
        return Ok(asked);
    }
    match job.requeue() {
        Ok(()) => say(&format!("the time of this job is nearly over: job {job} is requeued")),
        Err(trouble) => say(&format!(
            "the time of this job is nearly over and it cannot be requeued; another worker goes on: {trouble}"
        )),
    }
    Ok(Exit::Warned)
}

/// Summary of what this worker did.
struct JobSummary<'a> {
    folder: &'a Folder,
    /// Number of runs that ended in it.
    ended: usize,
    /// Number of these runs without a result.
    failed: usize,
    /// Whether a run has paused at a step where it is compared with others.
    has_paused: bool,
    /// Last checkpoint of each run when it began here.
    begun: BTreeMap<RunId, Option<usize>>,
}

impl<'a> JobSummary<'a> {
    const fn new(folder: &'a Folder) -> Self {
        Self { folder, ended: 0, failed: 0, has_paused: false, begun: BTreeMap::new() }
    }

    fn hear(&mut self, event: &Event) {
        match event {
            Event::Started { run, .. } => {
                // A checkpoint that cannot be read now counts as missing.
                let checkpoint = self.checkpoint(run).unwrap_or(None);
                self.begun.entry(run.clone()).or_insert(checkpoint);
            }
            Event::Paused { .. } => self.has_paused = true,
            Event::Finished { status, .. } => {
                self.ended += 1;
                self.failed += usize::from(!matches!(status, Status::Done | Status::Stopped));
            }
            _ => {}
        }
    }

    /// Returns whether any run has made progress.
    fn has_moved(&self) -> Result<bool, Failure> {
        let mut has_moved = self.ended > 0 || self.has_paused;
        for (run, checkpoint) in &self.begun {
            has_moved |= self.checkpoint(run)? != *checkpoint;
        }
        Ok(has_moved)
    }

    fn checkpoint(&self, run: &RunId) -> Result<Option<usize>, Failure> {
        match self.folder.holder(run)? {
            Some(found) => self.folder.last_checkpoint(run, &found),
            None => Ok(None),
        }
    }

    fn exit(&self) -> Exit {
        if self.failed > 0 { Exit::RunsFailed } else { Exit::Done }
    }
}

fn work(
    pool: &Pool<'_>,
    left: usize,
    arguments: &Arguments,
    did: &mut JobSummary<'_>,
) -> Result<PoolEnd, Failure> {
    let Pool { experiment, runs, jobs, threads, .. } = pool;
    let (name, all) = (&experiment.name, runs.len());
    let each = if *threads == 1 { "thread" } else { "threads" };
    say(&format!(
        "{name}: {left} of {all} runs have not ended; {jobs} at once, {threads} {each} each"
    ));
    let mut events = arguments.events.as_deref().map(Events::create).transpose()?;
    let mut report = reporter(arguments.progress, runs, all - left, *jobs);
    pool.signals.begin();
    let end = pool.run(&mut |event| {
        report.hear(event);
        if let Some(event) = event {
            did.hear(event);
            events.iter_mut().for_each(|events| events.write(event));
        }
    });
    report.finish();
    say(&format!("{} runs have ended in this worker, {} of them failed", did.ended, did.failed));
    end
}

/// Returns the number of processors of this worker: in a Slurm job those of the job, which may share its
/// machine with others.
fn processors(variable: impl Fn(&str) -> Option<String>) -> usize {
    let number = |name: &str| variable(name)?.parse().ok().filter(|number| *number > 0);
    number("SLURM_CPUS_PER_TASK")
        .or_else(|| number("SLURM_CPUS_ON_NODE"))
        .unwrap_or_else(provenance::cores)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use store::process::Process;
    use store::{Holder, Leases, Taken};

    /// Wrong if a job too short for a run's first checkpoint were requeued for ever, or a job in which a run
    /// made progress were not requeued.
    #[test]
    fn a_job_in_which_nothing_got_on_does_not_come_back() {
        let place = tempfile::tempdir().unwrap();
        let (folder, run) = (Folder::at(place.path()), RunId("0123456789abcdef".into()));
        let mut leases = Leases::new(Process::this());
        let holder = Holder { worker: 0, lease: Duration::from_secs(60) };
        let Taken::Mine(attempt) = folder.take(&run, holder, &mut leases).unwrap() else {
            panic!("it is free");
        };
        let began = |run: &RunId| Event::Started { worker: 0, run: run.clone(), attempt: 1 };
        let mut first = JobSummary::new(&folder);
        assert!(!first.has_moved().unwrap(), "nothing was begun");
        first.hear(&began(&run));
        assert!(!first.has_moved().unwrap());
        attempt.keep_checkpoint(5, "data", b"state").unwrap();
        assert!(first.has_moved().unwrap());
        let mut second = JobSummary::new(&folder);
        second.hear(&began(&run));
        attempt.keep_checkpoint(5, "data", b"state").unwrap();
        assert!(!second.has_moved().unwrap(), "it is where it was");
        second.hear(&Event::Paused { worker: 0, run, step: 5 });
        assert!(second.has_moved().unwrap());
    }

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
