//! The section `[slurm]`: how workers are submitted to a cluster. Nothing of it is part of a run.
//!
//! Settings come from three places: a file of the user's own, for what holds wherever he works; the
//! experiment; and the command line. What comes later in this order wins. Most of them are options of
//! `sbatch`, passed on as they are; those whose form is known are checked.

mod forms;
mod options;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};

use self::forms::time_limit;
use self::options::{EXCLUSIVE, NOT_TO_BE_SET, OPTIONS, meant_by};
use super::include::read_text;
use super::node::{self, KeyValue, Node, Value};
use super::train::Parsed;
use crate::diagnostics::{Diagnostic, ENOUGH, Origin, Source, did_you_mean};
use crate::printable;

/// How workers are submitted to a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slurm {
    /// How many workers there are.
    pub workers: Option<NonZeroUsize>,
    /// How many runs each has under way at once.
    pub runs_at_once: Option<NonZeroUsize>,
    /// Lines of the shell that run before a worker, such as `module load …`.
    pub setup: Vec<String>,
    /// Options of the site's own, as `sbatch` takes them.
    pub more: Vec<String>,
    /// The options of `sbatch` that are set; `None`: a flag that is not to be there.
    options: BTreeMap<&'static str, Option<String>>,
}

/// The settings that are no options of `sbatch`, and what they mean.
const OWN: [(&str, &str); 4] = [
    ("workers", "how many workers are submitted: as many as there is work for unless given"),
    (
        "runs-at-once",
        "how many runs each worker has under way at once: one for each of its processors unless given",
    ),
    ("setup", "lines of the shell that run before a worker, as in \"module load gcc\""),
    ("more", "options that your site alone knows, as in \"--container-image=x\""),
];

impl Slurm {
    /// Reads the section.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn read(node: &Node) -> Parsed<Self> {
        let Value::TomlTable(table) = &node.value else {
            let message = format!("`slurm` is a table, got {}", node.type_name());
            return Err(vec![Diagnostic::at(&node.origin, message)]);
        };
        let mut slurm = Self::default();
        let wrong = table.entries.iter().filter_map(|entry| slurm.set(entry).err());
        let wrong: Vec<Diagnostic> = wrong.take(ENOUGH).collect();
        if wrong.is_empty() { Ok(slurm) } else { Err(wrong) }
    }

    /// Reads a file that has these settings, without a heading; `None` if there is no such file.
    ///
    /// # Errors
    /// If it cannot be read, and everything that is wrong with it.
    #[allow(clippy::disallowed_methods, reason = "the file is the user's own")]
    pub fn of_file(path: &Path) -> Result<Option<Self>, Vec<Diagnostic>> {
        if !path.exists() {
            return Ok(None);
        }
        let source = read_text(path, "the settings for Slurm").map_err(|problem| vec![problem])?;
        Self::read(&node::parse(&Arc::new(source))?).map(Some)
    }

    /// Reads settings from the command line: `key=value`, or `key` of a flag.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn of_words(words: &[String]) -> Result<Self, Vec<Diagnostic>> {
        let mut slurm = Self::default();
        let wrong = words.iter().filter_map(|word| slurm.set(&entry_of(word)).err());
        let wrong: Vec<Diagnostic> = wrong.take(ENOUGH).collect();
        if wrong.is_empty() { Ok(slurm) } else { Err(wrong) }
    }

    /// These settings, and over them `later`.
    pub fn and(mut self, later: &Self) -> Self {
        for key in later.options.keys() {
            // Of options that exclude each other, `sbatch` takes one.
            let others = EXCLUSIVE.iter().filter(|keys| keys.contains(key));
            others.flat_map(|keys| keys.iter()).for_each(|other| {
                self.options.remove(other);
            });
        }
        self.options.extend(later.options.clone());
        self.workers = later.workers.or(self.workers);
        self.runs_at_once = later.runs_at_once.or(self.runs_at_once);
        self.setup.extend_from_slice(&later.setup);
        self.more.extend_from_slice(&later.more);
        self
    }

    /// The options of `sbatch` that are set, in order of the alphabet, each with its value if it has one.
    pub fn options(&self) -> impl Iterator<Item = (&'static str, Option<&str>)> {
        let set = self.options.iter().filter_map(|(key, value)| Some((*key, value.as_deref()?)));
        set.map(|(key, value)| (key, Some(value).filter(|value| !value.is_empty())))
    }

    /// The value of an option, if it is set and has one.
    pub fn option(&self, key: &str) -> Option<&str> {
        self.options().find_map(|(known, value)| value.filter(|_| known == key))
    }

    /// How long a job may take, if that is limited here.
    pub fn time_limit(&self) -> Option<Duration> {
        time_limit(self.option("time")?).ok()?
    }

    /// How many processors a worker has, as far as that is said here.
    pub fn processors(&self) -> usize {
        self.option("cpus-per-task").and_then(|count| count.parse().ok()).unwrap_or(1)
    }

    fn set(&mut self, entry: &KeyValue) -> Result<(), Diagnostic> {
        let KeyValue { key, key_origin, node } = entry;
        let wrong = |(expected, help): (String, &str)| {
            let message = format!("slurm: {key}: expected {expected}, got {}", found(node));
            Diagnostic::at(&node.origin, message).help(format!("`{key}`: {help}"))
        };
        let about = |key: &str| OWN.iter().find(|own| own.0 == key).map_or("", |own| own.1);
        match key.as_str() {
            "workers" => self.workers = Some(count(node).map_err(|e| wrong((e, about(key))))?),
            "runs-at-once" => {
                self.runs_at_once = Some(count(node).map_err(|e| wrong((e, about(key))))?);
            }
            "setup" => self.setup = lines(node).map_err(|e| wrong((e, about(key))))?,
            "more" => self.more = more(node).map_err(|e| wrong((e, about(key))))?,
            _ => {
                let option = OPTIONS.iter().find(|option| option.name == key);
                let option = option.ok_or_else(|| unknown(key, key_origin))?;
                let value = option.form.read(node);
                self.options
                    .insert(option.name, value.map_err(|e| wrong((e.into(), option.about)))?);
            }
        }
        Ok(())
    }
}

