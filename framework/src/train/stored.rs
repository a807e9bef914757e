//! Stored models that runs start from: safetensors files of this or another program.

#![allow(clippy::disallowed_methods, reason = "the model lies where the experiment file says")]

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use crate::files;
use crate::model::{Declaration, Parameters, Side};
use crate::spec::{InitFrom, InitPart};

/// Most bytes that the header of a file may have.
const MAX_HEADER: u64 = 16 << 20;

/// Numbers read at once where they are only looked at.
const AT_ONCE: usize = 1 << 18;

/// A stored model, open.
pub struct StoredModel {
    path: PathBuf,
    file: File,
    /// Where the first tensor begins.
    start: u64,
    metadata: Metadata,
}

impl StoredModel {
    /// Opens the model that a run starts from, and reads what it holds.
    ///
    /// # Errors
    /// If there is none, or the file is not a safetensors file, or is reached through a link below the folder of
    /// an experiment.
    pub fn open(from: &InitFrom) -> Result<Self, String> {
        let path = from.file();
        if let Some(link) = link_in_a_run(&path) {
            let link = link.display();
            return Err(format!(
                "`{link}` is a link; below the folder of an experiment, links are not followed"
            ));
        }
        Self::open_file(&path).map_err(|what| format!("`{}`: {what}", path.display()))
    }

    fn open_file(path: &Path) -> Result<Self, String> {
        let mut file = files::open(path).map_err(|error| error.to_string())?;
        let not_one = |what: &str| format!("it is no safetensors file: {what}");
        let size = file.metadata().map_err(|error| error.to_string())?.len();
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(|_| not_one("it is shorter than 8 bytes"))?;
        let header = u64::from_le_bytes(length);
        if header > MAX_HEADER || header > size - 8 {
            let (header, most) = (ByteSize(header).display().iec(), ByteSize(MAX_HEADER));
            let most = most.display().iec();
            return Err(not_one(&format!(
                "its header has {header} by its own account, more than the file or than {most}"
            )));
        }
        let mut text = vec![0; header as usize];
        file.read_exact(&mut text).map_err(|error| error.to_string())?;
        let metadata: Metadata = serde_json::from_slice(&text)
            .map_err(|error| not_one(&format!("its header cannot be read: {error}")))?;
        let start = 8 + header;
        let length = metadata.data_len() as u64;
        if start.checked_add(length) != Some(size) {
            return Err(not_one("its tensors are not as long as its header says"));
        }
        Ok(Self { path: path.to_owned(), file, start, metadata })
    }

    /// Returns which of these parameters are taken, by their place: those that the model holds.
    ///
    /// # Errors
    /// If it holds one in another shape or type, or holds none of them.
    pub fn taken(&self, declared: &[Declaration], part: InitPart) -> Result<Vec<usize>, String> {
        let wanted = |one: &Declaration| {
            part == InitPart::All || one.side.is_some_and(|side| side.is_of(Side::Encoder))
        };
        let mut taken = Vec::new();
        for (at, declaration) in declared.iter().enumerate().filter(|(_, one)| wanted(one)) {
            let Some(info) = self.metadata.info(&declaration.name) else { continue };
            self.check(declaration, info)?;
            taken.push(at);
        }
        if !taken.is_empty() {
            return Ok(taken);
        }
        let names: Vec<&str> =
            declared.iter().filter(|one| wanted(one)).map(|one| &*one.name).collect();
        if names.is_empty() {
            return Err("this architecture does not say which parameters are its encoder's".into());
        }
        let (path, mut own) = (self.path.display(), self.metadata.offset_keys());
        own.truncate(12);
        let (names, own) = (names.join("`, `"), own.join("`, `"));
        Err(format!("`{path}` holds none of `{names}`, which the run has; it holds `{own}`"))
    }

    fn check(&self, declaration: &Declaration, info: &TensorInfo) -> Result<(), String> {
        let (name, path) = (&declaration.name, self.path.display());
        if info.shape != declaration.shape {
            let (own, stored) = (&declaration.shape, &info.shape);
            return Err(format!("`{name}` is {own:?} in this run and {stored:?} in `{path}`"));
        }
        if info.dtype != Dtype::F32 {
            return Err(format!("`{name}` in `{path}` is of {:?}; expected F32", info.dtype));
        }
        let (first, end) = info.data_offsets;
        if end.checked_sub(first) != Some(4 * declaration.size()) || end > self.metadata.data_len()
        {
            return Err(format!("`{name}` in `{path}` does not have the length of its shape"));
        }
        Ok(())
    }

    /// Shows the numbers of a parameter that [`Self::taken`] has named, some at once.
    fn each_part(&self, name: &str, mut see: impl FnMut(&[f32])) -> Result<(), String> {
        let unread = |error: std::io::Error| format!("`{}`: {error}", self.path.display());
        let Some(info) = self.metadata.info(name) else { return Ok(()) };
        let (first, end) = info.data_offsets;
        let mut file = &self.file;
        file.seek(SeekFrom::Start(self.start + first as u64)).map_err(unread)?;
        let (mut bytes, mut values) = (vec![0; (end - first).min(4 * AT_ONCE)], Vec::new());
        let mut left = end - first;
        while left > 0 {
            let part = &mut bytes[..left.min(4 * AT_ONCE)];
            file.read_exact(part).map_err(unread)?;
            let (numbers, _) = part.as_chunks::<4>();
            values.clear();
            values.extend(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)));
            see(&values);
            left -= part.len();
        }
        Ok(())
    }

    /// Looks at every number of a parameter that is taken.
    ///
    /// # Errors
    /// If one is not finite, or cannot be read.
    pub fn check_finite(&self, name: &str) -> Result<(), String> {
        let (mut seen, mut wrong) = (0, None);
        self.each_part(name, |values| {
            let found = values.iter().position(|value| !value.is_finite());
            if let (None, Some(at)) = (wrong, found) {
                wrong = Some((seen + at, values[at]));
            }
            seen += values.len();
        })?;
        let path = self.path.display();
        wrong.map_or(Ok(()), |(at, value)| {
            Err(format!(
                "`{name}` in `{path}` holds {value} at number {at}; every value is a finite number"
            ))
        })
    }

    /// Takes parameters over, and returns the names of those taken. Constraints hold afterwards.
    ///
    /// # Errors
    /// Those of [`Self::taken`] and [`Self::check_finite`].
    pub fn start(
        &self,
        parameters: &mut Parameters<f32>,
        part: InitPart,
    ) -> Result<Vec<String>, String> {
        let declared: Vec<Declaration> =
            parameters.entries.iter().map(|entry| entry.declaration.clone()).collect();
        let mut names = Vec::new();
        for at in self.taken(&declared, part)? {
            let name = &declared[at].name;
            self.check_finite(name)?;
            let values = &mut parameters.entries[at].values;
            values.clear();
            self.each_part(name, |part| values.extend_from_slice(part))?;
            names.push(name.clone());
        }
        parameters.enforce_constraints();
        Ok(names)
    }
}

/// Returns a link on the way to a file of a run, below the folder of its experiment. Others may have written what
/// is there.
fn link_in_a_run(file: &Path) -> Option<PathBuf> {
    let is_link = |path: &Path| path.symlink_metadata().is_ok_and(|data| data.is_symlink());
    let run = file.parent()?;
    run.join("manifest.json").symlink_metadata().ok()?;
    let runs = run.parent().filter(|runs| runs.file_name().is_some_and(|name| name == "runs"));
    let below = [Some(file), runs.map(|_| run), runs];
    below.into_iter().flatten().find(|path| is_link(path)).map(Path::to_owned)
}
