//! Running a grid: commands and workers share the runs, and crashes, signals, full disks and interruptions
//! change none of the results.

mod checkpoints;
mod claiming;
mod commands;
mod control;
mod failures;
mod faults;
mod halving;
mod looking_on;
mod target;
#[cfg(target_os = "linux")]
mod workers;
