//! Training a run in a worker: from its last checkpoint, with new ones on the way, until it ends or
//! has to.

use std::time::{Duration, Instant};

use framework::spec::Opened;
use framework::train::{Ended, Progress, Watch, Wish, train};

use super::Event;
use super::execute::{Stop, failed};
use super::outcome::{Outcome, Task};
use super::supervisor::Supervisor;
use crate::exit::Failure;
use crate::store::{self, Status};

/// At most so many progress events a second leave a worker.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// Trains and measures the run of a task.
pub fn train_run(
    task: &Task<'_>,
    supervisor: &Supervisor<'_>,
    opened: &mut Opened,
) -> Result<Outcome, Stop> {
    let settings = &task.context.experiment.run;
    let evaluate = &task.context.experiment.evaluate;
    let data = opened.get(&task.run.dataset).map_err(failed)?;
    let identity = store::data_identity(task.run);
    loop {
        let resumed = task.attempt.checkpoint(&identity)?;
        resumed.warnings.into_iter().for_each(|message| task.warn(message));
        let step = resumed.step;
        let mut watcher = Watcher {
            task,
            supervisor,
            data: &identity,
            every: settings.checkpoint(),
            kept: supervisor.clock(),
            said: None,
            over: None,
        };
        return match train(task.run, &*data, evaluate, resumed.checkpoint, &mut watcher) {
            Ended::Done(trained) => task.done(&trained),
            Ended::Diverged { step, last_loss } => {
                let last = last_loss.map_or("no step before was finite".to_owned(), |loss| {
                    format!("the last finite loss was {}", readable(loss))
                });
                let reason =
                    format!("the loss was no finite number any more at step {step}; {last}");
                Err(Stop::Run(Status::Diverged, reason))
            }
            Ended::Failed(message) => Err(failed(message)),
            Ended::Stopped { .. } => Err(Stop::Asked),
            Ended::Abandoned { step } | Ended::NotKept { step, .. } => Err(match watcher.over {
                Some(Over::Time) => Stop::Run(Status::Timeout, task.too_long(Some(step))),
                Some(Over::Failure(failure)) if !task.attempt.is_lost() => Stop::Store(failure),
                _ => Stop::Lost,
            }),
            Ended::Refused(what) => {
                task.warn(format!("its checkpoint at step {step}: {what}"));
                task.attempt.put_checkpoint_aside(step)?;
                continue;
            }
        };
    }
}

/// A loss in few digits.
fn readable(loss: f64) -> String {
    if (1e-4..1e6).contains(&loss.abs()) { format!("{loss:.6}") } else { format!("{loss:.5e}") }
}

/// Why a run is to end before its end.
enum Over {
    /// Its time is over.
    Time,
    /// A checkpoint could not be kept.
    Failure(Failure),
}

/// Looks on while a run trains.
struct Watcher<'a, 's> {
    task: &'a Task<'a>,
    supervisor: &'a Supervisor<'s>,
    /// The identity of the data.
    data: &'a str,
    /// How far apart checkpoints are.
    every: Duration,
    /// When there was the last one, on the supervisor's clock.
    kept: Duration,
    /// When something was said last.
    said: Option<Instant>,
    over: Option<Over>,
}

impl Watcher<'_, '_> {
    fn say(&mut self, progress: &Progress) {
        if self.said.is_some_and(|said| said.elapsed() < PROGRESS_EVERY) {
            return;
        }
        self.said = Some(Instant::now());
        let Progress { step, steps, loss, l0, .. } = *progress;
        let worker = self.task.context.worker;
        let run = self.task.run.id.clone();
        (worker.say)(&Event::Progress { worker: worker.number, run, step, steps, loss, l0 });
    }
}

impl Watch for Watcher<'_, '_> {
    fn step(&mut self, progress: &Progress) -> Wish {
        if self.said.is_none() {
            self.supervisor.take_off(progress.earlier);
        }
        self.say(progress);
        if self.supervisor.is_lost() {
            return Wish::Abandon;
        }
        if self.supervisor.is_over() {
            self.over = Some(Over::Time);
            return Wish::Abandon;
        }
        if self.supervisor.stop().is_some() {
            return Wish::Stop;
        }
        let clock = self.supervisor.clock();
        if self.every.is_zero() || clock >= self.kept + self.every {
            self.kept = clock;
            return Wish::Checkpoint;
        }
        Wish::GoOn
    }

    fn keep(&mut self, step: usize, bytes: Vec<u8>) -> Result<(), String> {
        self.task.attempt.keep_checkpoint(step, self.data, &bytes).map_err(|failure| {
            let message = failure.to_string();
            self.over = Some(Over::Failure(failure));
            message
        })
    }
}
