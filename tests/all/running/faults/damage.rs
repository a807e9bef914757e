//! Damaged files: their digests reveal them before anything parses them; they are put aside, and made again.

use std::fs;
use std::path::PathBuf;

use framework::rand::RngExt;
use framework::random::Streams;
use store::RunState;
use tables::Values;

use super::*;

/// Two runs of a few steps.
const GRID: &str = "name = \"grid\"
seeds = [0, 1]

[dataset]
kind = \"digits\"

[architecture]
kind = \"dense\"
latents = 8

[train]
steps = 4
batch = 16
";

/// The same changes on every machine; a failure names its change.
const SEED: u64 = 1;

/// How often a byte of each file is changed.
const FLIPS: usize = 200;

struct Done {
    _place: tempfile::TempDir,
    folder: Folder,
    command: Command,
    oracle: Table,
}

fn done() -> Done {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::at(place.path().join("grid"));
    let command = Command::of(GRID);
    let oracle = command.run(&folder, &|_| {}).unwrap();
    Done { _place: place, folder, command, oracle }
}

impl Done {
    fn file(&self, name: &str) -> PathBuf {
        self.folder.run(&self.command.runs[0].id).join(name)
    }
}

/// Damages to the bytes of a file, with their description.
fn changes(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut random = Streams::new(SEED).stream("damage");
    let mut changes: Vec<_> = (0..bytes.len())
        .step_by(64)
        .map(|length| (format!("cut to {length} bytes"), bytes[..length].to_vec()))
        .collect();
    for _ in 0..FLIPS {
        let (at, flip) = (random.random_range(0..bytes.len()), random.random_range(1..=255_u8));
        let mut changed = bytes.to_vec();
        changed[at] ^= flip;
        changes.push((format!("byte {at} changed by {flip}"), changed));
    }
    changes.push(("more at its end".to_owned(), [bytes, b"more"].concat()));
    changes.push(("of another kind".to_owned(), b"PAR1 and then nothing".to_vec()));
    changes
}

/// Wrong if a damaged result passed for a whole one, or affected the others.
#[test]
fn every_damage_to_a_result_is_noticed_and_the_other_runs_stay_readable() {
    let done = done();
    let (id, other) = (&done.command.runs[0].id, &done.command.runs[1].id);
    for name in
        ["manifest.json", "run.parquet", "history.parquet", "latents.parquet", "model.safetensors"]
    {
        let whole = fs::read(done.file(name)).unwrap();
        for (at, (what, bytes)) in changes(&whole).into_iter().enumerate() {
            fs::write(done.file(name), bytes).unwrap();
            let state = done.folder.state(id, true).unwrap();
            assert!(matches!(state, RunState::Damaged(_)), "{name} {what}: {state:?}");
            // Tables are made without the model.
            if at % 50 == 0 && name != "model.safetensors" {
                // Rows that were read before the damage are right, and stay.
                fs::remove_file(done.folder.path().join("tables.json")).unwrap();
                let (table, warnings) = done.folder.compact(&done.command.runs).unwrap();
                assert_eq!(table.get("run_id"), Some(&Values::Text(vec![Some(other.0.clone())])));
                assert!(warnings[0].contains(&id.0), "{name} {what}: {warnings:?}");
            }
        }
        fs::write(done.file(name), whole).unwrap();
    }
    assert!(matches!(done.folder.state(id, true).unwrap(), RunState::Ended(_)));
}

/// Wrong if a damaged file at the top of the folder had to be repaired by hand.
#[test]
fn what_describes_the_experiment_is_written_anew_and_the_damaged_kept() {
    let done = done();
    for name in ["invocation.json", "experiment.toml", "runs.parquet", "history.parquet"] {
        let path = done.folder.path().join(name);
        for damage in ["", "{ \"format\": ", "\u{0}\u{1}\u{2}"] {
            fs::write(&path, damage).unwrap();
            let again = done.command.run(&done.folder, &|_| {}).unwrap();
            assert_same(&again, &done.oracle);
            assert_ne!(fs::read(&path).unwrap(), damage.as_bytes(), "{name}");
        }
    }
    let kept = fs::read_dir(done.folder.path()).unwrap();
    let kept = kept.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(kept.filter(|name| name.starts_with("damaged.")).count(), 3);
}

/// Wrong if this version could spoil a folder of a newer one.
#[test]
fn a_folder_of_a_newer_version_is_left_alone() {
    let done = done();
    let path = done.folder.path().join("invocation.json");
    let newer = fs::read_to_string(&path).unwrap().replace("\"format\": 1", "\"format\": 2");
    fs::write(&path, &newer).unwrap();
    let refused = done.command.run(&done.folder, &|_| {}).unwrap_err();
    assert!(matches!(refused, Failure::Busy(_)), "{refused}");
    assert_eq!(fs::read_to_string(&path).unwrap(), newer);
}
