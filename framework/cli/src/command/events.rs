//! Writes the events of the workers, one JSON object a line, for other programs to follow.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use store::exit::Failure;
use worker::Event;

use crate::output;
use crate::terminal;

/// File of events.
pub struct Events(File);

impl Events {
    /// Makes an empty file.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        output::create(path).map(Self)
    }

    /// Writes an event as a line at once. Events are for watchers, so a failed write never fails a run.
    pub fn write(&mut self, event: &Event) {
        let _ = writeln!(self.0, "{}", terminal::json(event));
    }
}
