//! One section of an experiment file, on its way into a plugin.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::de::{Error, Mistake};
use super::node::{KeyValue, Node, Value};
use super::sections::SECTIONS;
use crate::diagnostics::{Diagnostic, ENOUGH, Origin, closest, did_you_mean};
use crate::plugin::aliases;

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
    /// Keys that stand beside these settings in the file and are read by others.
    beside: &'static [&'static str],
    resolved: Mutex<Option<Resolved>>,
    /// What a setting means, once it is known what the settings are.
    meaning: OnceLock<fn(&str) -> String>,
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
        let (beside, meaning) = (&[][..], OnceLock::new());
        Self { title: title.into(), node, beside, resolved: Mutex::new(None), meaning }
    }

    /// The same; in the file, these keys stand beside them.
    pub fn beside(self, keys: &'static [&'static str]) -> Self {
        Self { beside: keys, ..self }
    }

    /// Reads the settings into `T`, and remembers them with their defaults.
    ///
    /// # Errors
    /// Every unknown key, missing key, wrong type and value out of range, each at its place; the first
    /// [`ENOUGH`] of them.
    pub fn read<T: Readable>(&self) -> Result<T, Vec<Diagnostic>> {
        self.meaning.get_or_init(|| documentation::<T>);
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
            // serde stops at its first error: without the key at fault, it finds the next one. A key that
            // is misspelt is read as what was meant.
            let key = error.key.clone();
            let meant = match &error.kind {
                Mistake::UnknownKey(key, known) => closest(key, known.iter().copied()),
                _ => None,
            };
            let only_removed = matches!(&error.kind, Mistake::MissingKey(name) if removed.iter().any(|key| key == name));
            if !only_removed {
                problems.push(self.diagnose::<T>(error));
            }
            if problems.len() >= ENOUGH {
                return Err(problems);
            }
            let Value::TomlTable(table) = &mut node.value else { return Err(problems) };
            match (key.and_then(|key| table.remove(&key)), meant) {
                (Some(entry), Some(meant)) if table.get(meant).is_none() => {
                    table.set(KeyValue { key: meant.to_owned(), ..entry });
                }
                (Some(entry), _) => removed.push(entry.key),
                (None, _) => return Err(problems),
            }
        }
    }

    /// The settings as [`Settings::read`] last read them.
    pub fn resolved(&self) -> Resolved {
        self.known().clone().unwrap_or_default()
    }

    /// Changes the settings as they were last read.
    pub(super) fn update_resolved(&self, change: impl FnOnce(&mut Resolved)) {
        if let Some(known) = &mut *self.known() {
            change(known);
        }
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
        let meaning = self.meaning.get().map_or(String::new(), |meaning| meaning(key));
        Diagnostic::at(self.origin_of(key), message).help(meaning)
    }

    fn diagnose<T: Readable>(&self, error: Error) -> Diagnostic {
        let origin = error.origin.unwrap_or_else(|| self.node.origin.clone());
        let (title, at) = (&self.title, |message| Diagnostic::at(&origin, message));
        match (error.kind, error.key) {
            (Mistake::UnknownKey(key, known), _) => {
                let names = [self.beside, known].concat();
                let problem = at(format!("{title} has no setting `{key}`"));
                match closest(&key, names.iter().copied()) {
                    None if matches!(names[..], [] | ["kind"] | ["kind", "name"]) => {
                        problem.help("it takes no settings")
                    }
                    None => problem.help(did_you_mean(&key, &names)),
                    Some(meant) => {
                        problem.help(did_you_mean(&key, &names)).help(documentation::<T>(meant))
                    }
                }
            }
            (Mistake::MissingKey(key), _) => {
                at(format!("{title}: `{key}` is missing")).help(documentation::<T>(key))
            }
            (Mistake::UnknownName(name, known), key) => {
                let key = key.as_deref().unwrap_or("value");
                let known_names = known.join(", ");
                let problem = at(format!("{title}: {key}: `{name}` is not one of {known_names}"));
                let help = match closest(&name, known.iter().copied()) {
                    Some(meant) => vec![format!("did you mean `{meant}`?")],
                    None => {
                        aliases(&name).into_iter().flat_map(|alias| alias.help(&name)).collect()
                    }
                };
                help.into_iter().fold(problem, Diagnostic::help).help(documentation::<T>(key))
            }
            (Mistake::Message(message), Some(key)) => at(format!("{title}: {key}: {message}"))
                .help(self.instead(&key, &message, origin.text()))
                .help(documentation::<T>(&key)),
            (Mistake::Message(message), None) => at(format!("{title}: {message}")),
        }
    }

    /// What was probably meant by a value of a wrong type.
    fn instead(&self, key: &str, message: &str, text: &str) -> String {
        let unquoted = text.trim_matches(['"', '\'']);
        if message.starts_with("expected a list") && !text.starts_with('{') {
            return format!("as in {key} = [{unquoted}]");
        }
        if message.starts_with("expected a number") || message.starts_with("expected a whole") {
            if unquoted != text && unquoted.parse::<f64>().is_ok() {
                return format!("a number stands without quotes: {key} = {unquoted}");
            }
            let section = self.title.split(' ').next().unwrap_or_default();
            let is_swept = SECTIONS.contains(&section.split('.').next().unwrap_or_default());
            if message.ends_with("got a list") && is_swept {
                return format!(
                    "several values are an axis: below [grid], \"{section}.{key}\" = …"
                );
            }
        }
        String::new()
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
pub(super) fn documentation<T: JsonSchema>(key: &str) -> String {
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
    struct TestKl {
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
            is_private: false,
        });
        Settings::new("penalty `kl`", node::parse(&source).unwrap())
    }

    #[test]
    fn every_problem_of_a_section_comes_in_one_pass_with_its_place() {
        let problems = settings("rho = 1.5\nbetta = 2\ngroups = 0\n").read::<TestKl>().unwrap_err();
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "kl.toml:1:7: penalty `kl`: rho: expected a rate strictly between 0 and 1, got 1.5",
                "kl.toml:2:1: penalty `kl` has no setting `betta`",
                "kl.toml:3:10: penalty `kl`: groups: expected a whole number of at least 1, got 0",
            ]
        );
        assert_eq!(problems[1].help, ["did you mean `beta`?", "`beta`: Weight in the loss."]);
        assert_eq!(problems[0].help, ["`rho`: Target rate of each latent."]);
    }

    #[test]
    fn a_wrong_type_says_what_was_expected_and_what_was_given() {
        let problems = settings("rho = \"small\"\n").read::<TestKl>().unwrap_err();
        assert_eq!(problems.len(), 1, "the removed key is not reported as missing too");
        assert!(problems[0].message.contains("expected a number, got the string \"small\""));
    }

    #[test]
    fn a_missing_setting_is_named_and_explained() {
        let problems = settings("beta = 1\n").read::<TestKl>().unwrap_err();
        assert_eq!(problems[0].message, "penalty `kl`: `rho` is missing");
        assert_eq!(problems[0].help, ["`rho`: Target rate of each latent."]);
    }

    #[test]
    fn whole_numbers_serve_where_numbers_are_meant_and_defaults_do_not_count_as_changes() {
        let read = |text: &str| {
            let settings = settings(text);
            settings.read::<TestKl>().unwrap();
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
