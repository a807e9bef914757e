//! `status`, `watch` and `cancel` beside a cluster that answers, answers in unknown words, or does not
//! answer.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use serde_json::json;

use super::fake::Site;
use crate::support::program::{Said, with};

/// A site with a job and a grid of which one run is done.
fn submitted() -> Site {
    let site = Site::with(&format!("seeds = [0, 1]\n{}", with("")));
    site.place.run(["x.toml", "--set", "seeds=[0]"]).exits(0);
    site.run(&["submit", "x.toml"]).exits(0);
    site
}

fn status(site: &Site) -> Said {
    let said = site.run(&["status", "results/tiny"]).exits(5);
    assert!(said.out.starts_with("tiny: 2 runs: 1 done, 1 new\n"), "{said}");
    said
}

/// Wrong if a scheduler that fails, hangs, or uses an unknown word changed which runs count as done, or made
/// a command wait.
#[test]
fn what_the_queue_says_is_shown_and_changes_nothing() {
    let site = submitted();
    let lines = "echo '101|PENDING|JobHeldUser'; echo '101|PENDING|JobHeldUser'; echo '101|RUNNING|None'; \
                 echo '101|FAILED|NonZeroExitCode'; echo '7|PENDING|None'";
    site.says("squeue", lines);
    let said = status(&site);
    let expected = "\nSlurm: job 101: 2 PENDING (JobHeldUser), 1 RUNNING\n";
    assert!(said.out.contains(expected), "{said}");
    let listed = site.run(&["status", "results/tiny", "--json"]).exits(5).json();
    let held = json!({ "job": "101", "state": "PENDING", "reason": "JobHeldUser", "tasks": 2 });
    assert_eq!(listed["slurm"]["jobs"][0], held);
    assert_eq!(listed["counts"], json!({ "done": 1, "new": 1 }));

    site.says("squeue", "echo '101|BEWITCHED|A spell'; echo nonsense");
    let said = status(&site);
    assert!(said.out.contains("Slurm: job 101: 1 BEWITCHED (A spell)\n"), "{said}");

    site.says(
        "squeue",
        "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1",
    );
    let said = status(&site);
    let notes: Vec<&str> = said.out.lines().filter(|line| line.contains("Slurm")).collect();
    assert_eq!(notes.len(), 1, "{said}");
    assert!(notes[0].contains("is not known") && notes[0].contains("Unable to contact"), "{said}");
    let listed = site.run(&["status", "results/tiny", "--json"]).exits(5).json();
    assert!(listed["slurm"]["unknown"].is_string() && listed["counts"]["done"] == 1);

    site.says("squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1");
    assert!(!status(&site).out.contains("Slurm"), "jobs that are long over are no trouble");

    site.says("squeue", "sleep 60");
    let started = Instant::now();
    let said = status(&site);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert!(said.out.contains("no answer in 5s"), "{said}");

    site.lacks("squeue");
    assert!(status(&site).out.contains("there is no `squeue` here"));
}

/// Wrong if a command asked a cluster about a grid that was never submitted.
#[test]
fn a_cluster_is_asked_only_for_what_was_submitted() {
    let site = Site::with(&with(""));
    site.run(&["x.toml"]).exits(0);
    site.run(&["status", "results/tiny"]).exits(0);
    site.run(&["watch", "results/tiny"]).exits(0);
    let said = site.run(&["cancel", "results/tiny"]).exits(0);
    assert!(said.out.contains("nothing was submitted"), "{said}");
    assert!(site.calls("squeue").is_empty() && site.calls("scancel").is_empty());
}

