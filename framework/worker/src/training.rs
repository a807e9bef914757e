//! One training: from the last checkpoint, with new checkpoints on the way, until it ends or has to end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use framework::plugin::{Data, DataFacts, Split};
use framework::spec::{Evaluate, RunSpec, Rung};
use framework::train::{Checkpoint, Ended, Progress, Trained, Watch, Wish, train_knowing};
use store::exit::Failure;
use store::{self, Note, Record, Status};

use crate::outcome::{EndedEarly, failed};
use crate::protocol::Event;
use crate::supervisor::Supervisor;
use crate::task::Task;
use crate::words::{not_finite, readable};

/// Shortest time between two progress events of a worker.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// Shortest time between two notes of the progress, for commands that look into the folder.
const NOTE_EVERY: Duration = Duration::from_secs(3);

/// Settings that all trainings of a task share.
pub struct Training<'a, 's> {
    /// Run that is trained.
    pub task: &'a Task<'a>,
    /// Supervisor of the run.
    pub supervisor: &'a Supervisor<'s>,
    /// Rung at which the training pauses.
    pub rung: Option<Rung>,
    /// Data to train on.
    pub data: &'a dyn Data,
    /// What all runs on the data share.
    pub facts: Arc<DataFacts>,
    /// Identity of the data's files.
    pub identity: &'a str,
}

impl Training<'_, '_> {
    /// Trains and measures `run`, which is the run of the task or a trial of its search. Resumes the last
    /// checkpoint, or else starts from `start`, or else from the beginning. With `keeps_end` it also
    /// returns a checkpoint of the last step.
    pub fn train<'r>(
        &self,
        run: &'r RunSpec,
        evaluate: &Evaluate,
        start: Option<Vec<u8>>,
        keeps_end: bool,
    ) -> Result<(Box<Trained<'r>>, Option<Vec<u8>>), EndedEarly> {
        let Self { task, supervisor, rung, data, ref facts, identity } = *self;
        loop {
            let resumed = task.attempt.checkpoint(identity)?;
            resumed.warnings.into_iter().for_each(|message| task.warn(message));
            let (step, mut checkpoint) = (resumed.step, resumed.checkpoint);
            if run.id != task.run.id && !is_of(checkpoint.as_deref(), run) {
                // The checkpoint belongs to the trial before this one.
                task.attempt.remove_checkpoints();
                checkpoint = None;
            }
            if let Some(rung) = rung {
                let at = rung.step(run.train.value.steps(data.rows(Split::Train)));
                if step > at {
                    // It passed this step before runs were compared.
                    let record = Record::missed(run, at, task.context.data_files(task.run));
                    task.context.folder.keep_record(rung.share, &record)?;
                    return Err(EndedEarly::Paused(step));
                }
            }
            let mut watcher = Watcher {
                task,
                supervisor,
                rung,
                data: identity,
                every: task.context.experiment.run.checkpoint(),
                kept: supervisor.clock(),
                told: None,
                noted: Instant::now(),
                cut_short: None,
                keeps_end,
                end: None,
            };
            let from = checkpoint.or_else(|| start.clone());
            return match train_knowing(run, (data, facts.clone()), evaluate, from, &mut watcher) {
                Ended::Done(trained) => Ok((trained, watcher.end.and_then(|(_, bytes)| bytes))),
                Ended::Diverged { step, last_loss } => {
                    let last = last_loss.map_or("no step before was finite".to_owned(), |loss| {
                        format!("the last finite loss was {}", readable(loss))
                    });
                    let reason = match step {
                        0 => {
                            format!("the loss was no finite number any more in pretraining; {last}")
                        }
                        step => {
                            format!("the loss was no finite number any more at step {step}; {last}")
                        }
                    };
                    Err(EndedEarly::Unfinished(Status::Diverged, reason))
                }
                Ended::NotFinite { step, metric } => {
                    Err(EndedEarly::Unfinished(Status::Diverged, not_finite(&metric, Some(step))))
                }
                Ended::Failed(message) => Err(failed(message)),
                Ended::Stopped { .. } => Err(EndedEarly::StopAsked),
                Ended::Paused { step, metrics } => {
                    let share = rung.map_or(1.0, |rung| rung.share);
                    let files = task.context.data_files(task.run);
                    let record = Record::new(run, step, &metrics, files);
                    task.context.folder.keep_record(share, &record)?;
                    Err(EndedEarly::Paused(step))
                }
                Ended::Abandoned { step } | Ended::NotKept { step, .. } => {
                    Err(match watcher.cut_short {
                        Some(CutShort::OutOfTime) => {
                            EndedEarly::Unfinished(Status::Timeout, task.too_long(Some(step)))
                        }
                        Some(CutShort::NotKept(failure)) if !task.attempt.is_lost() => {
                            EndedEarly::NotWritten(failure)
                        }
                        _ => EndedEarly::Lost,
                    })
                }
                Ended::Refused(what) => {
                    task.warn(format!("its checkpoint at step {step}: {what}"));
                    task.attempt.put_checkpoint_aside(step)?;
                    continue;
                }
            };
        }
    }
}

