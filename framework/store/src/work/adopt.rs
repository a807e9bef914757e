//! Takes over the results of runs that used the same data under another spelling of its path. Their ids
//! differ, as a path counts as it is written; their results do not.

use std::collections::{HashMap, HashSet};

use framework::spec::{RunId, RunSpec};
use serde_json::Value as Json;
use tables::{Table, Values};

use super::attempt::Published;
use super::claim::Leases;
use super::taking::{Holder, Taken};
use crate::exit::Failure;
use crate::folder::Folder;
use crate::process::Process;
use crate::runs::data_files::{self, DataFiles, identity};
use crate::runs::manifest::{Manifest, RunState, Status};
use crate::runs::model_file;
use crate::runs::run_tables::set_setting;
use crate::storage::files;

/// A run that no worker has begun, and a done run that differs only in the spelling of its data's path.
pub struct Adoptable<'a> {
    /// The run without results.
    pub run: &'a RunSpec,
    /// The done run.
    pub done: RunId,
    data: DataFiles,
}

impl Folder {
    /// Finds the runs that can take over the results of a done run. Looks only at done runs that are not
    /// in `runs`: those of an earlier experiment file.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn adoptable<'a>(&self, runs: &'a [RunSpec]) -> Result<Vec<Adoptable<'a>>, Failure> {
        let places = runs.iter().map(places).max_by_key(|places| places.len()).unwrap_or_default();
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let own: HashSet<&RunId> = runs.iter().map(|run| &run.id).collect();
        let mut done = HashMap::new();
        for id in self.run_ids()?.into_iter().filter(|id| !own.contains(id)) {
            if let RunState::Ended(manifest) = self.state(&id, false)?
                && manifest.status == Status::Done
            {
                done.insert(key(manifest.settings, places, &manifest.data), id);
            }
        }
        let mut found = Vec::new();
        for run in runs {
            // A run that searches has other settings when it is done: then they hold the strength it
            // found.
            if done.is_empty() || run.searched().is_some() || places != self::places(run) {
                continue;
            }
            let Ok(data) = data_files::of(run) else { continue };
            let Some(done) = done.get(&key(run.settings(), places, &data)) else { continue };
            if !self.exists(&self.run(&run.id))? && self.holder(&run.id)?.is_none() {
                found.push(Adoptable { run, done: done.clone(), data });
            }
        }
        Ok(found)
    }

    /// Copies the results of the done run to the other run; `false` if another worker has begun that run,
    /// or if the results are damaged.
    ///
    /// # Errors
    /// If the folder cannot be read or written to.
    pub fn adopt(&self, adoptable: &Adoptable<'_>, holder: Holder) -> Result<bool, Failure> {
        let Adoptable { run, done, data } = adoptable;
        let RunState::Ended(manifest) = self.state(done, true)? else { return Ok(false) };
        let reason = format!("adopted from run {done}, which has the same data by another path");
        let mut contents = Vec::new();
        for (name, _) in manifest.files() {
            let bytes = files::read(self.storage(), &self.run(done).join(&name))?;
            let bytes = bytes.and_then(|bytes| rewritten_for(run, &name, bytes, &reason));
            let Some(bytes) = bytes else { return Ok(false) };
            contents.push((name, bytes));
        }
        let mut leases = Leases::new(Process::this());
        let Taken::Mine(attempt) = self.take(&run.id, holder, &mut leases)? else {
            return Ok(false);
        };
        let manifest = Manifest {
            run_id: run.id.clone(),
            reason: Some(reason),
            settings: run.settings(),
            attempt: attempt.number(),
            data: data.clone(),
            digests: Default::default(),
            ..(*manifest).clone()
        };
        Ok(attempt.publish(manifest, &contents)? == Published::Yes)
    }
}

/// Names of the settings that only say where the data of a run is.
fn places(run: &RunSpec) -> &'static [&'static str] {
    run.dataset.value.dataset.plugin.places()
}

/// Key that is the same for two runs that differ only in the spelling of a data path.
fn key(mut settings: Json, places: &[&str], data: &DataFiles) -> (String, String) {
    if let Some(dataset) = settings.get_mut("dataset").and_then(Json::as_object_mut) {
        dataset.retain(|key, _| !places.contains(&key.as_str()));
    }
    settings.sort_all_objects();
    (settings.to_string(), identity(data))
}

/// Rewrites a file of another run for `run`; `None` if its content does not fit its name.
fn rewritten_for(run: &RunSpec, name: &str, bytes: Vec<u8>, reason: &str) -> Option<Vec<u8>> {
    if name == "model.safetensors" {
        return model_file::with_settings(run, &bytes).ok();
    }
    if name.contains('/') {
        // An exhibit says nothing of the run that it is of.
        return Some(bytes);
    }
    let Some(("parquet", table)) = name.rsplit_once('.').map(|(table, end)| (end, table)) else {
        return Some(bytes);
    };
    let old = Table::from_parquet(&bytes).ok()?;
    let places: Vec<String> = places(run).iter().map(|key| format!("dataset_{key}")).collect();
    let mut new = Table::default();
    for column in old.columns().iter().filter(|column| !places.contains(&column.name)) {
        new.set(column.name.as_str(), column.values.clone());
    }
    new.set("run_id", Values::Text(vec![Some(run.id.0.clone()); old.rows()]));
    if table == "run" {
        new.set("reason", Values::Text(vec![Some(reason.to_owned()); old.rows()]));
        for key in self::places(run) {
            let value = run.dataset.settings.get(*key).unwrap_or(&Json::Null);
            set_setting(&mut new, &format!("dataset_{key}"), value);
        }
    }
    new.to_parquet().ok()
}
