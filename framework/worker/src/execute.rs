//! One run in a worker: train or measure, and store whatever came of it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use framework::evaluate::Unmeasured;
use framework::fit::Opened;
use framework::spec::{Experiment, RunSpec};
use store::exit::Failure;
use store::provenance;
use store::{self, Attempt, DataFiles, Folder, Manifest, Published, Status, Unread};

use super::outcome::{Outcome, RunFiles, Task};
use super::panics::guarded;
use super::protocol::HeldRun;
use super::supervisor::{Supervisor, Watched};
use super::training::not_finite;
use super::{Event, Job, Worker, evaluate, search, training};

/// What runs are executed in.
pub struct Context<'a> {
    /// Where results go.
    pub folder: &'a Folder,
    /// The experiment of the runs.
    pub experiment: &'a Experiment,
    /// Who works.
    pub worker: &'a Worker<'a>,
    /// Files of each dataset as they were when this worker opened it, by its canonical settings.
    pub seen: Mutex<BTreeMap<String, DataFiles>>,
}

impl Context<'_> {
    /// The files that a run's data was read from. They are looked at before the data is opened, once for
    /// all runs that share it: what changes on the disk later is not what the runs are made from.
    pub fn data(&self, run: &RunSpec) -> DataFiles {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(files) = seen.get(&run.dataset.canonical) {
            return files.clone();
        }
        // Data that cannot be read fails the run, which then says so.
        let Ok(files) = store::data_files_of(run) else { return DataFiles::new() };
        seen.insert(run.dataset.canonical.clone(), files.clone());
        files
    }
}

/// What came of a run that was to be done.
pub enum Did {
    /// It has ended.
    Ended,
    /// There was nothing to do: it had ended.
    Over,
    /// Somebody else works on it; whether he is known to.
    Held(HeldRun, bool),
    /// Somebody else took it over from this worker.
    Lost,
    /// It has come to a rung.
    Paused,
    /// It has to wait for others.
    Waits,
    /// The worker was asked to stop; the run can be gone on with.
    Stopped,
}

/// Does what is left to do for a run and stores it. Whatever goes wrong in the run itself is its
/// result; what goes wrong when a stored model is measured leaves the run as it is.
///
/// # Errors
/// If results cannot be written.
pub fn execute<'a>(
    context: &'a Context<'a>,
    supervisor: &Supervisor<'a>,
    run: &'a RunSpec,
    job: &Job,
    attempt: Attempt,
    opened: &mut Opened,
) -> Result<Did, Failure> {
    let worker = context.worker;
    let task = Task { context, run, attempt, clock: Clock::start() };
    let (id, attempt) = (run.id.clone(), task.attempt.number());
    (worker.say)(&Event::Started { worker: worker.number, run: id, attempt });
    task.attempt.clear();
    if let Some(manifest) = task.attempt.finished()? {
        // An earlier attempt came to its end and no further.
        let Manifest { status, reason, .. } = *manifest;
        let published = task.attempt.publish_finished()?;
        let outcome = Outcome { status, reason, metrics: Vec::new(), files: RunFiles::Same };
        return Ok(task.tell(&outcome, published));
    }
    provenance::reset_peak_memory();
    let deadline = match job {
        // A limit beyond what a clock counts is none.
        Job::Train(_) => {
            context.experiment.run.timeout.and_then(|limit| supervisor.clock().checked_add(limit.0))
        }
        Job::Evaluate(_) | Job::Stop(_) => None,
    };
    supervisor.watch(task.watched(deadline));
    let ended = guarded(|| match job {
        Job::Train(rung) => match run.goal() {
            Some(goal) => search::search_run(&task, &goal, supervisor, opened),
            None => training::train_run(&task, supervisor, *rung, opened),
        },
        Job::Evaluate(missing) => evaluate::evaluate(&task, missing, opened),
        Job::Stop(out) => Ok(task.stopped(out)?),
    });
    // From here on the run cannot be found to take too long. While it is stored it is still this
    // worker's, however slow the disk.
    supervisor.stop_the_clock();
    if let Some(output) = worker.output {
        output.restore();
    }
    let did = task.conclude(job, ended);
    supervisor.forget();
    did
}

