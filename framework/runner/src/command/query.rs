//! `query`: SQL over the tables of experiments.

use std::fmt::Display;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use framework::diagnostics::{Diagnostic, closest};
use tables::{Table, query as answer};

use super::{print, show};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::progress::say;
use crate::store::{Folder, load};

#[derive(Args)]
#[command(override_usage = "saegrid query [OPTIONS] <DIR>... <SQL>")]
pub struct Arguments {
    /// Folders of experiments, as in results/methods, then the query, as in "SELECT penalty,
    /// avg(test_mse) FROM runs GROUP BY penalty". Its tables are runs, history, latents and stability; their
    /// column experiment tells experiments apart
    #[arg(required = true, num_args = 2.., value_name = "DIR... SQL")]
    words: Vec<String>,
    /// How the answer is written; json is one object a line
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// The same as `--format json`
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Write the answer to FILE
    #[arg(long, value_name = "FILE", required_if_eq("format", "parquet"))]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Default, PartialEq, ValueEnum)]
enum Format {
    #[default]
    Table,
    Csv,
    Json,
    Parquet,
}

/// What the tables are called, in the order of [`load`].
const TABLES: [&str; 4] = ["runs", "history", "latents", "stability"];

pub fn query(arguments: &Arguments) -> Result<Exit, Failure> {
    let [folders @ .., sql] = arguments.words.as_slice() else {
        unreachable!("the command line has two words or more");
    };
    let first = sql.split_whitespace().next().unwrap_or("").to_lowercase();
    if !["select", "with", "show", "explain"].contains(&first.trim_start_matches('(')) {
        let help = "as in \"SELECT penalty, avg(test_mse) FROM runs GROUP BY penalty\"";
        let problem = problem("the last word is no query: it begins with SELECT");
        return Err(Failure::Problems(vec![problem.help(help)]));
    }
    let results = load(folders)?;
    results.warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
    let always = [results.runs, results.history, results.latents];
    let frames: Vec<_> = always.into_iter().chain(results.stability).collect();
    let columns: Vec<String> = frames.iter().flat_map(tables::columns_of).collect();
    let frames = TABLES.into_iter().zip(frames).collect();
    let table = answer(frames, sql).map_err(|error| wrong(&error.to_string(), &columns))?;
    let format = if arguments.json { Format::Json } else { arguments.format };
    let bytes = match format {
        Format::Table => text(&table).into_bytes(),
        Format::Csv => csv(&table).map_err(|error| unwritten(&error))?,
        Format::Json => lines(&table).into_bytes(),
        Format::Parquet => table.to_parquet().map_err(|error| unwritten(&error))?,
    };
    match &arguments.output {
        Some(path) => {
            let folders: Vec<Folder> = folders.iter().map(Folder::at).collect();
            output::write(&folders.iter().collect::<Vec<_>>(), path, &bytes)?;
        }
        None => print(&String::from_utf8_lossy(&bytes))?,
    }
    Ok(Exit::Done)
}

fn problem(message: impl Into<String>) -> Diagnostic {
    Diagnostic::nowhere(message.into())
}

fn unwritten(error: &dyn Display) -> Failure {
    Failure::Io(format!("the answer cannot be written so: {error}"))
}

/// What polars says of a query, in few words, with the name that was probably meant.
fn wrong(said: &str, columns: &[String]) -> Failure {
    let first = said.lines().next().unwrap_or(said);
    let message = first.split("; valid columns").next().unwrap_or(first);
    let message = message.strip_prefix("not found: ").unwrap_or(message);
    let name = || message.split(['"', '\'']).nth(1);
    let problem = problem(format!("the query: {message}"));
    let (unknown, meant) = if message.starts_with("relation") {
        let meant = name().and_then(|name| closest(name, TABLES));
        (true, meant.filter(|meant| name() != Some(meant)))
    } else {
        let meant = name().and_then(|name| closest(name, columns.iter().map(String::as_str)));
        (message.contains("unable to find"), meant)
    };
    Failure::Problems(vec![match meant {
        Some(name) if unknown => problem.help(format!("did you mean `{name}`?")),
        None if unknown => problem
            .help("tables are runs, history, latents and, once `saegrid stability` has made it, stability; \
             SELECT * FROM runs LIMIT 1 shows columns"),
        _ => problem,
    }])
}

fn text(table: &Table) -> String {
    let heading: Vec<&str> = table.columns().iter().map(|column| column.name.as_str()).collect();
    let columns = table.columns().iter().map(|column| show::column(&column.values));
    let columns: Vec<Vec<String>> = columns.collect();
    let row =
        |row: usize| -> Vec<&str> { columns.iter().map(|column| column[row].as_str()).collect() };
    show::table(&heading, &(0..table.rows()).map(row).collect::<Vec<_>>())
}

/// Comma-separated values with a heading; null is empty.
fn csv(table: &Table) -> csv::Result<Vec<u8>> {
    let mut file = csv::Writer::from_writer(Vec::new());
    file.write_record(table.columns().iter().map(|column| &column.name))?;
    let columns: Vec<_> = table.columns().iter().map(|column| column.values.texts()).collect();
    for row in 0..table.rows() {
        file.write_record(columns.iter().map(|column| column[row].as_deref().unwrap_or("")))?;
    }
    file.into_inner().map_err(|error| error.into_error().into())
}

/// One JSON object a line.
fn lines(table: &Table) -> String {
    (0..table.rows()).map(|row| format!("{}\n", show::object(table, row))).collect()
}
