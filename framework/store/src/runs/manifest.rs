//! Manifests: a run's manifest lists the files of its folder, and is written last.

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
use super::exhibits::{ExhibitFile, listed};
use super::versions::Versions;
use crate::exit::Failure;
use crate::folder::Folder;
use crate::storage::files::{self, Content};
use crate::storage::names::MANIFEST;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It trained to its end and was measured.
    Done,
    /// It stopped with an error.
    Failed,
    /// Its loss was no longer a finite number.
    Diverged,
    /// It took longer than allowed.
    Timeout,
    /// It needed more memory than there is.
    Oom,
    /// It was trained and measured, but no strength of its penalty led to its target.
    Unreached,
    /// Its process was killed, or crashed.
    Killed,
    /// It did worse than other runs: `[run] halving`.
    Stopped,
}

impl Status {
    /// Name of the status in the results.
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

    /// Returns whether a run that ended so can resume from its last checkpoint.
    pub const fn can_resume(self) -> bool {
        matches!(self, Self::Killed | Self::Stopped)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Content of a manifest file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the folder's layout.
    pub format: u32,
    /// Id of the run.
    pub run_id: RunId,
    /// How it ended.
    pub status: Status,
    /// Reason for this status, if there is one.
    pub reason: Option<String>,
    /// Its settings with all defaults, and its seed.
    pub settings: Json,
    /// Evaluations that were done, each with its settings.
    pub evaluations: Map<String, Json>,
    /// Distance between measurements while it was trained: `evaluate.every`, or 0 for an epoch of steps.
    /// Missing in runs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<usize>,
    /// Versions of these evaluations.
    #[serde(default)]
    pub versions: Versions,
    /// The program and the machine.
    pub provenance: Json,
    /// Number of the attempt that made these results, counted from 1.
    #[serde(default)]
    pub attempt: usize,
    /// Files that its data was in, and the model that it started from.
    #[serde(default)]
    pub data: DataFiles,
    /// Parameters that were taken from the model that it started from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken: Vec<String>,
    /// Digest of each file beside the manifest: BLAKE3 in hex.
    #[serde(deserialize_with = "beside")]
    pub digests: BTreeMap<String, String>,
    /// Tables and pictures of its evaluations, in a folder of their own.
    #[serde(default, deserialize_with = "listed", skip_serializing_if = "Vec::is_empty")]
    pub exhibits: Vec<ExhibitFile>,
}

impl Manifest {
    /// Returns every file that belongs to the run, by its path from the run's folder, with its digest.
    pub fn files(&self) -> impl Iterator<Item = (String, &str)> {
        let beside = self.digests.iter().map(|(name, digest)| (name.clone(), digest.as_str()));
        beside.chain(self.exhibits.iter().map(|one| (one.path(), one.digest.as_str())))
    }

    /// Sets the digest of a file that belongs to the run.
    pub(crate) fn set_digest(&mut self, path: &str, digest: String) {
        match self.exhibits.iter_mut().find(|one| one.path() == path) {
            Some(exhibit) => exhibit.digest = digest,
            None => _ = self.digests.insert(path.to_owned(), digest),
        }
    }

