//! The language of grids: what is excluded, and that a grid is what a plain reading of its file says.

use std::fmt::Write;

use framework::spec::{Expanded, Experiment};
use proptest::prelude::*;

use crate::program::{Place, TINY};
use crate::strategies::config;

/// The tiny experiment without its penalty, and more at its end.
fn with(more: &str) -> String {
    let text = TINY.replace("[penalty]\nkind = \"l1\"\nlambda = 0.1\n\n", "");
    assert_ne!(text, TINY);
    format!("{text}{more}\n")
}

const PENALTIES: &str = "seeds = [0, 1]\n[grid]\npenalty = [{ kind = \"l1\", lambda = 0.1 }, \
                         { kind = \"k-sparse\", k = 4 }]\n\"train.batch\" = [32, 64]\n";

/// The grid of `PENALTIES` with more below.
fn penalties(more: &str) -> String {
    let (seeds, grid) = PENALTIES.split_once('\n').unwrap();
    format!("{seeds}\n{}", with(&format!("{grid}{more}")))
}

/// The line at which that starts.
fn first_line() -> usize {
    penalties("more").lines().count()
}

#[track_caller]
fn expand(text: &str) -> Expanded {
    let experiment = Experiment::parse("x.toml".into(), "".into(), text.into(), &[]);
    let expanded = experiment.and_then(|experiment| experiment.expand());
    expanded.unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
}

/// How many runs there are; nothing is remarked.
#[track_caller]
fn count(text: &str) -> usize {
    let Expanded { runs, warnings } = expand(text);
    assert!(warnings.is_empty(), "{warnings:?}\n{text}");
    runs.len()
}

/// The message of `check`, which ends with this exit code.
#[track_caller]
fn says(text: &str, code: i32, parts: &[&str]) {
    let place = Place::with(text);
    place.run(["check", "x.toml"]).exits(code).complains(parts.iter().copied());
    let run = place.run(["x.toml", "--dry-run"]).exits(code);
    run.complains(parts.iter().copied());
    assert!(!place.has_results());
}

#[test]
fn a_run_is_excluded_where_all_conditions_of_a_rule_hold() {
    assert_eq!(count(&penalties("")), 8);
    for (rules, left) in [
        ("[[grid.exclude]]\n\"penalty.kind\" = \"l1\"", 4),
        ("[[grid.exclude]]\npenalty.kind = \"l1\"\ntrain.batch = 32", 6),
        (
            "[[grid.exclude]]\npenalty = { kind = \"l1\", lambda = 1e-1 }\n\"train.batch\" = [64.0]",
            6,
        ),
        ("[[grid.exclude]]\n\"train.batch\" = [32, 64]\n\"penalty.k\" = 4", 4),
        ("[[grid.exclude]]\n\"seed\" = 1\n\"penalty.kind\" = [\"k-sparse\", \"kl\"]", 6),
        ("[[grid.exclude]]\n\"train.optimizer.lr\" = 0.001\nseed = [0]", 4),
        ("[[grid.exclude]]\npenalty.k = 4\n[[grid.exclude]]\ntrain.batch = 32", 2),
        ("[[grid.exclude]]\npenalty.k = 4\n[[grid.exclude]]\npenalty.kind = \"k-sparse\"", 4),
    ] {
        assert_eq!(count(&penalties(rules)), left, "{rules}");
    }
    let text = penalties("[[grid.exclude]]\n\"penalty.kind\" = \"l1\"");
    let place = Place::with(&text);
    let listed = place.run(["list", "x.toml"]).exits(0);
    assert!(listed.out.contains("4 runs") && !listed.out.contains("l1"), "{listed}");
    let all = place.run(["list", "x.toml", "--set", "grid.exclude=[]"]).exits(0);
    assert!(all.out.contains("8 runs"), "{all}");
}

/// Two points that are the same run are no mistake where one of them is excluded.
#[test]
fn what_is_excluded_does_not_count_as_twice() {
    let grid = "[grid]\n\"penalty.lambda\" = [0.1, 0.2]\n[[grid.zip]]\n\"train.batch\" = [32, 32]\n\
                \"architecture.latents\" = [8, 9]\n[[grid.exclude]]\n\"architecture.latents\" = 9\n";
    assert_eq!(count(&format!("{TINY}{grid}")), 2);
}

