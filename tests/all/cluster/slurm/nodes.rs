//! Faults of the nodes and tasks of a real cluster, and their states.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::cluster::Cluster;
use crate::support::program::{Place, Said, write_script};

/// A task of a job.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its number, as `scancel` and `scontrol` take it: `7_3`.
    pub name: String,
    /// Its state, as Slurm calls it.
    pub state: String,
    /// Its node; empty before it starts.
    pub node: String,
}

impl Cluster {
    /// All tasks so far.
    pub fn all(&self) -> Vec<Task> {
        let said = self.slurm("squeue", &["-h", "-r", "-t", "all", "-o", "%F_%K|%T|%N"]);
        let task = |line: &str| {
            let mut words = line.split('|').map(str::to_owned);
            let mut next = || words.next().unwrap();
            Task { name: next(), state: next(), node: next() }
        };
        said.lines().map(task).collect()
    }

    /// Running tasks.
    pub fn running(&self) -> Vec<Task> {
        self.all().into_iter().filter(|task| task.state == "RUNNING").collect()
    }

    /// The state of a task.
    #[track_caller]
    pub fn state(&self, name: &str) -> String {
        let tasks = self.all();
        let found = tasks.iter().find(|task| task.name == name);
        found.unwrap_or_else(|| panic!("{name}: {tasks:?}")).state.clone()
    }

    /// Number of restarts of all tasks together.
    pub fn restarts(&self) -> usize {
        let said = self.slurm("squeue", &["-h", "-r", "-t", "all", "-O", "RestartCnt"]);
        said.split_whitespace().map(|count| count.parse::<usize>().unwrap()).sum()
    }

    /// Ends a node with all that runs on it, as if its machine were lost.
    pub fn lose(&self, node: &str) {
        let scripts = PathBuf::from(std::env::var_os("SAEGRID_TEST_SLURM").unwrap());
        let mut command = Command::new(scripts.join("stop-cluster"));
        command.args(["--node", node]).arg(self.path());
        Said::from(command.output().unwrap()).exits(0);
    }

    /// Runs the program that has the plugins of the crate `outside` too, with this cluster.
    pub fn outside<S: AsRef<OsStr>>(
        &self,
        place: &Place,
        words: impl IntoIterator<Item = S>,
    ) -> Said {
        let mut command = place.command_outside(words);
        self.in_it(&mut command);
        Said::from(command.output().unwrap())
    }

    /// Processes of a task, all of them on this machine.
    pub fn processes(&self, task: &Task) -> Vec<u32> {
        let (job, index) = task.name.split_once('_').unwrap();
        let wanted = [
            format!("SLURM_CONF={}", self.path().join("slurm.conf").display()),
            format!("SLURM_ARRAY_JOB_ID={job}"),
            format!("SLURM_ARRAY_TASK_ID={index}"),
        ];
        let entries = fs::read_dir("/proc").unwrap().map_while(Result::ok);
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let is_its = |pid: &u32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let has = |set: &String| {
                environment.split(|byte| *byte == 0).any(|one| one == set.as_bytes())
            };
            wanted.iter().all(has)
        };
        pids.filter(is_its).collect()
    }
}

/// A path with a `squeue` that fails, as it does without its controller, and with all other programs.
pub fn path_with_failing_squeue(place: &Place) -> std::ffi::OsString {
    let folder = place.path("failing");
    fs::create_dir(&folder).unwrap();
    let says = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)";
    write_script(&folder.join("squeue"), &format!("echo '{says}' >&2\nexit 1"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&path))).unwrap()
}
