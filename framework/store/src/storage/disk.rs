//! The only module that opens the files of an experiment folder. Somebody else may have made that folder.
//! So this module follows no symbolic link below it, opens only regular files and folders, and removes
//! only names that the program makes. The experiment folder itself may be a link.
//!
//! Each operation opens the folder that holds a name, without following a link on the way, and then works
//! on the name in that open folder. So nobody can redirect it by renaming folders meanwhile.

#![allow(clippy::disallowed_methods, reason = "this is the module that calls the file system")]

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::fs::{linkat, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::beneath::{self, PLACE, kind, look, name_of};
use super::names::{self, EXHIBITS};
use super::strange::Strange;
use super::{FileKind, Storage};

/// A folder on the file systems of this machine.
#[derive(Clone, Debug)]
pub struct Disk {
    root: PathBuf,
}

impl Disk {
    /// The folder at `root`, which need not exist yet.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Returns the part of a path below the root.
    fn below<'p>(&self, path: &'p Path) -> io::Result<&'p Path> {
        let outside = |_| io::Error::new(io::ErrorKind::InvalidInput, "it is outside the folder");
        path.strip_prefix(&self.root).map_err(outside)
    }

    /// Opens the root, and follows links on the way to it.
    fn open_root(&self) -> io::Result<OwnedFd> {
        let root = if self.root.as_os_str().is_empty() { Path::new(".") } else { &*self.root };
        Ok(openat(CWD, root, PLACE | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
    }

    fn folder(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        beneath::folder(self.open_root()?, self.below(path)?, flags)
    }

    /// Opens the folder that holds a path, and returns it with the name in it.
    fn place<'p>(&self, path: &'p Path) -> io::Result<(OwnedFd, &'p OsStr)> {
        let below = self.below(path)?;
        let last = below.components().next_back();
        let name = last.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let above = below.parent().unwrap_or(Path::new(""));
        Ok((beneath::folder(self.open_root()?, above, PLACE)?, name_of(name)?))
    }

    fn make(&self, below: &Path) -> io::Result<()> {
        let mut at = self.open_root()?;
        for part in below.components() {
            let name = name_of(part)?;
            match mkdirat(&at, name, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            at = beneath::step(&at, name, PLACE)?;
        }
        Ok(())
    }

    /// Opens an existing file for writing; refuses a file with a second name.
    fn open_to_write(&self, path: &Path, flags: OFlags) -> io::Result<File> {
        let (folder, name) = self.place(path)?;
        let (file, found) = beneath::file(&folder, name, flags)?;
        if found.st_nlink > 1 { Err(Strange::Shared.into()) } else { Ok(file) }
    }
}

/// Flags that a log is opened with.
const LOG: OFlags = OFlags::RDWR.union(OFlags::APPEND);

fn create(folder: &OwnedFd, name: &OsStr, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(folder, name, flags, Mode::from_raw_mode(0o666))?.into())
}

