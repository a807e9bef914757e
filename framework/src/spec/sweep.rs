//! The table `[grid]`: its axes, alone, zipped, drawn at random or where a condition holds, and the rules
//! over its runs.

use std::ops::Range;

use super::axis::{Axis, read_axes};
use super::node::{KeyValue, Node, TomlTable, Value};
use super::random::read_random;
use super::rule::Rule;
use crate::diagnostics::{Diagnostic, ENOUGH, Origin};

/// What is varied, what of it only in some runs, and what is left out.
#[derive(Clone, Debug, Default)]
pub struct Sweep {
    /// The axes.
    pub axes: Vec<Axis>,
    /// Blocks of axes that apply to some runs only; their dimensions come last.
    pub when: Vec<WhenBlock>,
    /// Runs that meet one of these are left out.
    pub exclude: Vec<Rule>,
    /// What is no mistake, but probably not what was meant.
    pub warnings: Vec<Diagnostic>,
}

/// A block `[[grid.when]]`.
#[derive(Clone, Debug)]
pub struct WhenBlock {
    /// To which runs its axes apply.
    pub rule: Rule,
    /// The dimensions of its axes, one each.
    pub dimensions: Range<usize>,
}

/// The keys of `[grid]` that are lists of blocks and no axes.
pub const BLOCKS: [&str; 4] = ["zip", "random", "when", "exclude"];

impl Sweep {
    /// Reads the table. Keys may be quoted (`"penalty.rho"`) or dotted (`penalty.rho`). Each key is
    /// a dimension of the grid; the keys of one `[[grid.zip]]` or `[[grid.random]]` block are one
    /// dimension together.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(node: &Node) -> Result<Self, Vec<Diagnostic>> {
        let Value::TomlTable(table) = &node.value else {
            let message = format!("`grid` is a table, got {}", node.type_name());
            let help = "as in [grid] with \"penalty.rho\" = [0.01, 0.05] below";
            return Err(vec![Diagnostic::at(&node.origin, message).help(help)]);
        };
        let mut table = table.clone();
        let [zips, randoms, whens, excludes] = BLOCKS.map(|name| table.remove(name));
        let (mut axes, mut when, mut exclude) = (Vec::new(), Vec::new(), Vec::new());
        let (mut problems, mut warnings) = (Vec::new(), Vec::new());
        read_axes(&table, None, &mut axes, &mut problems);
        for (dimension, axis) in axes.iter_mut().enumerate() {
            axis.dimension = dimension;
        }
        for block in blocks(zips.as_ref(), &mut problems) {
            match &block.value {
                Value::TomlTable(table) => read_zip(table, &mut axes, &mut problems),
                _ => {
                    let message =
                        format!("a block of `grid.zip` is a table, got {}", block.type_name());
                    problems.push(Diagnostic::at(&block.origin, message));
                }
            }
        }
        for block in blocks(randoms.as_ref(), &mut problems) {
            match read_random(block, &mut axes, &mut problems) {
                Ok(warning) => warnings.extend(warning),
                Err(problem) => problems.push(problem),
            }
        }
        for block in blocks(whens.as_ref(), &mut problems) {
            match read_when(block, &mut axes, &mut problems) {
                Ok(block) => when.push(block),
                Err(found) => problems.extend(found),
            }
        }
        for block in blocks(excludes.as_ref(), &mut problems) {
            match Rule::read("a rule of `grid.exclude`", block) {
                Ok(rule) => exclude.push(rule),
                Err(found) => problems.extend(found),
            }
        }
        // Two blocks may have the same axis if no run is in both.
        let block = |axis: &Axis| when.iter().position(|when: &WhenBlock| when.has(axis));
        for (at, axis) in axes.iter().enumerate() {
            let is_same = |first: &&Axis| first.path == axis.path;
            let apart = |first: &Axis| block(first).is_some() && block(first) != block(axis);
            let twice = axes[..at].iter().filter(is_same).find(|first| !apart(first));
            if let Some(first) = twice {
                let message = format!("the axis `{}` is there twice", axis.name);
                problems.push(
                    Diagnostic::at(&axis.origin, message).related(&first.origin, "the first"),
                );
            }
        }
        problems.truncate(ENOUGH);
        if problems.is_empty() { Ok(Self { axes, when, exclude, warnings }) } else { Err(problems) }
    }
}

impl Sweep {
    /// The names of the axes, each once, in their order.
    pub fn axis_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for axis in &self.axes {
            if !names.contains(&axis.name.as_str()) {
                names.push(&axis.name);
            }
        }
        names
    }

    /// The length of each dimension of the grid.
    pub fn dimensions(&self) -> Vec<usize> {
        let mut lengths = Vec::new();
        for axis in &self.axes {
            if axis.dimension == lengths.len() {
                lengths.push(axis.len());
            }
        }
        lengths
    }
}

