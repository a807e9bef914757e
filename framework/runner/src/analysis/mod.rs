//! What the tables of finished runs say: which methods there are, and what each came to.

mod comparison;
mod curve;
mod runs;

pub use comparison::{Comparison, Group, Setting};
pub use curve::mean_curve;
pub use runs::{Runs, rows_of};
