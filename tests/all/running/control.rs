//! `[target] method = "control"`: a weight is steered to a target while a run trains.

use std::time::Duration;

use crate::support::group::{Group, signal};
use crate::support::program::{Place, assert_same, columns, numbers, texts};

/// Penalties whose strength is a weight, of one weight and of two.
const STEERED: &str = "name = \"steered\"

[dataset]
kind = \"digits\"

[architecture]
kind = \"dense\"
latents = 64

[train]
epochs = 60

[target]
l0 = 12
tolerance = 0.1
method = \"control\"

[[grid.zip]]
penalty = [
    { kind = \"l1\", lambda = 0.01 },
    { kind = \"group-lasso\", group_size = 4, lambda = 2 },
    { kind = \"sparse-group-lasso\", group_size = 4, lambda = 0.1, group_lambda = 0.05 },
]
\"architecture.activation\" = [\"relu\", \"relu\", \"relu\"]
";

/// L1 alone, of the same.
fn only_l1() -> String {
    let (before, rest) = STEERED.split_once("    { kind = \"group").unwrap();
    let (_, after) = rest.split_once("]\n\"arch").unwrap();
    format!("{before}]\n\"arch{after}").replace("[\"relu\", \"relu\", \"relu\"]", "[\"relu\"]")
}

/// Wrong if a steered run missed its target, cost a search, was told as one of a fixed or of a found strength, or kept
/// no path of its weights.
#[test]
fn weights_are_steered_to_the_target_in_one_training() {
    let place = Place::with(STEERED);
    let listed = place.run(["list", "x.toml"]).exits(0).out;
    assert!(!listed.contains("search"), "{listed}");
    let said = place.run(["x.toml"]).exits(0);
    assert_eq!(
        said.out.matches("(steered)").count(),
        2 * 3,
        "in the table and beside curves: {said}"
    );
    assert!(!said.out.contains("(found)"), "{said}");
    let table = place.table("steered/runs");
    for l0 in numbers(&table, "test_l0") {
        assert!((l0.unwrap() / 12.0 - 1.0).abs() <= 0.1, "{l0:?}");
    }
    assert_eq!(texts(&table, "target_method"), ["control"; 3]);
    assert!(table.get("search_trainings").is_none());

    let (kinds, ids) = (texts(&table, "penalty"), texts(&table, "run_id"));
    let history = place.table("steered/history");
    for (at, kind) in kinds.iter().enumerate() {
        let (key, start) = match kind.as_str() {
            "l1" => ("lambda", 0.01),
            "group-lasso" => ("lambda", 2.0),
            _ => ("group_lambda", 0.05),
        };
        assert_eq!(
            numbers(&table, &format!("penalty_{key}"))[at],
            Some(start),
            "{kind}: its start"
        );
        let column = format!("control_{key}");
        let end = numbers(&table, &column)[at].unwrap();
        assert!(end > 0.0 && end != start, "{kind}: {end}");
        let of_run = texts(&history, "run_id").into_iter().map(|id| id == ids[at]);
        let path: Vec<f64> = numbers(&history, &column)
            .into_iter()
            .zip(of_run)
            .filter_map(|(weight, is_own)| weight.filter(|_| is_own))
            .collect();
        assert_eq!((path.len(), path.last()), (60, Some(&end)), "{kind}");
        assert!(path.windows(2).filter(|pair| pair[0] != pair[1]).count() > 40, "{kind}: {path:?}");
        assert!(path[54..].iter().all(|weight| *weight == end), "{kind} at the end: {path:?}");
    }
    let at = kinds.iter().position(|kind| kind == "sparse-group-lasso").unwrap();
    let [first, second] = ["control_lambda", "control_group_lambda"]
        .map(|column| numbers(&table, column)[at].unwrap());
    assert!((second / first - 0.5).abs() < 1e-12, "{first}, {second}");

    // A setting as tables print it is one that a run can be asked for by.
    let words = said.out.lines().find(|line| line.contains("group_lambda≈")).unwrap();
    let words = words.split('|').nth(2).map_or(words.split("  ").next().unwrap(), str::trim);
    place.run(["features", "results/steered", words]).exits(0);
    place.run(["report", "results/steered"]).exits(0);
}

/// Wrong if a run that searches had another id for saying so, or if the two ways were one setting in comparisons.
#[test]
fn a_search_is_the_same_run_whether_it_is_said_or_not_and_the_two_are_told_apart() {
    let said = only_l1().replace("control", "search");
    let ids = |text: &str| {
        let listed = Place::with(text).run(["list", "x.toml", "--json"]).exits(0).json();
        let runs = listed["runs"].as_array().unwrap().clone();
        runs.iter().map(|run| run["run_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let unsaid = said.replace("method = \"search\"\n", "");
    assert_ne!(said, unsaid);
    assert_eq!(ids(&said), ids(&unsaid));
    assert_ne!(ids(&said), ids(&only_l1()));

    let both = only_l1().replace("method = \"control\"\n", "");
    let axis = "[grid]\n\"target.method\" = [\"search\", \"control\"]\n\n[[grid.zip]]";
    let both = both.replace("[[grid.zip]]", axis);
    let both = both.replace("epochs = 60", "epochs = 30").replace("name", "seeds = [0, 1]\nname");
    let place = Place::with(&both);
    let listed = place.run(["list", "x.toml"]).exits(0).out;
    assert!(listed.contains("2 to do with a target: each is a search"), "{listed}");
    let said = place.run(["x.toml"]).exits(0);
    for words in ["method=search lambda≈", "method=control lambda≈", "(found)", "(steered)"] {
        assert!(said.out.contains(words), "{words}: {said}");
    }
    let table = place.table("steered/runs");
    assert_eq!(texts(&table, "target_method"), ["", "", "control", "control"]);
    let trainings = numbers(&table, "search_trainings");
    assert!(trainings[0].is_some() && trainings[2].is_none(), "{trainings:?}");
    let words = ["compare", "results/steered", "--by", "penalty,target_method", "--json"];
    let compared = place.run(words).exits(0).json();
    assert_eq!(compared["methods"].as_array().unwrap().len(), 2, "{compared}");
    let compared = compared.to_string();
    assert!(compared.contains("control") && compared.contains("search"), "{compared}");
    place.run(["report", "results/steered"]).exits(0);
    let shown = place.run(["status", "results/steered"]).exits(0).out;
    assert!(shown.contains("(steered)") && shown.contains("(found)"), "{shown}");
}

/// Wrong if interruptions changed where a weight is steered to.
#[test]
#[cfg(unix)]
fn a_steered_run_that_is_killed_goes_on_and_ends_the_same() {
    let text = STEERED.replace("epochs = 60", "epochs = 120\npenalty_warmup = 0.1")
        + "\n[run]\ncheckpoint = 0.01\n";
    let words = ["x.toml", "-j", "1"];
    let (quiet, killed) = (Place::with(&text), Place::with(&text));
    quiet.run(words);
    for wait in [250, 450, 650, 850] {
        let running = Group::start(&killed, &words);
        std::thread::sleep(Duration::from_millis(wait));
        // The command and its worker.
        signal("KILL", -i64::from(running.child.id()));
        running.code();
    }
    let said = killed.run(words);
    assert!(!said.err.contains("warning"), "{said}");
    let Some(tables::Values::Whole(attempts)) =
        killed.table("steered/runs").get("attempt").cloned()
    else {
        panic!("attempts are counted")
    };
    assert!(attempts.iter().flatten().any(|attempt| *attempt > 1), "no run was killed");
    for table in ["steered/runs", "steered/history", "steered/latents"] {
        assert_same(&quiet.table(table), &killed.table(table));
    }
    let history = quiet.table("steered/history");
    for of_run in numbers(&history, "control_lambda").chunks(120) {
        let warm = &of_run[..12];
        assert!(warm.windows(2).all(|pair| pair[0] == pair[1]), "weights warm up: {warm:?}");
    }
}

/// Wrong if the engines steered differently, or if a share were another target than the L0 it stands for.
#[test]
fn engines_steer_alike_and_a_share_is_the_l0_of_that_many_latents() {
    let text = only_l1();
    let share = text.replace("l0 = 12", "share = 0.1875");
    let reference = text.replace("epochs = 60", "epochs = 60\nengine = \"reference\"");
    let weights = |text: &str| {
        let place = Place::with(text);
        place.run(["x.toml"]).exits(0);
        numbers(&place.table("steered/runs"), "control_lambda")[0].unwrap()
    };
    let fused = weights(&text);
    assert_eq!(weights(&share), fused);
    let other = weights(&reference);
    assert!((other / fused - 1.0).abs() < 0.02, "{other}, {fused}");
}

/// Wrong if a run that did not come to its target passed for one that did, or did not say where it ended.
#[test]
fn a_run_that_is_steered_past_its_target_is_unreached() {
    let text = only_l1().replace("tolerance = 0.1", "tolerance = 1e-9");
    let place = Place::with(&text);
    place.run(["x.toml"]).exits(100);
    let table = place.table("steered/runs");
    assert_eq!(texts(&table, "status"), ["unreached"]);
    let (l0, weight) = (numbers(&table, "test_l0")[0], numbers(&table, "control_lambda")[0]);
    let reason = &texts(&table, "reason")[0];
    let ended = format!("it ended at {:.4}, with lambda = {:.6}", l0.unwrap(), weight.unwrap());
    assert!(reason.contains(&ended), "{reason}");
    let shown = place.run(["status", "results/steered"]).out;
    assert!(shown.contains("the L0 controller did not come to a test L0 within"), "{shown}");
}

/// Wrong if a later evaluation lost what a steered run was, or measured another model.
#[test]
fn a_later_evaluation_measures_the_steered_model() {
    let text = only_l1().replace("[target]", "[evaluate]\nkinds = [KINDS]\n\n[target]");
    let few = text.replace("KINDS", "\"reconstruction\", \"sparsity\"");
    let all = text.replace("KINDS", "\"reconstruction\", \"sparsity\", \"probe\"");
    let (later, once) = (Place::with(&few), Place::with(&all));
    later.run(["x.toml"]).exits(0);
    later.write("x.toml", &all);
    later.run(["x.toml"]).exits(0);
    once.run(["x.toml"]).exits(0);
    let (later, once) = (later.table("steered/runs"), once.table("steered/runs"));
    for metric in ["test_probe_accuracy", "test_l0", "control_lambda"] {
        let right = numbers(&once, metric);
        assert!(right[0].is_some(), "{metric}");
        assert_eq!(numbers(&later, metric), right, "{metric}");
    }
    assert!(columns(&later).iter().any(|column| column == "target_method"));
}

/// Wrong if what cannot be steered were found out only after training, or without a way out.
#[test]
fn what_cannot_be_steered_is_refused_at_its_place() {
    let refused = |text: &str, messages: &[&str]| {
        let place = Place::with(text);
        place.run(["x.toml"]).exits(2).complains(messages.iter().copied());
        assert!(!place.has_results());
    };
    let l1 = only_l1();
    let count = l1.replace("{ kind = \"l1\", lambda = 0.01 }", "{ kind = \"k-sparse\" }");
    let message = "target: method: `control` steers weights, and `k` of penalty `k-sparse` is a number of latents";
    refused(&count, &["x.toml:16:10", message, "`method = \"search\"`, the default, finds"]);
    let mean = l1.replace("l0 = 12", "mean_activation = 0.1");
    refused(
        &mean,
        &["x.toml:16:10", "`control` follows the number of active latents", "method = \"search\""],
    );
    let none = l1.replace("{ kind = \"l1\", lambda = 0.01 }", "{ kind = \"none\" }");
    refused(&none, &["penalty `none` has no strength that could lead to a target"]);
    let zero = l1.replace("lambda = 0.01", "lambda = 0");
    refused(&zero, &["a weight that is steered to a target starts above 0"]);
    let warm = l1.replace("epochs = 60", "epochs = 60\npenalty_warmup = 0.9");
    refused(&warm, &["x.toml:12:18", "from the end of the warm-up until 0.9 of the steps"]);
    let halved = format!("{l1}\n[run]\nhalving = {{ metric = \"test_mse\" }}\n");
    refused(&halved, &["runs whose weights are steered cannot be halved too"]);
    refused(&l1.replace("\"control\"", "\"controll\""), &["did you mean `control`?"]);
    let axis =
        l1.replace("[[grid.zip]]", "[grid]\n\"penalty.lambda\" = [0.1, 0.2]\n\n[[grid.zip]]");
    refused(&axis, &["varies what the target has the program steer"]);
}
