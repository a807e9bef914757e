//! Writes to standard output and standard error; nothing else in this program does.
//!
//! Most messages hold text that others wrote: reasons and claims from an experiment folder, names and cells
//! from tables, names of files. So every text goes through [`printable`] here, and the only sequences that
//! reach a terminal are our own: colours and those of [`redraw`]. Data for other programs (JSON, CSV) goes
//! through [`print_json`] and [`print_data`].

use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};

use framework::diagnostics::{Diagnostic, Severity};
use framework::printable;
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};
use store::exit::Failure;

/// Prints results on standard output; a reader that went away is not an error.
///
/// # Errors
/// If it cannot be written.
pub fn print(text: &str) -> Result<(), Failure> {
    print_bytes(printable::lines(text).as_bytes())
}

/// Prints data for other programs unchanged; on a terminal, prints it as [`print`] does.
///
/// # Errors
/// If it cannot be written.
pub fn print_data(bytes: &[u8]) -> Result<(), Failure> {
    if is_output() { print(&String::from_utf8_lossy(bytes)) } else { print_bytes(bytes) }
}

fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    printed(out.write_all(bytes).and_then(|()| out.flush()))
}

/// Prints one line of JSON while it is being made: it may hold 100,000 runs.
///
/// # Errors
/// If it cannot be written.
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let written = write_json(&mut out, value);
    printed(written.and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()))
}

/// Returns a value as one line of JSON, with every character that is not printable escaped.
pub fn json(value: &impl Serialize) -> String {
    let mut text = Vec::new();
    // Writing to memory does not fail, and all keys of our values are valid in JSON.
    let _ = write_json(&mut text, value);
    String::from_utf8_lossy(&text).into_owned()
}

fn write_json(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(out, Escaped)).map_err(io::Error::from)
}

/// Compact JSON. serde_json escapes what JSON must; this escapes DEL, C1 and format characters too.
struct Escaped;

impl Formatter for Escaped {
    fn write_string_fragment<W>(&mut self, out: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + Write,
    {
        let mut rest = fragment;
        while let Some(at) = rest.find(|c| !printable::is_shown(c)) {
            CompactFormatter.write_string_fragment(out, &rest[..at])?;
            let c = rest[at..].chars().next().unwrap_or_default();
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        CompactFormatter.write_string_fragment(out, rest)
    }
}

fn printed(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Io(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Terminal sequences: go to the upper left corner; clear to the end of the line; clear to the end of the
/// screen.
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";

/// Draws a text over what standard output shows, as many lines as fit into `size` (columns, rows). Returns
/// `false` if the reader went away.
///
/// # Errors
/// If it cannot be written.
pub fn redraw(text: &str, size: (usize, usize)) -> Result<bool, Failure> {
    show(&redrawn(text, size))
}

/// Prints a text; returns `false` if the reader went away.
///
/// # Errors
/// If it cannot be written.
pub fn print_if_read(text: &str) -> Result<bool, Failure> {
    show(&printable::lines(text))
}

fn show(text: &str) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        written => printed(written).map(|()| true),
    }
}

fn redrawn(text: &str, (columns, rows): (usize, usize)) -> String {
    let mut room = rows - 1;
    let mut drawn = HOME.to_owned();
    for line in printable::lines(text).lines() {
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

/// Returns the columns and rows of the terminal on standard output, or 80 and 24.
pub fn size() -> (usize, usize) {
    #[cfg(unix)]
    if let Ok(size) = rustix::termios::tcgetwinsize(io::stdout())
        && size.ws_col > 0
        && size.ws_row > 0
    {
        return (usize::from(size.ws_col), usize::from(size.ws_row));
    }
    (80, 24)
}

/// Returns whether standard output is a terminal.
pub fn is_output() -> bool {
    io::stdout().is_terminal()
}

/// Returns whether standard error is a terminal.
pub fn is_error() -> bool {
    io::stderr().is_terminal()
}

/// Returns whether `TERM` names a terminal that cannot move its cursor.
pub fn is_dumb() -> bool {
    std::env::var("TERM").is_ok_and(|term| term == "dumb")
}

/// Prints one message on standard error. Lines after the first are indented, so that one message cannot look
/// like several. Runs continue even if the reader went away.
pub fn say(message: &str) {
    say_text(&said(message));
}

fn said(message: &str) -> String {
    printable::lines(message).replace('\n', "\n  ") + "\n"
}

fn say_text(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Shows problems on standard error, each with its source line.
pub fn say_problems(problems: &[Diagnostic]) {
    let color = is_error() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    for problem in problems {
        say_text(&(problem.render(color) + "\n\n"));
    }
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    if errors > 1 {
        say(&format!("{errors} errors; nothing was run"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    /// Wrong if a message could move the cursor, or start a line that looks like another message.
    #[test]
    fn a_message_is_shown_and_not_obeyed() {
        assert_eq!(said("a\u{1b}[2J\u{9b}m\nerror: b"), "a\\u{1b}[2J\\u{9b}m\n  error: b\n");
    }

    /// Wrong if `watch` drew sequences of others, scrolled the screen or left old text on it.
    #[test]
    fn a_text_is_drawn_over_the_one_before_and_no_longer_than_the_screen() {
        let drawn = redrawn("one\ntwo\nthree\n", (80, 3));
        assert_eq!(drawn, "\x1b[Hone\x1b[K\ntwo\x1b[K\n\x1b[J");
        assert_eq!(redrawn("four\ntwo\n", (3, 3)), "\x1b[Hfour\x1b[K\n\x1b[J", "it takes two rows");
        assert_eq!(redrawn("a\x1b[2J\n", (80, 3)), "\x1b[Ha\\u{1b}[2J\x1b[K\n\x1b[J");
    }

    /// Wrong if JSON held a control or format character, or meant another value.
    #[test]
    fn json_is_escaped_and_means_the_same() {
        let value =
            json!({ "a\u{9b}": "b\u{7f}\u{202e}c\u{e0041}\u{1b}\n\"ü\\", "n": [1.5, null] });
        let text = super::json(&value);
        assert!(text.chars().all(printable::is_shown), "{text:?}");
        assert!(text.contains("\\u009b") && text.contains("\\udb40\\udc41"), "{text}");
        assert_eq!(serde_json::from_str::<Json>(&text).unwrap(), value);
    }
}
