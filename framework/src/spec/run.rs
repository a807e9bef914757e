//! One run of a grid: its sections, its seed and its name.

use std::fmt::{self, Write};
use std::ops::Deref;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::sections::{AllSettings, Parts};
use super::settings::Resolved;
use crate::plugin::{Built, Dataset, L0Rule};

/// The name of a run: the first 16 hex digits of the BLAKE3 hash of its resolved settings. Same
/// meaning, same name, whatever the file's order, comments or spelling of numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunId(pub String);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A section as one or many runs use it.
pub struct Section<T> {
    /// What it describes.
    pub value: T,
    /// Its settings with defaults, as results show them; `kind` is among them. Of a list, the settings of
    /// each entry by its name.
    pub settings: Map<String, Json>,
    /// What run ids are made of: the settings that differ from their default, keys in order.
    pub canonical: String,
}

impl<T> Section<T> {
    /// A section of a plugin of the given kind, or of none.
    pub fn new(value: T, kind: Option<&str>, resolved: Resolved) -> Self {
        let Resolved { mut all, mut changed } = resolved;
        if let Some(kind) = kind {
            all.insert("kind".into(), json!(kind));
            changed.insert("kind".into(), json!(kind));
        }
        Self { value, settings: all, canonical: canonical(&Json::Object(changed)) }
    }

    /// A section that is a list: of each entry its name, its kind and its settings, in their order.
    pub fn of_list(value: T, entries: Vec<(String, &'static str, Resolved)>) -> Self {
        let (mut settings, mut all_changed) = (Map::new(), Vec::new());
        for (name, kind, Resolved { mut all, mut changed }) in entries {
            all.insert("kind".into(), json!(kind));
            changed.insert("kind".into(), json!(kind));
            settings.insert(name, Json::Object(all));
            all_changed.push(Json::Object(changed));
        }
        Self { value, settings, canonical: canonical(&Json::Array(all_changed)) }
    }
}

/// JSON without spaces and with keys in the order of their bytes.
fn canonical(value: &Json) -> String {
    let mut text = String::new();
    // A string takes whatever is written to it.
    let _ = write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Json, text: &mut String) -> fmt::Result {
    match value {
        Json::Object(map) => {
            let mut entries: Vec<(&String, &Json)> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| key.as_str());
            let mut before = '{';
            for (key, value) in entries {
                write!(text, "{before}{}:", Json::from(key.as_str()))?;
                write_canonical(value, text)?;
                before = ',';
            }
            text.write_str(if map.is_empty() { "{}" } else { "}" })
        }
        Json::Array(items) => {
            let mut before = '[';
            for item in items {
                text.write_char(before)?;
                write_canonical(item, text)?;
                before = ',';
            }
            text.write_str(if items.is_empty() { "[]" } else { "]" })
        }
        other => write!(text, "{other}"),
    }
}

/// How samples are scaled before the model sees them; fitted on the training rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Normalize {
    /// As they are.
    #[default]
    None,
    /// Minus the mean of each input.
    Center,
    /// Minus the mean, divided by the standard deviation of each input; a constant input is only
    /// centred.
    Standard,
    /// Times one number, such that the mean squared norm is the number of inputs.
    UnitNorm,
}

/// The section `[dataset]`.
pub struct DatasetSection {
    /// The dataset.
    pub dataset: Built<dyn Dataset>,
    /// How its samples are scaled.
    pub normalize: Normalize,
}

/// One run: all that determines its result.
#[derive(Clone)]
pub struct RunSpec {
    /// Its name.
    pub id: RunId,
    /// What drives its randomness.
    pub seed: u64,
    /// Its sections.
    pub parts: Parts,
    /// The value it has on each axis of the grid: the axis' name and the value in words. All seeds
    /// of a point share it.
    pub point: Arc<[(String, String)]>,
}

/// The sections of a run are read as its own: `run.penalty`.
impl Deref for RunSpec {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl RunSpec {
    /// The name of a run with these sections and this seed.
    pub fn name(parts: &Parts, seed: u64) -> RunId {
        let text = parts.canonical(seed);
        RunId(blake3::hash(text.as_bytes()).to_hex()[..16].to_owned())
    }

    /// The value in words that it has on an axis of the grid.
    pub fn value_on(&self, axis: &str) -> Option<&str> {
        let value = self.point.iter().find(|(name, _)| name == axis);
        value.map(|(_, value)| value.as_str())
    }

    /// Which latents of its codes are active.
    pub fn l0_rule(&self) -> L0Rule {
        let range = self.architecture.value.plugin.code_range();
        L0Rule::of(range, &*self.penalty.value.plugin)
    }

    /// Every setting of the run, by section.
    pub fn settings(&self) -> Json {
        // Names are texts and settings are JSON, so there is nothing that has no JSON form.
        serde_json::to_value(self.all_settings()).unwrap_or_default()
    }

    /// The same, borrowed: to be written at once.
    pub fn all_settings(&self) -> AllSettings<'_> {
        self.parts.with_seed(self.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_form_does_not_depend_on_the_order_of_keys() {
        let one = json!({ "b": 1.0, "a": { "d": [1, "x"], "c": true } });
        let other = json!({ "a": { "c": true, "d": [1, "x"] }, "b": 1.0 });
        assert_eq!(canonical(&one), canonical(&other));
        assert_eq!(canonical(&one), r#"{"a":{"c":true,"d":[1,"x"]},"b":1.0}"#);
        assert_eq!(canonical(&json!({ "\"": {}, "a": [] })), r#"{"\"":{},"a":[]}"#);
    }
}
