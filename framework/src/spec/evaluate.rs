//! The section `[evaluate]`: what is measured, and how often.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::node::{KeyValue, Node, TomlTable, Value};
use super::settings::Settings;
use crate::diagnostics::{Diagnostic, ENOUGH, Origin};
use crate::plugin::{
    EVALUATIONS, Evaluation, L0Rule, NamedEvaluation, Plugin, as_word, build_beside,
};

/// What is measured, and how often.
pub struct Evaluate {
    /// The evaluations, in the order of the file.
    pub evaluations: Vec<NamedEvaluation>,
    /// Evaluation points are this far apart: in epochs, or, with `train.steps`, in steps; `None`:
    /// an epoch.
    pub every: Option<usize>,
    /// Samples a batch of an evaluation.
    pub batch: usize,
    /// Columns of results that tables of settings show beside the usual ones.
    pub show: Vec<ColumnName>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EvaluateTable {
    /// Distance of evaluation points: in epochs (1 unless given) or, with `train.steps`, in steps
    /// (an epoch's worth unless given).
    every: Option<NonZeroUsize>,
    /// Samples a batch of an evaluation; metrics do not depend on it beyond rounding.
    #[serde(default = "default_batch")]
    batch: NonZeroUsize,
    /// Columns of results that tables of settings show beside the usual ones, such as "test_jacobian".
    #[serde(default)]
    show: Vec<ColumnName>,
}

/// Name of a column of results: lowercase letters, digits and `_`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[a-z0-9_]+$"))]
pub struct ColumnName(String);

impl ColumnName {
    /// Returns it as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ColumnName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let is_one = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        match !name.is_empty() && name.chars().all(is_one) {
            true => Ok(Self(name)),
            false => Err(format!(
                "expected the name of a column of results, as test_jacobian, got `{name}`"
            )),
        }
    }
}

impl From<ColumnName> for String {
    fn from(ColumnName(name): ColumnName) -> Self {
        name
    }
}

fn default_batch() -> NonZeroUsize {
    // Few enough that a batch and its codes stay in the caches of one core.
    const { NonZeroUsize::new(256).unwrap() }
}

impl Evaluate {
    /// The version of each evaluation, by its name, on codes that are counted by this rule.
    pub fn versions(&self, rule: L0Rule) -> BTreeMap<String, u32> {
        let version = |one: &NamedEvaluation| (one.name().to_owned(), one.version(rule));
        self.evaluations.iter().map(version).collect()
    }

    /// Reads the section; `default_kinds` serves where it lists none.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(node: &Node, default_kinds: &Node) -> Result<Self, Vec<Diagnostic>> {
        let Value::TomlTable(table) = &node.value else {
            let message = format!("`evaluate` is a table, got {}", node.type_name());
            return Err(vec![Diagnostic::at(&node.origin, message)]);
        };
        let mut table = table.clone();
        let kinds = table.remove("kinds").map_or_else(|| default_kinds.clone(), |entry| entry.node);
        let evaluations = read_kinds(&kinds);
        let settings = Settings::new(
            "evaluate",
            Node { origin: node.origin.clone(), value: Value::TomlTable(table) },
        )
        .beside(&["kinds"]);
        match (evaluations, settings.read::<EvaluateTable>()) {
            (Ok(evaluations), Ok(read)) => Ok(Self {
                evaluations,
                every: read.every.map(NonZeroUsize::get),
                batch: read.batch.get(),
                show: read.show,
            }),
            (evaluations, read) => {
                let problems = evaluations.err().into_iter().flatten();
                Err(problems.chain(read.err().into_iter().flatten()).collect())
            }
        }
    }
}

/// A list of kinds, or of tables with a `kind` where an evaluation has settings or a name.
fn read_kinds(kinds: &Node) -> Result<Vec<NamedEvaluation>, Vec<Diagnostic>> {
    let Value::Array(items) = &kinds.value else {
        let message = format!("`evaluate.kinds` is a list, got {}", kinds.type_name());
        let help = "as in kinds = [\"reconstruction\", \"sparsity\"]";
        return Err(vec![Diagnostic::at(&kinds.origin, message).help(help)]);
    };
    let mut evaluations: Vec<NamedEvaluation> = Vec::new();
    let mut problems = Vec::new();
    for item in items {
        if problems.len() >= ENOUGH {
            break;
        }
        match read_one(item) {
            Ok((evaluation, place)) => match clash(&evaluation, &place, &evaluations) {
                Some(problem) => problems.push(problem),
                None => evaluations.push(evaluation),
            },
            Err(more) => problems.extend(more),
        }
    }
    if problems.is_empty() { Ok(evaluations) } else { Err(problems) }
}

