//! `status`: shows what is done, running and outstanding in an experiment folder, from its files alone. It
//! also asks a cluster about submitted jobs, which changes none of these.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use framework::spec::RunSpec;
use serde::Serialize;
use serde_json::{Value as Json, json};
use store::exit::{Exit, Failure};
use store::{Folder, FoundClaim};

use super::overview::{DoneTables, Overview, attempt_of};
use super::{print, print_json};
use crate::progress::say;
use crate::slurm::Jobs;

#[derive(Args)]
pub struct Arguments {
    /// Experiment folder, such as results/kl_sweep
    folder: PathBuf,
    /// List every run that is under way or not done, not only the first 20
    #[arg(long)]
    all: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub fn status(arguments: &Arguments) -> Result<Exit, Failure> {
    let folder = Folder::at(&arguments.folder);
    let overview = Overview::of(&folder)?;
    if arguments.json {
        print_json(&document(&overview, &folder)?)?;
    } else {
        let results = &mut DoneTables::default();
        print(&overview.text(&folder, results, &jobs_of(&folder)?, arguments.all)?)?;
    }
    Ok(overview.exit())
}

/// Returns the jobs of a folder, and warns of records of jobs that are left out.
fn jobs_of(folder: &Folder) -> Result<Jobs, Failure> {
    let (jobs, left_out) = Jobs::of(folder)?;
    left_out.iter().for_each(|warning| say(&format!("warning: {warning}")));
    Ok(jobs)
}

/// Document that `--json` prints. It borrows, since a grid may be large.
#[derive(Serialize)]
struct Document<'a> {
    experiment: &'a str,
    counts: BTreeMap<&'static str, usize>,
    /// Answer of a cluster about the jobs that were submitted to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    slurm: Option<Json>,
    runs: Vec<StatusJson<'a>>,
}

#[derive(Serialize)]
struct StatusJson<'a> {
    run_id: &'a str,
    seed: u64,
    status: &'static str,
    reason: Option<&'a str>,
    attempt: Option<Json>,
}

fn document<'a>(overview: &'a Overview, folder: &Folder) -> Result<Document<'a>, Failure> {
    let listed = overview.runs.iter().zip(&overview.known).map(|(run, known)| {
        let attempt =
            attempt_of(known).map(|found| attempt_json(folder, run, found)).transpose()?;
        let (status, reason) = (known.word(), known.reason());
        Ok(StatusJson { run_id: &run.id.0, seed: run.seed, status, reason, attempt })
    });
    let runs = listed.collect::<Result<_, Failure>>()?;
    let slurm = match jobs_of(folder)? {
        Jobs::Never => None,
        Jobs::There(queue) => Some(json!(queue)),
        Jobs::Unknown(why) => Some(json!({ "unknown": why })),
    };
    let experiment = &overview.experiment.name;
    Ok(Document { experiment, counts: overview.counts(), slurm, runs })
}

/// Describes an attempt that has not ended.
fn attempt_json(folder: &Folder, run: &RunSpec, found: &FoundClaim) -> Result<Json, Failure> {
    let claim = found.claim.as_ref();
    Ok(json!({
        "number": found.attempt,
        "host": claim.map(|claim| &claim.process.host),
        "pid": claim.map(|claim| claim.process.pid),
        "worker": claim.map(|claim| claim.worker),
        "since": claim.map(|claim| &claim.since),
        "checkpoint": folder.last_checkpoint(&run.id, found)?,
        "progress": folder.note(&run.id, found),
    }))
}