/// The JSON Schema of the section.
pub(super) fn schema() -> Json {
    let count = json!({ "type": "integer", "minimum": 1 });
    let text = json!({ "type": "string", "minLength": 1, "pattern": r"^[^\r]+$" });
    let lines = json!({ "anyOf": [text, { "type": "array", "items": text }] });
    let own = OWN.map(|(key, about)| {
        let mut schema =
            if matches!(key, "setup" | "more") { lines.clone() } else { count.clone() };
        schema["description"] = json!(about);
        (key.to_owned(), schema)
    });
    let options = OPTIONS.iter().map(|option| {
        let mut schema = option.form.schema();
        schema["description"] = json!(option.about);
        (option.name.to_owned(), schema)
    });
    let properties: serde_json::Map<String, Json> = own.into_iter().chain(options).collect();
    json!({
        "description": "How workers are submitted to a Slurm cluster: options of `sbatch`. Nothing of it is part of a run.",
        "type": "object", "properties": properties, "additionalProperties": false,
    })
}

/// What a word of the command line sets.
fn entry_of(word: &str) -> KeyValue {
    let source = Source {
        name: format!("--slurm {word}"),
        base: PathBuf::new(),
        text: word.into(),
        is_private: false,
    };
    let source = Arc::new(source);
    let (key, value) = word.split_once('=').unwrap_or((word, "true"));
    let start = (key.len() + 1).min(word.len());
    let value = match (value.parse(), value.parse()) {
        (Ok(number), _) => Value::Integer(number),
        (_, Ok(flag)) => Value::Boolean(flag),
        _ => Value::String(value.to_owned()),
    };
    let origin = |span| Origin::new(source.clone(), span);
    let node = Node { origin: origin(start..word.len()), value };
    // As `sbatch` has it, for whoever is used to that.
    let name = key.trim().trim_start_matches("--").to_owned();
    KeyValue { key: name, key_origin: origin(0..key.len()), node }
}

fn unknown(key: &str, origin: &Origin) -> Diagnostic {
    let plain = key.replace('_', "-");
    if let Some((_, reason)) = NOT_TO_BE_SET.iter().find(|(name, _)| *name == plain) {
        return Diagnostic::at(origin, format!("slurm: `{key}` is not to be set: {reason}"));
    }
    let problem = Diagnostic::at(origin, format!("slurm has no setting `{key}`"));
    let known: Vec<&str> =
        OWN.iter().map(|own| own.0).chain(OPTIONS.iter().map(|option| option.name)).collect();
    if let Some(meant) = meant_by(key) {
        return problem.help(format!("did you mean `{meant}`?"));
    }
    let meant = did_you_mean(key, &known);
    if meant.starts_with("known") {
        // They are many, and `man sbatch` says what they do.
        problem
            .help("settings are long options of `sbatch`, without dashes, as in time = \"8:00:00\"")
            .help(format!(
                "one that your site alone knows is passed on as it is: more = [\"--{key}=…\"]"
            ))
    } else {
        problem.help(meant)
    }
}

fn found(node: &Node) -> String {
    match &node.value {
        Value::String(text) => format!("the string {text:?}"),
        Value::TomlTable(_) | Value::Array(_) => node.type_name().to_owned(),
        _ => node.to_toml(),
    }
}

fn count(node: &Node) -> Result<NonZeroUsize, String> {
    let number = match node.value {
        Value::Integer(number) => usize::try_from(number).ok().and_then(NonZeroUsize::new),
        _ => None,
    };
    number.ok_or_else(|| "a whole number of at least 1".to_owned())
}

/// A line, or a list of lines. They become part of a script: each is what it looks like, so that whoever
/// reads them sees what runs.
fn lines(node: &Node) -> Result<Vec<String>, String> {
    let line = |node: &Node| node.as_str().filter(|line| !line.is_empty()).map(str::to_owned);
    let lines: Option<Vec<String>> = match &node.value {
        Value::Array(items) => items.iter().map(line).collect(),
        _ => line(node).map(|line| vec![line]),
    };
    let lines = lines.ok_or("a string or a list of strings")?;
    let is_shown = |c: char| matches!(c, '\n' | '\t') || printable::is_shown(c);
    match lines.iter().flat_map(|line| line.chars()).find(|c| !is_shown(*c)) {
        Some(c) => Err(format!(
            "text without characters that are not shown, as `{}` is",
            c.escape_default()
        )),
        None => Ok(lines),
    }
}

/// Options that are passed on as they are, none of which saegrid sets itself.
fn more(node: &Node) -> Result<Vec<String>, String> {
    let lines = lines(node)?;
    for line in &lines {
        let name =
            line.strip_prefix("--").map(|rest| rest.split(['=', ' ']).next().unwrap_or(rest));
        let name = name.filter(|_| !line.contains('\n'));
        let name = name.ok_or("options that begin with `--`, as in \"--container-image=x\"")?;
        if let Some((_, reason)) = NOT_TO_BE_SET.iter().find(|(known, _)| *known == name) {
            return Err(format!("options other than `{name}`: {reason}"));
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests;
