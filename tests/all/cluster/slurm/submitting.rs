//! `submit`: the jobs that it submits, and its messages where it cannot.

use std::fs;
use std::path::Path;

use super::fake::Site;
use crate::support::program::with;
use crate::support::under_way::{Running, processes_in, send};

/// Six runs, with settings of each kind.
fn settings() -> String {
    let slurm = "[slurm]\npartition = \"short\"\ntime = \"2:00:00\"\nmem = \"4G\"\nexclusive = true\n\
                 setup = [\"module load gcc\", \"ulimit -c 0\"]\nmore = [\"--site-option=x\"]\n";
    format!("seeds = [0, 1, 2, 3, 4, 5]\n{}", with(slurm))
}

/// Wrong if the submitted script changed unseen. `SAEGRID_GOLDEN=write` writes it anew, to be read.
#[test]
fn the_script_is_as_it_was_reviewed() {
    let site = Site::with(&settings());
    let printed = site.run(&["submit", "x.toml", "--print-script"]).exits(0).out;
    assert!(!site.place.has_results(), "nothing is written");
    assert!(site.calls("sbatch").is_empty(), "nothing is submitted");
    site.run(&["submit", "x.toml"]).exits(0);
    assert_eq!(site.place.read("results/tiny/slurm/1.sh"), printed);
    let folder = site.place.path("").canonicalize().unwrap().display().to_string();
    let text = printed.replace(folder.trim_end_matches('/'), "/home/me");
    let text = text.replace(env!("CARGO_BIN_EXE_saegrid"), "/opt/saegrid");
    let golden = Path::new("tests/golden/slurm/worker.sh");
    if std::env::var_os("SAEGRID_GOLDEN").is_some_and(|word| word == "write") {
        fs::write(golden, &text).unwrap();
    }
    assert_eq!(text, fs::read_to_string(golden).unwrap());
}

/// Wrong if `submit` did not say what it submitted and what to watch, if it left a process alive, or if it
/// submitted a job with nothing to do.
#[test]
fn a_job_is_submitted_and_another_one_adds_hands_until_all_is_done() {
    let site = Site::with(&settings());
    let said = site.run(&["submit", "x.toml", "--engine", "slurm"]).exits(0);
    for part in ["6 of 6 runs to do", "submitted job 101: 6 workers", "saegrid cancel results/tiny"]
    {
        assert!(said.out.contains(part), "`{part}` is missing:\n{said}");
    }
    // It says which commands of the file the shell runs.
    let said =
        said.complains(["before each worker, the shell runs\n  module load gcc\n  ulimit -c 0\n"]);
    assert_eq!(site.calls("sbatch"), ["--parsable results/tiny/slurm/1.sh"], "{said}");
    assert_eq!(site.place.json("results/tiny/slurm/1.json")["job"], "101");

    site.says(
        "squeue",
        "echo '101|PENDING|Priority'; echo '101|RUNNING|None'; echo '7|RUNNING|None'",
    );
    let said = site.run(&["submit", "x.toml", "--workers", "2"]).exits(0);
    assert!(said.out.contains("submitted job 102: 2 workers"), "{said}");
    let said = said
        .complains(["submitted before, and there: 2 workers", "1 PENDING (Priority), 1 RUNNING"]);
    assert_eq!(site.array_of(2), "0-1", "{said}");

    site.run(&["worker", "results/tiny"]).exits(0);
    let said = site.run(&["submit", "x.toml"]).exits(0);
    assert!(
        said.out.contains("nothing to do: all 6 runs have ended; no job is submitted"),
        "{said}"
    );
    assert_eq!(site.calls("sbatch").len(), 2);
    let said = site.run(&["submit", "x.toml", "--print-script"]).exits(0);
    assert_eq!(said.out, "", "a job that has nothing to do");
    said.complains(["nothing to do: all 6 runs have ended; there is no script"]);
}

