//! Writes files that the user names: a page, pictures, a table, events.
//!
//! A file appears whole or not at all: it is written under a random name and then renamed. So a link that has
//! the file's name is replaced, never followed. A terminal, a pipe or a device is written to directly. Files
//! in an experiment folder are written through [`Folder`].

#![allow(clippy::disallowed_methods, reason = "these paths are the user's own word")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use store::exit::Failure;
use store::{Folder, unfinished};

/// Writes a file. `folders` are the experiment folders that the command works on.
///
/// # Errors
/// If it cannot be written.
pub fn write(folders: &[&Folder], path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if let Some(folder) = around(folders, path) {
        return folder.write_file(path, bytes);
    }
    let written = create_at(path).and_then(|mut new| {
        new.file.write_all(bytes)?;
        new.finish()
    });
    written.map_err(|error| Failure::io("write", path, &error))
}

/// Makes an empty file to write to as events happen; it has its final name at once.
///
/// # Errors
/// If it cannot be made.
pub fn create(path: &Path) -> Result<File, Failure> {
    let created = create_at(path).and_then(|mut new| {
        let file = new.file.try_clone()?;
        new.finish()?;
        Ok(file)
    });
    created.map_err(|error| Failure::io("write", path, &error))
}

/// Makes a folder for files that the user names, and its parents.
///
/// # Errors
/// If it cannot be made.
pub fn make_folder(folders: &[&Folder], path: &Path) -> Result<(), Failure> {
    match around(folders, path) {
        Some(folder) => folder.make_folder(path),
        None => {
            fs::create_dir_all(path).map_err(|error| Failure::io("make the folder", path, &error))
        }
    }
}

/// Returns the one of these experiment folders that a path leads into, if any.
fn around<'a>(folders: &[&'a Folder], path: &Path) -> Option<&'a Folder> {
    folders.iter().copied().find(|folder| {
        path.strip_prefix(folder.path()).is_ok_and(|below| {
            below.components().all(|part| matches!(part, Component::Normal(_)))
                && below.components().next().is_some()
        })
    })
}

/// A file that is being written.
struct New<'p> {
    file: File,
    /// Temporary name and final name; `None` if the file needs no renaming.
    renamed: Option<(PathBuf, &'p Path)>,
}

fn create_at(path: &Path) -> io::Result<New<'_>> {
    // Links of the system, such as `/dev/stdout`, are never replaced, wherever they lead.
    let is_special = ["/dev", "/proc"].iter().any(|system| path.starts_with(system))
        || fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
    if is_special {
        let file = OpenOptions::new().write(true).truncate(true).open(path)?;
        return Ok(New { file, renamed: None });
    }
    let beside = path.with_file_name(unfinished());
    Ok(New { file: File::create_new(&beside)?, renamed: Some((beside, path)) })
}

impl New<'_> {
    fn finish(&mut self) -> io::Result<()> {
        let Some((beside, path)) = self.renamed.take() else { return Ok(()) };
        fs::rename(&beside, path).inspect_err(|_| drop(fs::remove_file(&beside)))
    }
}

impl Drop for New<'_> {
    fn drop(&mut self) {
        if let Some((beside, _)) = &self.renamed {
            // The file is unfinished. It does no harm if it cannot be removed.
            let _ = fs::remove_file(beside);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Wrong if a link at the name of a file, or at an easily guessed temporary name, led a page to another
    /// file.
    #[test]
    fn links_are_replaced_and_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let (target, path) = (place.path().join("target"), place.path().join("page.html"));
        fs::write(&target, "precious").unwrap();
        for name in ["page.html", "page.html.part", "events.jsonl"] {
            symlink("target", place.path().join(name)).unwrap();
        }
        write(&[], &path, b"page").unwrap();
        create(&place.path().join("events.jsonl")).unwrap().write_all(b"event").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"precious");
        assert_eq!(fs::read(&path).unwrap(), b"page");
        assert_eq!(fs::read(place.path().join("events.jsonl")).unwrap(), b"event");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 4, "nothing else is left");
    }

    /// Wrong if a link in an experiment folder led out of it, or a failed command left a part of a file.
    #[test]
    fn what_lies_in_an_experiment_folder_goes_through_its_door() {
        let place = tempfile::tempdir().unwrap();
        let (root, outside) = (place.path().join("grid"), place.path().join("outside"));
        fs::create_dir(&root).unwrap();
        fs::create_dir(&outside).unwrap();
        symlink("../outside", root.join("figures")).unwrap();
        let folder = Folder::at(&root);
        let path = root.join("figures/one.svg");
        assert!(write(&[&folder], &path, b"x").is_err());
        assert!(make_folder(&[&folder], &root.join("figures/more")).is_err());
        assert!(write(&[&folder], &root.join("gone/one.svg"), b"x").is_err());
        write(&[&folder], &root.join("report.html"), b"page").unwrap();
        // A path with `..` in it is handled as any other path.
        write(&[&folder], &root.join("../outside/page"), b"x").unwrap();
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
        assert_eq!(fs::read_dir(&root).unwrap().count(), 2);
    }

    /// Wrong if a device or a pipe were replaced by a file.
    #[test]
    fn what_is_no_file_is_written_to_as_it_stands() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        write(&[], Path::new("/dev/null"), b"x").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        let place = tempfile::tempdir().unwrap();
        let pipe = place.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read(pipe).unwrap()
        });
        write(&[], &pipe, b"event").unwrap();
        assert_eq!(reader.join().unwrap(), b"event");
    }
}
