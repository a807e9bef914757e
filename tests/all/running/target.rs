//! `[target]`: the strength of a penalty is found, not given.

use std::time::Duration;

use crate::support::group::{Group, signal};
use crate::support::program::{Place, assert_same, numbers, texts};

/// Each penalty that has a strength; one row a run.
const ALL: &str = "name = \"found\"

[dataset]
kind = \"digits\"

[architecture]
kind = \"dense\"
latents = 64

[train]
epochs = 8

[target]
l0 = 12

[[grid.zip]]
penalty = [
    { kind = \"l1\" },
    { kind = \"kl\", rho = 0.05 },
    { kind = \"k-sparse\" },
    { kind = \"group-lasso\", group_size = 4 },
]
\"architecture.activation\" = [\"relu\", \"sigmoid\", \"relu\", \"relu\"]
";

/// The strength that a run ended with, by the name of its penalty.
fn strengths(place: &Place) -> Vec<(String, String, f64)> {
    let table = place.table("found/runs");
    let kinds = texts(&table, "penalty");
    let strength = |at: usize, kind: &str| {
        let key = match kind {
            "kl" => "beta",
            "k-sparse" => return ("k", place_k(&table, at)),
            _ => "lambda",
        };
        (key, numbers(&table, &format!("penalty_{key}"))[at].unwrap())
    };
    let row = |(at, kind): (usize, String)| {
        let (key, value) = strength(at, &kind);
        (kind, key.to_owned(), value)
    };
    kinds.into_iter().enumerate().map(row).collect()
}

fn place_k(table: &tables::Table, at: usize) -> f64 {
    match table.get("penalty_k") {
        Some(tables::Values::Whole(values)) => values[at].unwrap() as f64,
        other => panic!("k is a whole number: {other:?}"),
    }
}

/// Wrong if a target were missed, or if a searched run differed from the run with the found strength in its
/// file.
#[test]
fn every_penalty_reaches_its_target_and_the_run_is_that_of_the_strength_found() {
    let place = Place::with(ALL);
    // The possible cost is shown first.
    let listed = place.run(["list", "x.toml"]).exits(0).out;
    let cost =
        "4 to do with a target: each is a search of 2 to 17 trainings, at most 8 of them short";
    assert!(listed.contains(cost), "{listed}");
    let listed = place.run(["list", "x.toml", "--json"]).exits(0).json();
    let [least, most] = ["least_trainings", "most_trainings"]
        .map(|key| listed["searches"][key].as_f64().unwrap() / 4.0);
    assert_eq!((least, most), (2.0, 17.0));
    place.run(["x.toml"]).exits(0);
    assert!(!place.run(["list", "x.toml"]).exits(0).out.contains("target:"), "all are found");
    let found = place.table("found/runs");
    for trainings in numbers(&found, "search_trainings") {
        assert!((least..=most).contains(&trainings.unwrap()), "{trainings:?}");
    }
    for l0 in numbers(&found, "test_l0") {
        let l0 = l0.unwrap();
        assert!((l0 / 12.0 - 1.0).abs() <= 0.05, "{l0}");
    }
    assert_eq!(numbers(&found, "target_l0"), [Some(12.0); 4]);

    let mut sections = Vec::new();
    for (kind, key, value) in strengths(&place) {
        let more = match kind.as_str() {
            "kl" => ", rho = 0.05",
            "group-lasso" => ", group_size = 4",
            _ => "",
        };
        sections.push(format!("{{ kind = \"{kind}\", {key} = {value}{more} }}"));
    }
    let text = ALL.replace("[target]\nl0 = 12\n", "").replace("found", "given");
    let (before, rest) = text.split_once("penalty = [").unwrap();
    let (_, after) = rest.split_once("]\n").unwrap();
    let text = format!("{before}penalty = [{}]\n{after}", sections.join(", "));
    place.write("given.toml", text);
    place.run(["given.toml"]).exits(0);
    let given = place.table("given/runs");
    for metric in ["test_mse", "test_l0", "train_loss", "test_dead_fraction"] {
        assert_eq!(numbers(&found, metric), numbers(&given, metric), "{metric}");
    }
}

/// An experiment with a target and two ratios of two weights.
const TWO_WEIGHTS: &str = "name = \"found\"
seeds = [0, 1]

[dataset]
kind = \"digits\"

[architecture]
kind = \"dense\"
latents = 64

[train]
epochs = 8

[target]
l0 = 12

[grid]
penalty = [
    { kind = \"sparse-group-lasso\", group_size = 4 },
    { kind = \"sparse-group-lasso\", group_size = 4, lambda = 0.1, group_lambda = 0.05 },
]
";

/// Wrong if one of two weights stayed as it was while the other was searched, if seeds of one ratio, whose weights
/// differ by chance, were compared as settings of their own, or if `plugins` named one weight alone.
#[test]
fn two_weights_are_found_at_their_ratio() {
    let place = Place::with(TWO_WEIGHTS);
    place.run(["x.toml"]).exits(0);
    let table = place.table("found/runs");
    for l0 in numbers(&table, "test_l0") {
        assert!((l0.unwrap() / 12.0 - 1.0).abs() <= 0.05, "{l0:?}");
    }
    let of = |column: &str| -> Vec<f64> {
        numbers(&table, column).into_iter().map(Option::unwrap).collect()
    };
    let (first, second) = (of("penalty_lambda"), of("penalty_group_lambda"));
    let mut ratios: Vec<f64> = first.iter().zip(&second).map(|(one, other)| other / one).collect();
    ratios.sort_by(f64::total_cmp);
    // Where neither weight is written, both are the example's: 0.05 and 0.1.
    for (ratio, right) in ratios.iter().zip([0.5, 0.5, 2.0, 2.0]) {
        assert!((ratio / right - 1.0).abs() < 1e-9, "{ratios:?}");
    }
    assert!(first.iter().all(|lambda| *lambda != 0.05 && *lambda != 0.1), "{first:?}");

    let compared = place.run(["compare", "results/found", "--by", "penalty", "--json"]).exits(0);
    let compared = compared.json();
    let settings = compared["methods"][0]["settings"].as_array().unwrap();
    assert_eq!(settings.len(), 2, "{compared}");
    let compared = compared.to_string();
    assert!(compared.contains("group_lambda=2·lambda"), "{compared}");
    assert!(compared.contains("group_lambda=0.5·lambda"), "{compared}");

    let said = place.run(["plugins", "penalty", "sparse-group-lasso"]).exits(0);
    assert!(said.out.contains("Its strengths are `lambda` and `group_lambda`"), "{said}");
    let said = place.run(["plugins", "penalty", "l1"]).exits(0);
    assert!(said.out.contains("Its strength is `lambda`: "), "{said}");
}

/// Wrong if what was found were an axis of a picture over settings.
#[test]
fn found_strengths_are_no_axes() {
    let pair = |size: &str| format!("{{ kind = \"sparse-group-lasso\", group_size = {size}");
    let ratios = |size: &str| {
        format!("{} }}, {}, lambda = 0.1, group_lambda = 0.05 }},", pair(size), pair(size))
    };
    let (before, _) = TWO_WEIGHTS.split_once("penalty = [").unwrap();
    let text = format!("{before}penalty = [{} {}]\n", ratios("4"), ratios("8"));
    let text = text.replace("epochs = 8", "epochs = 2").replace("l0 = 12", "l0 = 30");
    let place = Place::with(&text);
    place.run(["x.toml"]).exits(0);
    place.run(["report", "results/found", "--figures", "figures"]).exits(0);
    let files = std::fs::read_dir(place.path("figures")).unwrap();
    let names: Vec<String> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().any(|name| name.starts_with("front-")), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("settings-")), "{names:?}");
}

/// Wrong if a ratio were made of a weight that is written and one that is not.
#[test]
fn one_weight_alone_names_the_other() {
    for (written, missing) in [("lambda", "group_lambda"), ("group_lambda", "lambda")] {
        let text =
            TWO_WEIGHTS.replace("group_size = 4 }", &format!("group_size = 4, {written} = 0.1 }}"));
        let place = Place::with(&text);
        let line = "x.toml:19:";
        let message = format!("penalty `sparse-group-lasso`: `{missing}` is missing");
        place.run(["x.toml"]).exits(2).complains([line, &message]);
        assert!(!place.has_results());
    }
}

/// Wrong if interruptions changed the result of a search.
#[test]
#[cfg(unix)]
fn a_search_that_is_killed_goes_on_and_finds_the_same() {
    let one = ALL.replace("epochs = 8", "epochs = 60") + "\n[run]\ncheckpoint = 0.01\n";
    let words = ["x.toml", "-j", "1"];
    let (quiet, killed) = (Place::with(&one), Place::with(&one));
    quiet.run(words).exits(0);
    for wait in [250, 450, 650, 850] {
        let running = Group::start(&killed, &words);
        std::thread::sleep(Duration::from_millis(wait));
        // The command and its worker.
        signal("KILL", -i64::from(running.child.id()));
        running.code();
    }
    let said = killed.run(words).exits(0);
    assert!(!said.err.contains("warning"), "{said}");
    let Some(tables::Values::Whole(attempts)) = killed.table("found/runs").get("attempt").cloned()
    else {
        panic!("attempts are counted")
    };
    assert!(attempts.iter().flatten().any(|attempt| *attempt > 1), "no run was killed");
    for table in ["found/runs", "found/history", "found/latents"] {
        assert_same(&quiet.table(table), &killed.table(table));
    }
}

/// Wrong if a target out of reach went unmentioned, or if its nearest run were lost.
#[test]
fn a_target_out_of_reach_is_recorded_with_the_nearest() {
    let place = Place::with(&ALL.replace("l0 = 12", "l0 = 63.9\ntolerance = 0.001"));
    place.run(["x.toml"]).exits(100);
    let table = place.table("found/runs");
    let status = texts(&table, "status");
    assert!(status.iter().any(|status| status == "unreached"), "{status:?}");
    let at = status.iter().position(|status| status == "unreached").unwrap();
    let reason = &texts(&table, "reason")[at];
    let l0 = numbers(&table, "test_l0")[at].expect("the nearest run is stored");
    assert!(reason.contains(&format!("the nearest is {l0:.4}")), "{reason}");
}

/// Wrong if a failed search did not name the strength.
#[test]
fn a_search_that_diverges_says_where() {
    let text = ALL.replace("epochs = 8", "epochs = 8\noptimizer = { kind = \"sgd\", lr = 1e6 }");
    let place = Place::with(&text);
    place.run(["x.toml"]).exits(100);
    let table = place.table("found/runs");
    let reasons = texts(&table, "reason");
    assert!(reasons[0].contains("(training 1 of its search, with lambda = 0.1)"), "{reasons:?}");
    let text =
        TWO_WEIGHTS.replace("epochs = 8", "epochs = 8\noptimizer = { kind = \"sgd\", lr = 1e6 }");
    let place = Place::with(&text);
    place.run(["x.toml"]).exits(100);
    let reasons = texts(&place.table("found/runs"), "reason");
    let both = "(training 1 of its search, with lambda = 0.1 and group_lambda = 0.05)";
    assert!(reasons.iter().any(|reason| reason.contains(both)), "{reasons:?}");
}

/// Wrong if a later evaluation measured the penalty at the start of the search.
#[test]
fn a_later_evaluation_measures_the_model_that_was_found() {
    let text = ALL.replace("[target]", "[evaluate]\nkinds = [KINDS]\n\n[target]");
    let few = text.replace("KINDS", "\"reconstruction\", \"sparsity\"");
    let all = text.replace("KINDS", "\"reconstruction\", \"sparsity\", \"probe\"");
    let (later, once) = (Place::with(&few), Place::with(&all));
    later.run(["x.toml"]).exits(0);
    later.write("x.toml", &all);
    later.run(["x.toml"]).exits(0);
    once.run(["x.toml"]).exits(0);
    let accuracy = |place: &Place| numbers(&place.table("found/runs"), "test_probe_accuracy");
    assert!(accuracy(&once).iter().all(Option::is_some));
    assert_eq!(accuracy(&later), accuracy(&once));
}

/// Wrong if an impossible target were found out only after training.
#[test]
fn what_cannot_be_searched_for_is_refused_at_its_place() {
    let refused = |text: &str, message: &str| {
        let place = Place::with(text);
        place.run(["x.toml"]).exits(2).complains([message]);
        assert!(!place.has_results());
    };
    let none = ALL.replace("{ kind = \"l1\" }", "{ kind = \"none\" }");
    refused(&none, "penalty `none` has no strength that could lead to a target");
    refused(&ALL.replace("l0 = 12", "l0 = 65"), "of 64 latents, 65 cannot be active");
    let none = "target: one of `l0`, `share`, `mean_activation` is missing";
    refused(&ALL.replace("l0 = 12", "tolerance = 0.1"), none);
    refused(&ALL.replace("l0 = 12", "l0 = 0"), "expected a number greater than 0");
    let zero = ALL.replace("{ kind = \"l1\" }", "{ kind = \"l1\", lambda = 0 }");
    refused(&zero, "starts at a strength greater than 0");
    let axis = "name = \"found\"\n[dataset]\nkind = \"digits\"\n[architecture]\nkind = \"dense\"\nlatents = 64\n[penalty]\nkind = \"l1\"\n[target]\nl0 = 9\n[grid]\n\"penalty.lambda\" = [0.1, 0.2]\n";
    refused(axis, "varies what the target has the program find");
    let halved = format!("{ALL}\n[run]\nhalving = {{ metric = \"test_mse\" }}\n");
    refused(&halved, "cannot be halved too");
    let mixed = ALL.replace("[target]\nl0 = 12\n", "").replace(
        "[[grid.zip]]",
        "[[grid.when]]\nif = { penalty.kind = \"l1\" }\n\"target.l0\" = [12]\n\n[[grid.zip]]",
    );
    refused(&mixed, "`beta` is missing");
}

/// Wrong if a share were another search than that of the L0 it stands for.
#[test]
fn a_share_is_the_l0_of_that_many_latents() {
    let (by_l0, by_share) =
        (Place::with(ALL), Place::with(&ALL.replace("l0 = 12", "share = 0.1875")));
    for place in [&by_l0, &by_share] {
        place.run(["x.toml"]).exits(0);
    }
    let (one, other) = (by_l0.table("found/runs"), by_share.table("found/runs"));
    assert_ne!(texts(&one, "run_id"), texts(&other, "run_id"));
    assert_eq!(strengths(&by_l0), strengths(&by_share));
    for metric in ["test_mse", "test_l0", "train_loss", "search_trainings"] {
        assert_eq!(numbers(&one, metric), numbers(&other, metric), "{metric}");
    }
    assert_eq!(numbers(&other, "target_share"), [Some(0.1875); 4]);
    assert!(other.get("target_l0").is_none() && one.get("target_share").is_none());
}

/// An experiment with two mean activations, for penalties of each kind of strength.
const MEANS: &str = "name = \"found\"

[dataset]
kind = \"digits\"

[architecture]
kind = \"dense\"
latents = 64

[train]
epochs = 60

[grid]
\"target.mean_activation\" = [0.08, 0.2]

[[grid.zip]]
penalty = [
    { kind = \"l1\" },
    { kind = \"kl\", rho = 0.08 },
    { kind = \"kl\", rho = 0.02 },
    { kind = \"k-sparse\" },
]
\"architecture.activation\" = [\"relu\", \"sigmoid\", \"sigmoid\", \"sigmoid\"]
";

/// Wrong if another mean than that of the results were searched for, or if it were not shown.
#[test]
fn a_mean_activation_is_reached_by_every_kind_of_strength() {
    let place = Place::with(MEANS);
    let listed = place.run(["list", "x.toml"]).exits(0);
    assert!(listed.out.contains("target.mean_activation"), "{listed}");
    let said = place.run(["x.toml", "--progress", "line"]).exits(0);
    assert!(said.err.contains("mean_activation=0.08"), "{said}");
    assert!(said.err.contains(", mean activation 0.0"), "{said}");
    for words in [
        "mean_activation=0.08 lambda≈",
        "mean_activation=0.2 k=",
        "mean_activation=0.2 rho=0.02 beta≈",
    ] {
        assert!(said.out.contains(words), "{words}: {said}");
    }
    assert_eq!(
        said.out.matches("(found)").count(),
        2 * 8,
        "in the table and beside curves: {said}"
    );
    let found = place.table("found/runs");
    let wanted = numbers(&found, "target_mean_activation");
    assert_eq!(wanted.len(), 8);
    for (mean, wanted) in numbers(&found, "test_mean_activation").into_iter().zip(wanted) {
        let (mean, wanted) = (mean.unwrap(), wanted.unwrap());
        assert!((mean / wanted - 1.0).abs() <= 0.05, "{mean} for {wanted}");
    }
}

/// Wrong if a search for a mean that KL pulls away from went unmentioned, or did not say what rho has to do with
/// it.
#[test]
fn a_mean_activation_beyond_rho_is_unreached_and_rho_is_named() {
    let text = MEANS.replace("[0.08, 0.2]", "[0.05, 0.08]").replace("rho = 0.08", "rho = 0.1");
    let text = text.replace("{ kind = \"l1\" }", "{ kind = \"kl\", rho = 0.04 }");
    let text = text.replace("    { kind = \"k-sparse\" },\n", "").replace("[\"relu\", ", "[");
    let place = Place::with(&text);
    place.run(["x.toml"]).exits(100);
    let table = place.table("found/runs");
    let status = texts(&table, "status");
    assert_eq!(status, ["done", "unreached", "done", "done", "unreached", "done"]);
    let reason = &texts(&table, "reason")[1];
    assert!(reason.contains("no beta with a test mean activation within 5 % of 0.05"), "{reason}");
    assert!(reason.contains("; more beta pulls it to rho = 0.1, and not beyond"), "{reason}");
    let shown = place.run(["status", "results/found"]).out;
    assert!(shown.contains("more beta pulls it to rho = 0.1"), "{shown}");
    let mean = numbers(&table, "test_mean_activation")[1].expect("the nearest run is stored");
    assert!(reason.contains(&format!("the nearest is {}", (mean * 1e6).round() / 1e6)), "{reason}");
}

/// Wrong if only the program's own penalties could be brought to a target: this one has parameters of its
/// own, which short trainings pass on to one another.
#[test]
fn a_penalty_of_another_crate_reaches_its_target() {
    let text = "name = \"found\"\n[dataset]\nkind = \"digits\"\n[architecture]\nkind = \"dense\"\n\
                latents = 48\n[penalty]\nkind = \"soft-threshold\"\n[train]\nepochs = 10\n[target]\nl0 = 9\n";
    let place = Place::with(text);
    place.run_outside(["x.toml"]).exits(0);
    let l0 = numbers(&place.table("found/runs"), "test_l0")[0].unwrap();
    assert!((l0 / 9.0 - 1.0).abs() <= 0.05, "{l0}");
}
