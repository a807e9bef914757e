//! Disks that are full, read-only or gone, and paths that lead nowhere: the command ends with a clear message
//! and exit code 74, and the same command resumes when the cause is gone.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use framework::spec::RunId;
use store::{Folder, RunState};

use crate::support::program::{Place, Said, assert_same, changes};
use crate::support::skipped::skipped;
use crate::support::under_way::{Running, processes_in, within};

/// A grid of six runs with models and checkpoints of a few hundred kilobytes.
const GRID: &str = "name = \"grid\"
seeds = [0, 1, 2, 3, 4, 5]

[dataset]
kind = \"digits\"

[architecture]
kind = \"dense\"
latents = 512

[train]
steps = 20
batch = 16

[run]
checkpoint = 0
";

/// The tables of the grid.
const TABLES: [&str; 3] = ["grid/runs", "grid/history", "grid/latents"];

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

/// Checks that every run under `runs/` is whole, and returns these runs.
#[track_caller]
fn whole_runs(folder: &Path) -> Vec<String> {
    let ids = fs::read_dir(folder.join("runs")).into_iter().flatten();
    let ids: Vec<String> =
        ids.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    for id in &ids {
        let state = Folder::at(folder).state(&RunId(id.clone()), true).unwrap();
        assert!(matches!(state, RunState::Ended(_)), "{id}: {state:?}");
    }
    ids
}

/// Runs a script of `sh` that may mount file systems, visible to it alone; `None` where that is forbidden.
pub fn with_mounts(place: &Place, script: &str) -> Option<Said> {
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-ec", script]);
        command.current_dir(place.path("")).env("SAEGRID", env!("CARGO_BIN_EXE_saegrid"));
        command.output()
    };
    fs::create_dir(place.path("results")).unwrap();
    match unshare("mount -t tmpfs -o size=8m none results") {
        Ok(tried) if tried.status.success() => {}
        why => {
            skipped(&format!("a file system cannot be mounted here: {why:?}"));
            return None;
        }
    }
    Some(Said::from(unshare(script).unwrap()))
}

/// Wrong if a disk that fills up in the middle left half a result under its name, lost a whole one, were not
/// named, or if the grid ended differently once there is room again.
#[test]
fn a_disk_that_runs_full_is_named_and_nothing_is_lost() {
    let place = Place::with(GRID);
    // A run takes 2.4 MB for its checkpoints, and 0.3 MB when it is done: some have room, not all. The script
    // copies the results for the test: nobody else sees what it mounts.
    let script = "mount -t tmpfs -o size=8m none results
        head -c 5M /dev/zero > results/ballast
        code=0; \"$SAEGRID\" x.toml -j 1 2> full || code=$?; echo $code > code
        cp -r results/grid early; df -k results > space
        code=0; \"$SAEGRID\" x.toml -j 2 2>> full || code=$?; echo $code >> code
        rm results/ballast
        \"$SAEGRID\" x.toml -j 2
        cp -r results/grid late";
    let Some(said) = with_mounts(&place, script) else { return };
    let (said, full) = (said.exits(0), place.read("full"));
    assert_eq!(place.read("code"), "74\n74\n", "{full}\n{said}");
    assert!(full.contains("cannot write `results/grid/"), "{full}");
    assert!(full.contains("No space left on device"), "{full}");
    assert!(full.contains(" bytes are free there"), "{full}");

    let done = whole_runs(&place.path("early"));
    assert!((1..6).contains(&done.len()), "{} runs had room", done.len());
    assert_eq!(whole_runs(&place.path("late")).len(), 6);
    for id in done {
        let file =
            |folder: &str| fs::read(place.path(folder).join("runs").join(&id).join("run.parquet"));
        assert_eq!(file("early").unwrap(), file("late").unwrap(), "{id} was run again");
    }
    fs::rename(place.path("late"), place.path("results/grid")).unwrap();
    assert_tables(&place, &oracle(GRID));
}

