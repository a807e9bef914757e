//! Signals and terminals: the first signal keeps everything, the second ends everything at once, and neither
//! a stop from the terminal nor a closed terminal changes the results.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::program::{HELD, Place, Said, assert_same, texts};
use crate::support::skipped::skipped;
use crate::support::under_way::{
    Running, checkpoints, processes_in, send, state_of, wait_until, within,
};

/// Runs of 20 seconds each while they are held.
fn slow(seeds: &str, settings: &str) -> String {
    format!(
        "name = \"slow\"\nseeds = {seeds}\n[dataset]\nkind = \"digits\"\n[architecture]\n\
         kind = \"dense\"\nlatents = 16\n[train]\nsteps = 1000\n[evaluate]\nevery = 400\n\
         [run]\n{settings}\n{HELD}"
    )
}

/// A run that hangs together with a process that it started.
const HANGING: &str = "name = \"hanging\"\n[dataset]\nkind = \"digits\"\n[architecture]\n\
     kind = \"dense\"\nlatents = 16\n[train]\nsteps = 60\n[penalty]\nkind = \"faulty\"\n\
     after = 0.5\nfault = \"hang-with-child\"\nonce = \"hangs\"\n";

/// The tables of an experiment.
const TABLES: [&str; 3] = ["slow/runs", "slow/history", "slow/latents"];

/// The place of an experiment that ran without a disturbance.
fn oracle(text: &str) -> Place {
    let place = Place::with(text);
    place.run(["x.toml"]).exits(0);
    place
}

#[track_caller]
fn assert_tables(place: &Place, oracle: &Place) {
    TABLES.iter().for_each(|table| assert_same(&place.table(table), &oracle.table(table)));
}

/// Starts the runs of `HANGING` and waits until they hang.
fn hanging(place: &Place) -> Running {
    let running = Running::start(place, place.command_outside(["x.toml"]));
    wait_until("the run hangs", || place.path("hangs").exists());
    wait_until("its child is there", || processes_in(&place.path("")).len() == 3);
    running
}

/// Wrong if a run that is asked to end lost its work, took longer than 10 s to end, or did not say how to
/// resume it; or if resuming it gave other results.
#[test]
fn a_first_signal_has_everything_kept_and_says_how_to_go_on() {
    let text = slow("[0, 1]", "");
    let oracle = oracle(&text);
    let (place, file) = (Place::with(&text), "it's x.toml");
    fs::rename(place.path("x.toml"), place.path(file)).unwrap();
    place.hold();
    let mut resume = String::new();
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let rerun = ["--rerun", "failed"];
        let running = Running::start(&place, place.command([file, "-j", "1"].iter().chain(&rerun)));
        running.wait_for("progress", 1);
        let started = Instant::now();
        running.signal(signal);
        let said = running.end().exits(code);
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        assert!(processes_in(&place.path("")).is_empty(), "a worker is left");
        assert!(!checkpoints(&place, "slow").is_empty(), "no checkpoint was kept:\n{said}");
        let lines: Vec<&str> = said.err.lines().collect();
        let at = lines.iter().position(|line| line.ends_with("to go on with the rest:"));
        resume = lines[at.unwrap_or_else(|| panic!("it does not say how:\n{said}")) + 1].to_owned();
        let status = place.run(["status", "results/slow"]).exits(5);
        assert!(status.out.contains("1 interrupted"), "{status}");
    }
    assert!(resume.contains(" -j 1") && !resume.contains("--rerun"), "{resume}");
    place.let_go();
    let mut shell = Command::new("sh");
    shell.args(["-c", &resume]).current_dir(place.path(""));
    Said::from(shell.output().unwrap()).exits(0);
    assert_tables(&place, &oracle);
}

