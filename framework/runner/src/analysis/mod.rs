//! What the tables of finished runs say: which methods there are, and what each came to.

mod comparison;
mod runs;

pub use comparison::{Comparison, Group, Setting};
pub use runs::Runs;
