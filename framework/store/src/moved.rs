//! Finds the files of an experiment after its folder was moved, or on a machine that sees it under
//! another path. Files beside the folder move with it.

#![allow(clippy::disallowed_methods, reason = "it looks for files that the experiment names")]

use std::path::{Component, Path, PathBuf};

use framework::spec::{Included, Override};

/// Absolute path of a folder, without `..`; links in it stay.
pub fn known_as(folder: &Path) -> PathBuf {
    let mut path = PathBuf::new();
    for part in std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()).components() {
        match part {
            // Nothing is above the root: there, `pop` does nothing.
            Component::ParentDir => drop(path.pop()),
            part => path.push(part),
        }
    }
    path
}

/// A project that was moved as a whole, with the experiment folder in it.
pub struct Moved {
    from: PathBuf,
    to: PathBuf,
}

impl Moved {
    /// Recognises that an experiment folder moved from one path to another with its project. The
    /// experiment file, `file` in `base`, must lie where it lay as seen from the folder; or, if the old
    /// `base` is gone, at least the new one must exist. A folder that was moved alone leaves all behind:
    /// `None`.
    pub fn of(from: &Path, to: &Path, base: &Path, file: &str) -> Option<Self> {
        let moved = Self { from: from.to_owned(), to: known_as(to) };
        let name = Path::new(file).file_name().unwrap_or_default();
        let now = moved.path(base)?;
        let is_there = now.join(name).exists() || now.is_dir() && !base.is_dir();
        (moved.from != moved.to && is_there).then_some(moved)
    }

    /// New path of what was at `path`, at the same place as seen from the experiment folder; `None` if
    /// there is no such path.
    fn path(&self, path: &Path) -> Option<PathBuf> {
        let same = self.from.components().zip(path.components()).take_while(|(a, b)| a == b);
        let same = same.count();
        let mut now = self.to.clone();
        for _ in self.from.components().skip(same) {
            if !now.pop() {
                return None;
            }
        }
        now.extend(path.components().skip(same));
        Some(now)
    }

    /// New path of the folder that relative paths start from; the old path if the folder did not move.
    pub fn base(&self, base: PathBuf) -> PathBuf {
        self.path(&base).filter(|now| now.is_dir()).unwrap_or(base)
    }

    /// Returns an override with the new path of the folder that its relative paths start from.
    pub fn overriding(&self, set: Override) -> Override {
        Override { base: self.base(set.base), ..set }
    }

    /// An included file under its new path. It keeps its old path too, for an experiment that names it by
    /// an absolute path.
    pub fn including(&self, included: &Included) -> Option<Included> {
        Some(Included { path: self.path(&included.path)?, ..included.clone() })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Wrong if data were looked for in the old place after a project was moved, or in the new place
    /// after its results alone were moved.
    #[test]
    fn what_lies_beside_a_folder_travels_with_it_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        for folder in ["new/experiments", "new/results/x", "archive/x"] {
            fs::create_dir_all(path(folder)).unwrap();
        }
        let (from, base) = (path("old/results/x"), path("old/experiments"));
        let of = |to: &str, file: &str| Moved::of(&from, &path(to), &base, file);
        // The old place and its file are gone: a new folder at the right place is enough.
        let moved = of("new/results/x", "experiments/x.toml").unwrap();
        assert_eq!(moved.base(base.clone()), path("new/experiments"));
        assert_eq!(moved.base(path("elsewhere")), path("elsewhere"));
        let kept = Included { path: base.join("../b.toml"), name: "b".into(), text: String::new() };
        let included = moved.including(&kept).unwrap();
        assert_eq!(included.path, path("new/experiments/../b.toml"));
        // A copy beside the original project is a project of its own.
        fs::create_dir_all(&base).unwrap();
        assert!(of("new/results/x", "x.toml").is_none(), "there is no experiment there");
        fs::write(path("new/experiments/x.toml"), "").unwrap();
        assert!(of("new/results/x", "../old/x.toml").is_some());
        assert!(of("new/results/../results/./x", "x.toml").is_some());
        // The results alone.
        assert!(of("archive/x", "x.toml").is_none());
        assert!(of("old/results/x", "x.toml").is_none(), "it is where it was");
    }

    #[test]
    fn a_folder_is_known_by_one_path() {
        assert_eq!(known_as(Path::new("/a/./b/../c")), Path::new("/a/c"));
        assert_eq!(known_as(Path::new("/../a/")), Path::new("/a"));
        assert!(known_as(Path::new("x")).is_absolute());
    }
}
