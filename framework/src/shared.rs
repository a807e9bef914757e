//! Bytes that the processes of one machine have in memory once.
//!
//! What is made from a file, such as its unpacked content, is made by the process that starts the
//! workers, and they map it. It lies in memory without a name, sealed against changes, and is gone with
//! the last process that has it: there is nothing to lock, to clean up or to run out of. Where that is
//! impossible (another system, a worker started by itself), each process makes a copy of its own.
//!
//! Files on a disk are never mapped. Any other process may write to such a file, which Rust does not
//! allow, or cut it short, which ends by SIGBUS whoever reads it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use crate::files;

/// Bytes in memory, shared with other processes or a process' own. A clone is another view of the same.
#[derive(Clone)]
pub struct Bytes {
    kept: Arc<Backing>,
    range: Range<usize>,
}

enum Backing {
    #[cfg(target_os = "linux")]
    Shared(memmap2::Mmap),
    Own(Vec<u8>),
}

impl Bytes {
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
        Self { range: 0..bytes.len(), kept: Arc::new(Backing::Own(bytes)) }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let all: &[u8] = match &*self.kept {
            #[cfg(target_os = "linux")]
            Backing::Shared(mapped) => mapped,
            Backing::Own(bytes) => bytes,
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

    /// Bytes that `make` writes for `file`, which was opened at `path`; made already, if another process
    /// did so and the file has not changed since. The bytes need no more memory than they are long.
    ///
    /// # Errors
    /// Those of `make`, and if there is no memory for the bytes.
    pub fn made_from(
        &self,
        path: &Path,
        file: &File,
        make: impl FnOnce(&mut dyn Write) -> Result<(), String>,
    ) -> Result<Bytes, String> {
        // Taken before the file is read: if it changes meanwhile, nobody takes the bytes for its own.
        let key = key(path, file);
        let known = key.as_ref().and_then(|key| self.places().get(key).cloned());
        if let Some(bytes) = known.and_then(|known| sealed(&files::open(&known).ok()?)) {
            return Ok(bytes);
        }
        let (Some(key), Some(mut anonymous)) = (key, anonymous()) else {
            let mut own = Vec::new();
            make(&mut own)?;
            return Ok(own.into());
        };
        make(&mut anonymous)?;
        let bytes =
            seal(&anonymous).map_err(|error| format!("cannot be kept in memory: {error}"))?;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.insert(key, anonymous);
        Ok(bytes)
    }
}

/// Checks that so many more bytes fit into memory, as far as that can be told.
///
/// # Errors
/// What is needed and what there is.
#[allow(clippy::disallowed_methods, reason = "it reads what the system says of itself")]
pub fn check_room(bytes: u64) -> Result<(), String> {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let free = free.and_then(|free| free.trim().strip_suffix("kB")?.trim().parse().ok());
    let free = free.map_or(u64::MAX, |free: u64| free.saturating_mul(1 << 10));
    if bytes <= free {
        return Ok(());
    }
    let [bytes, free] = [bytes, free].map(|size| bytesize::ByteSize(size).display().iec());
    Err(format!("needs {bytes} of memory, of which {free} are free"))
}

/// Which file it is, in which state; `None` where that cannot be told.
#[allow(clippy::disallowed_methods, reason = "it tells files of a user apart")]
fn key(path: &Path, file: &File) -> Option<String> {
    let path = path.canonicalize().ok()?;
    let state = file.metadata().ok()?;
    let time = state.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(path.as_os_str().as_encoded_bytes());
    hasher.update(&state.len().to_le_bytes());
    hasher.update(&time.as_nanos().to_le_bytes());
    Some(hasher.finalize().to_hex()[..16].to_owned())
}

/// What nobody can do to a file that has been sealed.
#[cfg(target_os = "linux")]
const SEALS: rustix::fs::SealFlags = {
    use rustix::fs::SealFlags;
    SealFlags::WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::SEAL)
};

/// Makes a file in memory that has no name; `None` where there are no such files, or where files may not
/// be as large as one likes: that holds for these too, and ends a process that writes beyond it.
#[cfg(target_os = "linux")]
fn anonymous() -> Option<File> {
    use rustix::fs::{MemfdFlags, memfd_create};
    use rustix::process::{Resource, getrlimit};
    if getrlimit(Resource::Fsize).current.is_some() {
        return None;
    }
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    Some(File::from(memfd_create(c"saegrid", flags).ok()?))
}

