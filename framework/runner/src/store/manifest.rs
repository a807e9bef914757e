//! Manifests: what a run's folder holds, written last.

use std::collections::BTreeMap;
use std::fmt;

use framework::spec::{Experiment, RunId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::files;
use super::folder::Folder;
use crate::exit::Failure;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It went to its end and was measured.
    Done,
    /// It could not go on.
    Failed,
    /// Its loss was no finite number any more.
    Diverged,
    /// It took longer than it may.
    Timeout,
}

impl Status {
    /// As the results say it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Diverged => "diverged",
            Self::Timeout => "timeout",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a run's folder holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the folder's layout.
    pub format: u32,
    /// The run.
    pub run_id: RunId,
    /// How it ended.
    pub status: Status,
    /// Why, where it is not done.
    pub reason: Option<String>,
    /// Its settings with all defaults, and its seed.
    pub settings: Json,
    /// The evaluations that were done, each with its settings.
    pub evaluations: Map<String, Json>,
    /// The program and the machine.
    pub provenance: Json,
    /// The digest of each file beside the manifest: BLAKE3 in hex.
    pub digests: BTreeMap<String, String>,
}

/// What is known of a run from its folder.
#[derive(Clone, Debug)]
pub enum RunState {
    /// It has not ended.
    Outstanding,
    /// It ended, and its files are as the manifest says.
    Ended(Box<Manifest>),
    /// It ended, and a file is not what the manifest says: it counts as not run.
    Damaged(String),
}

impl Folder {
    /// What is known of a run. Files are checked against their digests if `verify` is set.
    ///
    /// # Errors
    /// If a file is there and cannot be read.
    pub fn state(&self, id: &RunId, verify: bool) -> Result<RunState, Failure> {
        let path = self.run(id).join("manifest.json");
        let Some(bytes) = files::read(&path)? else { return Ok(RunState::Outstanding) };
        let manifest: Manifest = match serde_json::from_slice(&bytes) {
            Ok(manifest) => manifest,
            Err(error) => {
                return Ok(RunState::Damaged(format!("its manifest is damaged: {error}")));
            }
        };
        if manifest.run_id != *id {
            return Ok(RunState::Damaged(format!("its manifest is of run {}", manifest.run_id)));
        }
        if verify {
            for (name, digest) in &manifest.digests {
                match files::read(&self.run(id).join(name))? {
                    Some(bytes) if files::digest(&bytes) == *digest => {}
                    Some(_) => return Ok(RunState::Damaged(format!("its `{name}` is damaged"))),
                    None => return Ok(RunState::Damaged(format!("its `{name}` is missing"))),
                }
            }
        }
        Ok(RunState::Ended(Box::new(manifest)))
    }

    /// Writes the files of a run, and the manifest with their digests last.
    ///
    /// # Errors
    /// If one cannot be written; then the run has not ended.
    pub fn write_run(
        &self,
        mut manifest: Manifest,
        contents: &[(&str, Vec<u8>)],
    ) -> Result<(), Failure> {
        let folder = self.run(&manifest.run_id);
        files::make_folder(&folder)?;
        files::write_all(&folder, contents)?;
        for (name, bytes) in contents {
            manifest.digests.insert((*name).to_owned(), files::digest(bytes));
        }
        let text = serde_json::to_vec_pretty(&manifest)
            .map_err(|error| Failure::Io(format!("cannot write down the manifest: {error}")))?;
        files::write(&folder.join("manifest.json"), &text)
    }

    /// A file of a run, which must be as its manifest says.
    ///
    /// # Errors
    /// If it is missing or damaged.
    pub fn read_run_file(&self, manifest: &Manifest, name: &str) -> Result<Vec<u8>, Failure> {
        let path = self.run(&manifest.run_id).join(name);
        let damaged = |what: &str| Failure::Io(format!("`{}` is {what}", path.display()));
        let bytes = files::read(&path)?.ok_or_else(|| damaged("missing"))?;
        match manifest.digests.get(name) {
            Some(digest) if *digest == files::digest(&bytes) => Ok(bytes),
            _ => Err(damaged("damaged: its digest is not the manifest's")),
        }
    }
}

impl Manifest {
    /// The evaluations of `experiment`, each with its settings.
    pub fn evaluations_of(experiment: &Experiment) -> Map<String, Json> {
        let settings = |built: &framework::plugin::Built<dyn framework::plugin::Evaluation>| {
            (built.kind.to_owned(), json!(built.resolved().all))
        };
        experiment.evaluate.evaluations.iter().map(settings).collect()
    }

    /// The evaluations that `experiment` asks for and that were not done with these settings.
    pub fn missing_evaluations<'a>(&self, experiment: &'a Experiment) -> Vec<&'a str> {
        let missing = |built: &&framework::plugin::Built<dyn framework::plugin::Evaluation>| {
            self.evaluations.get(built.kind) != Some(&json!(built.resolved().all))
        };
        let evaluations = experiment.evaluate.evaluations.iter();
        evaluations.filter(missing).map(|built| built.kind).collect()
    }
}
