//! Rules over the runs of a grid: conditions on their settings, as `[[grid.exclude]]` and `[[grid.when]]`
//! have them.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::entries::tidy_path;
use super::node::{KeyValue, Node, TomlTable, Value};
use super::sections::SECTIONS;
use crate::diagnostics::{Diagnostic, ENOUGH, Origin, did_you_mean};

/// Conditions that all have to hold.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Where it stands.
    pub origin: Origin,
    /// Its conditions, at least one.
    conditions: Vec<Condition>,
}

/// A setting and the values of which it has to have one.
#[derive(Clone, Debug)]
struct Condition {
    /// The dotted key.
    name: String,
    path: Vec<String>,
    origin: Origin,
    values: Vec<Node>,
}

/// The resolved settings of a run, by section in the order of [`SECTIONS`].
pub type RunFacts<'a> = [&'a Map<String, Json>; SECTIONS.len()];

impl Rule {
    /// Reads a table of conditions; `what` is what errors call it. Keys may be quoted
    /// (`"penalty.kind"`) or dotted (`penalty.kind`).
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(what: &str, node: &Node) -> Result<Self, Vec<Diagnostic>> {
        let help = "as in \"penalty.kind\" = \"kl\" or \"penalty.rho\" = [0.01, 0.05]";
        let Value::TomlTable(table) = &node.value else {
            let message = format!("{what} is a table of conditions, got {}", node.type_name());
            return Err(vec![Diagnostic::at(&node.origin, message).help(help)]);
        };
        let (mut conditions, mut problems) = (Vec::new(), Vec::new());
        read_conditions("", table, &mut conditions, &mut problems);
        if conditions.is_empty() && problems.is_empty() {
            let message = format!("{what} needs at least one condition");
            problems.push(Diagnostic::at(&node.origin, message).help(help));
        }
        problems.truncate(ENOUGH);
        if problems.is_empty() {
            Ok(Self { origin: node.origin.clone(), conditions })
        } else {
            Err(problems)
        }
    }

    /// Whether the conditions on sections hold.
    pub fn holds(&self, facts: &RunFacts<'_>) -> bool {
        let mut conditions = self.conditions.iter();
        conditions.all(|condition| condition.is_of_seed() || condition.holds(facts))
    }

    /// Whether the conditions on the seed hold.
    pub fn holds_for_seed(&self, seed: u64) -> bool {
        let mut conditions = self.conditions.iter().filter(|condition| condition.is_of_seed());
        conditions.all(|condition| condition.allows(&json!(seed)))
    }

    /// Where it asks for the seed.
    pub fn asks_for_seed(&self) -> Option<&Origin> {
        let condition = self.conditions.iter().find(|condition| condition.is_of_seed());
        condition.map(|condition| &condition.origin)
    }

    /// Where it asks for a setting that an axis with this key sets.
    pub fn asks_for(&self, path: &[String]) -> Option<&Origin> {
        let condition = self.conditions.iter().find(|condition| condition.path.starts_with(path));
        condition.map(|condition| &condition.origin)
    }

    /// What there is to say of a rule that no run meets: an error for each key that no run has, or
    /// else a warning with the message `idle`.
    pub fn explain(&self, idle: &str, known: &KnownKeys) -> Vec<Diagnostic> {
        let unknown: Vec<Diagnostic> = self
            .conditions
            .iter()
            .filter(|condition| !known.0.contains_key(&condition.name))
            .map(|condition| condition.unknown(known))
            .collect();
        if !unknown.is_empty() {
            return unknown;
        }
        let unmet = self.conditions.iter().find_map(|condition| {
            let had = &known.0[&condition.name];
            let met = had.iter().any(|value| condition.allows(value));
            (!met).then(|| {
                let values: Vec<String> = had.iter().map(ToString::to_string).collect();
                let more = if values.len() == VALUES_SHOWN { ", …" } else { "" };
                let help = format!("`{}` is {}{more} here", condition.name, values.join(" or "));
                (&condition.values[0].origin, help)
            })
        });
        let (origin, help) = unmet.unwrap_or_else(|| {
            (&self.origin, "each condition holds for some run, but all of them for none".into())
        });
        vec![Diagnostic::at(origin, idle).help(help).warning()]
    }
}

impl Condition {
    fn is_of_seed(&self) -> bool {
        self.path == ["seed"]
    }

    /// Whether it holds; a run without the setting does not meet it.
    fn holds(&self, facts: &RunFacts<'_>) -> bool {
        let (section, keys) = (&self.path[0], &self.path[1..]);
        let at = SECTIONS.iter().position(|name| name == section);
        let value = at.zip(keys.split_first()).and_then(|(at, (first, rest))| {
            rest.iter().try_fold(facts[at].get(first)?, |value, key| value.get(key))
        });
        value.is_some_and(|value| self.allows(value))
    }

