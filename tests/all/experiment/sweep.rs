//! The language of grids: what is excluded, what applies only where a condition holds, and that a grid is
//! what a plain reading of its file says.

use std::collections::{BTreeMap, BTreeSet};

use framework::spec::{Expanded, Experiment, RunSpec};
use proptest::prelude::*;
use serde_json::json;

use crate::support::program::{Place, TINY};
use crate::support::strategies::config;

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
    let Expanded { runs, warnings, .. } = expand(text);
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

const WHEN: &str = "[[grid.when]]\nif = { \"penalty.kind\" = \"l1\" }\n";

#[test]
fn an_axis_applies_where_its_condition_holds_and_elsewhere_a_run_is_there_once() {
    for (more, runs) in [
        ("\"penalty.lambda\" = [0.2, 0.3, 0.4]", (3 + 1) * 4),
        ("penalty.lambda = [0.2, 0.3]\ntrain.epochs = [1, 2]", (2 * 2 + 1) * 4),
        // A block sees what the blocks before it have made.
        (
            "penalty.lambda = [0.2, 0.3]\n[[grid.when]]\nif = { \"penalty.lambda\" = 0.3 }\n\
          \"train.epochs\" = [1, 2, 3]",
            (1 + 3 + 1) * 4,
        ),
        // The same key in two blocks of which no run is in both.
        (
            "\"train.epochs\" = [1, 2]\n[[grid.when]]\nif = { \"penalty.k\" = 4 }\n\
          \"train.epochs\" = [3, 4, 5]",
            (2 + 3) * 4,
        ),
        // All conditions, over several sections.
        (
            "\"penalty.lambda\" = [0.2, 0.3]\n[[grid.when]]\n\
          if = { penalty.kind = \"k-sparse\", train.batch = [32, 1] }\n\"penalty.k\" = [1, 2, 3]",
            (2 * 2 + 3 + 1) * 2,
        ),
        (
            "\"penalty.lambda\" = [0.2, 0.3]\n[[grid.exclude]]\n\"penalty.lambda\" = 0.3\nseed = 1",
            (2 + 1) * 4 - 2,
        ),
    ] {
        assert_eq!(count(&penalties(&format!("{WHEN}{more}"))), runs, "{more}");
    }
}

/// A kind needs a setting that only the conditional axis gives: without the axis, the section is
/// wrong, but no run has it so.
#[test]
fn a_conditional_axis_may_give_what_a_section_lacks() {
    let text = with(
        "[grid]\npenalty = [{ kind = \"l1\" }, { kind = \"none\" }]\n\
         [[grid.when]]\nif = { \"penalty.kind\" = \"l1\" }\n\"penalty.lambda\" = [0.1, 0.2]",
    );
    let Expanded { runs, warnings, .. } = expand(&text);
    let found: Vec<(Option<&str>, Option<&str>)> =
        runs.iter().map(|run| (run.value_on("penalty"), run.value_on("penalty.lambda"))).collect();
    let (l1, none) = (Some("l1"), Some("none"));
    assert_eq!(found, [(l1, Some("0.1")), (l1, Some("0.2")), (none, None)]);
    assert!(warnings.is_empty());
    let place = Place::with(&text);
    let listed = place.run(["list", "x.toml"]).exits(0);
    assert!(listed.out.contains("3 runs"), "{listed}");
    let set = place.run(["list", "x.toml", "--set", "penalty.lambda=0.3"]);
    let said = set.exits(2).complains(["penalty `none`"]);
    assert!(!said.err.contains("is there twice"), "the axis has gone: {said}");
    let set = place.run(["list", "x.toml", "--set", "grid.when=[]"]);
    set.exits(2).complains(["`lambda` is missing"]);
}

const RANDOM: &str = "[[grid.random]]\nsamples = 6\npenalty.lambda = { log_uniform = [0.01, 1.0] }\n\
                      train.batch = { uniform = [16, 256] }\n";

/// Wrong if runs that are done were lost to an experiment that asks for more samples, or if a sample
/// were anything but the run of the same values written out.
#[test]
fn more_samples_leave_the_runs_there_are() {
    let runs = |text: &str| expand(&format!("{TINY}{text}")).runs;
    let few = runs(RANDOM);
    assert_eq!(few.len(), 6);
    let more = runs(&RANDOM.replace("= 6", "= 60"));
    assert!(few.iter().zip(&more).all(|(few, more)| few.id == more.id));
    let [lambda, batch] =
        ["penalty.lambda", "train.batch"].map(|axis| few[5].value_on(axis).unwrap());
    let written = runs(&format!("[grid]\npenalty.lambda = [{lambda}]\ntrain.batch = [{batch}]"));
    assert_eq!(written[0].id, few[5].id);
    // Blocks multiply with all else; rules and conditions see what was drawn.
    let whole = format!(
        "seeds = [0, 1]\n{TINY}[grid]\n\"train.epochs\" = [1, 2]\n{RANDOM}[[grid.exclude]]\n\
         \"train.batch\" = {batch}\n[[grid.when]]\nif = {{ \"penalty.lambda\" = {} }}\n\
         \"architecture.latents\" = [8, 9]",
        few[0].value_on("penalty.lambda").unwrap(),
    );
    assert_eq!(count(&whole), 2 * 2 * (6 + 1 - 1));
}

