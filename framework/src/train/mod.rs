//! Training: the loop over batches, the optimisers, and the reference engine, which takes every
//! step through dfdx and so defines what is right.

mod batches;
mod normaliser;
mod optimiser;
mod reference;
mod run;

pub use batches::Batches;
pub use normaliser::Normaliser;
pub use optimiser::Optimise;
pub use reference::{Forward, Model, StepLoss, Trainer};
pub use run::{Ended, HistoryRow, LossMeans, Progress, Trained, train};
