//! Names this process, and tells whether another one is still there.

#![allow(clippy::disallowed_methods, reason = "it reads what the system says of itself")]

use std::fs;

use serde::{Deserialize, Serialize};

use crate::provenance;

/// A process, named so that it is not mistaken for a process of another machine, nor for a later one of
/// the same number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Name of its machine.
    pub host: String,
    /// Its number.
    pub pid: u32,
    /// Time of its start, in ticks since its machine started.
    start: u64,
    /// Id of its machine, the same until the system is set up again.
    machine: String,
    /// Id of its machine's boot, the same until the machine starts again.
    boot: String,
    /// Namespace of its number: a container has numbers of its own.
    namespace: String,
}

impl Process {
    /// This process.
    pub fn this() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let pid = std::process::id();
        Self {
            host: provenance::host(),
            pid,
            start: start_of(pid).unwrap_or(0),
            machine: text("/etc/machine-id"),
            boot: text("/proc/sys/kernel/random/boot_id"),
            namespace: namespace.to_string_lossy().into_owned(),
        }
    }

    /// Returns whether it has ended; `None` if this process, `here`, cannot tell.
    pub fn is_gone(&self, here: &Self) -> Option<bool> {
        let is_known = !self.boot.is_empty() && !self.namespace.is_empty();
        if is_known && self.boot == here.boot && self.namespace == here.namespace {
            return Some(!is_there(self.pid, self.start));
        }
        let is_here = self.host == here.host && self.machine == here.machine;
        let is_named = !self.machine.is_empty() && !self.boot.is_empty() && !here.boot.is_empty();
        // True if the same machine was started again since.
        (is_here && is_named && self.boot != here.boot).then_some(true)
    }
}

/// Returns whether a process with this number and start is there. A zombie is not, unless it is a child
/// of this process' own parent: that is a controller, and the controller decides about its lost worker,
/// not the next worker.
fn is_there(pid: u32, start: u64) -> bool {
    let Some(stat) = Stat::of(pid) else { return false };
    stat.start == start && (!stat.has_ended || Some(stat.parent) == parent())
}

fn parent() -> Option<u32> {
    Stat::of(std::process::id()).map(|stat| stat.parent)
}

/// Time of a process' start, in ticks since the machine started; `None` if it has ended.
fn start_of(pid: u32) -> Option<u64> {
    Stat::of(pid).filter(|stat| !stat.has_ended).map(|stat| stat.start)
}

/// Status of a process, from `/proc/PID/stat`.
struct Stat {
    has_ended: bool,
    parent: u32,
    start: u64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in brackets, may hold any text; words follow it.
        let (_, rest) = stat.rsplit_once(')')?;
        let mut words = rest.split_whitespace();
        let has_ended = matches!(words.next()?, "Z" | "X");
        let parent = words.next()?.parse().ok()?;
        Some(Self { has_ended, parent, start: words.nth(17)?.parse().ok()? })
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_is_gone_when_it_ended_though_nobody_has_asked_how() {
        let here = Process::this();
        assert_eq!(here.is_gone(&here), Some(false));
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let other =
            Process { pid: child.id(), start: start_of(child.id()).unwrap(), ..here.clone() };
        assert_eq!(other.is_gone(&here), Some(false));
        child.kill().unwrap();
        while start_of(child.id()).is_some() {
            std::thread::yield_now();
        }
        assert_eq!(other.is_gone(&here), Some(true), "it waits for its parent, and is gone");
        child.wait().unwrap();
        assert_eq!(other.is_gone(&here), Some(true));
    }

    #[test]
    fn another_process_of_the_same_number_another_machine_and_another_start_are_told_apart() {
        let here = Process::this();
        let later = Process { start: here.start + 1, ..here.clone() };
        assert_eq!(later.is_gone(&here), Some(true), "its number was given to another one");
        let boot = "another".to_owned();
        let elsewhere = Process { host: "elsewhere".into(), boot: boot.clone(), ..here.clone() };
        assert_eq!(elsewhere.is_gone(&here), None);
        let machine = "m".to_owned();
        let here = Process { machine: machine.clone(), ..here };
        let earlier = Process { boot, machine, ..here.clone() };
        assert_eq!(earlier.is_gone(&here), Some(true), "the machine was started again");
        let contained = Process { namespace: "pid:[1]".into(), ..here.clone() };
        assert_eq!(contained.is_gone(&here), None);
    }
}
