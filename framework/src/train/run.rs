//! One run: from the first batch to the last measurement.

use std::sync::Arc;
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use super::course::LossSums;
use super::feed::{Feed, Gatherer};
use super::noise::Noise;
use super::pretrain::PretrainingRun;
use super::{
    Batches, Checkpoint, Course, HistoryRow, InitPlaces, L0Controller, LossMeans, Model,
    Normalizer, Progress, StoredModel, Trainer, Watch, Wish,
};
use crate::evaluate::{Evaluator, Unmeasured};
use crate::model::{Definition, Mode, Step, activity};
use crate::plugin::{Data, DataFacts, Measured, Metric, Split, When};
use crate::random::Streams;
use crate::spec::{BatchOrder, Evaluate, RunSpec, TrainLength};

/// A run that went to its end.
pub struct Trained<'a> {
    /// The model.
    pub model: Model<'a>,
    /// Names of the parameters that were taken from a stored model.
    pub taken: Vec<String>,
    /// The weights that a controller has steered to, under the names of their columns; none without one.
    pub steered: Vec<Metric>,
    /// The evaluation points; the last one is at the end.
    pub history: Vec<HistoryRow>,
    /// Means over the samples of the last epoch.
    pub loss: LossMeans,
    /// What was measured at the end.
    pub measured: Measured,
    /// Samples seen in training, pretraining included.
    pub samples: usize,
    /// Time spent on training alone, in all attempts whose steps count.
    pub training: Duration,
    /// The time that earlier attempts took to come as far as this one started from.
    pub earlier: Duration,
}

/// How a run ended.
pub enum Ended<'a> {
    /// It went to its end.
    Done(Box<Trained<'a>>),
    /// The loss, or a parameter, was no finite number any more.
    Diverged {
        /// The step, counted from 1; 0 in pretraining.
        step: usize,
        /// The last finite loss.
        last_loss: Option<f64>,
    },
    /// It went to its end, and what the model makes of the data is not finite.
    NotFinite {
        /// Steps done.
        step: usize,
        /// A metric that this makes undefined.
        metric: String,
    },
    /// The data could not be read.
    Failed(String),
    /// It was stopped, and a checkpoint kept unless that was in pretraining.
    Stopped {
        /// Steps done; 0 in pretraining.
        step: usize,
    },
    /// It came to where it is to pause: it was measured, and a checkpoint kept.
    Paused {
        /// Steps done.
        step: usize,
        /// What was measured, of what is measured at every evaluation point.
        metrics: Vec<Metric>,
    },
    /// It was abandoned.
    Abandoned {
        /// Steps done.
        step: usize,
    },
    /// A checkpoint could not be kept.
    NotKept {
        /// Steps done.
        step: usize,
        /// Why.
        reason: String,
    },
    /// It cannot go on from these bytes; nothing was done.
    Refused(String),
}

impl From<String> for Ended<'_> {
    fn from(message: String) -> Self {
        Self::Failed(message)
    }
}

/// Trains and measures one run: from its first step, or from the bytes of a checkpoint. `watch` is
/// asked after every step.
pub fn train<'a>(
    run: &'a RunSpec,
    data: &dyn Data,
    settings: &Evaluate,
    from: Option<Vec<u8>>,
    watch: &mut dyn Watch,
) -> Ended<'a> {
    train_knowing(run, (data, Arc::default()), settings, from, watch)
}

/// The same on data of which something is known already.
pub fn train_knowing<'a>(
    run: &'a RunSpec,
    data: (&dyn Data, Arc<DataFacts>),
    settings: &Evaluate,
    from: Option<Vec<u8>>,
    watch: &mut dyn Watch,
) -> Ended<'a> {
    // Threads that gather samples end with the run.
    thread::scope(|scope| train_inner(scope, run, data, settings, from, watch))
        .unwrap_or_else(|ended| ended)
}

