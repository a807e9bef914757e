//! The axes of a grid: keys and the values they take, alone or several moving together.

use super::distribution::{EXAMPLES, is_distribution};
use super::draw::Draws;
use super::entries::tidy_path;
use super::node::{KeyValue, Node, TomlTable, Value};
use super::range::{MAX_POINTS, is_range, read_range};
use super::sections::{SECTIONS, is_list};
use super::sweep::BLOCKS;
use super::train::Train;
use crate::diagnostics::{Diagnostic, ENOUGH, Origin, did_you_mean};
use crate::plugin::{PluginRow, kinds};

/// A key and the values it takes.
#[derive(Clone, Debug)]
pub struct Axis {
    /// The key as written, dotted.
    pub name: String,
    /// Its parts; the first is a section, and in a list the second is the name of an entry.
    pub path: Vec<String>,
    /// Where the key stands.
    pub origin: Origin,
    /// The values, at least one.
    pub values: Vec<Node>,
    /// Which of the values stands at each index of the dimension, where that is not simply one after
    /// the other: a value that is drawn twice is there once.
    pub picks: Option<Vec<u32>>,
    /// The dimension of the grid it belongs to: axes of one dimension move together.
    pub dimension: usize,
}

impl Axis {
    /// How many indices its dimension has.
    pub fn len(&self) -> usize {
        self.picks.as_ref().map_or(self.values.len(), Vec::len)
    }

    /// Which of its values it has at a place in the grid, if it applies there.
    pub fn index(&self, place: &Place) -> Option<usize> {
        let index = place[self.dimension]? as usize;
        Some(self.picks.as_ref().map_or(index, |picks| picks[index] as usize))
    }

    /// The value at a place in the grid, if it applies there.
    pub fn value(&self, place: &Place) -> Option<&Node> {
        self.index(place).map(|index| &self.values[index])
    }
}

/// A place in the grid: an index in each dimension, or none where the dimension does not apply.
pub type Place = [Option<u32>];

/// More axes than anybody writes by hand or could make sense of.
const MAX_AXES: usize = 1000;

/// Reads a table of axes after those that are there; all have a dimension of 0 still. With `draws`,
/// their values are drawn.
pub fn read_axes(
    table: &TomlTable,
    draws: Option<Draws>,
    axes: &mut Vec<Axis>,
    problems: &mut Vec<Diagnostic>,
) {
    read_table("", table, draws, axes, problems);
}

fn read_table(
    prefix: &str,
    table: &TomlTable,
    draws: Option<Draws>,
    axes: &mut Vec<Axis>,
    problems: &mut Vec<Diagnostic>,
) {
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
            Value::TomlTable(inner) if !is_axis(inner) => {
                read_table(&name, inner, draws, axes, problems);
            }
            _ => match read_axis(name, entry, draws, points_left(axes)) {
                Ok(axis) => axes.push(axis),
                Err(problem) => problems.push(problem),
            },
        }
    }
}

/// Whether a table says what the values of an axis are, and is not a section with axes over its settings.
pub fn is_axis(table: &TomlTable) -> bool {
    is_range(table) || is_distribution(table)
}

/// How many values further axes may have that are computed.
fn points_left(axes: &[Axis]) -> i64 {
    let made: usize = axes.iter().map(Axis::len).sum();
    MAX_POINTS.saturating_sub(made as i64)
}

