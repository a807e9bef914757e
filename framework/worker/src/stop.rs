//! Requests that a worker stops: a signal, or the end of its controller.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use store::exit::Exit;

use crate::signals::is_ignored;

/// Request to stop, with its reason. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct StopRequest(Arc<AtomicUsize>);

impl StopRequest {
    /// Makes a request that signals to this process set.
    pub fn on_signals() -> Self {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
        let stop = Self::default();
        for (signal, exit) in [
            (SIGINT, Exit::Interrupted),
            (SIGTERM, Exit::Terminated),
            (SIGHUP, Exit::HungUp),
            (SIGUSR1, Exit::Warned),
        ] {
            if is_ignored(signal) {
                continue;
            }
            // A signal that cannot be caught ends the process at once; no result is lost.
            let _ = signal_hook::flag::register_usize(signal, stop.0.clone(), exit as usize);
        }
        stop
    }

    /// Stops at the end of the controller too, however it ended: it holds the other end of standard
    /// input and never writes.
    pub fn on_end_of_input(&self) {
        // A suspended process notices nothing: the system continues it when its parent ends.
        #[cfg(target_os = "linux")]
        {
            use rustix::process::{Signal, set_parent_process_death_signal};
            let _ = set_parent_process_death_signal(Some(Signal::CONT));
        }
        let stop = self.clone();
        std::thread::spawn(move || {
            let mut byte = [0];
            while matches!(std::io::stdin().read(&mut byte), Ok(read) if read > 0) {}
            stop.ask(Exit::Orphaned);
        });
    }

    /// Asks to stop with an exit code.
    pub fn ask(&self, exit: Exit) {
        self.0.store(exit as usize, Ordering::Relaxed);
    }

    /// Returns the exit code with which the process was asked to stop, if it was.
    pub fn asked(&self) -> Option<Exit> {
        let asked = self.0.load(Ordering::Relaxed);
        let all = [Exit::Interrupted, Exit::Terminated, Exit::HungUp, Exit::Orphaned, Exit::Warned];
        all.into_iter().find(|exit| *exit as usize == asked)
    }
}
