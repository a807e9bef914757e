//! Layout of an experiment folder, and the experiment that it is for.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use framework::spec::{Experiment, Included, Override, RunId};
use serde::{Deserialize, Serialize};

use crate::exit::Failure;
use crate::moved::{Moved, known_as};
use crate::not_a_folder::not_a_folder;
use crate::storage::disk::Disk;
use crate::storage::files;
use crate::storage::files::Content;
use crate::storage::{FileKind, Storage};

/// Version of the folder's layout; a folder of a newer version is refused.
const FORMAT: u32 = 1;

/// The folder of one experiment: `results/NAME`.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    storage: Arc<dyn Storage>,
}

/// How the experiment was started: what its file alone does not say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invocation {
    /// Version of the folder's layout.
    pub format: u32,
    /// Path of the experiment file, as the user gave it.
    pub file: String,
    /// Folder that relative paths in the file start from.
    pub base: PathBuf,
    /// Path of the experiment folder at that time: it shows whether the project was moved since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// Overrides from the command line.
    pub overrides: Vec<Override>,
    /// Files that the experiment includes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub included: Vec<IncludedCopy>,
}

/// An included file. The folder keeps a copy of it, named by its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncludedCopy {
    path: PathBuf,
    name: String,
    digest: String,
}

impl IncludedCopy {
    fn new(included: &Included) -> Self {
        let Included { path, name, text } = included;
        Self { path: path.clone(), name: name.clone(), digest: files::digest(text.as_bytes()) }
    }

    /// Path of the copy within the experiment folder.
    fn copy(&self) -> String {
        format!("{INCLUDED}/{}.toml", self.digest)
    }
}

/// Result of reading the invocation.
enum InvocationRead {
    Missing,
    Whole(Invocation),
    Damaged(String),
}

const EXPERIMENT: &str = "experiment.toml";
const INVOCATION: &str = "invocation.json";
const INCLUDED: &str = "included";

