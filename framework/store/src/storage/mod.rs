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

/// What a name in a folder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A link, a pipe, a device or a socket: nothing that the program makes.
    Other,
}

/// The operations of a file system that results depend on, on one folder, the root, and what is below
/// it. Paths are as the caller gives them and begin with the root.
///
/// # Errors
/// Each fails as the system says, and with a [`Strange`](strange::Strange) where a path meets
/// what the program does not deal with.
#[allow(clippy::missing_errors_doc)] // said once, above
pub trait Storage: Debug + Send + Sync {
    /// The folder that it is about.
    fn root(&self) -> &Path;

    /// All bytes of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The names of what is in a folder.
    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>>;

    /// What there is of this name; `None` if there is nothing. A link to the root is followed, no other.
    fn kind(&self, path: &Path) -> io::Result<Option<FileKind>>;

    /// When a file was changed, by the clock of its disk.
    fn modified(&self, path: &Path) -> io::Result<SystemTime>;

    /// Makes the root and the folders above it.
    fn make_root(&self) -> io::Result<()>;

    /// Makes a folder and those above it, but not the root: where that is gone, it is an error.
    fn make_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes a file that is not there yet of these parts, which outlast a crash of the machine.
    fn create(&self, path: &Path, parts: &[&[u8]]) -> io::Result<()>;

    /// Adds bytes at the end of a file that is there.
    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Opens a log to be read and written at its end.
    fn open_log(&self, path: &Path) -> io::Result<File>;

    /// Opens a log as [`open_log`](Self::open_log) does, and makes it if it is not there. What is in its
    /// place and no log is removed.
    fn make_log(&self, path: &Path) -> io::Result<File>;

    /// Gives a file or a folder another name at once, in place of a file or of an empty folder of
    /// that name; a folder that is not empty is in its way.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives two folders each other's names, at once where the file system can.
    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()>;

    /// Gives a file a second name, or copies it where it cannot have two.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes the names in a folder outlast a crash of the machine.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Removes a file, or a folder with the files in it, as far as they have names that the program
    /// makes: a folder that holds anything else stays, with that in it.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes a folder that is empty.
    fn remove_empty(&self, folder: &Path) -> io::Result<()>;
}
