//! `watch`: repeats `status` until all runs have ended, from the files of the folder alone.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use store::Folder;
use store::exit::{Exit, Failure};
use worker::signals::Signals;

use super::overview::{DoneTables, Overview};
use crate::slurm::Jobs;
use crate::terminal::{is_dumb, is_output, print_if_read, redraw, size};

#[derive(Args)]
pub struct Arguments {
    /// Experiment folder, such as results/kl_sweep
    folder: PathBuf,
    /// Time between two looks, such as 2s
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = interval)]
    interval: Duration,
}

/// Time between two checks for a signal.
const TICK: Duration = Duration::from_millis(50);

/// Time between two questions to a cluster: it serves others too.
const ASKED_EVERY: Duration = Duration::from_secs(30);

fn interval(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(interval) if interval >= TICK => Ok(interval),
        Ok(_) => Err(format!("at least {TICK:?} are needed between two looks")),
        Err(error) => Err(error.to_string()),
    }
}

/// Shows what `status` shows, whenever it has changed. The exit code is that of `status` at the end. The runs
/// are not affected.
pub fn watch(arguments: &Arguments) -> Result<Exit, Failure> {
    let signals = Signals::catch();
    let folder = Folder::at(&arguments.folder);
    let mut screen = Screen::of_output();
    let mut results = DoneTables::default();
    let (mut jobs, mut asked) = (Jobs::default(), None);
    loop {
        let looked = Instant::now();
        let overview = Overview::of(&folder)?;
        let exit = overview.exit();
        let is_over = exit != Exit::Outstanding;
        let text = match &screen {
            Screen::Lines { .. } if !is_over => overview.line(),
            _ => {
                if asked.is_none_or(|asked: Instant| asked.elapsed() > ASKED_EVERY) {
                    // `status` warns of records that are left out.
                    (jobs, asked) = (Jobs::of(&folder)?.0, Some(Instant::now()));
                }
                overview.text(&folder, &mut results, &jobs, false)?
            }
        };
        if !screen.show(&text, is_over)? || is_over {
            return Ok(exit);
        }
        while looked.elapsed() < arguments.interval {
            if let Some(exit) = signals.caught() {
                return Ok(exit);
            }
            std::thread::sleep(TICK.min(arguments.interval.saturating_sub(looked.elapsed())));
        }
    }
}

/// Place where the grid is shown.
enum Screen {
    /// Terminal: each text replaces the one before.
    Terminal,
    /// Anything else: a line whenever it has changed.
    Lines { last: String },
}

impl Screen {
    fn of_output() -> Self {
        if is_output() && !is_dumb() { Self::Terminal } else { Self::Lines { last: String::new() } }
    }

    /// Shows a text; returns `false` if the reader went away.
    fn show(&mut self, text: &str, is_last: bool) -> Result<bool, Failure> {
        match self {
            Self::Terminal if is_last => redraw(text, (usize::MAX, usize::MAX)),
            Self::Terminal => redraw(text, size()),
            Self::Lines { last } if last == text => Ok(true),
            Self::Lines { last } => {
                text.clone_into(last);
                print_if_read(text)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_a_time_of_some_length() {
        assert_eq!(interval("500ms"), Ok(Duration::from_millis(500)));
        assert!(interval("0s").is_err() && interval("soon").is_err());
    }
}
