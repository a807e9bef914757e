//! The section `[evaluate]`: what is measured, and how often.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::node::{KeyValue, Node, TomlTable, Value};
use super::settings::Settings;
use crate::diagnostics::{Diagnostic, ENOUGH};
use crate::plugin::{self, Built, EVALUATIONS, Evaluation, L0Rule};

/// What is measured, and how often.
pub struct Evaluate {
    /// The evaluations, in the order of the file.
    pub evaluations: Vec<Built<dyn Evaluation>>,
    /// Evaluation points are this far apart: in epochs, or, with `train.steps`, in steps; `None`:
    /// an epoch.
    pub every: Option<usize>,
    /// Samples a batch of an evaluation.
    pub batch: usize,
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
}

fn default_batch() -> NonZeroUsize {
    // Few enough that a batch and its codes stay in the caches of one core.
    const { NonZeroUsize::new(256).unwrap() }
}

impl Evaluate {
    /// The evaluations themselves, in the order of the file.
    pub fn plugins(&self) -> impl Iterator<Item = &dyn Evaluation> {
        self.evaluations.iter().map(|built| &*built.plugin)
    }

    /// The version of each evaluation, by its name, on codes that are counted by this rule.
    pub fn versions(&self, rule: L0Rule) -> BTreeMap<String, u32> {
        let version =
            |built: &Built<dyn Evaluation>| (built.kind.to_owned(), built.plugin.version(rule));
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
            }),
            (evaluations, read) => {
                let problems = evaluations.err().into_iter().flatten();
                Err(problems.chain(read.err().into_iter().flatten()).collect())
            }
        }
    }
}

/// A list of names, or of tables with a `kind` where an evaluation has settings.
fn read_kinds(kinds: &Node) -> Result<Vec<Built<dyn Evaluation>>, Vec<Diagnostic>> {
    let Value::Array(items) = &kinds.value else {
        let message = format!("`evaluate.kinds` is a list, got {}", kinds.type_name());
        let help = "as in kinds = [\"reconstruction\", \"sparsity\"]";
        return Err(vec![Diagnostic::at(&kinds.origin, message).help(help)]);
    };
    let mut evaluations: Vec<Built<dyn Evaluation>> = Vec::new();
    let mut problems = Vec::new();
    for item in items {
        if problems.len() >= ENOUGH {
            break;
        }
        let node = match &item.value {
            Value::String(_) => with_kind(item),
            _ => item.clone(),
        };
        match plugin::build("evaluation", &EVALUATIONS, &node) {
            Ok(built) => match evaluations.iter().find(|known| known.kind == built.kind) {
                Some(first) => {
                    let message = format!("the evaluation `{}` is there twice", built.kind);
                    let problem = Diagnostic::at(&item.origin, message);
                    problems.push(problem.related(first.settings.origin_of("kind"), "the first"));
                }
                None => evaluations.push(built),
            },
            Err(more) => problems.extend(more),
        }
    }
    if problems.is_empty() { Ok(evaluations) } else { Err(problems) }
}

fn with_kind(name: &Node) -> Node {
    let entry =
        KeyValue { key: "kind".into(), key_origin: name.origin.clone(), node: name.clone() };
    Node {
        origin: name.origin.clone(),
        value: Value::TomlTable(TomlTable { entries: vec![entry] }),
    }
}
