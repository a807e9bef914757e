//! Reads and writes whole files. A write uses a temporary name, a sync, a rename and a sync of the
//! folder, so a file is there whole or not at all.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::Storage;
use super::names::UNFINISHED;
use super::strange::Strange;
use crate::exit::Failure;

/// Writes a file; a reader never sees only a part of it.
///
/// # Errors
/// If the disk is full, or the folder is missing or read-only.
pub fn write(storage: &dyn Storage, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    place(storage, path, &[bytes])?;
    let folder = path.parent().unwrap_or(Path::new("."));
    storage.sync_folder(folder).map_err(|error| Failure::io("write", folder, &error))
}

/// Writes a whole file without syncing its folder: until that, a crash may undo the rename.
///
/// # Errors
/// As for [`write`]. Removes the unfinished file if possible.
pub fn place(storage: &dyn Storage, path: &Path, parts: &[&[u8]]) -> Result<(), Failure> {
    let unfinished = path.with_file_name(unfinished());
    storage.create(&unfinished, parts).and_then(|()| storage.rename(&unfinished, path)).map_err(
        |error| {
            // If it stays, it does no harm.
            let _ = storage.remove(&unfinished);
            Failure::io("write", path, &error)
        },
    )
}

/// Returns a temporary name that no other process or thread uses.
pub fn unfinished() -> String {
    // The keys of the standard hasher are random.
    static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().build_hasher().finish());
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("{UNFINISHED}{:016x}-{}", *PROCESS, COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Removes the unfinished files that a killed process left in a folder. No process may be writing to the
/// folder.
pub fn remove_unfinished(storage: &dyn Storage, folder: &Path) {
    for name in storage.names(folder).unwrap_or_default() {
        if name.to_str().is_some_and(|name| name.starts_with(UNFINISHED)) {
            // If it stays, it does no harm.
            let _ = storage.remove(&folder.join(name));
        }
    }
}

/// Removes unfinished files of a folder that are older than a day: others may be writing newer ones.
pub fn remove_unfinished_long_ago(storage: &dyn Storage, folder: &Path) {
    const LONG: Duration = Duration::from_secs(24 * 60 * 60);
    for name in storage.names(folder).unwrap_or_default() {
        let path = folder.join(&name);
        if name.to_str().is_some_and(|name| name.starts_with(UNFINISHED))
            && age(storage, &path).is_some_and(|age| age > LONG)
        {
            let _ = storage.remove(&path);
        }
    }
}

/// Time since a file was changed, by the clocks of its disk and of this machine; `None` if unknown.
pub fn age(storage: &dyn Storage, path: &Path) -> Option<Duration> {
    storage.modified(path).ok()?.elapsed().ok()
}

/// Result of reading a file.
pub enum Content {
    /// There is no such file.
    Missing,
    /// The file has these bytes.
    Whole(Vec<u8>),
    /// Something is there that the program refuses to read.
    Strange(Strange),
}

/// Reads a file; says if it is missing, or why it is refused.
///
/// # Errors
/// If it exists and cannot be read.
pub fn look(storage: &dyn Storage, path: &Path) -> Result<Content, Failure> {
    match storage.read(path) {
        Ok(bytes) => Ok(Content::Whole(bytes)),
        Err(error) if is_missing(&error) => Ok(Content::Missing),
        Err(error) => match Strange::of(&error) {
            Some(strange) => Ok(Content::Strange(strange)),
            None => Err(Failure::io("read", path, &error)),
        },
    }
}

/// Reads a file that can be made again; `None` if it is missing or something else has its name.
///
/// # Errors
/// If it exists and cannot be read.
pub fn read(storage: &dyn Storage, path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let is_no_file = |error: &io::Error| {
        is_missing(error)
            || error.kind() == io::ErrorKind::IsADirectory
            || Strange::of(error).is_some()
    };
    match storage.read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_no_file(&error) => Ok(None),
        Err(error) => Err(Failure::io("read", path, &error)),
    }
}

/// Returns the names in a folder that are text; none if there is no such folder.
///
/// # Errors
/// If it exists and cannot be read.
pub fn names(storage: &dyn Storage, folder: &Path) -> Result<Vec<String>, Failure> {
    match storage.names(folder) {
        Ok(names) => Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect()),
        Err(error) if is_missing(&error) => Ok(Vec::new()),
        Err(error) => Err(Failure::io("read", folder, &error)),
    }
}

/// Returns whether an error says that a file, or a folder on the way to it, is missing.
pub fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Returns whether the error of a rename says that the name is taken.
pub fn is_taken(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotADirectory};
    matches!(error.kind(), AlreadyExists | DirectoryNotEmpty | NotADirectory)
}