/// Wrong if runs trained whose results cannot be stored, in a new folder or in one with results.
#[test]
fn a_read_only_disk_is_found_out_before_anything_trains() {
    let place = Place::with(GRID);
    let script = "mount -t tmpfs none results
        mount -o remount,ro results
        code=0; \"$SAEGRID\" x.toml --events 1 2> new || code=$?; echo $code > code
        mount -o remount,rw results
        \"$SAEGRID\" x.toml --set 'seeds=[0]'
        \"$SAEGRID\" x.toml --set 'seeds=[0, 1]' --set train.steps=1
        mount -o remount,ro results
        code=0; \"$SAEGRID\" x.toml --set 'seeds=[0, 1]' --events 2 2> old || code=$?; echo $code >> code
        \"$SAEGRID\" status results/grid";
    let Some(said) = with_mounts(&place, script) else { return };
    let said = said.exits(0);
    assert_eq!(place.read("code"), "74\n74\n", "{said}");
    for (said, events) in [("new", "1"), ("old", "2")] {
        let said = place.read(said);
        assert!(said.contains("`results/grid") && said.contains("Read-only file system"), "{said}");
        let events = fs::read_to_string(place.path(events)).unwrap_or_default();
        assert!(!events.contains("started"), "something trained: {events}");
    }
}

/// Runs long enough for a folder to go away under them.
fn slow() -> String {
    GRID.replace("steps = 20", "steps = 4000").replace("checkpoint = 0", "lease = \"1s\"")
}

/// Wrong if runs whose folder is gone continued for nothing or were stored elsewhere, or if done runs were
/// lost when the folder is back.
#[test]
fn a_folder_that_is_moved_away_ends_the_command_and_is_gone_on_with_when_it_is_back() {
    let text = slow();
    let oracle = oracle(&text);
    let place = Place::with(&text);
    let (folder, away) = (place.path("results/grid"), place.path("away"));
    let running = Running::start(&place, place.command(["x.toml", "-j", "2"]));
    running.wait_for("finished", 1);
    running.wait_for("started", 3);
    fs::rename(&folder, &away).unwrap();
    let said = running.end().exits(74);
    said.complains(["results/grid", "is gone"]);
    within(Duration::from_secs(1), "all processes end", || {
        processes_in(&place.path("")).is_empty()
    });
    assert!(!folder.exists(), "something is stored where nothing was: {:?}", changes(&folder));

    fs::rename(&away, &folder).unwrap();
    let done = changes(&folder.join("runs"));
    assert!(!done.is_empty());
    place.run(["x.toml"]).exits(0);
    let now = changes(&folder.join("runs"));
    assert!(done.iter().all(|(path, time)| now.get(path) == Some(time)), "a run was repeated");
    assert_tables(&place, &oracle);
}

/// Wrong if runs whose folder is removed continued for nothing, or prevented a new start.
#[test]
fn a_folder_that_is_removed_ends_the_command_and_is_made_anew_by_the_next() {
    let text = slow().replace("[0, 1, 2, 3, 4, 5]", "[0, 1]");
    let oracle = oracle(&text);
    let place = Place::with(&text);
    for all in [false, true] {
        let running = Running::start(&place, place.command(["x.toml", "-j", "2"]));
        running.wait_for("progress", 2);
        let folder = place.path(if all { "results" } else { "results/grid" });
        // A worker may be writing into it.
        within(Duration::from_secs(5), "it is removed", || {
            let _ = fs::remove_dir_all(&folder);
            !folder.exists()
        });
        running.end().exits(74).complains(["results/grid", "is gone"]);
        assert!(processes_in(&place.path("")).is_empty());
        assert!(!folder.exists(), "something is stored: {:?}", changes(&folder));
    }
    place.run(["x.toml"]).exits(0);
    assert_tables(&place, &oracle);
}

/// Wrong if an obstacle in the place of a folder, or a path too long for any system, gave anything but a
/// message that names it.
#[test]
fn what_is_in_the_way_and_paths_too_long_are_named() {
    let text = GRID.replace("[0, 1, 2, 3, 4, 5]", "[0]");
    for path in ["results", "results/grid", "results/grid/runs", "results/grid/work"] {
        let place = Place::with(&text);
        fs::create_dir_all(place.path(path).parent().unwrap()).unwrap();
        place.write(path, "in the way");
        let said = place.run(["x.toml", "-j", "1"]).exits(74);
        assert!(said.err.contains(path), "{path} is not named: {said}");
        fs::remove_file(place.path(path)).unwrap();
        place.run(["x.toml"]).exits(0);
    }
    let place = Place::with(&text);
    for path in ["x".repeat(300), "x/".repeat(3000)] {
        let said = place.run(["x.toml", "--output-dir", &path]).exits(74);
        said.complains(["File name too long"]);
    }
}
