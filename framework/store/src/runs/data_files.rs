//! Data files of runs: what they held when a run was made from them, and whether they have changed since.

#![allow(clippy::disallowed_methods, reason = "data lies where the experiment file says")]

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use framework::files;
use framework::spec::RunSpec;
use serde::{Deserialize, Serialize};

/// A data file as it was. Its digest is taken again only if its size or its time differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// Size in bytes.
    size: u64,
    /// Time of its last change, in nanoseconds since 1970; 0 if unknown.
    modified: u64,
    /// BLAKE3 of its content, in hex.
    digest: String,
}

impl DataFile {
    /// Returns the digest.
    pub fn into_digest(self) -> String {
        self.digest
    }
}

/// Name of the file of the model that a run starts from. Files of datasets are named by their settings, which
/// have no dot.
const INIT: &str = "init.from";

/// Returns the setting that names a file, as users write it.
pub fn setting(key: &str) -> String {
    if key == INIT { key.to_owned() } else { format!("dataset.{key}") }
}

/// Files that a run is made from, its data's by the settings that name them.
pub type DataFiles = BTreeMap<String, DataFile>;

/// Describes the files that a run is made from as they are now: its data, and the model it starts from.
///
/// # Errors
/// If one cannot be read.
pub fn of(run: &RunSpec) -> io::Result<DataFiles> {
    let describe = |(key, path): (&str, PathBuf)| {
        let (size, modified) = look(&path)?;
        let digest = digest(&path, size, modified)?;
        Ok((key.to_owned(), DataFile { size, modified, digest }))
    };
    paths(run).into_iter().map(describe).collect()
}

/// Returns one digest of all that these files hold, to mark checkpoints and other files that were made
/// from them.
pub fn identity(files: &DataFiles) -> String {
    let mut hasher = blake3::Hasher::new();
    for (key, file) in files {
        hasher.update(key.as_bytes()).update(b"=").update(file.digest.as_bytes()).update(b";");
    }
    hasher.finalize().to_hex().to_string()
}

fn paths(run: &RunSpec) -> Vec<(&'static str, PathBuf)> {
    let built = &run.dataset.value.dataset;
    let mut paths = built.plugin.files(&built.settings);
    paths.extend(run.init.value.from.as_ref().map(|from| (INIT, from.file())));
    paths
}

fn look(path: &Path) -> io::Result<(u64, u64)> {
    let data = fs::metadata(path)?;
    let time = data.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let modified = time.and_then(|time| u64::try_from(time.as_nanos()).ok()).unwrap_or(0);
    Ok((data.len(), modified))
}

/// Returns the digest of a file of this size and time, taken once per process.
fn digest(path: &Path, size: u64, modified: u64) -> io::Result<String> {
    type Digests = HashMap<(PathBuf, u64, u64), String>;
    static KNOWN: LazyLock<Mutex<Digests>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (path.to_owned(), size, modified);
    if let Some(digest) = known.get(&key) {
        return Ok(digest.clone());
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(files::open(path)?)?;
    let digest = hasher.finalize().to_hex().to_string();
    known.insert(key, digest.clone());
    Ok(digest)
}

/// Finds runs whose data, or the model they start from, has changed. Looks at each once.
#[derive(Default)]
pub struct Changes {
    /// Files of each dataset and stored model, by the addresses of their sections.
    seen: HashMap<[usize; 2], Vec<FileStamp>>,
}

/// A file as it looks now.
struct FileStamp {
    key: &'static str,
    path: PathBuf,
    size: u64,
    modified: u64,
}

impl FileStamp {
    /// Returns whether its content is the same as then.
    fn holds(&self, then: &DataFile) -> bool {
        (then.size, then.modified) == (self.size, self.modified)
            || digest(&self.path, self.size, self.modified).is_ok_and(|now| now == then.digest)
    }
}

impl Changes {
    /// Returns the setting of a file whose content has changed since the run was made; `None` if there is
    /// none, or if the file cannot be looked at.
    pub fn since(&mut self, run: &RunSpec, then: &DataFiles) -> Option<&'static str> {
        let sections = [Arc::as_ptr(&run.dataset).addr(), Arc::as_ptr(&run.init).addr()];
        let now = self.seen.entry(sections).or_insert_with(|| {
            let seen = |(key, path): (&'static str, PathBuf)| {
                let (size, modified) = look(&path).ok()?;
                Some(FileStamp { key, path, size, modified })
            };
            paths(run).into_iter().filter_map(seen).collect()
        });
        let changed =
            now.iter().find(|seen| then.get(seen.key).is_some_and(|then| !seen.holds(then)));
        changed.map(|seen| seen.key)
    }
}
