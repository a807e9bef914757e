//! A TOML document as a tree in which every key and value knows its place.
//!
//! The `toml` crate parses; this tree is what the rest of the program reads. Includes and
//! overrides can be merged into it without losing where each value came from, which serde's own
//! intermediate types cannot do.

use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::syntax::{syntax_error, syntax_errors};
use crate::diagnostics::{Diagnostic, ENOUGH, Origin, Source};

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where the value stands.
    pub origin: Origin,
    /// The value.
    pub value: Value,
}

/// A TOML value whose numbers are finite.
#[derive(Clone, Debug)]
pub enum Value {
    /// A table, in the order of the file.
    TomlTable(TomlTable),
    /// An array.
    Array(Vec<Node>),
    /// A string.
    String(String),
    /// A whole number.
    Integer(i64),
    /// A finite number.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// A date or a time; no setting takes one, so its text is enough for the error.
    Datetime(String),
}

/// Keys and values in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct TomlTable {
    /// The entries; keys are unique.
    pub entries: Vec<KeyValue>,
}

/// One `key = value`.
#[derive(Clone, Debug)]
pub struct KeyValue {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_origin: Origin,
    /// The value.
    pub node: Node,
}

impl TomlTable {
    /// The entry of a key.
    pub fn get(&self, key: &str) -> Option<&KeyValue> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &str) -> Option<KeyValue> {
        let at = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(at))
    }

    /// Puts an entry in, in the place of one with the same key.
    pub fn set(&mut self, entry: KeyValue) {
        match self.entries.iter_mut().find(|known| known.key == entry.key) {
            Some(known) => *known = entry,
            None => self.entries.push(entry),
        }
    }
}

impl Node {
    /// The table, if it is one.
    pub fn as_table(&self) -> Option<&TomlTable> {
        match &self.value {
            Value::TomlTable(table) => Some(table),
            _ => None,
        }
    }

    /// The string, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a key, if this is a table that has it.
    pub fn entry_mut(&mut self, key: &str) -> Option<&mut Self> {
        let Value::TomlTable(table) = &mut self.value else { return None };
        let entry = table.entries.iter_mut().find(|entry| entry.key == key)?;
        Some(&mut entry.node)
    }

    /// What kind of value it is, as errors say it.
    pub fn type_name(&self) -> &'static str {
        match &self.value {
            Value::TomlTable(_) => "a table",
            Value::Array(_) => "a list",
            Value::String(_) => "a string",
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Boolean(_) => "true or false",
            Value::Datetime(_) => "a date",
        }
    }

    /// Puts `node` at a dotted path below this table, creating the tables on the way.
    ///
    /// # Errors
    /// If a part of the path is there and is not a table.
    pub fn set_path(
        &mut self,
        path: &[&str],
        key_origin: &Origin,
        node: Node,
    ) -> Result<(), Diagnostic> {
        let Value::TomlTable(table) = &mut self.value else {
            let (key, held) = (path.join("."), self.type_name());
            let message = format!("`{key}` cannot be set: where it would be, there is {held}");
            return Err(Diagnostic::at(key_origin, message).related(&self.origin, "this value"));
        };
        let Some((first, rest)) = path.split_first() else { return Ok(()) };
        let key_origin = key_origin.clone();
        if rest.is_empty() {
            table.set(KeyValue { key: (*first).to_owned(), key_origin, node });
            return Ok(());
        }
        if table.get(first).is_none() {
            let empty =
                Node { origin: key_origin.clone(), value: Value::TomlTable(TomlTable::default()) };
            let key = (*first).to_owned();
            table.set(KeyValue { key, key_origin: key_origin.clone(), node: empty });
        }
        match table.entries.iter_mut().find(|entry| entry.key == *first) {
            Some(entry) => entry.node.set_path(rest, &key_origin, node),
            None => Ok(()),
        }
    }

    /// The value in few words, for tables: a section as its kind and its settings, text unquoted; a list of
    /// sections as one after the other.
    pub fn to_words(&self) -> String {
        match &self.value {
            Value::TomlTable(table) => {
                let word = |entry: &KeyValue| match entry.key.as_str() {
                    "kind" => entry.node.to_words(),
                    key => format!("{key}={}", entry.node.to_words()),
                };
                table.entries.iter().map(word).collect::<Vec<_>>().join(" ")
            }
            Value::Array(items)
                if !items.is_empty() && items.iter().all(|item| item.as_table().is_some()) =>
            {
                items.iter().map(Self::to_words).collect::<Vec<_>>().join(" + ")
            }
            Value::String(text) => text.clone(),
            _ => self.to_toml(),
        }
    }

    /// The value as TOML text on one line.
    pub fn to_toml(&self) -> String {
        match &self.value {
            Value::TomlTable(table) => {
                let entries: Vec<String> = table
                    .entries
                    .iter()
                    .map(|entry| format!("{} = {}", entry.key, entry.node.to_toml()))
                    .collect();
                format!("{{ {} }}", entries.join(", "))
            }
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(Node::to_toml).collect();
                format!("[{}]", items.join(", "))
            }
            Value::String(text) => toml::Value::String(text.clone()).to_string(),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => toml::Value::Float(*number).to_string(),
            Value::Boolean(flag) => flag.to_string(),
            Value::Datetime(text) => text.clone(),
        }
    }
}

