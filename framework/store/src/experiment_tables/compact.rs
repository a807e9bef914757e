//! Makes the tables of an experiment from those of its runs. They are derived: deleting them loses
//! nothing.
//!
//! Only new and changed runs are read from their folders; the rows of the others come from the old
//! tables. A run is recognised by the digest of its manifest, which holds the digests of its tables: so
//! neither file times nor a copied folder can make a changed run look unchanged. Runs stand in groups of
//! [`GROUP`] by their place in the experiment. The rows of a group are a part of the file, and are copied
//! as they are if no run of the group has changed. Whatever happened to the folder before, the tables are
//! the same to the bit as tables made from nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use framework::spec::{RunId, RunSpec};
use rayon::prelude::*;
use tables::{Shape, Table, TableRows, Values, join};

use super::index::{self, Index, IndexEntry, IndexedRows, IndexedTables};
use crate::exit::Failure;
use crate::folder::Folder;
use crate::runs::manifest::{Manifest, Unread};
use crate::runs::run_tables::l0_rule_of;
use crate::storage::files;

/// Tables of an experiment, each with the file of a run that it is made from.
pub(crate) const TABLES: [(&str, &str); 3] = [
    ("runs.parquet", "run.parquet"),
    ("history.parquet", "history.parquet"),
    ("latents.parquet", "latents.parquet"),
];

/// Number of runs in a group. With more, one new run makes more rows to write again; with fewer, the
/// descriptions of the groups take longer to read than their rows.
const GROUP: usize = 128;

impl Folder {
    /// Brings the tables of the experiment up to date with the runs that ended: the runs of `grid` in
    /// its order, then those of earlier experiment files. Returns the table of runs and what was wrong
    /// with files that are left out.
    ///
    /// # Errors
    /// If the tables cannot be written.
    pub fn compact(&self, grid: &[RunSpec]) -> Result<(Table, Vec<String>), Failure> {
        let Current { runs, warnings, unwritten } = self.current(grid)?;
        unwritten.map_or(Ok((runs, warnings)), |unwritten| Err(unwritten.why))
    }

