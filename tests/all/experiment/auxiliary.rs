//! The list `auxiliary`: ids, addresses of its entries, columns, mistakes, and that its terms train.

use framework::diagnostics::Diagnostic;
use framework::fit::{ParameterCounts, check_fit, open_data};
use framework::model::Definition;
use framework::plugin::{SampleShape, kinds};
use framework::spec::{Experiment, Override, RunSpec};
use framework::train::{Ended, Progress, train};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::support::models::{data, runs};
use crate::support::program::{Place, TINY, columns, numbers, texts};
use crate::support::strategies::config;

/// The experiment with the penalty that leaves most latents off, and more at its end.
fn sparse(more: &str) -> String {
    beside("kind = \"k-sparse\"\nk = 4", more)
}

/// The tiny experiment with another penalty and more at its end.
fn beside(penalty: &str, more: &str) -> String {
    let text = TINY.replace("kind = \"l1\"\nlambda = 0.1", penalty);
    format!("{text}{more}\n")
}

fn read(text: &str, sets: &[&str]) -> Result<Vec<RunSpec>, Vec<Diagnostic>> {
    let sets: Vec<Override> = sets.iter().map(|set| Override::new(*set, ".")).collect();
    Experiment::parse("x.toml".into(), "".into(), text.into(), &sets)?.runs()
}

#[track_caller]
fn expanded(text: &str, sets: &[&str]) -> Vec<RunSpec> {
    read(text, sets).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
}

#[track_caller]
fn only(more: &str) -> RunSpec {
    let mut runs = expanded(&sparse(more), &[]);
    assert_eq!(runs.len(), 1);
    runs.remove(0)
}

/// What the list of each run says, in the order of the runs.
fn lists(runs: &[RunSpec]) -> Vec<Json> {
    runs.iter().map(|run| run.settings()["auxiliary"].take()).collect()
}

fn l1(lambda: f64) -> Json {
    json!({ "lambda": lambda, "kind": "l1" })
}

/// Wrong if runs of before there were auxiliaries were done again, or if two lists shared an id.
#[test]
fn only_a_list_that_says_something_enters_the_id() {
    let absent = expanded(&sparse(""), &[]).remove(0);
    let empty = expanded(&format!("auxiliary = []\n{}", sparse("")), &[]).remove(0);
    assert_eq!(absent.id, empty.id);
    assert!(absent.settings().get("auxiliary").is_none());
    assert!(empty.settings().get("auxiliary").is_none());
    assert_eq!(absent.settings(), empty.settings());

    let one = "[[auxiliary]]\nkind = \"l1\"\nlambda = 0.1\n";
    let other = "[[auxiliary]]\nkind = \"group-lasso\"\nlambda = 0.1\ngroup_size = 2\n";
    let texts =
        ["", one, other, &[one, other].concat(), &[other, one].concat(), &[one, one].concat()];
    let mut ids: Vec<String> = texts.iter().map(|text| only(text).id.0).collect();
    ids.push(only(&one.replace("0.1", "0.2")).id.0);
    for (at, id) in ids.iter().enumerate() {
        assert!(!ids[..at].contains(id), "{at}: {ids:?}");
    }
    let inline = "auxiliary = [{ lambda = 1e-1, kind = \"l1\" }]\n".to_owned() + &sparse("");
    assert_eq!(expanded(&inline, &[])[0].id.0, ids[1], "however it is spelt");
    let both = only(texts[3]).settings()["auxiliary"].take();
    assert_eq!((&both[0], &both[1]["kind"]), (&l1(0.1), &json!("group-lasso")), "in their order");
}

/// Wrong if an entry had another name, which its parameters and columns are called by.
#[test]
fn entries_are_named_by_their_place() {
    let entry = |kind: &str| format!("[[auxiliary]]\nkind = \"{kind}\"\n");
    let l1 = entry("l1") + "lambda = 0.1\n";
    let run = only(&[&l1, &(entry("group-lasso") + "lambda = 1\ngroup_size = 2\n"), &*l1].concat());
    let names: Vec<&str> =
        run.auxiliary.value.iter().map(|auxiliary| auxiliary.name.as_str()).collect();
    assert_eq!(names, ["l1", "group_lasso", "l1_2"]);
}

