//! What the values of an axis in a block `[[grid.random]]` are drawn from.

use super::node::{Node, TomlTable, Value};
use super::range::number;
use crate::diagnostics::{Diagnostic, Origin, did_you_mean};

/// The keys of a distribution; the first three say which it is.
const KEYS: [&str; 4] = ["uniform", "log_uniform", "choice", "step"];

/// How errors show what a distribution is.
pub const EXAMPLES: &str = "as in { log_uniform = [0.01, 1.0] }, { uniform = [0.0, 0.9] }, whole numbers { uniform = [8, 64] } or { choice = [16, 64] }";

/// Whether a table is a distribution, and not a section with axes over its settings.
pub fn is_distribution(table: &TomlTable) -> bool {
    KEYS[..3].iter().any(|key| table.get(key).is_some())
}

/// What is drawn from, with its ends.
pub enum Distribution<'a> {
    /// Numbers, all as likely.
    Uniform(f64, f64),
    /// Numbers, all ratios as likely.
    Log(f64, f64),
    /// Whole numbers from the one end on, in steps.
    Whole(i64, i64, i64),
    /// Whole numbers, all ratios as likely.
    LogWhole(i64, i64),
    /// Some values, all as likely.
    Choice(&'a [Node]),
}

impl<'a> Distribution<'a> {
    /// Reads `{ uniform = [a, b] }`, `{ log_uniform = [a, b] }` or `{ choice = […] }`.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn read(
        axis: &'a str,
        origin: &'a Origin,
        table: &'a TomlTable,
    ) -> Result<Self, Diagnostic> {
        Written { axis, origin, table }.read()
    }
}

/// A distribution as it is written.
struct Written<'a> {
    axis: &'a str,
    origin: &'a Origin,
    table: &'a TomlTable,
}

impl<'a> Written<'a> {
    fn problem(&self, origin: &Origin, message: impl AsRef<str>) -> Diagnostic {
        let message = format!("the axis `{}`: {}", self.axis, message.as_ref());
        Diagnostic::at(origin, message).help(EXAMPLES)
    }

    fn read(&self) -> Result<Distribution<'a>, Diagnostic> {
        let mut entries = self.table.entries.iter();
        if let Some(other) = entries.find(|entry| !KEYS.contains(&entry.key.as_str())) {
            let message = format!("a distribution has no `{}`", other.key);
            let problem = self.problem(&other.key_origin, message);
            return Err(problem.help(did_you_mean(&other.key, &KEYS)));
        }
        let mut kinds = KEYS[..3].iter().filter_map(|key| self.table.get(key));
        let entry = match (kinds.next(), kinds.next()) {
            (Some(only), None) => only,
            (Some(first), Some(second)) => {
                let message = format!("`{}` and `{}` exclude each other", first.key, second.key);
                return Err(self.problem(&second.key_origin, message));
            }
            (None, _) => {
                let message = "a distribution needs `uniform`, `log_uniform` or `choice`";
                return Err(self.problem(self.origin, message));
            }
        };
        let (kind, at) = (entry.key.as_str(), &entry.node.origin);
        let items = match &entry.node.value {
            Value::Array(items) => items.as_slice(),
            _ => &[],
        };
        let distribution = match (kind, items) {
            ("choice", []) => {
                return Err(self.problem(at, "`choice` is a list of at least one value"));
            }
            ("choice", values) => Distribution::Choice(values),
            (kind, [least, most]) => self.numbers(kind, at, least, most)?,
            (kind, _) => return Err(self.problem(at, format!("`{kind}` is a list of two numbers"))),
        };
        match self.table.get("step") {
            Some(step) if !matches!(distribution, Distribution::Whole(..)) => {
                let message = "`step` goes with a `uniform` between whole numbers";
                Err(self.problem(&step.key_origin, message))
            }
            _ => Ok(distribution),
        }
    }

    fn numbers(
        &self,
        kind: &str,
        at: &Origin,
        least: &Node,
        most: &Node,
    ) -> Result<Distribution<'a>, Diagnostic> {
        let (Some(a), Some(b)) = (number(least), number(most)) else {
            return Err(self.problem(at, format!("`{kind}` is a list of two numbers")));
        };
        let whole = match (&least.value, &most.value) {
            (Value::Integer(a), Value::Integer(b)) => Some((*a, *b)),
            _ => None,
        };
        if whole.map_or(a >= b, |(a, b)| a >= b) {
            let (least, most) = (least.to_toml(), most.to_toml());
            let message = format!(
                "`{kind}` goes from the smaller to the larger number, got {least} and {most}"
            );
            return Err(self.problem(at, message));
        }
        match (kind, whole) {
            ("log_uniform", _) if a <= 0.0 => {
                Err(self.problem(&least.origin, "the ends of `log_uniform` are greater than 0"))
            }
            ("log_uniform", Some((a, b))) => Ok(Distribution::LogWhole(a, b)),
            ("log_uniform", None) => Ok(Distribution::Log(a, b)),
            (_, Some((a, b))) => Ok(Distribution::Whole(a, b, self.step()?)),
            (_, None) => Ok(Distribution::Uniform(a, b)),
        }
    }

    fn step(&self) -> Result<i64, Diagnostic> {
        match self.table.get("step").map(|entry| &entry.node) {
            None => Ok(1),
            Some(Node { value: Value::Integer(step), .. }) if *step >= 1 => Ok(*step),
            Some(node) => {
                let message =
                    format!("`step` is a whole number of at least 1, got {}", node.to_toml());
                Err(self.problem(&node.origin, message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::diagnostics::Source;
    use crate::spec::node::parse;

    fn mistake(written: &str) -> Diagnostic {
        let text = format!("k = {{ {written} }}");
        let source =
            Source { name: "t.toml".into(), base: Default::default(), text, is_private: false };
        let document = parse(&Arc::new(source)).unwrap();
        let node = &document.as_table().unwrap().get("k").unwrap().node;
        let read = Distribution::read("penalty.k", &node.origin, node.as_table().unwrap());
        read.err().unwrap_or_else(|| panic!("no mistake: {written}"))
    }

    #[test]
    fn mistakes_in_distributions_say_what_is_expected() {
        for (written, message) in [
            ("uniform = [1.0, 1.0]", "from the smaller to the larger number, got 1.0 and 1.0"),
            ("uniform = [8, 2]", "from the smaller to the larger number, got 8 and 2"),
            ("uniform = [8]", "`uniform` is a list of two numbers"),
            ("uniform = \"a\"", "`uniform` is a list of two numbers"),
            ("log_uniform = [\"a\", 1]", "`log_uniform` is a list of two numbers"),
            ("log_uniform = [0.0, 1.0]", "the ends of `log_uniform` are greater than 0"),
            ("log_uniform = [-2, 1]", "the ends of `log_uniform` are greater than 0"),
            ("choice = []", "at least one value"),
            ("choice = 3", "at least one value"),
            ("step = 3", "needs `uniform`, `log_uniform` or `choice`"),
            ("uniform = [0.0, 1.0], step = 3", "`step` goes with a `uniform` between whole"),
            ("log_uniform = [1, 9], step = 3", "`step` goes with a `uniform` between whole"),
            ("uniform = [1, 9], step = 0", "at least 1, got 0"),
            ("uniform = [1, 9], choice = [1]", "`uniform` and `choice` exclude each other"),
            ("uniform = [1, 9], points = 3", "a distribution has no `points`"),
        ] {
            let problem = mistake(written);
            assert!(problem.message.contains(message), "{written}: {}", problem.message);
            assert!(problem.help[0].contains("as in { log_uniform"), "{written}");
        }
    }
}
