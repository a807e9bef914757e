//! Why a worker process ended that could not say so itself.

#![allow(clippy::disallowed_methods, reason = "it reads what the system says of itself")]

use std::path::Path;
use std::process::ExitStatus;

use framework::printable;
use store::Status;

/// Number of processes in this process' cgroup that the system has killed because memory ran out; 0 where
/// the system does not count that (cgroup 2 does).
pub fn memory_kills() -> u64 {
    let count = || {
        let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
        let path = Path::new("/sys/fs/cgroup").join(group).join("memory.events");
        let events = std::fs::read_to_string(path).ok()?;
        events.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
    };
    count().unwrap_or(0)
}

/// Returns status and reason of a run whose process ended with `status`. `words` is the end of its log;
/// `killed_for_memory` says that the system has killed a process meanwhile because memory ran out.
pub fn classify(status: ExitStatus, words: &str, killed_for_memory: bool) -> (Status, String) {
    // The standard library writes this line before it aborts.
    let failed = words
        .lines()
        .rev()
        .find(|line| line.starts_with("memory allocation of ") && line.ends_with(" bytes failed"));
    let how = in_words(status);
    if let Some(line) = failed.filter(|_| how.contains("SIGABRT")) {
        return (Status::Oom, format!("it needed more memory than it may have: {line}"));
    }
    if killed_for_memory && how.contains("SIGKILL") {
        return (Status::Oom, "the system killed it, as memory had run out".to_owned());
    }
    let last = words.lines().rev().find(|line| !line.trim().is_empty());
    // The line may be very long.
    let said = last.map(|line| printable::line(line).chars().take(LONGEST).collect::<String>());
    let said = said.map_or(String::new(), |said| format!("; it last said: {said}"));
    (Status::Killed, format!("its process was lost: {how}{said}"))
}

/// Most characters of a run's last words that are kept.
const LONGEST: usize = 200;

fn in_words(status: ExitStatus) -> String {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        if let Some(signal) = status.signal() {
            let name = signal_hook::low_level::signal_name(signal);
            let name = name.map_or(String::new(), |name| format!(" ({name})"));
            return format!("killed by signal {signal}{name}");
        }
    }
    status.to_string()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn ends_are_told_apart_by_signal_log_and_the_count_of_the_system() {
        let of = |signal, memory| classify(ExitStatus::from_raw(signal), "", memory);
        let (status, reason) = of(11, true);
        assert_eq!(status, Status::Killed);
        assert_eq!(reason, "its process was lost: killed by signal 11 (SIGSEGV)");
        assert_eq!(of(9, false).0, Status::Killed);
        assert_eq!(of(9, true).0, Status::Oom);
        let aborted = |words| classify(ExitStatus::from_raw(6), words, false);
        let (_, reason) = aborted("one\n\u{1b}[31mlast\n\n");
        assert!(reason.ends_with("(SIGABRT); it last said: \\u{1b}[31mlast"), "{reason:?}");
        let (status, reason) = aborted("x\nmemory allocation of 99 bytes failed\nstack\n");
        assert_eq!(status, Status::Oom);
        assert!(reason.ends_with("memory allocation of 99 bytes failed"), "{reason}");
    }
}
