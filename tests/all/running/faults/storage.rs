//! Each operation of the file system fails in turn: nothing is under its final name unless it is whole, and
//! the next command ends as if no operation had failed.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use store::RunState;

use super::*;

/// Two runs of a few steps, with a checkpoint after each.
const GRID: &str = "name = \"grid\"
seeds = [0, 1]

[dataset]
kind = \"digits\"

[architecture]
kind = \"dense\"
latents = 8

[penalty]
kind = \"l1\"
lambda = 0.1

[train]
steps = 3
batch = 16

[evaluate]
every = 2

[run]
checkpoint = 0
";

/// A disk on which one operation fails, or every operation from one on, as if the process were killed there.
#[derive(Debug)]
struct Faulty {
    disk: Disk,
    /// Number of operations until the fault.
    left: AtomicUsize,
    for_good: bool,
    kind: io::ErrorKind,
    /// How long it takes to make a file.
    slowness: Duration,
    /// Number of renewals of a lease.
    renewed: AtomicUsize,
}

impl Faulty {
    fn new(path: &Path, left: usize, for_good: bool) -> Self {
        // Errors without a rule in the store, both of a full disk and of a broken one.
        let kind =
            if left.is_multiple_of(2) { io::ErrorKind::StorageFull } else { io::ErrorKind::Other };
        let (left, renewed) = (AtomicUsize::new(left), AtomicUsize::new(0));
        let disk = Disk::at(path);
        Self { disk, left, for_good, kind, slowness: Duration::ZERO, renewed }
    }

    fn was_reached(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    /// Fails if it is this operation's turn.
    fn pass(&self) -> io::Result<()> {
        let left = self.left.load(Ordering::Relaxed);
        let fails = left == 1 || left == 0 && self.for_good;
        self.left.store(left.saturating_sub(1), Ordering::Relaxed);
        if fails { Err(io::Error::new(self.kind, "injected")) } else { Ok(()) }
    }
}

impl Storage for Faulty {
    fn root(&self) -> &Path {
        self.disk.root()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.pass()?;
        self.disk.read(path)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        self.pass()?;
        self.disk.names(folder)
    }

    fn kind(&self, path: &Path) -> io::Result<Option<FileKind>> {
        self.pass()?;
        self.disk.kind(path)
    }

    fn modified(&self, path: &Path) -> io::Result<SystemTime> {
        self.pass()?;
        self.disk.modified(path)
    }

    fn make_root(&self) -> io::Result<()> {
        self.pass()?;
        self.disk.make_root()
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.pass()?;
        self.disk.make_folder(path)
    }

    fn create(&self, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
        std::thread::sleep(self.slowness);
        self.pass()?;
        let bytes = parts.concat();
        // Writing stops in the middle, or syncing fails.
        self.pass().inspect_err(|_| {
            let _ = self.disk.create(path, &[&bytes[..bytes.len() / 2]]);
        })?;
        self.disk.create(path, &[&bytes])?;
        self.pass()
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.renewed.fetch_add(1, Ordering::Relaxed);
        self.pass()?;
        self.disk.append(path, bytes)
    }

    fn open_log(&self, path: &Path) -> io::Result<File> {
        self.pass()?;
        self.disk.open_log(path)
    }

