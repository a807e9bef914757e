//! A command under way: what it tells, what it is sent, and which processes there are of it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use super::program::{Place, Said};

/// How long a test waits for what is to happen soon, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something is so.
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    within(PATIENCE, what, &mut is_so);
}

/// Waits until something is so, which it has to be in time.
#[track_caller]
pub fn within(time: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < time, "not in {time:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A command under way. It is killed when the value is dropped.
pub struct Running {
    child: Child,
    folder: PathBuf,
}

/// Where a command under way writes its events, in its place.
const EVENTS: &str = "events.json";

impl Running {
    /// Starts a command of `run` with events; what it says is kept.
    pub fn start(place: &Place, mut command: Command) -> Self {
        let _ = fs::remove_file(place.path(EVENTS));
        command.args(["--events", EVENTS]).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { child: command.spawn().unwrap(), folder: place.path("") }
    }

    /// The command itself, as the system knows it.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Everything that has happened so far.
    pub fn events(&self) -> Vec<Json> {
        let Ok(file) = File::open(self.folder.join(EVENTS)) else { return Vec::new() };
        let lines = BufReader::new(file).lines().map_while(Result::ok);
        lines.filter_map(|line| serde_json::from_str(&line).ok()).collect()
    }

    /// Waits until an event was there so many times, and returns the last.
    #[track_caller]
    pub fn wait_for(&self, event: &str, times: usize) -> Json {
        let mut found = None;
        wait_until(&format!("event `{event}`"), || {
            let mut events = self.events().into_iter().filter(|found| found["event"] == event);
            found = events.nth(times - 1);
            found.is_some()
        });
        found.expect("it was waited for")
    }

    /// Sends a signal to the command alone, as in `kill -s INT`.
    pub fn signal(&self, signal: &str) {
        send(signal, self.child.id());
    }

    /// What it said, and how it ended.
    pub fn end(mut self) -> Said {
        let read = |stream: Option<Box<dyn Read + Send>>| {
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                stream.map(|mut stream| stream.read_to_end(&mut bytes).unwrap());
                String::from_utf8_lossy(&bytes).into_owned()
            })
        };
        let out = read(self.child.stdout.take().map(|stream| Box::new(stream) as _));
        let err = read(self.child.stderr.take().map(|stream| Box::new(stream) as _));
        let code = self.child.wait().unwrap().code();
        Said { code, out: out.join().unwrap(), err: err.join().unwrap() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process.
pub fn send(signal: &str, pid: u32) {
    let status = Command::new("kill").args(["-s", signal, "--", &pid.to_string()]).status();
    assert!(status.unwrap().success(), "kill -s {signal} {pid}");
}

/// The processes that work in a folder and have not ended, whoever started them.
pub fn processes_in(folder: &Path) -> Vec<u32> {
    let folder = folder.canonicalize().unwrap();
    let entries = fs::read_dir("/proc").unwrap().map_while(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder))
        .collect()
}

/// What a process does, in one letter: `T` that it is stopped.
pub fn state_of(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything.
    stat.rsplit_once(") ")?.1.chars().next()
}

/// The checkpoints that there are of the runs of an experiment.
pub fn checkpoints(place: &Place, experiment: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![place.path("results").join(experiment).join("work")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().map_while(Result::ok) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if entry.file_name().to_string_lossy().starts_with("checkpoint-") {
                found.push(path);
            }
        }
    }
    found
}