impl<'a> Task<'a> {
    /// Stores what came of the run: an outcome, a reason why there is none, or what a panic said.
    fn conclude(
        &self,
        job: &Job,
        ended: Result<Result<Outcome, NoOutcome>, String>,
    ) -> Result<Did, Failure> {
        let mut outcome = match ended {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(NoOutcome::Run(status, reason))) => self.unfinished(status, reason)?,
            Err(panic) => self.unfinished(Status::Failed, format!("it panicked: {panic}"))?,
            Ok(Err(NoOutcome::Store(failure))) => return Err(failure),
            Ok(Err(NoOutcome::Lost)) => return Ok(Did::Lost),
            Ok(Err(NoOutcome::Asked)) => {
                self.attempt.release(false)?;
                return Ok(Did::Stopped);
            }
            Ok(Err(NoOutcome::Paused(step))) => {
                self.attempt.release(false)?;
                let (worker, run) = (self.context.worker, self.run.id.clone());
                (worker.say)(&Event::Paused { worker: worker.number, run, step });
                return Ok(Did::Paused);
            }
        };
        if let (Job::Evaluate(missing), RunFiles::All(..), Some(reason)) =
            (job, &outcome.files, &outcome.reason)
        {
            // The model and what was measured before stay; these evaluations are still missing.
            let missing = missing.join(", ");
            outcome.reason = Some(format!("{missing} could not be measured: {reason}"));
            outcome.files = RunFiles::Same;
        }
        let published = self.store(std::mem::replace(&mut outcome.files, RunFiles::Same))?;
        Ok(self.tell(&outcome, published))
    }

    /// What a supervisor has to know of the run.
    fn watched(&self, deadline: Option<Duration>) -> Watched<'a> {
        let task = self.clone();
        let overdue = move || {
            let outcome = task.unfinished(Status::Timeout, task.too_long(None));
            // What cannot be stored is found out by whoever takes the run next.
            if let Ok(mut outcome) = outcome
                && let Ok(published) =
                    task.store(std::mem::replace(&mut outcome.files, RunFiles::Same))
            {
                task.tell(&outcome, published);
            }
        };
        let output = self.context.worker.output;
        Watched {
            attempt: self.attempt.clone(),
            lease: self.context.experiment.run.lease(),
            log: output.map(|output| output.log_to(&self.attempt)),
            deadline,
            overdue: Box::new(overdue),
        }
    }

    /// Why a run ended that took too long, after so many steps as far as they are known.
    pub fn too_long(&self, steps: Option<usize>) -> String {
        let limit = self.context.experiment.run.timeout.map(|timeout| timeout.0);
        let limit = humantime::format_duration(limit.unwrap_or_default());
        let steps = steps
            .map_or("it did not answer".to_owned(), |steps| format!("{steps} steps were done"));
        format!("it took longer than {limit}; {steps}")
    }

    /// Says that something was wrong with the run's files.
    pub fn warn(&self, message: String) {
        let (worker, run) = (self.context.worker, self.run.id.clone());
        (worker.say)(&Event::Warning { worker: worker.number, run, message });
    }

    /// Says what came of the run.
    fn tell(&self, outcome: &Outcome, published: Published) -> Did {
        if published == Published::Lost {
            return Did::Lost;
        }
        let value = |name: &str| outcome.metrics.iter().find(|metric| metric.name == name)?.value;
        let worker = self.context.worker;
        (worker.say)(&Event::Finished {
            worker: worker.number,
            run: self.run.id.clone(),
            status: outcome.status,
            reason: outcome.reason.clone(),
            test_mse: value("test_mse"),
            test_l0: value("test_l0"),
            seconds: self.clock.instant.elapsed().as_secs_f64(),
        });
        Did::Ended
    }
}

/// When an attempt started.
#[derive(Clone)]
pub struct Clock {
    /// UTC.
    pub started: String,
    /// The same for measuring.
    pub instant: Instant,
}

impl Clock {
    /// Now.
    pub fn start() -> Self {
        Self { started: provenance::now(), instant: Instant::now() }
    }
}

/// Why a run has no outcome that can be stored.
pub enum NoOutcome {
    /// Something in the run: that is its outcome.
    Run(Status, String),
    /// Results cannot be written: nothing can go on.
    Store(Failure),
    /// Somebody else took it over.
    Lost,
    /// The worker was asked to stop.
    Asked,
    /// It has come to a rung, after so many steps.
    Paused(usize),
}

impl From<Failure> for NoOutcome {
    fn from(failure: Failure) -> Self {
        Self::Store(failure)
    }
}

impl From<Unread> for NoOutcome {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Damaged(what) => failed(what),
            Unread::Failed(failure) => Self::Store(failure),
        }
    }
}

/// A run whose model cannot be measured.
pub fn unmeasured(why: Unmeasured) -> NoOutcome {
    match why {
        Unmeasured::Unread(message) => failed(message),
        Unmeasured::NotFinite(metric) => {
            NoOutcome::Run(Status::Diverged, not_finite(&metric, None))
        }
    }
}

/// A run that cannot go on.
pub fn failed(reason: impl ToString) -> NoOutcome {
    NoOutcome::Run(Status::Failed, reason.to_string())
}
