//! `query`: answers SQL over the tables of experiments.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

use analysis::words;
use clap::{Args, ValueEnum};
use framework::diagnostics::{Diagnostic, Origin, Source, closest};
use sql::Unknown;
use store::exit::{Exit, Failure};
use store::{Folder, open_tables};
use tables::{Stack, Table};

use super::{print, print_data, show};
use crate::output;
use crate::progress::say;
use crate::terminal::json;

/// Help text about the language.
const LANGUAGE: &str = "\
The SQL is SQLite's, with its mathematical, date and window functions. It computes as SQLite does: 7 / 2 is
3, 7 / 2.0 is 3.5; a sum of whole numbers is whole. A query reads the tables and does nothing else. Texts
stand in single quotes: WHERE penalty = 'l1'. A truth value is 1 or 0 in the query, true or false in the
answer. Of two columns of one name in an answer the second is called NAME:1.";

#[derive(Args)]
#[command(override_usage = "saegrid query [OPTIONS] <DIR>... <SQL>", after_help = LANGUAGE)]
pub struct Arguments {
    /// Experiment folders, such as results/methods, then the query, such as "SELECT penalty, avg(test_mse)
    /// FROM runs GROUP BY penalty". Its tables are runs, history, latents and stability; the column
    /// experiment tells experiments apart
    #[arg(required = true, num_args = 2.., value_name = "DIR... SQL")]
    words: Vec<String>,
    /// Format of the answer; json is one object a line
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

/// Names of the tables.
const TABLES: [&str; 4] = ["runs", "history", "latents", "stability"];

pub fn query(arguments: &Arguments) -> Result<Exit, Failure> {
    let [folders @ .., sql] = arguments.words.as_slice() else {
        unreachable!("the command line has two words or more");
    };
    let opened = open_tables(folders)?;
    opened.warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
    let table =
        sql::query(&opened.tables, sql, sql::Limits::default()).map_err(|error| match error {
            sql::QueryError::Query(problem) => wrong(sql, &problem, &opened.tables),
            sql::QueryError::Read(_) => Failure::Io(error.to_string()),
        })?;
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
        None if format == Format::Table => print(&String::from_utf8_lossy(&bytes))?,
        None => print_data(&bytes)?,
    }
    Ok(Exit::Done)
}

fn unwritten(error: &dyn Display) -> Failure {
    Failure::Io(format!("the answer cannot be written so: {error}"))
}

/// Makes the problem of a query, at its place, with the name that was probably meant.
fn wrong(sql: &str, problem: &sql::Problem, tables: &[(&str, Stack)]) -> Failure {
    let message = format!("the query: {}", problem.message);
    let mut said = match problem.at {
        Some(at) => {
            let name = "SQL".to_owned();
            let source =
                Source { name, base: PathBuf::new(), text: sql.to_owned(), is_private: false };
            let length = sql.get(at..).unwrap_or_default();
            let length = length.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '.');
            let end = length.map_or(sql.len(), |length| at + length.max(1));
            Diagnostic::at(&Origin::new(Arc::new(source), at..end), message)
        }
        None => Diagnostic::nowhere(message),
    };
    let begins = sql.trim_start().split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
    let help = match problem.unknown() {
        Some(Unknown::Table(name)) => meant(name, TABLES.map(str::to_owned)).or(listed()),
        Some(Unknown::Column(name)) => {
            let fields = tables.iter().flat_map(|(_, stack)| &stack.shape().0);
            meant(name, fields.map(|field| field.name.clone())).or(listed())
        }
        Some(Unknown::Function(name)) => meant(name, sql::functions().unwrap_or_default()),
        None if !BEGINNINGS.contains(&begins.to_uppercase().as_str()) => {
            said = said.help(format!("a query begins with {}", BEGINNINGS.join(", ")));
            listed()
        }
        None => None,
    };
    Failure::Problems(vec![match help {
        Some(help) => said.help(help),
        None => said,
    }])
}

/// Words that a query may begin with.
const BEGINNINGS: [&str; 4] = ["SELECT", "WITH", "VALUES", "EXPLAIN"];

fn listed() -> Option<String> {
    let tables =
        "tables are runs, history, latents and, once `saegrid stability` has made it, stability";
    Some(format!("{tables}; SELECT * FROM runs LIMIT 1 shows columns"))
}

/// Returns a help line with the name nearest to `wrong`, other than `wrong` itself.
fn meant(wrong: &str, names: impl IntoIterator<Item = String>) -> Option<String> {
    let names: Vec<String> = names.into_iter().filter(|name| name != wrong).collect();
    let name = closest(wrong, names.iter().map(String::as_str))?;
    Some(format!("did you mean `{name}`?"))
}

fn text(table: &Table) -> String {
    let heading: Vec<&str> = table.columns().iter().map(|column| column.name.as_str()).collect();
    let columns = table.columns().iter().map(|column| words::column(&column.values));
    let columns: Vec<Vec<String>> = columns.collect();
    let row =
        |row: usize| -> Vec<&str> { columns.iter().map(|column| column[row].as_str()).collect() };
    show::table(&heading, &(0..table.rows()).map(row).collect::<Vec<_>>())
}

/// Formats a table as comma-separated values with a heading; null is empty.
fn csv(table: &Table) -> csv::Result<Vec<u8>> {
    let mut file = csv::Writer::from_writer(Vec::new());
    file.write_record(table.columns().iter().map(|column| &column.name))?;
    let columns: Vec<_> = table.columns().iter().map(|column| column.values.texts()).collect();
    for row in 0..table.rows() {
        file.write_record(columns.iter().map(|column| column[row].as_deref().unwrap_or("")))?;
    }
    file.into_inner().map_err(|error| error.into_error().into())
}

/// Formats a table as one JSON object a line.
fn lines(table: &Table) -> String {
    (0..table.rows()).map(|row| json(&show::object(table, row)) + "\n").collect()
}
