//! What has to go on whatever a run does: its lease is renewed, its time is counted, its log is kept
//! small, and a run that does not answer is ended together with the process.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use store::Attempt;
use store::exit::Exit;

use super::log::Log;
use super::stop::StopRequest;

/// How often the supervisor looks.
const TICK: Duration = Duration::from_millis(100);

/// More time than this between two looks is time in which the process was stopped: it does not count
/// as time of the run.
const LONGEST_TICK: Duration = Duration::from_secs(1);

/// A lease is renewed this often while it lasts.
const RENEWALS: u32 = 4;

/// How long a run may go on after its time is over, or when it is asked to stop.
const GRACE: Duration = Duration::from_millis(800);
const GRACE_TO_STOP: Duration = Duration::from_secs(8);
/// Who is warned has most of a minute: a step of a large model may take as long.
const GRACE_OF_WARNED: Duration = Duration::from_secs(40);
const GRACE_OF_ORPHANS: Duration = Duration::from_millis(3500);

/// Watches over the run of a worker from a thread of its own.
pub struct Supervisor<'a> {
    stop: StopRequest,
    watched: Mutex<Option<Watched<'a>>>,
    ended: Mutex<bool>,
    wake: Condvar,
    /// Nanoseconds in which this process was not stopped.
    active: AtomicU64,
    is_lost: AtomicBool,
    is_over: AtomicBool,
}

/// A run under way.
pub struct Watched<'a> {
    /// The attempt that the lease is of.
    pub attempt: Attempt,
    /// How often the lease is to be renewed at least.
    pub lease: Duration,
    /// Its log.
    pub log: Option<Log>,
    /// When it has to be over, on the supervisor's clock.
    pub deadline: Option<Duration>,
    /// What is done when it is not: the run is stored as one that took too long.
    pub overdue: Box<dyn FnOnce() + Send + 'a>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves these values whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Supervisor<'a> {
    /// One that hears of `stop`.
    pub fn new(stop: StopRequest) -> Self {
        Self {
            stop,
            watched: Mutex::new(None),
            ended: Mutex::new(false),
            wake: Condvar::new(),
            active: AtomicU64::new(0),
            is_lost: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        }
    }

    /// Time that this process has been running for, without what it was stopped for.
    pub fn clock(&self) -> Duration {
        Duration::from_nanos(self.active.load(Ordering::Relaxed))
    }

    /// Watches over a run until [`forget`](Self::forget).
    pub fn watch(&self, watched: Watched<'a>) {
        self.is_lost.store(false, Ordering::Relaxed);
        self.is_over.store(false, Ordering::Relaxed);
        *lock(&self.watched) = Some(watched);
    }

    /// The run's time does not run any more. If it is over and the run is being stored as such, this
    /// never returns: the process ends.
    pub fn stop_the_clock(&self) {
        if let Some(watched) = &mut *lock(&self.watched) {
            watched.deadline = None;
        }
    }

    /// Forgets the run; its log stays as small as it has to be.
    pub fn forget(&self) {
        if let Some(Watched { log: Some(mut log), .. }) = lock(&self.watched).take() {
            log.cap();
        }
    }

    /// Takes time off the run that earlier attempts at it have used.
    pub fn take_off(&self, time: Duration) {
        if let Some(Watched { deadline: Some(deadline), .. }) = &mut *lock(&self.watched) {
            *deadline = deadline.saturating_sub(time);
        }
    }

    /// Whether the run's time is over.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Whether the run was taken over by somebody else.
    pub fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }

    /// Whether, and why, the process is to stop.
    pub fn stop(&self) -> Option<Exit> {
        self.stop.asked()
    }

    /// Ends [`supervise`](Self::supervise) when the value is dropped.
    pub fn end_later(&self) -> impl Drop {
        EndGuard { ended: &self.ended, wake: &self.wake }
    }

    /// Watches until it is ended.
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
            // A process that was stopped asks at once whether the run is still its own.
            if passed > LONGEST_TICK || now > renewed + run.lease / RENEWALS {
                renewed = now;
                if !run.attempt.renew() {
                    self.is_lost.store(true, Ordering::Relaxed);
                }
            }
            let Some(deadline) = run.deadline else { continue };
            self.is_over.store(now > deadline, Ordering::Relaxed);
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

/// Ends this process and what its run has started, at once.
pub fn end_process(exit: Exit) -> ! {
    #[cfg(unix)]
    {
        use rustix::process::{Signal, getpgrp, getpid, kill_current_process_group};
        // Only where the group is this process' own.
        if getpgrp() == getpid() {
            let _ = kill_current_process_group(Signal::KILL);
        }
    }
    std::process::exit(i32::from(exit as u8))
}
