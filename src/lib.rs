//! The results of experiments for programs of one's own.
//!
//! The program itself is `src/main.rs`; how experiments are written and run is in the README.

use plugins as _;

#[cfg(feature = "lazy")]
pub mod results;
