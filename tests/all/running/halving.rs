//! `[run] halving`: bad runs are stopped, the same ones whatever workers do and whatever happens. Runs that
//! are allowed again resume as if they had never been stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use framework::plugin::EVALUATIONS;
use framework::spec::{Experiment, RunSpec};
use framework::train::{Ended, Progress, train};

use crate::support::group::{Group, children, is_alive, signal};
use crate::support::models::{data, runs};
use crate::support::program::{HELD, Place, assert_same, lasting, numbers, texts};
use crate::support::under_way::wait_until;

/// Nine learning rates, of which larger ones are better, with three seeds. Each run has 90 steps, with rungs
/// after 10 and 30.
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

/// Wrong if halving kept others than the best runs, or recorded too little about the stopped ones.
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
    // Only its checkpoint tells that a run can resume.
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

    // Stopped runs resume when they are allowed again: by less halving, or by none.
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

/// Wrong if an evaluation declared metrics that it does not find, or found metrics that it does not declare.
#[test]
fn evaluations_find_what_they_say() {
    const DATASETS: [&str; 2] = [
        "kind = \"sparse-dictionary\"\ninputs = 6\nfeatures = 8\nactive = 2\ntrain = 40\ntest = 20",
        "kind = \"digits\"",
    ];
    for (plugin, name) in
        EVALUATIONS.iter().flat_map(|plugin| [(plugin, ""), (plugin, "name = \"other\"")])
    {
        let of = |dataset: &str| {
            runs(&format!(
                "name = \"x\"\n[dataset]\n{dataset}\n[architecture]\nkind = \"dense\"\nlatents = 4\n\
                 [train]\nsteps = 1\n[[evaluate.kinds]]\nkind = \"{}\"\n{name}\n{}\n",
                plugin.name, plugin.example
            ))
        };
        let fits = |(experiment, runs): &(Experiment, Vec<RunSpec>)| {
            let mut evaluations = experiment.evaluate.evaluations.iter();
            evaluations.all(|one| one.plugin().fits(&*data(&runs[0])).is_ok())
        };
        let fitting = DATASETS.into_iter().map(of).find(fits);
        let (experiment, runs) = fitting.unwrap_or_else(|| panic!("{} fits no data", plugin.name));
        let evaluations = experiment.evaluate.evaluations.iter();
        let said = evaluations.flat_map(|one| one.metrics()).map(|(name, _)| name);
        let said: Vec<String> = said.collect();
        let mut watch = |_: &Progress| {};
        let ended = train(&runs[0], &*data(&runs[0]), &experiment.evaluate, None, &mut watch);
        let Ended::Done(trained) = ended else { panic!("{} cannot be measured", plugin.name) };
        // Metrics that are not always there are declared where they are found.
        let measured = &trained.measured;
        let names = measured.metrics.iter().map(|metric| metric.name.clone());
        let found: Vec<String> =
            names.filter(|name| !measured.declared.contains_key(name)).collect();
        assert_eq!(said, found, "{}", plugin.name);
    }
}

/// Wrong if the stopped runs depended on the number of workers, on two commands at once, or on kills.
#[test]
#[cfg(target_os = "linux")]
fn who_goes_on_does_not_depend_on_workers_or_interruptions() {
    let text = GRID.replace("[run]", "[run]\ncheckpoint = 0.01").replace("= 90", "= 2700");
    let oracle = Place::with(&text);
    oracle.run(["x.toml", "-j", "1"]).exits(0);

    let place = Place::with(&text);
    let mut commands = ["2", "3"].map(|jobs| {
        let mut command = place.command(["x.toml", "-j", jobs]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    });
    for command in &mut commands {
        assert_eq!(command.wait().unwrap().code(), Some(0));
    }
    assert_equal(&place, &oracle);

    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    eprintln!("kills by seed {seed}");
    let mut state = seed;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % below
    };
    let (place, mut kills) = (Place::with(&text), 0);
    loop {
        let mut running = Group::start(&place, &["x.toml", "-j", "2"]);
        std::thread::sleep(Duration::from_millis(60 + random(300)));
        if kills == 20 || running.child.try_wait().unwrap().is_some() {
            assert_eq!(running.code(), Some(0), "seed {seed}: {}", place.read("said.txt"));
            break;
        }
        kills += 1;
        let workers = children(running.child.id());
        let _ = running.child.kill();
        running.child.wait().unwrap();
        wait_until("workers end with their controller", || {
            !workers.iter().any(|pid| is_alive(*pid))
        });
    }
    eprintln!("{kills} kills");
    assert_equal(&place, &oracle);
    assert!(place.path("results/grid/work").read_dir().unwrap().next().is_none());
}