#[test]
fn a_rule_that_excludes_nothing_is_remarked_and_the_rest_goes_on() {
    let rule = "[[grid.exclude]]\n\"penalty.kind\" = \"kl\"";
    let place = &format!("x.toml:{}:18", first_line() + 1);
    let help = "`penalty.kind` is \"l1\" or \"k-sparse\" here";
    says(&penalties(rule), 0, &["warning: this rule excludes no run", place, help]);
    let rule = "[[grid.exclude]]\n\"penalty.kind\" = \"l1\"\n\"penalty.k\" = 4";
    says(&penalties(rule), 0, &["excludes no run", "but all of them for none"]);
}

#[test]
fn mistakes_in_rules_are_shown_where_they_stand() {
    for (rules, line, column, parts) in [
        (
            "[[grid.exclude]]\n\"penalty.lamda\" = 1",
            1,
            1,
            ["no run has a setting `penalty.lamda`", "did you mean `penalty.lambda`?"],
        ),
        ("[[grid.exclude]]\npenalty.rho = 1", 1, 9, ["no run has a setting `penalty.rho`", "help"]),
        (
            "[[grid.exclude]]\npenalty = \"l1\"",
            1,
            1,
            ["no run has a setting `penalty`", "a single setting, as on `penalty.kind`"],
        ),
        (
            "[[grid.exclude]]\nseeds = 1",
            1,
            1,
            ["no run has a setting `seeds`", "did you mean `seed`?"],
        ),
        ("[[grid.exclude]]", 0, 1, ["needs at least one condition", "\"penalty.kind\" = \"kl\""]),
        ("[[grid.exclude]]\n\"penalty.k\" = []", 1, 15, ["has no values", "\"penalty.k\" = 0.1"]),
        (
            "[[grid.exclude]]\n\"penalty.k\" = [[4]]",
            1,
            16,
            ["a value or a list of values", "got a list"],
        ),
        (
            "[[grid.exclude]]\n\"penalty.k\" = 1\npenalty.k = 2",
            2,
            9,
            ["is there twice", "the first"],
        ),
        ("exclude = 3", 0, 1, ["`grid.exclude` is a list of blocks", "[[grid.exclude]]"]),
        ("exclude = [3]", 0, 12, ["a table of conditions, got a whole number", "help"]),
        ("exlude = [3]", 0, 1, ["`exlude` cannot be an axis", "did you mean `exclude`?"]),
    ] {
        let place = format!("x.toml:{}:{column}", first_line() + line);
        says(&penalties(rules), 2, &[&place, parts[0], parts[1]]);
    }
}

#[test]
fn a_grid_of_which_everything_is_excluded_is_right_and_has_no_runs() {
    let rules = "[[grid.exclude]]\ntrain.batch = 32\n[[grid.exclude]]\ntrain.batch = 64";
    let parts = ["no run is left: each of the 8 runs of this grid is excluded", "[[grid.exclude]]"];
    says(&penalties(rules), 4, &parts);
    let place = Place::with(&penalties(rules));
    place.write("wrong.toml", "name = 3");
    place.run(["check", "x.toml", "wrong.toml"]).exits(2);
    place.run(["check", "wrong.toml", "x.toml"]).exits(2);
    place.run(["list", "x.toml"]).exits(4);
}

/// A small grid: lengths of the axes, which axis is zipped with the one after it, and rules.
#[derive(Clone, Debug)]
struct Grid {
    lengths: Vec<usize>,
    zipped: Option<usize>,
    seeds: usize,
    /// Each a list of (axis, values); the axis after the last is the seed.
    exclude: Vec<Vec<(usize, Vec<usize>)>>,
}

/// Whole numbers whose every value from 1 on is legal; a value's index in its axis is value - 1.
const AXES: [&str; 4] = ["train.batch", "architecture.latents", "train.epochs", "penalty.lambda"];

