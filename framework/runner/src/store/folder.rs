//! The layout of an experiment folder, and the experiment it is for.

use std::fs;
use std::path::{Path, PathBuf};

use framework::spec::{Experiment, Override, RunId};
use serde::{Deserialize, Serialize};

use super::files;
use crate::exit::Failure;

/// The version of the folder's layout; a folder of a newer one is refused.
const FORMAT: u32 = 1;

/// The folder of one experiment: `results/NAME`.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

/// How the experiment of a folder was called: what the file alone does not say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invocation {
    /// The version of the folder's layout.
    pub format: u32,
    /// The experiment file as the user named it.
    pub file: String,
    /// The folder that relative paths in it start from.
    pub base: PathBuf,
    /// Overrides of the command line.
    pub overrides: Vec<Override>,
}

impl Folder {
    /// The folder at `path`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of a run.
    pub fn run(&self, id: &RunId) -> PathBuf {
        self.path.join("runs").join(&id.0)
    }

    /// Makes the folder the one of `experiment`. An earlier experiment file with another text is
    /// kept as `experiment.N.toml`.
    ///
    /// # Errors
    /// If the folder cannot be written to, or is of a newer format.
    pub fn open_for(
        &self,
        experiment: &Experiment,
        file: &Path,
        overrides: &[Override],
    ) -> Result<(), Failure> {
        self.check_format()?;
        files::make_folder(&self.path.join("runs"))?;
        let path = self.path.join("experiment.toml");
        match files::read(&path)? {
            Some(earlier) if earlier == experiment.text.as_bytes() => {}
            earlier => {
                if earlier.is_some() {
                    let kept = (1..)
                        .map(|n| self.path.join(format!("experiment.{n}.toml")))
                        .find(|kept| !kept.exists())
                        .unwrap_or_else(|| unreachable!("there are more numbers than files"));
                    fs::rename(&path, &kept)
                        .map_err(|error| Failure::io("rename", &path, &error))?;
                }
                files::write(&path, experiment.text.as_bytes())?;
            }
        }
        let base = file.parent().unwrap_or(Path::new(""));
        let base = std::path::absolute(base).unwrap_or_else(|_| base.to_owned());
        let file = file.display().to_string();
        let invocation = Invocation { format: FORMAT, file, base, overrides: overrides.to_vec() };
        let text = serde_json::to_vec_pretty(&invocation)
            .map_err(|error| Failure::Io(format!("cannot write down the invocation: {error}")))?;
        let path = self.path.join("invocation.json");
        if files::read(&path)?.as_deref() == Some(&text) {
            return Ok(());
        }
        files::write(&path, &text)
    }

    fn check_format(&self) -> Result<(), Failure> {
        match self.invocation()? {
            Some(invocation) if invocation.format > FORMAT => Err(Failure::Busy(format!(
                "`{}` was written by a newer version of this program (format {}); this one knows {FORMAT}",
                self.path.display(),
                invocation.format
            ))),
            _ => Ok(()),
        }
    }

    fn invocation(&self) -> Result<Option<Invocation>, Failure> {
        let path = self.path.join("invocation.json");
        let Some(bytes) = files::read(&path)? else { return Ok(None) };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| Failure::Io(format!("`{}` is damaged: {error}", path.display())))
    }

    /// The experiment that the folder is for, read anew.
    ///
    /// # Errors
    /// If the folder is none of an experiment, or its experiment file is wrong.
    pub fn experiment(&self) -> Result<Experiment, Failure> {
        self.check_format()?;
        let path = self.path.join("experiment.toml");
        let (Some(invocation), Some(text)) = (self.invocation()?, files::read(&path)?) else {
            let message = format!(
                "`{}` is no experiment folder: it has no experiment.toml",
                self.path.display()
            );
            return Err(Failure::Io(message));
        };
        let text = String::from_utf8(text)
            .map_err(|_| Failure::Io(format!("`{}` is damaged: it is no text", path.display())))?;
        Ok(Experiment::parse(invocation.file, invocation.base, text, &invocation.overrides)?)
    }

    /// The names of all runs that have a folder, in order.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn run_ids(&self) -> Result<Vec<RunId>, Failure> {
        let path = self.path.join("runs");
        let fail = |error| Failure::io("read", &path, &error);
        let mut ids = Vec::new();
        match fs::read_dir(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(fail(error)),
            Ok(entries) => {
                for entry in entries {
                    let name = entry.map_err(fail)?.file_name();
                    ids.extend(
                        name.to_str().filter(|name| is_id(name)).map(|name| RunId(name.to_owned())),
                    );
                }
            }
        }
        ids.sort();
        Ok(ids)
    }

    /// Puts the results of a run aside, under `replaced/`; nothing is deleted.
    ///
    /// # Errors
    /// If they cannot be moved.
    pub fn put_aside(&self, id: &RunId) -> Result<(), Failure> {
        let from = self.run(id);
        if !from.exists() {
            return Ok(());
        }
        let replaced = self.path.join("replaced");
        files::make_folder(&replaced)?;
        let to = (1..)
            .map(|n| replaced.join(format!("{id}.{n}")))
            .find(|to| !to.exists())
            .unwrap_or_else(|| unreachable!("there are more numbers than files"));
        fs::rename(&from, &to).map_err(|error| Failure::io("rename", &from, &error))
    }
}

fn is_id(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
