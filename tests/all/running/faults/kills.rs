//! Processes are killed at random moments, stopped, and started twice.
//!
//! The quick form is part of the suite. `SAEGRID_FAULTS=300 cargo test --test all faults::kills` makes 300
//! kills instead of ten, and 300 pairs of commands instead of three.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use crate::support::group::{Group, children, is_alive, signal, undisturbed};
use crate::support::program::{HELD, Place, assert_same, changes};

/// 24 runs of a few tenths of a second, with a checkpoint every 20 ms.
const GRID: &str = "name = \"grid\"
seeds = [0, 1, 2, 3]

[dataset]
kind = \"digits\"

[architecture]
kind = \"dense\"
latents = 64

[train]
steps = 1000

[evaluate]
every = 250

[run]
checkpoint = 0.02

[grid]
penalty = [
    { kind = \"none\" },
    { kind = \"l1\", lambda = 0.1 },
    { kind = \"k-sparse\", k = 8 },
]
\"train.optimizer\" = [{ kind = \"adam\" }, { kind = \"sgd\", lr = 0.01, momentum = 0.9 }]
";

/// One run, of 20 seconds while it is held.
fn one() -> String {
    format!(
        "name = \"one\"\n[dataset]\nkind = \"digits\"\n[architecture]\nkind = \"dense\"\nlatents = 64\n\
         [train]\nsteps = 1000\n[evaluate]\nevery = 400\n[run]\ncheckpoint = 0.1\nlease = 0.5\n{HELD}"
    )
}

const TABLES: [&str; 3] = ["runs", "history", "latents"];

/// Number of rounds: a few, or as many as the long form asks for.
fn rounds(few: usize) -> usize {
    let long = std::env::var("SAEGRID_FAULTS").ok();
    long.and_then(|rounds| rounds.parse().ok()).unwrap_or(few)
}

fn assert_equal(name: &str, place: &Place, oracle: &Place) {
    for table in TABLES {
        let table = format!("{name}/{table}");
        assert_same(&place.table(&table), &oracle.table(&table));
    }
}

/// Prints a line even where the test passes and its output is captured.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Files of runs that have ended, with their times of writing.
fn ended(place: &Place, name: &str) -> BTreeMap<PathBuf, SystemTime> {
    let runs = place.path("results").join(name).join("runs");
    if runs.exists() { changes(&runs) } else { BTreeMap::new() }
}

/// Waits for the end of processes: those of a killed controller end within 5 seconds.
fn wait_for_end(pids: &[u32]) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while pids.iter().any(|pid| is_alive(*pid)) {
        assert!(Instant::now() < deadline, "workers outlived their controller");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Wrong if killing the controller or a worker at some moment lost results, changed them, repeated a done
/// run, or needed more than the same command again.
#[test]
fn killed_at_random_moments_a_grid_ends_as_if_nothing_had_been() {
    let start = |place: &Place| Group::start(place, &["x.toml", "-j", "2"]);
    kill_at_random_moments(GRID, &undisturbed(GRID), start, rounds(10));
}

/// Wrong if a plugin from elsewhere lost its state, its random stream or its parameters between two steps: an
/// architecture that draws, a selection with a running threshold, thresholds that learn, latents that revive.
#[test]
fn the_same_holds_for_plugins_from_elsewhere() {
    let grid =
        GRID.replace("kind = \"dense\"\nlatents = 64", "kind = \"noisy-code\"\nlatents = 16");
    let grid = grid.replace(
        "seeds = [0, 1, 2, 3]",
        "seeds = [0, 1]\nauxiliary = [\n    \
         { kind = \"revive\", every = 7 },\n    { kind = \"cauchy-decay\", lambda = 0.001 },\n]",
    );
    let grid = grid.replace("{ kind = \"none\" }", "{ kind = \"straight-jump\", lambda = 0.1 }");
    let grid = grid.replace("kind = \"k-sparse\"", "kind = \"batch-largest\"");
    let grid = grid.replace("steps = 1000", "steps = 600\ndead_after = 500");
    let oracle = Place::with(&grid);
    oracle.run_outside(["x.toml"]).exits(0);
    let start = |place: &Place| Group::start_outside(place, &["x.toml", "-j", "2"]);
    kill_at_random_moments(&grid, &oracle, start, rounds(4));
}

/// Kills controllers and workers of a grid `kills` times, and compares what comes of it with the undisturbed
/// `oracle`.
fn kill_at_random_moments(
    grid: &str,
    oracle: &Place,
    start: impl Fn(&Place) -> Group,
    kills: usize,
) {
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    say(&format!("kills by seed {seed}"));
    let mut state = seed;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % below
    };
    let (mut killed, mut grids) = (0, 0);
    while killed < kills {
        let place = Place::with(grid);
        let mut done: BTreeMap<PathBuf, SystemTime> = BTreeMap::new();
        loop {
            let mut running = start(&place);
            let controller = running.child.id();
            let code = loop {
                if killed >= kills {
                    break running.child.wait().unwrap().code();
                }
                std::thread::sleep(Duration::from_millis(random(800)));
                if let Some(status) = running.child.try_wait().unwrap() {
                    break status.code();
                }
                killed += 1;
                let workers = children(controller);
                let at = random(workers.len() as u64 + 1);
                if let Some(worker) = workers.get(at as usize) {
                    // It may have ended meanwhile.
                    let _ = std::process::Command::new("kill")
                        .args(["-KILL", &worker.to_string()])
                        .status();
                } else {
                    let _ = running.child.kill();
                    running.child.wait().unwrap();
                    wait_for_end(&workers);
                    break None;
                }
            };
            let files = ended(&place, "grid");
            for (path, time) in &done {
                assert_eq!(
                    files.get(path),
                    Some(time),
                    "{} was done (seed {seed})",
                    path.display()
                );
            }
            done = files;
            // The run of a killed worker is retried.
            let killed: BTreeSet<PathBuf> = done
                .keys()
                .filter(|path| path.ends_with("manifest.json"))
                .filter(|path| !std::fs::read_to_string(path).unwrap().contains("\"done\""))
                .map(|path| path.parent().unwrap().to_owned())
                .collect();
            done.retain(|path, _| !killed.contains(path.parent().unwrap()));
            match code {
                Some(0) => break,
                Some(100) | None => {}
                code => panic!("exit code {code:?} (seed {seed}): {}", place.read("said.txt")),
            }
        }
        assert_equal("grid", &place, oracle);
        assert!(place.path("results/grid/work").read_dir().unwrap().next().is_none());
        grids += 1;
    }
    say(&format!("{killed} processes killed in {grids} grids"));
}

/// Runs that a command began, by its events.
fn began(place: &Place, events: &str) -> Vec<String> {
    let events = place.read(events);
    let events = events.lines().map(|line| serde_json::from_str(line).unwrap());
    let started = events.filter(|event: &serde_json::Value| event["event"] == "started");
    started.map(|event| event["run"].as_str().unwrap().to_owned()).collect()
}

/// Wrong if two commands on one folder did work twice, disturbed each other, or did not both notice the end.
#[test]
fn two_commands_share_the_work_and_each_run_is_executed_once() {
    let text = GRID.replace("[0, 1, 2, 3]", "[0]").replace("1000", "300");
    let oracle = undisturbed(&text);
    for round in 0..rounds(3) {
        let place = Place::with(&text);
        let commands = ["a.json", "b.json"].map(|events| {
            let mut command = place.command(["x.toml", "-j", "2", "--events", events]);
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
            command.spawn().unwrap()
        });
        for mut command in commands {
            assert_eq!(command.wait().unwrap().code(), Some(0), "round {round}");
        }
        let mut began = [began(&place, "a.json"), began(&place, "b.json")].concat();
        began.sort();
        assert_eq!(began, place.run_ids("grid"), "each run once, round {round}");
        assert_equal("grid", &place, &oracle);
    }
}

/// Wrong if nobody did the work of a killed command although another command is there.
#[test]
fn of_two_commands_the_one_that_is_left_does_the_rest() {
    let oracle = undisturbed(GRID);
    let place = Place::with(GRID);
    let mut other = place.command(["x.toml", "-j", "1"]).spawn().unwrap();
    let mut killed = Group::start(&place, &["x.toml", "-j", "1"]);
    killed.wait_for("progress");
    killed.child.kill().unwrap();
    assert_eq!(other.wait().unwrap().code(), Some(0));
    assert_equal("grid", &place, &oracle);
}

/// Wrong if a worker that hangs, or is cut off, kept its run for ever, or spoilt the results of others when
/// it wakes up.
#[test]
fn a_worker_that_was_stopped_beyond_its_lease_has_lost_its_run() {
    let oracle = undisturbed(&one());
    let place = Place::with(&one());
    place.hold();
    let running = Group::start(&place, &["x.toml", "-j", "1"]);
    running.wait_for("progress");
    let worker = children(running.child.id())[0];
    signal("STOP", i64::from(worker));
    place.let_go();
    let taker = place.run(["x.toml", "-j", "1"]).exits(0);
    taker.complains([format!("process {worker} on ").as_str()]);
    let taken = ended(&place, "one");
    signal("CONT", i64::from(worker));
    assert_eq!(running.code(), Some(0), "it sees that all is done");
    assert_eq!(ended(&place, "one"), taken, "it wrote something");
    assert_equal("one", &place, &oracle);
    assert!(crate::support::program::numbers(&place.table("one/runs"), "attempt")[0] > Some(1.0));
}

/// Wrong if a run on a machine that is taken away again and again never ended, counted as failed, or ended
/// differently.
#[test]
fn a_run_that_is_preempted_again_and_again_ends_as_if_it_had_not_been() {
    let oracle = undisturbed(&one());
    let place = Place::with(&one());
    place.hold();
    let mut step = 0;
    for round in 0..5 {
        let running = Group::start(&place, &["x.toml"]);
        let at = running.wait_for("progress")["step"].as_u64().unwrap();
        assert!(at > step, "round {round} goes on where the one before ended");
        step = at;
        // Wait a little longer, so that each round makes progress.
        std::thread::sleep(Duration::from_millis(50));
        signal("TERM", i64::from(running.child.id()));
        assert_eq!(running.code(), Some(143));
        let status = place.run(["status", "results/one"]).exits(5);
        assert!(status.out.contains("1 interrupted"), "{status}");
    }
    place.let_go();
    place.run(["x.toml"]).exits(0);
    assert_equal("one", &place, &oracle);
}
