//! Bytes that the processes of one machine have in memory once.
//!
//! A file is mapped: its pages are shared by all who read it. What is to be made from a file first,
//! such as unpacked, is made by the process that starts the workers, and they map it. It lies in
//! memory without a name, sealed against changes, and is gone with the last process that has it:
//! there is nothing to lock, to clean up or to run out of. Where that is impossible (another system,
//! a worker started by itself), each process makes a copy of its own.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use memmap2::Mmap;

/// Bytes in memory, mapped or a process' own. A clone is another view of the same.
#[derive(Clone)]
pub struct Bytes {
    kept: Arc<Kept>,
    range: Range<usize>,
}

enum Kept {
    Mapped(Mmap),
    Own(Vec<u8>),
}

impl Bytes {
    /// The bytes of a file, without reading them. A file that is written to meanwhile shows its new
    /// bytes. One that is cut short ends the process, by SIGBUS, where it is read beyond its new end:
    /// so whoever replaces data should put a new file in the old one's place.
    ///
    /// # Errors
    /// If it cannot be mapped, as what is no plain file.
    pub fn map(file: &File) -> io::Result<Self> {
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: nobody in this process writes to the mapping, which is read-only and lives as long
        // as it is borrowed. Another process may write to the file, which Rust cannot know: then a
        // byte is another one when it is looked at again. Bytes are legal whatever they are, and who
        // asks for them is told above.
        let mapped = unsafe { Mmap::map(file)? };
        Ok(Self { range: 0..mapped.len(), kept: Arc::new(Kept::Mapped(mapped)) })
    }

    /// A part of these bytes.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn part(&self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len(), "no such part of the bytes");
        let start = self.range.start;
        Self { kept: self.kept.clone(), range: start + range.start..start + range.end }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self { range: 0..bytes.len(), kept: Arc::new(Kept::Own(bytes)) }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let all = match &*self.kept {
            Kept::Mapped(mapped) => mapped,
            Kept::Own(bytes) => bytes.as_slice(),
        };
        &all[self.range.clone()]
    }
}

/// What was made from files, for this process and for those that it starts.
#[derive(Default)]
pub struct Shared {
    /// Where bytes are that another process has made.
    places: BTreeMap<String, PathBuf>,
    /// What this one has made, which is there as long as its file is open.
    made: Mutex<BTreeMap<String, File>>,
}

impl Shared {
    /// What another process has made, as it said by [`Shared::places`].
    pub fn at(places: BTreeMap<String, PathBuf>) -> Self {
        Self { places, ..Self::default() }
    }

    /// Where another process finds what this one has made, while this one has it: by keys that say
    /// from which file, in which state.
    pub fn places(&self) -> BTreeMap<String, PathBuf> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let mut places = self.places.clone();
        places.extend(made.iter().filter_map(|(key, file)| Some((key.clone(), place(file)?))));
        places
    }

    /// Bytes that `make` makes from the file at `path`; made already, if another process did so and
    /// the file has not changed since.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn made_from(
        &self,
        path: &Path,
        make: impl FnOnce() -> Result<Vec<u8>, String>,
    ) -> Result<Bytes, String> {
        let key = key(path);
        let known = key.as_ref().and_then(|key| self.places().get(key).cloned());
        if let Some(bytes) = known.and_then(|known| Bytes::map(&File::open(known).ok()?).ok()) {
            return Ok(bytes);
        }
        let own = make()?;
        let anonymous = key.and_then(|key| {
            let file = anonymous(&own)?;
            let bytes = Bytes::map(&File::open(place(&file)?).ok()?).ok()?;
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            made.insert(key, file);
            Some(bytes)
        });
        Ok(anonymous.unwrap_or_else(|| own.into()))
    }
}

/// Which file it is, in which state; `None` where that cannot be told.
fn key(path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    let state = path.metadata().ok()?;
    let time = state.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(path.as_os_str().as_encoded_bytes());
    hasher.update(&state.len().to_le_bytes());
    hasher.update(&time.as_nanos().to_le_bytes());
    Some(hasher.finalize().to_hex()[..16].to_owned())
}

/// A file in memory that has no name and that nobody can change.
#[cfg(target_os = "linux")]
fn anonymous(bytes: &[u8]) -> Option<File> {
    use std::io::Write;

    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(memfd_create(c"saegrid", flags).ok()?);
    file.write_all(bytes).ok()?;
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    fcntl_add_seals(&file, seals).ok()?;
    Some(file)
}

#[cfg(not(target_os = "linux"))]
fn anonymous(_: &[u8]) -> Option<File> {
    None
}

/// Under which name an open file can be opened by any process of the same user.
#[cfg(target_os = "linux")]
fn place(file: &File) -> Option<PathBuf> {
    use std::os::fd::AsRawFd;
    Some(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into())
}

#[cfg(not(target_os = "linux"))]
fn place(_: &File) -> Option<PathBuf> {
    None
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;

    use super::*;

    #[test]
    fn a_part_of_a_part_is_of_the_whole() {
        let whole = Bytes::from((0..10).collect::<Vec<u8>>());
        assert_eq!(*whole.part(2..8).part(1..3), [3, 4]);
        assert!(whole.part(4..4).is_empty());
    }

    #[test]
    fn a_file_is_mapped_as_it_is_and_what_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        fs::write(&path, b"bytes").unwrap();
        let mapped = Bytes::map(&File::open(&path).unwrap()).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(*mapped, *b"bytes", "it stays while it is mapped");
        fs::write(&path, b"").unwrap();
        assert!(Bytes::map(&File::open(&path).unwrap()).unwrap().is_empty());
        #[cfg(unix)]
        assert!(Bytes::map(&File::open(folder.path()).unwrap()).is_err());
    }

    #[test]
    fn what_one_has_made_others_find_until_the_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.gz");
        fs::write(&path, b"packed").unwrap();
        let made = Cell::new(0);
        let made_by = |shared: &Shared| {
            let make = || {
                made.set(made.get() + 1);
                Ok(b"unpacked".to_vec())
            };
            assert_eq!(*shared.made_from(&path, make).unwrap(), *b"unpacked");
            made.get()
        };
        let first = Shared::default();
        assert_eq!(made_by(&first), 1);
        let is_shared = usize::from(cfg!(target_os = "linux"));
        assert_eq!(first.places().len(), is_shared);
        let other = Shared::at(first.places());
        assert_eq!(made_by(&other), 2 - is_shared);
        let all = made_by(&first);
        fs::write(&path, b"packed anew").unwrap();
        assert_eq!(made_by(&other), all + 1);
        drop(first);
        assert_eq!(made_by(&Shared::at(other.places())), all + 1 + (1 - is_shared));
    }

    #[test]
    fn what_cannot_be_made_is_not_kept() {
        let shared = Shared::default();
        let path = Path::new("Cargo.toml");
        assert!(shared.made_from(path, || Err("is no gzip file".into())).is_err());
        assert!(shared.places().is_empty());
        assert_eq!(*shared.made_from(path, || Ok(vec![1])).unwrap(), [1]);
        assert_eq!(*shared.made_from(Path::new("gone"), || Ok(vec![2])).unwrap(), [2]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_was_made_cannot_be_written_to() {
        use std::io::Write;
        let shared = Shared::default();
        let _bytes = shared.made_from(Path::new("Cargo.toml"), || Ok(vec![1, 2, 3])).unwrap();
        let place = shared.places().into_values().next().unwrap();
        let opened = fs::OpenOptions::new().write(true).open(place);
        assert!(opened.and_then(|mut file| file.write_all(b"x")).is_err());
    }
}