/// Wrong if a site with low limits got no job, or if there were more workers than work.
#[test]
fn there_are_as_many_workers_as_have_work_and_as_the_site_takes() {
    let site = Site::with(&settings());
    site.run(&["submit", "x.toml", "--slurm", "cpus-per-task=4"]).exits(0);
    assert_eq!(site.array_of(1), "0-1", "four runs at once in each");
    let both = ["submit", "x.toml", "--slurm", "cpus-per-task=4", "--slurm", "runs-at-once=1"];
    site.run(&both).exits(0);
    assert_eq!(site.array_of(2), "0-5");
    assert!(site.place.read("results/tiny/slurm/2.sh").contains(" --jobs 1"));

    site.says("scontrol", "echo 'MaxArraySize            = 4'; echo 'MaxJobCount = 10000'");
    let said = site.run(&["submit", "x.toml"]).exits(0);
    assert!(
        said.out.contains("4 workers in place of 6, as MaxArraySize of this site is 4"),
        "{said}"
    );
    assert_eq!(site.array_of(3), "0-3");

    // Only `sbatch` knows a limit: `scontrol` refuses to tell the others.
    site.says("scontrol", "echo 'no permission' >&2; exit 1");
    let refuses = "for file; do :; done\n\
        if grep -q 'array=0-[2-9]' \"$file\"; then\n\
        echo 'sbatch: error: QOSMaxSubmitJobPerUserLimit' >&2\n\
        echo 'sbatch: error: Batch job submission failed: Job violates accounting/QOS policy' >&2\n\
        exit 1; fi\necho 'welcome to this site'; echo '900;big'";
    site.says("sbatch", refuses);
    let said = site.run(&["submit", "x.toml"]).exits(0);
    for part in ["submitted job 900: 1 worker", "more are refused (QOSMaxSubmitJobPerUserLimit)"] {
        assert!(said.out.contains(part), "`{part}` is missing:\n{said}");
    }
    said.complains(["the limits of this site are not known", "no permission"]);
    assert_eq!(site.array_of(4), "0-0");
    assert_eq!(site.place.json("results/tiny/slurm/4.json")["cluster"], "big");
}

/// Wrong if a refusal hid the words of `sbatch`, if the user could not look at the script, or if a program
/// that hangs or is missing left the user without a message.
#[test]
fn a_refusal_is_shown_in_the_words_of_sbatch() {
    let site = Site::with(&settings());
    site.says("sbatch", "echo 'sbatch: error: invalid partition specified: short' >&2; exit 1");
    let said = site.run(&["submit", "x.toml"]).exits(74);
    said.complains(["invalid partition specified: short", "no job was submitted", "slurm/1.sh"]);
    assert_eq!(site.calls("sbatch").len(), 1, "fewer workers would not help");
    assert!(site.place.path("results/tiny/slurm/1.sh").exists());
    site.says("sbatch", "echo 'I will tell you later'");
    site.run(&["submit", "x.toml"]).exits(74).complains(["does not say which job", "later"]);
    site.lacks("sbatch");
    site.lacks("scontrol");
    let said = site.run(&["submit", "x.toml"]).exits(74);
    said.complains(["there is no `sbatch` here", "not installed", "saegrid worker"]);
    site.run(&["status", "results/tiny"]).exits(5);
}

/// Wrong if the more specific option did not win, or if mistakes were found one by one, or only by the
/// cluster.
#[test]
fn settings_come_from_a_users_file_the_experiment_and_the_command_line() {
    let site = Site::with(&settings());
    fs::create_dir_all(site.place.path("config/saegrid")).unwrap();
    let own = "account = \"lab\"\npartition = \"long\"\nmem-per-cpu = \"1G\"\nsetup = \"hello\"\n";
    site.place.write("config/saegrid/slurm.toml", own);
    let line =
        ["submit", "x.toml", "--print-script", "--slurm", "time=5", "--set", "slurm.mem='8G'"];
    let text = site.run(&line).exits(0).out;
    for part in [
        "--account=\"lab\"",
        "--partition=\"short\"",
        "--time=\"5\"",
        "--mem=\"8G\"",
        "hello\nmodule",
    ] {
        assert!(text.contains(part), "`{part}` is missing:\n{text}");
    }
    assert!(!text.contains("mem-per-cpu"), "`sbatch` takes one of the two:\n{text}");

    site.place.write("config/saegrid/slurm.toml", "acount = \"lab\"\n");
    let wrong =
        ["submit", "x.toml", "--slurm", "array=1-9", "--slurm", "time=soon", "--set", "seeds=[]"];
    let said = site.run(&wrong).exits(2);
    let parts = [
        "did you mean `account`?",
        "slurm.toml:1:1",
        "`array` is not to be set",
        "--slurm time=soon",
    ];
    said.complains(parts).complains(["`seeds` is empty", "4 errors; nothing was run"]);
    assert!(!site.place.has_results() && site.calls("sbatch").is_empty());
}

