//! `status` and `watch`: the state of a grid, from its folder alone.

#[cfg(target_os = "linux")]
use std::process::{Child, Stdio};

use serde_json::Value as Json;

use crate::support::program::{Place, TINY};
#[cfg(target_os = "linux")]
use crate::support::program::{Said, with};
#[cfg(target_os = "linux")]
use crate::support::under_way::{Running, send, wait_until};

/// Wrong if a large grid that failed filled the screen, or if its last runs could not be shown.
#[test]
fn a_list_of_runs_that_diverged_is_short_unless_all_are_asked_for() {
    let seeds: Vec<String> = (0..25).map(|seed| seed.to_string()).collect();
    let place = Place::with(&format!("seeds = [{}]\n{TINY}", seeds.join(", ")));
    place.run(["x.toml", "--set", "train.optimizer.lr=1e30"]).exits(100);
    let said = place.run(["status", "results/tiny"]).exits(100);
    let rows = |said: &str| said.lines().filter(|line| line.contains("| diverged |")).count();
    assert_eq!(rows(&said.out), 20, "{said}");
    assert!(said.out.contains("… and 5 more; `--all` lists them"), "{said}");
    let said = place.run(["status", "results/tiny", "--all"]).exits(100);
    assert!(rows(&said.out) == 25 && !said.out.contains("lists them"), "{said}");
    let listed = place.run(["status", "results/tiny", "--json"]).exits(100).json();
    assert_eq!(listed["runs"].as_array().map(Vec::len), Some(25));
}

/// Wrong if results were shown only when all runs have ended, or only from tables.
#[test]
fn what_settings_came_to_is_shown_before_all_have_ended_and_without_tables() {
    let text = format!("seeds = [0, 1]\n{TINY}[grid]\n\"penalty.lambda\" = [0.1, 0.3, 1]\n");
    let place = Place::with(&text);
    place.run(["x.toml"]).exits(0);
    let ids = place.run(["list", "x.toml", "--json"]).exits(0).json();
    let last = ids["runs"][5]["run_id"].as_str().unwrap();
    std::fs::remove_dir_all(place.path("results/tiny/runs").join(last)).unwrap();
    for table in ["runs", "history", "latents"] {
        std::fs::remove_file(place.path(format!("results/tiny/{table}.parquet"))).unwrap();
    }
    let said = place.run(["status", "results/tiny"]).exits(5);
    assert!(said.out.starts_with("tiny: 6 runs: 5 done, 1 new\n"), "{said}");
    assert!(said.out.contains("5 runs that are done, 3 settings"), "{said}");
    for setting in ["lambda=0.1", "lambda=0.3", "lambda=1"] {
        assert!(said.out.contains(&format!("| l1     | {setting} ")), "{said}");
    }
    assert!(!place.path("results/tiny/runs.parquet").exists(), "status writes nothing");
}

#[cfg(target_os = "linux")]
fn watch(place: &Place, folder: &str) -> Child {
    let mut command = place.command(["watch", folder, "--interval", "100ms"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Wrong if the progress of a run were invisible, if watching changed the results, or if `watch` did not end
/// by itself, with the exit code of `status`.
#[test]
#[cfg(target_os = "linux")]
fn a_grid_is_followed_to_its_end_and_without_harm() {
    let steps = "steps = 100000000\n[evaluate]\nevery = 100000000\n[run]\ntimeout = \"12s\"";
    let place = Place::with(&with(steps).replace("epochs = 1\n", ""));
    let running = Running::start(&place, place.command(["x.toml", "-j", "1"]));
    running.wait_for("started", 1);
    let (one, other) = (watch(&place, "results/tiny"), watch(&place, "results/tiny"));
    let progress = || {
        let listed = place.run(["status", "results/tiny", "--json"]).exits(5).json();
        listed["runs"][0]["attempt"]["progress"]["step"].as_u64()
    };
    wait_until("a step is noted", || progress().is_some());
    let said = place.run(["status", "results/tiny"]).exits(5);
    assert!(said.out.contains(" of 100000000 (0 %)") && said.out.contains("(process "), "{said}");
    send("INT", one.id());
    assert_eq!(one.wait_with_output().unwrap().status.code(), Some(130));
    assert!(progress().is_some(), "the run goes on");

    running.end().exits(100);
    let said = Said::from(other.wait_with_output().unwrap()).exits(100);
    assert!(said.out.starts_with("tiny: 1 runs: 1 running\n"), "{said}");
    assert!(said.out.contains("tiny: 1 runs: 1 timeout\n| run "), "{said}");
    let id = &place.run_ids("tiny")[0];
    let left: Vec<_> = std::fs::read_dir(place.path(format!("results/tiny/runs/{id}")))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(left.iter().all(|name| name != "progress.json"), "a note is left: {left:?}");
}

/// Wrong if `watch` waited for a finished grid, or did not end when its reader goes away.
#[test]
#[cfg(target_os = "linux")]
fn what_has_ended_is_shown_at_once_and_a_reader_may_go_away() {
    let place = Place::with(&format!("seeds = [0, 1]\n{TINY}"));
    place.run(["x.toml"]).exits(0);
    let said = place.run(["watch", "results/tiny"]).exits(0);
    assert_eq!(said.out, "tiny: 2 runs: 2 done\n");
    place.run(["watch", "results/tiny", "--interval", "0s"]).exits(2);
    place.run(["watch", "nowhere"]).exits(74);

    let id = &place.run_ids("tiny")[1];
    std::fs::remove_dir_all(place.path("results/tiny/runs").join(id)).unwrap();
    let mut child = watch(&place, "results/tiny");
    drop(child.stdout.take());
    place.run(["x.toml"]).exits(0);
    // It may have tried to show the run under way.
    let code = child.wait().unwrap().code();
    assert!(code == Some(0) || code == Some(5), "{code:?}");
}

/// Scripts rely on the JSON document.
#[test]
fn the_document_of_a_status_is_whole() {
    let place = Place::with(TINY);
    place.run(["x.toml"]).exits(0);
    let listed = place.run(["status", "results/tiny", "--json"]).exits(0).json();
    let run = &listed["runs"][0];
    assert_eq!((&run["status"], &run["reason"]), (&"done".into(), &Json::Null));
    assert_eq!(run["attempt"], Json::Null);
}
