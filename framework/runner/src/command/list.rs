//! `list`: every run of an experiment, with what is known of it.

use clap::Args;
use framework::spec::RunSpec;
use serde_json::{Value as Json, json};

use super::grid::Grid;
use super::{Chosen, print, show};
use crate::exit::{Exit, Failure};
use crate::store::{Claim, Folder, RunState};

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
    let statuses: Result<Vec<String>, Failure> =
        grid.runs.iter().map(|run| status_of(&grid.folder, run)).collect();
    let statuses = statuses?;
    if json {
        let runs: Vec<Json> =
            grid.runs.iter().zip(&statuses).map(|(run, status)| as_json(run, status)).collect();
        print(&format!("{}\n", json!({ "experiment": grid.experiment.name, "runs": runs })))?;
        return Ok(Exit::Done);
    }
    let mut heading = vec!["run"];
    heading.extend(grid.experiment.axes.iter().map(|axis| axis.name.as_str()));
    heading.extend(["seed", "status"]);
    let row = |(run, status): (&RunSpec, &String)| {
        let mut row = vec![run.id.to_string()];
        row.extend(run.point.iter().map(|(_, value)| value.clone()));
        row.extend([run.seed.to_string(), status.clone()]);
        row
    };
    let rows: Vec<Vec<String>> = grid.runs.iter().zip(&statuses).map(row).collect();
    print(&show::table(&heading, &rows))?;
    print(&format!("{} runs\n", grid.runs.len()))?;
    Ok(Exit::Done)
}

/// What is known of a run, in one word: how it ended, or `running`, `new` or `damaged`.
pub fn status_of(folder: &Folder, run: &RunSpec) -> Result<String, Failure> {
    Ok(match folder.state(&run.id, false)? {
        RunState::Ended(manifest) => manifest.status.to_string(),
        RunState::Damaged(_) => "damaged".to_owned(),
        RunState::Outstanding if Claim::is_taken(folder, &run.id) => "running".to_owned(),
        RunState::Outstanding => "new".to_owned(),
    })
}

fn as_json(run: &RunSpec, status: &str) -> Json {
    let point: serde_json::Map<String, Json> =
        run.point.iter().map(|(axis, value)| (axis.clone(), json!(value))).collect();
    json!({
        "run_id": run.id.0,
        "seed": run.seed,
        "status": status,
        "point": point,
        "settings": run.settings(),
    })
}