impl Folder {
    /// The folder at `path`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self::on(Arc::new(Disk::at(path)))
    }

    /// The folder that is the root of a storage.
    pub fn on(storage: Arc<dyn Storage>) -> Self {
        Self { path: storage.root().to_owned(), storage }
    }

    /// Storage that all its files go through.
    pub(super) fn storage(&self) -> &dyn Storage {
        &*self.storage
    }

    /// Returns whether anything is at `path`.
    pub(super) fn exists(&self, path: &Path) -> Result<bool, Failure> {
        self.kind(path).map(|kind| kind.is_some())
    }

    /// Returns the kind of the thing at `path`; `None` if there is nothing.
    pub(super) fn kind(&self, path: &Path) -> Result<Option<FileKind>, Failure> {
        self.storage.kind(path).map_err(|error| Failure::io("read", path, &error))
    }

    /// Returns whether it is the folder of an experiment, as far as can be seen.
    pub(super) fn has_experiment(&self) -> bool {
        matches!(self.kind(&self.path.join(EXPERIMENT)), Ok(Some(FileKind::File)))
    }

    /// Makes a folder within this one, and those between; does not make this one.
    ///
    /// # Errors
    /// If it cannot be made, for example because this one is gone.
    pub fn make_folder(&self, path: &Path) -> Result<(), Failure> {
        let unmade = |error| Failure::io("make the folder", path, &error);
        self.storage.make_folder(path).map_err(|error| self.gone().unwrap_or_else(|| unmade(error)))
    }

    /// Returns the failure to report if this folder is gone.
    pub fn gone(&self) -> Option<Failure> {
        let is_gone = matches!(self.storage.kind(&self.path), Ok(None));
        is_gone.then(|| Failure::Io(format!("the folder `{}` is gone", self.path.display())))
    }

    /// Path of this folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Folder of a run that ended: `runs/ID`.
    pub fn run(&self, id: &RunId) -> PathBuf {
        self.path.join("runs").join(&id.0)
    }

    /// Prepares the folder for `experiment`. Keeps an earlier experiment file of other text as
    /// `experiment.N.toml`. Returns what was wrong with files that were replaced.
    ///
    /// # Errors
    /// If the folder cannot be written to, or has a newer format.
    pub fn open_for(
        &self,
        experiment: &Experiment,
        file: &Path,
        overrides: &[Override],
    ) -> Result<Vec<String>, Failure> {
        let mut warnings = Vec::new();
        match self.invocation()? {
            InvocationRead::Damaged(what) => {
                let path = self.path.join(INVOCATION);
                let aside = |n| self.path.join(format!("damaged.{n}.{INVOCATION}"));
                files::rename_to_free(self.storage(), &path, aside)?;
                warnings.push(format!("{what}; it is kept beside and written anew"));
            }
            read => self.check_format(&read)?,
        }
        self.storage
            .make_root()
            .map_err(|error| Failure::io("make the folder", &self.path, &error))?;
        self.make_place_of_runs()?;
        files::remove_unfinished_long_ago(self.storage(), &self.path);
        let included = self.keep_included(&experiment.included)?;
        self.keep_experiment(experiment.text.as_bytes())?;
        let path = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let base = path.parent().unwrap_or(Path::new("")).to_owned();
        let file = file.display().to_string();
        let overrides = overrides.to_vec();
        let folder = Some(known_as(&self.path));
        let invocation = Invocation { format: FORMAT, file, base, folder, overrides, included };
        let text = serde_json::to_vec_pretty(&invocation)
            .map_err(|error| Failure::Io(format!("cannot write down the invocation: {error}")))?;
        self.write_changed(INVOCATION, &text)?;
        Ok(warnings)
    }

    /// Makes the folder `runs`, in which runs are published, if it is missing. Something else of that
    /// name is an error: it would keep every run from being published.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn make_place_of_runs(&self) -> Result<(), Failure> {
        self.make_folder(&self.path.join("runs"))
    }

    /// Keeps copies of the files that the experiment includes; earlier copies stay.
    fn keep_included(&self, included: &[Included]) -> Result<Vec<IncludedCopy>, Failure> {
        if !included.is_empty() {
            self.make_folder(&self.path.join(INCLUDED))?;
        }
        let keep = |file: &Included| {
            let kept = IncludedCopy::new(file);
            self.write_changed(&kept.copy(), file.text.as_bytes())?;
            Ok(kept)
        };
        included.iter().map(keep).collect()
    }

    /// Reads the copy of an included file.
    fn included(&self, kept: &IncludedCopy) -> Result<Included, Failure> {
        let path = self.path.join(kept.copy());
        let text = files::read(self.storage(), &path)?.unwrap_or_default();
        if files::digest(&text) != kept.digest {
            return Err(Failure::Io(format!(
                "`{}`, the copy of an included file, is missing or damaged; `run` with the experiment file mends it",
                path.display()
            )));
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        Ok(Included { path: kept.path.clone(), name: kept.name.clone(), text })
    }

    /// Writes the experiment file; keeps an earlier one of other text beside it.
    fn keep_experiment(&self, text: &[u8]) -> Result<(), Failure> {
        let earlier = files::read(self.storage(), &self.path.join(EXPERIMENT))?;
        if let Some(earlier) = earlier.filter(|earlier| earlier != text) {
            let mut number = 1;
            // Another command may be keeping the same text.
            loop {
                let name = format!("experiment.{number}.toml");
                match files::read(self.storage(), &self.path.join(&name))? {
                    None => break self.write_changed(&name, &earlier)?,
                    Some(kept) if kept == earlier => break,
                    Some(_) => number += 1,
                }
            }
        }
        self.write_changed(EXPERIMENT, text)
    }

    fn write_changed(&self, name: &str, text: &[u8]) -> Result<(), Failure> {
        let path = self.path.join(name);
        if files::read(self.storage(), &path)?.as_deref() == Some(text) {
            return Ok(());
        }
        files::write(self.storage(), &path, text)
    }

    fn check_format(&self, read: &InvocationRead) -> Result<(), Failure> {
        match read {
            InvocationRead::Whole(invocation) if invocation.format > FORMAT => {
                Err(Failure::Busy(format!(
                    "`{}` was written by a newer version of this program (format {}); this one knows {FORMAT}",
                    self.path.display(),
                    invocation.format
                )))
            }
            _ => Ok(()),
        }
    }

    fn invocation(&self) -> Result<InvocationRead, Failure> {
        let path = self.path.join(INVOCATION);
        let damaged = |what: &dyn fmt::Display| {
            Ok(InvocationRead::Damaged(format!("`{}` is damaged: {what}", path.display())))
        };
        match files::look(self.storage(), &path)? {
            Content::Missing => Ok(InvocationRead::Missing),
            Content::Strange(what) => damaged(&what),
            Content::Whole(bytes) => match serde_json::from_slice(&bytes) {
                Ok(invocation) => Ok(InvocationRead::Whole(invocation)),
                Err(error) => damaged(&error),
            },
        }
    }

    /// Text of the experiment file as it was last run; `None` if it is missing or not UTF-8.
    ///
    /// # Errors
    /// If it exists and cannot be read.
    pub fn experiment_text(&self) -> Result<Option<String>, Failure> {
        let text = files::read(self.storage(), &self.path.join(EXPERIMENT))?;
        Ok(text.and_then(|text| String::from_utf8(text).ok()))
    }

    /// Writes a file that a user asks for, such as a page about the results; `path` lies in the folder.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_file(&self, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
        files::write(self.storage(), path, bytes)
    }

    /// Reads the experiment that the folder is for.
    ///
    /// # Errors
    /// If this is not an experiment folder, or its experiment file is wrong.
    pub fn experiment(&self) -> Result<Experiment, Failure> {
        let read = self.invocation()?;
        self.check_format(&read)?;
        let invocation = match read {
            InvocationRead::Whole(invocation) => Some(invocation),
            InvocationRead::Missing => None,
            InvocationRead::Damaged(what) => {
                return Err(Failure::Io(format!(
                    "{what}; `run` with the experiment file mends it"
                )));
            }
        };
        let path = self.path.join(EXPERIMENT);
        let text = match files::look(self.storage(), &path)? {
            Content::Missing => None,
            Content::Whole(text) => Some(text),
            Content::Strange(what) => {
                let message = format!("cannot read `{}`: {what}", path.display());
                return Err(Failure::Io(message));
            }
        };
        let (Some(invocation), Some(text)) = (invocation, text) else {
            return Err(not_a_folder(&self.path));
        };
        let text = String::from_utf8(text)
            .map_err(|_| Failure::Io(format!("`{}` is damaged: it is no text", path.display())))?;
        let Invocation { file, mut base, folder, mut overrides, included, .. } = invocation;
        let mut included: Vec<Included> =
            included.iter().map(|kept| self.included(kept)).collect::<Result<_, _>>()?;
        let moved = folder.and_then(|from| Moved::of(&from, &self.path, &base, &file));
        if let Some(moved) = moved {
            let again: Vec<_> = included.iter().filter_map(|kept| moved.including(kept)).collect();
            included.extend(again);
            overrides = overrides.into_iter().map(|set| moved.overriding(set)).collect();
            base = moved.base(base);
        }
        Ok(Experiment::parse_kept(file, base, text, &included, &overrides)?)
    }

    /// Ids of all runs that have a folder in `runs`, in order.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn run_ids(&self) -> Result<Vec<RunId>, Failure> {
        let names = files::names(self.storage(), &self.path.join("runs"))?;
        let mut ids: Vec<RunId> = names.into_iter().filter(|name| is_id(name)).map(RunId).collect();
        ids.sort();
        Ok(ids)
    }
}

fn is_id(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
