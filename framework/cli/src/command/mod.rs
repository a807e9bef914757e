//! Command line: its syntax here, and one file for each command.

mod bench_step;
mod cancel;
mod check;
mod choice;
mod compare;
mod events;
mod explain_settings;
mod fallbacks;
mod features;
mod grid;
mod list;
mod new;
mod overview;
mod plugins;
mod query;
mod report;
mod run;
mod schema;
mod settings;
mod show;
mod spark;
mod stability;
mod status;
mod submit;
mod summary;
mod watch;
mod worker;

pub use grid::read_experiment;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use framework::diagnostics::{Diagnostic, closest};
use framework::printable;
use framework::shared::Shared;

use crate::terminal::{print, print_data, print_json, say, say_problems};
use ::worker::{Idle, keep_panics, main as claim, place};
use store::exit::{Exit, Failure};
use store::provenance::VERSION;

/// Trains grids of sparse autoencoders from one TOML file and compares the ways of making them
/// sparse.
#[derive(Parser)]
#[command(name = "saegrid", version = VERSION, arg_required_else_help = true)]
#[command(after_help = "Example: saegrid experiments/kl_sweep.toml")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write an experiment to start from
    New(new::Arguments),
    /// Train and measure every unfinished run of an experiment (`saegrid FILE` does the same)
    Run(run::Arguments),
    /// List every run of an experiment with its settings and status
    List(list::Arguments),
    /// Check experiment files without running anything
    Check(check::Arguments),
    /// Show which runs of an experiment folder are done, running or outstanding
    Status(status::Arguments),
    /// Repeat `status` until all runs have ended
    Watch(watch::Arguments),
    /// Compare methods at the same sparsity, with intervals over seeds
    Compare(compare::Arguments),
    /// Show the latents of a run: firing rates, top samples, nearest latents, classes
    Features(features::Arguments),
    /// Compare the dictionaries of different seeds of one setting
    Stability(stability::Arguments),
    /// Write one page with figures, tables and pictures that opens without a network
    Report(report::Arguments),
    /// Answer an SQL query over the tables of one or several experiments
    Query(query::Arguments),
    /// List the plugins, or show the settings of one or of a section
    Plugins(plugins::Arguments),
    /// Print the JSON Schema of experiment files, for editors that complete and check them
    Schema,
    /// Time training steps on random numbers
    BenchStep(bench_step::Arguments),
    /// Submit workers for the unfinished runs of an experiment to a cluster
    Submit(submit::Arguments),
    /// Stop the workers that were submitted for an experiment; finished work stays
    Cancel(cancel::Arguments),
    /// Work on an experiment folder beside other workers, here or on other machines, until no run is left
    Worker(worker::Arguments),
    /// Claim runs, as one process of a pool that holds its standard input
    #[command(hide = true)]
    Claim {
        /// Experiment folder
        folder: PathBuf,
        /// Number of this worker in its pool
        #[arg(long, default_value_t = 0)]
        number: usize,
        /// Threads per run
        #[arg(long, default_value_t = 1)]
        threads: usize,
        /// Data that is already in memory, and its place; repeatable
        #[arg(long, value_name = "KEY=PLACE", value_parser = place)]
        shared: Vec<(String, PathBuf)>,
        /// End when no run is left to claim, even if others are still running
        #[arg(long)]
        ends_idle: bool,
    },
}

/// Experiment file, and what the command line changes in it.
#[derive(Args)]
struct Chosen {
    /// Experiment file
    file: PathBuf,
    /// Set a key of the file for this call; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Folder for results, which go to DIR/NAME
    #[arg(long, value_name = "DIR", default_value = "results")]
    output_dir: PathBuf,
}

/// Names of the commands; any other first word is an experiment file.
const COMMANDS: [&str; 19] = [
    "new",
    "run",
    "list",
    "check",
    "status",
    "watch",
    "compare",
    "features",
    "stability",
    "report",
    "query",
    "plugins",
    "schema",
    "bench-step",
    "submit",
    "cancel",
    "worker",
    "claim",
    "help",
];