/// Wrong if a run could not be stopped while its layers are pretrained, if nothing was seen of it meanwhile, or if it
/// ended otherwise when it is resumed.
#[test]
fn a_signal_in_pretraining_ends_the_run_and_resuming_it_starts_it_anew() {
    let text = "name = \"slow\"\n[dataset]\nkind = \"digits\"\n[architecture]\nkind = \"deep\"\nlatents = 16\n\
                hidden = [64, 32]\npretrain_epochs = 200\n[train]\nepochs = 2\n";
    let oracle = oracle(text);
    let place = Place::with(text);
    let running = Running::start(&place, place.command(["x.toml"]));
    let first = running.wait_for("progress", 1);
    assert_eq!((&first["pretraining"], &first["steps"]), (&true.into(), &7200.into()), "{first}");
    let started = Instant::now();
    running.signal("INT");
    running.end().exits(130);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert!(checkpoints(&place, "slow").is_empty(), "a part of pretraining was kept");
    let status = place.run(["status", "results/slow"]).exits(5);
    assert!(status.out.contains("1 interrupted"), "{status}");
    place.run(["x.toml"]).exits(0);
    assert_tables(&place, &oracle);
}

/// Wrong if a worker that somebody else asks to stop counted as crashed.
#[test]
fn a_worker_that_is_asked_to_stop_gives_its_run_back() {
    let text = slow("[0]", "");
    let oracle = oracle(&text);
    let place = Place::with(&text);
    place.hold();
    let mut running = Running::start(&place, place.command(["x.toml"]));
    running.wait_for("progress", 1);
    let controller = running.child().id();
    let mut processes = processes_in(&place.path(""));
    processes.retain(|pid| *pid != controller);
    processes.into_iter().for_each(|pid| send("TERM", pid));
    running.wait_for("started", 2);
    place.let_go();
    running.end().exits(0);
    assert_tables(&place, &oracle);
}

/// Wrong if a run that never ends its step kept the command from ending.
#[test]
fn a_run_that_hangs_holds_up_a_first_signal_for_less_than_10_seconds() {
    let place = Place::with(HANGING);
    let running = hanging(&place);
    let started = Instant::now();
    running.signal("TERM");
    running.end().exits(143);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    within(Duration::from_secs(1), "all processes end", || {
        processes_in(&place.path("")).is_empty()
    });
    place.run_outside(["status", "results/hanging"]).exits(5);
    place.run_outside(["x.toml"]).exits(0);
}

/// Wrong if a disk that does not answer kept a command from ending. Earlier versions heard no signal while
/// they opened data.
#[test]
fn a_first_signal_ends_a_command_that_waits_for_its_data() {
    let place = Place::with(
        "name = \"held\"\n[dataset]\nkind = \"waves\"\n[architecture]\nkind = \"dense\"\n\
         latents = 4\n[train]\nsteps = 2\n[grid]\n\"architecture.latents\" = [4, 5, 6]\n",
    );
    let ends = |words: &[&str], signal: &str, code: i32| {
        let _ = fs::remove_file(place.path("hold.seen"));
        let running = Running::start(&place, place.command_outside(words));
        wait_until("it waits for its data", || place.path("hold.seen").exists());
        let started = Instant::now();
        running.signal(signal);
        running.end().exits(code);
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    };
    let held = "dataset.held_by=\"hold\"";
    place.write("hold", "");
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        ends(&["x.toml", "--set", held], signal, code);
    }
    assert!(!place.has_results());
    // One run, so that a worker gets the others.
    fs::remove_file(place.path("hold")).unwrap();
    let one = ["x.toml", "--set", held, "--set", "train.steps=1000000", "-j", "1"];
    let running = Running::start(&place, place.command_outside(one));
    running.wait_for("progress", 1);
    running.signal("INT");
    running.end().exits(130);
    place.write("hold", "");
    ends(&["worker", "results/held", "-j", "2"], "TERM", 143);
}

