//! Plugins that crash, hang, flood or use up memory: each takes down its own run and no other. Each outcome
//! is told apart, recorded, and retried only where that makes sense.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use tables::Table;

use crate::support::program::{Place, TINY, assert_same, changes, lasting, numbers, texts};
use crate::support::under_way::{Running, processes_in, within};

/// A grid of very short runs with these penalties.
fn grid(penalties: &[&str], settings: &str) -> String {
    format!(
        "name = \"tiny\"\n[dataset]\nkind = \"digits\"\n[architecture]\nkind = \"dense\"\n\
         latents = 16\n[train]\nsteps = 60\nbatch = 16\n[evaluate]\nevery = 20\n[grid]\n\
         penalty = [{}]\n[run]\n{settings}\n",
        penalties.join(", ")
    )
}

/// The penalty without a fault.
const SOUND: &str = "{ kind = \"faulty\", after = 1.0 }";

/// A penalty that fails in the middle of its run while a file of this name is missing.
fn fault(fault: &str, once: &str) -> String {
    format!("{{ kind = \"faulty\", after = 0.5, fault = \"{fault}\", once = \"{once}\" }}")
}

/// Results of a grid without faults: the files that the faults look for are there.
fn oracle(text: &str, once: &[&str]) -> Place {
    let place = Place::with(text);
    once.iter().for_each(|name| place.write(name, ""));
    place.run_outside(["x.toml", "-j", "1"]).exits(0);
    place
}

/// The part of a row that identical runs share.
fn row(table: &Table, row: usize) -> BTreeMap<String, String> {
    lasting(table).into_iter().map(|(name, values)| (name, values[row].clone())).collect()
}

/// The log of a run.
fn log(place: &Place, id: &str) -> Vec<u8> {
    fs::read(place.path(format!("results/tiny/runs/{id}/log.txt"))).unwrap()
}

/// Wrong if a crash in one plugin ended another run, lacked its signal or its last words, was retried
/// unasked, or was not retried by the next command.
#[test]
fn a_crash_takes_down_one_run_and_the_next_command_runs_it_again() {
    let (abort, exit) = (fault("abort", "a"), fault("exit", "e"));
    let (segfault, panic) = (fault("segfault", "s"), fault("panic", "p"));
    let text = format!("seeds = [0, 1]\n{}", grid(&[SOUND, &abort, &segfault, &exit, &panic], ""));
    let oracle = oracle(&text, &["a", "s", "e", "p"]).table("tiny/runs");
    let place = Place::with(&text);
    place.run_outside(["x.toml", "-j", "1"]).exits(100);
    let runs = place.table("tiny/runs");
    let (statuses, reasons) = (texts(&runs, "status"), texts(&runs, "reason"));
    // The first of each pair makes the file that protects the second.
    let wanted = ["done", "killed", "killed", "killed", "failed"];
    assert_eq!(statuses, wanted.map(|first| [first, "done"]).concat());
    for at in (0..statuses.len()).filter(|at| statuses[*at] == "done") {
        assert_eq!(row(&runs, at), row(&oracle, at));
    }
    for (at, said) in [
        (2, "killed by signal 6 (SIGABRT); it last said: \\u{1b}[31mit cannot go on"),
        (4, "killed by signal 11 (SIGSEGV)"),
        (6, "exit status: 0"),
        (8, "it panicked: a bug in a plugin (tests/outside/src/faulty.rs:"),
    ] {
        assert!(reasons[at].contains(said), "{}", reasons[at]);
    }
    let status = place.run_outside(["status", "results/tiny"]).exits(100);
    assert!(status.out.contains("10 runs: 6 done, 1 failed, 3 killed"), "{status}");
    assert!(status.out.contains("(SIGSEGV)"), "{status}");

    let failed = changes(&place.path("results/tiny/runs").join(&texts(&runs, "run_id")[8]));
    place.run_outside(["x.toml", "-j", "1"]).exits(100).complains(["3 of 10 runs to do"]);
    let runs = place.table("tiny/runs");
    assert_eq!(texts(&runs, "status")[8], "failed");
    let now = changes(&place.path("results/tiny/runs").join(&texts(&runs, "run_id")[8]));
    assert_eq!(now, failed, "a bug was tried again");
    place.run_outside(["x.toml", "--rerun", "failed"]).exits(0).complains(["1 of 10 runs to do"]);
    assert_same(&place.table("tiny/runs"), &oracle);
}

