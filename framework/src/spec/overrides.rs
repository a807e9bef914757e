//! Overrides from the command line: `--set penalty.rho=0.1`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::distribution::is_distribution;
use super::entries::{entry_names, no_entry, snake, tidy_path};
use super::node::{self, KeyValue, Node, TomlTable, Value};
use super::random::RANDOM_KEYS;
use super::sections::is_list;
use super::sweep::BLOCKS;
use crate::diagnostics::{Diagnostic, Origin, Source};

/// One `KEY=VALUE`, and the folder that a relative path in it starts from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// The text as given.
    pub text: String,
    /// The working directory of the command.
    pub base: PathBuf,
}

impl Override {
    /// The override `text` of a command that runs in `base`.
    pub fn new(text: impl Into<String>, base: impl AsRef<Path>) -> Self {
        Self { text: text.into(), base: base.as_ref().to_owned() }
    }

    /// The first part of the key, as `penalty` is of `penalty.rho`; `None` where the text is no override.
    pub fn section(&self) -> Option<String> {
        key_path(&self.text[..equals_sign(&self.text)?])?.into_iter().next()
    }

    /// Puts the value in its place in the document. It takes the place of an axis over the same
    /// key, too, and reaches into the values of an axis over a table that holds the key: what the
    /// command line says holds for every run.
    ///
    /// # Errors
    /// A text that is not `KEY=VALUE`, or a value that is no TOML.
    pub fn apply(&self, document: &mut Node) -> Result<(), Vec<Diagnostic>> {
        let source = Arc::new(Source {
            name: format!("--set {}", self.text),
            base: self.base.clone(),
            text: self.text.clone(),
            is_private: false,
        });
        let whole = Origin::new(source.clone(), 0..self.text.len());
        let malformed = |message: &str| {
            vec![Diagnostic::at(&whole, message).help("as in --set penalty.rho=0.1")]
        };
        let equals =
            equals_sign(&self.text).ok_or_else(|| malformed("an override is KEY=VALUE"))?;
        let mut path = key_path(&self.text[..equals])
            .ok_or_else(|| malformed("what stands before `=` is no TOML key"))?;
        tidy_path(&mut path);
        let value = read_value(&source, equals + 1)?;
        let key_origin = Origin::new(source.clone(), 0..equals);

        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        let mut lists = 0;
        if parts[0] != "grid" {
            for_axes(document, |axes| {
                remove_path(axes, &path);
                lists += set_in_axes(axes, &parts, &key_origin, &value)?;
                Ok(())
            })
            .map_err(one)?;
        }
        if is_list(parts[0]) && parts.len() > 1 {
            let mut list = document.entry_mut(parts[0]);
            if let Some(list) = &mut list {
                lists += usize::from(set_in_list(list, &parts, &key_origin, &value).map_err(one)?);
            }
            // Lists without the entry stay as they are; that no list has it is a mistake.
            let missing =
                (lists == 0).then(|| no_entry(parts[0], list.as_deref(), parts[1], &key_origin));
            return missing.map_or(Ok(()), |problem| Err(vec![problem]));
        }
        if parts[0] != "grid" || parts.len() == 1 || BLOCKS.contains(&parts[1]) {
            return document.set_path(&parts, &key_origin, value).map_err(one);
        }
        // An axis is one key of `[grid]`, however it is spelt.
        let axis = parts[1..].join(".");
        for_axes(document, |axes| {
            remove_path(axes, &path[1..]);
            Ok(())
        })
        .and_then(|()| document.set_path(&["grid", &axis], &key_origin, value))
        .map_err(one)
    }
}

fn one(problem: Diagnostic) -> Vec<Diagnostic> {
    vec![problem]
}

/// The first `=` outside of quotes.
fn equals_sign(text: &str) -> Option<usize> {
    let mut quote = None;
    text.char_indices().find_map(|(at, c)| {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None, '=') => return Some(at),
            _ => {}
        }
        None
    })
}

