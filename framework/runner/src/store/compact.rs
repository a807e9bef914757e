//! The tables of a whole experiment, made from those of its runs. They are derived: deleting them
//! loses nothing.

use std::collections::{HashMap, HashSet};

use framework::spec::{RunId, RunSpec};
use rayon::prelude::*;
use tables::{Table, Values};

use super::files;
use super::folder::Folder;
use super::manifest::{Manifest, RunState, Unread};
use crate::exit::Failure;

/// The tables of an experiment and the files of the runs that they are made from.
const TABLES: [(&str, &str); 3] = [
    ("runs.parquet", "run.parquet"),
    ("history.parquet", "history.parquet"),
    ("latents.parquet", "latents.parquet"),
];

impl Folder {
    /// Makes the tables of the experiment anew from those of all runs that ended: the runs of
    /// `grid` in its order, then those of earlier experiment files. Returns the table of runs and
    /// what was wrong with files that are left out.
    ///
    /// # Errors
    /// If the tables cannot be written.
    pub fn compact(&self, grid: &[RunSpec]) -> Result<(Table, Vec<String>), Failure> {
        let current: HashSet<&RunId> = grid.iter().map(|run| &run.id).collect();
        let earlier = self.run_ids()?.into_iter().filter(|id| !current.contains(id));
        let ids: Vec<RunId> = grid.iter().map(|run| run.id.clone()).chain(earlier).collect();
        let mut warnings = Vec::new();
        let mut parts: [Vec<Table>; 3] = Default::default();
        let read: Vec<_> =
            ids.par_iter().map(|id| self.tables_in(&self.state(id, false)?)).collect();
        for (id, read) in ids.iter().zip(read) {
            match read {
                Ok(mut tables) => {
                    if let [Some(run), ..] = &mut tables {
                        let flag = Some(current.contains(id));
                        run.set("in_experiment", Values::Flag(vec![flag; run.rows()]));
                    }
                    parts.iter_mut().zip(tables).for_each(|(parts, table)| parts.extend(table));
                }
                Err(Unread::Damaged(what)) => {
                    warnings.push(format!("run {id} is left out: {what}"));
                }
                Err(Unread::Failed(failure)) => return Err(failure),
            }
        }
        let all = parts.map(Table::union);
        let files: Result<Vec<_>, Failure> = TABLES
            .par_iter()
            .zip(&all)
            .map(|((name, _), table)| match table.to_parquet() {
                Ok(bytes) => Ok((*name, bytes)),
                Err(error) => Err(Failure::Io(format!("cannot make `{name}`: {error}"))),
            })
            .collect();
        let storage = self.storage();
        for (name, bytes) in files? {
            files::place(storage, &self.path().join(name), &[&bytes])?;
        }
        storage
            .sync_folder(self.path())
            .map_err(|error| Failure::io("write", self.path(), &error))?;
        let [runs, ..] = all;
        Ok((runs, warnings))
    }

    /// How many seconds the runs took that are done, by their ids: as the table of runs says, which has
    /// those that had ended when a command last made it. Without one, nothing is known.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub fn seconds(&self) -> Result<HashMap<String, f64>, Failure> {
        let bytes = files::read(self.storage(), &self.path().join("runs.parquet"))?;
        let table = bytes.and_then(|bytes| Table::from_parquet(&bytes).ok()).unwrap_or_default();
        let columns = ["run_id", "status", "seconds"].map(|name| table.get(name));
        let [Some(Values::Text(ids)), Some(Values::Text(status)), Some(Values::Number(seconds))] =
            columns
        else {
            return Ok(HashMap::new());
        };
        let done = ids.iter().zip(status).zip(seconds).filter_map(|((id, status), seconds)| {
            (status.as_deref() == Some("done")).then_some((id.clone()?, (*seconds)?))
        });
        Ok(done.collect())
    }

    /// The tables of a run, in the order of [`TABLES`]; one that has not ended has none.
    fn tables_in(&self, state: &RunState) -> Result<[Option<Table>; 3], Unread> {
        match state {
            RunState::Outstanding => Ok(Default::default()),
            RunState::Ended(manifest) => self.tables_of(manifest),
            RunState::Damaged(what) => Err(Unread::Damaged(what.clone())),
        }
    }

    /// The tables of a run that ended; one that is not done lacks some.
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