/// Returns true if a checkpoint belongs to the run.
fn is_of(checkpoint: Option<&[u8]>, run: &RunSpec) -> bool {
    let read = checkpoint.and_then(|bytes| Checkpoint::read(bytes).ok());
    read.is_some_and(|checkpoint| checkpoint.is_of(&run.id))
}

/// Why a training is cut short.
enum CutShort {
    /// The time limit of the run is over.
    OutOfTime,
    /// A checkpoint could not be written.
    NotKept(Failure),
}

/// Follows a training: tells its progress, keeps checkpoints, and says when it has to end.
struct Watcher<'a, 's> {
    task: &'a Task<'a>,
    supervisor: &'a Supervisor<'s>,
    /// Rung at which the training pauses.
    rung: Option<Rung>,
    /// Identity of the data's files.
    data: &'a str,
    /// Time between two checkpoints.
    every: Duration,
    /// Time of the last checkpoint, on the supervisor's clock.
    kept: Duration,
    /// Time of the last progress event.
    told: Option<Instant>,
    /// Time of the last note, or of the start of the training.
    noted: Instant,
    cut_short: Option<CutShort>,
    /// True if the state after the last step is kept in memory.
    keeps_end: bool,
    /// The last step, once it is done, and the state after it.
    end: Option<(usize, Option<Vec<u8>>)>,
}

impl Watcher<'_, '_> {
    fn tell(&mut self, progress: &Progress, pretraining: bool) {
        if self.told.is_none() {
            self.supervisor.count_earlier(progress.earlier);
        }
        if self.told.is_some_and(|told| told.elapsed() < PROGRESS_EVERY) {
            return;
        }
        self.told = Some(Instant::now());
        let Progress { step, steps, loss, l0, .. } = *progress;
        let worker = self.task.context.worker;
        let run = self.task.run.id.clone();
        let number = worker.number;
        let event = Event::Progress { worker: number, run, step, steps, loss, l0, pretraining };
        (worker.say)(&event);
        if self.noted.elapsed() >= NOTE_EVERY {
            self.noted = Instant::now();
            self.task.attempt.note(&Note { step, steps, loss, l0, pretraining });
        }
    }

    /// Returns how the training has to end now, if it has to.
    fn end_now(&mut self) -> Option<Wish> {
        if self.supervisor.is_lost() {
            return Some(Wish::Abandon);
        }
        if self.supervisor.is_out_of_time() {
            self.cut_short = Some(CutShort::OutOfTime);
            return Some(Wish::Abandon);
        }
        self.supervisor.stop_asked().map(|_| Wish::Stop)
    }
}

impl Watch for Watcher<'_, '_> {
    fn step(&mut self, progress: &Progress) -> Wish {
        self.tell(progress, false);
        if let Some(end) = self.end_now() {
            return end;
        }
        if self.keeps_end && progress.step == progress.steps {
            self.end = Some((progress.step, None));
            return Wish::Checkpoint;
        }
        let clock = self.supervisor.clock();
        if self.every.is_zero() || clock >= self.kept + self.every {
            self.kept = clock;
            return Wish::Checkpoint;
        }
        Wish::GoOn
    }

    fn pretraining(&mut self, progress: &Progress) -> Wish {
        self.tell(progress, true);
        self.end_now().unwrap_or(Wish::GoOn)
    }

    fn pauses_at(&self, step: usize, steps: usize) -> bool {
        self.rung.is_some_and(|rung| rung.step(steps) == step)
    }

    fn keep(&mut self, step: usize, bytes: Vec<u8>) -> Result<(), String> {
        if let Some((last, end)) = &mut self.end
            && *last == step
        {
            *end = Some(bytes);
            return Ok(());
        }
        self.task.attempt.keep_checkpoint(step, self.data, &bytes).map_err(|failure| {
            let message = failure.to_string();
            self.cut_short = Some(CutShort::NotKept(failure));
            message
        })
    }
}
