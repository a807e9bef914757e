//! The tables of a whole experiment, made from those of its runs. They are derived: deleting them
//! loses nothing.

use std::collections::HashSet;

use framework::spec::{RunId, RunSpec};
use tables::{Table, Values};

use super::files;
use super::folder::Folder;
use super::manifest::{Manifest, RunState};
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
        for id in &ids {
            let read = match self.state(id, false)? {
                RunState::Outstanding => continue,
                RunState::Ended(manifest) => self.tables_of(&manifest),
                RunState::Damaged(what) => Err(Failure::Io(what)),
            };
            match read {
                Ok(mut tables) => {
                    if let [Some(run), ..] = &mut tables {
                        let flag = Some(current.contains(id));
                        run.set("in_experiment", Values::Flag(vec![flag; run.rows()]));
                    }
                    parts.iter_mut().zip(tables).for_each(|(parts, table)| parts.extend(table));
                }
                Err(failure) => warnings.push(format!("run {id} is left out: {failure}")),
            }
        }
        let mut runs = Table::default();
        for ((name, _), parts) in TABLES.iter().zip(parts) {
            let table = Table::union(parts);
            let bytes = table
                .to_parquet()
                .map_err(|error| Failure::Io(format!("cannot make `{name}`: {error}")))?;
            files::write(&self.path().join(name), &bytes)?;
            if *name == "runs.parquet" {
                runs = table;
            }
        }
        Ok((runs, warnings))
    }
    /// The tables of one run, in the order of [`TABLES`]; a run that is not done lacks some.
    fn tables_of(&self, manifest: &Manifest) -> Result<[Option<Table>; 3], Failure> {
        let mut tables = [None, None, None];
        for (table, (_, part)) in tables.iter_mut().zip(TABLES) {
            if manifest.digests.contains_key(part) {
                let bytes = self.read_run_file(manifest, part)?;
                let read = Table::from_parquet(&bytes)
                    .map_err(|error| Failure::Io(format!("its `{part}`: {error}")))?;
                *table = Some(read);
            }
        }
        Ok(tables)
    }
}
