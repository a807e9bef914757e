//! Axes that are a range: values that are computed and not written out.

use super::node::{Node, TomlTable, Value};
use crate::diagnostics::{Diagnostic, Origin, did_you_mean};

/// More points than any grid may have; checked before they are made, over all ranges of a grid.
pub const MAX_POINTS: i64 = 1_000_000;

/// The kinds of ranges, each with the key that goes with it.
const KINDS: [(&str, &str); 3] = [("log", "points"), ("linear", "points"), ("range", "step")];

const KEYS: [&str; 5] = ["log", "linear", "range", "points", "step"];

/// Whether a table is a range, and not a section with axes over its settings.
pub fn is_range(table: &TomlTable) -> bool {
    ["log", "linear", "range", "points"].iter().any(|key| table.get(key).is_some())
}

/// The values of `{ log = [a, b], points = n }`, `{ linear = [a, b], points = n }` or
/// `{ range = [a, b], step = n }`, of which `points_left` may be made.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn read_range(
    axis: &str,
    origin: &Origin,
    table: &TomlTable,
    points_left: i64,
) -> Result<Vec<Node>, Diagnostic> {
    let range = Range { axis, origin, table, points_left };
    if let Some(other) = table.entries.iter().find(|entry| !KEYS.contains(&entry.key.as_str())) {
        let problem = range.problem(&other.key_origin, format!("a range has no `{}`", other.key));
        // What belongs to the range and is not there is what was meant.
        let missing = KINDS
            .iter()
            .find(|(kind, with)| table.get(kind).is_some() && table.get(with).is_none());
        return Err(problem.help(match missing {
            Some((_, with)) => format!("did you mean `{with}`?"),
            None => did_you_mean(&other.key, &KEYS),
        }));
    }
    let mut kinds = KINDS.iter().filter_map(|(kind, with)| Some((table.get(kind)?, with)));
    let (entry, with) = match (kinds.next(), kinds.next()) {
        (Some(only), None) => only,
        (Some((first, _)), Some((second, _))) => {
            let message = format!("`{}` and `{}` exclude each other", first.key, second.key);
            return Err(range.problem(&second.key_origin, message));
        }
        (None, _) => {
            let message = "a range needs `log`, `linear` or `range`";
            return Err(range.problem(origin, message));
        }
    };
    if let Some(other) =
        ["points", "step"].iter().filter(|key| *key != with).find_map(|key| table.get(key))
    {
        let message = format!("`{}` goes with `{with}`, not with `{}`", entry.key, other.key);
        return Err(range.problem(&other.key_origin, message));
    }
    let ends = match &entry.node.value {
        Value::Array(items) => items.as_slice(),
        _ => &[],
    };
    match (entry.key.as_str(), ends) {
        ("range", [first, last]) => range.steps(&entry.node.origin, first, last),
        (kind, [first, last]) => range.points(&entry.node.origin, kind == "log", first, last),
        (kind, _) => {
            let numbers = if kind == "range" { "two whole numbers" } else { "two numbers" };
            let message = format!("`{kind}` is a list of {numbers}");
            Err(range.problem(&entry.node.origin, message))
        }
    }
}

/// A range that is being read.
struct Range<'a> {
    axis: &'a str,
    origin: &'a Origin,
    table: &'a TomlTable,
    points_left: i64,
}

