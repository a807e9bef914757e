//! Everything that is tested across modules, in one binary: linking polars and dfdx once is enough.

use ::outside as _;
use plugins as _;

mod analytic;
mod bad_input;
mod bench_step;
mod browser;
mod checkpoints;
mod claiming;
mod commands;
mod compare;
mod corpus;
mod cpu;
mod damaged_runs;
mod dependencies;
mod determinism;
mod determinism_cli;
#[cfg(unix)]
mod elsewhere;
mod engines;
mod failures;
mod faults;
#[path = "../../benches/finished.rs"]
mod finished;
mod gradient_check;
mod gradients;
mod halving;
#[cfg(target_os = "linux")]
mod hosts;
mod identity;
mod include;
mod latents;
mod looking_on;
mod memory;
mod metrics;
mod mistakes;
mod mnist;
mod moved;
mod mutations;
mod outside;
#[path = "../../fuzz/src/lib.rs"]
mod parsers;
mod program;
mod query;
mod readme;
mod recovery;
mod report;
mod results;
mod schema;
mod signed_codes;
#[cfg(target_os = "linux")]
mod slurm;
mod strategies;
mod support;
mod sweep;
mod tables;
mod target;
mod terminal;
mod toml_suite;
mod verdicts;
#[cfg(target_os = "linux")]
mod workers;
