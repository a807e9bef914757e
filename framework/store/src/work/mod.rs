//! Work on a run, in the folders `work/ID/N`: who has it, and what it keeps until the run ends.
//!
//! - [`taking`] gives a run to one worker; [`claim`] tells others whether that worker is still there.
//! - [`attempt`] is the folder of that work, and publishes its results as `runs/ID`. It keeps
//!   [`checkpoints`], the state of a search ([`searches`]) and a [`note`] of its progress.
//! - [`reopen`] makes an ended run run again; [`adopt`] copies results of a run with the same data.

pub mod adopt;
pub mod attempt;
pub mod checkpoints;
pub mod claim;
pub mod note;
pub mod reopen;
pub mod searches;
pub mod taking;
