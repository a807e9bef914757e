//! Training: the loop over batches, a model in training, and checkpoints.

mod batches;
mod checkpoint;
mod control;
mod course;
mod feed;
mod median;
mod model;
mod noise;
mod normalizer;
mod pretrain;
mod run;
mod start;
mod stored;
mod trainer;
mod watch;

pub use batches::Batches;
pub use checkpoint::Checkpoint;
pub use control::L0Controller;
pub use course::{Course, HistoryRow, LossMeans};
pub use model::Model;
pub use noise::Noise;
pub use normalizer::Normalizer;
pub use run::{Ended, Trained, train, train_knowing};
pub use start::InitPlaces;
pub use stored::StoredModel;
pub use trainer::Trainer;
pub use watch::{Progress, Watch, Wish};
