//! Tests of which a part is skipped, because something from outside is missing: data, a browser, a cluster.

use std::io::{Write, stderr};
use std::thread;

/// Writes `skipped: TEST: REASON` to the log, also where the test passes: CI lists these lines at its end.
///
/// The line goes to standard error itself. The test harness withholds only what macros print.
pub fn skipped(reason: &str) {
    let test = thread::current();
    let _ = writeln!(stderr(), "skipped: {}: {reason}", test.name().unwrap_or("a test"));
}
