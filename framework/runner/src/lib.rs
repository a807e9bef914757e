//! The program: its commands, the workers that take the runs of a grid, and the experiment folder
//! that their results go to.
//!
//! - [`main`] reads the command line; `command` has a file for each command.
//! - [`worker`] claims runs, trains and measures them, one after another, in processes of their own;
//!   `pool` starts and watches them.
//! - [`store`] is the experiment folder: the only module that writes results.
//! - `estimate` tells what a run will need before it is begun.
//! - [`slurm`] has workers started by a cluster.
//! - `output` writes the files that a user names.
//! - `interrupt` hears signals, `process` tells whether another process is still there.
//! - `terminal` alone writes to standard output and error; `progress` shows what is going on.
//! - `analysis` compares what has ended, `report` says what the page about it shows.

// Tests make and look at files, and print, as they need.
#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_macros))]

mod analysis;
mod command;
mod estimate;
pub mod exit;
mod interrupt;
mod output;
pub mod process;
mod progress;
mod provenance;
mod report;
pub mod slurm;
pub mod store;
mod terminal;
pub mod worker;

pub use command::{main, read_experiment};
