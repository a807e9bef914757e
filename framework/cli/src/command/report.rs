//! `report`: writes one page that opens without a network, and its figures and pictures as files if asked.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use analysis::{EARLIER, Runs};
use clap::Args;
use report::figures::figure::On;
use report::figures::raster;
use report::{ExperimentView, page};
use store::Folder;
use store::exit::{Exit, Failure};

use super::choice::Choice;
use super::print;
use crate::output;
use crate::progress::say;

/// Number of pixels across a picture in a file, at least: 300 dots an inch at 8.4 cm.
const PRINTED: usize = 1000;

#[derive(Args)]
pub struct Arguments {
    /// Experiment folder, such as results/methods
    folder: PathBuf,
    /// File of the page; by default report.html in the folder
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Also write each figure as SVG and PNG to this folder, and dictionaries and reconstructions as PNG, named by
    /// setting, at least 1000 pixels wide: 300 dots an inch at 8 cm
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    #[command(flatten)]
    choice: Choice,
}

pub fn report(arguments: &Arguments) -> Result<Exit, Failure> {
    let path = &arguments.folder;
    let (runs, warnings) = Runs::load(std::slice::from_ref(path), arguments.choice.all)?;
    warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
    if runs.count() == 0 {
        let others = match runs.earlier {
            0 => String::new(),
            earlier => format!("; {earlier} are {EARLIER}, `--all` takes them in"),
        };
        return Err(Failure::Io(format!(
            "no run in `{}` has ended yet: there is nothing to report{others}",
            path.display()
        )));
    }
    let folder = Folder::at(path);
    let comparisons = arguments.choice.of(&runs)?;
    let by_l0 = arguments.choice.by_l0(&runs, &comparisons);
    let subject = ExperimentView {
        name: runs.text(0, "experiment"),
        folder: &folder,
        runs: &runs,
        comparisons: &comparisons,
        by_l0: by_l0.as_ref().unwrap_or(&comparisons),
        warnings: RefCell::default(),
    };
    let write = |path: &Path, bytes: &[u8]| output::write(&[&folder], path, bytes);
    let page = page(&subject);
    subject.warnings.borrow().iter().for_each(|warning| say(&format!("warning: {warning}")));
    if let Some(figures) = &arguments.figures {
        output::make_folder(&[&folder], figures)?;
        for figure in page.figures() {
            let svg = figure.svg(On::Paper).map_err(Failure::Io)?;
            write(&figures.join(format!("{}.svg", figure.name)), svg.as_bytes())?;
            let png = raster::png(&svg).map_err(Failure::Io)?;
            write(&figures.join(format!("{}.png", figure.name)), &png)?;
        }
        for picture in page.pictures() {
            let png = picture.png(picture.scale_for(PRINTED)).map_err(Failure::Io)?;
            write(&figures.join(format!("{}.png", picture.name)), &png)?;
        }
    }
    let written = arguments.output.clone().unwrap_or_else(|| path.join("report.html"));
    write(&written, page.html().map_err(Failure::Io)?.as_bytes()).map_err(
        |failure| match arguments.output {
            Some(_) => failure,
            None => Failure::Io(format!("{failure}; `--output FILE` writes the page elsewhere")),
        },
    )?;
    print(&format!("{}\n", written.display()))?;
    Ok(Exit::Done)
}
