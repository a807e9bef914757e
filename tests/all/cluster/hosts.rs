//! Several machines on one folder, as far as one machine can stand for them: hosts with their own names,
//! whose processes cannot see each other. The store tests what depends on the clocks of machines.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use framework::spec::Experiment;
use store::Folder;

use crate::support::program::{Place, assert_same, texts};
use crate::support::skipped::skipped;
use crate::support::under_way::wait_until;

/// Six runs of two seconds.
const TEXT: &str = "name = \"hosts\"\nseeds = [0, 1, 2, 3, 4, 5]\n[dataset]\nkind = \"digits\"\n\
    [architecture]\nkind = \"dense\"\nlatents = 16\n[penalty]\nkind = \"slow\"\nmilliseconds = 20\n\
    [train]\nsteps = 100\nbatch = 16\n[evaluate]\nevery = 50\n\
    [run]\ncheckpoint = \"200ms\"\nlease = \"2s\"\n";

const TABLES: [&str; 3] = ["hosts/runs", "hosts/history", "hosts/latents"];

/// A command on a machine of this name. It has processes of its own, and all of them end with it.
fn on(host: &str, command: &Command) -> Command {
    let mut elsewhere = Command::new("unshare");
    elsewhere.args(["--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    elsewhere.args(["sh", "-c", "echo \"$0\" > /proc/sys/kernel/hostname && exec \"$@\"", host]);
    elsewhere.arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        elsewhere.current_dir(folder);
    }
    elsewhere.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    elsewhere
}

/// Whether this machine can stand for several. If not, the log says that the test is skipped.
fn there_are_hosts() -> bool {
    let there_are = on("a", &Command::new("true")).status().is_ok_and(|status| status.success());
    if !there_are {
        skipped("`unshare` cannot make hosts of this machine (only root can)");
    }
    there_are
}

fn hosts(place: &Place) -> Vec<String> {
    let mut hosts = texts(&place.table("hosts/runs"), "host");
    hosts.sort();
    hosts.dedup();
    hosts
}

fn alone() -> Place {
    let alone = Place::with(TEXT);
    alone.run_outside(["x.toml", "-j", "6", "--threads-per-run", "1"]).exits(0);
    alone
}

/// Wrong if workers of two machines did a run twice or gave other results, or if nobody finished the run of a
/// lost machine.
#[test]
fn of_two_machines_the_one_that_is_left_does_the_rest() {
    if !there_are_hosts() {
        return;
    }
    let place = Place::with(TEXT);
    let file = place.path("x.toml");
    let experiment = Experiment::read(&file, &[]).unwrap();
    Folder::at(place.path("results/hosts")).open_for(&experiment, &file, &[]).unwrap();
    let worker =
        place.command_outside(["worker", "results/hosts", "--jobs", "2", "--threads", "1"]);
    let mut lost = on("node-a", &worker).spawn().unwrap();
    wait_until("the first has ended a run and begun another", || {
        let work = fs::read_dir(place.path("results/hosts/work"));
        !place.run_ids("hosts").is_empty() && work.is_ok_and(|work| work.count() > 0)
    });
    let mut left = on("node-b", &worker).spawn().unwrap();
    lost.kill().unwrap();
    lost.wait().unwrap();
    assert!(left.wait().unwrap().success());
    place.run_outside(["x.toml"]).exits(0);
    assert_eq!(hosts(&place), ["node-a", "node-b"]);
    let alone = alone();
    TABLES.iter().for_each(|table| assert_same(&place.table(table), &alone.table(table)));
}

/// Two machines wrote folders, and one copy merges them. Wrong if a run were missing in the tables, if the
/// host of a run were forgotten, or if existing tables were not brought up to date.
#[test]
fn runs_of_two_machines_that_are_copied_together_are_one_grid() {
    if !there_are_hosts() {
        return;
    }
    let run = |host: &str, seeds: &str| {
        let place = Place::with(TEXT);
        let set = format!("seeds={seeds}");
        let words = ["x.toml", "--set", &set, "-j", "3", "--threads-per-run", "1"];
        assert!(on(host, &place.command_outside(words)).status().unwrap().success());
        assert_eq!(hosts(&place), [host]);
        place
    };
    let (one, other) = (run("node-a", "[0, 1, 2]"), run("node-b", "[3, 4, 5]"));
    for id in other.run_ids("hosts") {
        let to = one.path("results/hosts/runs").join(&id);
        copy(&other.path("results/hosts/runs").join(&id), &to);
    }
    let said = one.run_outside(["x.toml"]).exits(0);
    assert!(said.err.contains("nothing to do"), "{said}");
    assert_eq!(hosts(&one), ["node-a", "node-b"]);
    for id in other.run_ids("hosts") {
        let manifest = one.json(one.path("results/hosts/runs").join(id).join("manifest.json"));
        assert_eq!(manifest["provenance"]["host"], "node-b");
    }
    let alone = alone();
    TABLES.iter().for_each(|table| assert_same(&one.table(table), &alone.table(table)));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
