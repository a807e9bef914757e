//! Calls the programs of Slurm, each with a time limit: they hang while the controller is down.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use store::exit::Failure;

/// Time limit of programs that only ask.
const TO_ASK: Duration = Duration::from_secs(5);

/// Time limit of programs that change something. It is longer because stopping one half way leaves its
/// effect unknown.
const TO_ACT: Duration = Duration::from_secs(20);

/// Message of a program that will retry for minutes. It is stopped at once, since its user can retry as
/// well.
const LATER: &str = "sleeping and retrying";

/// Pause between two checks for the end of a program.
const LOOK: Duration = Duration::from_millis(5);

/// A program of Slurm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// Submits jobs.
    Sbatch,
    /// Lists jobs.
    Squeue,
    /// Stops jobs.
    Scancel,
    /// Shows how the site is set up.
    Show,
    /// Puts a job back into the queue.
    Requeue,
}

/// Reason why a program failed.
#[derive(Debug)]
pub enum Trouble {
    /// Not installed, or not on the path.
    Missing(Client),
    /// Installed, but could not be started.
    NotStarted(Client, io::Error),
    /// Did not end in time; holds what it printed until then.
    TooLong(Client, String),
    /// Ended with an error; holds what it printed.
    Refused(Client, ExitStatus, String),
}

impl Client {
    /// Returns the name of the program.
    const fn program(self) -> &'static str {
        match self {
            Self::Sbatch => "sbatch",
            Self::Squeue => "squeue",
            Self::Scancel => "scancel",
            Self::Show | Self::Requeue => "scontrol",
        }
    }

    /// Returns the time limit of the program.
    const fn limit(self) -> Duration {
        match self {
            Self::Squeue | Self::Show => TO_ASK,
            Self::Sbatch | Self::Scancel | Self::Requeue => TO_ACT,
        }
    }

    /// Calls the program. Returns its standard output.
    ///
    /// # Errors
    /// If it is missing, does not end in time, or fails.
    pub fn call<A: AsRef<OsStr>>(
        self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<String, Trouble> {
        self.call_without(arguments, std::iter::empty())
    }

    /// Calls the program without some variables of the environment.
    ///
    /// # Errors
    /// As for [`call`](Self::call).
    pub fn call_without<A: AsRef<OsStr>>(
        self,
        arguments: impl IntoIterator<Item = A>,
        variables: impl IntoIterator<Item = String>,
    ) -> Result<String, Trouble> {
        let mut command = Command::new(self.program());
        command.args(arguments).stdin(Stdio::null());
        variables.into_iter().for_each(|name| {
            command.env_remove(name);
        });
        self.finish(&mut command, self.limit())
    }

    /// Runs a command until it ends, or stops it at the time limit.
    fn finish(self, command: &mut Command, limit: Duration) -> Result<String, Trouble> {
        // Its own process group: stopping it also stops the processes that it started.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        let started = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = started.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Trouble::Missing(self),
            _ => Trouble::NotStarted(self, error),
        })?;
        let (mut out, mut err) = (Said::read(child.stdout.take()), Said::read(child.stderr.take()));
        let deadline = Instant::now() + limit;
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if err.so_far().contains(LATER) => {
                    end(&mut child);
                    break child.wait().map_err(|error| Trouble::NotStarted(self, error))?;
                }
                Ok(None) if Instant::now() < deadline => std::thread::sleep(LOOK),
                Ok(None) => {
                    end(&mut child);
                    return Err(Trouble::TooLong(self, err.whole()));
                }
                Err(error) => return Err(Trouble::NotStarted(self, error)),
            }
        };
        let (out, err) = (out.whole(), err.whole());
        if status.success() { Ok(out) } else { Err(Trouble::Refused(self, status, err)) }
    }
}

/// Output of a program on one stream, read by a thread of its own.
struct Said {
    text: String,
    parts: Receiver<String>,
}

impl Said {
    /// Starts to read a stream.
    fn read(stream: Option<impl Read + Send + 'static>) -> Self {
        let (sender, parts) = mpsc::channel();
        std::thread::spawn(move || {
            let mut lines = stream.map(BufReader::new);
            let mut line = Vec::new();
            // After a read error, the lines before it are still worth showing.
            while lines.as_mut().is_some_and(|lines| {
                line.clear();
                matches!(lines.read_until(b'\n', &mut line), Ok(read) if read > 0)
            }) {
                let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
            }
        });
        Self { text: String::new(), parts }
    }

