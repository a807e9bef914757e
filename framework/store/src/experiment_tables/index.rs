//! Index of the tables of an experiment: `tables.json`, written after them. It says what they were made
//! of, so that the next command knows which rows it can keep. It is derived too: without it, all tables
//! are made anew.

use std::collections::HashMap;

use framework::spec::RunId;
use serde::{Deserialize, Serialize};
use tables::{Shape, Table, TableRows};

use super::compact::TABLES;
use crate::exit::Failure;
use crate::folder::Folder;
use crate::runs::manifest::{Manifest, sealed, unsealed};
use crate::storage::files;
use crate::storage::names::INDEX;

/// Version of how tables are put together; rows of another version are not kept.
const FORMAT: u32 = 2;

/// Rows of a run in the tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexEntry {
    /// Id of the run.
    pub id: RunId,
    /// Digest of all bytes of its manifest, which holds the digests of its tables.
    pub manifest: String,
    /// True if the experiment still contains it.
    pub current: bool,
    /// Its rows in each table, if it has any there.
    pub parts: [Option<IndexedRows>; 3],
}

impl IndexEntry {
    /// Returns whether it has rows of each table that its manifest names; `manifest` has the bytes of
    /// that. Most runs have rows of all tables, and then the manifest is not parsed.
    pub fn has_all(&self, manifest: &[u8]) -> bool {
        let lacks = |table: usize| self.parts[table].is_none();
        if !(0..TABLES.len()).any(lacks) {
            return true;
        }
        Manifest::from_bytes(manifest).is_ok_and(|manifest| {
            let is_named = |table: usize| manifest.digests.contains_key(TABLES[table].1);
            !(0..TABLES.len()).any(|table| lacks(table) && is_named(table))
        })
    }
}

/// Rows of a run in one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexedRows {
    /// Number of rows.
    pub rows: usize,
    /// Its own columns, as a place in [`Index::shapes`].
    pub shape: usize,
}

/// Content of the index file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Index {
    /// Version, see [`FORMAT`].
    pub format: u32,
    /// Digest of each table.
    pub digests: [String; 3],
    /// Columns that runs have.
    pub shapes: Vec<Shape>,
    /// Runs in the order of the rows; each list is one group of rows.
    pub groups: Vec<Vec<IndexEntry>>,
}

impl Index {
    /// Index of tables with these runs.
    pub fn new(digests: [String; 3], shapes: Vec<Shape>, groups: Vec<Vec<IndexEntry>>) -> Self {
        Self { format: FORMAT, digests, shapes, groups }
    }

    /// Columns of each table.
    pub fn columns(&self) -> [Shape; 3] {
        columns(&self.shapes, &self.groups)
    }
}

/// Columns of each table with these runs.
pub fn columns(shapes: &[Shape], groups: &[Vec<IndexEntry>]) -> [Shape; 3] {
    std::array::from_fn(|table| {
        // Most runs have the same columns: each list of columns is united once.
        let mut seen = vec![false; shapes.len()];
        let parts = groups.iter().flatten().filter_map(|entry| entry.parts[table].as_ref());
        let first = parts.filter(|part| !std::mem::replace(&mut seen[part.shape], true));
        Shape::union(first.map(|part| &shapes[part.shape]))
    })
}

/// Old tables of an experiment, with their index.
pub struct IndexedTables {
    /// Their index.
    pub index: Index,
    /// Their columns.
    pub columns: [Shape; 3],
    files: [Vec<u8>; 3],
    /// Place of each run: its group, and its place in that group.
    places: HashMap<RunId, (usize, usize)>,
}

impl IndexedTables {
    /// Reads them; `None` if anything is missing or damaged, or if the rows of a run cannot be restored.
    ///
    /// # Errors
    /// If a file exists and cannot be read.
    pub fn read(folder: &Folder) -> Result<Option<Self>, Failure> {
        let read = |name: &str| files::read(folder.storage(), &folder.path().join(name));
        let Some(bytes) = read(INDEX)? else { return Ok(None) };
        let Ok(index) = unsealed::<Index>(&bytes) else { return Ok(None) };
        let mut files: [Vec<u8>; 3] = Default::default();
        for ((file, (name, _)), digest) in files.iter_mut().zip(TABLES).zip(&index.digests) {
            match read(name)? {
                Some(bytes) if files::digest(&bytes) == *digest => *file = bytes,
                _ => return Ok(None),
            }
        }
        let parts = || index.groups.iter().flatten().flat_map(|entry| &entry.parts).flatten();
        if index.format != FORMAT || parts().any(|part| part.shape >= index.shapes.len()) {
            return Ok(None);
        }
        let columns = index.columns();
        let is_kept = |table: usize| {
            let mut parts = index.groups.iter().flatten().filter_map(|e| e.parts[table].as_ref());
            let mut seen = vec![false; index.shapes.len()];
            parts.all(|part| {
                std::mem::replace(&mut seen[part.shape], true)
                    || index.shapes[part.shape].is_kept_in(&columns[table])
            })
        };
        if !(0..3).all(is_kept) {
            return Ok(None);
        }
        let runs = index.groups.iter().enumerate();
        let places = runs.flat_map(|(group, runs)| {
            runs.iter().enumerate().map(move |(at, entry)| (entry.id.clone(), (group, at)))
        });
        let places = places.collect();
        Ok(Some(Self { index, columns, files, places }))
    }

    /// Returns the entry of a run, and its group.
    pub fn entry(&self, id: &RunId) -> Option<(&IndexEntry, usize)> {
        let (group, at) = *self.places.get(id)?;
        Some((&self.index.groups[group][at], group))
    }

    /// Returns the groups of a table; `None` for a group of runs without rows.
    ///
    /// # Errors
    /// If the file does not have the rows that the index says.
    pub fn groups(&self, table: usize) -> Result<Vec<Option<TableRows<'_>>>, Failure> {
        let unfit = || {
            let name = TABLES[table].0;
            Failure::Io(format!("`{name}` has not the rows that `{INDEX}` says"))
        };
        let mut groups = TableRows::all(&self.files[table]).map_err(|_| unfit())?.into_iter();
        let group = |runs: &Vec<IndexEntry>| {
            let parts = runs.iter().filter_map(|entry| entry.parts[table].as_ref());
            let rows = parts.map(|part| part.rows).try_fold(0_usize, usize::checked_add);
            match rows.ok_or_else(unfit)? {
                0 => Ok(None),
                rows => {
                    let group = groups.next().filter(|group| group.rows() == rows);
                    group.map(Some).ok_or_else(unfit)
                }
            }
        };
        let all = self.index.groups.iter().map(group).collect::<Result<_, _>>()?;
        if groups.next().is_some() { Err(unfit()) } else { Ok(all) }
    }

    /// Bytes of a table.
    pub fn file(&self, table: usize) -> &[u8] {
        &self.files[table]
    }
}

/// Makes a table without rows that has these columns.
pub fn empty(columns: &Shape) -> Table {
    Table::default().shaped(columns)
}

impl Folder {
    /// Writes the index.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn write_index(&self, index: &Index) -> Result<(), Failure> {
        files::place(self.storage(), &self.path().join(INDEX), &[&sealed(index)?])
    }
}
