//! The grid: every combination of the axes' values and the seeds, as runs.

use std::collections::HashMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::axis::Axis;
use super::experiment::Experiment;
use super::node::{Node, Table, Value};
use super::run::{DatasetSection, Normalize, RunId, RunSpec, Section};
use super::settings::{Resolved, Settings};
use super::train::Train;
use crate::diagnostics::{Diagnostic, without_repeats};
use crate::plugin::{self, ARCHITECTURES, DATASETS, PENALTIES};

/// The most runs a grid may have.
pub const MAX_RUNS: usize = 1_000_000;

impl Experiment {
    /// Every run of the grid: axes in the order of the file, the last one fastest, and each point
    /// with all seeds.
    ///
    /// # Errors
    /// Everything that is wrong with a section at any point of the grid; more runs than
    /// [`MAX_RUNS`]; two points that are the same run.
    pub fn runs(&self) -> Result<Vec<RunSpec>, Vec<Diagnostic>> {
        self.check_size()?;
        let dataset = self.variants("dataset", read_dataset);
        let architecture = self.variants("architecture", |node| {
            plugin::build("architecture", &ARCHITECTURES, node).map(|built| {
                let (kind, resolved) = (built.kind, built.resolved());
                Section::new(built, Some(kind), resolved)
            })
        });
        let penalty = self.variants("penalty", |node| {
            plugin::build("penalty", &PENALTIES, node).map(|built| {
                let (kind, resolved) = (built.kind, built.resolved());
                Section::new(built, Some(kind), resolved)
            })
        });
        let train = self.variants("train", |node| {
            Train::read(node).map(|(train, resolved)| Section::new(train, None, resolved))
        });
        match (dataset, architecture, penalty, train) {
            (Ok(dataset), Ok(architecture), Ok(penalty), Ok(train)) => {
                self.combine(&dataset, &architecture, &penalty, &train)
            }
            (dataset, architecture, penalty, train) => {
                let problems = dataset.err().into_iter().flatten();
                let problems = problems.chain(architecture.err().into_iter().flatten());
                let problems = problems.chain(penalty.err().into_iter().flatten());
                Err(without_repeats(problems.chain(train.err().into_iter().flatten()).collect()))
            }
        }
    }

    /// Refuses a grid that is too large before any of it is made.
    fn check_size(&self) -> Result<(), Vec<Diagnostic>> {
        let size = self
            .axes
            .iter()
            .try_fold(self.seeds.len(), |size, axis| size.checked_mul(axis.values.len()))
            .unwrap_or(usize::MAX);
        if size <= MAX_RUNS {
            return Ok(());
        }
        let mut largest: Vec<&Axis> = self.axes.iter().collect();
        largest.sort_by_key(|axis| std::cmp::Reverse(axis.values.len()));
        let axes: Vec<String> = largest
            .iter()
            .take(3)
            .map(|axis| format!("`{}` with {} values", axis.name, axis.values.len()))
            .collect();
        let message = format!("this grid has {size} runs; at most {MAX_RUNS} are allowed");
        let origin = largest.first().map_or(&self.origin, |axis| &axis.origin);
        Err(vec![
            Diagnostic::at(origin, message).help(format!("the largest axes: {}", axes.join(", "))),
        ])
    }

