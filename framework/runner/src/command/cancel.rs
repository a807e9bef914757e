//! `cancel`: stops the workers that were submitted for an experiment. What is done stays, what ran is kept,
//! and another `submit`, `worker` or `run` goes on.

use std::path::PathBuf;

use clap::Args;

use super::print;
use crate::exit::{Exit, Failure};
use crate::slurm::{Client, Queue, by_cluster, workers};
use crate::store::{Folder, Submission};

#[derive(Args)]
pub struct Arguments {
    /// The experiment folder, as in results/kl_sweep
    folder: PathBuf,
}

pub fn cancel(arguments: &Arguments) -> Result<Exit, Failure> {
    let folder = Folder::at(&arguments.folder);
    let name = folder.experiment()?.name;
    let submissions = folder.submissions()?;
    if submissions.is_empty() {
        print(&format!("{name}: nothing was submitted, so there is nothing to cancel\n"))?;
        return Ok(Exit::Done);
    }
    // A worker whose time is over just now does not come back.
    folder.cancel_submissions()?;
    let queue = Queue::of(&submissions)?;
    let there: Vec<Submission> =
        submissions.into_iter().filter(|submission| queue.has(submission)).collect();
    if there.is_empty() {
        print(&format!("{name}: no job is there any more, so there is nothing to cancel\n"))?;
        return Ok(Exit::Done);
    }
    for (cluster, jobs) in by_cluster(&there) {
        let cluster = cluster.map(|cluster| format!("--clusters={cluster}"));
        Client::Scancel.call(cluster.iter().map(String::as_str).chain(jobs))?;
    }
    let mut text = format!("{name}: cancelled {}\n", workers(queue.tasks()));
    queue.lines().iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    text.push_str(
        "those that run keep what they have and end; submitting again goes on from there\n",
    );
    print(&text)?;
    Ok(Exit::Done)
}