/// The parts of a TOML key; parts that hold dots (`"penalty.rho"`) are split at them.
fn key_path(text: &str) -> Option<Vec<String>> {
    let text = format!("{} = 0", text.trim());
    let source =
        Arc::new(Source { name: String::new(), base: PathBuf::new(), text, is_private: false });
    let document = node::parse(&source).ok()?;
    let mut path = Vec::new();
    let mut node = &document;
    while let Value::TomlTable(table) = &node.value {
        let [entry] = table.entries.as_slice() else { return None };
        path.extend(entry.key.split('.').map(str::to_owned));
        node = &entry.node;
    }
    (!path.is_empty() && path.iter().all(|part| !part.is_empty())).then_some(path)
}

/// A TOML value; a bare word, as shells leave it of a string, is a string.
fn read_value(source: &Arc<Source>, start: usize) -> Result<Node, Vec<Diagnostic>> {
    let text = source.text[start..].trim();
    match node::parse_value(source, start) {
        Ok(node) => Ok(node),
        Err(_)
            if !text.is_empty()
                && !text.starts_with(['"', '\'', '[', '{'])
                && !text.contains(['\n', '\r'])
                && !is_number_like(text) =>
        {
            let origin = Origin::new(source.clone(), start..source.text.len());
            Ok(Node { origin, value: Value::String(text.to_owned()) })
        }
        Err(problems) => Err(problems),
    }
}

/// Whether a text is meant as a number; one with other letters, as a file's name or a time, is a text.
fn is_number_like(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']);
    let is_made_of = |known: &[u8]| digits.bytes().all(|byte| known.contains(&byte));
    digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.contains(|c: char| c.is_ascii_digit())
        && is_made_of(b"0123456789.,_eE+-")
        || digits == "nan"
        || digits == "inf"
}

/// Does something to every table of axes: `[grid]` itself and each block `[[grid.zip]]`,
/// `[[grid.random]]` and `[[grid.when]]`. A block that has no axis then goes with its last one.
fn for_axes(
    document: &mut Node,
    mut act: impl FnMut(&mut Node) -> Result<(), Diagnostic>,
) -> Result<(), Diagnostic> {
    let Value::TomlTable(top) = &mut document.value else { return Ok(()) };
    let Some(grid) = top.entries.iter_mut().find(|entry| entry.key == "grid") else {
        return Ok(());
    };
    act(&mut grid.node)?;
    let Value::TomlTable(axes) = &mut grid.node.value else { return Ok(()) };
    for list in &mut axes.entries {
        // What stands in a block besides its axes.
        let own: &[&str] = match list.key.as_str() {
            "zip" => &[],
            "random" => &RANDOM_KEYS,
            "when" => &["if"],
            _ => continue,
        };
        let Value::Array(blocks) = &mut list.node.value else { continue };
        blocks.iter_mut().try_for_each(&mut act)?;
        blocks.retain(|block| {
            let is_own = |entry: &KeyValue| own.contains(&entry.key.as_str());
            !block.as_table().is_some_and(|table| table.entries.iter().all(is_own))
        });
    }
    Ok(())
}

/// Sets what stands under `path` in a list, if it has the entry. Returns true if it has.
fn set_in_list(
    list: &mut Node,
    path: &[&str],
    key_origin: &Origin,
    value: &Node,
) -> Result<bool, Diagnostic> {
    let names = match &list.value {
        Value::Array(items) => entry_names(items),
        _ => return Ok(false),
    };
    let has = names.iter().flatten().any(|name| name == path[1]);
    if has {
        list.set_in_entry(path[0], &names, &path[1..], key_origin, value.clone())?;
    }
    Ok(has)
}

