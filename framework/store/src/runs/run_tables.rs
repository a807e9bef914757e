//! Tables of one run: the columns that users and scripts rely on.

use std::collections::BTreeMap;

use framework::cpu;
use framework::engine::EngineKind;
use framework::fused::bf16_product;
use framework::plugin::{Best, Declared, L0Rule, LatentColumn, Metric, NamedEvaluation, Within};
use framework::spec::{Precision, RunId, RunSpec};
use framework::train::HistoryRow;
use serde_json::{Map, Value as Json};
use tables::{Table, Values};

use super::manifest::{RunState, Status, Unread};
use crate::folder::Folder;

/// How a run was executed; these columns may differ between identical runs.
#[derive(Clone, Debug)]
pub struct Execution {
    /// Seconds from start to end.
    pub seconds: f64,
    /// Training samples per second of training.
    pub samples_per_second: Option<f64>,
    /// Peak of memory use, in bytes.
    pub peak_memory_bytes: Option<u64>,
    /// Time of its start, UTC.
    pub started: String,
    /// Time of its end, UTC.
    pub finished: String,
    /// Name of the machine.
    pub host: String,
    /// Number of the process.
    pub pid: u32,
    /// Number of the worker in its pool.
    pub worker: usize,
    /// Number of the attempt, counted from 1.
    pub attempt: usize,
    /// Threads per run.
    pub threads: usize,
}

impl Folder {
    /// Reads a table of a run, such as `history.parquet`; `None` if the run has not ended, or ended
    /// before it had that table.
    ///
    /// # Errors
    /// If it is damaged, or cannot be read.
    pub fn table_of(&self, id: &RunId, name: &str) -> Result<Option<Table>, Unread> {
        let manifest = match self.state(id, false)? {
            RunState::Outstanding => return Ok(None),
            RunState::Damaged(what) => return Err(Unread::Damaged(what)),
            RunState::Ended(manifest) => manifest,
        };
        if !manifest.digests.contains_key(name) {
            return Ok(None);
        }
        let bytes = self.read_run_file(&manifest, name)?;
        let table = Table::from_parquet(&bytes);
        table.map(Some).map_err(|error| Unread::Damaged(format!("its `{name}`: {error}")))
    }
}

/// Makes the one row of `run.parquet`.
pub fn run_table(
    experiment: &str,
    run: &RunSpec,
    status: Status,
    reason: Option<&str>,
    results: &[Metric],
    l0_rule: Option<L0Rule>,
    execution: &Execution,
) -> Table {
    let mut table = Table::default();
    let mut text = |name: &str, value: Option<&str>| {
        table.set(name, Values::Text(vec![value.map(str::to_owned)]));
    };
    text("run_id", Some(&run.id.0));
    text("experiment", Some(experiment));
    text("status", Some(status.as_str()));
    text("reason", reason);
    text("engine", Some(EngineKind::of(run).name));
    let is_narrow = run.train.value.precision == Precision::Bf16;
    text("precision", Some(if is_narrow { "bf16" } else { "f32" }));
    text("bf16_product", is_narrow.then(bf16_product));
    text("cpu_features", Some(&cpu::features().join(" ")));
    for (section, kind) in run.kinds() {
        text(section, Some(&kind));
    }
    table.set("seed", Values::Whole(vec![i64::try_from(run.seed).ok()]));
    for (name, value) in run.columns() {
        // `engine` and `precision` say what was used; these columns say what was asked for.
        set_setting(&mut table, &name, value);
    }
    for metric in results {
        table.set(metric.name.as_str(), Values::Number(vec![metric.value]));
    }
    set_l0_rule(&mut table, l0_rule);
    table.set("seconds", Values::Number(vec![Some(execution.seconds)]));
    table.set("samples_per_second", Values::Number(vec![execution.samples_per_second]));
    let peak = execution.peak_memory_bytes.and_then(|bytes| i64::try_from(bytes).ok());
    table.set("peak_memory_bytes", Values::Whole(vec![peak]));
    let mut text =
        |name: &str, value: &str| table.set(name, Values::Text(vec![Some(value.to_owned())]));
    text("started", &execution.started);
    text("finished", &execution.finished);
    text("host", &execution.host);
    let mut whole = |name: &str, value: i64| table.set(name, Values::Whole(vec![Some(value)]));
    whole("pid", i64::from(execution.pid));
    whole("worker", execution.worker as i64);
    whole("attempt", execution.attempt as i64);
    whole("threads", execution.threads as i64);
    table
}

/// Sets the columns that say what counts as an active latent, in the one row of a run.
pub fn set_l0_rule(table: &mut Table, rule: Option<L0Rule>) {
    table.set("l0_threshold", Values::Number(vec![rule.map(L0Rule::threshold)]));
    table.set("l0_rule", Values::Text(vec![rule.map(|rule| rule.name().to_owned())]));
}

/// Rule by which the active latents of a run were counted, from its columns `l0_threshold` and `l0_rule`.
/// The first runs had no `l0_rule`: then values above the threshold counted.
pub fn l0_rule_of(threshold: Option<f64>, name: Option<&str>) -> Option<L0Rule> {
    let named = L0Rule::ALL.into_iter().find(|rule| Some(rule.name()) == name);
    named.or(threshold.map(|value| if value > 0.0 { L0Rule::Above } else { L0Rule::Nonzero }))
}