#[cfg(not(target_os = "linux"))]
fn anonymous() -> Option<File> {
    None
}

/// Seals a file that [`anonymous`] has made, and maps it.
#[cfg(target_os = "linux")]
fn seal(file: &File) -> io::Result<Bytes> {
    rustix::fs::fcntl_add_seals(file, SEALS)?;
    // Opened anew, for reading alone: a mapping of the file as it was made could be made writable.
    let place = place(file).ok_or(io::ErrorKind::Unsupported)?;
    sealed(&files::open(&place)?).ok_or(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
fn seal(_: &File) -> io::Result<Bytes> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The bytes of a file that is sealed, without reading them; `None` for every other file.
#[cfg(target_os = "linux")]
fn sealed(file: &File) -> Option<Bytes> {
    if !rustix::fs::fcntl_get_seals(file).ok()?.contains(SEALS) {
        return None;
    }
    // SAFETY: the kernel lets no process write to the file, cut it short or take its seals off, and
    // sealed it only when no writable mapping was left. So the bytes never change.
    let mapped = unsafe { memmap2::Mmap::map(file).ok()? };
    Some(Bytes { range: 0..mapped.len(), kept: Arc::new(Backing::Shared(mapped)) })
}

#[cfg(not(target_os = "linux"))]
fn sealed(_: &File) -> Option<Bytes> {
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

    /// Has bytes made from the file at `path`.
    fn made(shared: &Shared, path: &Path, bytes: &[u8]) -> Result<Bytes, String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        shared.made_from(path, &file, |out| out.write_all(bytes).map_err(|error| error.to_string()))
    }

    #[test]
    fn what_one_has_made_others_find_until_the_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.gz");
        fs::write(&path, b"packed").unwrap();
        let times = Cell::new(0);
        let made_by = |shared: &Shared| {
            let make = |out: &mut dyn Write| {
                times.set(times.get() + 1);
                out.write_all(b"unpacked").map_err(|error| error.to_string())
            };
            let file = File::open(&path).unwrap();
            assert_eq!(*shared.made_from(&path, &file, make).unwrap(), *b"unpacked");
            times.get()
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
        let file = File::open(path).unwrap();
        assert!(shared.made_from(path, &file, |_| Err("is no gzip file".into())).is_err());
        assert!(shared.places().is_empty());
        assert_eq!(*made(&shared, path, &[1]).unwrap(), [1]);
        let gone = Path::new("gone");
        let bytes = shared
            .made_from(gone, &file, |out| out.write_all(&[2]).map_err(|error| error.to_string()));
        assert_eq!(*bytes.unwrap(), [2]);
    }

    /// Wrong if the bytes could change or go while somebody reads them: before, plain files were mapped,
    /// and ended the process by SIGBUS when they were cut short.
    #[cfg(target_os = "linux")]
    #[test]
    fn what_was_made_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        fs::write(&path, [7; 100_000]).unwrap();
        let shared = Shared::default();
        let bytes = made(&shared, &path, &[7; 100_000]).unwrap();
        fs::write(&path, b"").unwrap();
        assert!(bytes.iter().all(|byte| *byte == 7));
        let place = shared.places().into_values().next().unwrap();
        let opened = fs::OpenOptions::new().write(true).open(&place);
        let changed = opened.and_then(|mut file| file.write_all(b"x").or(file.set_len(0)));
        assert!(changed.is_err());
    }

    /// Wrong if a file that is larger than the memory takes all of it, and other programs with it.
    #[cfg(target_os = "linux")]
    #[test]
    fn more_than_there_is_room_for_is_refused() {
        assert_eq!(check_room(1), Ok(()));
        let refused = check_room(1 << 60).unwrap_err();
        assert!(refused.starts_with("needs 1.0 EiB of memory, of which "), "{refused}");
    }

    /// Wrong if a worker maps a file that others can write to because its command line names it.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_place_that_is_not_sealed_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, forged) = (folder.path().join("data"), folder.path().join("forged"));
        fs::write(&path, b"data").unwrap();
        fs::write(&forged, b"forged").unwrap();
        let first = Shared::default();
        made(&first, &path, b"data").unwrap();
        let places = first.places().into_keys().map(|key| (key, forged.clone()));
        assert_eq!(*made(&Shared::at(places.collect()), &path, b"data").unwrap(), *b"data");
    }
}
