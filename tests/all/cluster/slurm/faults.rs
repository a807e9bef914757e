//! Faults of a cluster: a grid ends with the results of an undisturbed run on one machine, bit for bit, and
//! only unfinished runs are executed again.

use std::collections::HashSet;
use std::process::Command;
use std::time::{Duration, Instant};

use super::cluster::{Cluster, said_in};
use super::nodes::{Task, path_with_failing_squeue};
use crate::support::program::{Place, Said, assert_same, texts};
use crate::support::under_way::send;

/// 50 runs of three seconds that use no processor: the test is not about the speed of the machine.
const GRID: &str = "name = \"grid\"\nseeds = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\n[dataset]\nkind = \"digits\"\n\
    [architecture]\nkind = \"dense\"\nlatents = 16\n[penalty]\nkind = \"slow\"\nmilliseconds = 30\n\
    [train]\nsteps = 100\nbatch = 16\n[evaluate]\nevery = 50\n\
    [run]\ncheckpoint = \"500ms\"\nlease = \"5s\"\n\
    [grid]\n\"train.optimizer.lr\" = [0.001, 0.002, 0.003, 0.005, 0.01]\n";

const RUNS: usize = 50;

/// Longer than any step takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(200);

/// How long the queue cannot be asked.
const A_MINUTE: Duration = Duration::from_secs(60);

/// States of finished tasks.
const OVER: [&str; 5] = ["COMPLETED", "CANCELLED", "TIMEOUT", "FAILED", "NODE_FAIL"];

fn ended(place: &Place) -> usize {
    if place.path("results/grid/runs").exists() { place.run_ids("grid").len() } else { 0 }
}

/// Number of done runs, read from the first line of `status`: `grid: 50 runs: 12 done, 8 running`.
#[track_caller]
fn done(status: &str) -> usize {
    let counts =
        status.lines().next().and_then(|line| line.rsplit(": ").next()).unwrap_or_default();
    let done = counts.split(", ").find_map(|count| count.strip_suffix(" done"));
    done.map_or(0, |count| count.parse().unwrap_or_else(|_| panic!("{status}")))
}

/// The attempt that gave each run's results.
fn attempts(place: &Place) -> Vec<usize> {
    texts(&place.table("grid/runs"), "attempt").iter().map(|text| text.parse().unwrap()).collect()
}

/// One of these tasks that is not among the others and runs on none of these nodes.
#[track_caller]
fn another<'a>(tasks: &'a [Task], others: &[&Task], nodes: &[&Task]) -> &'a Task {
    let is_free = |task: &&Task| {
        others.iter().all(|other| other.name != task.name)
            && nodes.iter().all(|other| other.node != task.node)
    };
    tasks.iter().find(is_free).unwrap_or_else(|| panic!("none but {others:?}: {tasks:?}"))
}