/// Every row of the registry can stand in the list as its example has it, and what it learns is counted.
#[test]
fn every_auxiliary_can_stand_in_the_list() {
    let rows = kinds().into_iter().find(|(kind, _)| *kind == "auxiliary").unwrap().1;
    assert!(
        ["kl", "l1", "group-lasso"].iter().all(|name| rows.iter().any(|row| row.name == *name))
    );
    assert!(["none", "k-sparse"].iter().all(|name| rows.iter().all(|row| row.name != *name)));
    let shape = SampleShape::Vector(64);
    for row in rows {
        let run = only(&format!("[[auxiliary]]\nkind = \"{}\"\n{}\n", row.name, row.example));
        assert_eq!(run.auxiliary.value[0].built.kind, row.name);
        let all = Definition::of(&run).parameters(shape);
        let all: usize = all.iter().map(|own| own.shape.iter().product::<usize>()).sum();
        assert_eq!(ParameterCounts::default().count(&run, shape), all as u128, "{}", row.name);
    }
}

const TWO: &str = "[[auxiliary]]\nkind = \"l1\"\nlambda = 1\n[[auxiliary]]\nkind = \"group-lasso\"\n\
                   lambda = 2\ngroup_size = 2\n[[auxiliary]]\nkind = \"l1\"\nlambda = 3\n";

/// Wrong if an axis set another entry than the one it names, or the last entry of a kind alone.
#[test]
fn axes_reach_settings_of_entries_by_their_names() {
    let lambdas = |runs: &[RunSpec]| -> Vec<[f64; 3]> {
        let lambda = |list: &Json| [0, 1, 2].map(|at| list[at]["lambda"].as_f64().unwrap());
        lists(runs).iter().map(lambda).collect()
    };
    for (axis, expected) in [
        ("\"auxiliary.l1.lambda\" = [5, 6]", [[5.0, 2.0, 3.0], [6.0, 2.0, 3.0]]),
        ("\"auxiliary.l1_2.lambda\" = [5, 6]", [[1.0, 2.0, 5.0], [1.0, 2.0, 6.0]]),
        ("auxiliary.l1-2.lambda = [5, 6]", [[1.0, 2.0, 5.0], [1.0, 2.0, 6.0]]),
        ("\"auxiliary.group_lasso.lambda\" = [5, 6]", [[1.0, 5.0, 3.0], [1.0, 6.0, 3.0]]),
        (
            "\"auxiliary.group-lasso.lambda\" = { linear = [5, 6], points = 2 }",
            [[1.0, 5.0, 3.0], [1.0, 6.0, 3.0]],
        ),
    ] {
        let text = sparse(&format!("{TWO}[grid]\n{axis}"));
        assert_eq!(lambdas(&expanded(&text, &[])), expected, "{axis}");
    }
    let zipped =
        "[[grid.zip]]\n\"auxiliary.l1.lambda\" = [5, 6]\n\"auxiliary.l1_2.lambda\" = [7, 8]";
    let runs = expanded(&sparse(&format!("{TWO}{zipped}")), &[]);
    assert_eq!(lambdas(&runs), [[5.0, 2.0, 7.0], [6.0, 2.0, 8.0]]);
    let drawn =
        "[[grid.random]]\nsamples = 4\nauxiliary.l1_2.lambda = { log_uniform = [0.1, 1.0] }";
    let runs = expanded(&sparse(&format!("{TWO}{drawn}")), &[]);
    let all = lambdas(&runs);
    assert!(
        all.iter().all(|[one, two, last]| (*one, *two) == (1.0, 2.0) && *last < 1.0),
        "{all:?}"
    );
    assert_eq!(runs.len(), 4);

    let twice =
        "[grid]\n\"auxiliary.group-lasso.lambda\" = [1]\n\"auxiliary.group_lasso.lambda\" = [2]";
    let problems = read(&sparse(&format!("{TWO}{twice}")), &[]).err().unwrap();
    assert!(problems[0].message.contains("is there twice"), "{problems:?}");
}