/// Removes the files of an open folder whose names the program makes in a folder of this name.
fn remove_files(folder: &OwnedFd, name: &OsStr) -> io::Result<()> {
    for file in names_in(folder)?.iter().filter(|file| names::is_removable_in(name, file)) {
        match unlinkat(folder, file, AtFlags::empty()) {
            // Folders stay.
            Ok(()) | Err(Errno::NOENT | Errno::ISDIR | Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Returns whether an error of opening a folder says that there is none of that name.
fn is_none_or_no_folder(error: &io::Error) -> bool {
    super::files::is_missing(error) || Strange::of(error).is_some()
}

/// Names in an open folder, without `.` and `..`.
fn names_in(folder: &OwnedFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

impl Storage for Disk {
    fn root(&self) -> &Path {
        &self.root
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let (folder, name) = self.place(path)?;
        let (mut file, found) = beneath::file(&folder, name, OFlags::RDONLY)?;
        let (size, most) = (found.st_size.try_into().unwrap_or(0), names::most_bytes(path));
        let too_large = |size| io::Error::from(Strange::TooLarge { size, most });
        if size > most {
            return Err(too_large(size));
        }
        let mut bytes = Vec::new();
        let room = usize::try_from(size).map_err(|_| too_large(size))?;
        bytes.try_reserve_exact(room).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        // A file may grow while it is read, as a claim does.
        Read::by_ref(&mut file).take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        names_in(&self.folder(folder, OFlags::RDONLY)?)
    }

    fn kind(&self, path: &Path) -> io::Result<Option<FileKind>> {
        let found = if path == self.root {
            self.open_root().and_then(|root| Ok(rustix::fs::fstat(root)?))
        } else {
            self.place(path).and_then(|(folder, name)| look(&folder, name))
        };
        match found {
            Ok(found) => Ok(Some(match kind(&found) {
                FileType::RegularFile => FileKind::File,
                FileType::Directory => FileKind::Folder,
                _ => FileKind::Other,
            })),
            Err(error) if super::files::is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn modified(&self, path: &Path) -> io::Result<SystemTime> {
        let (folder, name) = self.place(path)?;
        let found = look(&folder, name)?;
        let since = Duration::from_secs(found.st_mtime.try_into().unwrap_or(0));
        Ok(SystemTime::UNIX_EPOCH + since)
    }

    fn make_root(&self) -> io::Result<()> {
        fs::create_dir_all(&self.root)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        let below = self.below(path)?;
        retry_if_gone(|| self.make(below), || self.open_root().is_ok())
    }

    fn create(&self, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
        let (folder, name) = self.place(path)?;
        let mut file = create(&folder, name, OFlags::WRONLY)?;
        parts.iter().try_for_each(|part| file.write_all(part))?;
        file.sync_all()
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.open_to_write(path, OFlags::WRONLY | OFlags::APPEND)?.write_all(bytes)
    }

    fn open_log(&self, path: &Path) -> io::Result<File> {
        self.open_to_write(path, LOG)
    }

    fn make_log(&self, path: &Path) -> io::Result<File> {
        match self.open_to_write(path, LOG) {
            Err(error) if Strange::of(&error).is_some() => self.remove(path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        let (folder, name) = self.place(path)?;
        create(&folder, name, LOG)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let ((old, from), (new, to)) = (self.place(from)?, self.place(to)?);
        Ok(renameat(&old, from, &new, to)?)
    }

    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        let ((first, one), (second, other)) = (self.place(one)?, self.place(other)?);
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{RenameFlags, renameat_with};
            match renameat_with(&first, one, &second, other, RenameFlags::EXCHANGE) {
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
                exchanged => return Ok(exchanged?),
            }
        }
        let between = super::files::unfinished();
        renameat(&first, one, &first, &between)?;
        renameat(&second, other, &first, one).or_else(|error| {
            renameat(&first, &between, &first, one)?;
            Err(error)
        })?;
        Ok(renameat(&first, &between, &second, other)?)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let ((old, from), (new, to)) = (self.place(from)?, self.place(to)?);
        let (mut file, _) = beneath::file(&old, from, OFlags::RDONLY)?;
        if linkat(&old, from, &new, to, AtFlags::empty()).is_ok() {
            return Ok(());
        }
        let mut copy = create(&new, to, OFlags::WRONLY)?;
        io::copy(&mut file, &mut copy)?;
        copy.sync_all()
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::fsync(self.folder(path, OFlags::RDONLY)?)?)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let (place, name) = self.place(path)?;
        if !names::is_removable(name) {
            let message = "it has a name that the program does not make";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        if kind(&look(&place, name)?) != FileType::Directory {
            return Ok(unlinkat(&place, name, AtFlags::empty())?);
        }
        let folder = beneath::step(&place, name, OFlags::RDONLY)?;
        match beneath::step(&folder, EXHIBITS.as_ref(), OFlags::RDONLY) {
            Ok(exhibits) => {
                remove_files(&exhibits, EXHIBITS.as_ref())?;
                // It stays if it holds anything else.
                let _ = unlinkat(&folder, EXHIBITS, AtFlags::REMOVEDIR);
            }
            // A file or a link of that name is removed like any other, if it is there.
            Err(error) if is_none_or_no_folder(&error) => {}
            Err(error) => return Err(error),
        }
        remove_files(&folder, name)?;
        Ok(unlinkat(&place, name, AtFlags::REMOVEDIR)?)
    }

    fn remove_empty(&self, folder: &Path) -> io::Result<()> {
        let (place, name) = self.place(folder)?;
        Ok(unlinkat(&place, name, AtFlags::REMOVEDIR)?)
    }
}

/// Retries `make` while the root exists: another process may remove a folder just after it was found to
/// exist.
fn retry_if_gone(
    mut make: impl FnMut() -> io::Result<()>,
    has_root: impl Fn() -> bool,
) -> io::Result<()> {
    const TRIES: usize = 16;
    for _ in 1..TRIES {
        match make() {
            Err(error) if error.kind() == io::ErrorKind::NotFound && has_root() => {}
            made => return made,
        }
    }
    make()
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
