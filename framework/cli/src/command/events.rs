//! What happens in the workers, one JSON object a line, for other programs to follow.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use store::exit::Failure;
use worker::Event;

use crate::output;
use crate::terminal;

/// A file of events.
pub struct Events(File);

impl Events {
    /// An empty one.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        output::create(path).map(Self)
    }

    /// Writes a line at once. Events are for watchers; they never fail a run.
    pub fn write(&mut self, event: &Event) {
        let _ = writeln!(self.0, "{}", terminal::json(event));
    }
}
