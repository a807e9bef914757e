//! `new`: writes an experiment to start from.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use framework::diagnostics::Diagnostic;
use framework::spec::Experiment;
use serde_json::json;
use store::exit::{Exit, Failure};

use super::print;

#[derive(Args)]
pub struct Arguments {
    /// Name of the experiment, which is written to NAME.toml; `-` prints it instead
    #[arg(default_value = "-")]
    name: PathBuf,
}

/// Text of the experiment, except for its name.
const STARTER: &str = include_str!("starter.toml");

pub fn new(arguments: &Arguments) -> Result<Exit, Failure> {
    if arguments.name == Path::new("-") {
        print(STARTER)?;
        return Ok(Exit::Done);
    }
    let mut path = arguments.name.clone().into_os_string();
    if arguments.name.extension().is_none_or(|end| end != "toml") {
        path.push(".toml");
    }
    let path = PathBuf::from(path);
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    // A JSON string is also a TOML string. The comment after it stays in line with the others unless the name
    // is too long.
    let line = format!("name = {:<25} #", json!(name).to_string());
    let text = STARTER.replace("name = \"my_experiment\"           #", &line);
    let shown = path.display();
    Experiment::parse(shown.to_string(), PathBuf::new(), text.clone(), &[])
        .map_err(Failure::Problems)?;
    #[allow(clippy::disallowed_methods, reason = "it opens nothing that is there")]
    let written = OpenOptions::new().write(true).create_new(true).open(&path);
    match written.and_then(|mut file| file.write_all(text.as_bytes())) {
        Ok(()) => print(&format!("{shown} is written; run it: saegrid {shown}\n"))?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let problem = Diagnostic::nowhere(format!("`{shown}` is there already"));
            return Err(Failure::Problems(vec![problem.help("take another name")]));
        }
        Err(error) => return Err(Failure::Io(format!("cannot write `{shown}`: {error}"))),
    }
    Ok(Exit::Done)
}
