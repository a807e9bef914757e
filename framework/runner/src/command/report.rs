//! `report`: one page that opens without a network, and its figures as files.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use framework::diagnostics::{Diagnostic, did_you_mean};
use report::figure::On;
use report::raster;

use super::print;
use crate::analysis::{Comparison, Runs};
use crate::exit::{Exit, Failure};
use crate::progress::say;
use crate::report::{Subject, page};
use crate::store::{Folder, load_runs};

#[derive(Args)]
pub struct Arguments {
    /// The experiment folder, as in results/methods
    folder: PathBuf,
    /// Where the page goes; by default to report.html in the folder
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write each figure as SVG and PNG to this folder too
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    /// What a method is: the values of these columns
    #[arg(long, value_name = "COLUMN", value_delimiter = ',', default_value = "penalty")]
    by: Vec<String>,
    /// The column that methods are compared by
    #[arg(long, value_name = "COLUMN", default_value = "test_mse")]
    metric: String,
}

pub fn report(arguments: &Arguments) -> Result<Exit, Failure> {
    let path = &arguments.folder;
    let (table, warnings) = load_runs(std::slice::from_ref(path))?;
    warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
    let runs = Runs::new(table);
    if runs.count() == 0 {
        return Err(Failure::Io(format!(
            "no run in `{}` has ended yet: there is nothing to report",
            path.display()
        )));
    }
    let folder = Folder::at(path);
    let comparison = compared(&runs, arguments)?;
    let subject = Subject {
        name: runs.text(0, "experiment"),
        folder: &folder,
        runs: &runs,
        comparison: &comparison,
        warnings: RefCell::default(),
    };
    let page = page(&subject);
    subject.warnings.borrow().iter().for_each(|warning| say(&format!("warning: {warning}")));
    if let Some(figures) = &arguments.figures {
        fs::create_dir_all(figures).map_err(|error| Failure::io("make", figures, &error))?;
        for figure in page.figures() {
            let svg = figure.svg(On::Paper).map_err(Failure::Io)?;
            write(&figures.join(format!("{}.svg", figure.name)), svg.as_bytes())?;
            let png = raster::png(&svg).map_err(Failure::Io)?;
            write(&figures.join(format!("{}.png", figure.name)), &png)?;
        }
    }
    let output = arguments.output.clone().unwrap_or_else(|| path.join("report.html"));
    write(&output, page.html().map_err(Failure::Io)?.as_bytes())?;
    print(&format!("{}\n", output.display()))?;
    Ok(Exit::Done)
}

fn compared(runs: &Runs, arguments: &Arguments) -> Result<Comparison, Failure> {
    let known: Vec<&str> =
        runs.settings().iter().map(String::as_str).chain(["experiment"]).collect();
    let numbers = runs.table().columns().iter().map(|column| column.name.as_str());
    let numbers: Vec<&str> = numbers.filter(|name| runs.is_number(name)).collect();
    let column = |word: &str, option: &str, known: &[&str]| {
        let name = word.strip_suffix(".kind").unwrap_or(word).replace('.', "_");
        if known.contains(&name.as_str()) {
            return Ok(name);
        }
        let problem = Diagnostic::nowhere(format!("`{option} {word}`: no run has such a column"));
        Err(Failure::Problems(vec![problem.help(did_you_mean(&name, known))]))
    };
    let by: Result<Vec<String>, Failure> =
        arguments.by.iter().map(|word| column(word, "--by", &known)).collect();
    // Where no run came to an end, none has the metric that nobody asked for.
    let metric = match arguments.metric.as_str() {
        "test_mse" => "test_mse".to_owned(),
        other => column(other, "--metric", &numbers)?,
    };
    Ok(Comparison::new(runs, &by?, &metric, &[]))
}

/// Writes a file whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    let beside = PathBuf::from(beside);
    let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    written.map_err(|error| Failure::io("write", path, &error))
}