    /// Brings the tables up to date for a command that only reads. Tables that cannot be written are made
    /// in memory, and a warning says so.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub(crate) fn current_to_read(&self, grid: &[RunSpec]) -> Result<Current, Failure> {
        let mut current = self.current(grid)?;
        let why = current.unwritten.as_ref().map(|unwritten| &unwritten.why);
        let told = why.map(|why| format!("{why}; the tables are made for this command alone"));
        current.warnings.extend(told);
        Ok(current)
    }

    /// Brings the tables up to date; those that cannot be written are made in memory.
    fn current(&self, grid: &[RunSpec]) -> Result<Current, Failure> {
        let current: HashSet<&RunId> = grid.iter().map(|run| &run.id).collect();
        let earlier = self.run_ids()?.into_iter().filter(|id| !current.contains(id));
        let wanted: Vec<(RunId, bool)> = grid
            .iter()
            .map(|run| (run.id.clone(), true))
            .chain(earlier.map(|id| (id, false)))
            .collect();
        let kept = IndexedTables::read(self)?;
        if let Some(kept) = kept
            && let Ok(Some(made)) = self.compact_from(&wanted, Some(&kept))
        {
            return Ok(made);
        }
        let unfit = || Failure::Io("the tables of runs do not say which runs they are of".into());
        self.compact_from(&wanted, None)?.ok_or_else(unfit)
    }

    /// Makes the tables of these runs, from the old tables as far as they fit and from the runs; each run
    /// comes with whether the experiment still contains it. `None` if the rows do not fit the runs: then
    /// the tables or their index are wrong.
    fn compact_from(
        &self,
        wanted: &[(RunId, bool)],
        kept: Option<&IndexedTables>,
    ) -> Result<Option<Current>, Failure> {
        let maker = GroupMaker::new(self, kept)?;
        let made: Vec<MadeGroup<'_>> =
            wanted.par_chunks(GROUP).map(|runs| maker.group(runs)).collect::<Result<_, _>>()?;
        let shapes = maker.shapes.into_inner().unwrap_or_else(|held| held.into_inner()).list;
        let (mut groups, mut parts, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
        for made in made {
            warnings.extend(made.warnings);
            if !made.runs.is_empty() {
                groups.push(made.runs);
                parts.push(made.parts);
            }
        }
        if let Some(kept) = kept.filter(|kept| kept.index.groups == groups) {
            let runs = Table::from_parquet(kept.file(0)).map_err(|error| cannot_make(0, &error))?;
            let is_fit = fits(&runs, &groups);
            return Ok(is_fit.then_some(Current { runs, warnings, unwritten: None }));
        }
        let columns = index::columns(&shapes, &groups);
        let mut digests: [String; 3] = Default::default();
        let mut runs = Table::default();
        let mut unwritten: Option<Unwritten> = None;
        for table in 0..3 {
            let own = |group: &Vec<IndexEntry>| {
                let parts = group.iter().filter_map(|entry| entry.parts[table].as_ref());
                Shape::union(parts.map(|part| &shapes[part.shape]))
            };
            let wanted = &columns[table];
            let fitted: Result<Vec<_>, tables::TableError> = groups
                .par_iter()
                .zip(parts.par_iter_mut())
                .filter_map(|(group, parts)| Some((group, parts[table].take()?)))
                .map(|(group, part)| part.fitted(|| own(group), wanted))
                .collect();
            let file = fitted.and_then(|groups| join(&index::empty(wanted), &groups));
            let file = file.map_err(|error| cannot_make(table, &error))?;
            if table == 0 {
                runs = Table::from_parquet(&file).map_err(|error| cannot_make(0, &error))?;
                if !fits(&runs, &groups) {
                    return Ok(None);
                }
            }
            digests[table] = files::digest(&file);
            let path = self.path().join(TABLES[table].0);
            if unwritten.is_none()
                && let Err(why) = files::place(self.storage(), &path, &[&file])
            {
                unwritten = Some(Unwritten::because(why));
            }
            if let Some(unwritten) = &mut unwritten {
                unwritten.files[table] = Some(file);
            }
        }
        if unwritten.is_none() {
            let index = self.write_index(&Index::new(digests, shapes, groups));
            let synced = index.and_then(|()| {
                let synced = self.storage().sync_folder(self.path());
                synced.map_err(|error| Failure::io("write", self.path(), &error))
            });
            unwritten = synced.err().map(Unwritten::because);
        }
        Ok(Some(Current { runs, warnings, unwritten }))
    }

    /// Reads the tables of a run that ended, in the order of [`TABLES`]; a run that is not done lacks
    /// some.
    fn tables_of(&self, manifest: &Manifest) -> Result<[Option<Table>; 3], Unread> {
        let mut tables = [None, None, None];
        for (table, (_, part)) in tables.iter_mut().zip(TABLES) {
            if manifest.digests.contains_key(part) {
                let bytes = self.read_run_file(manifest, part)?;
                let read = Table::from_parquet(&bytes)
                    .map_err(|error| Unread::Damaged(format!("its `{part}`: {error}")))?;
                *table = Some(read);
            }
        }
        Ok(tables)
    }
}

/// Tables of an experiment, up to date.
pub(crate) struct Current {
    /// The table of runs.
    pub runs: Table,
    /// Messages about files that are left out.
    pub warnings: Vec<String>,
    /// Tables that are not in the folder; `None` if all are.
    pub unwritten: Option<Unwritten>,
}

/// Tables that could not be written.
pub(crate) struct Unwritten {
    /// Failure that says what was tried, and why it failed.
    pub why: Failure,
    /// Bytes of each table that the folder lacks.
    pub files: [Option<Vec<u8>>; 3],
}

impl Unwritten {
    fn because(why: Failure) -> Self {
        Self { why, files: Default::default() }
    }
}

/// Returns whether a table of runs has the rows of these groups, in their order.
fn fits(runs: &Table, groups: &[Vec<IndexEntry>]) -> bool {
    let with_row = groups.iter().flatten().filter_map(|entry| {
        entry.parts[0].as_ref().map(|part| (part.rows == 1).then_some(entry.id.0.as_str()))
    });
    match runs.get("run_id") {
        Some(Values::Text(ids)) => with_row.eq(ids.iter().map(|id| id.as_deref())),
        _ => with_row.count() == 0 && runs.rows() == 0,
    }
}

fn cannot_make(table: usize, error: &tables::TableError) -> Failure {
    Failure::Io(format!("cannot make `{}`: {error}", TABLES[table].0))
}

/// Shapes of all tables that were read, each once.
#[derive(Default)]
struct Shapes {
    list: Vec<Shape>,
    places: HashMap<Shape, usize>,
}

