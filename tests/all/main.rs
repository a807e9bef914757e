//! Tests across modules, in one binary: linking polars and dfdx once is enough.
//!
//! The folders are subjects. Beside them stand the tests of the documentation and of the dependencies.

use ::outside as _;
use plugins as _;

mod cluster;
mod dependencies;
mod experiment;
#[path = "../../benches/finished.rs"]
mod finished;
mod numerics;
#[path = "../../fuzz/src/lib.rs"]
mod parsers;
mod readme;
mod results;
mod running;
mod support;
