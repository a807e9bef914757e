//! Records of runs at the rungs where halving compares them: `rungs/SHARE/ID.json`, where SHARE is the
//! share of its steps that a run has done then. A record follows from the run alone: every worker writes
//! the same one.

use std::collections::HashSet;
use std::path::PathBuf;

use framework::plugin::Metric;
use framework::spec::{RunId, RunSpec};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::data_files::DataFiles;
use super::manifest::{sealed, unsealed};
use crate::exit::Failure;
use crate::folder::Folder;
use crate::storage::files;

/// Metrics of a run at a rung.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Version of the folder's layout.
    pub format: u32,
    /// Id of the run.
    pub run_id: RunId,
    /// Step of the rung.
    pub step: usize,
    /// Metrics by name; an undefined metric is null.
    pub metrics: Map<String, Json>,
    /// True if the run passed the rung without being measured there.
    pub missed: bool,
    /// Files that its data was in.
    pub data: DataFiles,
}

impl Record {
    /// Record of a run that was measured after `step`.
    pub fn new(run: &RunSpec, step: usize, metrics: &[Metric], data: DataFiles) -> Self {
        let metrics = metrics.iter().map(|metric| (metric.name.clone(), json!(metric.value)));
        Self {
            format: 1,
            run_id: run.id.clone(),
            step,
            metrics: metrics.collect(),
            missed: false,
            data,
        }
    }

    /// Record of a run that passed `step` without being measured there.
    pub fn missed(run: &RunSpec, step: usize, data: DataFiles) -> Self {
        Self { missed: true, ..Self::new(run, step, &[], data) }
    }

    /// Metrics of the record.
    pub fn metrics(&self) -> Vec<Metric> {
        let metric =
            |(name, value): (&String, &Json)| Metric { name: name.clone(), value: value.as_f64() };
        self.metrics.iter().map(metric).collect()
    }
}

impl Folder {
    fn rung(&self, share: f64) -> PathBuf {
        self.path().join("rungs").join(share.to_string())
    }

    fn record_path(&self, share: f64, id: &RunId) -> PathBuf {
        self.rung(share).join(format!("{id}.json"))
    }

    /// Writes the record of a run at the rung after this share of its steps.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep_record(&self, share: f64, record: &Record) -> Result<(), Failure> {
        self.make_folder(&self.rung(share))?;
        files::write(self.storage(), &self.record_path(share, &record.run_id), &sealed(record)?)
    }

    /// Reads the record of a run at a rung; `None` if it is missing or damaged.
    ///
    /// # Errors
    /// If the file exists and cannot be read.
    pub fn record(&self, share: f64, id: &RunId) -> Result<Option<Record>, Failure> {
        let bytes = files::read(self.storage(), &self.record_path(share, id))?;
        let record = bytes.and_then(|bytes| unsealed::<Record>(&bytes).ok());
        Ok(record.filter(|record| record.run_id == *id))
    }

    /// Runs that have a record at a rung.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn recorded(&self, share: f64) -> Result<HashSet<RunId>, Failure> {
        let names = files::names(self.storage(), &self.rung(share))?;
        let id = |name: String| name.strip_suffix(".json").map(|id| RunId(id.to_owned()));
        Ok(names.into_iter().filter_map(id).collect())
    }

    /// Moves the records of a run to `replaced/`: it will be measured again.
    pub(crate) fn put_records_aside(&self, id: &RunId) -> Result<(), Failure> {
        let replaced = self.path().join("replaced");
        for share in files::names(self.storage(), &self.path().join("rungs"))? {
            let path = self.path().join("rungs").join(&share).join(format!("{id}.json"));
            if self.exists(&path)? {
                self.make_folder(&replaced)?;
                let name = |n| replaced.join(format!("{id}.rung-{share}.{n}.json"));
                files::rename_to_free(self.storage(), &path, name)?;
            }
        }
        Ok(())
    }
}