/// Another worker replaces one that is lost at its run, where the run may be retried, and nobody waits for
/// ever.
#[test]
#[cfg(target_os = "linux")]
fn a_worker_that_is_lost_while_others_wait_for_its_run_is_replaced() {
    let slow = GRID.replace("steps = 90", "steps = 900").replace("[0, 1, 2]", "[0]") + HELD;
    let slow = slow
        .replace("[1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3]", "[1e-5, 1e-4, 1e-3]");
    let oracle = Place::with(&slow);
    oracle.run(["x.toml", "-j", "2"]).exits(0);
    for (retries, code) in [(1, 0), (0, 100)] {
        let text = slow.replace("[run]", &format!("[run]\nretries = {retries}"));
        let place = Place::with(&text);
        place.hold();
        let running = Group::start(&place, &["x.toml", "-j", "1"]);
        running.wait_for("progress");
        for pid in children(running.child.id()) {
            signal("KILL", i64::from(pid));
        }
        place.let_go();
        assert_eq!(running.code(), Some(code), "{}", place.read("said.txt"));
        if retries == 0 {
            // Its rung was decided without it. The next command brings it there.
            let ends = ends(&place);
            let count = |word: &str| ends.values().filter(|(status, _)| status == word).count();
            assert_eq!((count("killed"), count("done")), (1, 1), "{ends:?}");
            place.run(["x.toml"]).exits(0);
        } else {
            assert_equal(&place, &oracle);
        }
    }
}

/// Wrong if runs were compared across values that `within` names, or if a failed run made others wait or took
/// the place of one that can continue.
#[test]
fn groups_are_compared_apart_and_what_failed_comes_last() {
    let text = GRID
        .replace(
            "\"test_mse\" }",
            "\"test_explained_variance\", within = [\"train.optimizer.lr\"] }",
        )
        .replace("[1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3]", "[1e-8, 1e-3, 1e6]");
    let place = Place::with(&text);
    place.run(["x.toml"]).exits(100);
    let runs = place.table("grid/runs");
    let rates = numbers(&runs, "train_optimizer_lr");
    let statuses = texts(&runs, "status");
    for (rate, right) in [(1e-8, ["done", "stopped", "stopped"]), (1e6, ["diverged"; 3])] {
        let found = statuses.iter().zip(&rates).filter(|(_, found)| **found == Some(rate));
        let mut found: Vec<&str> = found.map(|(status, _)| status.as_str()).collect();
        found.sort_unstable();
        assert_eq!(found, right);
    }
    // Together, three of the nine runs would continue, then one; diverged runs come last.
    let place = Place::with(&text.replace(", within = [\"train.optimizer.lr\"]", ""));
    place.run(["x.toml"]).exits(100);
    let ends = ends(&place);
    let count = |word: &str| ends.values().filter(|(status, _)| status == word).count();
    assert_eq!((count("done"), count("stopped"), count("diverged")), (1, 5, 3), "{ends:?}");
    assert!(ends.values().any(|(_, reason)| reason.contains("of 9 by test_explained_variance (")));
    // By seed: each seed has its own best.
    let place = Place::with(&GRID.replace("\"test_mse\" }", "\"test_mse\", within = [\"seed\"] }"));
    place.run(["x.toml"]).exits(0);
    let runs = place.table("grid/runs");
    let rows = texts(&runs, "status").into_iter().zip(numbers(&runs, "seed"));
    let done: BTreeSet<String> =
        rows.filter(|(status, _)| status == "done").map(|(_, seed)| format!("{seed:?}")).collect();
    assert_eq!(done.len(), 3);
}

/// Wrong if a grid that grows ended otherwise than one that was whole from the start, except for runs done
/// before.
#[test]
fn runs_that_are_added_are_compared_with_those_that_were_there() {
    let oracle = Place::with(GRID);
    oracle.run(["x.toml"]).exits(0);
    let rates =
        |rates: &str| GRID.replace("[1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3]", rates);
    // One of the best nine goes to its end; of all 27, three do.
    let place = Place::with(&rates("[5e-4, 1e-3, 2e-3]"));
    place.run(["x.toml"]).exits(0);
    place.write("x.toml", GRID);
    place.run(["x.toml"]).exits(0);
    for table in TABLES {
        let table = format!("grid/{table}");
        assert_same(&place.table(&table), &oracle.table(&table));
    }
    // What was done by less stays done.
    let place = Place::with(&rates("[1e-8, 1e-7, 1e-6]"));
    place.run(["x.toml"]).exits(0);
    let before = ends(&place);
    place.write("x.toml", GRID);
    place.run(["x.toml"]).exits(0);
    let right = ends(&oracle);
    for (id, (status, _)) in ends(&place) {
        let was_done = before.get(&id).is_some_and(|(status, _)| status == "done");
        assert!(status == right[&id].0 || was_done, "{id} is {status}");
    }
}

