//! The section `[train]`: how long, in what batches, with which optimizer.

use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::experiment::Experiment;
use super::node::{KeyValue, Node, TomlTable, Value};
use super::numbers::{Positive, Share, valid};
use super::objective::TrainObjective;
use super::optimizer::{Adam, Optimizer, Sgd};
use super::schedule::Schedule;
use super::settings::{Resolved, Settings, documentation, schema_of};
use crate::diagnostics::Diagnostic;
use crate::engine::EngineChoice;
use crate::plugin::help_for;

/// How training goes.
#[derive(Clone, Debug)]
pub struct Train {
    /// How long.
    pub length: TrainLength,
    /// Samples a step; the last batch of an epoch may be shorter.
    pub batch: usize,
    /// Which engine the user asked for.
    pub engine: EngineChoice,
    /// Which precision the user asked for.
    pub precision: Precision,
    /// How reconstructions are compared with their targets.
    pub objective: TrainObjective,
    /// How parameters move along their gradients.
    pub optimizer: Optimizer,
    /// How the learning rate changes over the run.
    pub schedule: Schedule,
    /// The norm that gradients are scaled to where they are longer.
    pub clip_norm: Option<f64>,
    /// The share of the steps over which the weights of the penalty's own terms rise.
    pub penalty_warmup: f64,
    /// How the samples of an epoch are put into batches.
    pub batches: BatchOrder,
    /// After how many training samples without activity a latent is dead, if that is given.
    pub(super) dead_after: Option<usize>,
}

/// A value, or everything that is wrong with its settings.
pub(super) type Parsed<T> = Result<T, Vec<Diagnostic>>;

/// How long training goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrainLength {
    /// Passes over the training rows.
    Epochs(usize),
    /// Batches.
    Steps(usize),
}

/// In which precision the products are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// bfloat16 products with f32 sums.
    Bf16,
}

/// How the samples of an epoch are put into batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BatchOrder {
    /// In a random order.
    #[default]
    Shuffled,
    /// Each class spread evenly over the batches, at random within the class; needs labels.
    Stratified,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TrainTable {
    /// Passes over the training rows; 50 unless `steps` is given.
    epochs: Option<NonZeroUsize>,
    /// Training steps, in place of `epochs`.
    steps: Option<NonZeroUsize>,
    /// Samples a step; the last batch of an epoch may be shorter.
    #[serde(default = "default_batch")]
    batch: NonZeroUsize,
    /// Which engine trains: the fastest that covers the run, or the one named.
    #[serde(default)]
    engine: EngineChoice,
    /// In which precision products are taken.
    #[serde(default)]
    precision: Precision,
    /// What is minimized beside the penalty, summed over inputs, mean over the batch.
    #[serde(default)]
    objective: TrainObjective,
    /// Norm that the gradient of all parameters together is scaled to where it is longer, before unit norms
    /// are kept and the optimizer sees it; not given, gradients stay as they are.
    clip_norm: Option<Positive>,
    /// Share of the steps over which the weights of the penalty's own terms rise linearly from 0.
    #[serde(default = "no_share")]
    penalty_warmup: Share,
    /// How the samples of an epoch are put into batches; each comes once an epoch.
    #[serde(default)]
    batches: BatchOrder,
    /// Number of training samples in a row on which a latent is not active before auxiliaries that revive
    /// latents take it for dead; not given, 10,000,000 or one epoch, whichever is less.
    dead_after: Option<NonZeroUsize>,
}

/// Settings that results show only where they say something: runs were stored before these existed.
const SHOWN_IF_CHANGED: [&str; 5] =
    ["objective", "clip_norm", "penalty_warmup", "batches", "dead_after"];

const DEFAULT_EPOCHS: usize = 50;

/// Most training samples without activity after which a latent is dead, unless it is given.
const DEFAULT_DEAD_AFTER: usize = 10_000_000;

fn default_batch() -> NonZeroUsize {
    const { NonZeroUsize::new(128).unwrap() }
}

fn no_share() -> Share {
    valid(0.0)
}