/// Wrong if a fault of tasks or nodes lost a result, changed one, executed a run twice, or left the grid
/// unfinished; or if the grid could not run at a site with lower limits than its size, without accounting, or
/// with a queue that cannot be asked.
#[test]
fn a_grid_ends_as_on_one_machine_whatever_happens_to_tasks_and_nodes() {
    let options = ["--nodes", "4", "--set", "MaxArraySize=7", "--set", "MaxJobCount=9"];
    let Some(cluster) = Cluster::start(&options) else { return };
    let place = Place::with(GRID);
    let logs = place.path("results/grid/slurm/log");
    let wait = |what: &str, is_so: &mut dyn FnMut() -> bool| {
        cluster.wait_until(PATIENCE, what, &logs, is_so);
    };
    let submit = |more: &[&str]| {
        let words = ["submit", "x.toml", "--engine", "slurm"].iter().chain(more);
        cluster.outside(&place, words).exits(0)
    };
    let mut accounting = Command::new("sacct");
    cluster.in_it(&mut accounting);
    assert!(!accounting.output().unwrap().status.success(), "there is accounting");

    // A task of one minute that is stopped: it hears no warning, and Slurm kills it.
    submit(&["--workers", "1", "--slurm", "time=1"]);
    wait("it has a run", &mut || {
        let work = std::fs::read_dir(place.path("results/grid/work"));
        work.is_ok_and(|work| work.count() == 1) && cluster.running().len() == 1
    });
    let stopped = cluster.running().remove(0);
    let processes = cluster.processes(&stopped);
    assert!(processes.len() >= 2, "a pool and its worker: {processes:?}");
    processes.into_iter().for_each(|pid| send("STOP", pid));
    let begun = Instant::now();

    let said = submit(&["--slurm", "time=10"]);
    assert!(said.err.contains("submitted before, and there: 1 worker\n"), "{said}");
    assert!(
        said.out.contains("7 workers in place of 50, as MaxArraySize of this site is 7"),
        "{said}"
    );
    wait("8 tasks are running", &mut || cluster.running().len() == 8);
    let tasks = cluster.running();

    // Faults of the other tasks while they work.
    wait("some runs have ended", &mut || ended(&place) >= 4);
    let lost = another(&tasks, &[], &[&stopped]);
    let drained = another(&tasks, &[], &[&stopped, lost]);
    let cancelled = another(&tasks, &[&stopped, drained], &[lost]);
    let requeued = another(&tasks, &[&stopped, drained, cancelled], &[lost]);
    let on_it = tasks.iter().filter(|task| task.node == lost.node).count();
    cluster.slurm("scancel", &[&cancelled.name]);
    cluster.slurm("scontrol", &["requeue", &requeued.name]);
    let node = format!("nodename={}", drained.node);
    cluster.slurm("scontrol", &["update", &node, "state=drain", "reason=test"]);
    cluster.lose(&lost.node);
    assert!(ended(&place) < RUNS, "all was over before anything happened");

    // For a minute `status` cannot ask the queue: it answers from the files.
    let path = path_with_failing_squeue(&place);
    let blind = Instant::now();
    while blind.elapsed() < A_MINUTE {
        let before = ended(&place);
        let mut status = place.command_outside(["status", "results/grid"]);
        cluster.in_it(&mut status);
        let said = Said::from(status.env("PATH", &path).output().unwrap());
        let known = before..=ended(&place);
        assert!(known.contains(&done(&said.out)), "{known:?}: {said}");
        assert!(format!("{said}").contains("Unable to contact slurm controller"), "{said}");
        std::thread::sleep(Duration::from_secs(3));
    }

    wait("all runs have ended", &mut || ended(&place) == RUNS);
    println!("all runs have ended after {:?}", begun.elapsed());
    wait("no task is left", &mut || cluster.all().iter().all(|task| OVER.contains(&&*task.state)));
    println!("all tasks are over after {:?}", begun.elapsed());
    assert_eq!(cluster.state(&cancelled.name), "CANCELLED");
    assert_eq!(cluster.state(&stopped.name), "TIMEOUT");
    assert!(cluster.restarts() > on_it, "the requeued task, and those of the lost node");

    let said = cluster.outside(&place, ["x.toml"]).exits(0);
    assert!(said.err.contains("nothing to do: all 50 runs have ended"), "{said}");
    let said = submit(&[]);
    assert!(said.out.contains("no job is submitted"), "{said}");
    let alone = Place::with(GRID);
    alone.run_outside(["x.toml", "-j", "25", "--threads-per-run", "1"]).exits(0);
    for table in ["grid/runs", "grid/history", "grid/latents"] {
        assert_same(&place.table(table), &alone.table(table));
    }

    // Disturbed runs resumed, and no other run began twice.
    let (again, disturbed) = (attempts(&place).iter().sum::<usize>() - RUNS, 3 + on_it);
    println!("{again} attempts more than runs, with {disturbed} tasks disturbed");
    assert!((1..=disturbed).contains(&again), "{:?}", attempts(&place));
    let said = said_in(&logs);
    for id in place.run_ids("grid") {
        let ends = said.lines().filter(|line| line.contains(&id) && line.contains(": done"));
        assert!(ends.count() <= 1, "{id} was done more than once:\n{said}");
    }
    assert!(!place.path("results/grid/replaced").exists(), "something was put aside");
    let nodes: HashSet<&str> = tasks.iter().map(|task| &*task.node).collect();
    assert!(nodes.len() >= 2, "{nodes:?}");
}

/// A run of more than a minute, in jobs of a minute. Wrong if each job began it anew, if it never ended, or
/// if its results differed.
#[test]
fn a_run_that_is_longer_than_its_job_may_be_ends_over_several() {
    let Some(cluster) = Cluster::start(&["--nodes", "1"]) else { return };
    let text = |milliseconds: usize| {
        GRID.replace("[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]", "[0]")
            .replace("[0.001, 0.002, 0.003, 0.005, 0.01]", "[0.001]")
            .replace("milliseconds = 30", &format!("milliseconds = {milliseconds}"))
    };
    let place = Place::with(&text(500));
    let logs = place.path("results/grid/slurm/log");
    let begun = Instant::now();
    cluster.outside(&place, ["submit", "x.toml", "--slurm", "time=1"]).exits(0);
    cluster.wait_until(PATIENCE, "the run has ended", &logs, || ended(&place) == 1);
    println!("ended after {:?} and {} restarts", begun.elapsed(), cluster.restarts());
    cluster.wait_until(PATIENCE, "its job is over", &logs, || {
        cluster.all().iter().all(|task| task.state == "COMPLETED")
    });
    assert!(cluster.restarts() >= 1, "one job was long enough: {:?}", begun.elapsed());
    let said = cluster.outside(&place, ["x.toml"]).exits(0);
    assert!(said.err.contains("nothing to do"), "{said}");
    assert!(attempts(&place)[0] >= 2, "{:?}", attempts(&place));

    // The time that a step takes changes no result.
    let alone = Place::with(&text(0));
    alone.run_outside(["x.toml"]).exits(0);
    let (here, there) = (place.table("grid/runs"), alone.table("grid/runs"));
    for name in ["test_mse", "test_l0", "train_loss", "test_mean_activation"] {
        assert_eq!(here.get(name), there.get(name), "{name}");
    }
}
