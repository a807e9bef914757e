//! `worker`, of which a cluster starts many: it works on a folder without the experiment file, beside others,
//! and ends when no run is left to claim.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use framework::spec::Experiment;
use serde_json::json;
use store::Folder;

use crate::support::program::{HELD, Place, Said, assert_same, texts, with};
use crate::support::under_way::{Running, checkpoints, wait_until, within};

/// Three runs, each of 20 seconds while they are held.
fn slow() -> String {
    format!(
        "name = \"slow\"\nseeds = [0, 1, 2]\n[dataset]\nkind = \"digits\"\n[architecture]\n\
         kind = \"dense\"\nlatents = 16\n[train]\nsteps = 1000\n[evaluate]\nevery = 400\n{HELD}"
    )
}

const TABLES: [&str; 3] = ["slow/runs", "slow/history", "slow/latents"];

/// A place with the folder of an experiment in which nothing ran, and without its file.
fn opened(text: &str) -> Place {
    let place = Place::with(text);
    let file = place.path("x.toml");
    let experiment = Experiment::read(&file, &[]).unwrap();
    let folder = Folder::at(place.path("results").join(&experiment.name));
    folder.open_for(&experiment, &file, &[]).unwrap();
    fs::remove_file(file).unwrap();
    place
}

fn worker(place: &Place, more: &[&str]) -> Command {
    place.command(["worker", "results/slow"].iter().chain(more))
}

/// State of an unfinished grid.
fn status(place: &Place) -> String {
    place.run(["status", "results/slow"]).exits(5).out
}

/// The same grid, run by one command.
fn oracle(text: &str) -> Place {
    let place = Place::with(text);
    place.run(["x.toml"]).exits(0);
    place
}

/// Wrong if workers did runs twice, left some, gave other results than one command, waited with nothing left
/// to claim, or left no tables.
#[test]
fn workers_share_a_folder_and_end_when_nothing_is_left_to_claim() {
    let (place, oracle) = (opened(&slow()), oracle(&slow()));
    place.hold();
    let one = Running::start(&place, worker(&place, &["--jobs", "1", "--progress", "none"]));
    one.wait_for("progress", 1);
    // This one is not held, because it starts elsewhere.
    let mut two = place.command(["worker", "slow", "--jobs", "2", "--threads", "1"]);
    let two = Said::from(two.current_dir(place.path("results")).output().unwrap()).exits(0);
    assert!(two.err.contains("2 runs have ended in this worker"), "{two}");
    place.let_go();
    one.end().exits(0);
    TABLES.iter().for_each(|table| assert_same(&place.table(table), &oracle.table(table)));
    assert_eq!(place.table("slow/runs").get("attempt").unwrap().texts(), vec![Some("1".into()); 3]);
    let started = Instant::now();
    let idle = place.run(["worker", "results/slow"]).exits(0);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(idle.err.contains("nothing to do: all 3 runs have ended"), "{idle}");
}

/// Wrong if a command and a worker could not share a folder, or if the command ended before all was done.
#[test]
fn a_command_joins_workers() {
    let oracle = oracle(&slow());
    let place = opened(&slow());
    place.write("x.toml", slow());
    place.hold();
    let one = Running::start(&place, worker(&place, &["--jobs", "1"]));
    one.wait_for("progress", 1);
    place.let_go();
    place.run(["x.toml", "-j", "1"]).exits(0);
    one.end().exits(0);
    TABLES.iter().for_each(|table| assert_same(&place.table(table), &oracle.table(table)));
    assert_eq!(place.table("slow/runs").get("attempt").unwrap().texts(), vec![Some("1".into()); 3]);
}

/// Wrong if workers, which end where only waiting runs are left, stopped other runs than one command does, or
/// left a comparison undone.
#[test]
fn runs_that_are_compared_are_gone_on_with_by_whoever_is_left() {
    let text = "name = \"slow\"\nseeds = [0, 1, 2]\n[dataset]\nkind = \"digits\"\n[architecture]\n\
        kind = \"dense\"\nlatents = 16\n[train]\nsteps = 90\n[evaluate]\nevery = 30\n[run]\n\
        halving = { metric = \"test_mse\" }\n[grid]\n\"train.optimizer.lr\" = [1e-5, 1e-4, 1e-3]\n";
    let (place, oracle) = (opened(text), oracle(text));
    let start = || worker(&place, &["--jobs", "1"]).spawn().unwrap();
    for mut worker in [start(), start(), start()] {
        assert!(worker.wait().unwrap().success());
    }
    let both = [place, oracle].map(|place| place.table("slow/runs"));
    assert_same(&both[0], &both[1]);
    let stopped = texts(&both[0], "status").into_iter().filter(|status| status == "stopped");
    assert_eq!(stopped.count(), 8);
}

