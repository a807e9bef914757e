//! Manifests: what a run's folder holds, written last.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

use framework::diagnostics::in_one_line;
use framework::spec::{RunId, RunSpec};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value as Json};

use super::data_files::DataFiles;
use super::versions::Versions;
use crate::exit::Failure;
use crate::folder::Folder;
use crate::storage::files::{self, Content};
use crate::storage::names::MANIFEST;

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
    /// It needed more memory than there is.
    Oom,
    /// It was trained and measured, but no strength of its penalty has led to its target.
    Unreached,
    /// Its process was killed, or crashed.
    Killed,
    /// It did badly in comparison with others: `[run] halving`.
    Stopped,
}

impl Status {
    /// As the results say it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Diverged => "diverged",
            Self::Timeout => "timeout",
            Self::Oom => "oom",
            Self::Unreached => "unreached",
            Self::Killed => "killed",
            Self::Stopped => "stopped",
        }
    }

    /// Whether a run that ended so can be gone on with, from its last checkpoint.
    pub const fn can_go_on(self) -> bool {
        matches!(self, Self::Killed | Self::Stopped)
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
    /// How far apart it was measured while it was trained: `evaluate.every`, or 0 for an epoch of steps.
    /// Runs of earlier versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<usize>,
    /// The versions of these evaluations.
    #[serde(default)]
    pub versions: Versions,
    /// The program and the machine.
    pub provenance: Json,
    /// Which attempt at the run these are the results of, counted from 1.
    #[serde(default)]
    pub attempt: usize,
    /// The files that its data was in.
    #[serde(default)]
    pub data: DataFiles,
    /// The digest of each file beside the manifest: BLAKE3 in hex.
    #[serde(deserialize_with = "beside")]
    pub digests: BTreeMap<String, String>,
}

impl Manifest {
    /// The run as it was trained: with the strength that was found, where it was searched for.
    ///
    /// # Errors
    /// If the manifest does not say which strength that is.
    pub fn as_trained(&self, run: &RunSpec) -> Result<RunSpec, String> {
        let Some(goal) = run.goal() else { return Ok(run.clone()) };
        let strength = self.settings["penalty"][goal.key.key()].as_f64();
        let strength = strength.ok_or("its manifest does not say its strength")?;
        run.with_strength(strength).map_err(|problems| in_one_line(&problems))
    }
}

/// How a run ended and what was measured, without the rest of its manifest.
#[derive(Clone, Debug, Deserialize)]
pub struct Brief {
    /// How it ended.
    pub status: Status,
    /// Why, where it is not done.
    pub reason: Option<String>,
    /// The evaluations that were done, each with its settings.
    pub evaluations: Map<String, Json>,
    /// The versions of these evaluations.
    #[serde(default)]
    pub versions: Versions,
    /// The files that its data was in.
    #[serde(default)]
    pub data: DataFiles,
}

