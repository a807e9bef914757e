//! The sections of a grid's runs: each variant that the axes make of one is read once, when the first
//! run needs it.

use std::collections::HashMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::axis::{Axis, Place, SECTIONS};
use super::experiment::Experiment;
use super::node::{Node, TomlTable, Value};
use super::rule::{KnownKeys, RunFacts};
use super::run::{DatasetSection, Normalize, Section};
use super::settings::{Resolved, Settings};
use super::target::{Target, read_penalty, read_target};
use super::train::{Parsed, Train};
use crate::diagnostics::{Diagnostic, ENOUGH, Origin, without_repeats};
use crate::plugin::{self, ARCHITECTURES, Architecture, Built, DATASETS, PENALTIES, Penalty};

/// The variants of every section.
pub struct Sections<'a> {
    dataset: Variants<'a, DatasetSection>,
    architecture: Variants<'a, Built<dyn Architecture>>,
    penalty: Variants<'a, Built<dyn Penalty>>,
    /// The penalties of runs that have a target.
    searched: Variants<'a, Built<dyn Penalty>>,
    train: Variants<'a, Train>,
    target: Variants<'a, Option<Target>>,
}

/// Which variant of each section stands at a place in the grid.
pub type ChosenVariants = [usize; SECTIONS.len()];

/// The sections of a run.
pub struct Parts {
    /// The data.
    pub dataset: Arc<Section<DatasetSection>>,
    /// The model.
    pub architecture: Arc<Section<Built<dyn Architecture>>>,
    /// What makes the code sparse.
    pub penalty: Arc<Section<Built<dyn Penalty>>>,
    /// How it is trained.
    pub train: Arc<Section<Train>>,
    /// What is to be reached.
    pub target: Arc<Section<Option<Target>>>,
}

impl<'a> Sections<'a> {
    /// The sections of an experiment; nothing is read yet.
    pub fn new(experiment: &'a Experiment) -> Self {
        Self {
            dataset: Variants::new(experiment, "dataset", read_dataset),
            architecture: Variants::new(experiment, "architecture", |node| {
                plugin::build("architecture", &ARCHITECTURES, node).map(of_plugin)
            }),
            penalty: Variants::new(experiment, "penalty", |node| {
                plugin::build("penalty", &PENALTIES, node).map(of_plugin)
            }),
            searched: Variants::new(experiment, "penalty", read_penalty),
            train: Variants::new(experiment, "train", |node| {
                Train::read(node).map(|(train, resolved)| Section::new(train, None, resolved))
            }),
            target: Variants::new(experiment, "target", read_target),
        }
    }

    /// Reads what stands at a place in the grid.
    pub fn at(&mut self, place: &Place) -> ChosenVariants {
        let target = self.target.at(place);
        let penalty = match self.has_target(target) {
            true => self.searched.at(place),
            false => self.penalty.at(place),
        };
        let (dataset, architecture) = (self.dataset.at(place), self.architecture.at(place));
        [dataset, architecture, penalty, self.train.at(place), target]
    }

    /// Whether a variant of the target is one.
    fn has_target(&self, target: usize) -> bool {
        match &self.target.variants[target] {
            Variant::Right(section) => section.value.is_some(),
            Variant::Wrong { .. } => true,
        }
    }