/// Renames `from` to the first free name of `numbered(1)`, `numbered(2)`, …
///
/// # Errors
/// If it cannot be renamed.
pub fn rename_to_free(
    storage: &dyn Storage,
    from: &Path,
    numbered: impl Fn(usize) -> PathBuf,
) -> Result<(), Failure> {
    let fail = |error| Failure::io("rename", from, &error);
    for number in 1.. {
        let to = numbered(number);
        if storage.kind(&to).map_err(fail)?.is_some() {
            continue;
        }
        match storage.rename(from, &to) {
            // The system reports the same error if `from` is missing, below something that is not a
            // folder.
            Err(error) if is_taken(&error) && storage.kind(from).map_err(fail)?.is_some() => {}
            renamed => return renamed.map_err(fail),
        }
    }
    unreachable!("there are more numbers than files")
}

/// Digest of a file's bytes: BLAKE3 in hex.
pub fn digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::disk::Disk;
    use super::*;

    fn names_in(folder: &Path) -> Vec<String> {
        names(&Disk::at(folder), folder).unwrap()
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_temporary_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.json");
        write(&Disk::at(folder.path()), &path, b"one").unwrap();
        write(&Disk::at(folder.path()), &path, b"two").unwrap();
        assert_eq!(read(&Disk::at(folder.path()), &path).unwrap().unwrap(), b"two");
        assert_eq!(names_in(folder.path()), ["manifest.json"]);
        // A folder has the name: the unfinished file is removed.
        let taken = folder.path().join("taken");
        fs::create_dir_all(taken.join("full")).unwrap();
        write(&Disk::at(folder.path()), &taken, b"x").unwrap_err();
        assert_eq!(names_in(folder.path()).len(), 2);
    }

    #[test]
    fn what_a_killed_process_left_behind_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        write(&Disk::at(folder.path()), &folder.path().join("run.parquet"), b"whole").unwrap();
        fs::write(folder.path().join(unfinished()), b"a part").unwrap();
        remove_unfinished(&Disk::at(folder.path()), folder.path());
        assert_eq!(names_in(folder.path()), ["run.parquet"]);
        remove_unfinished(&Disk::at(folder.path()), &folder.path().join("gone"));
    }

    /// Wrong if clocks that differ by hours, as those of machines that share a disk may, cost a file that
    /// another process is writing.
    #[test]
    fn what_was_being_written_a_day_ago_is_removed_whatever_the_clocks_within_hours() {
        let folder = tempfile::tempdir().unwrap();
        let hour = Duration::from_secs(60 * 60);
        let now = std::time::SystemTime::now();
        let file = |time| {
            let path = folder.path().join(unfinished());
            fs::File::create(&path).unwrap().set_modified(time).unwrap();
            path
        };
        let (slow, fast) = (file(now - 23 * hour), file(now + 23 * hour));
        let (left, whole) = (file(now - 25 * hour), folder.path().join("run.parquet"));
        fs::File::create(&whole).unwrap().set_modified(now - 100 * hour).unwrap();
        remove_unfinished_long_ago(&Disk::at(folder.path()), folder.path());
        let there = [&slow, &fast, &left, &whole].map(|path| path.exists());
        assert_eq!(there, [true, true, false, true]);
    }

    #[test]
    fn what_cannot_be_written_is_named_and_what_is_not_there_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gone").join("manifest.json");
        let error = write(&Disk::at(folder.path()), &path, b"x").unwrap_err().to_string();
        assert!(error.contains("manifest.json"), "{error}");
        assert!(read(&Disk::at(folder.path()), &path).unwrap().is_none());
        let gone = path.parent().unwrap();
        assert!(names(&Disk::at(folder.path()), gone).unwrap().is_empty());
    }

    /// Wrong if names were tried without end for a missing file, where a file has the name of its folder.
    #[test]
    fn what_is_not_there_is_not_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("runs"), "no folder").unwrap();
        for from in ["runs/x", "gone"] {
            let to = |number| path(&format!("x.{number}"));
            rename_to_free(&Disk::at(folder.path()), &path(from), to).unwrap_err();
        }
    }

    #[test]
    fn what_is_put_aside_takes_the_first_free_name() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["a", "b"] {
            fs::write(folder.path().join("x"), text).unwrap();
            let to = |number| folder.path().join(format!("x.{number}"));
            rename_to_free(&Disk::at(folder.path()), &folder.path().join("x"), to).unwrap();
        }
        assert_eq!(fs::read_to_string(folder.path().join("x.2")).unwrap(), "b");
    }
}
