//! A run at a step boundary, as bytes: everything that determines the rest of it, so that a run that
//! goes on from them is bit for bit the one that was never stopped.
//!
//! The bytes are a safetensors file. Parameters and moments are there as the engine has them, padding
//! included, in the byte order of the machine; the history, which grows, is a tensor of JSON; the rest
//! is JSON in the metadata. What follows from the settings and the data is not there: the order of the
//! samples, their scale, the schedule, the bf16 copy of the encoder.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use super::course::LossSums;
use super::{Course, HistoryRow, LossMeans, Trainer};
use crate::engine::Numbers;
use crate::plugin::{L0Rule, Metric};
use crate::spec::{Evaluate, Precision, RunId};

/// Goes up whenever older bytes would be misread.
const FORMAT: u32 = 1;

const HEAD: &str = "checkpoint";
const HISTORY: &str = "history";
const STATE: &str = "state.";

/// The bytes of a checkpoint, looked at but not yet put to use.
pub struct Checkpoint<'a> {
    head: Head,
    tensors: SafeTensors<'a>,
}

/// Read first: what follows may be laid out in another way.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

#[derive(Serialize, Deserialize)]
struct Head {
    format: u32,
    run: RunId,
    engine: String,
    precision: Precision,
    step: usize,
    samples: usize,
    last_loss: Option<Bits>,
    epoch: (SavedLoss, usize),
    row: (SavedLoss, usize),
    training: Duration,
    elapsed: Duration,
    /// What the optimizer has counted.
    optimizer_steps: i32,
    /// Where the penalty's random stream is: the upper and the lower half.
    random: [u64; 2],
    /// The versions of the evaluations in the history; what is missing is of version 1.
    #[serde(default)]
    versions: BTreeMap<String, u32>,
}

/// A row of the history.
#[derive(Serialize, Deserialize)]
struct SavedRow {
    epoch: usize,
    step: usize,
    loss: SavedLoss,
    metrics: Vec<(String, Option<Bits>)>,
    seconds: Bits,
}

/// A number as its bits: exact, whatever it is.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(from = "u64", into = "u64")]
struct Bits(f64);

impl From<u64> for Bits {
    fn from(bits: u64) -> Self {
        Self(f64::from_bits(bits))
    }
}

impl From<Bits> for u64 {
    fn from(Bits(value): Bits) -> Self {
        value.to_bits()
    }
}

/// Losses: the whole, its reconstruction and the penalty's terms with and without weights, then the terms of
/// auxiliaries and of the architecture. Those came later, and are missing or null where there are none.
#[derive(Clone, Serialize, Deserialize)]
struct SavedLoss(Vec<Option<Bits>>);

impl From<LossMeans> for SavedLoss {
    fn from(loss: LossMeans) -> Self {
        let LossMeans { total, reconstruction, penalty, penalty_raw, auxiliary, prior } = loss;
        let always = [total, reconstruction, penalty, penalty_raw].map(Some);
        let all = always.into_iter().chain([auxiliary, prior]);
        Self(all.map(|value| value.map(Bits)).collect())
    }
}

impl From<SavedLoss> for LossMeans {
    fn from(SavedLoss(saved): SavedLoss) -> Self {
        let value = |at: usize| saved.get(at).copied().flatten().map(|Bits(value)| value);
        // A number that should be there and is not is no number: the run is seen to be wrong.
        let always = |at: usize| value(at).unwrap_or(f64::NAN);
        Self {
            total: always(0),
            reconstruction: always(1),
            penalty: always(2),
            penalty_raw: always(3),
            auxiliary: value(4),
            prior: value(5),
        }
    }
}

impl From<&HistoryRow> for SavedRow {
    fn from(row: &HistoryRow) -> Self {
        let metric = |metric: &Metric| (metric.name.clone(), metric.value.map(Bits));
        Self {
            epoch: row.epoch,
            step: row.step,
            loss: row.loss.into(),
            metrics: row.metrics.iter().map(metric).collect(),
            seconds: Bits(row.seconds),
        }
    }
}