/// Sets what stands under `path` in every value of an axis over a part of the path, as `penalty` is
/// of `penalty.lambda`; such an axis' values are tables, or lists, which have it set where they have the
/// entry. Returns in how many lists it is set.
fn set_in_axes(
    node: &mut Node,
    path: &[&str],
    key_origin: &Origin,
    value: &Node,
) -> Result<usize, Diagnostic> {
    let Value::TomlTable(table) = &mut node.value else { return Ok(0) };
    let mut lists = 0;
    for length in 1..path.len() {
        let key = path[..length].join(".");
        let mut entries = table.entries.iter_mut();
        let Some(entry) = entries.find(|entry| is_same(&entry.key, &key)) else { continue };
        let rest = &path[length..];
        let values = match &mut entry.node.value {
            Value::TomlTable(table) if is_distribution(table) => choices(table),
            _ => Some(&mut entry.node),
        };
        let Some(values) = values else { continue };
        match &mut values.value {
            Value::Array(values) => {
                for held in values {
                    match held.value {
                        Value::TomlTable(_) => held.set_path(rest, key_origin, value.clone())?,
                        _ if is_list(&key) => {
                            lists += usize::from(set_in_list(held, path, key_origin, value)?);
                        }
                        _ => {}
                    }
                }
            }
            _ => lists += set_in_axes(values, rest, key_origin, value)?,
        }
    }
    Ok(lists)
}

/// Whether two keys are the same, however the names of entries in them are spelt.
fn is_same(one: &str, other: &str) -> bool {
    snake(one) == snake(other)
}

/// What a distribution chooses from.
fn choices(table: &mut TomlTable) -> Option<&mut Node> {
    let entry = table.entries.iter_mut().find(|entry| entry.key == "choice");
    entry.map(|entry| &mut entry.node)
}