impl WhenBlock {
    fn has(&self, axis: &Axis) -> bool {
        self.dimensions.contains(&axis.dimension)
    }
}

/// The blocks of a list of tables, as `[[grid.zip]]` is one.
fn blocks<'a>(entry: Option<&'a KeyValue>, problems: &mut Vec<Diagnostic>) -> &'a [Node] {
    match entry.map(|entry| (entry, &entry.node.value)) {
        None => &[],
        Some((_, Value::Array(blocks))) => blocks,
        Some((entry, _)) => {
            let key = &entry.key;
            let message =
                format!("`grid.{key}` is a list of blocks, got {}", entry.node.type_name());
            let help = format!("each block begins with [[grid.{key}]]");
            problems.push(Diagnostic::at(&entry.key_origin, message).help(help));
            &[]
        }
    }
}

/// Reads a block `[[grid.when]]`: the conditions `if`, and axes that apply where they hold.
fn read_when(
    block: &Node,
    axes: &mut Vec<Axis>,
    problems: &mut Vec<Diagnostic>,
) -> Result<WhenBlock, Vec<Diagnostic>> {
    let fail = |origin: &Origin, message: &str| {
        let help =
            "as in if = { \"penalty.kind\" = \"kl\" } with \"penalty.beta\" = [0.1, 1.0] below";
        Err(vec![Diagnostic::at(origin, message).help(help)])
    };
    let Value::TomlTable(table) = &block.value else {
        let message = format!("a block of `grid.when` is a table, got {}", block.type_name());
        return fail(&block.origin, &message);
    };
    let mut table = table.clone();
    let Some(conditions) = table.remove("if") else {
        return fail(&block.origin, "a block of `grid.when` needs the conditions `if`");
    };
    let rule = Rule::read("`if`", &conditions.node)?;
    if let Some(origin) = rule.asks_for_seed() {
        return fail(origin, "all seeds share an axis; its conditions cannot ask for the seed");
    }
    if table.entries.is_empty() {
        return fail(&block.origin, "a block of `grid.when` needs at least one axis");
    }
    let start = next_dimension(axes);
    let earlier = axes.len();
    read_axes(&table, None, axes, problems);
    for (dimension, axis) in axes[earlier..].iter_mut().enumerate() {
        axis.dimension = start + dimension;
        if let Some(condition) = rule.asks_for(&axis.path) {
            let message = format!(
                "the axis `{}` sets what the condition of its own block asks for",
                axis.name
            );
            let problem = Diagnostic::at(&axis.origin, message);
            problems.push(problem.related(condition, "the condition"));
        }
    }
    Ok(WhenBlock { rule, dimensions: start..start + axes.len() - earlier })
}

/// The first dimension that no axis belongs to.
pub fn next_dimension(axes: &[Axis]) -> usize {
    axes.iter().map(|axis| axis.dimension + 1).max().unwrap_or(0)
}

/// Reads a block `[[grid.zip]]`: axes of equal lengths that move together.
fn read_zip(table: &TomlTable, axes: &mut Vec<Axis>, problems: &mut Vec<Diagnostic>) {
    let dimension = next_dimension(axes);
    let earlier = axes.len();
    read_axes(table, None, axes, problems);
    let zipped = &mut axes[earlier..];
    for axis in &mut *zipped {
        axis.dimension = dimension;
    }
    let Some((first, rest)) = zipped.split_first() else { return };
    for axis in rest.iter().filter(|axis| axis.values.len() != first.values.len()) {
        let (length, other) = (axis.values.len(), first.values.len());
        let message = format!(
            "zipped axes move together and are of one length: `{}` has {other} values, `{}` has {length}",
            first.name, axis.name,
        );
        problems
            .push(Diagnostic::at(&axis.origin, message).related(&first.origin, "the other axis"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::diagnostics::Source;
    use crate::spec::node::parse;

    fn read(text: &str) -> Result<Vec<Axis>, Vec<Diagnostic>> {
        let source = Source {
            name: "t.toml".into(),
            base: Default::default(),
            text: text.into(),
            is_private: false,
        };
        Ok(Sweep::read(&parse(&Arc::new(source)).unwrap())?.axes)
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
        let places = [&unequal[0].related[0].0, unequal[0].origin.as_ref().unwrap()];
        assert_eq!(places.map(|place| place.line_column()), [(2, 1), (3, 14)]);
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
