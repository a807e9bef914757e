//! The experiment folder: the record of what ran. No other crate writes results.
//!
//! A run has ended when its folder `runs/ID` has a manifest, which holds the digests of the files beside
//! it. That folder appears whole, in one step: before, it is `work/ID/N`, the folder of attempt N, and
//! only the holder of that attempt writes to it. Everything else is derived from the folders of runs.
//!
//! - `folder`: the layout of the folder, and its experiment; `moved` finds that experiment's files after
//!   a project was moved.
//! - `storage`: every read and write of a file; follows no links.
//! - `runs`: runs that ended: manifests, models, the tables of one run.
//! - `work`: runs in progress: claims, attempts, checkpoints.
//! - `survey`: the state of every run of a grid, for `status`.
//! - `experiment_tables`: the tables of all runs together.
//! - `submissions`: jobs that were submitted to a cluster.
//! - [`exit`]: exit codes and failures; [`process`]: names a process so that others can tell whether it is
//!   alive; [`provenance`]: the program and the machine.
//!
//! Methods of [`Folder`] stand beside what they are about: `take` in `work`, `survey` in `survey`.

// Tests make and look at files, and print, as they need.
#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_macros))]

pub mod exit;
mod experiment_tables;
mod folder;
mod moved;
mod not_a_folder;
pub mod process;
pub mod provenance;
mod runs;
mod storage;
mod submissions;
mod survey;
mod work;

#[cfg(feature = "lazy")]
pub use experiment_tables::lazy::{Results, load};
pub use experiment_tables::load::{Stacks, distinct, load_runs, open_tables};
pub use folder::Folder;
pub use runs::data_files::{
    Changes, DataFile, DataFiles, identity as data_identity, of as data_files_of,
    setting as data_setting,
};
pub use runs::exhibits::{ExhibitFile, exhibit_file, read_png, write_png};
pub use runs::manifest::{Brief, Manifest, RunState, Status, Unread};
pub use runs::model_file::{read as read_model, write as write_model};
pub use runs::records::Record;
pub use runs::run_tables::{
    DECLARED, Execution, declare, history_table, l0_rule_of, latents_table, loss_metrics,
    own_declared, run_table, set_l0_rule,
};
pub use storage::disk::Disk;
pub use storage::files::unfinished;
pub use storage::{FileKind, Storage};
pub use submissions::Submission;
pub use survey::RunCondition;
pub use work::attempt::{Attempt, Published};
pub use work::checkpoints::Resumed;
pub use work::claim::{Claim, FoundClaim, Leases};
pub use work::note::Note;
pub use work::searches::SearchState;
pub use work::taking::{Holder, Taken};
