//! Jobs of an experiment, as `squeue` lists them. States are shown in Slurm's words. The only conclusion
//! drawn from a state is that a job in a final state is over.

use std::collections::BTreeMap;

use serde::Serialize;
use store::exit::Failure;
use store::{Folder, Submission};

use super::client::{Client, Trouble};

/// States of jobs that are over.
const FINAL: [&str; 10] = [
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
];

/// Tasks of one job that are in the same state for the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskGroup {
    /// Number of the job.
    pub job: String,
    /// State, in Slurm's words.
    pub state: String,
    /// Reason why the tasks are not running, in Slurm's words.
    pub reason: Option<String>,
    /// Number of tasks.
    pub tasks: usize,
}

/// Tasks of an experiment that are not over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Queue {
    /// Tasks, grouped by job, state and reason.
    pub jobs: Vec<TaskGroup>,
}

impl Queue {
    /// Asks for the tasks of these jobs.
    ///
    /// # Errors
    /// If Slurm gives no answer.
    pub fn of(submissions: &[Submission]) -> Result<Self, Trouble> {
        let mut jobs = Vec::new();
        for (cluster, ids) in by_cluster(submissions) {
            let mut arguments: Vec<String> =
                ["--noheader", "--array", "--states=all", "--format=%F|%T|%r"]
                    .map(String::from)
                    .into();
            arguments.push(format!("--jobs={}", ids.join(",")));
            arguments.extend(cluster.map(|cluster| format!("--clusters={cluster}")));
            match Client::Squeue.call(arguments) {
                Ok(said) => jobs.extend(read(&said, &ids)),
                // Slurm forgets jobs some time after their end.
                Err(trouble) if trouble.said().contains("Invalid job id") => {}
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(Self { jobs })
    }

    /// Returns the number of tasks.
    pub fn tasks(&self) -> usize {
        self.jobs.iter().map(|group| group.tasks).sum()
    }

    /// Returns true if a job has tasks.
    pub fn has(&self, submission: &Submission) -> bool {
        self.jobs.iter().any(|group| group.job == submission.job)
    }

    /// Keeps only the tasks of these jobs.
    pub fn only(mut self, submissions: &[Submission]) -> Self {
        self.jobs.retain(|group| submissions.iter().any(|one| one.job == group.job));
        self
    }

    /// Returns the queue as text, one line a job.
    pub fn lines(&self) -> Vec<String> {
        let mut by_job: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for TaskGroup { job, state, reason, tasks } in &self.jobs {
            let reason = reason.as_ref().map_or(String::new(), |reason| format!(" ({reason})"));
            by_job.entry(job).or_default().push(format!("{tasks} {state}{reason}"));
        }
        by_job.into_iter().map(|(job, words)| format!("job {job}: {}", words.join(", "))).collect()
    }
}

/// Jobs of an experiment. If Slurm gives no answer, commands still show everything else.
#[derive(Clone, Debug, Default)]
pub enum Jobs {
    /// No job was ever submitted.
    #[default]
    Never,
    /// Slurm lists these jobs.
    There(Queue),
    /// Slurm gives no answer; holds the reason in one line.
    Unknown(String),
}

impl Jobs {
    /// Asks for the jobs that were submitted for the experiment in a folder. Also returns which records are
    /// left out.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn of(folder: &Folder) -> Result<(Self, Vec<String>), Failure> {
        let (submissions, left_out) = folder.submissions()?;
        if submissions.is_empty() {
            return Ok((Self::Never, left_out));
        }
        let jobs = match Queue::of(&submissions) {
            Ok(queue) => Self::There(queue),
            Err(trouble) => {
                Self::Unknown(trouble.to_string().lines().collect::<Vec<_>>().join("; "))
            }
        };
        Ok((jobs, left_out))
    }

    /// Returns the jobs as text, one line a job; empty if no job was submitted.
    pub fn text(&self) -> String {
        match self {
            Self::Never => String::new(),
            Self::There(queue) => {
                queue.lines().iter().map(|line| format!("Slurm: {line}\n")).collect()
            }
            Self::Unknown(why) => format!("Slurm: which jobs are there is not known: {why}\n"),
        }
    }
}

/// Groups the jobs by cluster.
pub fn by_cluster(submissions: &[Submission]) -> BTreeMap<Option<&str>, Vec<&str>> {
    let mut clusters: BTreeMap<Option<&str>, Vec<&str>> = BTreeMap::new();
    for submission in submissions {
        clusters.entry(submission.cluster.as_deref()).or_default().push(&submission.job);
    }
    clusters
}

/// Reads lines of job, state and reason. Skips other jobs, and lines of another form.
fn read(said: &str, ids: &[&str]) -> Vec<TaskGroup> {
    let mut groups: BTreeMap<(String, String, Option<String>), usize> = BTreeMap::new();
    for line in said.lines() {
        let mut words = line.splitn(3, '|').map(str::trim);
        let (Some(job), Some(state), reason) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        if !ids.contains(&job) || FINAL.contains(&state) {
            continue;
        }
        let reason = reason.filter(|reason| !["", "None", "(null)"].contains(reason));
        *groups.entry((job.into(), state.into(), reason.map(str::to_owned))).or_default() += 1;
    }
    let groups = groups.into_iter();
    groups.map(|((job, state, reason), tasks)| TaskGroup { job, state, reason, tasks }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if a state that is new in Slurm is an error, or hides a job.
    #[test]
    fn states_are_counted_as_they_are_called() {
        let said = "7|PENDING|JobHeldUser\n7|PENDING|Resources\n7|RUNNING|None\n7|RUNNING|None\n\
                    7|COMPLETED|None\n8|TIMEOUT|TimeLimit\n9|BEWITCHED|Why not\n10|RUNNING|None\n\
                    slurm_load_jobs: something\n\n";
        let queue = Queue { jobs: read(said, &["7", "8", "9"]) };
        assert_eq!(
            queue.lines(),
            [
                "job 7: 1 PENDING (JobHeldUser), 1 PENDING (Resources), 2 RUNNING",
                "job 9: 1 BEWITCHED (Why not)"
            ]
        );
        assert_eq!(queue.tasks(), 5);
    }
}
