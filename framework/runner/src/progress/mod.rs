//! What is going on, on standard error: bars on a terminal, lines elsewhere.

mod bars;
mod lines;

use std::io::{IsTerminal, Write};

use clap::ValueEnum;
use framework::spec::RunSpec;

use crate::worker::{Event, Holding};

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Style {
    /// Bars on a terminal, lines elsewhere.
    #[default]
    Auto,
    /// A bar for the grid and one for each worker.
    Bar,
    /// A line for each run that ends, and one a minute.
    Line,
    /// Nothing.
    None,
}

/// Something that shows progress.
pub trait Report {
    /// Something happened, or, with `None`, nothing did for a moment.
    fn hear(&mut self, event: Option<&Event>);

    /// All is over; the screen is left tidy.
    fn finish(&mut self);
}

/// A reporter of the style over the runs of a grid, `done` of which had ended before.
pub fn reporter(style: Style, runs: &[RunSpec], done: usize, jobs: usize) -> Box<dyn Report> {
    let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    let bars = match style {
        Style::Auto => std::io::stderr().is_terminal() && !dumb,
        Style::Bar => true,
        Style::Line => false,
        Style::None => return Box::new(Silent),
    };
    if bars {
        Box::new(bars::Bars::new(runs, done, jobs))
    } else {
        Box::new(lines::Lines::new(runs, done))
    }
}

/// Says a line on standard error. A reader that went away is no reason to stop: the runs go on.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

struct Silent;

impl Report for Silent {
    fn hear(&mut self, _: Option<&Event>) {}

    fn finish(&mut self) {}
}

/// A run in few words: where it stands in the grid, and its seed.
pub fn describe(run: &RunSpec) -> String {
    let mut words: Vec<String> = run
        .point
        .iter()
        .map(|(axis, value)| {
            // A whole section says by itself what it is.
            match axis.rsplit_once('.') {
                Some((_, name)) => format!("{name}={value}"),
                None => value.clone(),
            }
        })
        .collect();
    words.push(format!("seed={}", run.seed));
    words.join(" ")
}

/// What a run that ended came to, in few words.
fn outcome(event: &Event) -> Option<String> {
    let Event::Finished { status, reason, test_mse, test_l0, seconds, .. } = event else {
        return None;
    };
    let mut words = vec![status.to_string()];
    words.extend(reason.clone());
    words.extend(test_mse.map(|mse| format!("test_mse {}", decimals(mse, 5))));
    words.extend(test_l0.map(|l0| format!("L0 {l0:.1}")));
    words.push(format!("{seconds:.1} s"));
    Some(words.join(", "))
}

/// A number with so many decimals, or, if it is large, with a power of ten.
fn decimals(value: f64, count: usize) -> String {
    if value.abs() < 1e6 { format!("{value:.count$}") } else { format!("{value:.count$e}") }
}

/// What is worth a line though no run has ended.
fn notice(event: &Event) -> Option<String> {
    match event {
        Event::Warning { run, message, .. } => Some(format!("warning: run {run}: {message}")),
        Event::Paused { run, step, .. } => {
            Some(format!("{run} waits after step {step}, to be compared with others"))
        }
        Event::Waiting { runs, .. } => {
            let first = runs.first()?;
            let more = match runs.len() - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let Holding { run, host, pid } = first;
            Some(format!("waiting for run {run}{more}, which process {pid} on {host} works on"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::decimals;

    /// Wrong if a loss that overflows were told in 39 digits.
    #[test]
    fn large_numbers_have_a_power_of_ten() {
        assert_eq!(
            (decimals(0.123456, 4), decimals(1e38, 4)),
            ("0.1235".into(), "1.0000e38".into())
        );
    }
}