    /// The axes over a section, each with its position among all axes.
    fn axes_of<'a>(&'a self, section: &'a str) -> impl Iterator<Item = (usize, &'a Axis)> {
        self.axes.iter().enumerate().filter(move |(_, axis)| axis.path[0] == section)
    }

    /// Every variant of a section that the grid asks for, read once each.
    fn variants<T>(
        &self,
        section: &'static str,
        read: impl Fn(&Node) -> Result<Section<T>, Vec<Diagnostic>>,
    ) -> Result<Variants<T>, Vec<Diagnostic>> {
        let axes: Vec<(usize, &Axis)> = self.axes_of(section).collect();
        let base = self
            .sections
            .iter()
            .find(|(name, _)| *name == section)
            .and_then(|(_, node)| node.clone());
        let whole = axes.iter().position(|(_, axis)| axis.path.len() == 1);
        if base.is_none() && whole.is_none() {
            let message = format!("an experiment needs a section `[{section}]`");
            let mut problem = Diagnostic::at(&self.origin, message);
            if let Some((_, axis)) = axes.first() {
                problem = problem.related(&axis.origin, "this axis varies it");
            }
            return Err(vec![problem]);
        }
        let count = axes.iter().map(|(_, axis)| axis.values.len()).product();
        let mut sections = Vec::with_capacity(count);
        let mut problems = Vec::new();
        for variant in 0..count {
            let indices = unflatten(variant, axes.iter().map(|(_, axis)| axis.values.len()));
            let node = variant_node(base.as_ref(), &axes, &indices, whole);
            match node.and_then(|node| read(&node)) {
                Ok(section) => sections.push(Arc::new(section)),
                Err(found) => {
                    let whole = whole.map(|at| &axes[at].1.values[indices[at]]);
                    problems
                        .extend(found.into_iter().map(|problem| explain(problem, &axes, whole)));
                }
            }
        }
        if problems.is_empty() {
            let axes = axes.iter().map(|(at, axis)| (*at, axis.values.len())).collect();
            Ok(Variants { axes, sections })
        } else {
            Err(without_repeats(problems))
        }
    }

    fn combine(
        &self,
        dataset: &Variants<DatasetSection>,
        architecture: &Variants<plugin::Built<dyn plugin::Architecture>>,
        penalty: &Variants<plugin::Built<dyn plugin::Penalty>>,
        train: &Variants<Train>,
    ) -> Result<Vec<RunSpec>, Vec<Diagnostic>> {
        let points: usize = self.axes.iter().map(|axis| axis.values.len()).product();
        let mut runs = Vec::with_capacity(points * self.seeds.len());
        let mut known: HashMap<RunId, usize> = HashMap::with_capacity(runs.capacity());
        let mut problems = Vec::new();
        for point in 0..points {
            let indices = unflatten(point, self.axes.iter().map(|axis| axis.values.len()));
            let (dataset, architecture, penalty, train) = (
                dataset.at(&indices),
                architecture.at(&indices),
                penalty.at(&indices),
                train.at(&indices),
            );
            for &seed in &self.seeds {
                let id = RunSpec::name(dataset, architecture, penalty, train, seed);
                if let Some(first) = known.insert(id.clone(), point) {
                    problems.push(self.same_run(first, point));
                    break;
                }
                let point = self.axes.iter().zip(&indices);
                let point = point
                    .map(|(axis, at)| (axis.name.clone(), axis.values[*at].to_toml()))
                    .collect();
                runs.push(RunSpec {
                    id,
                    seed,
                    dataset: dataset.clone(),
                    architecture: architecture.clone(),
                    penalty: penalty.clone(),
                    train: train.clone(),
                    point,
                });
            }
        }
        if problems.is_empty() { Ok(runs) } else { Err(without_repeats(problems)) }
    }

    /// Two points of the grid that mean the same.
    fn same_run(&self, first: usize, second: usize) -> Diagnostic {
        let lengths = || self.axes.iter().map(|axis| axis.values.len());
        let (first, second) = (unflatten(first, lengths()), unflatten(second, lengths()));
        let words = |indices: &[usize]| {
            let values = self.axes.iter().zip(indices);
            let values: Vec<String> = values
                .map(|(axis, at)| format!("{} = {}", axis.name, axis.values[*at].to_toml()))
                .collect();
            values.join(", ")
        };
        let message = format!(
            "two points of the grid are the same run: ({}) and ({})",
            words(&first),
            words(&second)
        );
        let differing = (0..self.axes.len()).find(|at| first[*at] != second[*at]);
        match differing.map(|at| &self.axes[at]) {
            Some(axis) => {
                let at = self.axes.iter().position(|other| other.path == axis.path).unwrap_or(0);
                Diagnostic::at(&axis.values[second[at]].origin, message)
                    .related(&axis.values[first[at]].origin, "the same meaning as this")
            }
            None => Diagnostic::at(&self.origin, message),
        }
    }
}