/// Whoever wrote the manifest, it speaks of files in its own folder: what it names is read.
fn beside<'de, D: Deserializer<'de>>(reader: D) -> Result<BTreeMap<String, String>, D::Error> {
    let digests = BTreeMap::<String, String>::deserialize(reader)?;
    match digests.keys().find(|name| Path::new(name).file_name() != Some(OsStr::new(name))) {
        Some(name) => Err(D::Error::custom(format!("`{name}` is no file beside it"))),
        None => Ok(digests),
    }
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
        self.state_in(&self.run(id), id, verify)
    }

    /// What a folder says of a run.
    pub(crate) fn state_in(
        &self,
        folder: &Path,
        id: &RunId,
        verify: bool,
    ) -> Result<RunState, Failure> {
        let manifest = match self.manifest_in(folder)? {
            None => return Ok(RunState::Outstanding),
            Some(Err(what)) => return Ok(RunState::Damaged(what)),
            Some(Ok(bytes)) => match Manifest::from_bytes(&bytes) {
                Ok(manifest) => manifest,
                Err(what) => {
                    return Ok(RunState::Damaged(format!("its manifest is damaged: {what}")));
                }
            },
        };
        if manifest.run_id != *id {
            return Ok(RunState::Damaged(format!("its manifest is of run {}", manifest.run_id)));
        }
        if verify {
            for (name, digest) in &manifest.digests {
                let what = match files::look(self.storage(), &folder.join(name))? {
                    Content::Whole(bytes) if files::digest(&bytes) == *digest => continue,
                    Content::Whole(_) => "damaged".to_owned(),
                    Content::Missing => "missing".to_owned(),
                    Content::Strange(what) => format!("not read: {what}"),
                };
                return Ok(RunState::Damaged(format!("its `{name}` is {what}")));
            }
        }
        Ok(RunState::Ended(Box::new(manifest)))
    }

    /// The bytes of the manifest in the folder of a run; `None` if there is none, and what is wrong if
    /// there is something else in its place or the place of the folder.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub(crate) fn manifest_in(
        &self,
        folder: &Path,
    ) -> Result<Option<Result<Vec<u8>, String>>, Failure> {
        Ok(match files::look(self.storage(), &folder.join(MANIFEST))? {
            Content::Missing => None,
            Content::Whole(bytes) => Some(Ok(bytes)),
            Content::Strange(what) => Some(Err(format!("its manifest is not read: {what}"))),
        })
    }

    /// How a run ended; `None` if it has not, or its manifest is damaged.
    ///
    /// # Errors
    /// If the manifest is there and cannot be read.
    pub fn brief(&self, id: &RunId) -> Result<Option<Brief>, Failure> {
        let bytes = files::read(self.storage(), &self.run(id).join(MANIFEST))?;
        Ok(bytes.and_then(|bytes| Manifest::brief(&bytes).ok()))
    }

    /// A file of a run, which must be as its manifest says.
    ///
    /// # Errors
    /// If it cannot be read, or is missing or damaged.
    pub fn read_run_file(&self, manifest: &Manifest, name: &str) -> Result<Vec<u8>, Unread> {
        let path = self.run(&manifest.run_id).join(name);
        let damaged = |what: &str| Unread::Damaged(format!("`{}` is {what}", path.display()));
        let bytes = match files::look(self.storage(), &path)? {
            Content::Whole(bytes) => bytes,
            Content::Missing => return Err(damaged("missing")),
            Content::Strange(what) => return Err(damaged(&format!("not read: {what}"))),
        };
        match manifest.digests.get(name) {
            Some(digest) if *digest == files::digest(&bytes) => Ok(bytes),
            _ => Err(damaged("damaged: its digest is not the manifest's")),
        }
    }
}

/// Why a file of a run was not read.
#[derive(Debug)]
pub enum Unread {
    /// It is not what was written.
    Damaged(String),
    /// The disk said no.
    Failed(Failure),
}

impl From<Failure> for Unread {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// What the last entry of a manifest file starts with: the digest of all bytes before it.
const OWN_DIGEST: &str = ",\n  \"digest\": \"";

/// What follows the digest.
const END: &str = "\"\n}";

impl Manifest {
    /// The bytes of its file, which end with a digest of their own.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Failure> {
        sealed(self)
    }

    /// A manifest from the bytes of its file.
    ///
    /// # Errors
    /// If they are not what was written.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        unsealed(bytes)
    }

    /// How a run ended, from the bytes of its manifest.
    ///
    /// # Errors
    /// If they are not what was written.
    pub fn brief(bytes: &[u8]) -> Result<Brief, String> {
        unsealed(bytes)
    }
}

/// A value as the bytes of a file, JSON that ends with a digest of its own.
///
/// # Errors
/// If it cannot be written as JSON.
pub(crate) fn sealed<T: Serialize>(value: &T) -> Result<Vec<u8>, Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::Io(format!("cannot write down what is known: {error}")))?;
    let text = text.strip_suffix("\n}").unwrap_or(&text);
    let digest = files::digest(text.as_bytes());
    Ok(format!("{text}{OWN_DIGEST}{digest}{END}").into_bytes())
}

/// What a sealed file says, if its own digest holds.
///
/// # Errors
/// If it is not what was written.
pub(crate) fn unsealed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let (before, own) = text.rsplit_once(OWN_DIGEST).ok_or("its end is missing")?;
    if own.strip_suffix(END) != Some(files::digest(before.as_bytes()).as_str()) {
        return Err("its digest is another".to_owned());
    }
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_manifest_of_which_any_byte_is_another_is_damaged() {
        let manifest = Manifest {
            format: 1,
            run_id: RunId("0123456789abcdef".into()),
            status: Status::Done,
            reason: Some("}\n}".into()),
            settings: json!({ "x": 0.1 }),
            evaluations: Map::new(),
            every: None,
            versions: Versions::new(),
            provenance: json!({}),
            attempt: 2,
            data: DataFiles::new(),
            digests: BTreeMap::from([("run.parquet".to_owned(), "00".to_owned())]),
        };
        let bytes = manifest.to_bytes().unwrap();
        let read = Manifest::from_bytes(&bytes).unwrap();
        assert_eq!((read.attempt, read.digests), (2, manifest.digests.clone()));
        assert!(serde_json::from_slice::<Json>(&bytes).unwrap()["digest"].is_string());
        for at in 0..bytes.len() {
            assert!(Manifest::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                assert!(Manifest::from_bytes(&bytes).is_err(), "bit {bit} of byte {at}");
            }
        }
    }
}
