//! The program `saegrid`: the framework's commands, with all plugins linked in.

use std::process::ExitCode;

use plugins as _;

fn main() -> ExitCode {
    cli::main()
}
