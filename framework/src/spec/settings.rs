//! One section of an experiment file, on its way into a plugin.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::de::{Error, Kind};
use super::node::{Node, Value};
use crate::diagnostics::{Diagnostic, ENOUGH, Origin, did_you_mean};

/// What a plugin's settings struct derives.
pub trait Readable: DeserializeOwned + Serialize + JsonSchema + 'static {}
impl<T: DeserializeOwned + Serialize + JsonSchema + 'static> Readable for T {}

/// A table of settings that knows where each of them stands.
///
/// `read` turns it into a plugin's own struct. Its errors point to the offending text, and all
/// problems of the section come in one pass.
#[derive(Debug)]
pub struct Settings {
    /// How errors call it, as in ``penalty `kl` ``.
    title: String,
    node: Node,
    resolved: Mutex<Option<Resolved>>,
}

/// The settings as read, defaults filled in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resolved {
    /// Every setting.
    pub all: Map<String, Json>,
    /// Those that differ from their default. Run ids are made of these, so that a setting added
    /// later leaves old ids as they are.
    pub changed: Map<String, Json>,
}

impl Settings {
    /// The settings in `node`, which errors call `title`; `node` must be a table.
    pub fn new(title: impl Into<String>, node: Node) -> Self {
        Self { title: title.into(), node, resolved: Mutex::new(None) }
    }

    /// Reads the settings into `T`, and remembers them with their defaults.
    ///
    /// # Errors
    /// Every unknown key, missing key, wrong type and value out of range, each at its place; the first
    /// [`ENOUGH`] of them.
    pub fn read<T: Readable>(&self) -> Result<T, Vec<Diagnostic>> {
        let mut node = self.node.clone();
        let mut problems = Vec::new();
        let mut removed = Vec::new();
        loop {
            let error = match T::deserialize(&node) {
                Ok(value) if problems.is_empty() => {
                    *self.known() = Some(resolve(&value));
                    return Ok(value);
                }
                Ok(_) => return Err(problems),
                Err(error) => error,
            };
            // serde stops at its first error: without the key at fault, it finds the next one.
            let key = error.key.clone();
            let only_removed = matches!(&error.kind, Kind::MissingKey(name) if removed.iter().any(|key| key == name));
            if !only_removed {
                problems.push(self.diagnose::<T>(error));
            }
            if problems.len() >= ENOUGH {
                return Err(problems);
            }
            let Value::Table(table) = &mut node.value else { return Err(problems) };
            match key.and_then(|key| table.remove(&key)) {
                Some(entry) => removed.push(entry.key),
                None => return Err(problems),
            }
        }
    }

    /// The settings as [`Settings::read`] last read them.
    pub fn resolved(&self) -> Resolved {
        self.known().clone().unwrap_or_default()
    }

    /// The settings as they are written.
    pub(super) fn node(&self) -> &Node {
        &self.node
    }

    fn known(&self) -> MutexGuard<'_, Option<Resolved>> {
        self.resolved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, given away: whoever keeps them for each point of a grid has them once.
    pub(super) fn take_resolved(&self) -> Resolved {
        self.known().take().unwrap_or_default()
    }

    /// The place of a setting's value, or of the whole section where the setting is not written.
    pub fn origin_of(&self, key: &str) -> &Origin {
        let written = self.node.as_table().and_then(|table| table.get(key));
        written.map_or(&self.node.origin, |entry| &entry.node.origin)
    }

    /// A path that a setting names: relative ones start from the folder of the file they are
    /// written in, or, on the command line, from the working directory.
    pub fn path(&self, key: &str, written: &str) -> PathBuf {
        self.origin_of(key).base().join(written)
    }

    /// A problem with a setting, found after reading: at its value, or at the section.
    pub fn problem(&self, key: &str, message: impl AsRef<str>) -> Diagnostic {
        let message = format!("{}: {key}: {}", self.title, message.as_ref());
        Diagnostic::at(self.origin_of(key), message)
    }

    fn diagnose<T: Readable>(&self, error: Error) -> Diagnostic {
        let origin = error.origin.unwrap_or_else(|| self.node.origin.clone());
        let title = &self.title;
        let (message, help) = match error.kind {
            Kind::UnknownKey(key, []) => {
                (format!("{title} has no setting `{key}`"), "it takes no settings".to_owned())
            }
            Kind::UnknownKey(key, known) => {
                (format!("{title} has no setting `{key}`"), did_you_mean(&key, known))
            }
            Kind::MissingKey(key) => {
                (format!("{title}: `{key}` is missing"), documentation::<T>(Some(key)))
            }
            Kind::UnknownName(name, known) => {
                let key = error.key.as_deref().unwrap_or("value");
                let message =
                    format!("{title}: {key}: `{name}` is not one of {}", known.join(", "));
                (message, did_you_mean(&name, known))
            }
            Kind::Message(message) => match error.key.as_deref() {
                Some(key) => (format!("{title}: {key}: {message}"), documentation::<T>(Some(key))),
                None => (format!("{title}: {message}"), String::new()),
            },
        };
        Diagnostic::at(&origin, message).help(help)
    }
}