/// Wrong if a FIFO in the place of data hung every command that opens it. Earlier, `check` never ended.
#[test]
fn a_fifo_in_the_place_of_data_is_refused_at_once() {
    let place = Place::with(
        "name = \"fifo\"\n[dataset]\nkind = \"idx\"\nimages = \"fifo\"\ntrain = 1\n\
         [architecture]\nkind = \"dense\"\nlatents = 4\n",
    );
    let made = Command::new("mkfifo").arg(place.path("fifo")).status();
    assert!(made.is_ok_and(|made| made.success()));
    for words in [&["check", "x.toml"][..], &["list", "x.toml"], &["x.toml"]] {
        let said = place.run(words).exits(2);
        said.complains(["x.toml:4:10", "fifo` cannot be opened: it is a pipe (FIFO)"]);
    }
    assert!(!place.has_results());
}

/// Wrong if a second signal waited, or left a process alive.
#[test]
fn a_second_signal_ends_everything_at_once() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let place = Place::with(HANGING);
        let running = hanging(&place);
        running.signal(signal);
        std::thread::sleep(Duration::from_millis(200));
        let started = Instant::now();
        running.signal(signal);
        running.end().exits(code);
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
        let end = || processes_in(&place.path("")).is_empty();
        within(Duration::from_secs(1), "all processes end", end);
        place.run_outside(["x.toml"]).exits(0);
    }
}

/// Wrong if workers outlived a killed controller because their run hangs.
#[test]
fn workers_that_hang_end_with_their_controller() {
    let place = Place::with(HANGING);
    let running = hanging(&place);
    running.signal("KILL");
    within(Duration::from_secs(5), "all processes end", || {
        processes_in(&place.path("")).is_empty()
    });
    drop(running);
    place.run_outside(["x.toml"]).exits(0);
}

/// Wrong if workers computed during Ctrl-Z, if that time counted as theirs, or if a controller killed
/// meanwhile left them behind.
#[test]
fn a_stop_from_the_terminal_stops_the_workers_and_their_time() {
    let text = slow("[0, 1]", "timeout = \"5s\"");
    let oracle = oracle(&text.replace("5s", "1h"));
    let place = Place::with(&text);
    place.hold();
    let start = || {
        let running = Running::start(&place, place.command(["x.toml", "-j", "2"]));
        running.wait_for("progress", 2);
        running.signal("TSTP");
        let stopped = |pid: u32| state_of(pid) == Some('T');
        wait_until("all are stopped", || {
            let processes = processes_in(&place.path(""));
            processes.len() == 3 && processes.into_iter().all(stopped)
        });
        running
    };
    let running = start();
    running.signal("KILL");
    within(Duration::from_secs(5), "all processes end", || {
        processes_in(&place.path("")).is_empty()
    });
    drop(running);

    let running = start();
    std::thread::sleep(Duration::from_millis(5500));
    place.let_go();
    running.signal("CONT");
    running.end().exits(0);
    assert_eq!(texts(&place.table("slow/runs"), "status"), ["done"; 2]);
    assert_tables(&place, &oracle);
}

/// Wrong if the runs ended because nobody reads the progress, the table, or both.
#[test]
fn closed_streams_do_not_end_the_runs() {
    let text = slow("[0]", "").replace(HELD, "");
    let oracle = oracle(&text);
    for (out, err) in [(true, false), (false, true), (true, true)] {
        let place = Place::with(&text);
        let mut running = Running::start(&place, place.command(["x.toml"]));
        if out {
            drop(running.child().stdout.take());
        }
        if err {
            drop(running.child().stderr.take());
        }
        running.end().exits(0);
        assert_tables(&place, &oracle);
    }
    let place = Place::with(&text);
    let mut shell = Command::new("sh");
    let script = "exec \"$0\" x.toml <&- >&- 2>&-";
    shell.args(["-c", script, env!("CARGO_BIN_EXE_saegrid")]).current_dir(place.path(""));
    assert_eq!(shell.status().unwrap().code(), Some(0), "without streams");
    assert_tables(&place, &oracle);
}

