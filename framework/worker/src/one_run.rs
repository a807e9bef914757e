//! One run, from its settings to its published result. Read from top to bottom:
//!
//! [`one_run`] takes the settings of a run (`RunSpec`), looks what is left to do, claims the run, does the
//! job (mostly [`train_and_measure`]), publishes the outcome, and tells the controller. The functions below
//! it stand in the order in which they are called.

use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Duration;

use framework::evaluate::Evaluator;
use framework::fit::Opened;
use framework::spec::{RunSpec, Rung};
use store::exit::Failure;
use store::{self, Attempt, Holder, Leases, Manifest, Published, Status, Taken, provenance};

use crate::context::Context;
use crate::evaluate::measure_stored;
use crate::next::{Job, Next, is_given_up, next};
use crate::outcome::{EndedEarly, Outcome, RunFiles, failed, unmeasured};
use crate::panics::catch_panic;
use crate::protocol::HeldRun;
use crate::rungs::{Rungs, Verdict};
use crate::search::search_run;
use crate::steered::missed;
use crate::supervisor::Supervisor;
use crate::task::Task;
use crate::training::Training;

/// Result of one visit of a worker to a run.
pub enum Visit {
    /// The run has ended: this worker did what was left.
    Ended,
    /// The run had ended before.
    NothingLeft,
    /// Another worker holds the run.
    Held {
        /// Run and its holder.
        by: HeldRun,
        /// True if the holder is known to be alive.
        is_alive: bool,
    },
    /// Another worker took the run over from this one.
    Lost,
    /// The run has reached a rung.
    Paused,
    /// The run waits at a rung for other runs.
    Waits,
    /// The worker was asked to stop; the run can resume later.
    Stopped,
}

/// Takes a run as far as this worker can take it now. If something goes wrong in the run itself, that is
/// its result; if it goes wrong while a stored model is measured, the run stays as it is.
///
/// # Errors
/// If the folder cannot be read, or results cannot be written.
pub fn one_run<'a>(
    context: &'a Context<'a>,
    supervisor: &Supervisor<'a>,
    run: &'a RunSpec,
    rungs: &mut Rungs<'_>,
    leases: &mut Leases,
    opened: &mut Opened,
) -> Result<Visit, Failure> {
    if let Break(visit) = look(context, run, rungs)? {
        return Ok(visit);
    }
    let attempt = match claim(context, run, leases)? {
        Continue(attempt) => attempt,
        Break(visit) => return Ok(visit),
    };
    let job = match look_again(context, run, rungs, &attempt)? {
        Continue(job) => job,
        Break(visit) => return Ok(visit),
    };
    let task = Task::new(context, run, attempt);
    task.tell_started();
    task.attempt.clear();
    if let Some(manifest) = task.attempt.finished()? {
        return publish_finished(&task, *manifest);
    }
    let ended = do_job(&task, &job, supervisor, opened);
    let visit = publish(&task, &job, ended);
    supervisor.forget();
    visit
}

/// Looks whether the run is worth a claim; ends the visit if not. Moves a run back that was stopped
/// earlier and is allowed again, so that it can resume.
fn look(
    context: &Context<'_>,
    run: &RunSpec,
    rungs: &mut Rungs<'_>,
) -> Result<ControlFlow<Visit>, Failure> {
    let (folder, experiment) = (context.folder, context.experiment);
    // Many runs may wait at a rung: for them, the disk is not read.
    if let Verdict::Wait(..) = rungs.known_verdict(&run.id) {
        return Ok(Break(Visit::Waits));
    }
    if let Some(gone) = folder.gone() {
        return Err(gone);
    }
    match next(folder, experiment, rungs, run)? {
        Next::Nothing => return Ok(Break(Visit::NothingLeft)),
        Next::Wait => return Ok(Break(Visit::Waits)),
        Next::Revive => folder.revive(&run.id)?,
        Next::Do(job) => {
            let found = folder.holder(&run.id)?;
            if found.is_some_and(|found| is_given_up(&job, &found, experiment.run.retries)) {
                return Ok(Break(Visit::NothingLeft));
            }
        }
    }
    Ok(Continue(()))
}

/// Claims a run; ends the visit if another worker holds it.
fn claim(
    context: &Context<'_>,
    run: &RunSpec,
    leases: &mut Leases,
) -> Result<ControlFlow<Visit, Attempt>, Failure> {
    let holder = Holder { worker: context.worker.number, lease: context.experiment.run.lease() };
    Ok(match context.folder.take(&run.id, holder, leases)? {
        Taken::Mine(attempt) => Continue(attempt),
        Taken::Held(found) => {
            let by = HeldRun::of(&run.id, &found);
            Break(Visit::Held { by, is_alive: leases.is_kept(&run.id, &found) })
        }
    })
}

