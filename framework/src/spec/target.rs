//! The section `[target]`: how sparse codes are to be, in place of a strength that leads there.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::node::{Node, Value};
use super::numbers::{Positive, Rate, valid};
use super::run::{RunId, RunSpec, Section};
use super::sections::Parts;
use super::settings::Settings;
use super::train::{Parsed, Train, TrainLength};
use super::variants::of_plugin;
use crate::diagnostics::Diagnostic;
use crate::plugin::{self, Built, PENALTIES, Penalty, StrengthKey};
use crate::search::Goal;

/// What is to be reached. The strength of the penalty is searched for, from the value that is written
/// or, where none is, from that of the plugin's example.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The mean number of active latents of a test sample that codes are to have.
    pub l0: Positive,
    /// How far from it is near enough, as a share of it.
    #[serde(default = "five_percent")]
    pub tolerance: Rate,
}

fn five_percent() -> Rate {
    valid(0.05)
}

/// Reads the section; one without settings is none.
pub(super) fn read_target(node: &Node) -> Parsed<Section<Option<Target>>> {
    if node.as_table().is_some_and(|table| table.entries.is_empty()) {
        return Ok(Section::new(None, None, Default::default()));
    }
    if node.as_table().is_none() {
        let message = format!("`target` is a table, got {}", node.type_name());
        return Err(vec![Diagnostic::at(&node.origin, message).help("as in target = { l0 = 25 }")]);
    }
    let settings = Settings::new("target", node.clone());
    let target = settings.read::<Target>()?;
    Ok(Section::new(Some(target), None, settings.take_resolved()))
}

/// Reads the penalty of a run that has a target: its strength need not be written.
pub(super) fn read_searched(node: &Node) -> Parsed<Section<Built<dyn Penalty>>> {
    let problems = match plugin::build("penalty", &PENALTIES, node) {
        Ok(built) => return Ok(of_plugin(built)),
        Err(problems) => problems,
    };
    match with_strength(node) {
        Some(node) => plugin::build("penalty", &PENALTIES, &node).map(of_plugin),
        None => Err(problems),
    }
}

impl RunSpec {
    /// What is searched for in this run; `None` if it has no target.
    pub fn goal(&self) -> Option<Goal> {
        let target = self.target.value?;
        let penalty = &self.penalty;
        let key = penalty.value.plugin.strength()?;
        Some(Goal {
            l0: target.l0.get(),
            tolerance: target.tolerance.get(),
            key,
            start: penalty.settings.get(key.key()).and_then(Json::as_f64)?,
            latents: self.architecture.value.plugin.latents(),
        })
    }

    /// The run as one of the trainings of a search for its target: a short one, of so many steps, that
    /// is called `name`.
    pub fn shortened(&self, name: RunId, steps: usize) -> Self {
        let Section { value, settings, canonical } = &*self.train;
        let value = Train { length: TrainLength::Steps(steps), ..value.clone() };
        let (settings, canonical) = (settings.clone(), canonical.clone());
        let train = Arc::new(Section { value, settings, canonical });
        Self { id: name, parts: Parts { train, ..self.parts.clone() }, ..self.clone() }
    }

    /// The run with another strength of its penalty; its name and its target stay.
    ///
    /// # Errors
    /// If the penalty cannot have this strength.
    pub fn with_strength(&self, strength: f64) -> Result<Self, Vec<Diagnostic>> {
        let penalty = &self.penalty.value;
        let (settings, kind) = (&penalty.settings, penalty.kind);
        let origin = settings.origin_of("kind").clone();
        let mut node = settings.node().clone();
        let mut set = |key: &str, value| {
            let value = Node { origin: origin.clone(), value };
            node.set_path(&[key], &origin, value).map_err(|problem| vec![problem])
        };
        set("kind", Value::String(kind.to_owned()))?;
        let key = penalty.plugin.strength();
        match key {
            Some(StrengthKey::Weight(key) | StrengthKey::Weights(key, _)) => {
                set(key, Value::Float(strength))?;
            }
            Some(StrengthKey::Count(key)) => set(key, Value::Integer(strength as i64))?,
            None => {}
        }
        if let Some((key, second)) = key.and_then(|key| Some((key.key(), key.second()?))) {
            let written = |key: &str| self.penalty.settings.get(key).and_then(Json::as_f64);
            if let (Some(first), Some(other)) = (written(key), written(second)) {
                set(second, Value::Float(other * (strength / first)))?;
            }
        }
        let penalty = Arc::new(plugin::build("penalty", &PENALTIES, &node).map(of_plugin)?);
        Ok(Self { parts: Parts { penalty, ..self.parts.clone() }, ..self.clone() })
    }
}

/// The section with the strength of the plugin's example, if it has none of its own; of two weights, if it has
/// neither.
fn with_strength(node: &Node) -> Option<Node> {
    let table = node.as_table()?;
    let kind = table.get("kind")?;
    let row = PENALTIES.iter().find(|row| Some(row.name) == kind.node.as_str())?;
    let example = row.example(kind.node.origin.base()).ok()?;
    let strength = example.plugin.strength()?;
    let keys = || std::iter::once(strength.key()).chain(strength.second());
    if keys().any(|key| table.get(key).is_some()) {
        return None;
    }
    let mut node = node.clone();
    for key in keys() {
        let value = example.settings.node().as_table()?.get(key)?.node.value.clone();
        let value = Node { origin: kind.node.origin.clone(), value };
        node.set_path(&[key], &kind.key_origin, value).ok()?;
    }
    Some(node)
}