/// Wrong if `status` and `list` mixed up waiting and interrupted runs, or if old measurements judged a run
/// that was put aside.
#[test]
#[cfg(unix)]
fn runs_that_wait_say_so_and_what_is_run_again_is_measured_again() {
    let place = Place::with(&GRID.replace("steps = 90", "steps = 9000"));
    let running = Group::start(&place, &["x.toml", "-j", "1"]);
    let waits = running.wait_for("paused");
    assert_eq!(waits["step"], 1000);
    signal("INT", i64::from(running.child.id()));
    assert_eq!(running.code(), Some(130));
    let status = place.run(["status", "results/grid"]).exits(5);
    assert!(
        status.out.contains("waiting") && status.out.contains("at rung 1 of 2, step 1000"),
        "{status}"
    );
    assert!(!status.out.contains("stopped"), "{status}");
    let listed = place.run(["list", "x.toml"]).exits(0);
    assert!(listed.out.contains("waiting"), "{listed}");

    let place = Place::with(GRID);
    place.run(["x.toml"]).exits(0);
    let before = ends(&place);
    place.run(["x.toml", "--rerun", "all"]).exits(0).complains(["27 of 27 runs to do"]);
    assert_eq!(ends(&place), before);
    let stopped = before.iter().find(|(_, (status, _))| status == "stopped").unwrap().0;
    place.run(["x.toml", "--rerun", stopped]).exits(0);
    assert_eq!(ends(&place), before);
    let replaced = fs::read_dir(place.path("results/grid/replaced")).unwrap();
    let names = replaced.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.into_iter().any(|name| name.starts_with(&format!("{stopped}.rung-"))));
}

/// Runs from before halving take no part: done runs, and runs past the rung.
#[test]
#[cfg(unix)]
fn runs_from_before_take_no_part() {
    let text = GRID
        .replace("[0, 1, 2]", "[0]")
        .replace("steps = 90", "steps = 20_000")
        .replace("\"test_mse\" }", "\"test_mse\", first = 0.1, eta = 100 }")
        .replace(
            "[1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3]",
            "[1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 2e-4, 5e-4]",
        );
    let halving = "halving = { metric = \"test_mse\", first = 0.1, eta = 100 }\n";
    assert!(text.contains(halving));
    let place = Place::with(&text.replace(halving, ""));
    let running = Group::start(&place, &["x.toml", "-j", "1"]);
    let first = running.wait_for("finished")["run"].clone();
    wait_until("the second run is past the rung", || {
        let events = place.read("events.json");
        let mut events = events.lines().filter_map(|line| serde_json::from_str(line).ok());
        events.any(|event: serde_json::Value| {
            event["run"] != first && event["step"].as_u64() > Some(2000)
        })
    });
    signal("INT", i64::from(running.child.id()));
    assert_eq!(running.code(), Some(130));
    // The speed of the machine decides which runs these are.
    let status = place.run(["status", "results/grid", "--json"]).exits(5).json();
    let is_past = |run: &serde_json::Value| {
        run["status"] == "done" || run["attempt"]["checkpoint"].as_u64() > Some(2000)
    };
    let past = status["runs"].as_array().unwrap().iter().filter(|run| is_past(run)).count();
    assert!((2..6).contains(&past), "{status}");
    place.write("x.toml", &text);
    place.run(["x.toml"]).exits(0);
    let runs = place.table("grid/runs");
    let (statuses, reasons) = (texts(&runs, "status"), texts(&runs, "reason"));
    for (at, status) in statuses.iter().enumerate() {
        let goes_on = at < past || at == 6;
        assert_eq!(status == "done", goes_on, "{statuses:?}, of which {past} were past");
    }
    let place = format!("rung 1 of 1, at step 2000: place {} of {0} by test_mse", 7 - past);
    assert!(reasons[past].contains(&place), "{reasons:?}");
}

/// The shortest possible runs: one step, and a comparison before it.
#[test]
fn runs_of_a_single_step_are_compared_before_it() {
    let place = Place::with(&GRID.replace("steps = 90", "steps = 1").replace("every = 30", ""));
    place.run(["x.toml"]).exits(0);
    let ends = ends(&place);
    let stopped = ends
        .values()
        .filter(|(status, reason)| status == "stopped" && reason.contains("at step 0: place "));
    assert_eq!(stopped.count(), 24, "{ends:?}");
}
