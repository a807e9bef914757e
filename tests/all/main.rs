//! Everything that is tested across modules, in one binary: linking polars and dfdx once is enough.

use ::outside as _;
use plugins as _;

mod analytic;
mod determinism;
mod gradient_check;
mod gradients;
mod mutations;
mod outside;
mod strategies;
mod support;