/// The settings and which of them differ from their default.
fn resolve<T: Readable>(value: &T) -> Resolved {
    // Settings are plain structs of numbers, strings and lists: they always have a JSON form.
    let Ok(Json::Object(all)) = serde_json::to_value(value) else { return Resolved::default() };
    let defaults = defaults_of::<T>();
    let mut changed = all.clone();
    changed.retain(|key, value| match defaults.get(key) {
        Some(default) => value != default,
        None => !value.is_null(),
    });
    Resolved { all, changed }
}

/// The defaults of a settings struct, by key. They are asked for by every section of every grid
/// point, and are the same each time: so the schema they stand in is made once.
fn defaults_of<T: Readable>() -> Arc<Map<String, Json>> {
    static KNOWN: Mutex<BTreeMap<TypeId, Arc<Map<String, Json>>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let made = known.entry(TypeId::of::<T>()).or_insert_with(|| {
        let schema = schema_of::<T>();
        let properties = schema["properties"].as_object().into_iter().flatten();
        let default = |(key, property): (&String, &Json)| {
            Some((key.clone(), property.get("default")?.clone()))
        };
        Arc::new(properties.filter_map(default).collect())
    });
    made.clone()
}

/// The JSON Schema of a settings struct: its keys, types, ranges, defaults and doc comments.
pub fn schema_of<T: JsonSchema>() -> Json {
    SchemaGenerator::default().into_root_schema_for::<T>().to_value()
}

/// What a setting means, from its doc comment.
fn documentation<T: JsonSchema>(key: Option<&str>) -> String {
    let Some(key) = key else { return String::new() };
    let schema = schema_of::<T>();
    match schema["properties"][key]["description"].as_str() {
        Some(text) => format!("`{key}`: {}", text.replace('\n', " ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::sync::Arc;

    use serde::Deserialize;

    use super::*;
    use crate::diagnostics::Source;
    use crate::spec::node;
    use crate::spec::numbers::{Rate, Strength};

    #[derive(Debug, Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Kl {
        /// Target rate of each latent.
        rho: Rate,
        /// Weight in the loss.
        #[serde(default = "one")]
        beta: Strength,
        #[serde(default = "four")]
        groups: NonZeroUsize,
        #[serde(default)]
        start: Option<f64>,
    }

    fn one() -> Strength {
        Strength::try_from(1.0).unwrap()
    }

    fn four() -> NonZeroUsize {
        NonZeroUsize::new(4).unwrap()
    }

    fn settings(text: &str) -> Settings {
        let source = Arc::new(Source {
            name: "kl.toml".into(),
            base: Default::default(),
            text: text.into(),
        });
        Settings::new("penalty `kl`", node::parse(&source).unwrap())
    }

    #[test]
    fn every_problem_of_a_section_comes_in_one_pass_with_its_place() {
        let problems = settings("rho = 1.5\nbetta = 2\ngroups = 0\n").read::<Kl>().unwrap_err();
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "kl.toml:1:7: penalty `kl`: rho: expected a rate strictly between 0 and 1, got 1.5",
                "kl.toml:2:1: penalty `kl` has no setting `betta`",
                "kl.toml:3:10: penalty `kl`: groups: expected a whole number of at least 1, got 0",
            ]
        );
        assert_eq!(problems[1].help, ["did you mean `beta`?"]);
        assert_eq!(problems[0].help, ["`rho`: Target rate of each latent."]);
    }

    #[test]
    fn a_wrong_type_says_what_was_expected_and_what_was_given() {
        let problems = settings("rho = \"small\"\n").read::<Kl>().unwrap_err();
        assert_eq!(problems.len(), 1, "the removed key is not reported as missing too");
        assert!(problems[0].message.contains("expected a number, got the string \"small\""));
    }

    #[test]
    fn a_missing_setting_is_named_and_explained() {
        let problems = settings("beta = 1\n").read::<Kl>().unwrap_err();
        assert_eq!(problems[0].message, "penalty `kl`: `rho` is missing");
        assert_eq!(problems[0].help, ["`rho`: Target rate of each latent."]);
    }

    #[test]
    fn whole_numbers_serve_where_numbers_are_meant_and_defaults_do_not_count_as_changes() {
        let read = |text: &str| {
            let settings = settings(text);
            settings.read::<Kl>().unwrap();
            settings.resolved()
        };
        let plain = read("rho = 0.1");
        let spelt = read("groups = 4\nbeta = 1\nrho = 1e-1");
        assert_eq!(plain.changed, spelt.changed);
        assert_eq!(plain.changed.len(), 1);
        assert_eq!(plain.all.len(), 4);
        assert_ne!(read("rho = 0.1\nbeta = 2").changed, plain.changed);
    }
}
