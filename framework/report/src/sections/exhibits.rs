//! Exhibits: tables and pictures that evaluations gave, of the run that stands for each method. What they
//! show, their own captions say.

use std::collections::BTreeSet;

use analysis::words;
use store::{ExhibitFile, Manifest, read_png, write_png};
use tables::Table;

use super::ExperimentView;
use super::models::{chosen, full_name};
use crate::{Block, PageTable, StoredPicture};

/// Number of tables and pictures of a run that are shown at most.
const OF_A_RUN: usize = 12;

/// Number of rows and of columns of a table that are shown at most.
const ROWS: usize = 20;
const COLUMNS: usize = 12;

/// Number of letters of a text in a table that are shown at most.
const LETTERS: usize = 60;

/// Number of letters of a caption that are shown at most.
const OF_A_CAPTION: usize = 500;

/// Number of bytes of the file of a table that is shown at most.
const OF_A_TABLE: usize = 4 << 20;

/// Number of bytes that all pictures together have at most.
const BYTES: usize = 4 << 20;

/// Returns the tables and pictures of the run that stands for each method.
pub fn blocks(subject: &ExperimentView<'_>) -> Vec<Block> {
    let (mut blocks, mut left, mut seen) = (Vec::new(), BYTES, BTreeSet::new());
    for (part, group) in subject.methods() {
        let Some((setting, row)) = chosen(part, group) else { continue };
        let id = subject.runs.text(row, "run_id");
        // A method may stand in several comparisons, by the same run.
        let Some(manifest) = subject.manifest(row).filter(|_| seen.insert(id.clone())) else {
            continue;
        };
        if manifest.exhibits.is_empty() {
            continue;
        }
        let seed = subject.runs.seed(row);
        blocks.push(Block::Verdict(format!("{}, seed {seed}", full_name(group, setting))));
        let mut hidden = Vec::new();
        for (at, exhibit) in manifest.exhibits.iter().enumerate() {
            let room = (at < OF_A_RUN).then_some(&mut left);
            match room.and_then(|left| show(subject, row, &manifest, exhibit, left)) {
                Some(more) => blocks.extend(more),
                None => hidden.push(exhibit.file.as_str()),
            }
        }
        if !hidden.is_empty() {
            let hidden = hidden.join(", ");
            blocks.push(Block::Words(format!("Not shown: {hidden}, in runs/{id}/exhibits.")));
        }
    }
    blocks
}

/// Shows a table or a picture; `None` if it cannot be read, or if there is no room left.
fn show(
    subject: &ExperimentView<'_>,
    row: usize,
    manifest: &Manifest,
    exhibit: &ExhibitFile,
    left: &mut usize,
) -> Option<Vec<Block>> {
    let bytes = subject.file(row, manifest, &exhibit.path())?;
    let damaged = |what: String| {
        subject.warn::<()>(format!("run {}: its `{}`: {what}", manifest.run_id, exhibit.file));
    };
    let (caption, of) =
        (shortened(&exhibit.caption, OF_A_CAPTION), shortened(&exhibit.evaluation, LETTERS));
    let mut title = format!("{caption} ({}, of {of})", exhibit.name());
    if exhibit.is_picture() {
        let pixels = read_png(&bytes).map_err(&damaged).ok()?;
        // Written anew, so that the page has nothing of a file that somebody else may have written.
        let png = write_png(&pixels).map_err(&damaged).ok()?;
        *left = left.checked_sub(png.len())?;
        let picture = StoredPicture { caption: title, across: pixels.width, png };
        return Some(vec![Block::StoredPictures(vec![picture])]);
    }
    if bytes.len() > OF_A_TABLE {
        return None;
    }
    let table = Table::from_parquet(&bytes).map_err(|error| damaged(error.to_string())).ok()?;
    if table.rows() > ROWS || table.columns().len() > COLUMNS {
        let (rows, columns) = (table.rows().min(ROWS), table.columns().len().min(COLUMNS));
        title.push_str(&format!(
            " The first {rows} of {} rows, {columns} of {} columns; runs/{}/{} has all.",
            table.rows(),
            table.columns().len(),
            manifest.run_id,
            exhibit.path()
        ));
    }
    Some(vec![Block::Words(title), Block::PageTable(first_rows(&table))])
}

/// Returns the first rows and columns of a table.
fn first_rows(table: &Table) -> PageTable {
    let columns = || table.columns().iter().take(COLUMNS);
    let cells: Vec<Vec<String>> = columns().map(|column| words::column(&column.values)).collect();
    let row = |row: usize| cells.iter().map(|cells| shortened(&cells[row], LETTERS)).collect();
    PageTable {
        heading: columns().map(|column| shortened(&column.name, LETTERS)).collect(),
        rows: (0..table.rows().min(ROWS)).map(row).collect(),
        filter: None,
    }
}

/// Returns the start of a text.
fn shortened(text: &str, letters: usize) -> String {
    match text.char_indices().nth(letters) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
