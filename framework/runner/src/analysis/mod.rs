//! What the tables of finished runs say: which methods there are, and what each came to.

mod agreement;
mod common;
mod comparison;
mod curve;
mod features;
mod pairs;
mod runs;
mod stability;

pub use agreement::Agreement;
pub use comparison::{Comparison, Group, Setting, THRESHOLDED, UNREAD};
pub use curve::mean_curve;
pub use features::{Features, Latent};
pub use pairs::Pair;
pub use runs::{Runs, better, rows_of};
pub use stability::{Effort, stability};
