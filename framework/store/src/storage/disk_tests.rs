//! Tests of what `disk` does and what it refuses.

use std::os::unix::fs::symlink;

use super::*;

/// A root, with a folder beside it that no operation may touch.
struct Sandbox {
    _temporary: tempfile::TempDir,
    root: PathBuf,
    outside: PathBuf,
}

fn place() -> Sandbox {
    let temporary = tempfile::tempdir().unwrap();
    let (root, outside) = (temporary.path().join("grid"), temporary.path().join("outside"));
    fs::create_dir(&root).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("claim.json"), "precious").unwrap();
    Sandbox { _temporary: temporary, root, outside }
}

impl Sandbox {
    fn disk(&self) -> Disk {
        Disk::at(&self.root)
    }

    /// Returns whether the folder outside is unchanged.
    fn is_untouched(&self) -> bool {
        let names: Vec<_> = fs::read_dir(&self.outside).unwrap().collect();
        names.len() == 1 && fs::read(self.outside.join("claim.json")).unwrap() == b"precious"
    }
}

/// Wrong if any operation, for reading or for writing, went through a link: a file, a folder on the way,
/// or a link to something in the same root.
#[test]
fn no_operation_goes_through_a_link() {
    let place = place();
    let (disk, root) = (place.disk(), &place.root);
    symlink("../outside", root.join("1")).unwrap();
    symlink("../outside/claim.json", root.join("claim.json")).unwrap();
    fs::write(root.join("log.txt"), "mine").unwrap();
    for (file, folder) in [("claim.json", None), ("1/claim.json", Some("1"))] {
        let path = root.join(file);
        let refused = [
            disk.read(&path).err(),
            disk.append(&path, b"x").err(),
            disk.open_log(&path).err(),
            disk.link(&path, &root.join("search")).err(),
        ];
        for error in refused {
            let error = error.unwrap();
            assert_eq!(Strange::of(&error), Some(Strange::Link), "{file}: {error}");
        }
        let Some(folder) = folder.map(|folder| root.join(folder)) else { continue };
        let refused = [
            disk.names(&folder).err(),
            disk.create(&folder.join("new"), &[b"x"]).err(),
            disk.make_folder(&folder.join("new")).err(),
            disk.rename(&root.join("log.txt"), &folder.join("log.txt")).err(),
            disk.rename(&path, &root.join("search")).err(),
            disk.exchange(&path, &root.join("log.txt")).err(),
            disk.link(&root.join("log.txt"), &folder.join("log.txt")).err(),
            disk.remove(&path).err(),
            disk.sync_folder(&folder).err(),
            disk.modified(&path).err(),
            disk.kind(&path).err(),
        ];
        for (at, error) in refused.into_iter().enumerate() {
            let error = error.unwrap();
            assert_eq!(Strange::of(&error), Some(Strange::Link), "operation {at}: {error}");
        }
        assert_eq!(disk.kind(&folder).unwrap(), Some(FileKind::Other));
    }
    // A link itself may be moved, replaced and removed.
    disk.rename(&root.join("log.txt"), &root.join("claim.json")).unwrap();
    disk.rename(&root.join("1"), &root.join("2")).unwrap();
    disk.remove(&root.join("2")).unwrap();
    assert_eq!(disk.read(&root.join("claim.json")).unwrap(), b"mine");
    assert!(place.is_untouched());
}

/// Wrong if tidying up removed files that the program did not make, or followed a link to another place.
#[test]
fn a_folder_is_removed_with_what_the_program_has_made_in_it() {
    let place = place();
    let (disk, root) = (place.disk(), &place.root);
    for folder in ["1", "2", "3", "notes"] {
        fs::create_dir(root.join(folder)).unwrap();
        fs::write(root.join(folder).join("claim.json"), "").unwrap();
        symlink("../../outside/claim.json", root.join(folder).join("log.txt")).unwrap();
    }
    fs::write(root.join("2/notes.txt"), "a user's").unwrap();
    fs::create_dir_all(root.join("3/search/deep")).unwrap();
    disk.remove(&root.join("1")).unwrap();
    assert!(!root.join("1").exists());
    assert!(disk.remove(&root.join("2")).is_err() && disk.remove(&root.join("3")).is_err());
    assert_eq!(disk.names(&root.join("2")).unwrap(), ["notes.txt"]);
    assert!(root.join("3/search/deep").exists());
    assert!(disk.remove(&root.join("notes")).is_err() && root.join("notes/claim.json").exists());
    assert!(place.is_untouched());
}

