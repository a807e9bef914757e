//! The axes of a grid: keys and the values they take, alone or several moving together.

use super::node::{Entry, Node, Table, Value};
use super::range::{MAX_POINTS, is_range, read_range};
use crate::diagnostics::{Diagnostic, ENOUGH, Origin, did_you_mean};

/// A key and the values it takes.
#[derive(Clone, Debug)]
pub struct Axis {
    /// The key as written, dotted.
    pub name: String,
    /// Its parts; the first is a section.
    pub path: Vec<String>,
    /// Where the key stands.
    pub origin: Origin,
    /// The values, at least one.
    pub values: Vec<Node>,
    /// The dimension of the grid it belongs to: axes of one dimension move together.
    pub dimension: usize,
}

impl Axis {
    /// The value at a place in the grid: an index in each dimension.
    pub fn value(&self, place: &[usize]) -> &Node {
        &self.values[place[self.dimension]]
    }
}

/// The sections that make a run, and so can have axes.
pub const SECTIONS: [&str; 4] = ["dataset", "architecture", "penalty", "train"];

/// More axes than anybody writes by hand or could make sense of.
const MAX_AXES: usize = 1000;

/// Reads the table `[grid]`. Keys may be quoted (`"penalty.rho"`) or dotted (`penalty.rho`). Each
/// key is a dimension of the grid; the keys of one `[[grid.zip]]` block are one dimension together.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_grid(node: &Node) -> Result<Vec<Axis>, Vec<Diagnostic>> {
    let Value::Table(table) = &node.value else {
        let message = format!("`grid` is a table, got {}", node.type_name());
        return Err(vec![Diagnostic::at(&node.origin, message)]);
    };
    let mut axes: Vec<Axis> = Vec::new();
    let mut problems = Vec::new();
    let mut table = table.clone();
    let zips = table.remove("zip");
    read_table("", &table, &mut axes, &mut problems);
    for (dimension, axis) in axes.iter_mut().enumerate() {
        axis.dimension = dimension;
    }
    if let Some(zips) = zips {
        read_zips(&zips, &mut axes, &mut problems);
    }
    for (at, axis) in axes.iter().enumerate() {
        if let Some(first) = axes[..at].iter().find(|first| first.path == axis.path) {
            let message = format!("the axis `{}` is there twice", axis.name);
            problems
                .push(Diagnostic::at(&axis.origin, message).related(&first.origin, "the first"));
        }
    }
    problems.truncate(ENOUGH);
    if problems.is_empty() { Ok(axes) } else { Err(problems) }
}

/// Reads the blocks `[[grid.zip]]`: axes of equal lengths that move together.
fn read_zips(entry: &Entry, axes: &mut Vec<Axis>, problems: &mut Vec<Diagnostic>) {
    let Value::Array(blocks) = &entry.node.value else {
        let message = "`grid.zip` is a list of blocks, written [[grid.zip]]";
        problems.push(Diagnostic::at(&entry.key_origin, message));
        return;
    };
    for block in blocks {
        let Value::Table(table) = &block.value else {
            let message = format!("a block of `grid.zip` is a table, got {}", block.type_name());
            problems.push(Diagnostic::at(&block.origin, message));
            continue;
        };
        let dimension = axes.iter().map(|axis| axis.dimension + 1).max().unwrap_or(0);
        let earlier = axes.len();
        read_table("", table, axes, problems);
        let zipped = &mut axes[earlier..];
        for axis in &mut *zipped {
            axis.dimension = dimension;
        }
        if let [first, rest @ ..] = &*zipped {
            for axis in rest.iter().filter(|axis| axis.values.len() != first.values.len()) {
                let (length, other) = (axis.values.len(), first.values.len());
                let message = format!(
                    "zipped axes move together and are of one length: `{}` has {other} values, `{}` has {length}",
                    first.name, axis.name,
                );
                problems.push(
                    Diagnostic::at(&axis.origin, message).related(&first.origin, "the other axis"),
                );
            }
        }
    }
}

fn read_table(prefix: &str, table: &Table, axes: &mut Vec<Axis>, problems: &mut Vec<Diagnostic>) {
    for entry in &table.entries {
        let name =
            if prefix.is_empty() { entry.key.clone() } else { format!("{prefix}.{}", entry.key) };
        match &entry.node.value {
            _ if axes.len() >= MAX_AXES || problems.len() >= ENOUGH => {
                if axes.len() >= MAX_AXES && problems.is_empty() {
                    let message = format!("a grid has at most {MAX_AXES} axes");
                    problems.push(Diagnostic::at(&entry.key_origin, message));
                }
                return;
            }
            Value::Table(inner) if !is_range(inner) => read_table(&name, inner, axes, problems),
            _ => match read_axis(name, entry, points_left(axes)) {
                Ok(axis) => axes.push(axis),
                Err(problem) => problems.push(problem),
            },
        }
    }
}

/// How many values further ranges may have.
fn points_left(axes: &[Axis]) -> i64 {
    let made: usize = axes.iter().map(|axis| axis.values.len()).sum();
    MAX_POINTS.saturating_sub(made as i64)
}

