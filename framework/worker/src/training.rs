//! Training a run in a worker: from its last checkpoint, with new ones on the way, until it ends or
//! has to.

use std::time::{Duration, Instant};

use framework::fit::Opened;
use framework::plugin::{Data, Split};
use framework::spec::{Evaluate, RunSpec, Rung};
use framework::train::{Checkpoint, Ended, Progress, Trained, Watch, Wish, train};
use store::exit::Failure;
use store::{self, Note, Record, Status};

use super::Event;
use super::execute::{NoOutcome, failed};
use super::outcome::{Outcome, Task};
use super::supervisor::Supervisor;

/// At most so many progress events a second leave a worker.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// How far apart notes of the progress are, for those who look into the folder.
const NOTED_EVERY: Duration = Duration::from_secs(3);

/// Trains and measures the run of a task, to a rung or to its end.
pub fn train_run(
    task: &Task<'_>,
    supervisor: &Supervisor<'_>,
    rung: Option<Rung>,
    opened: &mut Opened,
) -> Result<Outcome, NoOutcome> {
    let identity = store::data_identity(&task.context.data(task.run));
    let data = opened.get(&task.run.dataset).map_err(failed)?;
    let training = Training { task, supervisor, rung, data: &*data, identity: &identity };
    let (trained, _) = training.train(task.run, &task.context.experiment.evaluate, None, false)?;
    task.done(&trained)
}

/// What the trainings of a task have in common.
pub struct Training<'a, 's> {
    /// The task.
    pub task: &'a Task<'a>,
    /// Who watches over it.
    pub supervisor: &'a Supervisor<'s>,
    /// Where it is to pause.
    pub rung: Option<Rung>,
    /// The data.
    pub data: &'a dyn Data,
    /// Its identity.
    pub identity: &'a str,
}

impl Training<'_, '_> {
    /// Trains and measures `run`, which is that of the task or a trial of it: from its last checkpoint,
    /// or else from `start`, or else from the beginning. Returns a checkpoint of its end too, if
    /// `keeps_end`.
    pub fn train<'r>(
        &self,
        run: &'r RunSpec,
        evaluate: &Evaluate,
        start: Option<Vec<u8>>,
        keeps_end: bool,
    ) -> Result<(Box<Trained<'r>>, Option<Vec<u8>>), NoOutcome> {
        let Self { task, supervisor, rung, data, identity } = *self;
        loop {
            let resumed = task.attempt.checkpoint(identity)?;
            resumed.warnings.into_iter().for_each(|message| task.warn(message));
            let (step, mut checkpoint) = (resumed.step, resumed.checkpoint);
            if run.id != task.run.id && !is_of(checkpoint.as_deref(), run) {
                // What is there is of the trial before.
                task.attempt.remove_checkpoints();
                checkpoint = None;
            }
            if let Some(rung) = rung {
                let at = rung.step(run.train.value.steps(data.rows(Split::Train)));
                if step > at {
                    // It came so far before runs were compared.
                    let record = Record::missed(run, at, task.context.data(task.run));
                    task.context.folder.keep_record(rung.share, &record)?;
                    return Err(NoOutcome::Paused(step));
                }
            }
            let mut watcher = Watcher {
                task,
                supervisor,
                rung,
                data: identity,
                every: task.context.experiment.run.checkpoint(),
                kept: supervisor.clock(),
                said: None,
                noted: Instant::now(),
                over: None,
                keeps_end,
                end: None,
            };
            let from = checkpoint.or_else(|| start.clone());
            return match train(run, data, evaluate, from, &mut watcher) {
                Ended::Done(trained) => Ok((trained, watcher.end.and_then(|(_, bytes)| bytes))),
                Ended::Diverged { step, last_loss } => {
                    let last = last_loss.map_or("no step before was finite".to_owned(), |loss| {
                        format!("the last finite loss was {}", readable(loss))
                    });
                    let reason =
                        format!("the loss was no finite number any more at step {step}; {last}");
                    Err(NoOutcome::Run(Status::Diverged, reason))
                }
                Ended::NotFinite { step, metric } => {
                    Err(NoOutcome::Run(Status::Diverged, not_finite(&metric, Some(step))))
                }
                Ended::Failed(message) => Err(failed(message)),
                Ended::Stopped { .. } => Err(NoOutcome::Asked),
                Ended::Paused { step, metrics } => {
                    let share = rung.map_or(1.0, |rung| rung.share);
                    let files = task.context.data(task.run);
                    let record = Record::new(run, step, &metrics, files);
                    task.context.folder.keep_record(share, &record)?;
                    Err(NoOutcome::Paused(step))
                }
                Ended::Abandoned { step } | Ended::NotKept { step, .. } => {
                    Err(match watcher.over {
                        Some(Over::Time) => {
                            NoOutcome::Run(Status::Timeout, task.too_long(Some(step)))
                        }
                        Some(Over::Failure(failure)) if !task.attempt.is_lost() => {
                            NoOutcome::Store(failure)
                        }
                        _ => NoOutcome::Lost,
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

/// Why a run has diverged whose model overflows when it is measured.
pub fn not_finite(metric: &str, step: Option<usize>) -> String {
    let step = step.map_or(String::new(), |step| format!(" after step {step}"));
    format!("{metric} is no finite number{step}: what the model makes of the data is not")
}

/// Whether these are the bytes of a checkpoint of the run.
fn is_of(checkpoint: Option<&[u8]>, run: &RunSpec) -> bool {
    let read = checkpoint.and_then(|bytes| Checkpoint::read(bytes).ok());
    read.is_some_and(|checkpoint| checkpoint.is_of(&run.id))
}

/// A loss in few digits.
pub fn readable(loss: f64) -> String {
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
    /// Where it is to pause.
    rung: Option<Rung>,
    /// The identity of the data.
    data: &'a str,
    /// How far apart checkpoints are.
    every: Duration,
    /// When there was the last one, on the supervisor's clock.
    kept: Duration,
    /// When something was said last.
    said: Option<Instant>,
    /// When a note was left last, or training began.
    noted: Instant,
    over: Option<Over>,
    /// Whether the last state is wanted.
    keeps_end: bool,
    /// The last step, once it is done, and the state after it.
    end: Option<(usize, Option<Vec<u8>>)>,
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
        if self.noted.elapsed() >= NOTED_EVERY {
            self.noted = Instant::now();
            self.task.attempt.note(&Note { step, steps, loss, l0 });
        }
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
            self.over = Some(Over::Failure(failure));
            message
        })
    }
}
