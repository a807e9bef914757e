//! Finds the evaluations to do on the stored model of an ended run: those that were not done, and those
//! that were done by an older definition.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use framework::plugin::{Built, EVALUATIONS, Evaluation, EvaluationName, L0Rule, NamedEvaluation};
use framework::spec::{Experiment, RunSpec, TrainLength};
use serde_json::{Map, Value as Json};

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
    fn version(&self, name: &str) -> u32 {
        self.versions.get(name).copied().unwrap_or(1)
    }

    /// Evaluations that were done by an older definition.
    fn old(&self, rule: L0Rule) -> Vec<OldEvaluation> {
        let old = |(name, settings): (&String, &Json)| {
            let kind = settings.get("kind").and_then(Json::as_str);
            let is_its = |built: &&Built<dyn Evaluation>| built.kind == kind.unwrap_or(name);
            let built = REGISTERED.iter().find(is_its)?;
            let name = EvaluationName::new(built.kind, kind.map(|_| name.clone()));
            let is_old = self.version(name.as_str()) < built.plugin.version(rule);
            is_old.then_some(OldEvaluation { name, built })
        };
        self.evaluations.iter().filter_map(old).collect()
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
        let is_missing = |one: &&NamedEvaluation| {
            !is_unreached && self.evaluations.get(one.name()) != Some(&one.kept())
        };
        let missing = asked.iter().filter(is_missing).map(NamedEvaluation::name);
        let mut names: Vec<String> = missing.map(str::to_owned).collect();
        for old in self.old(run.l0_rule()) {
            let name = old.name.as_str();
            if names.iter().all(|known| known != name) {
                names.push(name.to_owned());
            }
        }
        names
    }
}

/// An evaluation that a run was measured by, of an older version.
struct OldEvaluation {
    name: EvaluationName,
    built: &'static Built<dyn Evaluation>,
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
        let settings = |one: &NamedEvaluation| (one.name().to_owned(), one.kept());
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
    pub fn take_old(&mut self, rule: L0Rule) -> Vec<String> {
        let mut columns = Vec::new();
        for OldEvaluation { name, built } in self.measurements().old(rule) {
            let version = self.measurements().version(name.as_str());
            let changed = built.plugin.changed_since(version, rule);
            columns.extend(changed.map(|column| name.column(column)));
            self.evaluations.remove(name.as_str());
            self.versions.remove(name.as_str());
        }
        columns
    }

    /// Adds evaluations that were just done.
    pub fn add<'a>(&mut self, done: impl Iterator<Item = &'a NamedEvaluation>, rule: L0Rule) {
        for one in done {
            self.evaluations.insert(one.name().to_owned(), one.kept());
            self.versions.insert(one.name().to_owned(), one.version(rule));
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
        let word = |name: String| match old.iter().any(|old| old.name.as_str() == name) {
            true => format!("{name} (again: its definition has changed)"),
            false => name,
        };
        let words: Vec<String> =
            measurements.to_do(experiment, run).into_iter().map(word).collect();
        (!words.is_empty()).then(|| format!("the next `run` measures {}", words.join(", ")))
    }
}
