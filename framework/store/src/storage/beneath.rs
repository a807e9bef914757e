//! Opens files and folders below another folder without following a symbolic link on the way.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Component, Path};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, openat, statat};
use rustix::io::Errno;

use super::strange::Strange;

/// Flag that opens a folder only as a place to start from, where the system can.
#[cfg(target_os = "linux")]
pub const PLACE: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
pub const PLACE: OFlags = OFlags::RDONLY;

/// Flags that every folder is opened with.
const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);

/// Opens the folder at `below`, a path from `root` on.
///
/// # Errors
/// [`Strange::Link`] if any part of `below` is a symbolic link; else the system's error.
pub fn folder(root: OwnedFd, below: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{ResolveFlags, openat2};
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        // `openat2` refuses an empty path.
        let path = if below.as_os_str().is_empty() { Path::new(".") } else { below };
        match openat2(&root, path, flags | FOLDER, Mode::empty(), resolve) {
            // Kernels before 5.6 lack it, and some sandboxes forbid it.
            Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => {}
            Err(Errno::LOOP) => return Err(Strange::Link.into()),
            opened => return Ok(opened?),
        }
    }
    walk(root, below, flags)
}

/// Opens the folder at `below` part by part, as every Unix can.
fn walk(root: OwnedFd, below: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let mut at = root;
    for part in below.components() {
        at = step(&at, name_of(part)?, PLACE)?;
    }
    Ok(openat(&at, ".", flags | FOLDER, Mode::empty())?)
}

/// Opens a folder in another one.
///
/// # Errors
/// As for [`folder`].
pub fn step(at: &OwnedFd, name: &OsStr, flags: OFlags) -> io::Result<OwnedFd> {
    let opened = openat(at, name, flags | FOLDER | OFlags::NOFOLLOW, Mode::empty());
    opened.map_err(|error| {
        let is_link = || look(at, name).is_ok_and(|found| kind(&found) == FileType::Symlink);
        match error {
            Errno::LOOP | Errno::NOTDIR if is_link() => Strange::Link.into(),
            error => error.into(),
        }
    })
}

/// Opens the regular file `name` in a folder, without waiting. Opens nothing else: opening a pipe or a
/// device can itself have an effect.
///
/// # Errors
/// An error that says what it is, if it is not a regular file; else the system's error.
pub fn file(at: &OwnedFd, name: &OsStr, flags: OFlags) -> io::Result<(File, Stat)> {
    let check = |found: &Stat| match kind(found) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(io::Error::from(io::ErrorKind::IsADirectory)),
        FileType::Symlink => Err(Strange::Link.into()),
        _ => Err(Strange::Special.into()),
    };
    check(&look(at, name)?)?;
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = openat(at, name, flags, Mode::empty()).map_err(|error| match error {
        Errno::LOOP => Strange::Link.into(),
        error => io::Error::from(error),
    })?;
    // It may have been replaced since the first check.
    let found = rustix::fs::fstat(&opened)?;
    check(&found)?;
    Ok((opened.into(), found))
}

/// Returns the status of a name in a folder; for a link, that of the link itself.
///
/// # Errors
/// The system's error.
pub fn look(at: impl AsFd, name: &OsStr) -> io::Result<Stat> {
    Ok(statat(at, name, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Returns the type of file that a status is of.
pub fn kind(found: &Stat) -> FileType {
    FileType::from_raw_mode(found.st_mode)
}

/// Returns a part of a path as a name in a folder.
///
/// # Errors
/// If it is not a name, such as `..`.
pub fn name_of(part: Component<'_>) -> io::Result<&OsStr> {
    match part {
        Component::Normal(name) => Ok(name),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no name in a folder")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// Wrong if a link anywhere below the root were followed, by either way of opening.
    #[test]
    fn no_part_of_the_way_may_be_a_link() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::create_dir_all(place.path().join("outside/b")).unwrap();
        fs::write(root.join("file"), "x").unwrap();
        symlink("../outside", root.join("link")).unwrap();
        symlink("a", root.join("within")).unwrap();
        symlink("nowhere", root.join("broken")).unwrap();
        let open = |path: &str, by: fn(OwnedFd, &Path, OFlags) -> io::Result<OwnedFd>| {
            let start = fs::File::open(&root).unwrap().into();
            by(start, Path::new(path), PLACE)
        };
        for by in [folder, walk] {
            for path in ["", "a", "a/b"] {
                assert!(open(path, by).is_ok(), "{path}");
            }
            for path in ["link", "link/b", "within", "within/b", "broken"] {
                let error = open(path, by).unwrap_err();
                assert_eq!(Strange::of(&error), Some(Strange::Link), "{path}: {error}");
            }
            for path in ["file", "file/x", "gone", "a/gone/b"] {
                let error = open(path, by).unwrap_err();
                assert_eq!(Strange::of(&error), None, "{path}: {error}");
            }
            for path in ["..", "a/../..", "/etc"] {
                assert!(open(path, by).is_err(), "{path}");
            }
        }
    }
}
