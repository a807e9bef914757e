//! Command line of saegrid.
//!
//! - [`main`] reads the command line; `command` has a file for each command.
//! - `progress` shows what workers do; `estimate` says what a run will need before it starts.
//! - `slurm` submits workers to a cluster.
//! - `terminal` alone writes to standard output and standard error; `output` writes the files that a user
//!   names.
//!
//! Other crates do the rest: `worker` finds and does the unfinished work, `analysis` compares results,
//! `report` makes the page.

// Tests may use files and print directly.
#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_macros))]

mod command;
mod estimate;
mod output;
mod progress;
mod slurm;
mod terminal;

pub use command::{main, read_experiment};