/// A folder made by somebody else. Wrong if `cancel` cancelled a job of this user that does not belong to the
/// folder, passed a record to a program as an option, or spared the folder's own jobs because of it.
#[test]
fn a_job_that_is_none_of_the_folders_is_not_cancelled_whatever_a_record_says() {
    let site = submitted();
    let record = |number: usize, job: &str, more: &str| {
        let text = format!(
            "{{\"job\": \"{job}\", {more}\"workers\": 1, \"since\": \"2026-01-01\", \"host\": \"x\"}}"
        );
        site.place.write(&format!("results/tiny/slurm/{number}.json"), text);
    };
    record(7, "4711", "");
    record(8, "4712", "");
    record(9, "--user=me", "");
    record(10, "5", "\"cluster\": \"x --me\", ");
    let me = fs::metadata(site.place.path("")).unwrap().uid();
    let here = site.place.path("").canonicalize().unwrap().display().to_string();
    let owners = format!(
        "101|{me}|{here}/results/tiny/slurm/1.sh\n4711|{me}|/home/me/weeks.sh\n4712|{}|{here}/results/tiny/slurm/8.sh\n",
        me + 1
    );
    site.place.write("owners", owners);
    site.says(
        "squeue",
        "echo '101|RUNNING|None'; echo '4711|RUNNING|None'; echo '4712|RUNNING|None'",
    );
    let said = site.run(&["cancel", "results/tiny"]).exits(0);
    assert_eq!(site.calls("scancel"), ["101"], "{said}");
    assert!(said.out.contains("cancelled 1 worker\n") && !said.out.contains("4711"), "{said}");
    let said = said.complains([
        "job 4711 is not cancelled: it runs `/home/me/weeks.sh`, which is no script of this folder",
        "job 4712 is not cancelled: it is another user's",
        "slurm/9.json` is no record of a submission and is left out: \"--user=me\" is no job",
        "slurm/10.json` is no record of a submission and is left out: \"x --me\" is no name of a cluster",
    ]);
    assert!(
        site.calls("squeue").iter().all(|call| !call.contains("--user") && !call.contains("--me"))
    );

    site.place.write("owners", "");
    let none = site.run(&["cancel", "results/tiny"]).exits(0);
    assert!(none.err.contains("does not say whose it is"), "{none}\n{said}");
    assert!(none.out.contains("no job of this folder is there"), "{none}");
    assert_eq!(site.calls("scancel").len(), 1);
    site.run(&["status", "results/tiny"]).exits(5).complains(["slurm/9.json", "slurm/10.json"]);
}

/// Wrong if jobs stayed, if jobs of others were cancelled, or if success were claimed although Slurm failed.
#[test]
fn jobs_are_cancelled_and_the_grid_stays_resumable() {
    let site = submitted();
    site.run(&["submit", "x.toml"]).exits(0);
    site.says("squeue", "echo 'Unable to contact slurm controller' >&2; exit 1");
    site.run(&["cancel", "results/tiny"]).exits(74).complains(["`squeue` says: Unable to contact"]);
    assert!(site.calls("scancel").is_empty());

    site.says(
        "squeue",
        "echo '102|PENDING|Priority'; echo '102|RUNNING|None'; echo '101|COMPLETED|None'",
    );
    site.says("scancel", "echo 'Access denied' >&2; exit 1");
    site.run(&["cancel", "results/tiny"]).exits(74).complains(["`scancel` says: Access denied"]);
    site.says("scancel", "");
    let said = site.run(&["cancel", "results/tiny"]).exits(0);
    for part in ["cancelled 2 workers", "job 102: 1 PENDING (Priority), 1 RUNNING"] {
        assert!(said.out.contains(part), "`{part}` is missing:\n{said}");
    }
    assert_eq!(site.calls("scancel"), ["102"; 2]);
    assert_eq!(site.place.json("results/tiny/slurm/2.json")["cancelled"], true);

    site.says("squeue", "echo '102|CANCELLED|None'");
    let said = site.run(&["cancel", "results/tiny"]).exits(0);
    assert!(said.out.contains("no job is there any more"), "{said}");
    let said = site.run(&["submit", "x.toml"]).exits(0);
    assert!(said.out.contains("submitted job 103: 1 worker"), "{said}");
    assert_eq!(site.place.json("results/tiny/slurm/3.json")["cancelled"], false);

    // This machine does the rest; the waiting job is shown until it is gone.
    site.says("squeue", "echo '103|PENDING|Priority'");
    site.run(&["x.toml"]).exits(0);
    let watched = site.run(&["watch", "results/tiny"]).exits(0);
    assert!(watched.out.contains("2 done\nSlurm: job 103: 1 PENDING (Priority)\n"), "{watched}");
}
