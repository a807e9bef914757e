//! Blocks `[[grid.random]]`: axes whose values are drawn together, a number of times.

use std::collections::HashSet;

use super::axis::{Axis, read_axes};
use super::distribution::EXAMPLES;
use super::draw::Draws;
use super::node::{Node, Value};
use super::range::MAX_POINTS;
use super::sweep::next_dimension;
use crate::diagnostics::Diagnostic;

/// What such a block has besides its axes.
pub const RANDOM_KEYS: [&str; 2] = ["samples", "seed"];

/// Reads a block `[[grid.random]]`: its axes are one dimension of the grid. A sample that has the values
/// of an earlier one would be the same run, so it is left out. Returns a warning of those.
///
/// # Errors
/// What is wrong with the block itself; `problems` has the rest.
pub fn read_random(
    block: &Node,
    axes: &mut Vec<Axis>,
    problems: &mut Vec<Diagnostic>,
) -> Result<Option<Diagnostic>, Diagnostic> {
    let Value::TomlTable(table) = &block.value else {
        let message = format!("a block of `grid.random` is a table, got {}", block.type_name());
        return Err(Diagnostic::at(&block.origin, message));
    };
    let mut table = table.clone();
    let [samples, seed] = RANDOM_KEYS.map(|key| table.remove(key));
    let Some(samples) = samples else {
        let message = "a block of `grid.random` needs `samples`: how often its axes are drawn";
        return Err(Diagnostic::at(&block.origin, message).help("as in samples = 20"));
    };
    let draws = Draws {
        samples: match samples.node.value {
            Value::Integer(count @ 1..=MAX_POINTS) => count as u32,
            _ => {
                let message = format!("`samples` is a whole number from 1 to {MAX_POINTS}");
                return Err(Diagnostic::at(&samples.node.origin, message));
            }
        },
        seed: match seed.map(|seed| seed.node) {
            None => 0,
            Some(Node { value: Value::Integer(seed @ 0..), .. }) => seed as u64,
            Some(node) => {
                let message =
                    format!("`seed` is a whole number of at least 0, got {}", node.to_toml());
                let help = "it drives what is drawn here; the runs' own `seeds` stand at the top";
                return Err(Diagnostic::at(&node.origin, message).help(help));
            }
        },
    };
    if table.entries.is_empty() {
        let message = "a block of `grid.random` needs at least one axis";
        return Err(Diagnostic::at(&block.origin, message).help(EXAMPLES));
    }
    let dimension = next_dimension(axes);
    let earlier = axes.len();
    read_axes(&table, Some(draws), axes, problems);
    let drawn = &mut axes[earlier..];
    drawn.iter_mut().for_each(|axis| axis.dimension = dimension);
    let repeated = remove_repeats(drawn);
    Ok((repeated > 0).then(|| {
        let message = format!(
            "{repeated} of {} samples have the values of an earlier one and are left out",
            draws.samples
        );
        let help = "there are only so many choices, whole numbers and numbers of 6 digits";
        Diagnostic::at(&samples.node.origin, message).help(help).warning()
    }))
}

