//! Results of runs: the folders `runs/ID` of runs that ended, and the records in `rungs/`.
//!
//! - [`manifest`] says how a run ended and lists its files with their digests.
//! - [`model_file`] and [`run_tables`] are these files: the model and the tables of one run.
//! - [`versions`] finds the evaluations that are missing or out of date.
//! - [`data_files`] finds out whether the data has changed since.
//! - [`records`] keeps the metrics of runs at the rungs where halving compares them.

pub mod data_files;
pub mod exhibits;
pub mod manifest;
pub mod model_file;
pub mod records;
pub mod run_tables;
pub mod versions;