    /// Returns the output read until now.
    fn so_far(&mut self) -> &str {
        self.text.extend(self.parts.try_iter());
        &self.text
    }

    /// Returns the whole output. Waits at most a second for each further line: another process may keep the
    /// stream open.
    fn whole(&mut self) -> String {
        while let Ok(part) = self.parts.recv_timeout(Duration::from_secs(1)) {
            self.text.push_str(&part);
        }
        self.text.trim().to_owned()
    }
}

/// Stops a program and the processes that it started.
fn end(child: &mut Child) {
    #[cfg(unix)]
    {
        use rustix::process::{Pid, Signal, kill_process_group};
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        // The signal fails if the process has already ended.
        let _ = group.map(|group| kill_process_group(group, Signal::KILL));
    }
    let _ = child.kill();
    let _ = child.wait();
}

impl Trouble {
    /// Returns the output of the program.
    pub fn said(&self) -> &str {
        match self {
            Self::Missing(_) | Self::NotStarted(..) => "",
            Self::TooLong(_, said) | Self::Refused(_, _, said) => said,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(client) => write!(
                f,
                "there is no `{}` here: Slurm's programs are not installed, or not on the path",
                client.program()
            ),
            Self::NotStarted(client, error) => {
                write!(f, "`{}` cannot be started: {error}", client.program())
            }
            Self::TooLong(client, said) => {
                let (program, limit) = (client.program(), client.limit());
                write!(f, "`{program}` gave no answer in {limit:?}")?;
                if said.is_empty() { Ok(()) } else { write!(f, "; it said: {said}") }
            }
            Self::Refused(client, status, said) if said.is_empty() => {
                write!(f, "`{}` ended with an error ({status}) and said nothing", client.program())
            }
            Self::Refused(client, _, said) => write!(f, "`{}` says: {said}", client.program()),
        }
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self::Io(trouble.to_string())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str, limit: u64) -> Result<String, Trouble> {
        let mut command = Command::new("sh");
        Client::Squeue.finish(command.args(["-c", script]), Duration::from_millis(limit))
    }

    /// Wrong if a program that hangs holds up the command, or a process that it started does.
    #[test]
    fn a_program_that_hangs_is_ended_and_what_it_said_is_shown() {
        let started = Instant::now();
        let trouble = shell("echo waiting >&2; sleep 60 & sleep 60", 300).unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        let shown = trouble.to_string();
        assert!(shown.contains("no answer in") && shown.ends_with("it said: waiting"), "{shown}");
    }

    /// Wrong if a user has to wait for minutes to hear that there are too many jobs.
    #[test]
    fn a_program_that_would_try_again_and_again_is_ended() {
        let started = Instant::now();
        let trouble = shell("echo 'no room, sleeping and retrying' >&2; sleep 60", 30_000);
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        let shown = trouble.unwrap_err().to_string();
        assert_eq!(shown, "`squeue` says: no room, sleeping and retrying");
    }

    #[test]
    fn what_a_program_says_is_its_answer_or_the_reason_why_there_is_none() {
        assert_eq!(shell("echo 12; echo x >&2", 9000).unwrap(), "12");
        let refused = shell("echo 12; echo no way >&2; exit 1", 9000).unwrap_err().to_string();
        assert_eq!(refused, "`squeue` says: no way");
        let silent = shell("exit 3", 9000).unwrap_err().to_string();
        assert!(silent.contains("exit status: 3"), "{silent}");
        let missing = Client::Squeue
            .finish(&mut Command::new("/no/such/program"), Duration::from_secs(1))
            .unwrap_err()
            .to_string();
        assert!(missing.starts_with("there is no `squeue` here"), "{missing}");
    }

    /// Wrong if a long answer fills the pipe and the program seems to hang.
    #[test]
    fn a_long_answer_is_read_whole() {
        let long = shell("yes 123 | head -n 200000", 9000).unwrap();
        assert_eq!(long.lines().count(), 200_000);
    }
}
