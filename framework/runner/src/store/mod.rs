//! The experiment folder: the truth about what was run. No other module writes results.
//!
//! A run is over when its folder `runs/ID` has a manifest, which holds the digests of the files
//! beside it. The folder appears there whole, in one step: until then it is `work/ID/N`, the folder
//! of attempt N, which nobody but the holder of that attempt writes to. Everything else is derived
//! from the run folders. What was submitted to a cluster stands beside, in `slurm`.

mod adopt;
mod attempt;
mod beneath;
mod checkpoints;
mod claim;
mod compact;
mod data_files;
mod disk;
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
pub use claim::{Claim, Found, Leases};
pub use data_files::{
    Changes, DataFile, DataFiles, identity as data_identity, of as data_files_of,
};
pub use disk::Disk;
pub use files::unfinished;
pub use folder::Folder;
#[cfg(feature = "lazy")]
pub use lazy::{Results, load};
pub use load::{Stacks, load_runs, open_tables};
pub use manifest::{Brief, Manifest, RunState, Status, Unread};
pub use model_file::{read as read_model, write as write_model};
pub use note::Note;
pub use records::Record;
pub use rows::{
    DECLARED, Execution, declare, history_table, l0_rule_of, latents_table, loss_metrics,
    own_declared, run_table, set_l0_rule,
};
pub use searches::Kept;
pub use storage::{Kind, Storage};
pub use submissions::Submission;
pub use survey::Known;
pub use taking::{Holder, Taken};
