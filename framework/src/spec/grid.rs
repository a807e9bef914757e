//! The grid: every combination of the axes' values and the seeds, as runs.

use std::collections::HashMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::axis::Axis;
use super::experiment::Experiment;
use super::node::{Node, Table, Value};
use super::rule::{Facts, Known, Rule};
use super::run::{DatasetSection, Normalize, RunId, RunSpec, Section};
use super::settings::{Resolved, Settings};
use super::train::Train;
use crate::diagnostics::{Diagnostic, ENOUGH, Severity, without_repeats};
use crate::plugin::{self, ARCHITECTURES, DATASETS, PENALTIES};

/// The most runs a grid may have.
pub const MAX_RUNS: usize = 1_000_000;

impl Experiment {
    /// Every run of the grid, as [`Experiment::expand`] finds them.
    ///
    /// # Errors
    /// As there.
    pub fn runs(&self) -> Result<Vec<RunSpec>, Vec<Diagnostic>> {
        Ok(self.expand()?.runs)
    }

    /// Every run of the grid: dimensions in the order of the file, the last one fastest, and each
    /// point with all seeds. The runs that meet a rule of `[[grid.exclude]]` are left out; that may be
    /// all of them.
    ///
    /// # Errors
    /// Everything that is wrong with a section at any point of the grid; more runs than
    /// [`MAX_RUNS`]; two points that are the same run; rules on settings that no run has.
    pub fn expand(&self) -> Result<Expanded, Vec<Diagnostic>> {
        self.check_size()?;
        let dataset = self.variants("dataset", read_dataset);
        let architecture = self.variants("architecture", |node| {
            plugin::build("architecture", &ARCHITECTURES, node).map(of_plugin)
        });
        let penalty = self
            .variants("penalty", |node| plugin::build("penalty", &PENALTIES, node).map(of_plugin));
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

    /// The length of each dimension of the grid.
    fn dimensions(&self) -> Vec<usize> {
        let mut lengths = Vec::new();
        for axis in &self.sweep.axes {
            if axis.dimension == lengths.len() {
                lengths.push(axis.values.len());
            }
        }
        lengths
    }

    /// Refuses a grid that is too large before any of it is made.
    fn check_size(&self) -> Result<(), Vec<Diagnostic>> {
        let size = self
            .dimensions()
            .iter()
            .try_fold(self.seeds.len(), |size, length| size.checked_mul(*length))
            .unwrap_or(usize::MAX);
        if size <= MAX_RUNS {
            return Ok(());
        }
        let mut largest: Vec<&Axis> = self.sweep.axes.iter().collect();
        largest.sort_by_key(|axis| std::cmp::Reverse(axis.values.len()));
        let axes: Vec<String> = largest
            .iter()
            .take(3)
            .map(|axis| format!("`{}` with {} values", axis.name, axis.values.len()))
            .collect();
        let message = format!("this grid has {size} runs; at most {MAX_RUNS} are allowed");
        let origin = largest.first().map_or(&self.origin, |axis| &axis.origin);
        let help = format!("the largest axes: {}", axes.join(", "));
        Err(vec![Diagnostic::at(origin, message).help(help)])
    }

    /// Every variant of a section that the grid asks for, read once each.
    fn variants<T>(
        &self,
        section: &'static str,
        read: impl Fn(&Node) -> Result<Section<T>, Vec<Diagnostic>>,
    ) -> Result<Variants<T>, Vec<Diagnostic>> {
        let axes: Vec<&Axis> =
            self.sweep.axes.iter().filter(|axis| axis.path[0] == section).collect();
        let written = self.sections.iter().find(|(name, _)| *name == section);
        let base = written.and_then(|(_, node)| node.as_ref());
        let whole = axes.iter().copied().find(|axis| axis.path.len() == 1);
        if base.is_none() && whole.is_none() {
            let message = format!("an experiment needs a section `[{section}]`");
            let mut problem = Diagnostic::at(&self.origin, message);
            if let Some(axis) = axes.first() {
                problem = problem.related(&axis.origin, "this axis varies it");
            }
            return Err(vec![problem]);
        }
        let lengths = self.dimensions();
        let mut over: Vec<usize> = axes.iter().map(|axis| axis.dimension).collect();
        over.dedup();
        let over: Vec<(usize, usize)> =
            over.into_iter().map(|dimension| (dimension, lengths[dimension])).collect();
        let count = over.iter().map(|(_, length)| length).product();
        let mut sections = Vec::with_capacity(count);
        let mut problems = Vec::new();
        for variant in 0..count {
            // The place in the whole grid, as far as it concerns this section.
            let mut place = vec![0; lengths.len()];
            let indices = unflatten(variant, over.iter().map(|(_, length)| *length));
            over.iter().zip(indices).for_each(|((dimension, _), index)| place[*dimension] = index);
            let chosen = whole.map(|axis| axis.value(&place));
            let node = variant_node(chosen.or(base), &axes, &place);
            match node.and_then(|node| read(&node)) {
                Ok(section) => sections.push(Arc::new(section)),
                Err(found) => {
                    problems
                        .extend(found.into_iter().map(|problem| explain(problem, &axes, chosen)));
                    problems = without_repeats(problems);
                    if problems.len() >= ENOUGH {
                        break;
                    }
                }
            }
        }
        if problems.is_empty() { Ok(Variants { over, sections }) } else { Err(problems) }
    }

    fn combine(
        &self,
        dataset: &Variants<DatasetSection>,
        architecture: &Variants<plugin::Built<dyn plugin::Architecture>>,
        penalty: &Variants<plugin::Built<dyn plugin::Penalty>>,
        train: &Variants<Train>,
    ) -> Result<Expanded, Vec<Diagnostic>> {
        let dimensions = self.dimensions();
        let points: usize = dimensions.iter().product();
        let mut runs = Vec::with_capacity(points * self.seeds.len());
        let mut known: HashMap<RunId, usize> = HashMap::with_capacity(runs.capacity());
        let mut problems = Vec::new();
        let mut excludes = Excludes::new(&self.sweep.exclude);
        let words: Vec<Vec<String>> = self
            .sweep
            .axes
            .iter()
            .map(|axis| axis.values.iter().map(Node::to_words).collect())
            .collect();
        for point in 0..points {
            if problems.len() >= ENOUGH {
                break;
            }
            let place = unflatten(point, dimensions.iter().copied());
            let (dataset, architecture) = (dataset.at(&place), architecture.at(&place));
            let (penalty, train) = (penalty.at(&place), train.at(&place));
            let facts =
                [&dataset.settings, &architecture.settings, &penalty.settings, &train.settings];
            let rules = excludes.rules_at(&facts);
            let value = |(axis, words): (&Axis, &Vec<String>)| {
                (axis.name.clone(), words[place[axis.dimension]].clone())
            };
            let values: Arc<[_]> = self.sweep.axes.iter().zip(&words).map(value).collect();
            for &seed in &self.seeds {
                if excludes.exclude(&rules, seed) {
                    continue;
                }
                let id = RunSpec::name(dataset, architecture, penalty, train, seed);
                if let Some(first) = known.insert(id.clone(), point) {
                    let first = unflatten(first, dimensions.iter().copied());
                    problems.push(self.same_run(&first, &place));
                    break;
                }
                runs.push(RunSpec {
                    id,
                    seed,
                    dataset: dataset.clone(),
                    architecture: architecture.clone(),
                    penalty: penalty.clone(),
                    train: train.clone(),
                    point: values.clone(),
                });
            }
        }
        let idle = excludes.idle(|| {
            let mut known = Known::default();
            known.add_seeds(&self.seeds);
            dataset.tell("dataset", &mut known);
            architecture.tell("architecture", &mut known);
            penalty.tell("penalty", &mut known);
            train.tell("train", &mut known);
            known
        });
        let (errors, warnings): (Vec<_>, Vec<_>) =
            idle.into_iter().partition(|problem| problem.severity == Severity::Error);
        problems.extend(errors);
        if problems.is_empty() {
            Ok(Expanded { runs, warnings })
        } else {
            Err(without_repeats(problems))
        }
    }

    /// What is wrong where the rules of `[[grid.exclude]]` leave no run.
    pub fn none_left(&self) -> Diagnostic {
        let size = self.dimensions().iter().product::<usize>() * self.seeds.len();
        let message = format!("no run is left: each of the {size} runs of this grid is excluded");
        match self.sweep.exclude.as_slice() {
            [] => Diagnostic::at(&self.origin, message),
            [first, rest @ ..] => {
                let problem = Diagnostic::at(&first.origin, message);
                let problem =
                    problem.help("a run is excluded where all conditions of one rule hold");
                rest.iter().fold(problem, |problem, rule| {
                    problem.related(&rule.origin, "this rule excludes runs too")
                })
            }
        }
    }

    /// Two places in the grid that mean the same.
    fn same_run(&self, first: &[usize], second: &[usize]) -> Diagnostic {
        let words = |place: &[usize]| {
            let value = |axis: &Axis| format!("{} = {}", axis.name, axis.value(place).to_toml());
            self.sweep.axes.iter().map(value).collect::<Vec<_>>().join(", ")
        };
        let (one, other) = (words(first), words(second));
        let message = format!("two points of the grid are the same run: ({one}) and ({other})");
        match self.sweep.axes.iter().find(|axis| first[axis.dimension] != second[axis.dimension]) {
            Some(axis) => Diagnostic::at(&axis.value(second).origin, message)
                .related(&axis.value(first).origin, "the same meaning as this"),
            None => Diagnostic::at(&self.origin, message),
        }
    }
}

/// A grid as runs.
pub struct Expanded {
    /// The runs.
    pub runs: Vec<RunSpec>,
    /// What is no mistake, but probably not what was meant.
    pub warnings: Vec<Diagnostic>,
}

/// The rules of `[[grid.exclude]]` while runs go by.
struct Excludes<'a> {
    rules: &'a [Rule],
    /// Whether each has excluded a run.
    met: Vec<bool>,
}