fn read_axis(
    name: String,
    entry: &KeyValue,
    draws: Option<Draws>,
    points_left: i64,
) -> Result<Axis, Diagnostic> {
    let mut path: Vec<String> = name.split('.').map(str::to_owned).collect();
    check_key(&name, &path, &entry.key_origin)?;
    tidy_path(&mut path);
    let (values, picks) = match (&entry.node.value, draws) {
        (Value::TomlTable(table), Some(draws)) if is_distribution(table) => {
            if i64::from(draws.samples) > points_left {
                let message = format!("the values of all axes are more than {MAX_POINTS} together");
                return Err(Diagnostic::at(&entry.key_origin, message));
            }
            let (values, picks) = draws.draw(&name, &entry.node.origin, table)?;
            (values, Some(picks))
        }
        (_, Some(_)) => {
            let message =
                format!("in a block of `grid.random`, the axis `{name}` needs a distribution");
            return Err(Diagnostic::at(&entry.node.origin, message).help(EXAMPLES));
        }
        (Value::Array(items), _) if items.is_empty() => {
            let message = format!("the axis `{name}` is empty, so the grid has no runs");
            return Err(Diagnostic::at(&entry.node.origin, message).help("give at least one value"));
        }
        (Value::Array(items), _) => (items.clone(), None),
        (Value::TomlTable(table), _) if is_distribution(table) => {
            let message = format!("the axis `{name}` is to be drawn at random: how often?");
            let help = "what is drawn stands in a block [[grid.random]] with `samples = 20`";
            return Err(Diagnostic::at(&entry.node.origin, message).help(help));
        }
        (Value::TomlTable(table), _) => {
            (read_range(&name, &entry.node.origin, table, points_left)?, None)
        }
        _ => {
            let message =
                format!("the axis `{name}` is a list of values, got {}", entry.node.type_name());
            let help = format!("as in \"{name}\" = [{}]", entry.node.to_toml());
            return Err(Diagnostic::at(&entry.node.origin, message).help(help));
        }
    };
    if let [section] = path.as_slice() {
        check_sections(&name, is_list(section), &values)?;
    }
    let origin = entry.key_origin.clone();
    Ok(Axis { name, path, origin, values, picks, dimension: 0 })
}

/// Refuses values of an axis that are no whole sections, which are tables or lists of tables.
fn check_sections(name: &str, is_list: bool, values: &[Node]) -> Result<(), Diagnostic> {
    let is_section = |value: &&Node| match value.value {
        Value::Array(_) => is_list,
        Value::TomlTable(_) => !is_list,
        _ => false,
    };
    let Some(other) = values.iter().find(|value| !is_section(value)) else { return Ok(()) };
    let (what, help) = match is_list {
        true => (
            "list",
            format!(
                "as in {name} = [[], [{{ kind = \"…\" }}]], or sweep one setting of an entry: \"{name}.ENTRY.…\" = […]"
            ),
        ),
        false => (
            "section",
            format!(
                "as in {name} = [{{ kind = \"…\" }}], or sweep one setting: \"{name}.…\" = […]"
            ),
        ),
    };
    let message =
        format!("each value of the axis `{name}` is a whole {what}, got {}", other.type_name());
    Err(Diagnostic::at(&other.origin, message).help(help))
}

/// The whole keys, in quotes, that a setting has of which only the name is given.
fn places_of(name: &str) -> Vec<String> {
    let has = |row: &PluginRow| row.schema["properties"].get(name).is_some();
    let plugins = kinds()
        .into_iter()
        .filter(|(kind, _)| SECTIONS.contains(kind) && !is_list(kind))
        .filter(|(_, rows)| name != "kind" && rows.iter().any(has));
    let sections = plugins.map(|(kind, _)| kind).chain(Train::has(name).then_some("train"));
    sections.map(|section| format!("\"{section}.{name}\"")).collect()
}

fn check_key(name: &str, path: &[String], origin: &Origin) -> Result<(), Diagnostic> {
    let section = path[0].as_str();
    if path.iter().any(String::is_empty) {
        let help = "as in \"penalty.rho\"";
        return Err(Diagnostic::at(origin, format!("`{name}` is no dotted key")).help(help));
    }
    if SECTIONS.contains(&section) {
        return Ok(());
    }
    let problem = Diagnostic::at(origin, format!("`{name}` cannot be an axis"));
    Err(match section {
        "seeds" | "seed" => {
            problem.help("seeds are an axis of their own: seeds = [0, 1, 2] at the top")
        }
        "evaluate" | "run" | "slurm" => {
            problem.help(format!("`{section}` does not change what is trained"))
        }
        _ => match places_of(name)[..] {
            [] => problem.help(did_you_mean(section, &[&SECTIONS[..], &BLOCKS].concat())),
            ref places => problem.help(format!("did you mean {}?", places.join(" or "))),
        },
    })
}
