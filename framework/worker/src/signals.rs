//! Signals to a command that has workers. Before it has any, the first request to end ends it at once:
//! nothing is lost, even if a disk does not answer. After that, the first request is noted, the second ends
//! it at once, and a stop from the terminal suspends the workers too. A cluster asks a command more than once
//! in the normal course; only a second Ctrl-C ends such a command at once.

use std::io;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::exit::Exit;

/// Signals that were caught, and the worker processes that receive them too.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    caught: Arc<AtomicUsize>,
    /// True once work has begun: there may be results to keep before the command ends.
    has_begun: Arc<AtomicBool>,
    workers: Arc<Mutex<Vec<u32>>>,
    is_patient: bool,
}

impl Signals {
    /// Catches signals from now on.
    pub fn catch() -> Self {
        Self::caught_by(Self::default())
    }

    /// Catches signals for a worker on a cluster. The cluster may warn it (SIGUSR1) that its time is nearly
    /// over, and then ask it to end, more than once.
    pub fn catch_patiently() -> Self {
        Self::caught_by(Self { is_patient: true, ..Self::default() })
    }

    fn caught_by(signals: Self) -> Self {
        #[cfg(unix)]
        {
            use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGUSR1};
            use signal_hook::iterator::Signals as Caught;
            let own = signals.clone();
            // Under nohup the command survives the end of its terminal: nohup has SIGHUP ignored.
            let hang_up = (!is_ignored(SIGHUP)).then_some(SIGHUP);
            let warning = signals.is_patient.then_some(SIGUSR1);
            let wanted = [SIGINT, SIGTERM, SIGTSTP].into_iter().chain(hang_up).chain(warning);
            // Where signals cannot be caught, they end the program at once; no result is lost.
            if let Ok(mut caught) = Caught::new(wanted) {
                std::thread::spawn(move || caught.forever().for_each(|signal| own.hear(signal)));
            }
        }
        signals
    }

    /// Notes that work begins: from now on, the first signal is only noted.
    pub fn begin(&self) {
        self.has_begun.store(true, Ordering::SeqCst);
    }

    /// Returns true if only a second Ctrl-C ends the command at once, not another second signal.
    pub fn is_patient(&self) -> bool {
        self.is_patient
    }

    /// Returns the exit code of the signal that asks to end, if one was caught.
    pub fn caught(&self) -> Option<Exit> {
        let caught = self.caught.load(Ordering::Relaxed);
        [Exit::Interrupted, Exit::Terminated, Exit::HungUp, Exit::Warned]
            .into_iter()
            .find(|exit| *exit as usize == caught)
    }

    /// Starts a worker and forwards signals to it. It has a process group of its own, so that processes
    /// which its run starts can be ended with it; so signals of the terminal must be forwarded.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&self, command: &mut Command) -> io::Result<Child> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        // This lock makes a thread that forwards a signal wait, so that no worker misses it.
        let mut workers = self.workers();
        let child = command.spawn()?;
        workers.push(child.id());
        Ok(child)
    }

    /// Waits until a worker has ended, kills what is left of its group, and forgets it. Does not read its
    /// exit status: until the caller does, its process id is not given to another process.
    pub fn wait(&self, worker: &Child) {
        wait_without_asking(worker.id());
        send(worker.id(), Sent::Kill);
        self.workers().retain(|pid| *pid != worker.id());
    }

    /// Kills a worker and its group at once.
    pub fn kill(&self, worker: &mut Child) {
        send(worker.id(), Sent::Kill);
        // It may have ended already; then nothing is left to do.
        let _ = worker.kill();
        self.wait(worker);
        let _ = worker.wait();
    }

    /// Asks every worker to end; or warns it, if this process was warned.
    pub fn ask_workers(&self) {
        let warned = self.caught() == Some(Exit::Warned);
        let sent = if warned { Sent::Warn } else { Sent::Terminate };
        self.workers().iter().for_each(|pid| send(*pid, sent));
    }

    fn workers(&self) -> MutexGuard<'_, Vec<u32>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(unix)]
    fn hear(&self, signal: i32) {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGUSR1};
        if signal == SIGTSTP {
            let workers = self.workers();
            workers.iter().for_each(|pid| send(*pid, Sent::Stop));
            // This call returns when the program continues.
            let _ = signal_hook::low_level::emulate_default_handler(SIGTSTP);
            workers.iter().for_each(|pid| send(*pid, Sent::Continue));
            return;
        }
        let exit = match signal {
            SIGTERM => Exit::Terminated,
            SIGHUP => Exit::HungUp,
            SIGUSR1 => Exit::Warned,
            _ => Exit::Interrupted,
        };
        // A warning does not ask to end.
        if !self.has_begun.load(Ordering::SeqCst) && exit != Exit::Warned {
            std::process::exit(i32::from(exit as u8));
        }
        let first =
            self.caught.compare_exchange(0, exit as usize, Ordering::Relaxed, Ordering::Relaxed);
        if self.is_patient && signal != SIGINT {
            if signal != SIGUSR1 {
                // A request to end after a warning means: do not begin again.
                self.caught.store(exit as usize, Ordering::Relaxed);
            }
            return;
        }
        if first.is_err() {
            let workers = self.workers();
            workers.iter().for_each(|pid| send(*pid, Sent::Kill));
            std::process::exit(i32::from(exit as u8));
        }
    }
}

