//! `cancel`: stops the workers that were submitted for an experiment, and no other job, whatever the folder's
//! records say. Finished runs stay, unfinished runs keep their checkpoints, and another `submit`, `worker` or
//! `run` resumes them.

use std::path::PathBuf;

use clap::Args;
use store::exit::{Exit, Failure};
use store::{Folder, Submission};

use super::print;
use crate::progress::say;
use crate::slurm::{Client, Owned, Queue, by_cluster, workers};

#[derive(Args)]
pub struct Arguments {
    /// Experiment folder, such as results/kl_sweep
    folder: PathBuf,
}

pub fn cancel(arguments: &Arguments) -> Result<Exit, Failure> {
    let folder = Folder::at(&arguments.folder);
    let name = folder.experiment()?.name;
    let (submissions, left_out) = folder.submissions()?;
    left_out.iter().for_each(|warning| say(&format!("warning: {warning}")));
    if submissions.is_empty() {
        print(&format!("{name}: nothing was submitted, so there is nothing to cancel\n"))?;
        return Ok(Exit::Done);
    }
    // Recorded first, so that a worker whose job time ends just now is not requeued.
    folder.cancel_submissions()?;
    let queue = Queue::of(&submissions)?;
    let there: Vec<Submission> =
        submissions.into_iter().filter(|submission| queue.has(submission)).collect();
    if there.is_empty() {
        print(&format!("{name}: no job is there any more, so there is nothing to cancel\n"))?;
        return Ok(Exit::Done);
    }
    let Owned { own, others } = Owned::of(&folder, there)?;
    for (Submission { job, .. }, why) in &others {
        say(&format!(
            "job {job} is not cancelled: {why}; if it is to end, `scancel {job}` ends it"
        ));
    }
    if own.is_empty() {
        print(&format!("{name}: no job of this folder is there, so there is nothing to cancel\n"))?;
        return Ok(Exit::Done);
    }
    for (cluster, jobs) in by_cluster(&own) {
        let cluster = cluster.map(|cluster| format!("--clusters={cluster}"));
        Client::Scancel.call(cluster.iter().map(String::as_str).chain(jobs))?;
    }
    let queue = queue.only(&own);
    let mut text = format!("{name}: cancelled {}\n", workers(queue.tasks()));
    queue.lines().iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    text.push_str(
        "those that run keep what they have and end; submitting again goes on from there\n",
    );
    print(&text)?;
    Ok(Exit::Done)
}
