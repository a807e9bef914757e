//! Opens files that a user or a stranger names: regular files only, and no more of them than is asked for.
//!
//! A FIFO would block the program for ever, a device such as `/dev/zero` has no end, and opening some
//! devices does something by itself. Each is refused by its name before a byte is read. A link to a
//! regular file is followed: whoever may not follow links opens the file in another way and then calls
//! [`regular`] and [`read_at_most`].

#![allow(clippy::disallowed_methods, reason = "this is the module that opens what a user names")]

use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// Opens a regular file for reading. Never waits for another process.
///
/// # Errors
/// If it cannot be opened, or is something else than a regular file; the error says what it is.
pub fn open(path: &Path) -> io::Result<File> {
    // Looked at before it is opened: a tape rewinds when it is opened, a FIFO wakes its writer.
    check(fs::metadata(path)?.file_type())?;
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed());
    }
    // Looked at again: another process may have put a FIFO in its place meanwhile.
    regular(options.open(path)?)
}

/// Reads a regular file whole.
///
/// # Errors
/// Those of [`open`], and if it holds more than `most` bytes.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_at_most(&open(path)?, most)
}

/// Returns an open file if it is a regular one. It has to be opened with `O_NONBLOCK`.
///
/// # Errors
/// If it is something else, which the error names.
pub fn regular(file: File) -> io::Result<File> {
    check(file.metadata()?.file_type())?;
    Ok(file)
}

/// Reads the rest of a file.
///
/// # Errors
/// If it cannot be read, or holds more than `most` bytes; then at most `most` + 1 of them are in memory.
pub fn read_at_most(file: &File, most: u64) -> io::Result<Vec<u8>> {
    let size = file.metadata()?.len();
    let mut bytes = Vec::new();
    if size <= most {
        bytes.reserve_exact(usize::try_from(size).unwrap_or(0));
        file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    }
    if size.max(bytes.len() as u64) > most {
        let most = bytesize::ByteSize(most).display().iec();
        let message = format!("it holds more than {most}, the most that is read");
        return Err(io::Error::new(ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

fn check(kind: FileType) -> io::Result<()> {
    if kind.is_file() {
        return Ok(());
    }
    let message = if kind.is_dir() {
        "it is a folder, expected a file".to_owned()
    } else {
        let name = special(kind);
        format!(
            "it is {name}, expected a regular file; write what it gives to a file and name that"
        )
    };
    Err(io::Error::new(ErrorKind::InvalidInput, message))
}

/// What is neither a regular file nor a folder.
fn special(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a pipe (FIFO)";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
    }
    let _ = kind;
    "a special file"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if a file that is one byte too large is read, or one that just fits is not.
    #[test]
    fn a_file_is_read_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, b"12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        let error = read(&path, 4).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
        assert_eq!(error.to_string(), "it holds more than 4 B, the most that is read");
        assert_eq!(read(&path, u64::MAX).unwrap(), b"12345");
        let gone = read(&folder.path().join("gone"), 4).unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::NotFound);
    }

    /// Wrong if a link to a regular file is refused: the user may name files as he likes.
    #[cfg(unix)]
    #[test]
    fn a_link_to_a_file_is_that_file() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        fs::write(folder.path().join("file"), b"1").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        assert_eq!(read(&link, 9).unwrap(), b"1");
    }

    /// Wrong if any of these is opened: a FIFO blocks until somebody writes, `/dev/zero` never ends.
    /// Before this module, the FIFO hung here.
    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_no_regular_file_is_refused_by_its_name() {
        use rustix::fs::{CWD, FileType as Kind, Mode, mknodat};
        let folder = tempfile::tempdir().unwrap();
        let refused = |path: &Path| {
            let error = open(path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            error.to_string()
        };
        assert_eq!(refused(folder.path()), "it is a folder, expected a file");
        let fifo = folder.path().join("fifo");
        mknodat(CWD, &fifo, Kind::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert!(refused(&fifo).starts_with("it is a pipe (FIFO), expected a regular file; "));
        let socket = folder.path().join("socket");
        let _bound = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(refused(&socket).starts_with("it is a socket, expected a regular file"));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        assert!(refused(&link).starts_with("it is a device, expected a regular file"));
    }
}