/// Signal that is sent to workers.
#[derive(Clone, Copy)]
enum Sent {
    Terminate,
    Warn,
    Kill,
    #[cfg(unix)]
    Stop,
    #[cfg(unix)]
    Continue,
}

/// Sends a signal: requests go to the worker alone, all others to its whole group.
fn send(worker: u32, sent: Sent) {
    #[cfg(unix)]
    {
        use rustix::process::{Pid, Signal, kill_process, kill_process_group};
        let pid = i32::try_from(worker).ok().and_then(Pid::from_raw);
        let Some(pid) = pid else { return };
        // A process that is gone needs no signal.
        let _ = match sent {
            Sent::Terminate => kill_process(pid, Signal::TERM),
            Sent::Warn => kill_process(pid, Signal::USR1),
            Sent::Kill => kill_process_group(pid, Signal::KILL),
            Sent::Stop => kill_process_group(pid, Signal::STOP),
            Sent::Continue => kill_process_group(pid, Signal::CONT),
        };
    }
    #[cfg(not(unix))]
    let _ = (worker, sent);
}

/// Waits until a child process has ended, without reading its exit status.
fn wait_without_asking(worker: u32) {
    #[cfg(unix)]
    {
        use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
        let pid = i32::try_from(worker).ok().and_then(Pid::from_raw);
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let Some(pid) = pid else { return };
        while matches!(waitid(WaitId::Pid(pid), options), Err(rustix::io::Errno::INTR)) {}
    }
    #[cfg(not(unix))]
    let _ = worker;
}

/// Returns true if this process was started with a signal ignored, as `nohup` does.
#[cfg(unix)]
#[allow(clippy::disallowed_methods, reason = "it reads what the system says of itself")]
pub fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(all(test, unix))]
mod tests {
    use signal_hook::consts::{SIGTERM, SIGUSR1};

    use super::*;

    /// Wrong if a worker that is asked to end after a warning had its job requeued, or if a second request,
    /// as clusters send it, ended it at once: then this test process would be gone.
    #[test]
    fn who_is_patient_hears_a_warning_and_more_than_one_request_to_end() {
        let signals = Signals { is_patient: true, ..Signals::default() };
        signals.begin();
        assert_eq!(signals.caught(), None);
        for (signal, exit) in [
            (SIGUSR1, Exit::Warned),
            (SIGTERM, Exit::Terminated),
            (SIGTERM, Exit::Terminated),
            (SIGUSR1, Exit::Terminated),
        ] {
            signals.hear(signal);
            assert_eq!(signals.caught(), Some(exit));
        }
    }
}