impl<'a> Excludes<'a> {
    fn new(rules: &'a [Rule]) -> Self {
        Self { rules, met: vec![false; rules.len()] }
    }

    /// The rules that hold at a point of the grid, whatever they say of seeds.
    fn rules_at(&self, facts: &Facts<'_>) -> Vec<usize> {
        (0..self.rules.len()).filter(|rule| self.rules[*rule].holds(facts)).collect()
    }

    /// Whether one of these rules excludes the run of a seed.
    fn exclude(&mut self, rules: &[usize], seed: u64) -> bool {
        let mut excluded = false;
        for &rule in rules {
            let holds = self.rules[rule].holds_for_seed(seed);
            self.met[rule] |= holds;
            excluded |= holds;
        }
        excluded
    }

    /// What there is to say of the rules that excluded nothing.
    fn idle(&self, known: impl FnOnce() -> Known) -> Vec<Diagnostic> {
        if self.met.iter().all(|met| *met) {
            return Vec::new();
        }
        let known = known();
        let idle = self.rules.iter().zip(&self.met).filter(|(_, met)| !**met);
        idle.flat_map(|(rule, _)| rule.explain("this rule excludes no run", &known)).collect()
    }
}

/// The variants of a section, and which dimensions choose between them.
struct Variants<T> {
    /// Dimensions of the grid, and their lengths.
    over: Vec<(usize, usize)>,
    sections: Vec<Arc<Section<T>>>,
}

