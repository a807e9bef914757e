//! The program `saegrid`: the framework's commands with the plugins that come with it.

use std::process::ExitCode;

use plugins as _;

fn main() -> ExitCode {
    cli::main()
}
