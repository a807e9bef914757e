//! The job of this process. A worker whose time is over puts its job back into the queue.

use super::client::{Client, Trouble};

/// A job that can be put back into the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnJob {
    /// Number of the job array, or of the job itself if it is in no array.
    pub array: String,
    /// Name of the job as `scontrol` takes it.
    task: String,
}

impl OwnJob {
    /// Finds the job of this process from its environment.
    pub fn of_this_process() -> Option<Self> {
        Self::of(|name| std::env::var(name).ok())
    }

    /// Finds the job from these variables.
    fn of(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        // One task of an array has the array's own number as its job id. That number alone would mean all
        // tasks.
        match (variable("SLURM_ARRAY_JOB_ID"), variable("SLURM_ARRAY_TASK_ID")) {
            (Some(array), Some(task)) => {
                let task = format!("{array}_{task}");
                Some(Self { array, task })
            }
            _ => variable("SLURM_JOB_ID").map(|job| Self { array: job.clone(), task: job }),
        }
    }

    /// Puts the job back into the queue. Slurm stops the job to do so.
    ///
    /// # Errors
    /// If Slurm refuses.
    pub fn requeue(&self) -> Result<(), Trouble> {
        Client::Requeue.call(["requeue", &self.task]).map(drop)
    }
}

impl std::fmt::Display for OwnJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if the last task of an array, which has the array's number, puts the whole array back.
    #[test]
    fn a_task_of_an_array_is_named_as_such() {
        let of = |known: &[(&str, &str)]| {
            OwnJob::of(|name| known.iter().find(|one| one.0 == name).map(|one| one.1.to_owned()))
        };
        let array =
            [("SLURM_ARRAY_JOB_ID", "7"), ("SLURM_ARRAY_TASK_ID", "3"), ("SLURM_JOB_ID", "7")];
        let task = of(&array).unwrap();
        assert_eq!((task.to_string(), task.array), ("7_3".to_owned(), "7".to_owned()));
        assert_eq!(of(&array[2..]).unwrap().to_string(), "7");
        assert_eq!(of(&[]), None);
    }
}