/// Wrong if a pipe made the program wait for ever, or a device or a huge file took its memory.
#[test]
fn only_regular_files_of_a_size_that_they_can_have_are_read() {
    let place = place();
    let (disk, root) = (place.disk(), &place.root);
    let path = root.join("manifest.json");
    rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let refused = [disk.read(&path).err(), disk.append(&path, b"x").err()];
    for error in refused {
        assert_eq!(Strange::of(&error.unwrap()), Some(Strange::Special));
    }
    let path = root.join("log.txt");
    rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    disk.make_log(&path).unwrap().write_all(b"words").unwrap();
    assert_eq!(disk.read(&path).unwrap(), b"words", "a log was made in its place");
    let path = root.join("claim.json");
    File::create(&path).unwrap().set_len(1 << 40).unwrap();
    let error = disk.read(&path).unwrap_err();
    assert!(matches!(Strange::of(&error), Some(Strange::TooLarge { .. })), "{error}");
    assert_eq!(disk.read(root).unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

/// Wrong if a hard link to a user's file were appended to, as a claim or as a log.
#[test]
fn a_file_with_another_name_is_not_written_to() {
    let place = place();
    let (disk, root) = (place.disk(), &place.root);
    for name in ["claim.json", "log.txt"] {
        fs::hard_link(place.outside.join("claim.json"), root.join(name)).unwrap();
        let error = disk.append(&root.join(name), b"x").unwrap_err();
        assert_eq!(Strange::of(&error), Some(Strange::Shared));
    }
    disk.make_log(&root.join("log.txt")).unwrap().write_all(b"words").unwrap();
    assert!(place.is_untouched());
}

/// Wrong if a process that still works on a folder that was moved away made another one in its place.
#[test]
fn a_folder_is_made_below_what_is_there_and_not_with_it() {
    let place = tempfile::tempdir().unwrap();
    let (root, path) = (place.path().join("grid"), place.path().join("grid/one/two"));
    let disk = Disk::at(&root);
    let gone = disk.make_folder(&path).unwrap_err();
    assert!(gone.kind() == io::ErrorKind::NotFound && !root.exists(), "{gone}");
    disk.make_root().unwrap();
    disk.make_folder(&path).unwrap();
    disk.make_folder(&path).unwrap();
    assert!(path.is_dir());
    fs::write(root.join("file"), "in the way").unwrap();
    for path in ["file", "file/below"] {
        assert!(disk.make_folder(&root.join(path)).is_err(), "{path}");
    }
    assert!(disk.make_folder(&place.path().join("beside")).is_err());
}

/// Wrong if a worker that tidies up kept another from beginning a run, as two of many workers that ask
/// for the same run may do at once; or if a folder that can never be made were tried without end.
#[test]
fn what_is_gone_again_is_made_again() {
    let mut times = 0;
    let mut twice = || {
        times += 1;
        if times > 2 { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    };
    retry_if_gone(&mut twice, || true).unwrap();
    let mut asked = 0;
    let mut never = || {
        asked += 1;
        Err(io::ErrorKind::NotFound.into())
    };
    assert!(retry_if_gone(&mut never, || false).is_err());
    assert!(retry_if_gone(&mut never, || true).is_err());
    assert!((2..100).contains(&asked), "{asked}");
}

/// The user names the experiment folder itself, so it may be a link.
#[test]
fn the_root_may_be_a_link() {
    let place = place();
    let link = place.root.with_file_name("link");
    symlink("grid", &link).unwrap();
    let disk = Disk::at(&link);
    disk.create(&link.join("claim.json"), &[b"a", b"b"]).unwrap();
    assert_eq!(disk.read(&link.join("claim.json")).unwrap(), b"ab");
    assert!(place.root.join("claim.json").exists());
}

/// Wrong if the exhibits of a run kept its folder from being removed, or took files of others along.
#[test]
fn a_folder_is_removed_with_the_exhibits_in_it() {
    let place = tempfile::tempdir().unwrap();
    let (disk, root) = (Disk::at(place.path()), place.path());
    for folder in ["1", "2"] {
        fs::create_dir_all(root.join(folder).join("exhibits")).unwrap();
        fs::write(root.join(folder).join("exhibits/map.png"), "x").unwrap();
        fs::write(root.join(folder).join("exhibits/.writing-0-1"), "x").unwrap();
    }
    fs::write(root.join("2/exhibits/Notes.txt"), "of a user").unwrap();
    disk.remove(&root.join("1")).unwrap();
    assert!(!root.join("1").exists());
    let error = disk.remove(&root.join("2")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::DirectoryNotEmpty);
    assert_eq!(disk.names(&root.join("2/exhibits")).unwrap(), ["Notes.txt"]);
    // What is outside stays where a link leads to it.
    fs::create_dir_all(root.join("outside")).unwrap();
    fs::write(root.join("outside/map.png"), "x").unwrap();
    fs::create_dir(root.join("3")).unwrap();
    std::os::unix::fs::symlink(root.join("outside"), root.join("3/exhibits")).unwrap();
    disk.remove(&root.join("3")).unwrap();
    assert!(root.join("outside/map.png").exists());
}
