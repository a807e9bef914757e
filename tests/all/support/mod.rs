//! Helpers of many tests: the program as a user starts it, models made from TOML text, generated inputs.

pub mod group;
pub mod memory;
pub mod models;
pub mod program;
pub mod skipped;
pub mod strategies;
#[cfg(target_os = "linux")]
pub mod under_way;
