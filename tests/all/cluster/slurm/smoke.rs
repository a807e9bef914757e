//! One grid on a real cluster, from `submit` to results that are those of a local run.

use std::fs;
use std::time::{Duration, Instant};

use super::cluster::{Cluster, said_in};
use crate::support::program::{Place, assert_same, texts, with};

/// Wrong if a cluster gave other results than this machine alone, did a run twice, or if a command said
/// something untrue about it.
#[test]
fn a_grid_on_a_cluster_comes_to_the_results_of_a_local_run() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    let text =
        format!("seeds = [0, 1, 2, 3, 4, 5]\n{}", with("[slurm]\ntime = 10\nmem = \"100M\""));
    let (place, oracle) = (Place::with(&text), Place::with(&text));
    oracle.run(["x.toml"]).exits(0);

    let started = Instant::now();
    let said = cluster.saegrid(&place, ["submit", "x.toml", "--engine", "slurm"]).exits(0);
    println!("submitted in {:?}", started.elapsed());
    assert!(said.out.contains("6 of 6 runs to do") && said.out.contains(": 6 workers"), "{said}");
    let logs = place.path("results/tiny/slurm/log");
    let tables = place.path("results/tiny/runs.parquet");
    cluster.wait_until(Duration::from_secs(90), "the tables are made", &logs, || {
        tables.exists() && cluster.tasks().iter().all(|task| task.ends_with("COMPLETED"))
    });
    let table = place.table("tiny/runs");
    assert_same(&table, &oracle.table("tiny/runs"));
    assert_eq!(table.get("attempt").unwrap().texts(), vec![Some("1".to_owned()); 6]);
    assert_eq!(texts(&table, "status"), ["done"; 6]);
    cluster.saegrid(&place, ["status", "results/tiny"]).exits(0);
    let again = cluster.saegrid(&place, ["submit", "x.toml"]).exits(0);
    assert!(again.out.contains("all 6 runs have ended; no job is submitted"), "{again}");
}

/// Wrong if waiting or held jobs were shown without their reason, or could not be cancelled.
#[test]
fn jobs_that_wait_are_shown_with_their_reasons_and_cancelled() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    let text = with("").replace("epochs = 1", "steps = 4000000");
    let place = Place::with(&text);
    cluster.saegrid(&place, ["submit", "x.toml", "--slurm", "hold", "--workers", "2"]).exits(0);
    cluster.saegrid(&place, ["submit", "x.toml", "--workers", "1"]).exits(0);
    let logs = place.path("results/tiny/slurm/log");
    cluster.wait_until(Duration::from_secs(30), "the run is under way", &logs, || {
        let status = cluster.saegrid(&place, ["status", "results/tiny"]).exits(5);
        status.out.contains("1 running") && status.out.contains("1 RUNNING")
    });
    let status = cluster.saegrid(&place, ["status", "results/tiny"]).exits(5);
    assert!(status.out.contains("2 PENDING (JobHeldUser)"), "{status}");
    // A job of this user that only a record connects with the folder.
    let other = cluster.slurm("sbatch", &["--parsable", "--hold", "--wrap", "sleep 600"]);
    let other = other.trim();
    let record = place.read("results/tiny/slurm/1.json");
    let job = place.json("results/tiny/slurm/1.json")["job"].as_str().unwrap().to_owned();
    let forged = record.replace(&format!("\"{job}\""), &format!("\"{other}\""));
    place.write("results/tiny/slurm/9.json", forged);
    let cancelled = cluster.saegrid(&place, ["cancel", "results/tiny"]).exits(0);
    assert!(cancelled.out.contains("cancelled 3 workers"), "{cancelled}");
    assert!(cancelled.err.contains(&format!("job {other} is not cancelled")), "{cancelled}");
    cluster.wait_until(Duration::from_secs(30), "all others are cancelled", &logs, || {
        let is_so = |task: &String| task.ends_with("CANCELLED") != task.starts_with(other);
        cluster.tasks().iter().all(is_so)
    });
    cluster.slurm("scancel", &[other]);
    fs::remove_file(place.path("results/tiny/slurm/9.json")).unwrap();
    let status = cluster.saegrid(&place, ["status", "results/tiny"]).exits(5);
    assert!(
        status.out.contains("1 interrupted") && status.out.contains("checkpoint at"),
        "{status}"
    );
    assert!(!status.out.contains("Slurm:"), "no job is there: {status}");
    let none = cluster.saegrid(&place, ["cancel", "results/tiny"]).exits(0);
    assert!(none.out.contains("no job is there any more"), "{none}");
}

/// Wrong if the same job did not resume a run that takes longer than the job may, or if the run ended
/// otherwise than without a limit. The test sends the warning itself: Slurm looks only twice a minute.
#[test]
fn a_run_that_is_longer_than_its_job_goes_on_when_the_job_comes_back() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    let text = with("").replace("epochs = 1", "steps = 120000");
    let (place, oracle) = (Place::with(&text), Place::with(&text));
    oracle.run(["x.toml"]).exits(0);
    let said = cluster.saegrid(&place, ["submit", "x.toml"]).exits(0);
    let job = place.json("results/tiny/slurm/1.json")["job"].as_str().unwrap().to_owned();
    assert!(said.out.contains(&format!("submitted job {job}: 1 worker\n")), "{said}");
    let logs = place.path("results/tiny/slurm/log");
    cluster.wait_until(Duration::from_secs(30), "the run is under way", &logs, || {
        let status = cluster.saegrid(&place, ["status", "results/tiny"]).exits(5);
        status.out.contains("1 running")
    });
    cluster.slurm("scancel", &["--batch", "--signal=USR1", &format!("{job}_0")]);
    let tables = place.path("results/tiny/runs.parquet");
    cluster.wait_until(Duration::from_secs(90), "the job has come back", &logs, || {
        tables.exists() && cluster.tasks().iter().all(|task| task.ends_with("COMPLETED"))
    });
    let restarts = cluster.slurm("squeue", &["-h", "-r", "-t", "all", "-O", "RestartCnt"]);
    assert_eq!(restarts.trim(), "1");
    let table = place.table("tiny/runs");
    assert_same(&table, &oracle.table("tiny/runs"));
    assert_eq!(table.get("attempt").unwrap().texts(), [Some("2".to_owned())]);
    assert!(said_in(&logs).contains(&format!("job {job}_0 is requeued")), "{}", said_in(&logs));
}