/// Wrong if a command started under `nohup` ended with its terminal.
#[test]
fn under_nohup_a_terminal_may_go_away() {
    let place = Place::with(&slow("[0]", ""));
    place.hold();
    let mut shell = Command::new("sh");
    let script = "trap '' HUP; exec \"$0\" \"$@\"";
    shell.args(["-c", script]).arg(place.program()).arg("x.toml");
    shell.current_dir(place.path("")).stdin(Stdio::null());
    let running = Running::start(&place, shell);
    running.wait_for("progress", 1);
    processes_in(&place.path("")).into_iter().for_each(|pid| send("HUP", pid));
    place.let_go();
    running.end().exits(0);
}

/// Runs `script` of `sh` on a terminal of its own, types with `typed`, and returns the text of the terminal;
/// `None` where the program for that is missing.
fn on_a_terminal(
    place: &Place,
    script: &str,
    typed: impl FnOnce(&mut dyn Write),
) -> Option<String> {
    let mut command = Command::new("script");
    command.args(["-q", "-e", "-c", script, "/dev/null"]).current_dir(place.path(""));
    command.env("SAEGRID", place.program()).env("TERM", "xterm").env("SHELL", "/bin/sh");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            skipped(&format!("there is no terminal: `script`: {error}"));
            return None;
        }
    };
    // The terminal stays open until its input ends.
    let mut keyboard = child.stdin.take().unwrap();
    typed(&mut keyboard);
    let output = child.wait_with_output().unwrap();
    drop(keyboard);
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Wrong if Ctrl-C left the terminal changed: without echo or without cursor.
#[test]
fn ctrl_c_leaves_the_terminal_as_it_was() {
    let place = Place::with(&slow("[0, 1]", ""));
    place.hold();
    // The shell gets the typed text too, so it must wait for the program.
    let script = "trap : INT; stty -a > before; \"$SAEGRID\" x.toml -j 1 --events events.json; echo $? > code; \
                  stty -a > after";
    let shown = on_a_terminal(&place, script, |keyboard| {
        let events = || fs::read_to_string(place.path("events.json")).unwrap_or_default();
        wait_until("a run is under way", || events().contains("\"progress\""));
        keyboard.write_all(b"\x03").unwrap();
        keyboard.flush().unwrap();
        wait_until("the command has ended", || place.path("after").exists());
    });
    let Some(shown) = shown else { return };
    assert_eq!(place.read("code"), "130\n", "{shown}");
    assert_eq!(place.read("before"), place.read("after"));
    let (hidden, shown_again) = (shown.matches("\u{1b}[?25l"), shown.matches("\u{1b}[?25h"));
    assert_eq!(hidden.count(), shown_again.count(), "the cursor is gone: {shown:?}");
    assert!(shown.contains("to go on with the rest:"), "{shown:?}");
    assert!(!checkpoints(&place, "slow").is_empty(), "no checkpoint was kept");
}

/// Wrong if runs continued, or were lost, when their terminal is closed.
#[test]
fn a_terminal_that_is_closed_ends_the_command_and_everything_is_kept() {
    let place = Place::with(&slow("[0, 1]", ""));
    place.hold();
    let script = "\"$SAEGRID\" x.toml -j 1 --events events.json";
    let mut command = Command::new("script");
    command.args(["-q", "-c", script, "/dev/null"]).current_dir(place.path(""));
    command.env("SAEGRID", place.program()).env("SHELL", "/bin/sh");
    let Ok(mut child) = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
        skipped("there is no terminal: there is no `script`");
        return;
    };
    let events = || fs::read_to_string(place.path("events.json")).unwrap_or_default();
    wait_until("a run is under way", || events().contains("\"progress\""));
    child.kill().unwrap();
    child.wait().unwrap();
    within(Duration::from_secs(10), "all processes end", || {
        processes_in(&place.path("")).is_empty()
    });
    assert!(!checkpoints(&place, "slow").is_empty(), "no checkpoint was kept");
    place.run(["status", "results/slow"]).exits(5);
}
