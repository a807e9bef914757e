//! Finds the evaluations to do on the stored model of an ended run: those that were not done, and those
//! that were done by an older definition.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use framework::plugin::{Built, EVALUATIONS, Evaluation, L0Rule};
use framework::spec::{Experiment, RunSpec, TrainLength};
use serde_json::{Map, Value as Json, json};

use super::manifest::{Brief, Manifest, Status};

/// Versions of the evaluations that a run was measured by, by name. A missing version is 1: manifests had
/// none at first.
pub type Versions = BTreeMap<String, u32>;

/// Every registered evaluation, with the settings of its example: its versions do not depend on settings.
static REGISTERED: LazyLock<Vec<Built<dyn Evaluation>>> = LazyLock::new(|| {
    EVALUATIONS.iter().filter_map(|row| row.example(Path::new("")).ok()).collect()
});

/// Part of a manifest that is about measurements.
struct Measurements<'a> {
    status: Status,
    evaluations: &'a Map<String, Json>,
    versions: &'a Versions,
}

impl Measurements<'_> {
    fn version(&self, kind: &str) -> u32 {
        self.versions.get(kind).copied().unwrap_or(1)
    }

    /// Evaluations that were done by an older definition.
    fn old(&self, rule: L0Rule) -> Vec<&'static Built<dyn Evaluation>> {
        let is_old = |built: &&Built<dyn Evaluation>| {
            self.evaluations.contains_key(built.kind)
                && self.version(built.kind) < built.plugin.version(rule)
        };
        REGISTERED.iter().filter(is_old).collect()
    }

    /// Names of the evaluations to do on the stored model: those that the experiment asks for and that
    /// were not done with these settings, and all that were done by an older definition.
    fn to_do(&self, experiment: &Experiment, run: &RunSpec) -> Vec<String> {
        let is_unreached = match self.status {
            Status::Done => false,
            Status::Unreached => true,
            _ => return Vec::new(),
        };
        let asked = &experiment.evaluate.evaluations;
        let is_missing = |built: &&Built<dyn Evaluation>| {
            !is_unreached && self.evaluations.get(built.kind) != Some(&json!(built.resolved().all))
        };
        let missing = asked.iter().filter(is_missing).map(|built| built.kind);
        let mut names: Vec<String> = missing.map(str::to_owned).collect();
        for old in self.old(run.l0_rule()) {
            if names.iter().all(|name| name != old.kind) {
                names.push(old.kind.to_owned());
            }
        }
        names
    }
}

impl Manifest {
    /// Versions of the evaluations of `experiment` on the codes of `run`.
    pub fn versions_of(experiment: &Experiment, run: &RunSpec) -> Versions {
        experiment.evaluate.versions(run.l0_rule())
    }

    /// Distance between measurements of a run while it is trained by `experiment`, in the form of
    /// [`every`](Self::every).
    pub fn every_of(experiment: &Experiment, run: &RunSpec) -> usize {
        let unless_given = match run.train.value.length {
            TrainLength::Epochs(_) => 1,
            TrainLength::Steps(_) => 0,
        };
        experiment.evaluate.every.unwrap_or(unless_given)
    }

    /// Evaluations of `experiment`, each with its settings.
    pub fn evaluations_of(experiment: &Experiment) -> Map<String, Json> {
        let settings =
            |built: &Built<dyn Evaluation>| (built.kind.to_owned(), json!(built.resolved().all));
        experiment.evaluate.evaluations.iter().map(settings).collect()
    }

    /// Names of the evaluations to do on the stored model of the run: those that `experiment` asks for
    /// and that were not done with these settings, and all that were done by an older definition. Empty
    /// if the run has no model that trained to its end.
    pub fn to_measure(&self, experiment: &Experiment, run: &RunSpec) -> Vec<String> {
        self.measurements().to_do(experiment, run)
    }

    /// Removes the evaluations that were done by an older definition, and returns the columns whose
    /// values are out of date.
    pub fn take_old(&mut self, rule: L0Rule) -> Vec<&'static str> {
        let mut columns = Vec::new();
        for old in self.measurements().old(rule) {
            let version = self.measurements().version(old.kind);
            columns.extend(old.plugin.changed_since(version, rule));
            self.evaluations.remove(old.kind);
            self.versions.remove(old.kind);
        }
        columns
    }

    /// Adds evaluations that were just done.
    pub fn add<'a>(&mut self, done: impl Iterator<Item = &'a Built<dyn Evaluation>>, rule: L0Rule) {
        for built in done {
            self.evaluations.insert(built.kind.to_owned(), json!(built.resolved().all));
            self.versions.insert(built.kind.to_owned(), built.plugin.version(rule));
        }
    }

    fn measurements(&self) -> Measurements<'_> {
        let Self { status, evaluations, versions, .. } = self;
        Measurements { status: *status, evaluations, versions }
    }
}

impl Brief {
    /// Says what the next `run` measures on the stored model; `None` if nothing.
    pub fn to_measure(&self, experiment: &Experiment, run: &RunSpec) -> Option<String> {
        let Self { status, evaluations, versions, .. } = self;
        let measurements = Measurements { status: *status, evaluations, versions };
        let old = measurements.old(run.l0_rule());
        let word = |name: String| match old.iter().any(|built| built.kind == name) {
            true => format!("{name} (again: its definition has changed)"),
            false => name,
        };
        let words: Vec<String> =
            measurements.to_do(experiment, run).into_iter().map(word).collect();
        (!words.is_empty()).then(|| format!("the next `run` measures {}", words.join(", ")))
    }
}
