//! Training: the loop over batches, the optimisers, a step in either engine, and checkpoints.

mod batches;
mod checkpoint;
mod course;
mod engine;
mod feed;
mod model;
mod normaliser;
mod optimiser;
mod run;
mod trainer;
mod watch;

pub use batches::Batches;
pub use checkpoint::Checkpoint;
pub use course::{Course, HistoryRow, LossMeans};
pub use engine::Engine;
pub use model::{Forward, Model};
pub use normaliser::Normaliser;
pub use optimiser::Optimise;
pub use run::{Ended, Trained, train};
pub use trainer::{StepLoss, Trainer};
pub use watch::{Progress, Watch, Wish};