/// Leaves out the samples that repeat an earlier one. Returns how many there were.
fn remove_repeats(axes: &mut [Axis]) -> usize {
    let samples = axes.iter().filter_map(|axis| Some(axis.picks.as_ref()?.len())).min();
    let samples = samples.unwrap_or(0);
    let mut seen: HashSet<Box<[u32]>> = HashSet::with_capacity(samples);
    let picks = |at: usize| axes.iter().filter_map(move |axis| Some(axis.picks.as_ref()?[at]));
    let keep: Vec<bool> = (0..samples).map(|at| seen.insert(picks(at).collect())).collect();
    for picks in axes.iter_mut().filter_map(|axis| axis.picks.as_mut()) {
        let mut keep = keep.iter();
        picks.retain(|_| keep.next().is_some_and(|keep| *keep));
    }
    keep.iter().filter(|keep| !**keep).count()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::diagnostics::Source;
    use crate::spec::node::parse;
    use crate::spec::sweep::Sweep;

    fn read(text: &str) -> Result<Sweep, Vec<Diagnostic>> {
        let source = Source {
            name: "t.toml".into(),
            base: Default::default(),
            text: text.into(),
            is_private: false,
        };
        Sweep::read(&parse(&Arc::new(source)).unwrap())
    }

    /// The values of an axis, sample by sample.
    fn values(text: &str, name: &str) -> Vec<String> {
        let sweep = read(text).unwrap();
        let axis = sweep.axes.iter().find(|axis| axis.name == name).unwrap();
        let picks = axis.picks.as_ref().unwrap();
        picks.iter().map(|pick| axis.values[*pick as usize].to_toml()).collect()
    }

    const LAMBDA: &str = "\"penalty.lambda\" = { log_uniform = [0.01, 1.0] }\n";

    /// Wrong if a finished run were no more part of the experiment because samples or axes were added.
    #[test]
    fn a_sample_stays_what_it_is_whatever_is_added() {
        let few = values(&format!("[[random]]\nsamples = 5\n{LAMBDA}"), "penalty.lambda");
        for text in [
            format!("[[random]]\nsamples = 50\n{LAMBDA}"),
            format!(
                "[[random]]\n\"train.batch\" = {{ uniform = [1, 1000] }}\nsamples = 5\n{LAMBDA}"
            ),
            format!("train.batch = [1, 2]\n[[random]]\nsamples = 5\nseed = 0\n{LAMBDA}"),
            format!(
                "[[random]]\nsamples = 9\ntrain.batch = {{ uniform = [1, 9] }}\n[[random]]\nsamples = 5\n{LAMBDA}"
            ),
            "[[random]]\nsamples = 5\npenalty.lambda.log_uniform = [0.01, 1.0]".to_owned(),
        ] {
            assert_eq!(values(&text, "penalty.lambda")[..5], few, "{text}");
        }
        let other =
            values(&format!("[[random]]\nsamples = 5\nseed = 1\n{LAMBDA}"), "penalty.lambda");
        assert_ne!(other, few);
        let renamed = LAMBDA.replace("lambda", "beta");
        let other = values(&format!("[[random]]\nsamples = 5\n{renamed}"), "penalty.beta");
        assert_ne!(other, few, "two axes with the same ends have nothing to do with each other");
    }

    #[test]
    fn a_block_is_one_dimension() {
        let text = "train.batch = [1, 2]\n[[random]]\nsamples = 5\n\
                    penalty.lambda = { uniform = [0.0, 1.0] }\npenalty.k = { uniform = [1, 9999] }";
        let sweep = read(text).unwrap();
        let dimensions: Vec<usize> = sweep.axes.iter().map(|axis| axis.dimension).collect();
        assert_eq!((dimensions, sweep.dimensions()), (vec![0, 1, 1], vec![2, 5]));
        assert!(sweep.warnings.is_empty());
    }

    #[test]
    fn samples_that_repeat_an_earlier_one_are_left_out_and_said() {
        let text = "[[random]]\nsamples = 40\npenalty.k = { uniform = [1, 3] }\n\
                    penalty.l = { choice = [1, 2] }";
        let sweep = read(text).unwrap();
        assert_eq!(sweep.dimensions(), [6]);
        assert!(sweep.warnings[0].message.starts_with("34 of 40 samples"), "{:?}", sweep.warnings);
        let all: HashSet<(u32, u32)> = {
            let picks = |at: usize| sweep.axes[at].picks.clone().unwrap();
            picks(0).into_iter().zip(picks(1)).collect()
        };
        assert_eq!(all.len(), 6, "each combination once");
    }

    #[test]
    fn mistakes_in_a_block_are_shown_where_they_stand() {
        for (text, place, message) in [
            ("random = 3", (1, 1), "`grid.random` is a list of blocks"),
            ("random = [3]", (1, 11), "a table, got a whole number"),
            ("[[random]]", (1, 1), "needs `samples`"),
            ("[[random]]\nsamples = 0", (2, 11), "a whole number from 1 to 1000000"),
            ("[[random]]\nsamples = 1000001", (2, 11), "a whole number from 1 to 1000000"),
            ("[[random]]\nsamples = 2.0", (2, 11), "a whole number from 1 to 1000000"),
            ("[[random]]\nsamples = 2\nseed = -1", (3, 8), "at least 0, got -1"),
            ("[[random]]\nsamples = 2", (1, 1), "needs at least one axis"),
            (
                "[[random]]\nsamples = 2\npenalty.k = [1]",
                (3, 13),
                "`penalty.k` needs a distribution",
            ),
            ("[[random]]\nsamples = 2\npenalty.k = 1", (3, 13), "`penalty.k` needs a distribution"),
            (
                "[[random]]\nsamples = 2\npenalty.k = { log = [1, 2], points = 3 }",
                (3, 13),
                "`penalty.k` needs a distribution",
            ),
            ("penalty.k = { uniform = [1, 2] }", (1, 13), "drawn at random: how often?"),
            (
                "[[random]]\nsamples = 2\npenalti.k = { uniform = [1, 2] }",
                (3, 9),
                "`penalti.k` cannot be an axis",
            ),
            (
                "[[random]]\nsamples = 2\npenalty = { choice = [1, 2] }",
                (3, 23),
                "each value of the axis `penalty` is a whole section",
            ),
            (
                "[[random]]\nsamples = 600000\npenalty.k = { uniform = [1, 2] }\npenalty.l = { uniform = [1, 2] }",
                (4, 9),
                "more than 1000000 together",
            ),
            (
                "penalty.k = [1]\n[[random]]\nsamples = 2\npenalty.k = { uniform = [1, 9] }",
                (4, 9),
                "`penalty.k` is there twice",
            ),
        ] {
            let problem = &read(text).unwrap_err()[0];
            assert!(problem.message.contains(message), "{text}: {}", problem.message);
            assert_eq!(problem.origin.as_ref().unwrap().line_column(), place, "{text}");
        }
    }
}
