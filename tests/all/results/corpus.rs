//! Files from strangers, damaged or hostile: every file of `fuzz/corpus` is read as the fuzz targets read it,
//! in time and within the memory that its size warrants. The same holds for files that are cut short or have
//! a byte changed. Finding new ones is the fuzzer's task (see fuzz/Cargo.toml).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use framework::rand::RngExt;
use framework::random::Streams;

use crate::parsers::{TARGETS, Target};
use crate::support::memory::peak;

/// Only a reader that hangs takes this long, however slow the machine is.
const LIMIT: Duration = Duration::from_secs(60);

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

/// Files of a target's corpus, in order of their names.
fn files(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = corpus().join(target.name);
    let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
    let names: BTreeSet<String> = names.map(|name| name.into_string().unwrap()).collect();
    let read = |name: String| {
        let bytes = fs::read(folder.join(&name)).unwrap();
        (format!("{}/{name}", target.name), bytes)
    };
    names.into_iter().map(read).collect()
}

/// Has a target read inputs one after another, in a thread that is watched. Returns the names of the refused
/// ones.
fn replay(target: &Target, inputs: Vec<(String, Vec<u8>)>) -> Vec<String> {
    let (read, memory) = (target.read, target.memory);
    let names: Vec<String> = inputs.iter().map(|(name, _)| name.clone()).collect();
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        for (_, bytes) in &inputs {
            let mut is_read = false;
            let peak = peak(|| is_read = read(bytes));
            // Without a receiver, the test has failed already.
            let _ = done.send((is_read, peak, memory(bytes.len())));
        }
    });
    let mut refused = Vec::new();
    for name in names {
        match is_done.recv_timeout(LIMIT) {
            Ok((is_read, peak, bound)) => {
                assert!(peak <= bound, "{name} takes {peak} bytes, not {bound}");
                refused.extend((!is_read).then_some(name));
            }
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("{name} hangs"),
            Err(mpsc::RecvTimeoutError::Disconnected) => panic!("{name} panics"),
        }
    }
    refused
}

#[test]
fn no_file_of_the_corpus_makes_a_parser_panic_hang_or_take_too_much_memory() {
    for target in &TARGETS {
        let files = files(target);
        let names: BTreeSet<String> = files.iter().map(|(name, _)| name.clone()).collect();
        let refused = replay(target, files).into_iter().collect();
        let read: Vec<&String> = names.difference(&refused).collect();
        let valid: Vec<&String> = names.iter().filter(|name| name.contains("/valid")).collect();
        assert_eq!(read, valid, "valid files, and they alone, are read");
    }
}

/// Nothing would ever read a folder without a target.
#[test]
fn every_folder_of_the_corpus_is_a_targets_and_every_target_has_its_file() {
    let names = |folder: PathBuf| -> BTreeSet<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(names(corpus()), targets);
    // Folders are made from numbers (running/faults/stranger.rs) and have no corpus.
    let with_files: BTreeSet<String> = targets.into_iter().chain(["folder".to_owned()]).collect();
    assert_eq!(names(corpus().join("../fuzz_targets")), with_files);
}

/// People look through the corpus, and everybody clones it.
#[test]
fn the_corpus_is_small() {
    let all = TARGETS.iter().flat_map(files);
    let size: usize = all.map(|(_, bytes)| bytes.len()).sum();
    assert!(size < 300 << 10, "{size} bytes");
}

#[test]
fn valid_files_that_are_cut_short_or_changed_do_no_harm_either() {
    let mut random = Streams::new(SEED).stream("changes");
    for target in &TARGETS {
        let valid = files(target).into_iter().filter(|(name, _)| name.contains("/valid"));
        for (name, bytes) in valid {
            let cut = (0..bytes.len())
                .step_by(64)
                .map(|length| (format!("{name} cut to {length} bytes"), bytes[..length].to_vec()));
            let changed = (0..FLIPS).map(|_| {
                let (at, flip) =
                    (random.random_range(0..bytes.len()), random.random_range(1..=255_u8));
                let mut changed = bytes.clone();
                changed[at] ^= flip;
                (format!("{name} with byte {at} changed by {flip}"), changed)
            });
            let inputs = cut.collect::<Vec<_>>().into_iter().chain(changed).collect();
            replay(target, inputs);
        }
    }
}

/// The same changes on every machine; a failure names its change.
const SEED: u64 = 1;

/// How often a byte of each valid file is changed.
const FLIPS: usize = 1000;
