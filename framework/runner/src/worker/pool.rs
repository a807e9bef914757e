//! The local pool: worker processes, started and watched.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use framework::shared::Shared;
use framework::spec::{Experiment, RunId, RunSpec};

use super::execute::Context;
use super::{ALLOCATOR, Event, Job, job, places, record_lost};
use crate::exit::Failure;
use crate::store::{Claim, Folder};

/// The workers of one `run` command.
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
    /// Data that is in memory already.
    pub shared: &'a Shared,
}

/// Why a pool ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolEnd {
    /// There was nothing left to claim.
    Finished,
    /// It was told to stop.
    Stopped,
}

enum Message {
    Event(usize, Event),
    Closed(usize),
}

struct Worker {
    child: Child,
    /// Whether it took any run: one that never did would end again in the same way.
    started: bool,
    running: Option<RunId>,
    broken: Option<Failure>,
}

impl Pool<'_> {
    /// Runs until nothing is left to claim or `stop` says so. `hear` is told every event, and
    /// called with `None` now and then while nothing happens.
    ///
    /// # Errors
    /// If workers cannot be started, or cannot read or write what they need.
    pub fn run(
        &self,
        stop: &dyn Fn() -> bool,
        hear: &mut dyn FnMut(Option<&Event>),
    ) -> Result<PoolEnd, Failure> {
        let (sender, receiver) = mpsc::channel();
        let mut workers = HashMap::new();
        for worker in 0..self.jobs {
            workers.insert(worker, self.start(worker, &sender)?);
        }
        let end = self.watch(&mut workers, &sender, &receiver, stop, hear);
        for worker in workers.values_mut() {
            // One that ended by itself is no error here.
            let _ = worker.child.kill();
            let _ = worker.child.wait();
        }
        end
    }

    fn watch(
        &self,
        workers: &mut HashMap<usize, Worker>,
        sender: &Sender<Message>,
        receiver: &Receiver<Message>,
        stop: &dyn Fn() -> bool,
        hear: &mut dyn FnMut(Option<&Event>),
    ) -> Result<PoolEnd, Failure> {
        while !workers.is_empty() {
            if stop() {
                return Ok(PoolEnd::Stopped);
            }
            match receiver.recv_timeout(Duration::from_millis(100)) {
                Ok(Message::Event(at, event)) => {
                    if let Some(worker) = workers.get_mut(&at) {
                        worker.note(&event);
                    }
                    hear(Some(&event));
                }
                Ok(Message::Closed(at)) => {
                    let Some(mut worker) = workers.remove(&at) else { continue };
                    let status = worker.child.wait().map_err(|error| lost(&error))?;
                    if stop() {
                        return Ok(PoolEnd::Stopped);
                    }
                    if let Some(failure) = worker.broken {
                        return Err(failure);
                    }
                    if !status.success() {
                        self.settle_lost(&worker, status, hear)?;
                        if self.is_work_left()? {
                            workers.insert(at, self.start(at, sender)?);
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => hear(None),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok(PoolEnd::Finished)
    }

    fn start(&self, worker: usize, sender: &Sender<Message>) -> Result<Worker, Failure> {
        let program = std::env::current_exe().map_err(|error| lost(&error))?;
        let mut child = Command::new(program)
            .arg("worker")
            .arg(self.folder.path())
            .args(["--controlled", "--number", &worker.to_string()])
            .args(["--threads", &self.threads.to_string()])
            .args(places(self.shared))
            // polars has a pool of its own; a worker writes tables of one run.
            .env("POLARS_MAX_THREADS", "1")
            .envs(ALLOCATOR)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| lost(&error))?;
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
        Ok(Worker { child, started: false, running: None, broken: None })
    }

    /// A worker died without a word: its run is tried again if it may be, or else it failed.
    fn settle_lost(
        &self,
        worker: &Worker,
        status: ExitStatus,
        hear: &mut dyn FnMut(Option<&Event>),
    ) -> Result<(), Failure> {
        let running = worker.running.as_ref();
        let Some(run) = running.and_then(|id| self.runs.iter().find(|run| run.id == *id)) else {
            if worker.started {
                return Ok(());
            }
            let message = format!("a worker process ended before it took a run: {status}");
            return Err(Failure::Io(message));
        };
        let Some(mut claim) = Claim::take(self.folder, &run.id)? else { return Ok(()) };
        let attempt = claim.attempts();
        let job = job(self.folder, self.experiment, run)?;
        if attempt <= self.experiment.run.retries || job.is_none() {
            return Ok(());
        }
        let reason = format!("its process was lost: {}", in_words(status));
        if let Some(Job::Evaluate(missing)) = job {
            // Its results stay; a new worker would only be lost in the same way.
            let (id, missing) = (&run.id, missing.join(", "));
            return Err(Failure::Io(format!(
                "run {id}: {missing} could not be measured: {reason}"
            )));
        }
        let context = Context {
            folder: self.folder,
            experiment: self.experiment,
            worker: 0,
            threads: self.threads,
            attempt,
        };
        record_lost(&context, run, &reason)?;
        hear(Some(&Event::Finished {
            worker: 0,
            run: run.id.clone(),
            status: crate::store::Status::Failed,
            reason: Some(reason),
            test_mse: None,
            test_l0: None,
            seconds: 0.0,
        }));
        Ok(())
    }

    fn is_work_left(&self) -> Result<bool, Failure> {
        for run in self.runs {
            if job(self.folder, self.experiment, run)?.is_some()
                && !Claim::is_taken(self.folder, &run.id)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Worker {
    fn note(&mut self, event: &Event) {
        match event {
            Event::Started { run, .. } => {
                self.started = true;
                self.running = Some(run.clone());
            }
            Event::Finished { .. } => self.running = None,
            Event::Broken { message, exit, .. } => {
                let message = message.clone();
                self.broken = Some(if *exit == crate::exit::Exit::Usage as u8 {
                    Failure::Problems(vec![framework::diagnostics::Diagnostic::nowhere(message)])
                } else {
                    Failure::Io(message)
                });
            }
            Event::Progress { .. } => {}
        }
    }
}

fn lost(error: &std::io::Error) -> Failure {
    Failure::Io(format!("cannot run a worker process: {error}"))
}

fn in_words(status: ExitStatus) -> String {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        if let Some(signal) = status.signal() {
            return format!("killed by signal {signal}");
        }
    }
    status.to_string()
}
