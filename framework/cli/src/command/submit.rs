//! `submit`: submits workers for the unfinished runs of an experiment to a cluster, and ends at once.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use framework::diagnostics::Diagnostic;
use framework::spec::Slurm;
use store::Holder;
use store::exit::{Exit, Failure};
use worker::outstanding;

use super::grid::Grid;
use super::run::measure_again;
use super::{Chosen, print, print_data};
use crate::progress::say;
use crate::slurm::{self, Accepted, Queue, Script, SiteLimits};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    chosen: Chosen,
    /// Program that starts the workers
    #[arg(long, value_enum, default_value_t)]
    engine: Starter,
    /// Set an option of `sbatch` for this call, such as `time=8:00:00` or `exclusive`; repeatable
    #[arg(long = "slurm", value_name = "KEY=VALUE")]
    slurm: Vec<String>,
    /// Number of workers; by default as many as there is work for
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroUsize>,
    /// Print the script that would be submitted, if there is work left; submit and write nothing
    #[arg(long)]
    print_script: bool,
}

/// Program that starts workers.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Starter {
    /// Slurm, through its programs `sbatch`, `squeue`, `scancel` and `scontrol`.
    #[default]
    Slurm,
    /// Nothing: make the folder and print the command that starts a worker.
    None,
}

pub fn submit(arguments: &Arguments) -> Result<Exit, Failure> {
    let (grid, settings) = read(arguments)?;
    let script = match arguments.engine {
        Starter::Slurm => Some(Script::new(&grid.experiment.name, grid.folder.path(), &settings)?),
        Starter::None => None,
    };
    if let (Some(script), true) = (&script, arguments.print_script) {
        let left = if grid.folder.gone().is_none() { look(&grid)?.0 } else { grid.runs.len() };
        if left == 0 {
            say(&format!("{}; there is no script", nothing_to_do(&grid)));
            return Ok(Exit::Done);
        }
        print_data(script.text(wanted(&settings, left)).as_bytes())?;
        return Ok(Exit::Done);
    }
    let warnings =
        grid.folder.open_for(&grid.experiment, &arguments.chosen.file, &grid.overrides)?;
    warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
    let left = try_again(&grid)?;
    if left == 0 {
        print(&format!("{}; no job is submitted\n", nothing_to_do(&grid)))?;
        return Ok(Exit::Done);
    }
    let Some(script) = script else {
        print(&by_hand(&grid, left))?;
        return Ok(Exit::Done);
    };
    say_what_is_there(&grid);
    say_setup(&settings);
    let limits = SiteLimits::of_site().unwrap_or_else(|trouble| {
        if !matches!(trouble, slurm::Trouble::Missing(_)) {
            say(&format!("warning: the limits of this site are not known: {trouble}"));
        }
        SiteLimits::default()
    });
    let accepted = slurm::submit(&grid.folder, &script, wanted(&settings, left), limits)?;
    print(&submitted(&grid, left, &accepted))?;
    Ok(Exit::Done)
}

fn nothing_to_do(grid: &Grid) -> String {
    format!("nothing to do: all {} runs have ended", grid.runs.len())
}

/// Reads the experiment and the settings for submitting its workers; reports all mistakes at once.
fn read(arguments: &Arguments) -> Result<(Grid, Slurm), Failure> {
    let is_for_slurm =
        !arguments.slurm.is_empty() || arguments.workers.is_some() || arguments.print_script;
    if let (Starter::None, true) = (arguments.engine, is_for_slurm) {
        let message = "with `--engine none` nothing is submitted that options could be for";
        return Err(Failure::Problems(vec![Diagnostic::nowhere(message)]));
    }
    let own = user_file().map_or(Ok(None), |path| Slurm::of_file(&path));
    let line = Slurm::of_words(&arguments.slurm);
    let grid = match (Grid::read(&arguments.chosen), &own, &line) {
        (Ok(grid), Ok(_), Ok(_)) => grid,
        (Err(failure), Ok(_), Ok(_)) => return Err(failure),
        (grid, _, _) => {
            let mut problems: Vec<Diagnostic> = match grid {
                Err(Failure::Problems(problems)) => problems,
                _ => Vec::new(),
            };
            problems.extend(own.err().into_iter().flatten());
            problems.extend(line.err().into_iter().flatten());
            return Err(Failure::Problems(problems));
        }
    };
    let mut settings = own.unwrap_or_default().unwrap_or_default();
    settings = settings.and(&grid.experiment.slurm).and(&line.unwrap_or_default());
    settings.workers = arguments.workers.or(settings.workers);
    Ok((grid, settings))
}