fn read_axis(name: String, entry: &Entry, points_left: i64) -> Result<Axis, Diagnostic> {
    let path: Vec<String> = name.split('.').map(str::to_owned).collect();
    check_key(&name, &path, &entry.key_origin)?;
    let values = match &entry.node.value {
        Value::Array(items) if items.is_empty() => {
            let message = format!("the axis `{name}` is empty, so the grid has no runs");
            return Err(Diagnostic::at(&entry.node.origin, message).help("give at least one value"));
        }
        Value::Array(items) => items.clone(),
        Value::Table(table) => read_range(&name, &entry.node.origin, table, points_left)?,
        _ => {
            let message =
                format!("the axis `{name}` is a list of values, got {}", entry.node.type_name());
            let help = format!("as in \"{name}\" = [{}]", entry.node.to_toml());
            return Err(Diagnostic::at(&entry.node.origin, message).help(help));
        }
    };
    if let [_] = path.as_slice()
        && let Some(other) = values.iter().find(|value| value.as_table().is_none())
    {
        let message = format!(
            "each value of the axis `{name}` is a whole section, got {}",
            other.type_name()
        );
        let help = format!(
            "as in {name} = [{{ kind = \"…\" }}], or sweep one setting: \"{name}.…\" = […]"
        );
        return Err(Diagnostic::at(&other.origin, message).help(help));
    }
    Ok(Axis { name, path, origin: entry.key_origin.clone(), values, dimension: 0 })
}

fn check_key(name: &str, path: &[String], origin: &Origin) -> Result<(), Diagnostic> {
    let section = path[0].as_str();
    if path.iter().any(String::is_empty) {
        return Err(Diagnostic::at(origin, format!("`{name}` is no dotted key")));
    }
    if SECTIONS.contains(&section) {
        return Ok(());
    }
    let problem = Diagnostic::at(origin, format!("`{name}` cannot be an axis"));
    Err(match section {
        "seeds" | "seed" => {
            problem.help("seeds are an axis of their own: seeds = [0, 1, 2] at the top")
        }
        "evaluate" | "run" => problem.help(format!("`{section}` does not change what is trained")),
        _ => problem.help(did_you_mean(section, &SECTIONS)),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::diagnostics::Source;
    use crate::spec::node::parse;

    fn read(text: &str) -> Result<Vec<Axis>, Vec<Diagnostic>> {
        let source = Source { name: "t.toml".into(), base: Default::default(), text: text.into() };
        read_grid(&parse(&Arc::new(source)).unwrap())
    }

    #[test]
    fn quoted_and_dotted_keys_are_the_same_axis() {
        let problems = read("\"penalty.rho\" = [1]\npenalty.rho = [2]").unwrap_err();
        assert!(problems[0].message.contains("there twice"));
    }

    #[test]
    fn zipped_axes_share_a_dimension_and_their_length() {
        let text = "\"train.batch\" = [32, 64]\n[[zip]]\n\"penalty.k\" = [1, 2]\narchitecture.latents = [8, 16]";
        let dimensions: Vec<usize> =
            read(text).unwrap().iter().map(|axis| axis.dimension).collect();
        assert_eq!(dimensions, [0, 1, 1]);
        let unequal =
            read("[[zip]]\n\"penalty.k\" = [1, 2]\narchitecture.latents = [8]").unwrap_err();
        assert!(
            unequal[0].message.contains("`penalty.k` has 2 values, `architecture.latents` has 1")
        );
        assert!(read("zip = 3").is_err() && read("zip = [3]").is_err());
    }

    #[test]
    fn a_short_text_cannot_ask_for_endlessly_many_values() {
        let million = "= { linear = [1, 2], points = 1000000 }";
        assert_eq!(read(&format!("penalty.k {million}")).unwrap()[0].values.len(), 1_000_000);
        let problems = read(&format!("penalty.k {million}\npenalty.l {million}")).unwrap_err();
        assert!(problems[0].message.contains("more than 1000000 together"), "{problems:?}");
        let zipped = format!("penalty.k {million}\n[[zip]]\npenalty.l {million}");
        assert_eq!(read(&zipped).unwrap_err().len(), 1);
        let axes: String = (0..2000).map(|at| format!("penalty.k{at} = [1]\n")).collect();
        assert!(read(&axes).unwrap_err()[0].message.contains("at most 1000 axes"));
        let wrong: String = (0..2000).map(|at| format!("penalty.k{at} = 1\n")).collect();
        assert_eq!(read(&wrong).unwrap_err().len(), ENOUGH);
    }

    #[test]
    fn mistakes_in_axes_are_named_together() {
        let text = "\"penalty.rho\" = []\n\"penalti.rho\" = [1]\nseeds = [1]\n\"run.timeout\" = [1]\n\
                    penalty = [3]\n\"train.batch\" = 5\n\"penalty.k\" = { log = [0, 1], points = 3 }\n\
                    \"penalty.l\" = { log = [1, 2] }\n\"penalty.m\" = { linear = [1, 2], points = 0 }";
        assert_eq!(read(text).unwrap_err().len(), 9);
    }
}
