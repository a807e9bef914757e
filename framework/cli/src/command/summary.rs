//! Summary of a grid in few lines.

use std::collections::{BTreeMap, HashMap};

use analysis::words;
use analysis::{Comparisons, DEFAULT, Question, Runs, rows_of};
use framework::plugin::{Title, Within};
use framework::spec::{ColumnName, RunSpec};
use serde_json::{Value as Json, json};
use tables::{Table, Values};

use super::grid::Grid;
use super::{settings, show};

/// Number of runs shown if there is no L0 to sort settings by.
const BEST: usize = 10;

/// Columns shown of these runs, if they were measured.
const HEADLINES: [&str; 7] = [
    "test_mse",
    "test_explained_variance",
    "test_l0",
    "test_dead_fraction",
    "test_mean_max_cosine",
    "test_probe_accuracy",
    "seconds",
];

/// Returns the rows of runs of this experiment, each with the run's status.
fn current(table: &Table) -> impl Iterator<Item = (usize, &str)> {
    let columns = match (table.get("status"), table.get("in_experiment")) {
        (Some(Values::Text(status)), Some(Values::Flag(current))) => {
            Some(status.iter().zip(current))
        }
        _ => None,
    };
    let rows = columns.into_iter().flatten().enumerate();
    rows.filter_map(|(row, (status, current))| {
        (*current == Some(true)).then_some((row, status.as_deref()?))
    })
}

/// Returns the rows of runs that are done, by test error, and whether all have the same test data. If not,
/// sorts by test data first.
fn best(table: &Table) -> (Vec<usize>, bool) {
    let error = |row: usize| match table.get("test_mse") {
        Some(Values::Number(values)) => values[row].unwrap_or(f64::INFINITY),
        _ => f64::INFINITY,
    };
    let done = current(table).filter(|(_, status)| *status == "done");
    let mut rows: Vec<usize> = done.map(|(row, _)| row).collect();
    let runs = Runs::new(table.clone());
    let scope = |row: &usize| runs.scope(*row, Within::Data);
    let scopes: HashMap<usize, Vec<(String, String)>> =
        rows.iter().map(|row| (*row, scope(row))).collect();
    rows.sort_by(|a, b| scopes[a].cmp(&scopes[b]).then(error(*a).total_cmp(&error(*b))));
    let is_one = rows.windows(2).all(|two| scopes[&two[0]] == scopes[&two[1]]);
    (rows, is_one)
}

/// Formats the result of each setting, the number of runs that are not done, and where the results are.
pub fn summary(grid: &Grid, table: &Table) -> String {
    let rows: Vec<usize> = current(table).map(|(row, _)| row).collect();
    let mut runs = Runs::new(rows_of(table, &rows));
    runs.show(grid.experiment.evaluate.show.iter().map(ColumnName::as_str));
    let comparisons = Comparisons::new(&runs, &Question::default());
    let mut text = settings::brief(&comparisons, &runs, &grid.folder);
    if text.is_empty() {
        text = best_runs(grid, table, &runs);
    } else {
        let shown = settings::chosen(comparisons.groups());
        text.push_str(&settings::curves(&shown, DEFAULT, &runs, &grid.folder));
    }
    let mut others: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, status) in current(table).filter(|(_, status)| *status != "done") {
        *others.entry(status).or_default() += 1;
    }
    if !others.is_empty() {
        let words: Vec<String> =
            others.iter().map(|(status, count)| format!("{count} {status}")).collect();
        let folder = grid.folder.path().display();
        text.push_str(&format!(
            "Not done: {}; `saegrid status {folder}` says why\n",
            words.join(", ")
        ));
    }
    text.push_str(&format!("Results: {}\n", grid.folder.path().join("runs.parquet").display()));
    text
}

/// Formats the best runs, if L0 or the error was not measured.
fn best_runs(grid: &Grid, table: &Table, runs: &Runs) -> String {
    let (best, is_one) = best(table);
    let mut text = String::new();
    if !best.is_empty() {
        let ids: HashMap<&str, &RunSpec> =
            grid.runs.iter().map(|run| (run.id.0.as_str(), run)).collect();
        let metrics: Vec<&str> =
            HEADLINES.into_iter().filter(|name| table.get(name).is_some()).collect();
        let mut heading = vec!["run"];
        let axes = grid.experiment.axis_names();
        heading.extend(&axes);
        heading.push("seed");
        let titles: Vec<Title> = metrics.iter().map(|name| runs.title(name)).collect();
        heading.extend(titles.iter().map(|title| title.short.as_str()));
        let rows: Vec<Vec<String>> = best
            .iter()
            .take(BEST)
            .map(|row| {
                let id = table.get("run_id").map_or(String::new(), |ids| words::cell(ids, *row));
                let run = ids.get(id.as_str());
                let value = |axis: &&str| run.and_then(|run| run.value_on(axis)).unwrap_or("");
                let values: Vec<String> = axes.iter().map(value).map(str::to_owned).collect();
                let mut cells = vec![id];
                cells.extend(values);
                cells.extend(
                    std::iter::once("seed")
                        .chain(metrics.iter().copied())
                        .filter_map(|name| table.get(name))
                        .map(|values| words::cell(values, *row)),
                );
                cells
            })
            .collect();
        let shown = rows.len();
        let count = best.len();
        text.push_str(&match is_one {
            true => format!("The {shown} best of {count} runs that are done, by test_mse:\n"),
            false => format!(
                "{shown} of {count} runs that are done, by data set and test_mse, which is not compared across them:\n"
            ),
        });
        text.push_str(&show::table(&heading, &rows));
    }
    text
}

/// Returns the summary as one JSON document, with every run.
pub fn summary_json(grid: &Grid, table: &Table) -> Json {
    json!({
        "experiment": grid.experiment.name,
        "folder": grid.folder.path(),
        "runs": (0..table.rows()).map(|row| show::object(table, row)).collect::<Vec<Json>>(),
    })
}