impl Train {
    /// How many steps training has on so many rows.
    pub fn steps(&self, rows: usize) -> usize {
        match self.length {
            TrainLength::Epochs(epochs) => epochs.saturating_mul(rows.div_ceil(self.batch)),
            TrainLength::Steps(steps) => steps,
        }
    }

    /// After how many training samples without activity a latent is dead, in training on so many rows.
    pub fn dead_after(&self, rows: usize) -> usize {
        self.dead_after.unwrap_or(DEFAULT_DEAD_AFTER.min(rows))
    }

    /// Whether the section itself has a setting of this name.
    pub(super) fn has(name: &str) -> bool {
        schema_of::<TrainTable>()["properties"].get(name).is_some()
    }

    /// Reads the section.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(node: &Node) -> Result<(Self, Resolved), Vec<Diagnostic>> {
        let Value::TomlTable(table) = &node.value else {
            let message = format!("`train` is a table, got {}", node.type_name());
            return Err(vec![Diagnostic::at(&node.origin, message)]);
        };
        let mut table = table.clone();
        let mut problems = Vec::new();
        let optimizer = tagged(&mut table, "optimizer", Optimizer::KINDS, Optimizer::read);
        let schedule = tagged(&mut table, "schedule", Schedule::KINDS, Schedule::read);
        let (epochs, steps) = (table.get("epochs").cloned(), table.get("steps").cloned());
        if let (Some(epochs), Some(steps)) = (epochs, steps) {
            let message = "train: `epochs` and `steps` both say how long; give one of them";
            problems.push(
                Diagnostic::at(&steps.key_origin, message).related(&epochs.key_origin, "the other"),
            );
        }
        problems.extend(of_the_optimizer(&mut table));
        let settings = Settings::new(
            "train",
            Node { origin: node.origin.clone(), value: Value::TomlTable(table) },
        )
        .beside(&["optimizer", "schedule"]);
        let read = settings.read::<TrainTable>();
        let (optimizer, schedule, read) = match (optimizer, schedule, read) {
            (Ok(optimizer), Ok(schedule), Ok(read)) if problems.is_empty() => {
                (optimizer, schedule, read)
            }
            (optimizer, schedule, read) => {
                problems.extend(optimizer.err().into_iter().flatten());
                problems.extend(schedule.err().into_iter().flatten());
                problems.extend(read.err().into_iter().flatten());
                return Err(problems);
            }
        };
        let length = match (read.epochs, read.steps) {
            (_, Some(steps)) => TrainLength::Steps(steps.get()),
            (Some(epochs), None) => TrainLength::Epochs(epochs.get()),
            (None, None) => TrainLength::Epochs(DEFAULT_EPOCHS),
        };
        let mut resolved = settings.resolved();
        // First, and in place: removing the two lengths reorders what is left, as it did before these existed.
        for key in SHOWN_IF_CHANGED.into_iter().filter(|key| !resolved.changed.contains_key(*key)) {
            resolved.all.shift_remove(key);
        }
        for map in [&mut resolved.all, &mut resolved.changed] {
            map.remove("epochs");
            map.remove("steps");
        }
        match length {
            TrainLength::Epochs(epochs) => {
                resolved.all.insert("epochs".into(), json!(epochs));
                if epochs != DEFAULT_EPOCHS {
                    resolved.changed.insert("epochs".into(), json!(epochs));
                }
            }
            TrainLength::Steps(steps) => {
                resolved.all.insert("steps".into(), json!(steps));
                resolved.changed.insert("steps".into(), json!(steps));
            }
        }
        optimizer.1.add_to(&mut resolved, "optimizer", Optimizer::KINDS[0]);
        schedule.1.add_to(&mut resolved, "schedule", Schedule::KINDS[0]);
        let train = Self {
            length,
            batch: read.batch.get(),
            engine: read.engine,
            precision: read.precision,
            objective: read.objective,
            optimizer: optimizer.0,
            schedule: schedule.0,
            clip_norm: read.clip_norm.map(Positive::get),
            penalty_warmup: read.penalty_warmup.get(),
            batches: read.batches,
            dead_after: read.dead_after.map(NonZeroUsize::get),
        };
        Ok((train, resolved))
    }
}

