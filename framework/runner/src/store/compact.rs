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
        let mut manifests: Vec<Manifest> = Vec::new();
        for id in &ids {
            match self.state(id, true)? {
                RunState::Ended(manifest) => manifests.push(*manifest),
                RunState::Outstanding => {}
                RunState::Damaged(what) => warnings.push(format!("run {id} is left out: {what}")),
            }
        }
        let mut runs = Table::default();
        for (name, part) in TABLES {
            let mut parts = Vec::with_capacity(manifests.len());
            for manifest in manifests.iter().filter(|manifest| manifest.digests.contains_key(part))
            {
                let bytes = self.read_run_file(manifest, part)?;
                let mut table = Table::from_parquet(&bytes).map_err(|error| {
                    Failure::Io(format!("run {}: `{part}`: {error}", manifest.run_id))
                })?;
                if part == "run.parquet" {
                    let flag = Some(current.contains(&manifest.run_id));
                    table.set("in_experiment", Values::Flag(vec![flag; table.rows()]));
                }
                parts.push(table);
            }
            let table = Table::union(parts);
            let bytes = table
                .to_parquet()
                .map_err(|error| Failure::Io(format!("cannot make `{name}`: {error}")))?;
            files::write(&self.path().join(name), &bytes)?;
            if name == "runs.parquet" {
                runs = table;
            }
        }
        Ok((runs, warnings))
    }
}
