//! Files that are there whole or not at all: a temporary name, sync, rename, sync of the folder.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::exit::Failure;

/// How the names of files begin that are being written.
const UNFINISHED: &str = ".writing-";

/// Writes a file; under its name there is never a part of it.
///
/// # Errors
/// If the disk is full, the folder is gone or not to be written to.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    place(path, bytes)?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Writes several files of a folder, each whole or not at all; they outlast a crash of the machine
/// from when this returns. The folder is synced once for all.
///
/// # Errors
/// If one cannot be written.
pub fn write_all(folder: &Path, files: &[(&str, Vec<u8>)]) -> Result<(), Failure> {
    files.iter().try_for_each(|(name, bytes)| place(&folder.join(name), bytes))?;
    sync_folder(folder)
}

/// Puts a whole file under its name, which is not safe before its folder is synced.
fn place(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let placed =
        tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder).and_then(|mut file| {
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            readable_by_all(file.as_file())?;
            file.persist(path).map_err(|error| error.error)
        });
    placed.map(|_| ()).map_err(|error| Failure::io("write", path, &error))
}

/// Temporary files are private to their owner; results are not.
fn readable_by_all(file: &File) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

fn sync_folder(folder: &Path) -> Result<(), Failure> {
    #[cfg(unix)]
    File::open(folder)
        .and_then(|opened| opened.sync_all())
        .map_err(|error| Failure::io("write", folder, &error))?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// Removes what a process left behind in a folder that was killed while it wrote. Nobody may be
/// writing to the folder.
pub fn remove_unfinished(folder: &Path) {
    // What cannot be removed is in nobody's way.
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(UNFINISHED)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Reads a file; `None` if there is none.
///
/// # Errors
/// If it is there and cannot be read.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::io("read", path, &error)),
    }
}

/// Makes a folder and those above it.
///
/// # Errors
/// If it cannot be made.
pub fn make_folder(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| Failure::io("make the folder", path, &error))
}

/// The digest of a file's bytes: BLAKE3 in hex.
pub fn digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_temporary_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.json");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_process_left_behind_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("run.parquet"), b"whole").unwrap();
        fs::write(folder.path().join(".writing-a1b2c3"), b"a part").unwrap();
        remove_unfinished(folder.path());
        let left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["run.parquet"]);
        remove_unfinished(&folder.path().join("gone"));
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gone").join("manifest.json");
        let error = write(&path, b"x").unwrap_err().to_string();
        assert!(error.contains("manifest.json"), "{error}");
        assert!(read(&path).unwrap().is_none());
    }
}
