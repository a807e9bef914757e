//! What the store asks of a file system. Every file of an experiment folder goes through here, so
//! that tests can make each operation fail in turn.

use std::ffi::OsString;
use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// The operations of a file system that results depend on. Paths are as the caller gives them.
///
/// # Errors
/// Each fails as the system says.
#[allow(clippy::missing_errors_doc)] // said once, above
pub trait Storage: Debug + Send + Sync {
    /// All bytes of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The names of what is in a folder.
    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>>;

    /// Whether there is something of this name.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Makes a folder and those above it.
    fn make_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes a folder and those above it as far as they lie below `root`, which is not made: where it is
    /// gone, that is an error.
    fn make_folder_below(&self, root: &Path, path: &Path) -> io::Result<()>;

    /// Makes a file that is not there yet of these parts, which outlast a crash of the machine.
    fn create(&self, path: &Path, parts: &[&[u8]]) -> io::Result<()>;

    /// Adds bytes at the end of a file that is there.
    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Gives a file or a folder another name at once, in place of a file or of an empty folder of
    /// that name; a folder that is not empty is in its way.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives two folders each other's names, at once where the file system can.
    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()>;

    /// Gives a file a second name, or copies it where it cannot have two.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes the names in a folder outlast a crash of the machine.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Removes a file, or a folder with everything in it.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes a folder that is empty.
    fn remove_empty(&self, folder: &Path) -> io::Result<()>;
}

/// The file systems of this machine.
#[derive(Clone, Copy, Debug)]
pub struct Disk;

impl Storage for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        again_if_gone(|| fs::create_dir_all(path), || path.exists())
    }

    fn make_folder_below(&self, root: &Path, path: &Path) -> io::Result<()> {
        again_if_gone(|| create_below(root, path), || path.exists())
    }

    fn create(&self, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
        let mut file = File::create_new(path)?;
        parts.iter().try_for_each(|part| file.write_all(part))?;
        file.sync_all()
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        OpenOptions::new().append(true).open(path)?.write_all(bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{CWD, RenameFlags, renameat_with};
            use rustix::io::Errno;
            match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
                exchanged => return Ok(exchanged?),
            }
        }
        let between = one.with_extension("exchanged");
        fs::rename(one, &between)?;
        fs::rename(other, one).or_else(|error| {
            fs::rename(&between, one)?;
            Err(error)
        })?;
        fs::rename(between, other)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to).or_else(|_| {
            fs::copy(from, to)?;
            File::open(to)?.sync_all()
        })
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        #[cfg(unix)]
        File::open(path)?.sync_all()?;
        #[cfg(not(unix))]
        let _ = path;
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
    }

    fn remove_empty(&self, folder: &Path) -> io::Result<()> {
        fs::remove_dir(folder)
    }
}

/// Makes a folder and those between it and `root`.
fn create_below(root: &Path, path: &Path) -> io::Result<()> {
    let create = || match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    };
    match (create(), path.parent()) {
        (Err(error), Some(above)) if error.kind() == io::ErrorKind::NotFound && above != root => {
            create_below(root, above)?;
            create()
        }
        (made, _) => made,
    }
}

/// Makes a folder and those above it. One above may be removed by another process just when it was found to
/// be there; it is taken for something that is in the way, and is made again.
fn again_if_gone(
    mut make: impl FnMut() -> io::Result<()>,
    is_there: impl Fn() -> bool,
) -> io::Result<()> {
    const TRIES: usize = 16;
    for _ in 1..TRIES {
        match make() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !is_there() => {}
            made => return made,
        }
    }
    make()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if whoever still works on a folder that was moved away made another one in its place.
    #[test]
    fn a_folder_is_made_below_what_is_there_and_not_with_it() {
        let place = tempfile::tempdir().unwrap();
        let (root, path) = (place.path().join("grid"), place.path().join("grid/one/two"));
        let gone = Disk.make_folder_below(&root, &path).unwrap_err();
        assert!(gone.kind() == io::ErrorKind::NotFound && !root.exists(), "{gone}");
        fs::create_dir(&root).unwrap();
        Disk.make_folder_below(&root, &path).unwrap();
        Disk.make_folder_below(&root, &path).unwrap();
        assert!(path.is_dir());
        fs::write(root.join("file"), "in the way").unwrap();
        for path in ["file", "file/below"] {
            assert!(Disk.make_folder_below(&root, &root.join(path)).is_err(), "{path}");
        }
    }

    /// Wrong if one who tidies up kept another from beginning a run, as two of many workers that ask for the
    /// same run may do at once; or if what is in the way for good were asked for without end.
    #[test]
    fn what_is_gone_again_is_no_longer_in_the_way() {
        let in_the_way = || io::Error::from(io::ErrorKind::AlreadyExists);
        let mut times = 0;
        let mut twice = || {
            times += 1;
            if times > 2 { Ok(()) } else { Err(in_the_way()) }
        };
        again_if_gone(&mut twice, || false).unwrap();
        let mut asked = 0;
        let mut never = || {
            asked += 1;
            Err(in_the_way())
        };
        assert!(again_if_gone(&mut never, || true).is_err());
        assert!(again_if_gone(&mut never, || false).is_err());
        assert!((2..100).contains(&asked), "{asked}");
    }
}
