//! What the tables of finished runs say: which methods there are, and what each came to.

mod agreement;
mod common;
mod comparison;
mod comparisons;
mod curve;
mod differs;
mod features;
mod group;
mod loaded;
mod metric;
mod notes;
mod pairs;
mod runs;
mod scope;
mod stability;

pub use agreement::Agreement;
pub use comparison::{Comparison, UNREAD};
pub use comparisons::{Comparisons, EARLIER, Question};
pub use curve::mean_curve;
pub use differs::Differs;
pub use features::{Features, Latent};
pub use group::{Group, Setting};
pub use metric::{DEFAULT, THRESHOLDED};
pub use pairs::Pair;
pub use runs::{Runs, rows_of};
pub use stability::{Effort, stability};