/// The variants of a section, and which axes choose between them.
struct Variants<T> {
    /// Positions among all axes, and lengths.
    axes: Vec<(usize, usize)>,
    sections: Vec<Arc<Section<T>>>,
}

impl<T> Variants<T> {
    /// The variant at a point of the grid.
    fn at(&self, indices: &[usize]) -> &Arc<Section<T>> {
        let flat = self.axes.iter().fold(0, |flat, (axis, length)| flat * length + indices[*axis]);
        &self.sections[flat]
    }
}

/// The index on each axis of the `flat`-th combination, the last axis fastest.
fn unflatten(
    mut flat: usize,
    lengths: impl DoubleEndedIterator<Item = usize> + ExactSizeIterator,
) -> Vec<usize> {
    let mut indices = vec![0; lengths.len()];
    for (index, length) in indices.iter_mut().zip(lengths).rev() {
        *index = flat % length;
        flat /= length;
    }
    indices
}

/// A section with the values of its axes: a whole section first, then single settings.
fn variant_node(
    base: Option<&Node>,
    axes: &[(usize, &Axis)],
    indices: &[usize],
    whole: Option<usize>,
) -> Result<Node, Vec<Diagnostic>> {
    let chosen = whole.map(|at| &axes[at].1.values[indices[at]]);
    let Some(mut node) = chosen.or(base).cloned() else {
        unreachable!("a section without a base has an axis of whole sections")
    };
    for ((_, axis), index) in axes.iter().zip(indices) {
        if let [_, path @ ..] = axis.path.as_slice()
            && !path.is_empty()
        {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let value = axis.values[*index].clone();
            node.set_path(&path, &axis.origin, value).map_err(|problem| vec![problem])?;
        }
    }
    Ok(node)
}

/// Where an axis sets what one of the sections of another axis does not have, both are named.
fn explain(problem: Diagnostic, axes: &[(usize, &Axis)], whole: Option<&Node>) -> Diagnostic {
    let Some(whole) = whole else { return problem };
    let at = problem.origin.as_ref().map(ToString::to_string);
    match axes.iter().find(|(_, axis)| at.as_ref() == Some(&axis.origin.to_string())) {
        Some((_, axis)) => {
            let label = format!("the axis `{}` applies to this value too", axis.name);
            problem.related(&whole.origin, label)
        }
        None => problem,
    }
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DatasetTable {
    /// How samples are scaled before the model sees them; fitted on the training rows.
    #[serde(default)]
    normalize: Normalize,
}

/// Reads `[dataset]`: `normalize` is for every dataset, the rest is the plugin's.
fn read_dataset(node: &Node) -> Result<Section<DatasetSection>, Vec<Diagnostic>> {
    let mut own = Table::default();
    let mut rest = node.clone();
    if let Value::Table(table) = &mut rest.value {
        own.entries.extend(table.remove("normalize"));
    }
    let own =
        Settings::new("dataset", Node { origin: node.origin.clone(), value: Value::Table(own) });
    match (plugin::build("dataset", &DATASETS, &rest), own.read::<DatasetTable>()) {
        (Ok(dataset), Ok(table)) => {
            let (kind, Resolved { mut all, mut changed }) = (dataset.kind, dataset.resolved());
            let normalize = json!(table.normalize);
            all.insert("normalize".into(), normalize.clone());
            if table.normalize != Normalize::None {
                changed.insert("normalize".into(), normalize);
            }
            let section = DatasetSection { dataset, normalize: table.normalize };
            Ok(Section::new(section, Some(kind), Resolved { all, changed }))
        }
        (dataset, table) => {
            let problems = dataset.err().into_iter().flatten();
            Err(problems.chain(table.err().into_iter().flatten()).collect())
        }
    }
}
