//! Runs for which `auto` takes a slower engine than the fastest, and why.

use std::collections::HashMap;

use framework::engine::EngineKind;
use framework::spec::RunSpec;
use serde::Serialize;

/// Runs that fall back to one engine for one reason.
#[derive(Debug, PartialEq, Serialize)]
pub struct Fallback {
    /// Number of runs.
    pub runs: usize,
    /// The engine that trains them.
    pub engine: &'static str,
    /// Why no faster one does.
    pub reason: &'static str,
}

impl Fallback {
    /// Counts the runs of each engine and reason, the first reason first.
    pub fn of(runs: &[RunSpec]) -> Vec<Self> {
        // Runs of a grid share their sections.
        let mut known = HashMap::new();
        let mut all: Vec<Self> = Vec::new();
        for run in runs {
            let fallback =
                known.entry(run.addresses()).or_insert_with(|| EngineKind::fallback(run));
            let Some((engine, reason)) = *fallback else { continue };
            match all.iter_mut().find(|one| (one.engine, one.reason) == (engine.name, reason)) {
                Some(one) => one.runs += 1,
                None => all.push(Self { runs: 1, engine: engine.name, reason }),
            }
        }
        all
    }

    /// Says it in a line.
    pub fn to_words(&self) -> String {
        let Self { runs, engine, reason } = self;
        let train = if *runs == 1 { "run trains" } else { "runs train" };
        format!("{runs} {train} in the {engine} engine, which is slower: {reason}\n")
    }
}
