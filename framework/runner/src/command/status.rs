//! `status`: what is done, running and outstanding in a folder of results, from its files alone.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use framework::spec::RunSpec;
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::{print, print_json, show};
use crate::exit::{Exit, Failure};
use crate::progress::describe;
use crate::store::{Folder, Found, Known};
use crate::worker::Rungs;

#[derive(Args)]
pub struct Arguments {
    /// The experiment folder, as in results/kl_sweep
    folder: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub fn status(arguments: &Arguments) -> Result<Exit, Failure> {
    let folder = Folder::at(&arguments.folder);
    let experiment = folder.experiment()?;
    let runs = experiment.runs()?;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut listed: Vec<Listed<'_>> = Vec::new();
    let (mut failed, mut at_work): (Vec<Vec<String>>, Vec<Vec<String>>) = Default::default();
    let mut known = folder.survey(&runs)?;
    Rungs::new(&folder, &experiment, &runs)?.tell(&mut known);
    for (run, known) in runs.iter().zip(&known) {
        let (status, reason) = (known.to_string(), known.reason());
        if let Some(reason) = reason {
            let row = vec![run.id.to_string(), describe(run), status.clone(), reason.to_owned()];
            failed.push(row);
        }
        let attempt = match known {
            Known::Running(found) | Known::Interrupted(found) => Some(found),
            _ => None,
        };
        if let (Known::Running(found), Some(claim)) =
            (known, attempt.and_then(|a| a.claim.as_ref()))
        {
            let step = folder.last_checkpoint(&run.id, found)?;
            at_work.push(vec![
                run.id.to_string(),
                describe(run),
                format!("{} (process {})", claim.process.host, claim.process.pid),
                claim.since.clone(),
                step.map_or("none".to_owned(), |step| format!("at step {step}")),
            ]);
        }
        if arguments.json {
            let attempt = attempt.map(|found| attempt_json(&folder, run, found)).transpose()?;
            let status = status.clone();
            listed.push(Listed { run_id: &run.id.0, seed: run.seed, status, reason, attempt });
        }
        *counts.entry(status).or_default() += 1;
    }
    if arguments.json {
        let document = Document { experiment: &experiment.name, counts: &counts, runs: listed };
        print_json(&document)?;
    } else {
        let words: Vec<String> =
            counts.iter().map(|(status, count)| format!("{count} {status}")).collect();
        print(&format!("{}: {} runs: {}\n", experiment.name, runs.len(), words.join(", ")))?;
        if !at_work.is_empty() {
            let heading = ["run", "settings", "where", "since", "checkpoint"];
            print(&show::table(&heading, &at_work))?;
        }
        if !failed.is_empty() {
            print(&show::table(&["run", "settings", "status", "reason"], &failed))?;
        }
    }
    let count = |status: &str| counts.get(status).copied().unwrap_or(0);
    let outstanding = ["new", "running", "interrupted", "waiting", "damaged"];
    Ok(match count("done") + count("stale") + count("stopped") {
        done if done == runs.len() => Exit::Done,
        _ if outstanding.into_iter().any(|word| count(word) > 0) => Exit::Outstanding,
        _ => Exit::RunsFailed,
    })
}

/// The document that `--json` prints. It borrows: a grid may be large.
#[derive(Serialize)]
struct Document<'a> {
    experiment: &'a str,
    counts: &'a BTreeMap<String, usize>,
    runs: Vec<Listed<'a>>,
}

#[derive(Serialize)]
struct Listed<'a> {
    run_id: &'a str,
    seed: u64,
    status: String,
    reason: Option<&'a str>,
    attempt: Option<Json>,
}

/// What is known of an attempt that has not ended.
fn attempt_json(folder: &Folder, run: &RunSpec, found: &Found) -> Result<Json, Failure> {
    let claim = found.claim.as_ref();
    Ok(json!({
        "number": found.attempt,
        "host": claim.map(|claim| &claim.process.host),
        "pid": claim.map(|claim| claim.process.pid),
        "worker": claim.map(|claim| claim.worker),
        "since": claim.map(|claim| &claim.since),
        "checkpoint": folder.last_checkpoint(&run.id, found)?,
    }))
}
