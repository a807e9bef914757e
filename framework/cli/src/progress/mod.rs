//! Shows progress on standard error: bars on a terminal, lines elsewhere.

mod bars;
mod lines;

use clap::ValueEnum;
use framework::printable;
use framework::spec::RunSpec;

pub use crate::terminal::say;
use crate::terminal::{is_dumb, is_error};
use worker::{Event, HeldRun};

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

/// Shows progress.
pub trait Report {
    /// Receives an event, or `None` if nothing happened for a moment.
    fn hear(&mut self, event: Option<&Event>);

    /// Tidies the screen at the end.
    fn finish(&mut self);
}

/// Makes a reporter of this style for the runs of a grid, `done` of which ended before.
pub fn reporter(style: Style, runs: &[RunSpec], done: usize, jobs: usize) -> Box<dyn Report> {
    let bars = match style {
        Style::Auto => is_error() && !is_dumb(),
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

struct Silent;

impl Report for Silent {
    fn hear(&mut self, _: Option<&Event>) {}

    fn finish(&mut self) {}
}

/// Describes a run in few words: its place in the grid, and its seed.
pub fn describe(run: &RunSpec) -> String {
    let mut words = place_of(run);
    words.push(format!("seed={}", run.seed));
    printable::line(&words.join(" ")).into_owned()
}

/// Describes the place of a run in the grid, the same for all seeds; empty if the grid has one place.
pub fn setting_of(run: &RunSpec) -> String {
    printable::line(&place_of(run).join(" ")).into_owned()
}

/// Returns the value of a run on each axis of the grid, in words.
fn place_of(run: &RunSpec) -> Vec<String> {
    run.point
        .iter()
        .map(|(axis, value)| {
            // The value of a whole section needs no name: it says what it is.
            match axis.rsplit_once('.') {
                Some((_, name)) => format!("{name}={value}"),
                None => value.clone(),
            }
        })
        .collect()
}

/// Describes the result of a run that ended, in few words; `None` for other events.
fn outcome(event: &Event) -> Option<String> {
    let Event::Finished {
        status, reason, test_mse, test_l0, test_mean_activation, seconds, ..
    } = event
    else {
        return None;
    };
    let mut words = vec![status.to_string()];
    words.extend(reason.clone());
    words.extend(test_mse.map(|mse| format!("test_mse {}", decimals(mse, 5))));
    words.extend(test_l0.map(|l0| format!("L0 {l0:.1}")));
    words.extend(test_mean_activation.map(|mean| format!("mean activation {}", decimals(mean, 4))));
    words.push(format!("{seconds:.1} s"));
    Some(printable::line(&words.join(", ")).into_owned())
}

/// Formats a number with `count` decimals, or with a power of ten if it is large.
fn decimals(value: f64, count: usize) -> String {
    if value.abs() < 1e6 { format!("{value:.count$}") } else { format!("{value:.count$e}") }
}

/// Returns a line about an event that matters although no run has ended.
fn notice(event: &Event) -> Option<String> {
    let notice = match event {
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
            let HeldRun { run, host, pid } = first;
            Some(format!("waiting for run {run}{more}, which process {pid} on {host} works on"))
        }
        _ => None,
    };
    notice.map(|notice| printable::line(&notice).into_owned())
}

#[cfg(test)]
mod tests {
    use framework::spec::RunId;

    use super::*;
    use store::Status;

    /// Wrong if a reason, or the name of a host, could draw over the bars or make a line of its own.
    #[test]
    fn what_is_said_of_a_run_is_one_line_that_is_not_obeyed() {
        let evil = "a\u{1b}[2J\u{9b}m\r\nerror: b\u{202e}";
        let run = || RunId("0123456789abcdef".into());
        let finished = Event::Finished {
            worker: 0,
            run: run(),
            status: Status::Failed,
            reason: Some(evil.into()),
            test_mse: None,
            test_l0: None,
            test_mean_activation: None,
            seconds: 1.0,
        };
        let warning = Event::Warning { worker: 0, run: run(), message: evil.into() };
        let holding = HeldRun { run: run(), host: evil.into(), pid: 1 };
        let waiting = Event::Waiting { worker: 0, runs: vec![holding] };
        for text in [outcome(&finished), notice(&warning), notice(&waiting)] {
            let text = text.unwrap();
            assert!(text.chars().all(printable::is_shown), "{text:?}");
            assert!(text.contains("a\\u{1b}[2J\\u{9b}m  error: b\\u{202e}"), "{text}");
        }
    }

    /// Wrong if a loss that overflows were shown with 39 digits.
    #[test]
    fn large_numbers_have_a_power_of_ten() {
        assert_eq!(
            (decimals(0.123456, 4), decimals(1e38, 4)),
            ("0.1235".into(), "1.0000e38".into())
        );
    }
}
