//! A real Slurm cluster on this machine: a test starts it and stops it.
//!
//! The variable SAEGRID_TEST_SLURM names the folder with the scripts for that. Without it, tests are skipped.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::program::{Place, Said};
use crate::support::skipped::skipped;

/// The variable that names the folder of the scripts.
const SCRIPTS: &str = "SAEGRID_TEST_SLURM";

/// A cluster, which is stopped when the value is dropped.
pub struct Cluster {
    scripts: PathBuf,
    folder: TempDir,
}

impl Cluster {
    /// Starts a cluster with options of `start-cluster`, as in `["-n", "3"]`; `None` without the scripts.
    pub fn start(options: &[&str]) -> Option<Self> {
        let Some(scripts) = std::env::var_os(SCRIPTS).filter(|set| !set.is_empty()) else {
            skipped(&format!(
                "there is no cluster: {SCRIPTS} does not name a folder with start-cluster"
            ));
            return None;
        };
        // Names of sockets must be short.
        let folder = tempfile::Builder::new().prefix("sl").tempdir_in("/tmp").unwrap();
        let cluster = Self { scripts: PathBuf::from(scripts), folder };
        let mut start = Command::new(cluster.scripts.join("start-cluster"));
        let output = start.args(options).arg(cluster.path()).output().unwrap();
        assert!(output.status.success(), "start-cluster: {}", shown(&output));
        Some(cluster)
    }

    /// Folder of the cluster: configuration, logs, and files of the test.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Makes a command talk to this cluster.
    pub fn in_it(&self, command: &mut Command) {
        command.env("SLURM_CONF", self.path().join("slurm.conf"));
        command.env("SLURM_TEST_DIR", self.path());
        // A test ignores the user's own settings.
        command.env("XDG_CONFIG_HOME", self.path());
    }

    /// Runs saegrid in a place, with this cluster.
    pub fn saegrid<S: AsRef<OsStr>>(
        &self,
        place: &Place,
        words: impl IntoIterator<Item = S>,
    ) -> Said {
        let mut command = place.command(words);
        self.in_it(&mut command);
        Said::from(command.output().unwrap())
    }

    /// Runs a program of Slurm, which must succeed, and returns its output.
    #[track_caller]
    pub fn slurm(&self, program: &str, words: &[&str]) -> String {
        let mut command = Command::new(program);
        command.args(words);
        self.in_it(&mut command);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{program} {words:?}: {}", shown(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Tasks of all jobs, finished or not, as `ARRAY_TASK STATE`.
    pub fn tasks(&self) -> Vec<String> {
        let said = self.slurm("squeue", &["-h", "-r", "-t", "all", "-o", "%F_%K %T"]);
        said.lines().map(str::to_owned).collect()
    }

    /// Waits for a condition. If it never holds, shows the states of all tasks and the logs of the workers.
    #[track_caller]
    pub fn wait_until(
        &self,
        time: Duration,
        what: &str,
        logs: &Path,
        mut is_so: impl FnMut() -> bool,
    ) {
        let started = Instant::now();
        while !is_so() {
            if started.elapsed() > time {
                let tasks = self.tasks().join("\n");
                panic!("not in {time:?}: {what}\n{tasks}\n{}", said_in(logs));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut stop = Command::new(self.scripts.join("stop-cluster"));
        stop.arg("--remove").arg(self.path());
        self.in_it(&mut stop);
        match stop.output() {
            Ok(output) if output.status.success() => {}
            // The message of the failed test must stay visible; this one follows it.
            Ok(output) => eprintln!("stop-cluster: {}", shown(&output)),
            Err(error) => eprintln!("stop-cluster: {error}"),
        }
    }
}

/// Text of the workers' logs in a folder.
pub fn said_in(logs: &Path) -> String {
    let mut said = String::new();
    for entry in std::fs::read_dir(logs).into_iter().flatten().map_while(Result::ok) {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        said.push_str(&format!("--- {}\n{text}\n", entry.path().display()));
    }
    said
}

fn shown(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
}
