//! `check`: checks experiment files without running anything.

use std::path::PathBuf;

use clap::Args;
use store::exit::{Exit, Failure};

use super::grid::read_experiment;
use super::{print, say_failure, say_problems};

#[derive(Args)]
pub struct Arguments {
    /// Experiment files
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

pub fn check(arguments: &Arguments) -> Result<Exit, Failure> {
    let mut exit = Exit::Done;
    for file in &arguments.files {
        match read_experiment(file, &[], say_problems) {
            Ok((_, runs, _)) => print(&format!("{}: ok, {} runs\n", file.display(), runs.len()))?,
            Err(failure) => {
                say_failure(&failure);
                // A wrong file decides the exit code, not a file that leaves no run.
                exit = if exit == Exit::Usage { exit } else { failure.exit() };
            }
        }
    }
    Ok(exit)
}