    fn allows(&self, value: &Json) -> bool {
        self.values.iter().any(|allowed| is_same(&allowed.value, value))
    }

    fn unknown(&self, known: &KnownKeys) -> Diagnostic {
        let message = format!("no run has a setting `{}`", self.name);
        let keys: Vec<&str> = known.0.keys().map(String::as_str).collect();
        let within = format!("{}.", self.name);
        let is_kind = |key: &&&str| **key == format!("{within}kind");
        let first = keys.iter().find(is_kind).or(keys.iter().find(|key| key.starts_with(&within)));
        let help = match first {
            Some(key) => format!("a condition is on a single setting, as on `{key}`"),
            None if self.name == "seeds" => "did you mean `seed`?".into(),
            None => did_you_mean(&self.name, &keys),
        };
        Diagnostic::at(&self.origin, message).help(help)
    }
}

/// Whether a value of the file means a resolved one; 1 and 1.0 are the same.
fn is_same(written: &Value, resolved: &Json) -> bool {
    match written {
        Value::String(text) => resolved.as_str() == Some(text),
        Value::Boolean(flag) => resolved.as_bool() == Some(*flag),
        Value::Integer(number) => match resolved.is_f64() {
            true => resolved.as_f64() == Some(*number as f64),
            false => *resolved == json!(number),
        },
        Value::Float(number) => resolved.as_f64() == Some(*number),
        Value::TomlTable(_) | Value::Array(_) | Value::Datetime(_) => false,
    }
}

fn read_conditions(
    prefix: &str,
    table: &TomlTable,
    conditions: &mut Vec<Condition>,
    problems: &mut Vec<Diagnostic>,
) {
    for KeyValue { key, key_origin, node } in &table.entries {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        let values = match &node.value {
            Value::TomlTable(inner) if !inner.entries.is_empty() => {
                read_conditions(&name, inner, conditions, problems);
                continue;
            }
            Value::Array(items) => items.clone(),
            _ => vec![node.clone()],
        };
        let mut path: Vec<String> = name.split('.').map(str::to_owned).collect();
        tidy_path(&mut path);
        let name = path.join(".");
        let help = format!("as in \"{name}\" = 0.1 or \"{name}\" = [0.1, 0.2]");
        if path.iter().any(String::is_empty) {
            problems.push(Diagnostic::at(key_origin, format!("`{name}` is no dotted key")));
        } else if values.is_empty() {
            let message = format!("the condition on `{name}` has no values, so it never holds");
            problems.push(Diagnostic::at(&node.origin, message).help(help));
        } else if let Some(other) = values.iter().find(|value| !is_single(value)) {
            let message = format!(
                "a condition on `{name}` is a value or a list of values, got {}",
                other.type_name()
            );
            problems.push(Diagnostic::at(&other.origin, message).help(help));
        } else if let Some(first) = conditions.iter().find(|condition| condition.path == path) {
            let message = format!("the condition on `{name}` is there twice");
            problems.push(Diagnostic::at(key_origin, message).related(&first.origin, "the first"));
        } else {
            conditions.push(Condition { name, path, origin: key_origin.clone(), values });
        }
    }
}

fn is_single(node: &Node) -> bool {
    !matches!(node.value, Value::TomlTable(_) | Value::Array(_) | Value::Datetime(_))
}

/// How many values of a setting are listed where none of them is the one asked for.
const VALUES_SHOWN: usize = 8;

/// The settings that some run of a grid has, by dotted key, with some of their values.
#[derive(Default)]
pub struct KnownKeys(BTreeMap<String, Vec<Json>>);

impl KnownKeys {
    /// Adds the seed of some runs.
    pub fn add_seeds(&mut self, seeds: &[u64]) {
        seeds.iter().for_each(|seed| self.add("seed", &json!(seed)));
    }

    /// Adds a section of some runs.
    pub fn add_section(&mut self, section: &str, settings: &Map<String, Json>) {
        for (key, value) in settings {
            let name = format!("{section}.{key}");
            match value {
                Json::Object(inner) => self.add_section(&name, inner),
                value => self.add(&name, value),
            }
        }
    }

    fn add(&mut self, name: &str, value: &Json) {
        if value.is_null() {
            return;
        }
        let values = self.0.entry(name.to_owned()).or_default();
        if !values.contains(value) && values.len() < VALUES_SHOWN {
            values.push(value.clone());
        }
    }
}