    fn make_log(&self, path: &Path) -> io::Result<File> {
        self.pass()?;
        self.disk.make_log(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.pass()?;
        self.disk.rename(from, to)?;
        // Done but reported as failed, as on a network disk.
        self.pass()
    }

    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        self.pass()?;
        self.disk.exchange(one, other)?;
        self.pass()
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.pass()?;
        self.disk.link(from, to)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.pass()?;
        self.disk.sync_folder(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.pass()?;
        self.disk.remove(path)
    }

    fn remove_empty(&self, folder: &Path) -> io::Result<()> {
        self.pass()?;
        self.disk.remove_empty(folder)
    }
}

/// Makes the n-th operation of a command fail, for every n that it reaches, in a folder made by `prepare`,
/// and compares the end with `oracle`.
fn fail_each(command: &Command, oracle: &Table, for_good: bool, prepare: impl Fn(&Folder)) {
    for n in 1.. {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("grid");
        prepare(&Folder::at(&path));
        let faulty = Arc::new(Faulty::new(&path, n, for_good));
        let failed = command.run(&Folder::on(faulty.clone()), &|_| {});
        let mended = Folder::at(&path);
        for run in &command.runs {
            let state = mended.state(&run.id, true).unwrap();
            assert!(!matches!(state, RunState::Damaged(_)), "operation {n}: {state:?}");
        }
        match &failed {
            Err(Failure::Io(message) | Failure::Busy(message)) => {
                assert!(!message.is_empty());
            }
            Err(other) => panic!("operation {n}: {other}"),
            Ok(table) => assert_same(table, oracle),
        }
        let again = command.run(&mended, &|_| {}).unwrap_or_else(|failure| {
            panic!("operation {n} failed with {failed:?}, and then {failure}")
        });
        assert_same(&again, oracle);
        if !faulty.was_reached() {
            assert!(failed.is_ok());
            eprintln!("{} operations failed in turn", n - 1);
            break;
        }
    }
}

fn oracle(command: &Command) -> Table {
    let place = tempfile::tempdir().unwrap();
    command.run(&Folder::at(place.path().join("grid")), &|_| {}).unwrap()
}

#[test]
fn any_operation_may_fail_once() {
    let command = Command::of(GRID);
    fail_each(&command, &oracle(&command), false, |_| {});
}

#[test]
fn any_operation_may_be_the_last() {
    let command = Command::of(GRID);
    fail_each(&command, &oracle(&command), true, |_| {});
}

/// Wrong if a failing disk changed which runs halving stops.
#[test]
fn any_operation_may_fail_while_runs_are_compared() {
    let grid =
        GRID.replace("checkpoint = 0", "halving = { metric = \"test_mse\", eta = 2, first = 0.5 }");
    let command = Command::of(&grid);
    let oracle = oracle(&command);
    let statuses = crate::support::program::texts(&oracle, "status");
    assert!(statuses.contains(&"stopped".to_owned()) && statuses.contains(&"done".to_owned()));
    fail_each(&command, &oracle, true, |_| {});
}

/// A later evaluation replaces results: at every moment the old or the new result is there.
#[test]
fn any_operation_may_fail_while_an_evaluation_is_added() {
    let grid = GRID.replace("[0, 1]", "[0]");
    let before = Command::of(&grid.replace("every", "kinds = [\"reconstruction\"]\nevery"));
    let after = Command::of(&grid);
    let prepare = |folder: &Folder| drop(before.run(folder, &|_| {}).unwrap());
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::at(place.path().join("grid"));
    prepare(&folder);
    let oracle = after.run(&folder, &|_| {}).unwrap();
    assert!(oracle.get("test_l0").is_some());
    assert_eq!(before.runs[0].id, after.runs[0].id);
    for for_good in [false, true] {
        fail_each(&after, &oracle, for_good, prepare);
    }
}

/// Wrong if a worker could lose its run while it stores results on a slow disk.
#[test]
fn a_lease_is_renewed_while_results_are_stored() {
    let one = GRID.replace("[0, 1]", "[0]");
    let command = Command::of(&one.replace("checkpoint = 0", "checkpoint = \"1h\"\nlease = 0.5"));
    let place = tempfile::tempdir().unwrap();
    let slow = Faulty::new(&place.path().join("grid"), usize::MAX, false);
    let slow = Arc::new(Faulty { slowness: Duration::from_millis(300), ..slow });
    command.run(&Folder::on(slow.clone()), &|_| {}).unwrap();
    // Five files are stored, each longer than the 125 ms after which the lease is to be renewed.
    let renewed = slow.renewed.load(Ordering::Relaxed);
    assert!(renewed >= 3, "{renewed} times");
}
