//! The command line of saegrid.
//!
//! - [`main`] reads the command line; `command` has a file for each command.
//! - `progress` shows what workers do; `estimate` says what a run will need before it starts.
//! - `slurm` has a cluster start workers.
//! - `terminal` alone writes to standard output and standard error; `output` writes the files that a user
//!   names.
//!
//! What is left to do, and doing it, is the crate `worker`'s; what results say is `analysis`'; the page is
//! `report`'s.

// Tests make and look at files, and print, as they need.
#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_macros))]

mod command;
mod estimate;
mod output;
mod progress;
mod slurm;
mod terminal;

pub use command::{main, read_experiment};