fn train_inner<'a: 'scope, 'scope>(
    scope: &'scope Scope<'scope, '_>,
    run: &'a RunSpec,
    (data, facts): (&'scope dyn Data, Arc<DataFacts>),
    settings: &Evaluate,
    from: Option<Vec<u8>>,
    watch: &mut dyn Watch,
) -> Result<Ended<'a>, Ended<'a>> {
    let started = Instant::now();
    let (train, streams) = (&run.train.value, Streams::new(run.seed));
    let normalizer = Normalizer::fit(run.dataset.value.normalize, data)?;
    let model = Model::new(Definition::of(run), data.shape(), normalizer, &streams);
    // A checkpoint has every parameter; what they started from is told of resumed runs too.
    let (model, taken) = start(run, model)?;
    let model = match from.is_none() {
        true => InitPlaces::of(model.definition.architecture, data.shape())
            .apply(run, data, model, &taken)?,
        false => model,
    };
    let mut model = model.as_asked(run);
    let mut course = Course::start(started);
    let pretraining = run.architecture.value.plugin.pretraining().filter(|_| from.is_none());
    if let Some(pretraining) = &pretraining {
        let (normalizer, taken) = (&model.normalizer, &*taken);
        let pretrained = PretrainingRun { scope, run, data, normalizer, taken };
        let parameters = model.parameters().into_owned();
        let parameters = pretrained.pretrain(pretraining, parameters, &mut course, watch)?;
        model = model.with_parameters(parameters);
    }
    let rows = data.rows(Split::Train);

    let batches = match (train.batches, data.labels(Split::Train)) {
        (BatchOrder::Stratified, Some(labels)) => Batches::stratified(streams, labels, train.batch),
        // Stratified runs on data without labels are refused before they start.
        _ => Batches::new(streams, rows, train.batch),
    };
    let per_epoch = batches.per_epoch();
    let steps = train.steps(rows);
    let mut trainer = Trainer::of(model, train)
        .dead_after(train.dead_after(rows))
        .steered_by(L0Controller::of(run, steps, data.rows(Split::Test)));
    let every = match train.length {
        TrainLength::Epochs(_) => settings.every.unwrap_or(1).saturating_mul(per_epoch),
        TrainLength::Steps(_) => settings.every.unwrap_or(per_epoch),
    };
    if let Some(bytes) = from {
        let resumed = resume(&bytes, run, settings, steps, &mut trainer).map_err(Ended::Refused)?;
        course = Course { started, ..resumed };
    } else if pretraining.is_some() {
        keep(run, settings, &mut trainer, &course, watch)?;
    }
    let evaluations = &settings.evaluations;
    let noise = Noise::of(run, data, &trainer.model.normalizer)?;
    let mut evaluator =
        Evaluator::new(data, settings.batch).knowing(facts).with_noise(noise.clone(), run);
    let gatherer = Gatherer::new(data, batches, trainer.model.normalizer.clone());
    let gatherer = gatherer.with_noise(noise);
    let mut feed = Feed::new(scope, gatherer.starting_at(course.step), steps);
    while course.step < steps {
        let (step, step_started) = (course.step, Instant::now());
        if watch.pauses_at(step, steps) {
            if !trainer.model.is_finite() {
                return Ok(Ended::Diverged { step, last_loss: course.last_loss });
            }
            // What is measured here leaves no trace in the run: it may go on.
            let metrics = match course.history.last().filter(|row| row.step == step) {
                Some(row) => row.metrics.clone(),
                None => {
                    let measured = evaluator.measure(&trainer.model, evaluations, When::EveryPoint);
                    measured.map_err(|why| unmeasured(why, step))?.metrics
                }
            };
            keep(run, settings, &mut trainer, &course, watch)?;
            return Ok(Ended::Paused { step, metrics });
        }
        if step % per_epoch == 0 {
            course.epoch = LossSums::default();
        }
        let batch = feed.next()?;
        let at = Step {
            mode: Mode::Train,
            number: step,
            progress: step as f64 / steps as f64,
            steps,
            labels: batch.labels(),
        };
        let measured = trainer.step(batch.minibatch(), at, train.schedule.factor(step, steps));
        course.training = course.training.saturating_add(step_started.elapsed());
        if !measured.total.is_finite() {
            return Ok(Ended::Diverged { step: step + 1, last_loss: course.last_loss });
        }
        course.count(&measured, batch.rows);
        let done = course.step;
        if trainer.asks_for_l0(done) {
            let l0 = evaluator.l0(&trainer.model).map_err(|why| unmeasured(why, done))?;
            trainer.tell_l0(l0);
        }
        if done < steps && done.is_multiple_of(every) {
            if !trainer.model.is_finite() {
                return Ok(Ended::Diverged { step: done, last_loss: course.last_loss });
            }
            let measured = evaluator.measure(&trainer.model, evaluations, When::EveryPoint);
            let measured = measured.map_err(|why| unmeasured(why, done))?;
            course.write_row(per_epoch, with_metrics_of(&trainer, measured.metrics));
        }
        // The row of a step is written before its checkpoint is made, the last row after it.
        let (loss, l0, earlier) = (measured.total, measured.l0, course.earlier);
        let progress = Progress { step: done, steps, loss, l0, earlier };
        let wish = watch.step(&progress);
        if matches!(wish, Wish::Checkpoint | Wish::Stop) {
            keep(run, settings, &mut trainer, &course, watch)?;
        }
        match wish {
            Wish::GoOn | Wish::Checkpoint => {}
            Wish::Stop => return Ok(Ended::Stopped { step: done }),
            Wish::Abandon => return Ok(Ended::Abandoned { step: done }),
        }
    }
    if !trainer.model.is_finite() {
        return Ok(Ended::Diverged { step: steps, last_loss: course.last_loss });
    }
    let measured = evaluator.measure(&trainer.model, evaluations, When::End);
    let mut measured = measured.map_err(|why| unmeasured(why, steps))?;
    course.write_row(per_epoch, with_metrics_of(&trainer, measured.metrics.clone()));
    let steered = trainer.steered_weights();
    if let Some(since) = activity::samples_since_active(&trainer.model.state.borrow()) {
        measured.latent_column("samples_since_active", since.iter().copied());
    }
    let Course { history, epoch, samples, training, earlier, .. } = course;
    let (model, loss) = (trainer.into_model(), epoch.means());
    Ok(Ended::Done(Box::new(Trained {
        model,
        taken,
        steered,
        history,
        loss,
        measured,
        samples,
        training,
        earlier,
    })))
}

