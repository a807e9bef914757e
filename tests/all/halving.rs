//! `[run] halving`: runs that do badly are stopped, the same ones whoever works on them and whatever
//! happens, and go on as if they had never been stopped when they are not to be any more.

use std::collections::BTreeMap;
use std::fs;

use crate::program::{Place, assert_same, lasting, numbers, texts};

/// Nine learning rates, of which the larger ones are the better ones, with three seeds. Each run has 90
/// steps, so rungs stand after 10 and 30.
const GRID: &str = "name = \"grid\"
seeds = [0, 1, 2]

[dataset]
kind = \"digits\"

[architecture]
kind = \"dense\"
latents = 16

[train]
steps = 90
optimizer = { kind = \"sgd\" }

[evaluate]
every = 30

[run]
halving = { metric = \"test_mse\" }

[grid]
\"train.optimizer.lr\" = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3]
";

const TABLES: [&str; 3] = ["runs", "history", "latents"];

/// The same without halving.
fn without() -> String {
    GRID.replace("halving = { metric = \"test_mse\" }\n", "")
}

/// The status and the reason of each run, by its id.
fn ends(place: &Place) -> BTreeMap<String, (String, String)> {
    let runs = place.table("grid/runs");
    let ends = texts(&runs, "status").into_iter().zip(texts(&runs, "reason"));
    texts(&runs, "run_id").into_iter().zip(ends).collect()
}

#[track_caller]
fn assert_equal(place: &Place, oracle: &Place) {
    assert_eq!(ends(place), ends(oracle));
    for table in TABLES {
        let table = format!("grid/{table}");
        assert_same(&place.table(&table), &oracle.table(&table));
    }
}

/// Wrong if halving kept others than the best, or told less of those it stopped.
#[test]
fn the_best_go_on_and_the_others_are_recorded_as_stopped() {
    let place = Place::with(GRID);
    let said = place.run(["x.toml", "-j", "2"]).exits(0);
    assert!(said.out.contains("Not done: 24 stopped"), "{said}");
    let runs = place.table("grid/runs");
    let (statuses, reasons) = (texts(&runs, "status"), texts(&runs, "reason"));
    let rates = numbers(&runs, "train_optimizer_lr");
    for (status, rate) in statuses.iter().zip(&rates) {
        assert_eq!(status == "done", *rate == Some(2e-3), "{rate:?} is {status}");
    }
    let at = |text: &str| reasons.iter().filter(|reason| reason.contains(text)).count();
    assert_eq!(at("rung 1 of 2, at step 10: place "), 18);
    assert_eq!(at("rung 2 of 2, at step 30: place "), 6);
    assert_eq!(at(" of 27 by test_mse (0."), 18);
    assert_eq!(at("; the first 3 go on"), 6);
    assert!(numbers(&runs, "test_mse").iter().all(Option::is_some), "what was measured is told");
    assert_eq!(place.table("grid/latents").rows(), 3 * 16, "of those that are done");

    place.run(["x.toml"]).exits(0).complains(["nothing to do"]);
    place.run(["x.toml", "--rerun", "failed"]).exits(0).complains(["nothing to do"]);
    let status = place.run(["status", "results/grid"]).exits(0);
    assert!(status.out.contains("27 runs: 3 done, 24 stopped"), "{status}");
    let listed = place.run(["list", "x.toml", "--json"]).exits(0).json();
    assert_eq!(listed["runs"][0]["status"], "stopped");
    // Only its checkpoint tells that a run can be gone on with.
    let ids = texts(&runs, "run_id");
    let files = fs::read_dir(place.path(format!("results/grid/runs/{}", ids[0]))).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    assert!(names.into_iter().any(|name| name == "checkpoint-10"));
}

/// Wrong if a run that was compared on its way ended with other results than one that was not.
#[test]
fn runs_that_go_on_end_as_if_they_had_not_been_compared() {
    let (place, oracle) = (Place::with(GRID), Place::with(&without()));
    place.run(["x.toml"]).exits(0);
    oracle.run(["x.toml"]).exits(0);
    let (runs, all) = (place.table("grid/runs"), oracle.table("grid/runs"));
    let (found, right) = (lasting(&runs), lasting(&all));
    for (row, status) in texts(&runs, "status").iter().enumerate() {
        if status == "done" {
            for (column, values) in &found {
                assert_eq!(values[row], right[column][row], "{column}");
            }
        }
    }

    // What was stopped goes on when it is not to be stopped any more: by halving less, or not at all.
    let less = GRID.replace("\"test_mse\" }", "\"test_mse\", eta = 1.5, first = 0.111 }");
    place.write("x.toml", &less);
    place.run(["x.toml"]).exits(0);
    let done = texts(&place.table("grid/runs"), "status").iter().filter(|s| *s == "done").count();
    assert!((4..27).contains(&done), "{done}");
    place.write("x.toml", without());
    place.run(["x.toml"]).exits(0);
    assert_equal(&place, &oracle);
    assert!(place.path("results/grid/work").read_dir().unwrap().next().is_none());
}