impl Shapes {
    fn place(&mut self, shape: Shape) -> usize {
        *self.places.entry(shape).or_insert_with_key(|shape| {
            self.list.push(shape.clone());
            self.list.len() - 1
        })
    }
}

/// Rows of a group of runs in one table.
struct GroupRows<'a> {
    group: TableRows<'a>,
    /// Columns that it is written with.
    columns: Shape,
}

impl<'a> GroupRows<'a> {
    /// Returns the rows with the columns `wanted`; `own` returns the columns that its runs have.
    fn fitted(
        self,
        own: impl FnOnce() -> Shape,
        wanted: &Shape,
    ) -> Result<TableRows<'a>, tables::TableError> {
        if self.columns.is_like(wanted) {
            return Ok(self.group);
        }
        let rows = self.group.read(&index::empty(&self.columns))?;
        TableRows::of(&rows.shaped(&own()).shaped(wanted))
    }
}

/// A group of runs, with its rows in each table.
#[derive(Default)]
struct MadeGroup<'a> {
    runs: Vec<IndexEntry>,
    parts: [Option<GroupRows<'a>>; 3],
    warnings: Vec<String>,
}

/// Makes groups, several at a time.
struct GroupMaker<'a> {
    folder: &'a Folder,
    kept: Option<(&'a IndexedTables, [Vec<Option<TableRows<'a>>>; 3])>,
    shapes: Mutex<Shapes>,
}

impl<'a> GroupMaker<'a> {
    fn new(folder: &'a Folder, kept: Option<&'a IndexedTables>) -> Result<Self, Failure> {
        let groups = kept.map(|kept| -> Result<_, Failure> {
            Ok((kept, [kept.groups(0)?, kept.groups(1)?, kept.groups(2)?]))
        });
        let kept = groups.transpose()?;
        let mut shapes = Shapes::default();
        for shape in kept.iter().flat_map(|(kept, _)| &kept.index.shapes) {
            shapes.place(shape.clone());
        }
        Ok(Self { folder, kept, shapes: Mutex::new(shapes) })
    }

    /// Makes the group of these runs.
    fn group(&self, runs: &[(RunId, bool)]) -> Result<MadeGroup<'a>, Failure> {
        let mut made = MadeGroup::default();
        let mut old = OldRows { maker: self, read: HashMap::new() };
        let mut found = Vec::new();
        for (id, current) in runs {
            match self.found(id, *current) {
                Ok(run) => found.extend(run),
                Err(Unread::Damaged(what)) => {
                    made.warnings.push(format!("run {id} is left out: {what}"));
                }
                Err(Unread::Failed(failure)) => return Err(failure),
            }
        }
        made.runs = found.iter().map(|run| run.entry.clone()).collect();
        if let Some((kept, groups)) = &self.kept
            && let Some(at) = made.runs.first().and_then(|run| Some(kept.entry(&run.id)?.1))
            && kept.index.groups[at] == made.runs
        {
            let tables = groups.iter().zip(&kept.columns);
            for (part, (groups, columns)) in made.parts.iter_mut().zip(tables) {
                let rows = |group| GroupRows { group, columns: columns.clone() };
                *part = groups[at].clone().map(rows);
            }
            return Ok(made);
        }
        for table in 0..3 {
            let mut parts = Vec::new();
            for run in &mut found {
                let part = match &mut run.tables {
                    Some(tables) => tables[table].take(),
                    None => old.rows(&run.entry, table)?,
                };
                parts.extend(part.map(|rows| match table {
                    0 => flagged(rows, run.entry.current),
                    _ => rows,
                }));
            }
            if !parts.is_empty() {
                let rows = Table::union(parts);
                let own = Shape::of(&rows);
                let known = self.kept.as_ref().map(|(kept, _)| &kept.columns[table]);
                let columns = known.filter(|known| own.is_kept_in(known)).unwrap_or(&own).clone();
                let group = TableRows::of(&rows.shaped(&columns));
                let group = group.map_err(|error| cannot_make(table, &error))?;
                made.parts[table] = Some(GroupRows { group, columns });
            }
        }
        Ok(made)
    }

    /// Reads a run that ended; `None` if it has not.
    fn found(&self, id: &RunId, current: bool) -> Result<Option<EndedRun>, Unread> {
        let folder = self.folder.run(id);
        let read = || self.folder.manifest_in(&folder);
        let bytes = match read()? {
            Some(bytes) => bytes.map_err(Unread::Damaged)?,
            // The folder gets its name together with its files, so a missing manifest is damage.
            None if self.folder.exists(&folder)? && read()?.is_none() => {
                return Err(Unread::Damaged("its manifest is missing".to_owned()));
            }
            None => return Ok(None),
        };
        let digest = files::digest(&bytes);
        if let Some((kept, _)) = &self.kept
            && let Some((entry, _)) = kept.entry(id).filter(|(entry, _)| entry.manifest == digest)
            && entry.has_all(&bytes)
        {
            // The shapes of the index come first in the list, so they have the same places.
            return Ok(Some(EndedRun {
                entry: IndexEntry { current, ..entry.clone() },
                tables: None,
            }));
        }
        let manifest = Manifest::from_bytes(&bytes)
            .map_err(|what| Unread::Damaged(format!("its manifest is damaged: {what}")))?;
        if manifest.run_id != *id {
            return Err(Unread::Damaged(format!("its manifest is of run {}", manifest.run_id)));
        }
        let mut tables = self.folder.tables_of(&manifest)?;
        tables[0] = tables[0].take().map(|run| flagged(with_l0_rule(run), current));
        let parts = tables.each_ref().map(|table| {
            let table = table.as_ref().filter(|table| table.rows() > 0)?;
            let mut shapes = self.shapes.lock().unwrap_or_else(|held| held.into_inner());
            Some(IndexedRows { rows: table.rows(), shape: shapes.place(Shape::of(table)) })
        });
        let entry = IndexEntry { id: id.clone(), manifest: digest, current, parts };
        let tables = tables.map(|table| table.filter(|table| table.rows() > 0));
        Ok(Some(EndedRun { entry, tables: Some(tables) }))
    }
}

