//! Watches the worker processes of a pool from their start to their end.

use std::collections::HashMap;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use store::exit::{Exit, Failure};

use super::process::{Message, WorkerProcess};
use super::settle::Settled;
use super::{Pool, PoolEnd};
use crate::protocol::Event;

/// Time that workers may take after they were asked to stop: they keep checkpoints.
const GRACE: Duration = Duration::from_millis(8500);
const GRACE_OF_WARNED: Duration = Duration::from_millis(40_500);

/// Most workers in a row that end before they take a run and are replaced. A worker may be killed just
/// then; but workers that cannot start are not replaced forever.
const MOST_WITHOUT_RUN: usize = 8;

/// Time between two looks for a signal.
const LOOK: Duration = Duration::from_millis(50);

impl Pool<'_> {
    /// Runs until nothing is left to do or a signal asks to stop. Calls `hear` with every event, and with
    /// `None` now and then while nothing happens.
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
        let mut without_run = 0;
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
                    without_run = match self.settle(&mut worker, hear)? {
                        Settled::Ended => continue,
                        Settled::Lost => 0,
                        Settled::TookNoRun(status) if without_run == MOST_WITHOUT_RUN => {
                            let message =
                                format!("worker processes end before they take a run: {status}");
                            return Err(Failure::Io(message));
                        }
                        Settled::TookNoRun(_) => without_run + 1,
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

    /// Asks workers to stop, and kills those that take too long.
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
                        // How it ended does not matter any more.
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
}
