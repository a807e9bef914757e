//! Slurm: workers as a job array, by the programs that every cluster has.
//!
//! Nothing here decides what is done: that stands in the experiment folder. Slurm is asked to start
//! workers, to stop them, and what it says of them is shown as it says it. Nothing has to stay alive on
//! the machine that submits.
//!
//! `client` calls the programs, `script` is what `sbatch` gets, `submit` finds out how many workers the
//! site takes, `queue` reads what `squeue` says, `ownership` asks whose a job is, and `job` is about the job that this process is in.

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

/// So many workers, in words.
pub fn workers(count: usize) -> String {
    if count == 1 { "1 worker".to_owned() } else { format!("{count} workers") }
}
