//! `report`: writes one page about one or several experiments that opens without a network, and its figures as
//! files if asked.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use analysis::{EARLIER, Runs};
use clap::Args;
use report::figures::figure::On;
use report::figures::raster;
use report::{ExperimentView, page};
use store::exit::{Exit, Failure};
use store::{Folder, distinct};

use super::choice::Choice;
use super::print;
use crate::output;
use crate::progress::say;

#[derive(Args)]
pub struct Arguments {
    /// Experiment folders, such as results/methods; one page shows them all
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    /// File of the page; by default report.html in the folder, and of several folders report-with-NAME.html in the
    /// first
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Also write each figure as SVG and PNG to this folder
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    #[command(flatten)]
    choice: Choice,
}

pub fn report(arguments: &Arguments) -> Result<Exit, Failure> {
    let paths: Vec<&Path> = distinct(&arguments.folders).collect();
    let (mut runs, warnings) = Runs::load(&arguments.folders, arguments.choice.all)?;
    warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
    if runs.count() == 0 {
        let others = match runs.earlier {
            0 => String::new(),
            earlier => format!("; {earlier} are {EARLIER}, `--all` takes them in"),
        };
        let names: Vec<String> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
        return Err(Failure::Io(format!(
            "no run in {} has ended yet: there is nothing to report{others}",
            names.join(", ")
        )));
    }
    let folders: Vec<Folder> = paths.iter().map(Folder::at).collect();
    let names = folders.iter().map(|folder| Ok(folder.experiment()?.name));
    let names: Vec<String> = names.collect::<Result<_, Failure>>()?;
    let comparisons = arguments.choice.of(&mut runs)?;
    let by_l0 = arguments.choice.by_l0(&runs, &comparisons);
    let subject = ExperimentView {
        name: names.join(", "),
        folders: &folders,
        runs: &runs,
        comparisons: &comparisons,
        by_l0: by_l0.as_ref().unwrap_or(&comparisons),
        warnings: RefCell::default(),
    };
    let own: Vec<&Folder> = folders.iter().collect();
    let write = |path: &Path, bytes: &[u8]| output::write(&own, path, bytes);
    let page = page(&subject);
    subject.warnings.borrow().iter().for_each(|warning| say(&format!("warning: {warning}")));
    if let Some(figures) = &arguments.figures {
        output::make_folder(&own, figures)?;
        for figure in page.figures() {
            let svg = figure.svg(On::Paper).map_err(Failure::Io)?;
            write(&figures.join(format!("{}.svg", figure.name)), svg.as_bytes())?;
            let png = raster::png(&svg).map_err(Failure::Io)?;
            write(&figures.join(format!("{}.png", figure.name)), &png)?;
        }
    }
    let written = arguments.output.clone().unwrap_or_else(|| paths[0].join(page_file(&names)));
    write(&written, page.html().map_err(Failure::Io)?.as_bytes()).map_err(
        |failure| match arguments.output {
            Some(_) => failure,
            None => Failure::Io(format!("{failure}; `--output FILE` writes the page elsewhere")),
        },
    )?;
    print(&format!("{}\n", written.display()))?;
    Ok(Exit::Done)
}

/// Returns the file name of a page about these experiments.
fn page_file(names: &[String]) -> String {
    match &names[1..] {
        [] => "report.html".to_owned(),
        [other] => format!("report-with-{other}.html"),
        others => format!("report-with-{}-others.html", others.len()),
    }
}
