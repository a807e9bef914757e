//! The variants that the axes of a grid make of one section: each is read once, when the first run
//! needs it.

use std::collections::HashMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::axis::{Axis, Place};
use super::entries::entry_names;
use super::experiment::Experiment;
use super::filled::with_activation;
use super::node::{Node, TomlTable, Value};
use super::rule::KnownKeys;
use super::run::{DatasetSection, Normalize, Section};
use super::sections::is_list;
use super::settings::{Resolved, Settings};
use super::train::Parsed;
use crate::diagnostics::{Diagnostic, ENOUGH, Origin, without_repeats};
use crate::plugin::{self, Activation, DATASETS};

/// What other sections of a run say about how a section is read.
#[derive(Clone, Copy, Default)]
pub(super) struct Beside {
    /// Whether the run has a target.
    pub(super) has_target: bool,
    /// The activation that the penalty is for, if it is for one alone.
    pub(super) activation: Option<Activation>,
}

/// The variants of a section.
pub(super) struct Variants<'a, T> {
    name: &'static str,
    /// The file, where the section is missing.
    origin: &'a Origin,
    /// The section as written.
    base: Option<&'a Node>,
    /// Its axes.
    axes: Vec<&'a Axis>,
    /// The dimensions of the grid that choose between variants.
    over: Vec<usize>,
    read: Read<T>,
    /// Reads the section of a run that has a target, where that differs.
    beside_target: Option<Read<T>>,
    /// The variant at a place in those dimensions.
    index: HashMap<Box<Place>, usize>,
    /// The place that was last asked for: memory that is used again.
    key: Vec<Option<u32>>,
    variants: Vec<Variant<T>>,
    pub(super) problems: Vec<Diagnostic>,
}

/// Reads a section.
type Read<T> = fn(&Node) -> Parsed<Section<T>>;

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
    pub(super) fn new(
        experiment: &'a Experiment,
        name: &'static str,
        read: Read<T>,
        beside_target: Option<Read<T>>,
    ) -> Self {
        let axes: Vec<&Axis> =
            experiment.sweep.axes.iter().filter(|axis| axis.path[0] == name).collect();
        let mut over: Vec<usize> = axes.iter().map(|axis| axis.dimension).collect();
        over.dedup();
        let written = experiment.sections.iter().find(|(section, _)| *section == name);
        let base = written.and_then(|(_, node)| node.as_ref());
        let origin = &experiment.origin;
        let (index, key, variants, problems) = Default::default();
        Self { name, origin, base, axes, over, read, beside_target, index, key, variants, problems }
    }

    /// The variant at a place in the grid, beside such others.
    pub(super) fn at(&mut self, place: &Place, beside: Beside) -> usize {
        self.key.clear();
        self.key.extend(self.over.iter().map(|dimension| place[*dimension]));
        if self.beside_target.is_some() {
            self.key.push(Some(u32::from(beside.has_target)));
        }
        if self.takes_activation() {
            self.key.push(beside.activation.map(|activation| activation as u32));
        }
        if let Some(variant) = self.index.get(self.key.as_slice()) {
            return *variant;
        }
        let wrong = |written: Map<String, Json>| Variant::Wrong { written, said: false };
        let variant = match self.node(place) {
            // Enough is said of this section: the grid is refused, whatever else is in it.
            _ if self.problems.len() >= ENOUGH => wrong(Map::new()),
            Ok(node) => match self.read(&node, beside) {
                Ok(section) => Variant::Right(Arc::new(section)),
                Err(_) => wrong(written(&node)),
            },
            Err(_) => wrong(Map::new()),
        };
        self.variants.push(variant);
        self.index.insert(self.key.as_slice().into(), self.variants.len() - 1);
        self.variants.len() - 1
    }

    fn read(&self, node: &Node, beside: Beside) -> Parsed<Section<T>> {
        let activation = beside.activation.filter(|_| self.takes_activation());
        let filled = activation.and_then(|activation| with_activation(node, activation));
        // Where the architecture cannot have it, the penalty says so.
        if let Some(section) = filled.and_then(|node| (self.read)(&node).ok()) {
            return Ok(section);
        }
        match self.beside_target {
            Some(read) if beside.has_target => read(node),
            _ => (self.read)(node),
        }
    }

    /// Whether the section has the activation that the penalty is for, where it says none.
    fn takes_activation(&self) -> bool {
        self.name == "architecture"
    }

    /// The settings of a variant that conditions are about.
    pub(super) fn settings(&self, variant: usize) -> &Map<String, Json> {
        self.variants[variant].settings()
    }

    /// The section of a variant; `None` if it is wrong.
    pub(super) fn right(&self, variant: usize) -> Option<&Section<T>> {
        match &self.variants[variant] {
            Variant::Right(section) => Some(section),
            Variant::Wrong { .. } => None,
        }
    }

    /// The section of a run at `place`; what is wrong with it is kept, up to [`ENOUGH`].
    pub(super) fn section(
        &mut self,
        place: &Place,
        variant: usize,
        beside: Beside,
    ) -> Option<Arc<Section<T>>> {
        let said = match &mut self.variants[variant] {
            Variant::Right(section) => return Some(section.clone()),
            Variant::Wrong { said, .. } => std::mem::replace(said, true),
        };
        if !said && self.problems.len() < ENOUGH {
            let whole = self.whole(place);
            let found = self.node(place).and_then(|node| self.read(&node, beside)).err();
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
        let names = match &node.value {
            Value::Array(items) => entry_names(items),
            _ => Vec::new(),
        };
        for axis in self.axes.iter().filter(|axis| axis.path.len() > 1) {
            let Some(value) = axis.value(place) else { continue };
            let path: Vec<&str> = axis.path[1..].iter().map(String::as_str).collect();
            let set = match is_list(self.name) {
                true => node.set_in_entry(self.name, &names, &path, &axis.origin, value.clone()),
                false => node.set_path(&path, &axis.origin, value.clone()),
            };
            set.map_err(|problem| vec![problem])?;
        }
        Ok(node)
    }

    /// Adds the settings of every variant to those that are known.
    pub(super) fn tell(&self, known: &mut KnownKeys) {
        let settings = self.variants.iter().map(Variant::settings);
        settings.for_each(|settings| known.add_section(self.name, settings));
    }
}

/// Settings as they are written, of a list by the names of its entries; what is no table and no single value
/// is none that conditions ask for.
fn written(section: &Node) -> Map<String, Json> {
    match &section.value {
        Value::TomlTable(table) => written_table(table),
        Value::Array(items) => {
            let entry = |(item, name): (&Node, Option<String>)| {
                Some((name?, Json::Object(written_table(item.as_table()?))))
            };
            items.iter().zip(entry_names(items)).filter_map(entry).collect()
        }
        _ => Map::new(),
    }
}

fn written_table(table: &TomlTable) -> Map<String, Json> {
    let json = |node: &Node| match &node.value {
        Value::TomlTable(table) => Json::Object(written_table(table)),
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
    let is_named = |(origin, _): &(Origin, String)| origin.to_string() == whole.origin.to_string();
    if problem.related.iter().any(is_named) {
        return problem;
    }
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
pub(super) fn read_dataset(node: &Node) -> Result<Section<DatasetSection>, Vec<Diagnostic>> {
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
