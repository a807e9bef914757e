//! One worker process.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;

use framework::diagnostics::Diagnostic;
use framework::spec::RunId;
use store::exit::{Exit, Failure};

use super::Pool;
use super::ends::memory_kills;
use crate::context::Idle;
use crate::protocol::Event;
use crate::resources::ALLOCATOR;
use crate::worker_main::places;

/// Message from the thread that reads the output of a worker.
pub enum Message {
    /// Event of the worker with this number.
    Event(usize, Event),
    /// Standard output of the worker with this number is closed: the process ends or has ended.
    Closed(usize),
}

/// Worker process of a pool.
pub struct WorkerProcess {
    /// Handle of the process.
    pub child: Child,
    /// Number of the worker in the pool.
    pub number: usize,
    /// True if it has started a run.
    pub started: bool,
    /// Run that it works on.
    pub running: Option<RunId>,
    /// Reason why it cannot continue, if it said so.
    pub broken: Option<Failure>,
    /// Count of [`memory_kills`] when it was started.
    pub memory_kills: u64,
}

impl Pool<'_> {
    /// Starts a worker process and a thread that sends its events to `sender`.
    ///
    /// # Errors
    /// If the process cannot be started.
    pub fn start(&self, worker: usize, sender: &Sender<Message>) -> Result<WorkerProcess, Failure> {
        let program = program().map_err(|error| cannot_run(&error))?;
        let mut command = Command::new(program);
        let memory_kills = memory_kills();
        command
            .arg("claim")
            .arg(self.folder.path())
            .args(["--number", &worker.to_string(), "--threads", &self.threads.to_string()])
            .args((self.idle == Idle::Ends).then_some("--ends-idle"))
            .args(places(self.shared))
            // polars has a thread pool of its own; a worker only writes the tables of one run.
            .env("POLARS_MAX_THREADS", "1")
            .envs(ALLOCATOR)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = self.signals.start(&mut command).map_err(|error| cannot_run(&error))?;
        let Some(stdout) = child.stdout.take() else { unreachable!("standard output is piped") };
        let sender = sender.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Ok(event) = serde_json::from_str(&line) {
                    let _ = sender.send(Message::Event(worker, event));
                }
            }
            let _ = sender.send(Message::Closed(worker));
        });
        let number = worker;
        Ok(WorkerProcess {
            child,
            number,
            started: false,
            running: None,
            broken: None,
            memory_kills,
        })
    }
}

impl WorkerProcess {
    /// Notes what an event says about the process.
    pub fn note(&mut self, event: &Event) {
        match event {
            Event::Started { run, .. } => {
                self.started = true;
                self.running = Some(run.clone());
            }
            Event::Finished { .. } | Event::Paused { .. } => self.running = None,
            Event::Broken { message, exit, .. } => {
                let message = message.clone();
                self.broken = Some(if *exit == Exit::Usage as u8 {
                    Failure::Problems(vec![Diagnostic::nowhere(message)])
                } else if *exit == Exit::Busy as u8 {
                    Failure::Busy(message)
                } else {
                    Failure::Io(message)
                });
            }
            Event::Progress { .. } | Event::Waiting { .. } | Event::Warning { .. } => {}
        }
    }
}

/// Failure to run a worker process.
pub fn cannot_run(error: &io::Error) -> Failure {
    Failure::Io(format!("cannot run a worker process: {error}"))
}

/// Path of this program, even if its file was replaced by a newer one while it runs.
#[allow(clippy::disallowed_methods, reason = "it looks for the program itself")]
fn program() -> io::Result<PathBuf> {
    let path = std::env::current_exe()?;
    let own = Path::new("/proc/self/exe");
    Ok(if !path.exists() && own.exists() { own.to_owned() } else { path })
}
