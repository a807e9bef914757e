//! `list`: every run of an experiment, with what is known of it.

use std::borrow::Cow;

use clap::Args;
use framework::spec::RunSpec;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json};

use super::grid::Grid;
use super::{Chosen, print, show};
use crate::exit::{Exit, Failure};
use crate::store::Known;
use crate::worker::Rungs;

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    chosen: Chosen,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub fn list(arguments: &Arguments) -> Result<Exit, Failure> {
    print_list(&Grid::read(&arguments.chosen)?, arguments.json)
}

/// Prints the runs of a grid.
pub fn print_list(grid: &Grid, json: bool) -> Result<Exit, Failure> {
    let mut known = grid.folder.survey(&grid.runs)?;
    Rungs::new(&grid.folder, &grid.experiment, &grid.runs)?.tell(&mut known);
    let statuses: Vec<String> = known.iter().map(Known::to_string).collect();
    if json {
        let runs = grid.runs.iter().zip(&statuses).map(|(run, status)| Listed::new(run, status));
        let listing = Listing { experiment: &grid.experiment.name, runs: runs.collect() };
        let text = serde_json::to_string(&listing)
            .map_err(|error| Failure::Io(format!("the runs have no JSON form: {error}")))?;
        print(&format!("{text}\n"))?;
        return Ok(Exit::Done);
    }
    let mut heading = vec!["run"];
    let axes = grid.experiment.axis_names();
    heading.extend(&axes);
    heading.extend(["seed", "status"]);
    let rows: Vec<Vec<Cow<'_, str>>> = grid
        .runs
        .iter()
        .zip(&statuses)
        .map(|(run, status)| {
            let point = axes.iter().map(|axis| run.value_on(axis).unwrap_or("").into());
            let seed = run.seed.to_string().into();
            let end = [seed, status.as_str().into()];
            std::iter::once(run.id.0.as_str().into()).chain(point).chain(end).collect()
        })
        .collect();
    print(&show::table(&heading, &rows))?;
    print(&format!("{} runs\n", grid.runs.len()))?;
    Ok(Exit::Done)
}

/// The document that `--json` prints. It borrows: the runs of a large grid share their settings.
#[derive(Serialize)]
struct Listing<'a> {
    experiment: &'a str,
    runs: Vec<Listed<'a>>,
}

#[derive(Serialize)]
struct Listed<'a> {
    run_id: &'a str,
    seed: u64,
    status: &'a str,
    #[serde(serialize_with = "as_map")]
    point: &'a [(String, String)],
    settings: ListedSettings<'a>,
}

#[derive(Serialize)]
struct ListedSettings<'a> {
    dataset: &'a Map<String, Json>,
    architecture: &'a Map<String, Json>,
    penalty: &'a Map<String, Json>,
    train: &'a Map<String, Json>,
    seed: u64,
}

impl<'a> Listed<'a> {
    fn new(run: &'a RunSpec, status: &'a str) -> Self {
        let settings = ListedSettings {
            dataset: &run.dataset.settings,
            architecture: &run.architecture.settings,
            penalty: &run.penalty.settings,
            train: &run.train.settings,
            seed: run.seed,
        };
        Self { run_id: &run.id.0, seed: run.seed, status, point: &run.point, settings }
    }
}

fn as_map<S: Serializer>(point: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(point.iter().map(|(axis, value)| (axis, value)))
}