#[test]
fn an_override_takes_the_place_of_what_is_drawn() {
    let text = format!("{TINY}{RANDOM}");
    let place = Place::with(&text);
    let listed = |sets: &[&str]| {
        let words =
            ["list", "x.toml"].into_iter().chain(sets.iter().flat_map(|set| ["--set", set]));
        place.run(words).exits(0).out
    };
    assert!(listed(&[]).contains("6 runs"));
    let set = listed(&["penalty.lambda=0.5"]);
    assert!(set.contains("6 runs") && !set.contains("penalty.lambda"), "{set}");
    assert!(listed(&["penalty.lambda=0.5", "train.batch=7"]).contains("1 run"));
    assert!(listed(&["grid.penalty.lambda=[1, 2]"]).contains("12 runs"));
    assert!(listed(&["grid.random=[]"]).contains("1 run"));
    let sections = "[[grid.random]]\nsamples = 9\npenalty = { choice = [{ kind = \"l1\" }, \
                    { kind = \"group-lasso\", group_size = 8 }] }";
    place.write("x.toml", with(sections));
    let set = listed(&["penalty.lambda=0.5"]);
    assert!(set.contains("2 runs") && set.contains("lambda=0.5"), "{set}");
}

/// A choice between few values is drawn often; each value is one run.
#[test]
fn samples_that_repeat_are_remarked_and_run_once() {
    let text =
        format!("{TINY}[[grid.random]]\nsamples = 20\n\"penalty.lambda\" = {{ choice = [1, 2] }}");
    let line = TINY.lines().count() + 2;
    let parts = [
        "warning: 18 of 20 samples have the values of an earlier one and are left out",
        &format!("x.toml:{line}:11"),
    ];
    says(&text, 0, &parts);
    assert_eq!(expand(&text).runs.len(), 2);
}

/// A run that an axis does not apply to is the run that a file without the axis has.
#[test]
fn ids_do_not_depend_on_how_a_grid_is_put() {
    let ids = |text: &str| -> Vec<String> {
        let mut ids: Vec<String> = expand(text).runs.into_iter().map(|run| run.id.0).collect();
        ids.sort();
        ids
    };
    let when = ids(&penalties(&format!("{WHEN}\"penalty.lambda\" = [0.2, 0.3]")));
    let sections = "[grid]\n\"train.batch\" = [64, 32]\npenalty = [{ kind = \"l1\", lambda = 0.3 }, \
                    { kind = \"k-sparse\", k = 4 }, { kind = \"l1\", lambda = 2e-1 }]";
    assert_eq!(when, ids(&format!("seeds = [1, 0]\n{}", with(sections))));
}

