//! The experiment folder: the truth about what was run. No other module writes results.
//!
//! A run is over when its manifest is there; the manifest is written last and holds the digests of
//! the files beside it. Everything else in the folder is derived from the run folders.

mod claim;
mod compact;
mod files;
mod folder;
mod manifest;
mod model_file;
mod rows;

pub use claim::Claim;
pub use folder::Folder;
pub use manifest::{Manifest, RunState, Status};
pub use model_file::{read as read_model, write as write_model};
pub use rows::{Execution, history_table, latents_table, loss_metrics, run_table};
