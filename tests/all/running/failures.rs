//! Runs that diverge, take too long, are interrupted or are killed, and files that are damaged or cannot be
//! written: what becomes of them.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

#[cfg(unix)]
use crate::support::group::signal;
use crate::support::group::{Group, undisturbed};
#[cfg(target_os = "linux")]
use crate::support::group::{children, is_alive};
use crate::support::program::{
    HELD, Place, Said, TINY, assert_same, changes, numbers, texts, with,
};

/// Two runs, of which the second diverges.
fn diverging() -> Place {
    Place::with(&with(
        "[grid]\n\"train.optimizer\" = [{ kind = \"adam\" }, { kind = \"sgd\", lr = 1e6 }]",
    ))
}

#[test]
fn a_run_that_diverges_is_recorded_and_the_others_go_on() {
    let place = diverging();
    let said = place.run(["x.toml", "-j", "1"]).exits(100);
    assert!(said.out.contains("Not done: 1 diverged; `saegrid status results/tiny`"), "{said}");
    let runs = place.table("tiny/runs");
    assert_eq!(texts(&runs, "status"), ["done", "diverged"]);
    let reason = &texts(&runs, "reason")[1];
    assert!(reason.contains("no finite number any more at step "), "{reason}");
    assert!(reason.contains("the last finite loss was "), "{reason}");
    assert_eq!(numbers(&runs, "test_mse")[1], None);
    assert_eq!(numbers(&runs, "train_optimizer_lr"), [0.001, 1e6].map(Some));
    assert_eq!(texts(&runs, "train_optimizer_kind"), ["adam", "sgd"]);
    assert_eq!(texts(&runs, "engine"), ["fused", "fused"], "of what failed as of what did not");

    let before = changes(&place.path("results/tiny/runs"));
    place.run(["x.toml"]).exits(100).complains(["nothing to do"]);
    assert_eq!(changes(&place.path("results/tiny/runs")), before, "it was repeated");
    let status = place.run(["status", "results/tiny"]).exits(100);
    assert!(status.out.contains("2 runs: 1 diverged, 1 done"), "{status}");
    assert!(status.out.contains("no finite number any more"), "{status}");
    let listed = place.run(["list", "x.toml", "--json"]).exits(0).json();
    assert_eq!(listed["runs"][1]["status"], json!("diverged"));
}

#[test]
fn what_failed_is_run_again_when_asked_for_and_nothing_is_deleted() {
    let place = diverging();
    place.run(["x.toml"]).exits(100);
    let runs = place.path("results/tiny/runs");
    let ids = texts(&place.table("tiny/runs"), "run_id");
    let done = changes(&runs.join(&ids[0]));
    let failed = changes(&runs.join(&ids[1]));

    place.run(["x.toml", "--rerun", "failed"]).exits(100).complains(["1 of 2 runs to do"]);
    assert_eq!(changes(&runs.join(&ids[0])), done);
    assert_ne!(changes(&runs.join(&ids[1])), failed);
    let kept = place.json(format!("results/tiny/replaced/{}.1/manifest.json", ids[1]));
    assert_eq!(kept["status"], json!("diverged"));

    place.run(["x.toml", "--rerun", &ids[0][..8]]).exits(100).complains(["1 of 2 runs to do"]);
    assert_ne!(changes(&runs.join(&ids[0])), done);
    place.run(["x.toml", "--rerun", "all"]).exits(100).complains(["2 of 2 runs to do"]);
    assert!(place.path(format!("results/tiny/replaced/{}.2", ids[0])).exists());
    assert_eq!(place.table("tiny/runs").rows(), 2, "what was replaced is in no table");
}

#[test]
fn a_run_that_takes_too_long_is_stopped() {
    let place = Place::with(
        "name = \"tiny\"\n[dataset]\nkind = \"digits\"\n[architecture]\nkind = \"dense\"\n\
         [evaluate]\nevery = 1000000\n[train]\nsteps = 1000000\n[run]\ntimeout = \"300ms\"\n\
         [grid]\n\"architecture.latents\" = [8, 16]\n",
    );
    let started = Instant::now();
    place.run(["x.toml"]).exits(100);
    assert!(started.elapsed() < Duration::from_secs(30));
    let runs = place.table("tiny/runs");
    assert_eq!(texts(&runs, "status"), ["timeout"; 2]);
    for reason in texts(&runs, "reason") {
        assert!(reason.starts_with("it took longer than 300ms; "), "{reason}");
    }
    place.run(["x.toml"]).exits(100).complains(["nothing to do"]);
    // `[run]` is no part of a run's id: with more time it is the same run, tried again.
    let text =
        place.read("x.toml").replace("\"300ms\"", "\"1h\"").replace("steps = 1000000", "steps = 3");
    place.write("y.toml", text.replace("\"tiny\"", "\"other\""));
    place.run(["y.toml"]).exits(0);
}