impl From<SavedRow> for HistoryRow {
    fn from(row: SavedRow) -> Self {
        let SavedRow { epoch, step, loss, metrics, seconds: Bits(seconds) } = row;
        let metric = |(name, value): (String, Option<Bits>)| Metric {
            name,
            value: value.map(|Bits(value)| value),
        };
        let metrics = metrics.into_iter().map(metric).collect();
        Self { epoch, step, loss: loss.into(), metrics, seconds }
    }
}

fn damaged(what: impl ToString) -> String {
    format!("the checkpoint is damaged: {}", what.to_string())
}

fn impossible(error: &dyn ToString) -> String {
    format!("a checkpoint cannot be made: {}", error.to_string())
}

impl<'a> Checkpoint<'a> {
    /// The bytes of a run as it stands: beside them, nothing that is large is copied.
    ///
    /// # Errors
    /// If the format cannot hold it.
    pub fn bytes(
        run: &RunId,
        trainer: &mut Trainer<'_>,
        course: &Course,
        evaluate: &Evaluate,
    ) -> Result<Vec<u8>, String> {
        let versions = evaluate.versions(trainer.model.l0_rule());
        let model = &mut trainer.model;
        let random = model.random.get_mut().get_word_pos();
        let (engine, precision) = (model.engine().name.to_owned(), model.precision());
        let Numbers { arrays, optimizer_steps } = model.engine.numbers();
        let head = Head {
            format: FORMAT,
            run: run.clone(),
            engine,
            precision,
            step: course.step,
            samples: course.samples,
            last_loss: course.last_loss.map(Bits),
            epoch: (course.epoch.sums.into(), course.epoch.samples),
            row: (course.row.sums.into(), course.row.samples),
            training: course.training,
            elapsed: course.elapsed(),
            optimizer_steps: optimizer_steps.map_or(0, |steps| *steps),
            random: [(random >> 64) as u64, random as u64],
            versions,
        };
        let head = serde_json::to_string(&head).map_err(|error| impossible(&error))?;
        let history: Vec<SavedRow> = course.history.iter().map(SavedRow::from).collect();
        let history = serde_json::to_vec(&history).map_err(|error| impossible(&error))?;

        let mut tensors: Vec<(String, Dtype, usize, &[u8])> =
            vec![(HISTORY.to_owned(), Dtype::U8, history.len(), &history)];
        for (name, values) in &arrays {
            tensors.push((name.clone(), Dtype::F32, values.len(), bytemuck::cast_slice(values)));
        }
        for (name, values) in &*model.state.get_mut() {
            let bytes = bytemuck::cast_slice(values);
            tensors.push((format!("{STATE}{name}"), Dtype::F64, values.len(), bytes));
        }
        let views: Result<Vec<_>, _> = tensors
            .into_iter()
            .map(|(name, dtype, len, bytes)| Ok((name, TensorView::new(dtype, vec![len], bytes)?)))
            .collect();
        views
            .and_then(|views| {
                safetensors::serialize(views, Some(HashMap::from([(HEAD.to_owned(), head)])))
            })
            .map_err(|error| impossible(&error))
    }