    /// The settings that were read.
    pub fn facts(
        &self,
        [dataset, architecture, penalty, train, target]: ChosenVariants,
    ) -> RunFacts<'_> {
        let penalties = if self.has_target(target) { &self.searched } else { &self.penalty };
        [
            self.dataset.variants[dataset].settings(),
            self.architecture.variants[architecture].settings(),
            penalties.variants[penalty].settings(),
            self.train.variants[train].settings(),
            self.target.variants[target].settings(),
        ]
    }

    /// The sections that stand at a place in the grid. Where one is wrong there are none, and what is
    /// wrong is kept.
    pub fn parts(&mut self, place: &Place, chosen: ChosenVariants) -> Option<Parts> {
        let [dataset, architecture, penalty, train, target] = chosen;
        let has_target = self.has_target(target);
        let penalties = if has_target { &mut self.searched } else { &mut self.penalty };
        let penalty = penalties.section(place, penalty);
        let dataset = self.dataset.section(place, dataset);
        let architecture = self.architecture.section(place, architecture);
        let train = self.train.section(place, train);
        let target = self.target.section(place, target);
        Some(Parts {
            dataset: dataset?,
            architecture: architecture?,
            penalty: penalty?,
            train: train?,
            target: target?,
        })
    }

    /// What is wrong with the sections that runs needed.
    pub fn problems(&mut self) -> Vec<Diagnostic> {
        let mut problems = std::mem::take(&mut self.dataset.problems);
        problems.append(&mut self.architecture.problems);
        problems.append(&mut self.penalty.problems);
        problems.append(&mut self.searched.problems);
        problems.append(&mut self.train.problems);
        problems.append(&mut self.target.problems);
        without_repeats(problems)
    }

    /// The settings of every variant.
    pub fn known(&self, seeds: &[u64]) -> KnownKeys {
        let mut known = KnownKeys::default();
        known.add_seeds(seeds);
        self.dataset.tell(&mut known);
        self.architecture.tell(&mut known);
        self.penalty.tell(&mut known);
        self.searched.tell(&mut known);
        self.train.tell(&mut known);
        self.target.tell(&mut known);
        known
    }
}

/// The variants of a section.
struct Variants<'a, T> {
    name: &'static str,
    /// The file, where the section is missing.
    origin: &'a Origin,
    /// The section as written.
    base: Option<&'a Node>,
    /// Its axes.
    axes: Vec<&'a Axis>,
    /// The dimensions of the grid that choose between variants.
    over: Vec<usize>,
    read: fn(&Node) -> Parsed<Section<T>>,
    /// The variant at a place in those dimensions.
    index: HashMap<Box<Place>, usize>,
    /// The place that was last asked for: memory that is used again.
    key: Vec<Option<u32>>,
    variants: Vec<Variant<T>>,
    problems: Vec<Diagnostic>,
}

enum Variant<T> {
    Right(Arc<Section<T>>),
    /// With its settings as they are written, and whether it has been said what is wrong.
    Wrong {
        written: Map<String, Json>,
        said: bool,
    },
}

impl<T> Variant<T> {
    /// The settings that conditions are about. An axis that applies only where a condition holds may
    /// give what a section lacks without it: so of a section that is wrong, what is written counts.
    fn settings(&self) -> &Map<String, Json> {
        match self {
            Self::Right(section) => &section.settings,
            Self::Wrong { written, .. } => written,
        }
    }
}

impl<'a, T> Variants<'a, T> {
    fn new(
        experiment: &'a Experiment,
        name: &'static str,
        read: fn(&Node) -> Parsed<Section<T>>,
    ) -> Self {
        let axes: Vec<&Axis> =
            experiment.sweep.axes.iter().filter(|axis| axis.path[0] == name).collect();
        let mut over: Vec<usize> = axes.iter().map(|axis| axis.dimension).collect();
        over.dedup();
        let written = experiment.sections.iter().find(|(section, _)| *section == name);
        let base = written.and_then(|(_, node)| node.as_ref());
        let origin = &experiment.origin;
        let (index, key, variants, problems) = Default::default();
        Self { name, origin, base, axes, over, read, index, key, variants, problems }
    }

    /// The variant at a place in the grid.
    fn at(&mut self, place: &Place) -> usize {
        self.key.clear();
        self.key.extend(self.over.iter().map(|dimension| place[*dimension]));
        if let Some(variant) = self.index.get(self.key.as_slice()) {
            return *variant;
        }
        let wrong = |written: Map<String, Json>| Variant::Wrong { written, said: false };
        let variant = match self.node(place) {
            // Enough is said of this section: the grid is refused, whatever else is in it.
            _ if self.problems.len() >= ENOUGH => wrong(Map::new()),
            Ok(node) => match (self.read)(&node) {
                Ok(section) => Variant::Right(Arc::new(section)),
                Err(_) => wrong(node.as_table().map(written).unwrap_or_default()),
            },
            Err(_) => wrong(Map::new()),
        };
        self.variants.push(variant);
        self.index.insert(self.key.as_slice().into(), self.variants.len() - 1);
        self.variants.len() - 1
    }

