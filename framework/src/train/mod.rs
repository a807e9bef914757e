//! Training: the loop over batches, the optimizers, a step in either engine, and checkpoints.

mod batches;
mod checkpoint;
mod course;
mod engine;
mod feed;
mod model;
mod normalizer;
mod optimizer;
mod run;
mod trainer;
mod watch;

pub use batches::Batches;
pub use checkpoint::Checkpoint;
pub use course::{Course, HistoryRow, LossMeans};
pub use engine::Engine;
pub use model::{Forward, Model};
pub use normalizer::Normalizer;
pub use optimizer::ReferenceOptimizer;
pub use run::{Ended, Trained, train};
pub use trainer::{StepLoss, Trainer};
pub use watch::{Progress, Watch, Wish};
