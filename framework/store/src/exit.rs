//! Exit codes of the program, and failures of a command.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use framework::diagnostics::Diagnostic;

/// Exit codes that scripts rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Every run of the grid is done.
    Done = 0,
    /// The command line or the experiment file is wrong.
    Usage = 2,
    /// The experiment file is right, but its rules leave no run.
    NoRuns = 4,
    /// Runs are outstanding.
    Outstanding = 5,
    /// Output cannot be written, or reading failed.
    Io = 74,
    /// A live worker holds what is to be replaced, or the folder is of a newer format.
    Busy = 75,
    /// A run failed, diverged or took too long.
    RunsFailed = 100,
    /// The terminal went away; the same command resumes.
    HungUp = 129,
    /// Interrupted (Ctrl-C); the same command resumes.
    Interrupted = 130,
    /// A worker's controller went away.
    Orphaned = 137,
    /// A worker was warned that its time is nearly over (SIGUSR1); another one resumes.
    Warned = 138,
    /// Terminated; the same command resumes.
    Terminated = 143,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Reason why a command ended before its work was done.
#[derive(Debug)]
pub enum Failure {
    /// Problems in the experiment file or the command line.
    Problems(Vec<Diagnostic>),
    /// The experiment file is right, but leaves no run: the rule that does it.
    NoRuns(Diagnostic),
    /// Message about something that could not be read or written.
    Io(String),
    /// Message about something that another worker holds, or that a newer version made.
    Busy(String),
}

impl Failure {
    /// Failure to read or write a file; `doing` says what was tried, such as "write".
    pub fn io(doing: &str, path: &Path, error: &io::Error) -> Self {
        let full =
            matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let free = full.then(|| free_space(path)).flatten();
        let free = free.map_or(String::new(), |free| format!("; {free} bytes are free there"));
        Self::Io(format!("cannot {doing} `{}`: {error}{free}", path.display()))
    }

    /// Exit code of this failure.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Problems(_) => Exit::Usage,
            Self::NoRuns(_) => Exit::NoRuns,
            Self::Io(_) => Exit::Io,
            Self::Busy(_) => Exit::Busy,
        }
    }
}

impl std::error::Error for Failure {}

impl From<Vec<Diagnostic>> for Failure {
    fn from(problems: Vec<Diagnostic>) -> Self {
        Self::Problems(problems)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Problems(problems) => {
                problems.iter().try_for_each(|problem| writeln!(f, "{problem}"))
            }
            Self::NoRuns(problem) => write!(f, "{problem}"),
            Self::Io(message) | Self::Busy(message) => f.write_str(message),
        }
    }
}

/// Number of bytes that this user may still write to the disk of `path`.
fn free_space(path: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let space = path.ancestors().find_map(|path| rustix::fs::statvfs(path).ok())?;
        Some(space.f_bavail.saturating_mul(space.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}