/// Wrong if Slurm or the shell read a path with blanks, quotes or percent signs as another one.
#[test]
fn odd_paths_are_told_as_they_are() {
    let site = Site::with(&settings());
    let odd = "it's 100%A \"odd\" #1";
    site.run(&["submit", "x.toml", "--output-dir", odd]).exits(0);
    let text = site.place.read(format!("{odd}/tiny/slurm/1.sh"));
    assert!(text.contains("it's 100%%A \\\"odd\\\" #1/tiny/slurm/log/%A_%a.txt\""), "{text}");
    site.says("sbatch", "for file; do :; done; sh \"$file\" >&2 && echo 1");
    site.run(&["submit", "x.toml", "--output-dir", odd]).exits(0);
    let status = site.run(&["status", &format!("{odd}/tiny")]).exits(0);
    assert!(status.out.contains("6 done"), "the script works on that folder: {status}");
    let refused = site.run(&["submit", "x.toml", "--output-dir", "back\\slash"]).exits(74);
    refused.complains(["cannot be told to Slurm"]);
}

/// Wrong if a large grid could not be submitted, or only in several commands. (It takes less than a second.)
#[test]
fn a_hundred_thousand_runs_are_submitted_at_once() {
    let text = with("[grid]\n\"penalty.lambda\" = { linear = [0.1, 0.9], points = 100000 }");
    let site = Site::with(&text);
    let said = site.run(&["submit", "x.toml"]).exits(0);
    assert!(said.out.contains("100000 of 100000 runs to do"), "{said}");
    assert!(said.out.contains("submitted job 101: 1001 workers"), "{said}");
}

/// Wrong if a run whose result is damaged, which `run` executes again, were not submitted.
#[test]
fn a_damaged_run_is_to_be_done_again() {
    let site = Site::with(&with(""));
    site.run(&["x.toml"]).exits(0);
    let id = site.place.run_ids("tiny").remove(0);
    let manifest = site.place.path(format!("results/tiny/runs/{id}/manifest.json"));
    fs::write(&manifest, "damaged").unwrap();
    let said = site.run(&["submit", "x.toml"]).exits(0);
    assert!(said.out.contains("1 of 1 runs to do"), "{said}");
    site.run(&["worker", "results/tiny"]).exits(0);
}

/// Wrong if a run whose process was killed, which `run` retries, were not submitted.
#[test]
fn a_killed_run_is_tried_again() {
    let site = Site::with(&with("").replace("epochs = 1", "steps = 4000000"));
    let mut running = Running::start(&site.place, site.command(&["x.toml"]));
    running.wait_for("progress", 1);
    let controller = running.child().id();
    let workers = processes_in(&site.place.path("")).into_iter().filter(|pid| *pid != controller);
    workers.for_each(|pid| send("KILL", pid));
    running.end().exits(100);
    assert!(site.run(&["status", "results/tiny"]).exits(100).out.contains("1 killed"));
    let said = site.run(&["submit", "x.toml"]).exits(0);
    assert!(said.out.contains("1 of 1 runs to do"), "{said}");
    assert!(site.run(&["status", "results/tiny"]).exits(5).out.contains("1 interrupted"));
}
