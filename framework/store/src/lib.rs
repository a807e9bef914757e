//! The experiment folder: the truth about what was run. No other crate writes results.
//!
//! A run has ended when its folder `runs/ID` has a manifest, which holds the digests of the files beside
//! it. That folder appears whole, in one step: until then it is `work/ID/N`, the folder of attempt N, to
//! which only the holder of that attempt writes. Everything else is derived from the folders of runs.
//!
//! - The door: [`Storage`] is what can be done with files, `disk` does it without following links
//!   (`beneath`), `names` lists every name the program makes, `files` reads and replaces whole files.
//! - A run: `taking` and `claim` say who works on it, `attempt` is that work's folder with its
//!   `checkpoints`, `searches` and `note`; `manifest` and `model_file` are what stays; `records` keeps
//!   what halving compares; `adopt` and `moved` recognise the same data under another path.
//! - What is left to do: `survey` looks at every run of a grid, `versions` says which evaluations are
//!   out of date, `data_files` whether data has changed.
//! - Tables: `rows` makes those of one run, `compact` and `index` keep those of all runs current, `load`
//!   (and `lazy`) open them.
//! - A cluster: `submissions` keeps what was submitted.
//! - The machine: [`process`] names a process, [`provenance`] the program and the host, [`exit`] how
//!   commands end.

// Tests make and look at files, and print, as they need.
#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_macros))]

mod adopt;
mod attempt;
mod beneath;
mod checkpoints;
mod claim;
mod compact;
mod data_files;
mod disk;
pub mod exit;
mod files;
mod folder;
mod index;
#[cfg(feature = "lazy")]
mod lazy;
mod load;
mod manifest;
mod model_file;
mod moved;
mod names;
mod note;
pub mod process;
pub mod provenance;
mod records;
mod rows;
mod run_tables;
mod searches;
mod stability;
mod storage;
mod strange;
mod submissions;
mod survey;
mod taking;
mod versions;

pub use attempt::{Attempt, Published};
pub use checkpoints::Resumed;
pub use claim::{Claim, FoundClaim, Leases};
pub use data_files::{
    Changes, DataFile, DataFiles, identity as data_identity, of as data_files_of,
};
pub use disk::Disk;
pub use files::unfinished;
pub use folder::Folder;
#[cfg(feature = "lazy")]
pub use lazy::{Results, load};
pub use load::{Stacks, distinct, load_runs, open_tables};
pub use manifest::{Brief, Manifest, RunState, Status, Unread};
pub use model_file::{read as read_model, write as write_model};
pub use note::Note;
pub use records::Record;
pub use rows::{
    DECLARED, Execution, declare, history_table, l0_rule_of, latents_table, loss_metrics,
    own_declared, run_table, set_l0_rule,
};
pub use searches::SearchState;
pub use storage::{FileKind, Storage};
pub use submissions::Submission;
pub use survey::RunCondition;
pub use taking::{Holder, Taken};