fn rule() -> impl Strategy<Value = Vec<(usize, Vec<usize>)>> {
    let condition = (0..=AXES.len(), prop::collection::btree_set(0..4_usize, 1..3));
    prop::collection::btree_map(
        condition.clone().prop_map(|(axis, _)| axis),
        condition.prop_map(|(_, values)| values.into_iter().collect()),
        1..3,
    )
    .prop_map(|rule: std::collections::BTreeMap<usize, Vec<usize>>| rule.into_iter().collect())
}

fn grid() -> impl Strategy<Value = Grid> {
    let lengths = prop::collection::vec(1..4_usize, AXES.len());
    (lengths, prop::option::of(0..AXES.len() - 1), 1..4_usize, prop::collection::vec(rule(), 0..3))
        .prop_map(|(mut lengths, zipped, seeds, exclude)| {
            if let Some(at) = zipped {
                lengths[at + 1] = lengths[at];
            }
            Grid { lengths, zipped, seeds, exclude }
        })
}

impl Grid {
    fn to_toml(&self) -> String {
        let seeds: Vec<usize> = (0..self.seeds).collect();
        let mut text = format!("seeds = {seeds:?}\n{TINY}[grid]\n");
        let axis = |at: usize| {
            let values: Vec<usize> = (1..=self.lengths[at]).collect();
            format!("\"{}\" = {values:?}\n", AXES[at])
        };
        let together =
            |at: usize| self.zipped.is_some_and(|first| (first..first + 2).contains(&at));
        (0..AXES.len()).filter(|at| !together(*at)).for_each(|at| text += &axis(at));
        if let Some(at) = self.zipped {
            let _ = write!(text, "[[grid.zip]]\n{}{}", axis(at), axis(at + 1));
        }
        for rule in &self.exclude {
            text += "[[grid.exclude]]\n";
            for (at, values) in rule {
                let (name, least) = AXES.get(*at).map_or(("seed", 0), |name| (*name, 1));
                let values: Vec<usize> = values.iter().map(|value| value + least).collect();
                let _ = writeln!(text, "\"{name}\" = {values:?}");
            }
        }
        text
    }

    /// Every choice of an index in each axis and of a seed, tried one by one.
    fn naive(&self) -> Vec<Vec<usize>> {
        let mut lengths = self.lengths.clone();
        lengths.push(self.seeds);
        let mut all = vec![Vec::new()];
        for length in lengths {
            all = all
                .into_iter()
                .flat_map(|start| (0..length).map(move |at| [&start[..], &[at]].concat()))
                .collect();
        }
        all.retain(|run| self.zipped.is_none_or(|at| run[at] == run[at + 1]));
        all.retain(|run| {
            let holds = |rule: &Vec<(usize, Vec<usize>)>| {
                rule.iter().all(|(at, values)| values.contains(&run[*at]))
            };
            !self.exclude.iter().any(holds)
        });
        all
    }
}

proptest! {
    #![proptest_config(config(300))]

    /// Axes multiply, zipped ones move together, rules take away, and nothing else happens. Wrong if a
    /// combination were lost, came twice or were made of values that do not belong together.
    #[test]
    fn a_grid_is_what_a_naive_reading_gives(grid in grid()) {
        let text = grid.to_toml();
        let Expanded { runs, warnings } = expand(&text);
        let index = |run: &framework::spec::RunSpec, at: usize| -> usize {
            run.value_on(AXES[at]).unwrap().parse::<usize>().unwrap() - 1
        };
        let mut found: Vec<Vec<usize>> = runs
            .iter()
            .map(|run| (0..AXES.len()).map(|at| index(run, at)).chain([run.seed as usize]).collect())
            .collect();
        found.sort();
        prop_assert_eq!(&found, &grid.naive(), "{}", text);
        // A rule is remarked exactly if the grid without rules has no run for it.
        let whole = Grid { exclude: Vec::new(), ..grid.clone() }.naive();
        let idle = grid.exclude.iter().filter(|rule| {
            !whole.iter().any(|run| rule.iter().all(|(at, values)| values.contains(&run[*at])))
        });
        prop_assert_eq!(warnings.len(), idle.count(), "{}", text);
    }
}
