//! Training: the loop over batches, the optimisers, and a step in either engine.

mod batches;
mod engine;
mod feed;
mod model;
mod normaliser;
mod optimiser;
mod run;
mod trainer;

pub use batches::Batches;
pub use engine::Engine;
pub use model::{Forward, Model};
pub use normaliser::Normaliser;
pub use optimiser::Optimise;
pub use run::{Ended, HistoryRow, LossMeans, Progress, Trained, train};
pub use trainer::{StepLoss, Trainer};
