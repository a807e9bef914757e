//! Settles the run of a worker that ended in the middle of it.

use std::process::ExitStatus;

use framework::spec::RunSpec;
use store::exit::Failure;
use store::process::Process;
use store::{Attempt, FoundClaim, Holder, Leases, Published, Status, Taken};

use super::Pool;
use super::ends::{classify, memory_kills};
use super::process::{WorkerProcess, cannot_run};
use crate::context::{Context, Worker};
use crate::log::Log;
use crate::next::{Job, Next, is_given_up, next};
use crate::protocol::Event;
use crate::rungs::Rungs;
use crate::stop::StopRequest;
use crate::task::Task;

/// How a worker process ended.
pub enum Settled {
    /// It ended as it should.
    Ended,
    /// It was lost; the pool may need another one.
    Lost,
    /// It was lost before it took a run.
    TookNoRun(ExitStatus),
}

impl Pool<'_> {
    /// Settles a worker that has ended. If it ended in the middle of a run, the run is released for a
    /// retry, or stored as ended if it has no retry left.
    ///
    /// # Errors
    /// If the folder cannot be read or written to.
    pub fn settle(
        &self,
        worker: &mut WorkerProcess,
        hear: &mut dyn FnMut(Option<&Event>),
    ) -> Result<Settled, Failure> {
        let running = worker.running.take();
        let run = running.and_then(|id| self.runs.iter().find(|run| run.id == id));
        let taken = run.map(|run| self.take_from(worker, run)).transpose()?.flatten();
        // Until this call returns, other workers leave the run alone.
        let status = worker.child.wait().map_err(|error| cannot_run(&error))?;
        match (run, taken) {
            (Some(run), Some(attempt)) => self.settle_run(worker, status, run, attempt, hear)?,
            (Some(_), None) => {}
            (None, _) if status.success() => return Ok(Settled::Ended),
            (None, _) if worker.started => {}
            (None, _) => return Ok(Settled::TookNoRun(status)),
        }
        Ok(Settled::Lost)
    }

    /// Takes the run of a worker that has ended. Returns `None` if the worker did not hold it any more: it
    /// had released the run because it was asked to stop, or was taken for dead before.
    fn take_from(&self, worker: &WorkerProcess, run: &RunSpec) -> Result<Option<Attempt>, Failure> {
        let found = self.folder.holder(&run.id)?;
        if found.is_some_and(|found| found.claim.is_some_and(|claim| claim.released)) {
            return Ok(None);
        }
        let holder = Holder { worker: worker.number, lease: self.experiment.run.lease() };
        let taken = self.folder.take(&run.id, holder, &mut Leases::new(Process::this()))?;
        Ok(match taken {
            Taken::Mine(attempt) => Some(attempt),
            Taken::Held(_) => None,
        })
    }

    /// Settles a run whose worker was lost: releases it for a retry, or stores it as ended.
    fn settle_run(
        &self,
        worker: &WorkerProcess,
        status: ExitStatus,
        run: &RunSpec,
        attempt: Attempt,
        hear: &mut dyn FnMut(Option<&Event>),
    ) -> Result<(), Failure> {
        let settings = &self.experiment.run;
        let killed_for_memory = memory_kills() > worker.memory_kills;
        let mut log = Log::of(&attempt);
        let (status, reason) = classify(status, &log.last_words(), killed_for_memory);
        log.cap();
        let mut rungs = Rungs::new(self.folder, self.experiment, self.runs)?;
        match next(self.folder, self.experiment, &mut rungs, run)? {
            Next::Nothing => {
                attempt.remove();
                return Ok(());
            }
            // The run had come as far as it goes.
            Next::Wait | Next::Revive | Next::Do(Job::Stop(_)) => return attempt.release(true),
            // Retry the run, unless memory ran out: it would run out again.
            Next::Do(_) if attempt.crashes() < settings.retries && status != Status::Oom => {
                return attempt.release(true);
            }
            Next::Do(Job::Evaluate(missing)) => {
                // Its results stay; it is left alone until the next command.
                attempt.release(true)?;
                let reason = format!("{} could not be measured: {reason}", missing.join(", "));
                self.tell(worker, run, status, Some(reason), hear);
                return Ok(());
            }
            Next::Do(Job::Train(_)) => {}
        }
        let silent = |_: &Event| {};
        let holding = Worker {
            number: worker.number,
            process: Process::this(),
            threads: self.threads,
            idle: self.idle,
            stop: StopRequest::default(),
            output: None,
            say: &silent,
        };
        let context = Context::new(self.folder, self.experiment, &holding);
        let task = Task::new(&context, run, attempt);
        let outcome = task.unfinished(status, reason)?;
        let (status, reason) = (outcome.status, outcome.reason.clone());
        if task.publish(outcome)? == Published::Yes {
            self.tell(worker, run, status, reason, hear);
        }
        Ok(())
    }

    /// Tells how a run ended, in place of its worker.
    fn tell(
        &self,
        worker: &WorkerProcess,
        run: &RunSpec,
        status: Status,
        reason: Option<String>,
        hear: &mut dyn FnMut(Option<&Event>),
    ) {
        hear(Some(&Event::Finished {
            worker: worker.number,
            run: run.id.clone(),
            status,
            reason,
            test_mse: None,
            test_l0: None,
            test_mean_activation: None,
            seconds: 0.0,
        }));
    }

    /// Returns true if a run needs work and no worker holds it.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn is_work_left(&self) -> Result<bool, Failure> {
        let here = Process::this();
        let mut rungs = Rungs::new(self.folder, self.experiment, self.runs)?;
        for run in self.runs {
            let job = match next(self.folder, self.experiment, &mut rungs, run)? {
                Next::Nothing | Next::Wait => continue,
                Next::Revive => return Ok(true),
                Next::Do(job) => job,
            };
            let holder = self.folder.holder(&run.id)?;
            let is_free = |found: &FoundClaim| {
                (found.is_void(&here) == Some(true) || found.is_being_taken())
                    && !is_given_up(&job, found, self.experiment.run.retries)
            };
            if holder.as_ref().is_none_or(is_free) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
