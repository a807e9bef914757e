//! The tables of an experiment: brought up to date run by run they are those made from nothing, and
//! damage to one costs the others nothing.

use std::fs;
use std::path::Path;

use framework::rand::RngExt;
use framework::random::Streams;
use runner::store::{Folder, Status};
use tables::Table;

use crate::finished::Finished;
use crate::program::texts;

const TABLES: [&str; 3] = ["runs.parquet", "history.parquet", "latents.parquet"];

fn files(folder: &Path) -> [Vec<u8>; 3] {
    TABLES.map(|name| fs::read(folder.join(name)).unwrap())
}

fn remove_derived(folder: &Path) {
    for name in TABLES.into_iter().chain(["tables.json"]) {
        fs::remove_file(folder.join(name)).unwrap();
    }
}

/// If this failed, tables would depend on which commands were given in which order: rows of runs that
/// are gone or were run again would stay, or those of new runs would be missing.
#[test]
fn tables_brought_up_to_date_are_those_made_from_nothing() {
    // 160 runs are two groups.
    let finished = Finished::new(40, 3, 2);
    for seed in 0..4 {
        let place = tempfile::tempdir().unwrap();
        let folder = finished.open(place.path());
        let mut random = Streams::new(seed).stream("tables");
        let mut attempt = 0;
        for step in 0..12 {
            let what = format!("seed {seed}, step {step}");
            for _ in 0..random.random_range(1..25) {
                attempt += 1;
                let run = &finished.runs[random.random_range(0..finished.runs.len())];
                let path = folder.run(&run.id);
                match random.random_range(0..10) {
                    0 => {
                        let _ = fs::remove_dir_all(&path);
                    }
                    1 => {
                        let _ = fs::write(path.join("manifest.json"), "{ \"format\": 1, ");
                    }
                    2 => {
                        // A folder that was half copied, by whoever.
                        let _ = fs::remove_dir_all(&path);
                        fs::create_dir_all(&path).unwrap();
                        fs::write(path.join("run.parquet"), "PAR1").unwrap();
                    }
                    3 => finished.write(&folder, run, attempt, Status::Diverged),
                    _ => finished.write(&folder, run, attempt, Status::Done),
                }
            }
            // The experiment may lose runs, which stay in the folder.
            let runs =
                &finished.runs[..random.random_range(finished.runs.len() - 9..finished.runs.len())];
            // The tables themselves, and what says of what they are made.
            match random.random_range(0..6) {
                0 => drop(fs::write(place.path().join(TABLES[random.random_range(0..3)]), "PAR1")),
                1 => drop(fs::write(place.path().join("tables.json"), "{}")),
                2 => drop(fs::remove_file(place.path().join(TABLES[random.random_range(0..3)]))),
                _ => {}
            }
            let (table, warnings) = folder.compact(runs).unwrap();
            let bit_by_bit = files(place.path());
            assert_eq!(Table::from_parquet(&bit_by_bit[0]).unwrap(), table, "{what}");
            let (again, _) = folder.compact(runs).unwrap();
            assert_eq!((again, files(place.path())), (table.clone(), bit_by_bit.clone()), "{what}");
            let index = fs::read(place.path().join("tables.json")).unwrap();
            remove_derived(place.path());
            let (anew, anew_warnings) = folder.compact(runs).unwrap();
            assert!(files(place.path()) == bit_by_bit, "{what}: the files differ");
            assert_eq!((anew, anew_warnings), (table, warnings), "{what}");
            // The next step goes on from what was brought up to date.
            fs::write(place.path().join("tables.json"), index).unwrap();
        }
    }
}

/// If this failed, rows of runs that have not changed would be read again from their folders, which
/// takes a minute for 10,000.
#[test]
fn runs_that_have_not_changed_are_not_read_again() {
    let finished = Finished::new(5, 3, 2);
    let place = tempfile::tempdir().unwrap();
    let folder = finished.open(place.path());
    let [new, known @ ..] = finished.runs.as_slice() else { panic!("there are runs") };
    known.iter().for_each(|run| finished.write(&folder, run, 1, Status::Done));
    folder.compact(&finished.runs).unwrap();
    for run in known {
        for file in ["run.parquet", "history.parquet", "latents.parquet"] {
            fs::remove_file(folder.run(&run.id).join(file)).unwrap();
        }
    }
    finished.write(&folder, new, 1, Status::Done);
    let (table, warnings) = folder.compact(&finished.runs).unwrap();
    assert_eq!((table.rows(), warnings), (finished.runs.len(), Vec::new()));
    let latents = Table::from_parquet(&files(place.path())[2]).unwrap();
    assert_eq!(latents.rows(), 3 * finished.runs.len());
}

/// If this failed, one bad folder would take the others with it.
#[test]
fn a_damaged_run_costs_a_warning_that_names_it() {
    let finished = Finished::new(1, 3, 2);
    let place = tempfile::tempdir().unwrap();
    let folder = finished.open(place.path());
    finished.runs.iter().for_each(|run| finished.write(&folder, run, 1, Status::Done));
    let bad = &finished.runs[2].id;
    fs::write(folder.run(bad).join("latents.parquet"), "PAR1 and no more").unwrap();
    let (table, warnings) = Folder::at(place.path()).tables().unwrap();
    assert_eq!(table.rows(), finished.runs.len() - 1);
    assert!(matches!(warnings.as_slice(), [warning] if warning.contains(&bad.0)), "{warnings:?}");
    for table in files(place.path()) {
        let table = Table::from_parquet(&table).unwrap();
        assert!(!texts(&table, "run_id").contains(&bad.0));
    }
}