/// Wrong if the whole list could not be varied, or if conditions did not see what is in it.
#[test]
fn the_list_is_an_axis_of_whole_lists() {
    let axis = "auxiliary = [[], [{ kind = \"l1\", lambda = 1 }], [{ kind = \"l1\", lambda = 2 }, \
                { kind = \"l1\", lambda = 3 }]]\n";
    let runs = expanded(&sparse(&format!("[grid]\n{axis}")), &[]);
    assert_eq!(lists(&runs), [Json::Null, json!([l1(1.0)]), json!([l1(2.0), l1(3.0)])]);
    let words: Vec<_> = runs.iter().map(|run| run.value_on("auxiliary").unwrap()).collect();
    assert_eq!(words, ["[]", "l1 lambda=1", "l1 lambda=2 + l1 lambda=3"]);
    let without = expanded(&sparse(""), &[]);
    assert_eq!(runs[0].id, without[0].id, "an empty list is none");

    for (rule, left) in [
        ("\"auxiliary.l1.kind\" = \"l1\"", 1),
        ("\"auxiliary.l1_2.kind\" = \"l1\"", 2),
        ("auxiliary.l1-2.lambda = 3.0", 2),
        ("auxiliary = { l1 = { lambda = [1, 7] } }", 2),
    ] {
        let text = sparse(&format!("[grid]\n{axis}[[grid.exclude]]\n{rule}"));
        assert_eq!(expanded(&text, &[]).len(), left, "{rule}");
    }
    let when = "[[grid.when]]\nif = { \"auxiliary.l1_2.kind\" = \"l1\" }\n\"auxiliary.l1.lambda\" = [8, 9]";
    let runs = expanded(&sparse(&format!("[grid]\n{axis}{when}")), &[]);
    let expected =
        [Json::Null, json!([l1(1.0)]), json!([l1(8.0), l1(3.0)]), json!([l1(9.0), l1(3.0)])];
    assert_eq!(lists(&runs), expected);
    let drawn = "[[grid.random]]\nsamples = 9\nauxiliary = { choice = [[], [{ kind = \"l1\", lambda = 1 }]] }";
    assert_eq!(expanded(&sparse(drawn), &[]).len(), 2);
    let given = "[grid]\nauxiliary = [[{ kind = \"l1\" }]]\n\"auxiliary.l1.lambda\" = [1, 2]";
    assert_eq!(lists(&expanded(&sparse(given), &[])), [json!([l1(1.0)]), json!([l1(2.0)])]);
}

/// Wrong if an override were lost where an axis gives the list, or reached an entry of another name.
#[test]
fn overrides_reach_every_list_that_has_the_entry() {
    let text = sparse(TWO);
    for set in ["auxiliary.l1_2.lambda=7", "auxiliary.l1-2.lambda=7"] {
        let list = lists(&expanded(&text, &[set])).remove(0);
        assert_eq!((&list[0], &list[2]), (&l1(1.0), &l1(7.0)), "{set}");
    }
    assert_eq!(lists(&expanded(&text, &["auxiliary=[]"])), [Json::Null]);
    let axis = format!("{TWO}[grid]\n\"auxiliary.group-lasso.lambda\" = [5, 6]");
    let runs = expanded(&sparse(&axis), &["auxiliary.group_lasso.lambda=9"]);
    assert_eq!(
        (runs.len(), &lists(&runs)[0][1]["lambda"]),
        (1, &json!(9.0)),
        "in place of the axis"
    );

    let whole = "[grid]\nauxiliary = [[], [{ kind = \"l1\", lambda = 1 }]]";
    let runs = expanded(&sparse(whole), &["auxiliary.l1.lambda=7"]);
    assert_eq!(lists(&runs), [Json::Null, json!([l1(7.0)])]);
    let drawn = "[[grid.random]]\nsamples = 9\nauxiliary = { choice = [[], [{ kind = \"l1\", lambda = 1 }]] }";
    let runs = expanded(&sparse(drawn), &["auxiliary.l1.lambda=7"]);
    assert!(lists(&runs).contains(&json!([l1(7.0)])));
    for text in [&sparse(whole), &text, &sparse("")] {
        let problems = read(text, &["auxiliary.l2.lambda=7"]).err().unwrap();
        assert_eq!(problems[0].message, "`auxiliary` has no entry `l2`");
    }
}

/// Wrong if a list were merged with the one below it, whose entries are others.
#[test]
fn a_list_replaces_that_of_an_included_file() {
    let place = Place::new();
    let grid = "[grid]\n\"auxiliary.group-lasso.lambda\" = [5, 6]\n";
    place.write("base.toml", sparse(&format!("{TWO}{grid}")));
    let lambdas = |text: &str| -> Vec<Json> {
        place.write("x.toml", text);
        let listed = place.run(["list", "x.toml", "--json"]).exits(0).json();
        let runs = listed["runs"].as_array().unwrap().iter();
        runs.map(|run| run["settings"]["auxiliary"].clone()).collect()
    };
    let include = "include = [\"base.toml\"]\n";
    assert_eq!(lambdas(include).len(), 2);
    let axis = format!("{include}[grid]\nauxiliary.group_lasso.lambda = [7]\n");
    assert_eq!(lambdas(&axis).remove(0)[1]["lambda"], json!(7.0), "the axis is replaced");
    let list = "[[auxiliary]]\nkind = \"group-lasso\"\ngroup_size = 4\n";
    let lists = lambdas(&format!("{include}{list}"));
    assert_eq!((lists.len(), lists[0].as_array().unwrap().len()), (2, 1));
    assert_eq!(lists[1][0]["lambda"], json!(6.0), "the axis holds for the list above");
}