/// Wrong if a crash were not retried as often as `retries` says, or if anything but a crash were.
#[test]
fn only_a_crash_is_retried_and_only_as_often_as_was_said() {
    let once = fault("segfault", "s");
    let always = "{ kind = \"faulty\", after = 0.5, fault = \"abort\" }";
    let panic = "{ kind = \"faulty\", after = 0.5 }";
    let allocate = "{ kind = \"faulty\", after = 0.5, fault = \"allocate\" }";
    let hang = "{ kind = \"faulty\", after = 0.5, fault = \"hang\" }";
    let settings = "retries = 2\nmemory = \"300 MB\"\ntimeout = \"2s\"\ncheckpoint = 0";
    let text = grid(&[SOUND, &once, always, panic, allocate, hang], settings);
    let place = Place::with(&text);
    let command = place.command_outside(["x.toml", "-j", "1"]);
    let running = Running::start(&place, command);
    running.wait_for("finished", 6);
    let events = running.events();
    let said = running.end().exits(100);
    let runs = place.table("tiny/runs");
    let statuses = texts(&runs, "status");
    assert_eq!(statuses, ["done", "done", "killed", "failed", "oom", "timeout"], "{said}");
    let starts = texts(&runs, "run_id").into_iter().map(|id| {
        events.iter().filter(|event| event["event"] == "started" && event["run"] == *id).count()
    });
    assert_eq!(starts.collect::<Vec<_>>(), [1, 2, 3, 1, 1, 1]);
    let attempts = numbers(&runs, "attempt");
    assert!(attempts[0] == Some(1.0) && attempts[1] > attempts[0], "{attempts:?}");
    let test_mse = numbers(&runs, "test_mse");
    assert_eq!(test_mse[1], test_mse[0], "what was retried is another result");
    assert!(texts(&runs, "reason")[4].contains("memory allocation of "));

    // Only a crash may have a cause outside of the run.
    place.run_outside(["x.toml", "-j", "1"]).exits(100).complains(["1 of 6 runs to do"]);
}

/// Wrong if an idle worker took the run of a worker that has just crashed, and the crash did not count: the
/// run would be tried too often.
#[test]
fn every_crash_is_counted_though_another_worker_waits_for_the_run() {
    let always = "{ kind = \"faulty\", after = 0.5, fault = \"abort\" }";
    let place = Place::with(&grid(&[SOUND, always], "retries = 20"));
    let running = Running::start(&place, place.command_outside(["x.toml", "-j", "2"]));
    running.wait_for("finished", 2);
    let starts = running.events().into_iter().filter(|event| event["event"] == "started").count();
    running.end().exits(100);
    assert_eq!(starts, 1 + 21);
}

/// Wrong if a run that hangs held up the grid, outlived its time, or left a process.
#[test]
fn a_run_that_hangs_is_ended_when_its_time_is_over_with_all_that_it_started() {
    let (hang, child) = (fault("hang", "h"), fault("hang-with-child", "c"));
    let text = grid(&[&hang, &child, SOUND], "timeout = \"2s\"");
    let oracle = oracle(&text, &["h", "c"]).table("tiny/runs");
    let place = Place::with(&text);
    place.run_outside(["x.toml", "-j", "2"]).exits(100);
    let runs = place.table("tiny/runs");
    assert_eq!(texts(&runs, "status"), ["timeout", "timeout", "done"]);
    assert_eq!(row(&runs, 2), row(&oracle, 2));
    for at in [0, 1] {
        let reason = &texts(&runs, "reason")[at];
        assert_eq!(reason, "it took longer than 2s; it did not answer");
        let seconds = numbers(&runs, "seconds")[at].unwrap();
        // A second is the promise; the rest allows for a busy machine.
        assert!((2.0..5.0).contains(&seconds), "{seconds}");
    }
    within(Duration::from_secs(1), "all processes end", || {
        processes_in(&place.path("")).is_empty()
    });
    place.run_outside(["x.toml"]).exits(100).complains(["nothing to do"]);
    place.run_outside(["x.toml", "--rerun", "failed"]).exits(0).complains(["2 of 3 runs to do"]);
    assert_same(&place.table("tiny/runs"), &oracle);
}

/// Wrong if processes that a run started outlived its worker, at the end of the grid or of the controller.
#[test]
fn what_a_run_starts_ends_with_the_worker() {
    let place = Place::with(&grid(&[&fault("child", "c"), SOUND], ""));
    place.run_outside(["x.toml", "-j", "1"]).exits(0);
    within(Duration::from_secs(1), "all processes end", || {
        processes_in(&place.path("")).is_empty()
    });

    let text = place.read("x.toml").replace("steps = 60", "steps = 1000000");
    place.write("x.toml", text.replace("after = 0.5", "after = 0.0"));
    fs::remove_file(place.path("c")).unwrap();
    let mut running = Running::start(&place, place.command_outside(["x.toml", "-j", "1"]));
    running.wait_for("progress", 1);
    assert_eq!(processes_in(&place.path("")).len(), 3);
    running.child().kill().unwrap();
    running.child().wait().unwrap();
    within(Duration::from_secs(5), "all processes end", || {
        processes_in(&place.path("")).is_empty()
    });
}

