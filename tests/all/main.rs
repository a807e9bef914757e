//! Everything that is tested across modules, in one binary: linking polars and dfdx once is enough.

use ::outside as _;
use plugins as _;

mod analytic;
mod bad_input;
mod bench_step;
mod checkpoints;
mod commands;
mod determinism;
mod determinism_cli;
mod engines;
mod failures;
mod faults;
mod gradient_check;
mod gradients;
mod metrics;
mod mnist;
mod mutations;
mod outside;
mod program;
mod readme;
mod recovery;
mod results;
mod strategies;
mod support;