/// Column of a run's row that holds what its metrics declare, as JSON by name.
pub const DECLARED: &str = "metrics";

/// Declarations of the numbers that every run has, whatever is measured.
pub fn own_declared() -> [(&'static str, Declared); 10] {
    let (lowest, highest) = (Some(Best::Lowest), Some(Best::Highest));
    [
        // A stronger penalty makes a greater loss and no worse model.
        ("train_loss", None, Within::Loss),
        ("train_loss_penalty", None, Within::Loss),
        ("train_loss_penalty_raw", None, Within::Loss),
        ("train_loss_auxiliary", None, Within::Loss),
        ("train_loss_prior", None, Within::Loss),
        ("train_loss_reconstruction", lowest, Within::Training),
        ("search_trainings", lowest, Within::Training),
        ("seconds", lowest, Within::Machine),
        ("samples_per_second", highest, Within::Machine),
        ("peak_memory_bytes", lowest, Within::Machine),
    ]
    .map(|(name, best, within)| (name, Declared::new(best, within)))
}

/// Writes what the metrics of these evaluations declare into a run's row; `measured` has those that were
/// named at run time. The row keeps what it says of other metrics.
pub fn declare<'a>(
    row: &mut Table,
    evaluations: impl Iterator<Item = &'a NamedEvaluation>,
    measured: &BTreeMap<String, Declared>,
) {
    let mut all = declared(row, 0);
    all.extend(own_declared().map(|(name, declared)| (name.to_owned(), declared.to_json())));
    let listed = evaluations.flat_map(NamedEvaluation::declared);
    all.extend(listed.map(|(name, declared)| (name, declared.to_json())));
    all.extend(measured.iter().map(|(name, declared)| (name.clone(), declared.to_json())));
    // Whatever was measured first.
    all.sort_keys();
    row.set(DECLARED, Values::Text(vec![Some(Json::from(all).to_string())]));
}

/// Reads what the metrics of a row declare; empty if the row does not say.
fn declared(table: &Table, row: usize) -> Map<String, Json> {
    let Some(Values::Text(kept)) = table.get(DECLARED) else { return Map::new() };
    let kept = kept.get(row).and_then(Option::as_deref);
    kept.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// Sets a setting as a column of its own type, and a table as a column for each of its keys. A setting
/// that is not given gets no column.
pub(crate) fn set_setting(table: &mut Table, name: &str, value: &Json) {
    let values = match value {
        Json::Null => return,
        Json::Object(map) => {
            map.iter().for_each(|(key, value)| set_setting(table, &format!("{name}_{key}"), value));
            return;
        }
        Json::Bool(flag) => Values::Flag(vec![Some(*flag)]),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Values::Whole(vec![Some(number)]),
            None => Values::Number(vec![number.as_f64()]),
        },
        Json::String(text) => Values::Text(vec![Some(text.clone())]),
        Json::Array(_) => Values::Text(vec![Some(value.to_string())]),
    };
    table.set(name, values);
}

/// Makes the rows of `history.parquet`: one per evaluation point.
pub fn history_table(id: &RunId, history: &[HistoryRow]) -> Table {
    let rows = history.iter().map(|row| {
        let mut table = Table::default();
        table.set("run_id", Values::Text(vec![Some(id.0.clone())]));
        table.set("epoch", Values::Whole(vec![Some(row.epoch as i64)]));
        table.set("step", Values::Whole(vec![Some(row.step as i64)]));
        for Metric { name, value } in loss_metrics(&row.loss).iter().chain(&row.metrics) {
            table.set(name.as_str(), Values::Number(vec![*value]));
        }
        table.set("seconds", Values::Number(vec![Some(row.seconds)]));
        table
    });
    Table::union(rows)
}

/// Means of the loss over training samples, as metrics.
pub fn loss_metrics(loss: &framework::train::LossMeans) -> Vec<Metric> {
    let always = [
        ("train_loss", Some(loss.total)),
        ("train_loss_reconstruction", Some(loss.reconstruction)),
        ("train_loss_penalty", Some(loss.penalty)),
        ("train_loss_penalty_raw", Some(loss.penalty_raw)),
    ];
    let asked = [("train_loss_auxiliary", loss.auxiliary), ("train_loss_prior", loss.prior)];
    let asked = asked.into_iter().filter(|(_, value)| value.is_some());
    let metric = |(name, value): (&str, Option<f64>)| Metric {
        name: name.to_owned(),
        value: value.filter(|value| value.is_finite()),
    };
    always.into_iter().chain(asked).map(metric).collect()
}

/// Columns that every table of latents has, measured or not.
const LATENT_COLUMNS: [&str; 4] =
    ["firing_rate", "mean_activation", "max_activation", "decoder_norm"];

/// Makes the rows of `latents.parquet`: one per latent.
pub fn latents_table(id: &RunId, latents: usize, columns: &[LatentColumn]) -> Table {
    let mut table = Table::default();
    table.set("run_id", Values::Text(vec![Some(id.0.clone()); latents]));
    table.set("latent", Values::Whole((0..latents as i64).map(Some).collect()));
    for name in LATENT_COLUMNS {
        table.set(name, Values::Number(vec![None; latents]));
    }
    for column in columns.iter().filter(|column| column.values.len() == latents) {
        table.set(column.name.as_str(), Values::Number(column.values.clone()));
    }
    table
}