impl Range<'_> {
    fn problem(&self, origin: &Origin, message: impl AsRef<str>) -> Diagnostic {
        let help = "as in { log = [0.01, 1.0], points = 3 }, { linear = [0.0, 1.0], points = 5 } or { range = [8, 64], step = 8 }";
        let message = format!("the axis `{}`: {}", self.axis, message.as_ref());
        Diagnostic::at(origin, message).help(help)
    }

    /// `points` values from first to last, both included, in equal ratios or equal steps. They are
    /// rounded to 12 significant digits, so that 0.1 is 0.1 and gives the run that 0.1 written out
    /// gives.
    fn points(
        &self,
        at: &Origin,
        log: bool,
        first: &Node,
        last: &Node,
    ) -> Result<Vec<Node>, Diagnostic> {
        let whole = [first, last].iter().all(|end| matches!(end.value, Value::Integer(_)));
        let (Some(first), Some(last)) = (number(first), number(last)) else {
            let kind = if log { "log" } else { "linear" };
            return Err(self.problem(at, format!("`{kind}` is a list of two numbers")));
        };
        if log && !(first > 0.0 && last > 0.0) {
            return Err(self.problem(at, "the ends of `log` are greater than 0"));
        }
        let points = match self.table.get("points").map(|entry| &entry.node) {
            Some(Node { value: Value::Integer(points), origin })
                if (1..=MAX_POINTS).contains(points) =>
            {
                self.check_count(*points, origin)?;
                *points
            }
            Some(node) => {
                let message = format!("`points` is a whole number from 1 to {MAX_POINTS}");
                return Err(self.problem(&node.origin, message));
            }
            None => {
                let message = "`points` is missing: how many values there are";
                return Err(self.problem(self.origin, message));
            }
        };
        let value = |point: i64| {
            let share = if points == 1 { 0.0 } else { point as f64 / (points - 1) as f64 };
            let exact = match (point, log) {
                (0, _) => first,
                (at, _) if at == points - 1 => last,
                (_, true) => first * (last / first).powf(share),
                (_, false) => first + (last - first) * share,
            };
            let rounded = format!("{exact:.11e}").parse().unwrap_or(exact);
            if whole && rounded.fract() == 0.0 {
                Value::Integer(rounded as i64)
            } else {
                Value::Float(rounded)
            }
        };
        Ok((0..points).map(value).map(|value| self.node(value)).collect())
    }

    /// The whole numbers from first on in steps, up to and with last where a step meets it.
    fn steps(&self, at: &Origin, first: &Node, last: &Node) -> Result<Vec<Node>, Diagnostic> {
        let (&Value::Integer(first), &Value::Integer(last)) = (&first.value, &last.value) else {
            let problem = self.problem(at, "`range` is a list of two whole numbers");
            return Err(problem.help("other numbers are a `linear` or `log` range"));
        };
        if first > last {
            let message = format!(
                "`range` goes from the smaller to the larger number, got {first} and {last}"
            );
            return Err(self.problem(at, message));
        }
        let (step, at) = match self.table.get("step").map(|entry| &entry.node) {
            None => (1, at),
            Some(Node { value: Value::Integer(step), origin }) if *step >= 1 => (*step, origin),
            Some(node) => {
                let message =
                    format!("`step` is a whole number of at least 1, got {}", node.to_toml());
                return Err(self.problem(&node.origin, message));
            }
        };
        // The ends may be further apart than 64 bits count.
        let steps = (i128::from(last) - i128::from(first)) / i128::from(step);
        let count = i64::try_from(steps + 1).unwrap_or(i64::MAX);
        if count > MAX_POINTS {
            let message =
                format!("a range of {} values; at most {MAX_POINTS} are allowed", steps + 1);
            return Err(self.problem(at, message));
        }
        self.check_count(count, at)?;
        Ok((0..count).map(|point| self.node(Value::Integer(first + point * step))).collect())
    }

    fn check_count(&self, count: i64, at: &Origin) -> Result<(), Diagnostic> {
        if count <= self.points_left {
            return Ok(());
        }
        let message = format!("the values of all axes are more than {MAX_POINTS} together");
        Err(self.problem(at, message))
    }

    fn node(&self, value: Value) -> Node {
        Node { origin: self.origin.clone(), value }
    }
}

/// The number, if it is one.
pub fn number(node: &Node) -> Option<f64> {
    match node.value {
        Value::Integer(number) => Some(number as f64),
        Value::Float(number) => Some(number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::diagnostics::Source;
    use crate::spec::node::parse;

    fn read(range: &str) -> Result<Vec<String>, Diagnostic> {
        let text = format!("k = {{ {range} }}");
        let source =
            Source { name: "t.toml".into(), base: Default::default(), text, is_private: false };
        let document = parse(&Arc::new(source)).unwrap();
        let node = &document.as_table().unwrap().get("k").unwrap().node;
        let values = read_range("k", &node.origin, node.as_table().unwrap(), MAX_POINTS)?;
        Ok(values.iter().map(Node::to_toml).collect())
    }

    fn values(range: &str) -> Vec<String> {
        read(range).unwrap()
    }

    #[test]
    fn ranges_include_both_ends_and_are_as_if_written_out() {
        assert_eq!(values("log = [0.01, 1.0], points = 3"), ["0.01", "0.1", "1.0"]);
        assert_eq!(values("linear = [0.1, 0.3], points = 3"), ["0.1", "0.2", "0.3"]);
        assert_eq!(values("linear = [5, 25], points = 5"), ["5", "10", "15", "20", "25"]);
        assert_eq!(values("log = [5, 20], points = 1"), ["5"]);
    }

    #[test]
    fn whole_numbers_go_in_steps_and_not_beyond_the_last() {
        assert_eq!(values("range = [8, 32], step = 8"), ["8", "16", "24", "32"]);
        assert_eq!(values("range = [-1, 2]"), ["-1", "0", "1", "2"]);
        assert_eq!(values("range = [1, 10], step = 4"), ["1", "5", "9"]);
        assert_eq!(values("range = [3, 3], step = 9"), ["3"]);
        let (least, most) = (i64::MIN, i64::MAX);
        let ends = [least.to_string(), "-1".into(), (most - 1).to_string()];
        assert_eq!(values(&format!("range = [{least}, {most}], step = {most}")), ends);
    }

    #[test]
    fn mistakes_in_ranges_of_whole_numbers_say_what_is_expected() {
        for (range, message) in [
            ("range = [8.0, 64]", "two whole numbers"),
            ("range = [8]", "two whole numbers"),
            ("range = 8", "two whole numbers"),
            ("range = [64, 8], step = 8", "from the smaller to the larger number, got 64 and 8"),
            ("range = [8, 64], step = 0", "at least 1, got 0"),
            ("range = [8, 64], step = 0.5", "at least 1, got 0.5"),
            ("range = [8, 64], points = 8", "`range` goes with `step`, not with `points`"),
            ("linear = [8, 64], step = 8", "`linear` goes with `points`, not with `step`"),
            ("range = [8, 64], log = [1, 2]", "`log` and `range` exclude each other"),
            ("range = [8, 64], stepp = 8", "a range has no `stepp`"),
            ("range = [0, 1000000]", "a range of 1000001 values"),
            ("range = [-9223372036854775808, 9223372036854775807]", "at most 1000000 are"),
        ] {
            let problem = read(range).unwrap_err();
            assert!(problem.message.contains(message), "{range}: {}", problem.message);
        }
    }
}
