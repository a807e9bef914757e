//! A thread beside the run of a worker: renews its lease, counts its time, keeps its log small, and ends the
//! process if the run takes too long and does not answer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use store::Attempt;
use store::exit::Exit;

use crate::log::Log;
use crate::stop::StopRequest;

/// Time between two looks of the supervisor.
const TICK: Duration = Duration::from_millis(100);

/// Longest time between two looks that counts as time of the run: if more passes, the process was
/// suspended in between.
const LONGEST_TICK: Duration = Duration::from_secs(1);

/// Number of renewals in the duration of a lease.
const RENEWALS: u32 = 4;

/// Time that a run may still take after its time limit, or after it was asked to stop.
const GRACE: Duration = Duration::from_millis(800);
const GRACE_TO_STOP: Duration = Duration::from_secs(8);
/// A worker that is warned has most of a minute: a step of a large model may take as long.
const GRACE_OF_WARNED: Duration = Duration::from_secs(40);
const GRACE_OF_ORPHANS: Duration = Duration::from_millis(3500);

/// Watches the run of a worker from a thread of its own.
pub struct Supervisor<'a> {
    stop: StopRequest,
    watched: Mutex<Option<Watched<'a>>>,
    ended: Mutex<bool>,
    wake: Condvar,
    /// Nanoseconds for which this process has run, without the time for which it was suspended.
    active: AtomicU64,
    is_lost: AtomicBool,
    is_out_of_time: AtomicBool,
}

/// Run that the supervisor watches.
pub struct Watched<'a> {
    /// Attempt whose lease is renewed.
    pub attempt: Attempt,
    /// Duration of the lease.
    pub lease: Duration,
    /// Log of the run.
    pub log: Option<Log>,
    /// Time at which the run has to be over, on the supervisor's clock.
    pub deadline: Option<Duration>,
    /// Stores the run as one that took too long. Called if it does not answer after its deadline.
    pub overdue: Box<dyn FnOnce() + Send + 'a>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // These values are complete even if another thread panicked while it held the lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Supervisor<'a> {
    /// Makes a supervisor that obeys `stop`.
    pub fn new(stop: StopRequest) -> Self {
        Self {
            stop,
            watched: Mutex::new(None),
            ended: Mutex::new(false),
            wake: Condvar::new(),
            active: AtomicU64::new(0),
            is_lost: AtomicBool::new(false),
            is_out_of_time: AtomicBool::new(false),
        }
    }

    /// Time for which this process has run, without the time for which it was suspended.
    pub fn clock(&self) -> Duration {
        Duration::from_nanos(self.active.load(Ordering::Relaxed))
    }

    /// Watches a run until [`forget`](Self::forget) is called.
    pub fn watch(&self, watched: Watched<'a>) {
        self.is_lost.store(false, Ordering::Relaxed);
        self.is_out_of_time.store(false, Ordering::Relaxed);
        *lock(&self.watched) = Some(watched);
    }

    /// Drops the deadline of the run. If the run is just being stored as one that took too long, this
    /// call never returns: the process ends.
    pub fn stop_the_clock(&self) {
        if let Some(watched) = &mut *lock(&self.watched) {
            watched.deadline = None;
        }
    }

    /// Stops watching the run, and cuts its log a last time.
    pub fn forget(&self) {
        if let Some(Watched { log: Some(mut log), .. }) = lock(&self.watched).take() {
            log.cap();
        }
    }

    /// Brings the deadline forward by the time that earlier attempts at the run have used.
    pub fn count_earlier(&self, time: Duration) {
        if let Some(Watched { deadline: Some(deadline), .. }) = &mut *lock(&self.watched) {
            *deadline = deadline.saturating_sub(time);
        }
    }

    /// Returns true if the run's time limit is over.
    pub fn is_out_of_time(&self) -> bool {
        self.is_out_of_time.load(Ordering::Relaxed)
    }

    /// Returns true if another worker has taken the run over.
    pub fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }

    /// Returns the exit code with which this process was asked to stop, if it was.
    pub fn stop_asked(&self) -> Option<Exit> {
        self.stop.asked()
    }

    /// Ends [`supervise`](Self::supervise) when the returned value is dropped.
    pub fn end_later(&self) -> impl Drop {
        EndGuard { ended: &self.ended, wake: &self.wake }
    }

    /// Looks at the run, again and again, until it is told to end.
    pub fn supervise(&self) {
        let (mut last, mut renewed) = (Instant::now(), Duration::ZERO);
        let mut asked: Option<Duration> = None;
        let mut ended = lock(&self.ended);
        while !*ended {
            (ended, _) =
                self.wake.wait_timeout(ended, TICK).unwrap_or_else(PoisonError::into_inner);
            let passed = last.elapsed();
            last += passed;
            let counted = u64::try_from(passed.min(LONGEST_TICK).as_nanos()).unwrap_or(u64::MAX);
            let now = counted + self.active.fetch_add(counted, Ordering::Relaxed);
            let now = Duration::from_nanos(now);
            if let Some(exit) = self.stop.asked() {
                let grace = match exit {
                    Exit::Orphaned => GRACE_OF_ORPHANS,
                    Exit::Warned => GRACE_OF_WARNED,
                    _ => GRACE_TO_STOP,
                };
                if now > *asked.get_or_insert(now) + grace {
                    end_process(exit);
                }
            }
            let mut watched = lock(&self.watched);
            let Some(run) = &mut *watched else { continue };
            if let Some(log) = &mut run.log {
                log.cap();
            }
            // A process that was suspended checks at once that the run is still its own.
            if passed > LONGEST_TICK || now > renewed + run.lease / RENEWALS {
                renewed = now;
                if !run.attempt.renew() {
                    self.is_lost.store(true, Ordering::Relaxed);
                }
            }
            let Some(deadline) = run.deadline else { continue };
            self.is_out_of_time.store(now > deadline, Ordering::Relaxed);
            if now > deadline.saturating_add(GRACE)
                && let Some(run) = watched.take()
            {
                (run.overdue)();
                end_process(Exit::RunsFailed);
            }
        }
    }
}

struct EndGuard<'a> {
    ended: &'a Mutex<bool>,
    wake: &'a Condvar,
}

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        *lock(self.ended) = true;
        self.wake.notify_all();
    }
}

/// Ends this process at once, together with all processes that its run has started.
pub fn end_process(exit: Exit) -> ! {
    #[cfg(unix)]
    {
        use rustix::process::{Signal, getpgrp, getpid, kill_current_process_group};
        // Only if this process has a process group of its own.
        if getpgrp() == getpid() {
            let _ = kill_current_process_group(Signal::KILL);
        }
    }
    std::process::exit(i32::from(exit as u8))
}