    /// Looks at the bytes of a checkpoint, which may be any.
    ///
    /// # Errors
    /// If they are none, or of another version of this program.
    pub fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let head = metadata.metadata().as_ref().and_then(|metadata| metadata.get(HEAD));
        let head = head.ok_or_else(|| damaged("it does not say what it is"))?;
        let Version { format } = serde_json::from_str(head).map_err(damaged)?;
        if format != FORMAT {
            return Err(format!("the checkpoint has format {format}, this program reads {FORMAT}"));
        }
        let head = serde_json::from_str(head).map_err(damaged)?;
        Ok(Self { head, tensors })
    }

    /// The same parameters, moments and penalty's state as a checkpoint of a run of the same shape that
    /// is to start with them: of its step 0, with nothing counted yet.
    ///
    /// # Errors
    /// If the format cannot hold it.
    pub fn as_start_of(&self, run: &RunId) -> Result<Vec<u8>, String> {
        let nothing = || (SavedLoss::from(LossMeans::default()), 0);
        let head = Head {
            run: run.clone(),
            engine: self.head.engine.clone(),
            versions: self.head.versions.clone(),
            step: 0,
            samples: 0,
            last_loss: None,
            epoch: nothing(),
            row: nothing(),
            training: Duration::ZERO,
            elapsed: Duration::ZERO,
            ..self.head
        };
        let learnt = self.tensors.iter().filter(|(name, _)| *name != HISTORY);
        let learnt = learnt.map(|(name, view)| (name.to_owned(), view));
        let history = TensorView::new(Dtype::U8, vec![2], b"[]");
        let head = serde_json::to_string(&head).map_err(|error| impossible(&error))?;
        history
            .and_then(|history| {
                let views = learnt.chain([(HISTORY.to_owned(), history)]);
                safetensors::serialize(views, Some(HashMap::from([(HEAD.to_owned(), head)])))
            })
            .map_err(|error| impossible(&error))
    }

    /// Whether it is of this run.
    pub fn is_of(&self, run: &RunId) -> bool {
        self.head.run == *run
    }

    /// Steps done.
    pub fn step(&self) -> usize {
        self.head.step
    }

    /// The time that it took to come so far, in all attempts whose steps count.
    pub fn elapsed(&self) -> Duration {
        self.head.elapsed
    }

    /// Makes undefined what the history of a run has of an older definition of these evaluations: the
    /// models of its points are no more.
    pub fn clear_old(&self, history: &mut [HistoryRow], evaluate: &Evaluate, rule: L0Rule) {
        for evaluation in &evaluate.evaluations {
            let version = self.head.versions.get(evaluation.name()).copied().unwrap_or(1);
            let old = evaluation.changed_since(version, rule);
            let metrics = history.iter_mut().flat_map(|row| &mut row.metrics);
            metrics
                .filter(|metric| old.contains(&metric.name))
                .for_each(|metric| metric.value = None);
        }
    }

    /// Has a trainer that was made for the run go on from here. After an error it is of no use.
    ///
    /// # Errors
    /// If this is no checkpoint of the run, in the trainer's engine and precision.
    pub fn restore(&self, run: &RunId, trainer: &mut Trainer<'_>) -> Result<Course, String> {
        let Self { head, tensors } = self;
        let model = &mut trainer.model;
        let of = |run: &RunId, engine: &str, precision: Precision| {
            format!("run {run}, engine {engine}, precision {precision:?}")
        };
        let found = of(&head.run, &head.engine, head.precision);
        let right = of(run, model.engine().name, model.precision());
        if found != right {
            return Err(format!("the checkpoint is of {found}, not of {right}"));
        }
        let [upper, lower] = head.random.map(u128::from);
        model.random.get_mut().set_word_pos((upper << 64) | lower);
        let state = model.state.get_mut();
        let Numbers { arrays, optimizer_steps } = model.engine.numbers();
        if let Some(steps) = optimizer_steps {
            *steps = head.optimizer_steps;
        }
        if tensors.len() != 1 + arrays.len() + state.len() {
            return Err(damaged("it has other tensors than the run"));
        }
        let tensor = |name: &str, dtype: Dtype| {
            let view = tensors.tensor(name).ok().filter(|view| view.dtype() == dtype);
            view.map(|view| view.data())
                .ok_or_else(|| damaged(format!("it has no {dtype} tensor `{name}`")))
        };
        for (name, values) in arrays {
            let bytes = tensor(&name, Dtype::F32)?;
            let values: &mut [u8] = bytemuck::cast_slice_mut(values);
            if bytes.len() != values.len() {
                return Err(damaged(format!("its tensor `{name}` has another size")));
            }
            values.copy_from_slice(bytes);
        }
        for (name, values) in state {
            // As many as there are: a penalty may gather numbers as it goes.
            *values = bytemuck::pod_collect_to_vec(tensor(&format!("{STATE}{name}"), Dtype::F64)?);
        }
        trainer.model.engine.refresh();
        let history: Vec<SavedRow> =
            serde_json::from_slice(tensor(HISTORY, Dtype::U8)?).map_err(damaged)?;
        let sums = |(sums, samples): (SavedLoss, usize)| LossSums { sums: sums.into(), samples };
        Ok(Course {
            step: head.step,
            samples: head.samples,
            last_loss: head.last_loss.map(|Bits(loss)| loss),
            epoch: sums(head.epoch.clone()),
            row: sums(head.row.clone()),
            history: history.into_iter().map(HistoryRow::from).collect(),
            training: head.training,
            earlier: head.elapsed,
            ..Course::start(Instant::now())
        })
    }
}