/// Reads an evaluation, and where its name stands.
fn read_one(item: &Node) -> Result<(NamedEvaluation, Origin), Vec<Diagnostic>> {
    let mut node = match &item.value {
        Value::String(_) => with_kind(item),
        _ => item.clone(),
    };
    let written = match &mut node.value {
        Value::TomlTable(table) => table.remove("name"),
        _ => None,
    };
    let built = build_beside("evaluation", &EVALUATIONS, &node, &["kind", "name"]);
    let Some(written) = written else {
        return Ok((NamedEvaluation::from(built?), item.origin.clone()));
    };
    match (built, name_of(&written.node)) {
        (Ok(built), Ok(name)) => {
            // Its own kind is the name that it has without one.
            let given = Some(name).filter(|name| *name != as_word(built.kind));
            let taken =
                |row: &&Plugin<dyn Evaluation>| given.as_deref() == Some(&as_word(row.name));
            if let Some(other) = EVALUATIONS.iter().find(taken) {
                let message = format!("`{}` is another evaluation: take another name", other.name);
                return Err(vec![Diagnostic::at(&written.node.origin, message)]);
            }
            Ok((NamedEvaluation::new(built, given), written.node.origin))
        }
        (built, name) => {
            let problems = built.err().into_iter().flatten();
            Err(problems.chain(name.err()).collect())
        }
    }
}

/// Reads a name that the user gives.
fn name_of(node: &Node) -> Result<String, Diagnostic> {
    let at = |message: String| {
        let help = "lowercase letters, digits and `_`, a letter first, as in name = \"heavy\"";
        Diagnostic::at(&node.origin, message).help(help)
    };
    let Some(name) = node.as_str() else {
        return Err(at(format!("the name of an evaluation is a string, got {}", node.type_name())));
    };
    let is_right = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if name.len() > MOST_LETTERS {
        return Err(at(format!("the name of an evaluation has at most {MOST_LETTERS} letters")));
    }
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) || !name.bytes().all(is_right) {
        return Err(at(format!("`{name}` cannot name an evaluation")));
    }
    Ok(name.to_owned())
}

/// Number of letters that the name of an evaluation has at most: it is part of names of columns and files.
pub(super) const MOST_LETTERS: usize = 64;

/// Returns what is wrong with an evaluation beside those before it: a name or a column that is taken.
fn clash(new: &NamedEvaluation, place: &Origin, others: &[NamedEvaluation]) -> Option<Diagnostic> {
    if let Some(first) = others.iter().find(|known| as_word(known.name()) == as_word(new.name())) {
        let message = format!("the evaluation `{}` is there twice", new.name());
        let help = "a name tells them apart, as in { kind = \"…\", name = \"again\" }";
        let problem = Diagnostic::at(place, message).help(help);
        return Some(problem.related(first.built.settings.origin_of("kind"), "the first"));
    }
    let columns = new.metrics();
    others.iter().find_map(|other| {
        let metrics = other.metrics();
        let (column, _) =
            metrics.iter().find(|known| columns.iter().any(|own| own.0 == known.0))?;
        let message = format!(
            "the evaluations `{}` and `{}` would both have the column `{column}`",
            other.name(),
            new.name()
        );
        let problem = Diagnostic::at(place, message).help("take another name");
        Some(problem.related(other.built.settings.origin_of("kind"), "the other"))
    })
}

fn with_kind(name: &Node) -> Node {
    let entry =
        KeyValue { key: "kind".into(), key_origin: name.origin.clone(), node: name.clone() };
    Node {
        origin: name.origin.clone(),
        value: Value::TomlTable(TomlTable { entries: vec![entry] }),
    }
}
