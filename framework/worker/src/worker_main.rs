//! `main` of a worker process, and the arguments with which its pool starts it.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use framework::shared::Shared;
use store::Folder;
use store::exit::Exit;
use store::process::Process;

use crate::context::{Idle, Worker};
use crate::log::Output;
use crate::protocol::Event;
use crate::resources::limit_threads;
use crate::stop::StopRequest;
use crate::supervisor::end_process;
use crate::work::work;

/// Works on the experiment folder at `path` until nothing is left to do, and writes its events to
/// standard output. The pool holds the other end of standard input: the worker ends when it closes.
pub fn main(path: &Path, number: usize, threads: usize, shared: Shared, idle: Idle) -> Exit {
    let stop = StopRequest::on_signals();
    stop.on_end_of_input();
    let (output, events) = Output::take();
    let events = Mutex::new(events);
    let say = |event: &Event| say(&events, event);
    limit_threads(threads);
    let (process, output) = (Process::this(), Some(&output));
    let worker = Worker { number, process, threads, idle, stop: stop.clone(), output, say: &say };
    match work(&Folder::at(path), &worker, shared) {
        // The pool is gone: this process itself has to end what its runs have started.
        Ok(()) if stop.asked() == Some(Exit::Orphaned) => end_process(Exit::Orphaned),
        Ok(()) => stop.asked().unwrap_or(Exit::Done),
        Err(failure) => {
            let exit = failure.exit();
            say(&Event::Broken { worker: number, message: failure.to_string(), exit: exit as u8 });
            exit
        }
    }
}

/// Writes an event as one line of JSON. If nothing reads it any more, the work continues.
fn say(events: &Mutex<Box<dyn Write + Send>>, event: &Event) {
    if let Ok(mut line) = serde_json::to_string(event) {
        line.push('\n');
        let mut events = events.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = events.write_all(line.as_bytes()).and_then(|()| events.flush());
    }
}

/// Arguments that tell a worker where data is in memory already.
pub fn places(shared: &Shared) -> impl Iterator<Item = OsString> {
    shared.places().into_iter().map(|(key, place)| {
        let mut argument = OsString::from(format!("--shared={key}="));
        argument.push(place);
        argument
    })
}

/// Reads the value of one argument of [`places`].
///
/// # Errors
/// If it is not `KEY=PLACE`.
pub fn place(argument: &str) -> Result<(String, PathBuf), String> {
    let (key, place) = argument.split_once('=').ok_or("expected KEY=PLACE")?;
    Ok((key.to_owned(), place.into()))
}