#[test]
fn a_damaged_file_is_noticed_and_its_run_repeated() {
    let place = Place::with(&format!("seeds = [0, 1]\n{TINY}"));
    place.run(["x.toml"]).exits(0);
    let before = place.table("tiny/runs");
    let ids = place.run_ids("tiny");
    let run = |at: usize| place.path("results/tiny/runs").join(&ids[at]);
    let untouched = changes(&run(1));
    for file in ["model.safetensors", "run.parquet", "history.parquet", "manifest.json"] {
        let path = run(0).join(file);
        let mut bytes = fs::read(&path).unwrap();
        if file == "manifest.json" {
            bytes.truncate(bytes.len() / 2);
        } else {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        fs::write(&path, bytes).unwrap();
        place.run(["x.toml"]).exits(0).complains(["1 of 2 runs to do"]);
        assert_same(&place.table("tiny/runs"), &before);
    }
    fs::remove_file(run(0).join("latents.parquet")).unwrap();
    place.run(["x.toml"]).exits(0).complains(["1 of 2 runs to do"]);
    assert_eq!(changes(&run(1)), untouched);
}

/// Four runs, each of 20 seconds while they are held.
fn slow() -> String {
    format!(
        "name = \"slow\"\nseeds = [0, 1, 2, 3]\n[dataset]\nkind = \"digits\"\n[architecture]\n\
         kind = \"dense\"\nlatents = 16\n[train]\nsteps = 1000\n[evaluate]\nevery = 1000\n{HELD}"
    )
}

/// An interruption by Ctrl-C (which the whole group hears), by a signal to the controller alone, and a
/// termination: each keeps what is done, and the same command resumes the rest.
#[test]
#[cfg(unix)]
fn an_interrupted_grid_goes_on_when_the_command_is_repeated() {
    let undisturbed = undisturbed(&slow());
    let place = Place::with(&slow());
    place.hold();
    for (name, group, code) in [("INT", true, 130), ("INT", false, 130), ("TERM", false, 143)] {
        let running = Group::start(&place, &["x.toml", "-j", "1"]);
        running.wait_for("progress");
        let pid = i64::from(running.child.id());
        let started = Instant::now();
        signal(name, if group { -pid } else { pid });
        assert_eq!(running.code(), Some(code), "SIG{name}");
        assert!(started.elapsed() < Duration::from_secs(10), "it took {:?}", started.elapsed());
        let said = place.run(["status", "results/slow"]).exits(5);
        assert!(!said.out.contains("failed"), "an interruption is no failure:\n{said}");
        assert!(place.path("results/slow/runs.parquet").exists());
    }
    place.let_go();
    place.run(["x.toml"]).exits(0);
    for table in ["slow/runs", "slow/history", "slow/latents"] {
        assert_same(&place.table(table), &undisturbed.table(table));
    }
}

/// A killed worker takes down its own run and no other.
#[test]
#[cfg(target_os = "linux")]
fn a_killed_worker_fails_its_run_alone() {
    let undisturbed = undisturbed(&slow());
    let place = Place::with(&slow());
    place.hold();
    let running = Group::start(&place, &["x.toml", "-j", "1"]);
    let killed = running.wait_for("progress")["run"].as_str().unwrap().to_owned();
    let workers = children(running.child.id());
    assert_eq!(workers.len(), 1);
    signal("KILL", i64::from(workers[0]));
    place.let_go();
    assert_eq!(running.code(), Some(100));
    let runs = place.table("slow/runs");
    for (id, (status, reason)) in
        texts(&runs, "run_id").iter().zip(texts(&runs, "status").iter().zip(texts(&runs, "reason")))
    {
        if *id == killed {
            assert_eq!(
                (status.as_str(), reason.contains("killed by signal 9 (SIGKILL)")),
                ("killed", true),
                "{reason}"
            );
        } else {
            assert_eq!(status, "done", "{reason}");
        }
    }
    place.run(["status", "results/slow"]).exits(100);
    place.run(["x.toml"]).exits(0).complains(["1 of 4 runs to do"]);
    assert_same(&place.table("slow/runs"), &undisturbed.table("slow/runs"));
    assert_same(&place.table("slow/latents"), &undisturbed.table("slow/latents"));
}

/// With retries, the run of a killed worker is retried.
#[test]
#[cfg(target_os = "linux")]
fn a_killed_run_is_tried_again_where_retries_are_left() {
    let text = format!("{}\n[run]\nretries = 1\n", slow().replace("[0, 1, 2, 3]", "[0, 1]"));
    let place = Place::with(&text);
    place.hold();
    let running = Group::start(&place, &["x.toml", "-j", "1"]);
    let killed = running.wait_for("progress")["run"].as_str().unwrap().to_owned();
    signal("KILL", i64::from(children(running.child.id())[0]));
    place.let_go();
    assert_eq!(running.code(), Some(0));
    let runs = place.table("slow/runs");
    assert_eq!(texts(&runs, "status"), ["done"; 2]);
    for (id, attempt) in texts(&runs, "run_id").iter().zip(numbers(&runs, "attempt")) {
        assert_eq!(attempt > Some(1.0), *id == killed);
    }
}

/// A run that a live worker holds cannot be run again, and then no other result is put aside either.
#[test]
#[cfg(unix)]
fn a_run_at_work_is_not_taken_away_from_its_worker() {
    let place = Place::with(&slow());
    place.run(["x.toml", "--set", "seeds=[0]"]).exits(0);
    let done = changes(&place.path("results/slow/runs"));
    place.hold();
    let running = Group::start(&place, &["x.toml", "-j", "1"]);
    let id = running.wait_for("progress")["run"].as_str().unwrap().to_owned();
    let said = place.run(["x.toml", "--rerun", "all"]).exits(75);
    said.complains([format!("a live worker has run {id}").as_str()]);
    let now = changes(&place.path("results/slow/runs"));
    assert!(done.iter().all(|(path, time)| now.get(path) == Some(time)), "results were put aside");
    let status = place.run(["status", "results/slow"]).exits(5);
    assert!(status.out.contains("1 running"), "{status}");
    let listed = place.run(["list", "x.toml"]).exits(0);
    assert!(listed.out.contains(" running "), "{listed}");
    place.let_go();
    assert_eq!(running.code(), Some(0));
}

/// No file may grow beyond 64 KiB at most, as on a disk that is full: the model cannot be stored.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_named_and_the_same_command_goes_on_later() {
    let text = format!("seeds = [0, 1]\n{}", TINY.replace("= 16", "= 512"));
    let undisturbed = undisturbed(&text);
    let place = Place::with(&text);
    let mut shell = std::process::Command::new("sh");
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" x.toml -j 1";
    shell.args(["-c", script, env!("CARGO_BIN_EXE_saegrid")]).current_dir(place.path(""));
    let said = Said::from(shell.output().unwrap()).exits(74);
    said.complains(["cannot write `", "model.safetensors`: File too large"]);
    for id in place.run_ids("tiny") {
        assert!(!place.path(format!("results/tiny/runs/{id}/manifest.json")).exists());
        assert!(!place.path(format!("results/tiny/runs/{id}/model.safetensors")).exists());
    }
    place.run(["x.toml"]).exits(0);
    assert_same(&place.table("tiny/runs"), &undisturbed.table("tiny/runs"));

    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let said = place.command(["list", "x.toml"]).stdout(full).output().unwrap();
    Said::from(said).exits(74).complains(["cannot write to standard output"]);
}

