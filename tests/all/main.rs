//! Everything that is tested across modules, in one binary: linking polars and dfdx once is enough.

use outside as _;
use plugins as _;

mod gradient_check;
mod gradients;
mod strategies;
mod support;