/// Looks again what is left to do: another worker may have finished the run between the first look and
/// the claim. Gives the claim back and ends the visit if nothing is left.
fn look_again(
    context: &Context<'_>,
    run: &RunSpec,
    rungs: &mut Rungs<'_>,
    attempt: &Attempt,
) -> Result<ControlFlow<Visit, Job>, Failure> {
    Ok(match next(context.folder, context.experiment, rungs, run)? {
        Next::Do(job) => Continue(job),
        Next::Nothing => {
            attempt.remove();
            Break(Visit::NothingLeft)
        }
        Next::Wait => {
            attempt.release(false)?;
            Break(Visit::Waits)
        }
        // It was stopped just now: another attempt has its checkpoint.
        Next::Revive => {
            attempt.remove();
            Break(Visit::Lost)
        }
    })
}

/// Publishes the results that an earlier attempt finished and could not publish.
fn publish_finished(task: &Task<'_>, manifest: Manifest) -> Result<Visit, Failure> {
    let published = task.attempt.publish_finished()?;
    if published == Published::Yes {
        task.tell_finished(manifest.status, manifest.reason, &[]);
    }
    Ok(visit_of(published))
}

/// Does a job while the supervisor watches it. A panic fails the run.
fn do_job<'a>(
    task: &Task<'a>,
    job: &Job,
    supervisor: &Supervisor<'a>,
    opened: &mut Opened,
) -> Result<Outcome, EndedEarly> {
    provenance::reset_peak_memory();
    supervisor.watch(task.watched(deadline(task.context, job, supervisor)));
    let ended = catch_panic(|| match job {
        Job::Train(rung) => match task.run.searched() {
            Some(goal) => search_run(task, &goal, supervisor, opened),
            None => train_and_measure(task, *rung, supervisor, opened),
        },
        Job::Evaluate(missing) => measure_stored(task, missing, opened),
        Job::Stop(stop) => Ok(task.stopped(stop)?),
    });
    // The run cannot take too long any more. Its lease is renewed until it is stored, however slow the
    // disk is.
    supervisor.stop_the_clock();
    if let Some(output) = task.context.worker.output {
        output.restore();
    }
    ended.unwrap_or_else(|panic| Err(failed(format!("it panicked: {panic}"))))
}

/// Time at which a training has to be over, on the supervisor's clock.
fn deadline(context: &Context<'_>, job: &Job, supervisor: &Supervisor<'_>) -> Option<Duration> {
    match job {
        // A limit that is too long for the clock is no limit.
        Job::Train(_) => {
            context.experiment.run.timeout.and_then(|limit| supervisor.clock().checked_add(limit.0))
        }
        Job::Evaluate(_) | Job::Stop(_) => None,
    }
}

/// Trains a run to a rung or to its end, measures its model there, and makes the tables.
fn train_and_measure(
    task: &Task<'_>,
    rung: Option<Rung>,
    supervisor: &Supervisor<'_>,
    opened: &mut Opened,
) -> Result<Outcome, EndedEarly> {
    let experiment = task.context.experiment;
    // Look at the files before they are opened: what changes later is not what the run is made from.
    let identity = store::data_identity(&task.context.data_files(task.run));
    let (data, facts) = opened.get_with_facts(&task.run.dataset).map_err(failed)?;
    let training = Training {
        task,
        supervisor,
        rung,
        data: &*data,
        facts: facts.clone(),
        identity: &identity,
    };
    let (trained, _) = training.train(task.run, &experiment.evaluate, None, false)?;
    let Some(goal) = task.run.controlled() else { return task.trained(&trained, None) };
    let mut evaluator = Evaluator::new(&*data, experiment.evaluate.batch).knowing(facts);
    let value = evaluator.reached(&trained.model, goal.quantity).map_err(unmeasured)?;
    task.trained(&trained, missed(&goal, value, &trained.steered))
}

/// Publishes the outcome of a job and tells the controller; releases the run if there is no outcome yet.
fn publish(
    task: &Task<'_>,
    job: &Job,
    ended: Result<Outcome, EndedEarly>,
) -> Result<Visit, Failure> {
    let outcome = match ended {
        Ok(outcome) => outcome,
        Err(EndedEarly::Unfinished(status, reason)) => unfinished(task, job, status, reason)?,
        Err(EndedEarly::NotWritten(failure)) => return Err(failure),
        Err(EndedEarly::Lost) => return Ok(Visit::Lost),
        Err(EndedEarly::StopAsked) => {
            task.attempt.release(false)?;
            return Ok(Visit::Stopped);
        }
        Err(EndedEarly::Paused(step)) => {
            task.attempt.release(false)?;
            task.tell_paused(step);
            return Ok(Visit::Paused);
        }
    };
    Ok(visit_of(task.publish(outcome)?))
}

/// Makes the outcome of a job that ended early through something in the run.
fn unfinished(
    task: &Task<'_>,
    job: &Job,
    status: Status,
    reason: String,
) -> Result<Outcome, Failure> {
    let outcome = task.unfinished(status, reason)?;
    let Job::Evaluate(missing) = job else { return Ok(outcome) };
    // The model and what was measured before stay; these evaluations are still missing.
    let unmeasured = |reason| format!("{} could not be measured: {reason}", missing.join(", "));
    Ok(Outcome { reason: outcome.reason.map(unmeasured), files: RunFiles::Same, ..outcome })
}

fn visit_of(published: Published) -> Visit {
    match published {
        Published::Yes => Visit::Ended,
        Published::Lost => Visit::Lost,
    }
}