#[test]
fn mistakes_in_blocks_with_conditions_are_shown_where_they_stand() {
    for (block, code, line, column, parts) in [
        (
            "[[grid.when]]\nif = { \"penalty.kind\" = \"k-sparce\" }\ntrain.epochs = [1, 2]",
            0,
            1,
            25,
            [
                "warning: this block applies to no run",
                "`penalty.kind` is \"l1\" or \"k-sparse\" here",
            ],
        ),
        (
            "[[grid.when]]\nif = { \"penalty.kin\" = \"l1\" }\ntrain.epochs = [1, 2]",
            2,
            1,
            8,
            ["no run has a setting `penalty.kin`", "did you mean `penalty.kind`?"],
        ),
        (
            "[[grid.when]]\ntrain.epochs = [1, 2]",
            2,
            0,
            1,
            ["needs the conditions `if`", "as in if = {"],
        ),
        (
            "[[grid.when]]\nif = { seed = 1 }\ntrain.epochs = [1, 2]",
            2,
            1,
            8,
            ["cannot ask for the seed", "as in if = {"],
        ),
        (
            "[[grid.when]]\nif = { }\ntrain.epochs = [1, 2]",
            2,
            1,
            6,
            ["`if` needs at least one condition", "help"],
        ),
        (
            "[[grid.when]]\nif = 3\ntrain.epochs = [1, 2]",
            2,
            1,
            6,
            ["`if` is a table of conditions", "got a whole number"],
        ),
        ("[[grid.when]]\nif = { \"penalty.k\" = 4 }", 2, 0, 1, ["needs at least one axis", "help"]),
        (
            "[[grid.when]]\nif = { \"penalty.k\" = 4 }\n\"penalty.k\" = [5, 6]",
            2,
            2,
            1,
            ["sets what the condition of its own block asks for", "the condition"],
        ),
        (
            "[[grid.when]]\nif = { \"penalty.k\" = 4 }\npenalti.alpha = [5, 6]",
            2,
            2,
            9,
            ["`penalti.alpha` cannot be an axis", "did you mean `penalty`?"],
        ),
        (
            "[[grid.when]]\nif = { \"penalty.k\" = 4 }\ntrain.batch = [5, 6]",
            2,
            2,
            7,
            ["the axis `train.batch` is there twice", "the first"],
        ),
        (
            "[[grid.when]]\nif = { \"penalty.k\" = 4 }\ntrain.epochs = [5, 6]\n[[grid.when]]\nif = { \"train.batch\" = 32 }\ntrain.epochs = [7]",
            2,
            5,
            7,
            ["for a run that is in both blocks", "the first"],
        ),
        (
            "[[grid.when]]\nif = { \"train.batch\" = 32 }\npenalty.k = [5, 6]",
            2,
            2,
            9,
            ["`l1` has no setting `k`", "applies to this value too"],
        ),
        ("when = 3", 2, 0, 1, ["`grid.when` is a list of blocks", "[[grid.when]]"]),
        ("when = [3]", 2, 0, 9, ["a block of `grid.when` is a table", "as in if = {"]),
    ] {
        let place = format!("x.toml:{}:{column}", first_line() + line);
        says(&penalties(block), code, &[&place, parts[0], parts[1]]);
    }
}

/// However the blocks add up, a grid that is too large is refused before it is made.
#[test]
fn conditional_axes_cannot_make_a_grid_too_large() {
    let axis = |key: &str| format!("{WHEN}{key} = {{ range = [1, 1000] }}\n");
    let three = format!(
        "{}{}{}",
        axis("train.epochs"),
        axis("penalty.lambda"),
        axis("architecture.latents")
    );
    let one = format!(
        "{WHEN}train.epochs = {{ range = [1, 1000] }}\npenalty.lambda = {{ range = [1, 1000] }}\n\
                       architecture.latents = {{ range = [1, 1000] }}"
    );
    for (text, size) in [(three, "at least 4000004 runs"), (one, "has 4000000004 runs")] {
        let started = std::time::Instant::now();
        says(
            &penalties(&text),
            2,
            &[size, "at most 1000000 are allowed", "`train.epochs` with 1000 values"],
        );
        let took = started.elapsed();
        assert!(took < std::time::Duration::from_secs(4), "it took {took:?}");
    }
}

/// A small grid. An axis' values are 1, 2, …, and 0 stands for one that does not apply.
#[derive(Clone, Debug)]
struct Grid {
    /// Of each axis.
    lengths: Vec<usize>,
    /// An axis that moves together with the one after it.
    zipped: Option<usize>,
    seeds: usize,
    /// The last axes apply only where these hold, of the axes before them.
    when: Vec<Conditions>,
    /// With the seed as the axis after the last.
    exclude: Vec<Conditions>,
}

/// Axes and the values of which each has to have one.
type Conditions = BTreeMap<usize, BTreeSet<usize>>;

fn hold(conditions: &Conditions, run: &[usize]) -> bool {
    conditions.iter().all(|(at, values)| values.contains(&run[*at]))
}

/// Settings for which every whole number from 1 on is legal.
const AXES: [&str; 4] = ["train.batch", "architecture.latents", "train.epochs", "penalty.lambda"];

/// Conditions on the axes below `axes`, with values that an axis has or not.
fn conditions(axes: usize) -> impl Strategy<Value = Conditions> {
    let values = prop::collection::btree_set(1..5_usize, 1..3);
    prop::collection::btree_map(0..axes, values, 1..3)
}

fn grid() -> impl Strategy<Value = Grid> {
    let lengths = prop::collection::vec(1..4_usize, AXES.len());
    let when = prop_oneof![
        Just(Vec::new()),
        conditions(3).prop_map(|last| vec![last]),
        (conditions(2), conditions(3)).prop_map(|(third, last)| vec![third, last]),
    ];
    let exclude = prop::collection::vec(conditions(AXES.len() + 1), 0..3);
    (lengths, prop::option::of(0..AXES.len()), 1..4_usize, when, exclude).prop_map(
        |(mut lengths, zipped, seeds, when, exclude)| {
            let zipped = zipped.filter(|at| at + 1 < AXES.len() - when.len());
            if let Some(at) = zipped {
                lengths[at + 1] = lengths[at];
            }
            Grid { lengths, zipped, seeds, when, exclude }
        },
    )
}