/// Wrong if a worker waited for the run of a live one: it would hold a processor for nothing.
#[test]
fn a_worker_does_not_wait_for_live_ones() {
    let place = opened(&slow().replace("[0, 1, 2]", "[0]"));
    place.hold();
    let one = Running::start(&place, worker(&place, &[]));
    one.wait_for("progress", 1);
    let started = Instant::now();
    place.run(["worker", "results/slow"]).exits(0);
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    one.signal("TERM");
    one.end().exits(143);
}

/// Wrong if the run of a dead worker of another machine stayed unfinished: nobody there reports its end.
#[test]
fn what_a_dead_worker_of_another_machine_held_is_taken_over_when_its_lease_is_over() {
    let text = slow().replace("[0, 1, 2]", "[0]") + "[run]\nlease = \"2s\"\n";
    let place = opened(&text);
    place.hold();
    let mut one = Running::start(&place, worker(&place, &[]));
    one.wait_for("progress", 1);
    one.child().kill().unwrap();
    drop(one);
    let work = place.path("results/slow/work");
    let run = fs::read_dir(work).unwrap().next().unwrap().unwrap().path();
    let claim = run.join("1/claim.json");
    // No renewal of the claim means that its processes are gone.
    std::thread::sleep(Duration::from_secs(5));
    let mut held: serde_json::Value = serde_json::from_slice(&fs::read(&claim).unwrap()).unwrap();
    assert_eq!(held["released"], true, "a worker whose pool is gone gives its run back");
    held["released"] = json!(false);
    held["process"]["host"] = json!("elsewhere");
    held["process"]["boot"] = json!("another");
    fs::write(&claim, held.to_string()).unwrap();
    assert!(status(&place).contains("1 running"), "nobody here can tell");
    let file = fs::File::options().append(true).open(&claim).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(100)).unwrap();
    assert!(status(&place).contains("1 running"), "clocks may differ");
    file.set_modified(SystemTime::now() - Duration::from_secs(1000)).unwrap();
    assert!(status(&place).contains("1 lost") && status(&place).contains("elsewhere"));
    place.let_go();
    let started = Instant::now();
    place.run(["worker", "results/slow"]).exits(0);
    assert!(started.elapsed() >= Duration::from_secs(2), "he might have been alive");
    assert_eq!(texts(&place.table("slow/runs"), "status"), ["done"]);
}

/// Wrong if a worker whose time is nearly over, or that is asked to end, lost its work or kept its claim; or
/// if a repeated request ended it at once.
#[test]
fn a_worker_that_is_warned_or_asked_to_end_gives_back_what_it_has() {
    let (place, oracle) = (opened(&slow()), oracle(&slow()));
    place.hold();
    // The second signal may come when everything is kept and the first one has decided the exit code.
    let cases: [(&[&str], &[i32]); 3] =
        [(&["USR1"], &[138]), (&["TERM", "TERM"], &[143]), (&["USR1", "TERM"], &[138, 143])];
    for (signals, codes) in cases {
        let one = Running::start(&place, worker(&place, &["--jobs", "1"]));
        one.wait_for("progress", 1);
        signals.iter().for_each(|signal| one.signal(signal));
        let said = one.end();
        assert!(said.code.is_some_and(|code| codes.contains(&code)), "{signals:?}: {said}");
        assert!(!checkpoints(&place, "slow").is_empty(), "no checkpoint was kept");
        let status = place.run(["status", "results/slow"]).exits(5);
        assert!(status.out.contains("1 interrupted"), "{status}");
    }
    place.let_go();
    place.run(["worker", "results/slow"]).exits(0);
    TABLES.iter().for_each(|table| assert_same(&place.table(table), &oracle.table(table)));
}

/// Wrong if a scheduler could not see that a run failed in a worker, or blamed another worker.
#[test]
fn only_the_worker_in_which_a_run_failed_says_so() {
    let text = with("[run]\ntimeout = 0.0").replace("tiny", "slow");
    let place = opened(&text.replace("epochs = 1", "steps = 100000"));
    let failed = place.run(["worker", "results/slow"]).exits(100);
    assert!(failed.err.contains("1 of them failed"), "{failed}");
    place.run(["worker", "results/slow"]).exits(0);
}

/// Wrong if a wrong folder name were no error, or if a worker that was ended by itself continued.
#[test]
fn what_is_no_experiment_folder_is_said() {
    let place = Place::new();
    place.run(["worker", "results/x"]).exits(74).complains(["is no experiment folder"]);
    let place = opened(&slow());
    place.hold();
    let one = Running::start(&place, worker(&place, &["--jobs", "1"]));
    one.wait_for("progress", 1);
    fs::rename(place.path("results/slow"), place.path("results/moved")).unwrap();
    one.end().exits(74).complains(["is gone"]);
    within(Duration::from_secs(10), "no process is left", || {
        crate::support::under_way::processes_in(&place.path("")).is_empty()
    });
    wait_until("it is still there", || place.path("results/moved").exists());
}
