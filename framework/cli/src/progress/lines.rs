//! Progress as plain lines: one for each run that ends, and one a minute.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use framework::spec::{RunId, RunSpec};
use worker::Event;

use super::{Report, decimals, describe, notice, outcome};

/// Longest time without a line.
const HEARTBEAT: Duration = Duration::from_secs(60);

pub struct Lines {
    names: BTreeMap<RunId, String>,
    done: usize,
    running: BTreeMap<usize, String>,
    last: Instant,
}

impl Lines {
    pub fn new(runs: &[RunSpec], done: usize) -> Self {
        let names = runs.iter().map(|run| (run.id.clone(), describe(run))).collect();
        Self { names, done, running: BTreeMap::new(), last: Instant::now() }
    }

    fn say(&mut self, line: &str) {
        super::say(line);
        self.last = Instant::now();
    }
}

impl Report for Lines {
    fn hear(&mut self, event: Option<&Event>) {
        match event {
            Some(Event::Progress { worker, run, step, steps, loss, l0, pretraining }) => {
                let loss = decimals(*loss, 4);
                let phase = if *pretraining { "pretraining step" } else { "step" };
                let now = format!("{run} {phase} {step}/{steps} loss {loss} L0 {l0:.1}");
                self.running.insert(*worker, now);
            }
            Some(event @ Event::Finished { worker, run, .. }) => {
                self.done += 1;
                self.running.remove(worker);
                let name = self.names.get(run).cloned().unwrap_or_default();
                let outcome = outcome(event).unwrap_or_default();
                let line = format!("[{}/{}] {run} {name}: {outcome}", self.done, self.names.len());
                self.say(&line);
            }
            Some(event) => {
                if let Event::Paused { worker, .. } = event {
                    self.running.remove(worker);
                }
                if let Some(line) = notice(event) {
                    self.say(&line);
                }
            }
            None => {}
        }
        if self.last.elapsed() >= HEARTBEAT {
            let running: Vec<&str> = self.running.values().map(String::as_str).collect();
            let line =
                format!("[{}/{}] running: {}", self.done, self.names.len(), running.join("; "));
            self.say(&line);
        }
    }

    fn finish(&mut self) {}
}