/// The metrics of a row of the history, with what the trainer knows: the share of the latents that are dead where an
/// auxiliary asks for it, and the weights that a controller has steered to.
fn with_metrics_of(trainer: &Trainer<'_>, mut metrics: Vec<Metric>) -> Vec<Metric> {
    let name = "train_dead_fraction".to_owned();
    metrics.extend(trainer.dead_fraction().map(|dead| Metric { name, value: Some(dead) }));
    metrics.extend(trainer.steered_weights());
    metrics
}

/// Has a model start from the stored one that its run names, and says which parameters were taken.
fn start<'a>(run: &RunSpec, model: Model<'a>) -> Result<(Model<'a>, Vec<String>), String> {
    let Some(from) = &run.init.value.from else { return Ok((model, Vec::new())) };
    let mut parameters = model.parameters().into_owned();
    let taken = StoredModel::open(from)
        .and_then(|stored| stored.start(&mut parameters, from.part))
        .map_err(|message| format!("init: from: {message}"))?;
    Ok((model.with_parameters(parameters), taken))
}

/// How a run ends that could not be measured after so many steps.
fn unmeasured(why: Unmeasured, step: usize) -> Ended<'static> {
    match why {
        Unmeasured::Unread(message) => Ended::Failed(message),
        Unmeasured::NotFinite(metric) => Ended::NotFinite { step, metric },
    }
}

/// Has the watch keep a checkpoint of a run as it stands.
fn keep(
    run: &RunSpec,
    settings: &Evaluate,
    trainer: &mut Trainer<'_>,
    course: &Course,
    watch: &mut dyn Watch,
) -> Result<(), Ended<'static>> {
    let bytes = Checkpoint::bytes(&run.id, trainer, course, settings);
    bytes
        .and_then(|bytes| watch.keep(course.step, bytes))
        .map_err(|reason| Ended::NotKept { step: course.step, reason })
}

/// Has the trainer go on from the bytes of a checkpoint, in a run of so many steps.
fn resume(
    bytes: &[u8],
    run: &RunSpec,
    settings: &Evaluate,
    steps: usize,
    trainer: &mut Trainer<'_>,
) -> Result<Course, String> {
    let checkpoint = Checkpoint::read(bytes)?;
    let step = checkpoint.step();
    if step > steps {
        return Err(format!("the checkpoint is of step {step}, the run has {steps}"));
    }
    let mut course = checkpoint.restore(&run.id, trainer)?;
    checkpoint.clear_old(&mut course.history, settings, trainer.model.l0_rule());
    Ok(course)
}