proptest! {
    #![proptest_config(config(60))]

    /// A run depends on the list that is resolved alone: written out, or made by axes and overrides.
    #[test]
    fn lists_are_the_same_run_however_they_are_made(
        lambdas in prop::collection::vec(1..9_u32, 1..5),
        order in any::<prop::sample::Index>(),
        way in 0..3_usize,
    ) {
        let entries = |lambdas: &[u32]| -> String {
            let entry = |lambda: &u32| format!("{{ kind = \"l1\", lambda = {lambda} }}, ");
            lambdas.iter().map(entry).collect()
        };
        let plain = format!("auxiliary = [{}]\n{}", entries(&lambdas), sparse(""));
        let at = order.index(lambdas.len());
        let name = if at == 0 { "l1".to_owned() } else { format!("l1_{}", at + 1) };
        let lambda = lambdas[at];
        let mut others = lambdas.clone();
        others[at] = 77;
        let list = format!("auxiliary = [{}]\n", entries(&others));
        let (text, sets) = match way {
            0 => (list + &sparse(&format!("[grid]\n\"auxiliary.{name}.lambda\" = [{lambda}]")), vec![]),
            1 => (list + &sparse(""), vec![format!("auxiliary.{name}.lambda={lambda}")]),
            _ => (sparse(&format!("[grid]\nauxiliary = [[{}]]", entries(&lambdas))), vec![]),
        };
        let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
        let ids = [expanded(&plain, &[]).remove(0).id, expanded(&text, &sets).remove(0).id];
        prop_assert_eq!(&ids[0], &ids[1], "{}\n---\n{}", plain, text);
    }
}

/// Wrong if tables of experiments without auxiliaries had new columns, or those with some lacked them.
#[test]
fn columns_are_there_where_some_run_has_auxiliaries() {
    let grid = "[grid]\nauxiliary = [[], [{ kind = \"l1\", lambda = 0.25 }], [{ kind = \"group-lasso\", \
                lambda = 0.5, group_size = 2 }, { kind = \"l1\", lambda = 1 }, { kind = \"l1\", lambda = 2 }]]";
    let place = Place::with(&sparse(grid));
    place.run(["x.toml"]).exits(0);
    let table = place.table("tiny/runs");
    assert_eq!(texts(&table, "auxiliary")[1..], ["l1", "group-lasso + l1 + l1"]);
    for (column, values) in [
        ("auxiliary_l1_lambda", [None, Some(0.25), Some(1.0)]),
        ("auxiliary_l1_2_lambda", [None, None, Some(2.0)]),
        ("auxiliary_group_lasso_lambda", [None, None, Some(0.5)]),
    ] {
        assert_eq!(numbers(&table, column), values, "{column}");
    }
    assert!(!columns(&table).iter().any(|name| name.ends_with("_kind") && name.starts_with("aux")));
    let losses = numbers(&table, "train_loss_auxiliary");
    assert!(
        losses[0].is_none() && losses[1..].iter().all(|loss| loss.unwrap() > 0.0),
        "{losses:?}"
    );

    let compared = place.run(["compare", "results/tiny", "--by", "auxiliary"]).exits(0);
    for name in ["| none ", "| l1 ", "| group-lasso + l1 + l1 "] {
        assert!(compared.out.contains(name), "no {name} in {compared}");
    }
    let entry = place.run(["compare", "results/tiny", "--by", "auxiliary.l1-2.lambda"]).exits(0);
    assert!(entry.out.contains("2 methods by auxiliary_l1_2_lambda"), "{entry}");
    let listed = place.run(["list", "x.toml"]).exits(0);
    assert!(listed.out.contains("l1 lambda=0.25") && listed.out.contains("done"), "{listed}");
    let page = place.run(["report", "results/tiny"]).exits(0);
    assert!(place.read("results/tiny/report.html").contains("auxiliary_l1_2_lambda"), "{page}");

    let plain = Place::with(&sparse(""));
    plain.run(["x.toml"]).exits(0);
    let names = columns(&plain.table("tiny/runs"));
    assert!(!names.iter().any(|name| name.starts_with("auxiliary")), "{names:?}");
    assert!(!names.contains(&"train_loss_auxiliary".to_owned()), "{names:?}");
}

/// Wrong if comparisons took runs with an auxiliary for further seeds of runs without one.
#[test]
fn comparisons_tell_runs_with_an_auxiliary_apart() {
    let grid = "[grid]\nauxiliary = [[], [{ kind = \"l1\", lambda = 0.25 }]]";
    let place = Place::with(&format!("seeds = [0, 1]\n{}", sparse(grid)));
    place.run(["x.toml"]).exits(0);
    let said = place.run(["compare", "results/tiny", "--json"]).exits(0).json().to_string();
    assert!(said.contains("auxiliary=none") && said.contains("auxiliary=l1"), "{said}");
}

