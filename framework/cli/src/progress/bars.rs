//! Progress as bars: one for the grid and one for each worker.

use std::collections::BTreeMap;
use std::time::Duration;

use framework::spec::{RunId, RunSpec};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use store::Status;
use worker::Event;

use super::{Report, decimals, describe, notice, outcome};

pub struct Bars {
    names: BTreeMap<RunId, String>,
    all: MultiProgress,
    grid: ProgressBar,
    workers: Vec<ProgressBar>,
}

/// Makes a style from a template in this file.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|error| unreachable!("a template of ours is wrong: {error}"))
        .progress_chars("█▉▊▋▌▍▎▏ ")
}

impl Bars {
    pub fn new(runs: &[RunSpec], done: usize, jobs: usize) -> Self {
        let names = runs.iter().map(|run| (run.id.clone(), describe(run))).collect();
        let all = MultiProgress::new();
        let grid = all.add(ProgressBar::new(runs.len() as u64).with_position(done as u64));
        grid.set_style(style("{bar:30} {pos}/{len} runs, {elapsed} gone, {eta} left"));
        grid.reset_eta();
        grid.enable_steady_tick(Duration::from_millis(250));
        let worker = || {
            let bar = all.add(ProgressBar::new(1));
            bar.set_style(style("  {bar:20} {percent:>3}% {eta:>4} left  {msg}"));
            bar
        };
        let workers = (0..jobs).map(|_| worker()).collect();
        Self { names, all, grid, workers }
    }

    fn name(&self, run: &RunId) -> &str {
        self.names.get(run).map_or("", String::as_str)
    }
}

impl Report for Bars {
    fn hear(&mut self, event: Option<&Event>) {
        match event {
            Some(Event::Started { worker, run, .. }) => {
                if let Some(bar) = self.workers.get(*worker) {
                    bar.reset();
                    bar.set_message(self.name(run).to_owned());
                }
            }
            Some(Event::Progress { worker, run, step, steps, loss, l0, pretraining }) => {
                if let Some(bar) = self.workers.get(*worker) {
                    bar.set_length(*steps as u64);
                    bar.set_position(*step as u64);
                    let loss = decimals(*loss, 4);
                    let phase = if *pretraining { "  pretraining" } else { "" };
                    let name = self.name(run);
                    bar.set_message(format!("{name}{phase}  loss {loss}  L0 {l0:.1}"));
                }
            }
            Some(event @ Event::Finished { run, status, .. }) => {
                self.grid.inc(1);
                if *status != Status::Done {
                    let outcome = outcome(event).unwrap_or_default();
                    // Runs continue even if a bar cannot be drawn.
                    let _ = self.all.println(format!("{run} {}: {outcome}", self.name(run)));
                }
            }
            Some(Event::Paused { .. }) => {}
            Some(event) => {
                if let Some(line) = notice(event) {
                    let _ = self.all.println(line);
                }
            }
            None => {}
        }
    }

    fn finish(&mut self) {
        self.workers.iter().for_each(ProgressBar::finish_and_clear);
        self.grid.finish_and_clear();
    }
}