impl<T> Variants<T> {
    /// The variant at a place in the grid.
    fn at(&self, place: &[usize]) -> &Arc<Section<T>> {
        let flat = self.over.iter().fold(0, |flat, (at, length)| flat * length + place[*at]);
        &self.sections[flat]
    }

    /// Makes the settings of every variant known.
    fn tell(&self, section: &str, known: &mut Known) {
        self.sections.iter().for_each(|variant| known.add_section(section, &variant.settings));
    }
}

/// The index in each dimension of the `flat`-th point, the last dimension fastest.
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

/// A section with the values of its axes over single settings.
fn variant_node(
    section: Option<&Node>,
    axes: &[&Axis],
    place: &[usize],
) -> Result<Node, Vec<Diagnostic>> {
    let Some(mut node) = section.cloned() else {
        unreachable!("a section without a base has an axis of whole sections")
    };
    for axis in axes.iter().filter(|axis| axis.path.len() > 1) {
        let path: Vec<&str> = axis.path[1..].iter().map(String::as_str).collect();
        let value = axis.value(place).clone();
        node.set_path(&path, &axis.origin, value).map_err(|problem| vec![problem])?;
    }
    Ok(node)
}

/// Where an axis sets what one of the sections of another axis does not have, both are named.
fn explain(problem: Diagnostic, axes: &[&Axis], whole: Option<&Node>) -> Diagnostic {
    let Some(whole) = whole else { return problem };
    let at = problem.origin.as_ref().map(ToString::to_string);
    match axes.iter().find(|axis| at.as_ref() == Some(&axis.origin.to_string())) {
        Some(axis) => {
            let label = format!("the axis `{}` applies to this value too", axis.name);
            problem.related(&whole.origin, label)
        }
        None => problem,
    }
}

/// The section of a plugin.
fn of_plugin<T: ?Sized>(built: plugin::Built<T>) -> Section<plugin::Built<T>> {
    let (kind, resolved) = (built.kind, built.settings.take_resolved());
    Section::new(built, Some(kind), resolved)
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
            let Resolved { mut all, mut changed } = dataset.settings.take_resolved();
            let normalize = json!(table.normalize);
            all.insert("normalize".into(), normalize.clone());
            if table.normalize != Normalize::None {
                changed.insert("normalize".into(), normalize);
            }
            let section = DatasetSection { dataset, normalize: table.normalize };
            let kind = section.dataset.kind;
            Ok(Section::new(section, Some(kind), Resolved { all, changed }))
        }
        (dataset, table) => {
            let problems = dataset.err().into_iter().flatten();
            Err(problems.chain(table.err().into_iter().flatten()).collect())
        }
    }
}
