//! Slurm: submits workers as a job array, by the programs that every cluster has.
//!
//! Nothing here decides which runs are done: the experiment folder does. Slurm only starts and stops
//! workers, and its answers about them are shown unchanged. No process has to stay alive on the machine
//! that submits.
//!
//! `client` calls the programs, `script` writes the script for `sbatch`, `submit` finds out how many
//! workers the site takes, `site` reads the limits of the site, `queue` reads the answers of `squeue`,
//! `ownership` checks who owns a job, and `job` handles the job of this process.

mod client;
mod job;
mod ownership;
mod queue;
mod script;
mod site;
mod submit;

pub use client::{Client, Trouble};
pub use job::OwnJob;
pub use ownership::Owned;
pub use queue::{Jobs, Queue, by_cluster};
pub use script::Script;
pub use site::SiteLimits;
pub use submit::{Accepted, submit};

/// Returns the number of workers in words.
pub fn workers(count: usize) -> String {
    if count == 1 { "1 worker".to_owned() } else { format!("{count} workers") }
}