/// Parses a whole document.
///
/// # Errors
/// The syntax errors of the text, and the numbers that are not finite or do not fit 64 bits: the
/// first [`ENOUGH`] of them.
pub fn parse(source: &Arc<Source>) -> Result<Node, Vec<Diagnostic>> {
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    let mut problems = syntax_errors(source, &errors);
    let (wrong, mut values) = (problems.clone(), Vec::new());
    let node = convert_table(source, table.span(), table.get_ref(), &mut values);
    // What the parser took for the value of a text that is none is nothing to complain of.
    values.retain(|value| !wrong.iter().any(|wrong| wrong.overlaps(value)));
    problems.extend(values);
    problems.truncate(ENOUGH);
    if problems.is_empty() { Ok(node) } else { Err(problems) }
}

/// Parses one value, as an override on the command line gives it: what stands from `text_start` on,
/// which is 2 at least, after a key and `=`.
///
/// # Errors
/// As [`parse`].
pub fn parse_value(source: &Arc<Source>, text_start: usize) -> Result<Node, Vec<Diagnostic>> {
    // The value of a document in which it has the same place as in the source: so places are right.
    let document = format!("{:>text_start$}{}", "x=", &source.text[text_start..]);
    let (table, errors) = DeTable::parse_recoverable(&document);
    if let Some(error) = errors.first() {
        return Err(vec![syntax_error(source, error)]);
    }
    let [value] = table.get_ref().values().collect::<Vec<_>>()[..] else {
        let whole = Origin::new(source.clone(), text_start..source.text.len());
        return Err(vec![Diagnostic::at(&whole, "this is more than one value")]);
    };
    let mut problems = Vec::new();
    let node = convert(source, value, &mut problems);
    if problems.is_empty() { Ok(node) } else { Err(problems) }
}