    /// The section of a run at `place`; what is wrong with it is kept, up to [`ENOUGH`].
    fn section(&mut self, place: &Place, variant: usize) -> Option<Arc<Section<T>>> {
        let said = match &mut self.variants[variant] {
            Variant::Right(section) => return Some(section.clone()),
            Variant::Wrong { said, .. } => std::mem::replace(said, true),
        };
        if !said && self.problems.len() < ENOUGH {
            let whole = self.whole(place);
            let found = self.node(place).and_then(|node| (self.read)(&node)).err();
            let found = found.into_iter().flatten();
            let found = found.map(|problem| explain(problem, &self.axes, whole));
            self.problems.extend(found);
            self.problems = without_repeats(std::mem::take(&mut self.problems));
        }
        None
    }

    /// The whole section that an axis gives.
    fn whole(&self, place: &Place) -> Option<&'a Node> {
        let mut axes = self.axes.iter().filter(|axis| axis.path.len() == 1);
        axes.find_map(|axis| axis.value(place))
    }

    /// The section at a place in the grid: as written or of an axis of whole sections, with the
    /// values of the axes over single settings.
    fn node(&self, place: &Place) -> Result<Node, Vec<Diagnostic>> {
        let Some(mut node) = self.whole(place).or(self.base).cloned() else {
            let message = format!("an experiment needs a section `[{}]`", self.name);
            let kinds = plugin::kinds().into_iter().find(|(kind, _)| *kind == self.name);
            let names = kinds.iter().flat_map(|(_, rows)| rows).map(|row| row.name);
            let names = names.collect::<Vec<_>>().join(", ");
            let help = format!("with a `kind`, one of: {names}");
            let mut problem = Diagnostic::at(self.origin, message).help(help);
            if let Some(axis) = self.axes.first() {
                problem = problem.related(&axis.origin, "this axis varies it");
            }
            return Err(vec![problem]);
        };
        for axis in self.axes.iter().filter(|axis| axis.path.len() > 1) {
            let Some(value) = axis.value(place) else { continue };
            let path: Vec<&str> = axis.path[1..].iter().map(String::as_str).collect();
            let set = node.set_path(&path, &axis.origin, value.clone());
            set.map_err(|problem| vec![problem])?;
        }
        Ok(node)
    }

    fn tell(&self, known: &mut KnownKeys) {
        let settings = self.variants.iter().map(Variant::settings);
        settings.for_each(|settings| known.add_section(self.name, settings));
    }
}

/// Settings as they are written; what is no table and no single value is none that conditions ask
/// for.
fn written(table: &TomlTable) -> Map<String, Json> {
    let json = |node: &Node| match &node.value {
        Value::TomlTable(table) => Json::Object(written(table)),
        Value::String(text) => json!(text),
        Value::Integer(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::Boolean(flag) => json!(flag),
        Value::Array(_) | Value::Datetime(_) => Json::Null,
    };
    table.entries.iter().map(|entry| (entry.key.clone(), json(&entry.node))).collect()
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
pub(super) fn of_plugin<T: ?Sized>(built: plugin::Built<T>) -> Section<plugin::Built<T>> {
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
    let mut own = TomlTable::default();
    let mut rest = node.clone();
    if let Value::TomlTable(table) = &mut rest.value {
        own.entries.extend(table.remove("normalize"));
    }
    let own = Settings::new(
        "dataset",
        Node { origin: node.origin.clone(), value: Value::TomlTable(own) },
    );
    match (
        plugin::build_beside("dataset", &DATASETS, &rest, &["kind", "normalize"]),
        own.read::<DatasetTable>(),
    ) {
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