/// Bits of the loss of each step, and of the parameters at the end.
fn left(text: &str) -> (Vec<u64>, Vec<u32>) {
    let (experiment, runs) = runs(text);
    let mut curve = Vec::new();
    let watch = &mut |at: &Progress| curve.push(at.loss.to_bits());
    let ended = train(&runs[0], &*data(&runs[0]), &experiment.evaluate, None, watch);
    let Ended::Done(trained) = ended else { panic!("the run did not go to its end") };
    let parameters = trained.model.parameters();
    let bits = parameters.entries.iter().flat_map(|entry| &entry.values);
    (curve, bits.map(|value| value.to_bits()).collect())
}

/// Wrong if what is in the list did not train, or trained otherwise than a penalty: L1 beside no penalty is the
/// penalty L1.
#[test]
fn what_is_in_the_list_trains_in_both_engines() {
    for engine in ["fused", "reference"] {
        let with = |penalty: &str, list: &str| {
            left(&beside(penalty, &format!("engine = \"{engine}\"\nbatch = 256\n{list}")))
        };
        let l1 = "kind = \"l1\"\nlambda = 0.1";
        let k_sparse = "kind = \"k-sparse\"\nk = 4";
        let list = format!("[[auxiliary]]\n{l1}");
        assert_ne!(with(k_sparse, "").1, with(k_sparse, &list).1, "{engine}");
        let (moved, plain) = (with("kind = \"none\"", &list), with(l1, ""));
        let pairs = moved.1.iter().zip(&plain.1);
        let away = pairs.map(|(a, b)| (f32::from_bits(*a) - f32::from_bits(*b)).abs());
        let away = away.fold(0.0, f32::max);
        assert!(away < 1e-5, "{engine}: parameters are {away} apart");
    }
}

/// Wrong if a stored model of such a run could not be read again.
#[test]
fn stored_models_with_auxiliaries_are_measured_again() {
    let place = Place::with(&sparse(TWO));
    place.run(["x.toml"]).exits(0);
    let first = place.table("tiny/runs");
    place.run(["x.toml", "--set", "evaluate.kinds=[\"reconstruction\",\"probe\"]"]).exits(0);
    let second = place.table("tiny/runs");
    assert_eq!(texts(&first, "run_id"), texts(&second, "run_id"));
    assert_eq!(texts(&first, "started"), texts(&second, "started"), "nothing trained again");
    assert!(numbers(&second, "test_probe_accuracy")[0].is_some());
}

/// Wrong if a term that does not fit the code trained all the same, or was refused at no line.
#[test]
fn what_does_not_fit_is_refused_at_its_line() {
    let list = "[[auxiliary]]\nkind = \"l1\"\nlambda = 1\n[[auxiliary]]\nkind = \"kl\"\nrho = 0.1\nbeta = 1\n";
    let (experiment, of_relu) = runs(&sparse(list));
    let mut opened = open_data(&of_relu).unwrap();
    let problems = check_fit(&experiment, &of_relu, &mut opened).unwrap_err();
    let line = sparse(list).lines().position(|line| line == "kind = \"kl\"").unwrap() + 1;
    assert_eq!(problems.len(), 1, "{problems:?}");
    let place = problems[0].origin.as_ref().unwrap().line_column();
    assert_eq!(place, (line, 8), "{problems:?}");
    assert!(problems[0].message.starts_with("auxiliary.kl: "), "{problems:?}");
    assert_eq!(problems[0].related.len(), 1, "the architecture is named too");
    let fits = sparse(list).replace("latents = 16", "latents = 16\nactivation = \"sigmoid\"");
    let (experiment, runs) = runs(&fits);
    check_fit(&experiment, &runs, &mut open_data(&runs).unwrap()).unwrap();
}

/// Wrong if `plugins` did not explain what may stand in the list.
#[test]
fn auxiliaries_are_explained() {
    let place = Place::with(TINY);
    let said = place.run(["plugins", "auxiliary", "l1"]).exits(0);
    assert!(said.out.starts_with("auxiliary `l1`: ") && said.out.contains("lambda"), "{said}");
    place.run(["plugins", "auxiliary", "k-sparse"]).exits(2).complains(["no auxiliary is named"]);
    let outside = place.run_outside(["plugins", "auxiliary"]).exits(0);
    assert!(!outside.out.contains("soft-threshold"), "it changes codes: {outside}");
}