/// Removes what stands under `path`, whichever of its dots are quoted.
fn remove_path(node: &mut Node, path: &[String]) {
    let Value::TomlTable(table) = &mut node.value else { return };
    for length in 1..=path.len() {
        let key = path[..length].join(".");
        if length == path.len() {
            table.entries.retain(|entry| !is_same(&entry.key, &key));
        } else if let Some(entry) = table.entries.iter_mut().find(|entry| is_same(&entry.key, &key))
        {
            remove_path(&mut entry.node, &path[length..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(text: &str, set: &str) -> Result<String, Vec<Diagnostic>> {
        let source = Source {
            name: "t.toml".into(),
            base: PathBuf::new(),
            text: text.into(),
            is_private: false,
        };
        let mut document = node::parse(&Arc::new(source)).unwrap();
        Override::new(set, ".").apply(&mut document)?;
        Ok(document.to_toml())
    }

    #[test]
    fn values_take_their_place_and_new_tables_are_made() {
        assert_eq!(
            apply("[penalty]\nrho = 1", "penalty.rho=0.5").unwrap(),
            "{ penalty = { rho = 0.5 } }"
        );
        assert_eq!(
            apply("", "train.optimizer.lr = 1e-2").unwrap(),
            "{ train = { optimizer = { lr = 0.01 } } }"
        );
        assert_eq!(apply("", "name=kl").unwrap(), "{ name = \"kl\" }");
        assert!(apply("", "dataset.images=/data/a=b.gz").is_ok());
        assert_eq!(
            apply("", "dataset.images=5x.idx").unwrap(),
            "{ dataset = { images = \"5x.idx\" } }"
        );
        assert_eq!(apply("", "run.timeout=2h").unwrap(), "{ run = { timeout = \"2h\" } }");
        assert_eq!(
            apply("", "dataset.folder=../a").unwrap(),
            "{ dataset = { folder = \"../a\" } }"
        );
        for number in [".1", "1.", "0,1", "1e", "1e-400"] {
            assert!(apply("", &format!("penalty.lambda={number}")).is_err(), "{number}");
        }
    }

    #[test]
    fn an_override_takes_the_place_of_an_axis_over_the_same_key() {
        for grid in ["[grid]\n\"penalty.rho\" = [1, 2]", "[grid]\npenalty.rho = [1, 2]"] {
            let set = apply(grid, "penalty.rho=0.5").unwrap();
            assert!(!set.contains("[1, 2]") && set.contains("rho = 0.5"), "{set}");
            let set = apply(grid, "grid.penalty.rho=[3]").unwrap();
            assert!(!set.contains("[1, 2]") && set.contains("[3]"), "{set}");
        }
        let when = "[[grid.when]]\nif = { \"penalty.kind\" = \"kl\" }\n\"penalty.rho\" = [1, 2]";
        let set = apply(when, "penalty.rho=0.5").unwrap();
        assert!(set.contains("when = []"), "a block that has lost its axis is gone: {set}");
        assert!(apply(when, "penalty.beta=0.5").unwrap().contains("[1, 2]"));
        assert!(!apply(when, "grid.when=[]").unwrap().contains("[1, 2]"));
        let zipped = "[[grid.zip]]\n\"penalty.rho\" = [1, 2]\ntrain.batch = [5, 6]";
        let set = apply(zipped, "penalty.rho=0.5").unwrap();
        assert!(!set.contains("[1, 2]") && set.contains("[5, 6]"), "{set}");
    }

    #[test]
    fn an_override_reaches_into_the_values_of_an_axis_over_what_holds_its_key() {
        let grid = "[grid]\npenalty = [{ kind = \"l1\", lambda = 1 }, { kind = \"l1\" }]";
        let set = apply(grid, "penalty.lambda=2").unwrap();
        assert_eq!(set.matches("lambda = 2").count(), 3, "both values, and the section: {set}");
        assert!(!set.contains("lambda = 1"), "{set}");
        for grid in ["[grid]\n\"train.optimizer\" = [{}]", "[grid]\ntrain.optimizer = [{}]"] {
            let set = apply(grid, "train.optimizer.lr=2").unwrap();
            assert_eq!(set.matches("lr = 2").count(), 2, "{set}");
        }
    }

    #[test]
    fn an_override_takes_the_place_of_what_is_drawn() {
        let axes = "\"penalty.rho\" = { uniform = [1, 2] }";
        let block = format!("[[grid.random]]\nsamples = 3\nseed = 1\n{axes}");
        assert!(apply(&block, "penalty.rho=0.5").unwrap().contains("random = []"));
        let set = apply(&format!("{block}\ntrain.batch = {{ choice = [1] }}"), "penalty.rho=0.5");
        let set = set.unwrap();
        assert!(!set.contains("uniform") && set.contains("choice = [1]"), "{set}");
        let sections = "[[grid.random]]\nsamples = 3\npenalty = { choice = [{ rho = 1 }, {}] }";
        let set = apply(sections, "penalty.rho=0.5").unwrap();
        assert_eq!(set.matches("rho = 0.5").count(), 3, "both values, and the section: {set}");
    }

    #[test]
    fn the_whole_grid_can_be_set() {
        let set = apply("[grid]\n\"penalty.rho\" = [1, 2]", "grid={}").unwrap();
        assert_eq!(set, "{ grid = {  } }");
    }

    #[test]
    fn mistakes_in_a_value_are_shown_where_they_stand() {
        for (set, column) in [("a=nan", 3), ("penalty = { rho = nan }", 19), ("\"ü\"=[1, inf]", 9)]
        {
            let problems = apply("", set).unwrap_err();
            assert_eq!(problems[0].origin.as_ref().unwrap().line_column(), (1, column), "{set}");
        }
    }

    #[test]
    fn what_is_no_override_is_an_error_and_never_a_panic() {
        for set in
            ["", "=", "a", "a=", "=1", "a..b=1", "a=[1", "a=1e999", "a=nan", "\"a=1", "a=1\nb=2"]
        {
            assert!(apply("", set).is_err(), "{set}");
        }
    }
}