fn convert_table(
    source: &Arc<Source>,
    span: std::ops::Range<usize>,
    table: &DeTable<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Node {
    let mut entries: Vec<(usize, KeyValue)> = table
        .iter()
        .map(|(key, value)| {
            let entry = KeyValue {
                key: key.get_ref().to_string(),
                key_origin: Origin::new(source.clone(), key.span()),
                node: convert(source, value, problems),
            };
            (key.span().start, entry)
        })
        .collect();
    entries.sort_by_key(|(start, _)| *start);
    let entries = entries.into_iter().map(|(_, entry)| entry).collect();
    Node {
        origin: Origin::new(source.clone(), span),
        value: Value::TomlTable(TomlTable { entries }),
    }
}

fn convert(
    source: &Arc<Source>,
    value: &Spanned<DeValue<'_>>,
    problems: &mut Vec<Diagnostic>,
) -> Node {
    let origin = Origin::new(source.clone(), value.span());
    let converted = match value.get_ref() {
        DeValue::Table(table) => return convert_table(source, value.span(), table, problems),
        DeValue::Array(items) => {
            Value::Array(items.iter().map(|item| convert(source, item, problems)).collect())
        }
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(flag) => Value::Boolean(*flag),
        DeValue::Datetime(date) => Value::Datetime(date.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => {
                let message = "this whole number does not fit 64 bits";
                let help = format!("the greatest is {}", i64::MAX);
                problems.push(Diagnostic::at(&origin, message).help(help));
                Value::Integer(0)
            }
        },
        DeValue::Float(number) => match number.as_str().parse::<f64>() {
            Ok(0.0) if is_more_than_zero(number.as_str()) => {
                let message = "this number is nearer to 0 than 64 bits can tell, and is not 0";
                let help = "the least is about 5e-324; write 0 if that is meant";
                problems.push(Diagnostic::at(&origin, message).help(help));
                Value::Float(0.0)
            }
            Ok(number) if number.is_finite() => Value::Float(number),
            _ => {
                let message = "a setting is a finite number; NaN, infinity and what overflows to it are refused";
                problems.push(Diagnostic::at(&origin, message));
                Value::Float(0.0)
            }
        },
    };
    Node { origin, value: converted }
}

/// Whether a number has a digit before its power that is not 0.
fn is_more_than_zero(number: &str) -> bool {
    let digits = number.split(['e', 'E']).next().unwrap_or_default();
    digits.bytes().any(|byte| (b'1'..=b'9').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Result<Node, Vec<Diagnostic>> {
        parse(&Arc::new(Source {
            name: "t.toml".into(),
            base: Default::default(),
            text: text.into(),
            is_private: false,
        }))
    }

    #[test]
    fn entries_keep_the_order_of_the_file_and_their_places() {
        let node = document("z = 1\n[b]\nq = 2\na = \"x\"\n").unwrap();
        let table = node.as_table().unwrap();
        let keys: Vec<&str> = table.entries.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, ["z", "b"]);
        let inner = table.get("b").unwrap().node.as_table().unwrap().get("a").unwrap();
        assert_eq!(inner.key_origin.line_column(), (4, 1));
        assert_eq!(inner.node.origin.line_column(), (4, 5));
        assert_eq!(inner.node.origin.text(), "\"x\"");
    }

    #[test]
    fn numbers_that_are_not_finite_are_refused_where_they_stand() {
        let problems =
            document("a = nan\nb = -inf\nc = 1e999\nd = 99999999999999999999\n").unwrap_err();
        let lines: Vec<usize> =
            problems.iter().map(|p| p.origin.as_ref().unwrap().line_column().0).collect();
        assert_eq!(lines, [1, 2, 3, 4]);
    }

    /// Wrong if a setting were silently 0 that was not written so.
    #[test]
    fn a_number_that_would_become_0_is_refused() {
        for text in ["1e-400", "-0.001e-330", "1_0.5e-999"] {
            let message = document(&format!("a = {text}")).unwrap_err()[0].message.clone();
            assert!(message.contains("nearer to 0"), "{text}: {message}");
        }
        assert!(document("a = 0e-400\nb = 0.0\nc = 5e-324\nd = -0.0").is_ok());
    }

    /// Wrong if one mistake were told twice, or in words that do not help.
    #[test]
    fn a_word_that_is_no_value_is_one_mistake() {
        for (text, message, help) in [
            ("x = .1", "digits before and behind its point, got `.1`", "write 0.1"),
            ("x = -.5", "got `-.5`", "write -0.5"),
            ("x = +.5e3 # y", "got `+.5e3`", "write 0.5e3"),
            ("x = 1.", "got `1.`", "write 1.0"),
            ("x = [1.e3]", "got `1.e3`", "write 1.0e3"),
            ("x = None", "there is no `None` in TOML", "leave the setting out"),
            ("x = True", "written in small letters", "write true"),
            ("x = 7O", "neither a number nor a text in quotes", "as in \"7O\""),
            ("x = 0.1x", "`0.1x` is neither", "as in \"0.1x\""),
            ("x = 0,1", "a point where others write a comma, got `0,1`", "write 0.1"),
            ("x = { a = \"b\", y = 0,1 }", "got `0,1`", "write 0.1"),
            ("x = [{ a = \"b\", y = -2,5e-3 }, { z = 1 }]", "got `-2,5e-3`", "write -2.5e-3"),
            ("x = { y = 0,1, z = 2 }", "got `0,1`", "write 0.1"),
        ] {
            let problems = document(text).unwrap_err();
            assert_eq!(problems.len(), 1, "{text}: {problems:#?}");
            assert!(problems[0].message.contains(message), "{text}: {}", problems[0].message);
            assert!(problems[0].help[0].contains(help), "{text}: {:?}", problems[0].help);
        }
        assert!(document("x = [0,1]\ny = { a = [1,2], b = 3 }").is_ok());
    }

    #[test]
    fn what_is_nested_too_deep_is_refused_with_a_place() {
        let times = |text: &str| text.repeat(100_000);
        let brackets = format!("a = {}{}", times("["), times("]"));
        let tables = format!("a = {}1{}", times("{a="), times("}"));
        let key = format!("a{} = 1", times(".a"));
        let heading = format!("[a{}]", times(".a"));
        for text in [brackets, tables, key, heading] {
            let problems = document(&text).unwrap_err();
            assert!(problems.iter().all(|problem| problem.origin.is_some()), "{}", &text[..20]);
        }
    }

    #[test]
    fn several_syntax_errors_come_in_one_pass() {
        let problems = document("a = \nb = 1\nc = = 2\n").unwrap_err();
        assert!(problems.len() >= 2, "{problems:?}");
    }

    #[test]
    fn underscores_and_other_radices_are_whole_numbers() {
        let node = document("a = 1_000\nb = 0xff\nc = -7\n").unwrap();
        let number = |key: &str| match node.as_table().unwrap().get(key).unwrap().node.value {
            Value::Integer(number) => number,
            _ => panic!("not a whole number"),
        };
        assert_eq!((number("a"), number("b"), number("c")), (1000, 255, -7));
    }
}