/// Wrong if the output of a run filled the disk, reached the terminal, or passed for a worker's message.
#[test]
fn a_flood_stays_in_the_log_which_stays_small() {
    let text = grid(&[&fault("flood", "f"), SOUND], "");
    let oracle = oracle(&text, &["f"]).table("tiny/runs");
    let place = Place::with(&text);
    let running = Running::start(&place, place.command_outside(["x.toml", "-j", "1"]));
    running.wait_for("finished", 2);
    let events = running.events();
    let said = running.end().exits(0);
    assert!(events.iter().all(|event| event["event"] != "broken"), "{events:?}");
    for word in ["flood begins", "\u{1b}", "a lie"] {
        assert!(!said.out.contains(word) && !said.err.contains(word), "{said}");
    }
    let runs = place.table("tiny/runs");
    assert_same(&runs, &oracle);
    let log = log(&place, &texts(&runs, "run_id")[0]);
    assert!(log.len() < 2 << 20, "{} bytes", log.len());
    assert!(log.starts_with(b"the flood begins\n{\"event\""), "its beginning is lost");
    assert!(log.ends_with(b"the flood ends\n"), "its end is lost");
    let sound = place.path(format!("results/tiny/runs/{}/log.txt", texts(&runs, "run_id")[1]));
    assert!(!sound.exists(), "what one run said is in the log of another");
}

/// Wrong if a run that needs more memory than it may use took down others or counted as killed, in either
/// engine; or if the limit hurt a run that needs less.
#[test]
fn a_run_that_needs_too_much_memory_is_told_apart() {
    let text = |memory: &str| {
        format!(
            "name = \"tiny\"\n[dataset]\nkind = \"digits\"\n[architecture]\nkind = \"dense\"\n\
             [train]\nsteps = 2\nbatch = 16\n[run]\nretries = 2\n{memory}\n[grid]\n\
             \"architecture.latents\" = [16, 800000]\n\"train.engine\" = [\"reference\", \"fused\"]\n"
        )
    };
    let place = Place::with(&text("memory = \"300 MB\""));
    place.run(["x.toml", "-j", "1"]).exits(100);
    let runs = place.table("tiny/runs");
    assert_eq!(
        texts(&runs, "status"),
        ["done", "done", "oom", "oom"],
        "{:?}",
        texts(&runs, "reason")
    );
    assert_eq!(numbers(&runs, "attempt")[2], numbers(&runs, "attempt")[3], "one was retried");
    for reason in &texts(&runs, "reason")[2..] {
        assert!(reason.starts_with("it needed more memory than it may have: "), "{reason}");
    }
    place.run(["x.toml"]).exits(100).complains(["nothing to do"]);

    let small = |memory| Place::with(&text(memory).replace(", 800000", ""));
    let (limited, unlimited) = (small("memory = \"2 GiB\""), small(""));
    limited.run(["x.toml"]).exits(0);
    unlimited.run(["x.toml"]).exits(0);
    assert_same(&limited.table("tiny/runs"), &unlimited.table("tiny/runs"));
}

/// Wrong if measuring a stored model could take down other runs, lose its known results, or be retried for
/// ever.
#[test]
fn a_crash_while_a_stored_model_is_measured_leaves_its_run_as_it_is() {
    let text = |kinds: &str| format!("seeds = [0, 1, 2]\n{TINY}[evaluate]\nkinds = [{kinds}]\n");
    let place = Place::with(&text("\"reconstruction\""));
    place.run_outside(["x.toml"]).exits(0);
    let before = place.table("tiny/runs");
    place.write("x.toml", text("\"reconstruction\", { kind = \"peak\", abort = true }"));
    for _ in 0..2 {
        let said = place.run_outside(["x.toml", "-j", "2"]).exits(5);
        said.complains(["peak could not be measured: ", "SIGABRT", "3 of 3 runs to do"]);
        assert_eq!(place.table("tiny/runs"), before);
    }
    place.write("x.toml", text("\"reconstruction\", \"peak\""));
    place.run_outside(["x.toml"]).exits(0);
    let after = place.table("tiny/runs");
    assert!(numbers(&after, "test_peak").iter().all(Option::is_some));
    assert_eq!(numbers(&after, "test_mse"), numbers(&before, "test_mse"));
}