/// The settings of a table with a `kind`.
struct Tagged {
    kind: String,
    resolved: Resolved,
}

impl Tagged {
    /// Adds the table to those of the section; a default kind with default settings is no change.
    fn add_to(self, section: &mut Resolved, key: &str, default_kind: &str) {
        let Resolved { mut all, mut changed } = self.resolved;
        if self.kind != default_kind {
            changed.insert("kind".into(), json!(self.kind));
        }
        all.insert("kind".into(), json!(self.kind));
        section.all.insert(key.into(), Json::Object(all));
        if !changed.is_empty() {
            section.changed.insert(key.into(), Json::Object(changed));
        }
    }
}

/// Takes the table `key` out of `table` and reads it by its `kind`; the first kind is the default.
fn tagged<T>(
    table: &mut TomlTable,
    key: &str,
    kinds: &[&str],
    read: fn(&str, &Settings) -> Option<Parsed<T>>,
) -> Result<(T, Tagged), Vec<Diagnostic>> {
    let title = format!("train.{key}");
    let entry = table.remove(key);
    let (origin, mut inner) = match entry.map(|entry| entry.node) {
        None => (None, TomlTable::default()),
        Some(Node { origin, value: Value::TomlTable(inner) }) => (Some(origin), inner),
        Some(other) => {
            let message = format!("`{title}` is a table, got {}", other.type_name());
            let help = format!("as in {key} = {{ kind = \"{}\" }}", kinds[0]);
            return Err(vec![Diagnostic::at(&other.origin, message).help(help)]);
        }
    };
    let (kind, kind_origin) = match inner.remove("kind").map(|entry| entry.node) {
        None => (kinds[0].to_owned(), origin.clone()),
        Some(Node { origin, value: Value::String(kind) }) => (kind, Some(origin)),
        Some(other) => {
            let message = format!("`{title}.kind` is a string, got {}", other.type_name());
            return Err(vec![Diagnostic::at(&other.origin, message)]);
        }
    };
    let origin =
        origin.or_else(|| kind_origin.clone()).unwrap_or_else(super::experiment::default_origin);
    let node = Node { origin: origin.clone(), value: Value::TomlTable(inner) };
    let settings = Settings::new(format!("{title} `{kind}`"), node).beside(&["kind"]);
    match read(&kind, &settings) {
        Some(value) => Ok((value?, Tagged { kind, resolved: settings.resolved() })),
        None => {
            let message = format!("no {title} is named `{kind}`");
            let origin = kind_origin.unwrap_or(origin);
            let help = help_for(&title, &kind, kinds);
            let problem = Diagnostic::at(&origin, message);
            Err(vec![help.into_iter().fold(problem, Diagnostic::help)])
        }
    }
}

/// Takes out what is a setting of the optimizer and not of the section, with what to write instead.
fn of_the_optimizer(table: &mut TomlTable) -> Vec<Diagnostic> {
    let known = [schema_of::<Adam>(), schema_of::<Sgd>()];
    let is_its = |key: &str| known.iter().any(|schema| schema["properties"].get(key).is_some());
    let (its, rest) =
        std::mem::take(&mut table.entries).into_iter().partition(|entry| is_its(&entry.key));
    table.entries = rest;
    let problem = |KeyValue { key, key_origin, node }: KeyValue| {
        Diagnostic::at(&key_origin, format!("train has no setting `{key}`")).help(format!(
            "it is one of the optimizer: optimizer = {{ {key} = {} }}",
            node.to_toml()
        ))
    };
    Vec::into_iter(its).map(problem).collect()
}

