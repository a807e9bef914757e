//! A worker whose time is nearly over: it keeps a checkpoint and has its own job requeued.

use super::fake::Site;
use crate::support::program::{Said, with};
use crate::support::under_way::Running;

/// A site with a long run, and a job for it.
fn submitted() -> Site {
    let text = with("").replace("epochs = 1", "steps = 4000000");
    let site = Site::with(&text);
    site.run(&["submit", "x.toml"]).exits(0);
    site
}

/// The worker of the job's task 3. It is warned once its run is under way.
fn warned(site: &Site) -> Said {
    let mut worker = site.command(&["worker", "results/tiny", "--requeue"]);
    worker.env("SLURM_ARRAY_JOB_ID", "101").env("SLURM_ARRAY_TASK_ID", "3");
    worker.env("SLURM_JOB_ID", "101");
    let running = Running::start(&site.place, worker);
    running.wait_for("progress", 1);
    running.signal("USR1");
    running.end()
}

/// Wrong if a run longer than the time limit were abandoned, if another task were requeued, or if a worker
/// came back after its job was cancelled.
#[test]
fn a_worker_that_is_warned_requeues_its_own_task_unless_it_is_cancelled() {
    let site = submitted();
    let asked = |site: &Site| -> Vec<String> {
        let mut calls = site.calls("scontrol");
        calls.retain(|call| call.starts_with("requeue"));
        calls
    };
    let said = warned(&site).exits(138);
    assert!(said.err.contains("job 101_3 is requeued"), "{said}");
    assert_eq!(asked(&site), ["requeue 101_3"]);

    site.says("scontrol", "echo 'Requested operation is presently disabled' >&2; exit 1");
    let said = warned(&site).exits(138);
    assert!(said.err.contains("cannot be requeued; another worker goes on"), "{said}");
    assert!(said.err.contains("presently disabled"), "{said}");

    site.says("squeue", "echo '101|RUNNING|None'");
    site.run(&["cancel", "results/tiny"]).exits(0);
    let said = warned(&site).exits(138);
    assert!(said.err.contains("the job is cancelled"), "{said}");
    assert_eq!(asked(&site).len(), 2, "{said}");
    let status = site.run(&["status", "results/tiny"]).exits(5);
    assert!(status.out.contains("1 interrupted"), "{status}");
}

/// Wrong if a worker had jobs requeued without being asked to, or failed outside of Slurm.
#[test]
fn only_a_worker_that_is_told_to_requeues_anything() {
    let site = submitted();
    for more in [&[][..], &["--requeue"]] {
        let words = [&["worker", "results/tiny"], more].concat();
        let mut worker = site.command(&words);
        worker.env_remove("SLURM_JOB_ID").env_remove("SLURM_ARRAY_JOB_ID");
        let running = Running::start(&site.place, worker);
        running.wait_for("progress", 1);
        running.signal("USR1");
        running.end().exits(138);
    }
    assert!(site.calls("scontrol").iter().all(|call| !call.starts_with("requeue")));
}
