//! The local pool: worker processes, started and watched.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use framework::diagnostics::Diagnostic;
use framework::shared::Shared;
use framework::spec::{Experiment, RunId, RunSpec};
use store::Folder;
use store::exit::{Exit, Failure};

use super::ends::memory_kills;
use super::settle::Settled;
use super::{ALLOCATOR, Event, Idle, places};
use crate::signals::Signals;

/// The worker processes of one command.
pub struct Pool<'a> {
    /// Where they work.
    pub folder: &'a Folder,
    /// What they work on.
    pub experiment: &'a Experiment,
    /// The runs of the grid.
    pub runs: &'a [RunSpec],
    /// How many processes there are at once.
    pub jobs: usize,
    /// How many threads each run has.
    pub threads: usize,
    /// What they do when they find nothing to claim.
    pub idle: Idle,
    /// Data that is in memory already.
    pub shared: &'a Shared,
    /// What asks to stop.
    pub signals: &'a Signals,
    /// What shows a message to the user.
    pub say: fn(&str),
}

/// Why a pool ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolEnd {
    /// There was nothing left to do.
    Finished,
    /// It was told to stop.
    Stopped,
}

/// How long workers that were asked to stop may take: they keep checkpoints.
const GRACE: Duration = Duration::from_millis(8500);
const GRACE_OF_WARNED: Duration = Duration::from_millis(40_500);

/// How many workers in a row may end before they take a run: one that is killed just then is
/// followed by another, but not without end by ones that cannot start.
const IN_VAIN: usize = 8;

/// How often the pool looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(50);

enum Message {
    Event(usize, Event),
    Closed(usize),
}

/// A worker process.
pub struct WorkerProcess {
    /// The process.
    pub child: Child,
    /// Its number in the pool.
    pub number: usize,
    /// Whether it took any run.
    pub started: bool,
    /// The run that it works on.
    pub running: Option<RunId>,
    broken: Option<Failure>,
    /// How often the system had killed processes for want of memory when it was started.
    pub memory_kills: u64,
}

impl Pool<'_> {
    /// Runs until nothing is left to do or a signal asks to stop. `hear` is told every event, and
    /// called with `None` now and then while nothing happens.
    ///
    /// # Errors
    /// If workers cannot be started, or cannot read or write what they need.
    pub fn run(&self, hear: &mut dyn FnMut(Option<&Event>)) -> Result<PoolEnd, Failure> {
        let (sender, receiver) = mpsc::channel();
        let mut workers = HashMap::new();
        let end = (0..self.jobs)
            .try_for_each(|at| self.start(at, &sender).map(|new| drop(workers.insert(at, new))))
            .and_then(|()| self.watch(&mut workers, &sender, &receiver, hear));
        self.stop(&mut workers, &receiver, hear);
        end
    }

    fn watch(
        &self,
        workers: &mut HashMap<usize, WorkerProcess>,
        sender: &Sender<Message>,
        receiver: &Receiver<Message>,
        hear: &mut dyn FnMut(Option<&Event>),
    ) -> Result<PoolEnd, Failure> {
        let mut in_vain = 0;
        while !workers.is_empty() {
            if self.signals.caught().is_some() {
                return Ok(PoolEnd::Stopped);
            }
            match receiver.recv_timeout(LOOK) {
                Ok(Message::Event(at, event)) => {
                    let is_ours = |pid| workers.values().any(|worker| worker.child.id() == pid);
                    let event = event.of_others(is_ours);
                    if let Some(worker) = workers.get_mut(&at) {
                        worker.note(&event);
                    }
                    hear(Some(&event));
                }
                Ok(Message::Closed(at)) => {
                    let Some(mut worker) = workers.remove(&at) else { continue };
                    self.signals.wait(&worker.child);
                    if self.signals.caught().is_some() {
                        return Ok(PoolEnd::Stopped);
                    }
                    if let Some(failure) = worker.broken {
                        return Err(failure);
                    }
                    in_vain = match self.settle(&mut worker, hear)? {
                        Settled::Ended => continue,
                        Settled::Lost => 0,
                        Settled::InVain(status) if in_vain == IN_VAIN => {
                            let message =
                                format!("worker processes end before they take a run: {status}");
                            return Err(Failure::Io(message));
                        }
                        Settled::InVain(_) => in_vain + 1,
                    };
                    if self.is_work_left()? {
                        workers.insert(at, self.start(at, sender)?);
                    }
                }
                Err(RecvTimeoutError::Timeout) => hear(None),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok(PoolEnd::Finished)
    }

    /// Asks workers to stop, and ends those that take too long.
    fn stop(
        &self,
        workers: &mut HashMap<usize, WorkerProcess>,
        receiver: &Receiver<Message>,
        hear: &mut dyn FnMut(Option<&Event>),
    ) {
        self.signals.ask_workers();
        if self.signals.caught().is_some() {
            let second = if self.signals.is_patient() {
                ""
            } else {
                "; a second signal ends everything at once"
            };
            (self.say)(&format!("stopping, as soon as what runs is kept{second}"));
        }
        let warned = self.signals.caught() == Some(Exit::Warned);
        let deadline = Instant::now() + if warned { GRACE_OF_WARNED } else { GRACE };
        while !workers.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            match receiver.recv_timeout(left) {
                Ok(Message::Event(_, event)) => hear(Some(&event)),
                Ok(Message::Closed(at)) => {
                    if let Some(mut worker) = workers.remove(&at) {
                        self.signals.wait(&worker.child);
                        // How it ended makes no difference any more.
                        let _ = worker.child.wait();
                    }
                }
                Err(_) => break,
            }
        }
        for (_, mut worker) in workers.drain() {
            self.signals.kill(&mut worker.child);
        }
    }

    fn start(&self, worker: usize, sender: &Sender<Message>) -> Result<WorkerProcess, Failure> {
        let program = program().map_err(|error| lost(&error))?;
        let mut command = Command::new(program);
        let memory_kills = memory_kills();
        command
            .arg("claim")
            .arg(self.folder.path())
            .args(["--number", &worker.to_string(), "--threads", &self.threads.to_string()])
            .args((self.idle == Idle::Ends).then_some("--ends-idle"))
            .args(places(self.shared))
            // polars has a pool of its own; a worker writes tables of one run.
            .env("POLARS_MAX_THREADS", "1")
            .envs(ALLOCATOR)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = self.signals.start(&mut command).map_err(|error| lost(&error))?;
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
    fn note(&mut self, event: &Event) {
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

/// That workers cannot be run.
pub fn lost(error: &io::Error) -> Failure {
    Failure::Io(format!("cannot run a worker process: {error}"))
}

/// This program, also when its file was replaced by a newer one while it runs.
#[allow(clippy::disallowed_methods, reason = "it looks for the program itself")]
fn program() -> io::Result<PathBuf> {
    let path = std::env::current_exe()?;
    let own = Path::new("/proc/self/exe");
    Ok(if !path.exists() && own.exists() { own.to_owned() } else { path })
}
