//! The program with plugins of one's own: link their crate beside those that come with saegrid.

use std::process::ExitCode;

use outside as _;
use plugins as _;

fn main() -> ExitCode {
    cli::main()
}