/// Killing the controller, in the middle of a run and with one run done, loses nothing: its workers end, and
/// the same command resumes without repeating done runs.
#[test]
#[cfg(target_os = "linux")]
fn a_killed_controller_takes_its_workers_along_and_loses_nothing() {
    let undisturbed = undisturbed(&slow());
    let place = Place::with(&slow());
    place.hold();
    let mut done = BTreeMap::new();
    for (event, jobs) in [("started", "2"), ("finished", "2"), ("progress", "1")] {
        if event == "finished" {
            place.let_go();
        }
        let running = Group::start(&place, &["x.toml", "-j", jobs]);
        running.wait_for(event);
        place.hold();
        let workers = children(running.child.id());
        signal("KILL", i64::from(running.child.id()));
        let deadline = Instant::now() + Duration::from_secs(5);
        while workers.iter().any(|pid| is_alive(*pid)) {
            assert!(Instant::now() < deadline, "workers outlived their controller");
            std::thread::sleep(Duration::from_millis(20));
        }
        let files = changes(&place.path("results/slow/runs"));
        assert!(
            done.iter().all(|(path, time)| files.get(path) == Some(time)),
            "a run that was done was touched"
        );
        done = files;
        done.retain(|path, _| path.with_file_name("manifest.json").exists());
    }
    assert!(!done.is_empty(), "one run was done");
    place.let_go();
    place.run(["x.toml"]).exits(0);
    let files = changes(&place.path("results/slow/runs"));
    assert!(
        done.iter().all(|(path, time)| files[path] == *time),
        "a run that was done was repeated"
    );
    for table in ["slow/runs", "slow/history", "slow/latents"] {
        assert_same(&place.table(table), &undisturbed.table(table));
    }
    let leftovers =
        files.keys().filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with('.'));
    assert_eq!(leftovers.count(), 0, "temporary files stay behind");
}

/// A panic in a plugin is the result of its own run, recorded with its message and place; the others
/// continue.
#[test]
fn a_panic_in_a_plugin_takes_down_one_run() {
    let place = Place::with(
        "name = \"tiny\"\n[dataset]\nkind = \"digits\"\n[architecture]\nkind = \"dense\"\n\
         latents = 16\n[train]\nepochs = 1\n[grid]\n\"penalty.after\" = [0.5, 1.0]\n\
         [penalty]\nkind = \"faulty\"\n",
    );
    let said = place.run_outside(["x.toml"]).exits(100);
    let runs = place.table("tiny/runs");
    assert_eq!(texts(&runs, "status"), ["failed", "done"]);
    let reason = &texts(&runs, "reason")[0];
    assert!(
        reason.contains("panicked: a bug in a plugin") && reason.contains("faulty.rs"),
        "{reason}"
    );
    assert!(!said.err.contains("stack backtrace"), "{}", said.err);
}
