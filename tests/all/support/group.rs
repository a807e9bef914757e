//! Commands in a process group of their own, as a terminal starts them: signals reach the group or one
//! process.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use super::program::Place;

/// A command under way in a process group of its own. Its standard error goes to `said.txt`.
pub struct Group {
    /// The command.
    pub child: Child,
    events: PathBuf,
}

impl Group {
    /// Starts a command of `run` with events.
    pub fn start(place: &Place, words: &[&str]) -> Self {
        Self::start_command(place, place.command(words))
    }

    /// The same of the program that has the plugins of the crate `outside` too.
    pub fn start_outside(place: &Place, words: &[&str]) -> Self {
        Self::start_command(place, place.command_outside(words))
    }

    fn start_command(place: &Place, mut command: Command) -> Self {
        let events = place.path("events.json");
        let _ = fs::remove_file(&events);
        let said = fs::File::create(place.path("said.txt")).unwrap();
        command.args(["--events", "events.json"]).stdout(Stdio::null()).stderr(said);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Self { child: command.spawn().unwrap(), events }
    }

    /// Waits for an event and returns the first of its kind.
    pub fn wait_for(&self, event: &str) -> Json {
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            if let Ok(file) = fs::File::open(&self.events) {
                let lines = BufReader::new(file).lines().map_while(Result::ok);
                let mut events = lines.filter_map(|line| serde_json::from_str::<Json>(&line).ok());
                if let Some(found) = events.find(|found| found["event"] == event) {
                    return found;
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("no event `{event}` in a minute");
    }

    /// Waits for the end and returns the exit code.
    pub fn code(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The place of an experiment that ran without a disturbance.
pub fn undisturbed(text: &str) -> Place {
    let place = Place::with(text);
    place.run(["x.toml"]).exits(0);
    place
}

/// Sends a signal to a process, or to a group where the number is negative.
#[cfg(unix)]
pub fn signal(signal: &str, target: i64) {
    let target = target.to_string();
    let status = std::process::Command::new("kill").args(["-s", signal, "--", &target]).status();
    assert!(status.unwrap().success(), "kill -s {signal} {target}");
}

/// Processes that `parent` started and that have not ended.
#[cfg(target_os = "linux")]
pub fn children(parent: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap() {
        let name = entry.unwrap().file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        // The name in brackets may hold anything; the parent is the second word after it.
        let rest = stat.rsplit(')').next().unwrap_or_default();
        let mut words = rest.split_whitespace();
        if words.next() != Some("Z")
            && words.next().and_then(|word| word.parse().ok()) == Some(parent)
        {
            found.push(pid);
        }
    }
    found
}

/// Whether a process has not ended.
#[cfg(target_os = "linux")]
pub fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty()
        && stat.rsplit(')').next().unwrap_or_default().split_whitespace().next() != Some("Z")
}