/// Adds a column to a run's row: whether the experiment still contains the run.
fn flagged(mut run: Table, current: bool) -> Table {
    run.set("in_experiment", Values::Flag(vec![Some(current); run.rows()]));
    run
}

/// Adds the column `l0_rule` to a run's row that was written before there was that column.
fn with_l0_rule(mut run: Table) -> Table {
    let (None, Some(Values::Number(thresholds))) = (run.get("l0_rule"), run.get("l0_threshold"))
    else {
        return run;
    };
    let rules = thresholds.iter().map(|threshold| l0_rule_of(*threshold, None));
    let rules = rules.map(|rule| rule.map(|rule| rule.name().to_owned())).collect();
    run.set("l0_rule", Values::Text(rules));
    run
}

/// A run that ended, with its tables if they had to be read.
struct EndedRun {
    entry: IndexEntry,
    tables: Option<[Option<Table>; 3]>,
}

/// Rows of the old tables, each group read once.
struct OldRows<'m, 'a> {
    maker: &'m GroupMaker<'a>,
    read: HashMap<(usize, usize), Table>,
}

impl OldRows<'_, '_> {
    /// Returns the rows of a run in an old table.
    fn rows(&mut self, entry: &IndexEntry, table: usize) -> Result<Option<Table>, Failure> {
        let Some((kept, groups)) = &self.maker.kept else { return Ok(None) };
        let (Some(part), Some((_, at))) = (&entry.parts[table], kept.entry(&entry.id)) else {
            return Ok(None);
        };
        let Some(group) = &groups[table][at] else { return Ok(None) };
        let whole = match self.read.entry((table, at)) {
            std::collections::hash_map::Entry::Occupied(whole) => whole.into_mut(),
            std::collections::hash_map::Entry::Vacant(place) => {
                let whole = group.read(&index::empty(&kept.columns[table]));
                place.insert(whole.map_err(|error| cannot_make(table, &error))?)
            }
        };
        let before = kept.index.groups[at].iter().take_while(|before| before.id != entry.id);
        let rows = |entry: &IndexEntry| entry.parts[table].as_ref().map_or(0, |part| part.rows);
        let start: usize = before.map(rows).sum();
        let end = start + part.rows;
        if end > whole.rows() {
            let what = "it is not what tables.json says; remove both".to_owned();
            return Err(Failure::Io(format!("`{}`: {what}", TABLES[table].0)));
        }
        let shape = &kept.index.shapes[part.shape];
        Ok(Some(whole.slice(start, end).shaped(shape)))
    }
}