/// Runs the program: reads the command line, runs the command, returns the exit code.
pub fn main() -> ExitCode {
    keep_panics(say);
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    if is_file_first(&arguments) {
        if let Some(problem) = misspelt(&arguments) {
            say_problems(&[problem]);
            return Exit::Usage.into();
        }
        arguments.insert(1, "run".into());
    }
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return explain(error, &arguments).into(),
    };
    if let Err(what) = framework::cpu::check() {
        say_failure(&Failure::Problems(vec![Diagnostic::nowhere(what)]));
        return Exit::Usage.into();
    }
    let done = match cli.command {
        Command::New(arguments) => new::new(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::List(arguments) => list::list(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Status(arguments) => status::status(&arguments),
        Command::Query(arguments) => query::query(&arguments),
        Command::Watch(arguments) => watch::watch(&arguments),
        Command::Compare(arguments) => compare::compare(&arguments),
        Command::Features(arguments) => features::features(&arguments),
        Command::Stability(arguments) => stability::stability(&arguments),
        Command::Report(arguments) => report::report(&arguments),
        Command::Plugins(arguments) => plugins::plugins(&arguments),
        Command::Schema => schema::schema(),
        Command::BenchStep(arguments) => bench_step::bench_step(&arguments),
        Command::Submit(arguments) => submit::submit(&arguments),
        Command::Cancel(arguments) => cancel::cancel(&arguments),
        Command::Worker(arguments) => worker::worker(&arguments),
        Command::Claim { folder, number, threads, shared, ends_idle } => {
            let shared = Shared::at(shared.into_iter().collect());
            let idle = if ends_idle { Idle::Ends } else { Idle::Waits };
            Ok(claim(&folder, number, threads.max(1), shared, idle))
        }
    };
    match done {
        Ok(exit) => exit.into(),
        Err(failure) => {
            say_failure(&failure);
            failure.exit().into()
        }
    }
}

/// Prints what is wrong with the command line, or the help that it asks for.
fn explain(error: clap::Error, arguments: &[OsString]) -> Exit {
    // The message repeats words of the command line, so it is made again from escaped words, of which a
    // terminal obeys nothing.
    let shown = arguments.iter().map(|word| printable::line(&word.to_string_lossy()).into_owned());
    let error = Cli::try_parse_from(shown).err().unwrap_or(error);
    // Help goes to standard output and is not an error; everything else is an error.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage } else { Exit::Done }
}

/// Returns a problem if the first word is a misspelt command, which would be taken for an experiment file.
fn misspelt(arguments: &[OsString]) -> Option<Diagnostic> {
    let word = arguments.get(1)?.to_str().filter(|word| !word.contains(['.', '/']))?;
    let commands = COMMANDS.into_iter().filter(|command| *command != "claim");
    #[allow(clippy::disallowed_methods, reason = "the word is the user's own")]
    let meant = closest(word, commands).filter(|_| !Path::new(word).exists())?;
    let message = format!("there is no command `{word}`, and no file of that name");
    Some(Diagnostic::nowhere(message).help(format!("did you mean `saegrid {meant}`?")))
}

/// Returns whether no command is named: `saegrid FILE` is `saegrid run FILE`, with options before or after
/// it.
fn is_file_first(arguments: &[OsString]) -> bool {
    let Some(first) = arguments.get(1).map(|first| first.to_string_lossy()) else { return false };
    !COMMANDS.contains(&first.as_ref())
        && !["-h", "--help", "-V", "--version"].contains(&first.as_ref())
}

fn say_failure(failure: &Failure) {
    match failure {
        Failure::Problems(problems) => say_problems(problems),
        Failure::NoRuns(problem) => say_problems(std::slice::from_ref(problem)),
        Failure::Io(message) | Failure::Busy(message) => {
            say_problems(&[Diagnostic::nowhere(message.as_str())]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_the_list_of_commands_complete() {
        let command = Cli::command();
        command.clone().debug_assert();
        for subcommand in command.get_subcommands() {
            assert!(COMMANDS.contains(&subcommand.get_name()), "{}", subcommand.get_name());
        }
    }

    #[test]
    fn a_worker_is_told_where_data_is_in_memory() {
        let shared = Shared::default();
        let file = std::fs::File::open("Cargo.toml").unwrap();
        shared.made_from("Cargo.toml".as_ref(), &file, |_| Ok(())).unwrap();
        let words = ["saegrid", "claim", "folder"].map(OsString::from);
        let arguments = words.into_iter().chain(::worker::places(&shared));
        let Command::Claim { shared: places, .. } = Cli::parse_from(arguments).command else {
            panic!("a worker is started");
        };
        assert_eq!(BTreeMap::from_iter(places), shared.places());
        assert_eq!(shared.places().is_empty(), cfg!(not(target_os = "linux")));
    }

    #[test]
    fn a_file_needs_no_command() {
        let first =
            |words: &[&str]| is_file_first(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert!(first(&["saegrid", "kl.toml"]) && first(&["saegrid", "-j", "2", "kl.toml"]));
        assert!(
            !first(&["saegrid", "run", "kl.toml"])
                && !first(&["saegrid"])
                && !first(&["saegrid", "-h"])
        );
    }
}