impl Experiment {
    /// A problem with a setting of `[train]`, at its place in the file, with what the setting means.
    pub(crate) fn train_problem(&self, key: &str, message: &str) -> Diagnostic {
        let message = format!("train: {key}: {message}");
        let problem = Diagnostic::at(&self.place_of("train", key), message);
        problem.help(documentation::<TrainTable>(key))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::diagnostics::Source;
    use crate::spec::Adam;

    fn read(text: &str) -> Result<(Train, Resolved), Vec<Diagnostic>> {
        let source = Source {
            name: "t.toml".into(),
            base: Default::default(),
            text: text.into(),
            is_private: false,
        };
        Train::read(&super::super::node::parse(&Arc::new(source)).unwrap())
    }

    #[test]
    fn defaults_are_those_of_the_contract_and_writing_them_out_changes_nothing() {
        let (train, resolved) = read("").unwrap();
        assert_eq!((train.length, train.batch), (TrainLength::Epochs(50), 128));
        assert_eq!(train.optimizer, Optimizer::Adam(Adam::default()));
        assert!(resolved.changed.is_empty(), "{:?}", resolved.changed);
        let written = "epochs = 50\nbatch = 128\nengine = \"auto\"\nprecision = \"f32\"\n\
                       optimizer = { kind = \"adam\", lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8 }\n\
                       schedule = { kind = \"constant\", warmup_steps = 0 }";
        assert_eq!(read(written).unwrap().1, resolved);
    }

    /// Wrong if a default of a later setting were stored, so that ids and columns of earlier runs changed.
    #[test]
    fn later_settings_show_only_where_they_say_something() {
        let defaults = "penalty_warmup = 0\nbatches = \"shuffled\"\nobjective = \"squared\"";
        let (train, resolved) = read(defaults).unwrap();
        assert_eq!(resolved, read("").unwrap().1);
        assert!(SHOWN_IF_CHANGED.iter().all(|key| !resolved.all.contains_key(*key)));
        assert_eq!((train.clip_norm, train.penalty_warmup), (None, 0.0));
        let (train, resolved) = read("clip_norm = 1\npenalty_warmup = 0.5").unwrap();
        assert_eq!((train.clip_norm, train.penalty_warmup), (Some(1.0), 0.5));
        for map in [&resolved.all, &resolved.changed] {
            assert_eq!((&map["clip_norm"], &map["penalty_warmup"]), (&json!(1.0), &json!(0.5)));
        }
        let (train, resolved) = read("objective = \"cross-entropy\"").unwrap();
        assert_eq!(train.objective, TrainObjective::CrossEntropy);
        assert_eq!(resolved.all["objective"], json!("cross-entropy"));
        for text in [
            "objective = \"mse\"",
            "clip_norm = 0",
            "clip_norm = -1",
            "penalty_warmup = 1.5",
            "dead_after = 0",
        ] {
            assert_eq!(read(text).unwrap_err().len(), 1, "{text}");
        }
    }

    /// Wrong if a latent of a small data set were never dead, or one of a large set only after an epoch.
    #[test]
    fn latents_are_dead_after_an_epoch_at_most_unless_it_is_given() {
        let (train, _) = read("").unwrap();
        assert_eq!([100, 30_000_000].map(|rows| train.dead_after(rows)), [100, 10_000_000]);
        let (train, resolved) = read("dead_after = 5000").unwrap();
        assert_eq!([100, 30_000_000].map(|rows| train.dead_after(rows)), [5000, 5000]);
        assert_eq!((&resolved.all["dead_after"], resolved.changed.len()), (&json!(5000), 1));
        assert_ne!(read("dead_after = 5001").unwrap().1.changed, resolved.changed);
    }

    #[test]
    fn what_differs_from_the_defaults_is_kept() {
        let (_, resolved) = read("steps = 100\noptimizer = { kind = \"sgd\" }").unwrap();
        let changed = serde_json::to_value(&resolved.changed).unwrap();
        assert_eq!(changed, json!({ "steps": 100, "optimizer": { "kind": "sgd" } }));
        assert!(resolved.all.get("epochs").is_none());
    }

    #[test]
    fn problems_of_all_tables_come_together() {
        let problems = read(
            "epochs = 0\nsteps = 5\nbatsh = 3\noptimizer = { kind = \"adm\" }\nschedule = { kind = \"cosine\", end = 2 }",
        )
        .unwrap_err();
        assert_eq!(problems.len(), 5, "{problems:#?}");
    }
}
