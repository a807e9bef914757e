//! Reads and writes of files in an experiment folder. All go through the trait [`Storage`], so that tests
//! can make each operation fail in turn.
//!
//! - [`disk`] is the file system itself. It follows no links ([`beneath`]) and refuses what the program
//!   never makes ([`strange`]).
//! - [`names`] lists every name that the program gives to a file.
//! - [`files`] reads and replaces whole files.

pub mod beneath;
pub mod disk;
pub mod files;
pub mod names;
pub mod strange;

use std::ffi::OsString;
use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// Kind of thing that a name in a folder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A link, a pipe, a device or a socket: the program makes none of these.
    Other,
}

/// Operations on the files of one folder, the root, and below it. Every path begins with the root.
///
/// # Errors
/// Each returns the system's error, or a [`Strange`](strange::Strange) for a path that the program
/// refuses.
#[allow(clippy::missing_errors_doc)] // said once, above
pub trait Storage: Debug + Send + Sync {
    /// Path of the root.
    fn root(&self) -> &Path;

    /// Reads all bytes of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Returns the names in a folder.
    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>>;

    /// Returns the kind of the thing at a path; `None` if there is nothing. Follows a link at the root,
    /// and no other link.
    fn kind(&self, path: &Path) -> io::Result<Option<FileKind>>;

    /// Returns the time of a file's last change, by the clock of its disk.
    fn modified(&self, path: &Path) -> io::Result<SystemTime>;

    /// Makes the root and the folders above it.
    fn make_root(&self) -> io::Result<()>;

    /// Makes a folder and those above it, but not the root: a missing root is an error.
    fn make_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes a new file from these parts and syncs it, so that it outlasts a crash of the machine.
    fn create(&self, path: &Path, parts: &[&[u8]]) -> io::Result<()>;

    /// Adds bytes at the end of an existing file.
    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Opens an existing log to read it and to write at its end.
    fn open_log(&self, path: &Path) -> io::Result<File>;

    /// Opens a log as [`open_log`](Self::open_log) does, and makes it if it is missing. Removes something
    /// else in its place, such as a link.
    fn make_log(&self, path: &Path) -> io::Result<File>;

    /// Renames a file or a folder in one step. Replaces a file or an empty folder of the new name; fails
    /// if a folder of that name is not empty.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Swaps the names of two folders, in one step where the file system can.
    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()>;

    /// Gives a file a second name, or copies it where it cannot have two.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Syncs a folder, so that the names in it outlast a crash of the machine.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Removes a file, or a folder with the files in it, if the program makes such names. A folder that
    /// holds anything else stays, with only that in it.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty folder.
    fn remove_empty(&self, folder: &Path) -> io::Result<()>;
}