/// Returns the path of the user's own settings, which hold for all experiments of this user.
fn user_file() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let config = match set("XDG_CONFIG_HOME") {
        Some(config) => PathBuf::from(config),
        None => Path::new(&set("HOME")?).join(".config"),
    };
    Some(config.join("saegrid").join("slurm.toml"))
}

/// Returns the number of workers to submit: as many as the unfinished runs need, since each worker runs
/// several at once.
fn wanted(settings: &Slurm, left: usize) -> usize {
    let at_once = settings.runs_at_once.map_or_else(|| settings.processors(), usize::from);
    settings.workers.map_or_else(|| left.div_ceil(at_once), usize::from).max(1)
}

/// Returns the number of unfinished runs, killed ones included, and all outstanding work.
fn look(grid: &Grid) -> Result<(usize, worker::Outstanding), Failure> {
    let all = outstanding(&grid.folder, &grid.experiment, &grid.runs)?;
    Ok((all.count + all.killed.len(), all))
}

/// Retries killed runs and crashed evaluations, as `run` does. Returns the number of unfinished runs.
fn try_again(grid: &Grid) -> Result<usize, Failure> {
    let (left, all) = look(grid)?;
    all.killed.iter().try_for_each(|id| grid.folder.revive(id))?;
    let holder = Holder { worker: 0, lease: grid.experiment.run.lease() };
    all.unmeasured.iter().try_for_each(|id| measure_again(&grid.folder, id, holder))?;
    Ok(left)
}

/// Shows which lines the shell runs before each worker: they may come from the experiment, or from a file
/// that it includes.
fn say_setup(settings: &Slurm) {
    if !settings.setup.is_empty() {
        say(&format!("before each worker, the shell runs\n{}", settings.setup.join("\n")));
    }
}

/// Shows the workers that were submitted before and still exist.
fn say_what_is_there(grid: &Grid) {
    let (submissions, left_out) = grid.folder.submissions().unwrap_or_default();
    left_out.iter().for_each(|warning| say(&format!("warning: {warning}")));
    if submissions.is_empty() {
        return;
    }
    match Queue::of(&submissions) {
        Ok(queue) if queue.tasks() == 0 => {}
        Ok(queue) => {
            say(&format!("submitted before, and there: {}", slurm::workers(queue.tasks())));
            queue.lines().iter().for_each(|line| say(&format!("  {line}")));
        }
        Err(trouble) => {
            say(&format!("which workers were submitted before is not known: {trouble}"))
        }
    }
}

/// Formats the command to start by hand, if nothing was submitted.
fn by_hand(grid: &Grid, left: usize) -> String {
    let folder = std::path::absolute(grid.folder.path());
    let folder = quoted(&folder.unwrap_or_else(|_| grid.folder.path().to_owned()));
    format!(
        "{}: {left} of {} runs to do\n  saegrid worker {folder}   wherever this folder is seen, and as often as you like\n",
        grid.experiment.name,
        grid.runs.len()
    )
}

/// Quotes a path as the user can type it.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    shlex::try_quote(&path).map_or(path.clone(), |quoted| quoted.into_owned())
}

/// Formats what was submitted, and what to do next.
fn submitted(grid: &Grid, left: usize, accepted: &Accepted) -> String {
    let Accepted { submission, cut } = accepted;
    let folder = quoted(grid.folder.path());
    let workers = slurm::workers(submission.workers);
    let mut text = format!(
        "{}: {left} of {} runs to do\nsubmitted job {}: {workers}\n",
        grid.experiment.name,
        grid.runs.len(),
        submission.job,
    );
    text.extend(cut.iter().map(|cut| format!("{cut}\n")));
    text.push_str(&format!(
        "  saegrid status {folder}   what is done, running and waiting\n  \
         saegrid watch {folder}    the same, until all has ended\n  \
         saegrid cancel {folder}   stops the workers; what is done stays\n"
    ));
    text
}
