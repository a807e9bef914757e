//! Library of saegrid: reads the results of experiments into your own programs.
//!
//! The program itself is `src/main.rs`; the README explains how to write and run experiments.

use plugins as _;

#[cfg(feature = "lazy")]
pub mod results;
