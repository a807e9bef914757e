//! `status`: what is done, running and outstanding in a folder of results, from its files alone.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value as Json, json};

use super::list::status_of;
use super::{print, show};
use crate::exit::{Exit, Failure};
use crate::progress::describe;
use crate::store::{Folder, RunState};

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
    let mut listed: Vec<Json> = Vec::with_capacity(runs.len());
    let mut failed: Vec<Vec<String>> = Vec::new();
    for run in &runs {
        let status = status_of(&folder, run)?;
        let reason = match folder.state(&run.id, false)? {
            RunState::Ended(manifest) => manifest.reason,
            RunState::Damaged(what) => Some(what),
            RunState::Outstanding => None,
        };
        if let Some(reason) = &reason {
            failed.push(vec![run.id.to_string(), describe(run), status.clone(), reason.clone()]);
        }
        listed.push(
            json!({ "run_id": run.id.0, "seed": run.seed, "status": status, "reason": reason }),
        );
        *counts.entry(status).or_default() += 1;
    }
    if arguments.json {
        let document = json!({ "experiment": experiment.name, "counts": counts, "runs": listed });
        print(&format!("{document}\n"))?;
    } else {
        let words: Vec<String> =
            counts.iter().map(|(status, count)| format!("{count} {status}")).collect();
        print(&format!("{}: {} runs: {}\n", experiment.name, runs.len(), words.join(", ")))?;
        if !failed.is_empty() {
            print(&show::table(&["run", "settings", "status", "reason"], &failed))?;
        }
    }
    let count = |status: &str| counts.get(status).copied().unwrap_or(0);
    Ok(match count("done") {
        done if done == runs.len() => Exit::Done,
        _ if count("new") + count("running") + count("damaged") > 0 => Exit::Outstanding,
        _ => Exit::RunsFailed,
    })
}