    /// Returns the run as it was trained: after a search, with the strength that was found. A run whose weight was
    /// steered has the one it started from.
    ///
    /// # Errors
    /// If the manifest does not say which strength that is.
    pub fn as_trained(&self, run: &RunSpec) -> Result<RunSpec, String> {
        let Some(goal) = run.searched() else { return Ok(run.clone()) };
        let strength = self.settings["penalty"][goal.key.key()].as_f64();
        let strength = strength.ok_or("its manifest does not say its strength")?;
        run.with_strength(strength).map_err(|problems| in_one_line(&problems))
    }
}

/// Part of a manifest: how a run ended and what was measured.
#[derive(Clone, Debug, Deserialize)]
pub struct Brief {
    /// How it ended.
    pub status: Status,
    /// Reason for this status, if there is one.
    pub reason: Option<String>,
    /// Evaluations that were done, each with its settings.
    pub evaluations: Map<String, Json>,
    /// Versions of these evaluations.
    #[serde(default)]
    pub versions: Versions,
    /// Files that its data was in.
    #[serde(default)]
    pub data: DataFiles,
}

/// Reads the digests, and refuses names of files elsewhere: the program reads the files that a manifest
/// names, and somebody else may have written the manifest.
fn beside<'de, D: Deserializer<'de>>(reader: D) -> Result<BTreeMap<String, String>, D::Error> {
    let digests = BTreeMap::<String, String>::deserialize(reader)?;
    match digests.keys().find(|name| Path::new(name).file_name() != Some(OsStr::new(name))) {
        Some(name) => Err(D::Error::custom(format!("`{name}` is no file beside it"))),
        None => Ok(digests),
    }
}

/// State of a run, as its folder says.
#[derive(Clone, Debug)]
pub enum RunState {
    /// It has not ended.
    Outstanding,
    /// It ended, and its files are as the manifest says.
    Ended(Box<Manifest>),
    /// It ended, but a file is not as the manifest says: it counts as not run.
    Damaged(String),
}

impl Folder {
    /// Reads the state of a run. Checks its files against their digests if `verify` is set.
    ///
    /// # Errors
    /// If a file exists and cannot be read.
    pub fn state(&self, id: &RunId, verify: bool) -> Result<RunState, Failure> {
        self.state_in(&self.run(id), id, verify)
    }

    /// Reads the state of a run from a folder.
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
            for (name, digest) in manifest.files() {
                let what = match files::look(self.storage(), &folder.join(&name))? {
                    Content::Whole(bytes) if files::digest(&bytes) == digest => continue,
                    Content::Whole(_) => "damaged".to_owned(),
                    Content::Missing => "missing".to_owned(),
                    Content::Strange(what) => format!("not read: {what}"),
                };
                return Ok(RunState::Damaged(format!("its `{name}` is {what}")));
            }
        }
        Ok(RunState::Ended(Box::new(manifest)))
    }

    /// Reads the bytes of the manifest in the folder of a run. `None` if it is missing; a message if
    /// something else stands in its place or in the place of the folder.
    ///
    /// # Errors
    /// If it exists and cannot be read.
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

    /// Reads how a run ended; `None` if it has not, or if its manifest is damaged.
    ///
    /// # Errors
    /// If the manifest exists and cannot be read.
    pub fn brief(&self, id: &RunId) -> Result<Option<Brief>, Failure> {
        let bytes = files::read(self.storage(), &self.run(id).join(MANIFEST))?;
        Ok(bytes.and_then(|bytes| Manifest::brief(&bytes).ok()))
    }

    /// Reads a file of a run, which must be as its manifest says.
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
        match manifest.files().find(|(file, _)| file == name) {
            Some((_, digest)) if *digest == files::digest(&bytes) => Ok(bytes),
            _ => Err(damaged("damaged: its digest is not the manifest's")),
        }
    }
}

/// Reason why a file of a run was not read.
#[derive(Debug)]
pub enum Unread {
    /// It is missing or damaged.
    Damaged(String),
    /// The disk failed to read it.
    Failed(Failure),
}

impl From<Failure> for Unread {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Start of the last entry of a manifest file: the digest of all bytes before it.
const OWN_DIGEST: &str = ",\n  \"digest\": \"";

/// Text after the digest.
const END: &str = "\"\n}";

impl Manifest {
    /// Returns the bytes of its file, which end with their own digest.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Failure> {
        sealed(self)
    }

    /// Reads a manifest from the bytes of its file.
    ///
    /// # Errors
    /// If they are damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        unsealed(bytes)
    }

    /// Reads how a run ended from the bytes of its manifest.
    ///
    /// # Errors
    /// If they are damaged.
    pub fn brief(bytes: &[u8]) -> Result<Brief, String> {
        unsealed(bytes)
    }
}

/// Returns a value as the bytes of a file: JSON that ends with its own digest.
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

/// Reads the value of a sealed file, if its digest is right.
///
/// # Errors
/// If the file is damaged.
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
            taken: Vec::new(),
            digests: BTreeMap::from([("run.parquet".to_owned(), "00".to_owned())]),
            exhibits: Vec::new(),
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
