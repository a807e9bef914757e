//! Origin of the results: the settings that all runs share, the program, the machine and the experiment
//! file.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::ExperimentView;
use crate::{Block, PageTable};

/// Returns tables of provenance and shared settings, and the experiment file.
pub fn blocks(subject: &ExperimentView<'_>) -> Vec<Block> {
    let runs = subject.runs;
    let mut blocks = Vec::new();
    let mut facts: Vec<Vec<String>> = Vec::new();
    for folder in 0..subject.folders.len() {
        let first = (0..runs.count()).find(|row| subject.place(*row) == folder);
        if let Some((row, manifest)) = first.and_then(|row| Some((row, subject.manifest(row)?))) {
            let provenance = manifest.provenance.as_object().into_iter().flatten();
            facts.extend(provenance.map(|(key, value)| vec![key.clone(), plain(value)]));
            let of = format!("{} of {}", manifest.run_id, runs.text(row, "experiment"));
            facts.push(vec!["of run".into(), of]);
        }
    }
    for (what, column) in
        [("hosts of all runs", "host"), ("engines", "engine"), ("precision", "precision")]
    {
        let all: BTreeSet<String> = (0..runs.count()).map(|row| runs.text(row, column)).collect();
        facts.push(vec![what.into(), all.into_iter().collect::<Vec<_>>().join(", ")]);
    }
    let times = |column| {
        (0..runs.count()).map(move |row| runs.text(row, column)).filter(|time| !time.is_empty())
    };
    facts.push(vec!["first start".into(), times("started").min().unwrap_or_default()]);
    facts.push(vec!["last end".into(), times("finished").max().unwrap_or_default()]);
    blocks.push(Block::PageTable(table(facts)));
    let rows: Vec<usize> = (0..runs.count()).collect();
    let varied = runs.varied(&rows);
    let shared = runs.settings().iter().filter(|name| !varied.contains(&name.as_str()));
    let shared = shared.map(|name| vec![name.clone(), runs.text(0, name)]);
    blocks.push(Block::Words("Settings that all runs share, with the defaults:".into()));
    blocks.push(Block::PageTable(table(shared.filter(|row| !row[1].is_empty()).collect())));
    for folder in subject.folders {
        if let Ok(Some(text)) = folder.experiment_text() {
            let which = match subject.folders.len() {
                1 => String::new(),
                _ => format!(" in {}", folder.path().display()),
            };
            blocks.push(Block::Words(format!("The experiment{which} as it was run last:")));
            blocks.push(Block::Code(text));
        }
    }
    blocks
}

/// Makes a table of names and values.
fn table(rows: Vec<Vec<String>>) -> PageTable {
    PageTable { heading: vec!["what".into(), "value".into()], rows, filter: None }
}

/// Writes a JSON value as plain text.
fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}