impl Grid {
    /// How many axes apply to every run.
    fn always(&self) -> usize {
        AXES.len() - self.when.len()
    }

    fn to_toml(&self) -> String {
        let seeds: Vec<usize> = (1..=self.seeds).collect();
        let tiny = TINY.replace("epochs = 1", "epochs = 9");
        let mut text = format!("seeds = {seeds:?}\n{tiny}[grid]\n");
        let axis = |at: usize| {
            let values: Vec<usize> = (1..=self.lengths[at]).collect();
            format!("\"{}\" = {values:?}\n", AXES[at])
        };
        let conditions = |conditions: &Conditions| {
            let name = |at: usize| AXES.get(at).copied().unwrap_or("seed");
            let one = |(at, values): (&usize, &BTreeSet<usize>)| {
                format!("\"{}\" = {:?}", name(*at), values.iter().collect::<Vec<_>>())
            };
            conditions.iter().map(one).collect::<Vec<_>>()
        };
        let zipped = |at: usize| self.zipped.is_some_and(|first| at == first || at == first + 1);
        (0..self.always()).filter(|at| !zipped(*at)).for_each(|at| text += &axis(at));
        // The blocks of exclude come first: their place in the file does not matter.
        for rule in &self.exclude {
            text += &format!("[[grid.exclude]]\n{}\n", conditions(rule).join("\n"));
        }
        if let Some(at) = self.zipped {
            text += &format!("[[grid.zip]]\n{}{}", axis(at), axis(at + 1));
        }
        for (block, when) in self.when.iter().enumerate() {
            let own = axis(self.always() + block);
            text += &format!("[[grid.when]]\nif = {{ {} }}\n{own}", conditions(when).join(", "));
        }
        text
    }

    /// Every run without the rules: the value of each axis, and the seed.
    fn whole(&self) -> Vec<Vec<usize>> {
        let mut all: Vec<Vec<usize>> = vec![Vec::new()];
        for (at, length) in self.lengths.iter().enumerate() {
            let when = at.checked_sub(self.always()).map(|block| &self.when[block]);
            let mut longer = Vec::new();
            for run in all {
                let applies = when.is_none_or(|when| hold(when, &run));
                let values = if applies { 1..=*length } else { 0..=0 };
                longer.extend(values.map(|value| [&run[..], &[value]].concat()));
            }
            all = longer;
        }
        all.retain(|run| self.zipped.is_none_or(|at| run[at] == run[at + 1]));
        let seeded =
            |run: Vec<usize>| (1..=self.seeds).map(move |seed| [&run[..], &[seed]].concat());
        all.into_iter().flat_map(seeded).collect()
    }
}

proptest! {
    #![proptest_config(config(500))]

    /// Axes multiply, zipped ones move together, conditional ones are there where their condition holds,
    /// rules take away, and nothing else happens. Wrong if a combination were lost, came twice or were
    /// made of values that do not belong together.
    #[test]
    fn a_grid_is_what_a_naive_reading_gives(grid in grid()) {
        let text = grid.to_toml();
        let Expanded { runs, excluded, warnings } = expand(&text);
        let value = |run: &RunSpec, axis| run.value_on(axis).map_or(0, |value| value.parse().unwrap());
        let numbers = |run: &RunSpec| -> Vec<usize> {
            AXES.iter().map(|axis| value(run, axis)).chain([run.seed as usize]).collect()
        };
        let mut found: Vec<Vec<usize>> = runs.iter().map(numbers).collect();
        found.sort();
        let whole = grid.whole();
        let is_left = |run: &&Vec<usize>| !grid.exclude.iter().any(|rule| hold(rule, run));
        let left: Vec<Vec<usize>> = whole.iter().filter(is_left).cloned().collect();
        prop_assert_eq!(&found, &left, "{}", text);
        prop_assert_eq!(excluded, whole.len() - left.len(), "{}", text);
        // What is said of a run is what it is trained with.
        for run in &runs {
            let batch = json!(run.value_on("train.batch").unwrap().parse::<u64>().unwrap());
            prop_assert_eq!(&run.train.settings["batch"], &batch);
            let lambda = run.value_on("penalty.lambda").map_or(0.1, |value| value.parse().unwrap());
            prop_assert_eq!(run.penalty.settings["lambda"].as_f64(), Some(lambda));
        }
        // Rules and conditions are remarked exactly if no run of the grid without rules meets them.
        let idle = grid.exclude.iter().chain(&grid.when);
        let idle = idle.filter(|conditions| !whole.iter().any(|run| hold(conditions, run)));
        prop_assert_eq!(warnings.len(), idle.count(), "{}", text);
    }
}
