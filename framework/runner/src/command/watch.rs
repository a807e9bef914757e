//! `watch`: follows a grid while others work on it, from its files alone, until all has ended.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use super::overview::{Overview, Results};
use crate::exit::{Exit, Failure};
use crate::interrupt::Signals;
use crate::slurm::Jobs;
use crate::store::Folder;

#[derive(Args)]
pub struct Arguments {
    /// The experiment folder, as in results/kl_sweep
    folder: PathBuf,
    /// How often to look, as in 2s
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = interval)]
    interval: Duration,
}

/// How often a signal is looked for.
const TICK: Duration = Duration::from_millis(50);

/// How often a cluster is asked for its jobs: it serves others too.
const ASKED_EVERY: Duration = Duration::from_secs(30);

fn interval(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(interval) if interval >= TICK => Ok(interval),
        Ok(_) => Err(format!("at least {TICK:?} are needed between two looks")),
        Err(error) => Err(error.to_string()),
    }
}

/// Shows what `status` says whenever that has changed; its exit code is that of `status` at the end.
/// The runs know nothing of it.
pub fn watch(arguments: &Arguments) -> Result<Exit, Failure> {
    let signals = Signals::catch();
    let folder = Folder::at(&arguments.folder);
    let mut screen = Screen::of_output();
    let mut results = Results::default();
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
                    (jobs, asked) = (Jobs::of(&folder)?, Some(Instant::now()));
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

/// Where the grid is shown.
enum Screen {
    /// On a terminal, each time in place of the time before.
    Terminal,
    /// Elsewhere, a line whenever it is another one.
    Lines { last: String },
}

/// What terminals take for: to the upper left corner, and from here to the end of the line or screen,
/// nothing.
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";

impl Screen {
    fn of_output() -> Self {
        let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
        if io::stdout().is_terminal() && !dumb {
            Self::Terminal
        } else {
            Self::Lines { last: String::new() }
        }
    }

    /// Shows it; `false` if nobody reads any more.
    fn show(&mut self, text: &str, is_last: bool) -> Result<bool, Failure> {
        let shown = match self {
            Self::Terminal if is_last => redrawn(text, (usize::MAX, usize::MAX)),
            Self::Terminal => redrawn(text, size()),
            Self::Lines { last } if last == text => return Ok(true),
            Self::Lines { last } => {
                text.clone_into(last);
                text.to_owned()
            }
        };
        let mut out = io::stdout().lock();
        match out.write_all(shown.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(Failure::Io(format!("cannot write to standard output: {error}"))),
        }
    }
}

/// The text drawn over what is there, as many lines as there is room for in these columns and rows.
fn redrawn(text: &str, (columns, rows): (usize, usize)) -> String {
    let mut room = rows - 1;
    let mut drawn = HOME.to_owned();
    for line in text.lines() {
        let needed = line.chars().count().div_ceil(columns).max(1);
        if needed > room {
            break;
        }
        room -= needed;
        drawn.push_str(line);
        drawn.push_str(CLEAR_LINE);
        drawn.push('\n');
    }
    drawn + CLEAR_BELOW
}

/// How many columns and rows the terminal has.
fn size() -> (usize, usize) {
    #[cfg(unix)]
    if let Ok(size) = rustix::termios::tcgetwinsize(io::stdout())
        && size.ws_col > 0
        && size.ws_row > 0
    {
        return (usize::from(size.ws_col), usize::from(size.ws_row));
    }
    (80, 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if what is drawn scrolled the screen, or left something of what was there before.
    #[test]
    fn a_text_is_drawn_over_the_one_before_and_no_longer_than_the_screen() {
        let drawn = redrawn("one\ntwo\nthree\n", (80, 3));
        assert_eq!(drawn, "\x1b[Hone\x1b[K\ntwo\x1b[K\n\x1b[J");
        assert_eq!(redrawn("four\ntwo\n", (3, 3)), "\x1b[Hfour\x1b[K\n\x1b[J", "it takes two rows");
    }

    #[test]
    fn an_interval_is_a_time_of_some_length() {
        assert_eq!(interval("500ms"), Ok(Duration::from_millis(500)));
        assert!(interval("0s").is_err() && interval("soon").is_err());
    }
}
