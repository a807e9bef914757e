//! The tables of an experiment: brought up to date run by run, they equal those made from nothing; readers
//! other than polars read them; and `query` answers from them.

use std::fs;
use std::path::Path;
use std::process::Command;

use framework::rand::RngExt;
use framework::random::Streams;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;
use serde_json::Value as Json;
use store::{Folder, Status};
use tables::Table;

use crate::finished::Finished;
use crate::support::program::{Place, Said, TINY, numbers, texts};
use crate::support::skipped::skipped;

const TABLES: [&str; 3] = ["runs.parquet", "history.parquet", "latents.parquet"];

fn files(folder: &Path) -> [Vec<u8>; 3] {
    TABLES.map(|name| fs::read(folder.join(name)).unwrap())
}

fn remove_derived(folder: &Path) {
    for name in TABLES.into_iter().chain(["tables.json"]) {
        fs::remove_file(folder.join(name)).unwrap();
    }
}

/// Wrong if tables depended on the order of commands: if they kept rows of runs that are gone or ran again,
/// or lacked rows of new runs.
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
                        // A half-copied folder.
                        let _ = fs::remove_dir_all(&path);
                        fs::create_dir_all(&path).unwrap();
                        fs::write(path.join("run.parquet"), "PAR1").unwrap();
                    }
                    3 => finished.write(&folder, run, attempt, Status::Diverged),
                    _ => finished.write(&folder, run, attempt, Status::Done),
                }
            }
            // The experiment may lose runs; they stay in the folder.
            let runs =
                &finished.runs[..random.random_range(finished.runs.len() - 9..finished.runs.len())];
            // The tables themselves, and the index of their sources.
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
            // The next step starts from the updated tables.
            fs::write(place.path().join("tables.json"), index).unwrap();
        }
    }
}

/// Wrong if unchanged runs were read again from their folders, which takes a minute for 10,000; or if a
/// prepared folder, whose index and tables agree with each other and not with the runs, could hide runs or
/// give a run the numbers of another, for good.
#[test]
fn an_index_that_does_not_fit_the_runs_is_thrown_away() {
    let finished = Finished::new(40, 3, 2);
    let place = tempfile::tempdir().unwrap();
    let folder = finished.open(place.path());
    let runs = &finished.runs[..5];
    runs.iter().for_each(|run| finished.write(&folder, run, 1, Status::Done));
    folder.compact(runs).unwrap();
    let honest = files(place.path());
    let index: Json =
        serde_json::from_slice(&fs::read(place.path().join("tables.json")).unwrap()).unwrap();
    let lie = |tell: &dyn Fn(&mut Json)| {
        let mut index = index.clone();
        index.as_object_mut().unwrap().remove("digest");
        tell(&mut index);
        let text = serde_json::to_string_pretty(&index).unwrap();
        let text = text.strip_suffix("\n}").unwrap();
        let digest = blake3::hash(text.as_bytes()).to_hex();
        let sealed = format!("{text},\n  \"digest\": \"{digest}\"\n}}");
        fs::write(place.path().join("tables.json"), sealed).unwrap();
        let (table, warnings) = folder.compact(runs).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        assert_eq!(table.rows(), runs.len());
        assert!(files(place.path()) == honest);
    };
    // The seal is right, so the index is accepted.
    lie(&|_| {});
    let empty = Table::default().to_parquet().unwrap();
    lie(&|index| {
        for (at, name) in TABLES.into_iter().enumerate() {
            fs::write(place.path().join(name), &empty).unwrap();
            index["digests"][at] = blake3::hash(&empty).to_hex().to_string().into();
        }
        for entry in index["groups"][0].as_array_mut().unwrap() {
            entry["parts"] = Json::Array(vec![Json::Null; 3]);
        }
    });
    lie(&|index| {
        let manifest = index["groups"][0][0]["manifest"].take();
        let other = index["groups"][0][1]["manifest"].take();
        let id = index["groups"][0][0]["id"].take();
        index["groups"][0][0]["id"] = index["groups"][0][1]["id"].take();
        index["groups"][0][1]["id"] = id;
        index["groups"][0][0]["manifest"] = other;
        index["groups"][0][1]["manifest"] = manifest;
    });
    for rows in [0_u64, 1, 1 << 40, u64::MAX] {
        lie(&|index| index["groups"][0][2]["parts"][1]["rows"] = rows.into());
        lie(&|index| index["groups"][0][2]["parts"][0]["rows"] = rows.into());
    }
    lie(&|index| index["groups"][0].as_array_mut().unwrap().truncate(2));
    lie(&|index| index["groups"] = Json::Array(Vec::new()));
}

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

/// Wrong if one bad folder affected the others.
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

/// Wrong if only polars could read the tables.
#[test]
fn another_reader_reads_the_tables() {
    // Large enough for packed columns and for two groups.
    let finished = Finished::new(40, 64, 3);
    let place = tempfile::tempdir().unwrap();
    let folder = finished.open(place.path());
    finished.runs.iter().for_each(|run| finished.write(&folder, run, 1, Status::Done));
    folder.compact(&finished.runs).unwrap();
    for (name, column) in [("runs", "test_mse"), ("history", "test_l0"), ("latents", "firing_rate")]
    {
        let path = place.path().join(format!("{name}.parquet"));
        let ours = Table::from_parquet(&fs::read(&path).unwrap()).unwrap();
        let reader = SerializedFileReader::new(fs::File::open(&path).unwrap()).unwrap();
        let fields = reader.metadata().file_metadata().schema().get_fields().to_vec();
        let names: Vec<&str> = fields.iter().map(|field| field.name()).collect();
        let known: Vec<&str> = ours.columns().iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, known, "{name}");
        let at = |wanted: &str| names.iter().position(|name| *name == wanted).unwrap();
        let (id, value) = (at("run_id"), at(column));
        let rows = reader.get_row_iter(None).unwrap().map(|row| {
            let row = row.unwrap();
            (row.get_string(id).unwrap().clone(), row.get_double(value).ok())
        });
        let theirs: (Vec<String>, Vec<Option<f64>>) = rows.unzip();
        assert_eq!(theirs, (texts(&ours, "run_id"), numbers(&ours, column)), "{name}");
    }
}

fn two_experiments() -> Place {
    let place = Place::with(TINY);
    place.write("y.toml", TINY.replace("\"tiny\"", "\"other\"").replace("0.1", "0.2"));
    place.run(["x.toml", "--set", "seeds=[0, 1]"]).exits(0);
    place.run(["y.toml"]).exits(0);
    place
}

/// Wrong if `query` disagreed with the tables, or read one folder only.
#[test]
fn a_query_answers_from_all_tables_of_all_folders() {
    let place = two_experiments();
    let both = |sql: &str, more: &[&str]| -> Said {
        let words = ["query", "results/tiny", "results/other", sql];
        place.run(words.iter().chain(more)).exits(0)
    };
    let count =
        "SELECT experiment, count(*) AS n FROM runs GROUP BY experiment ORDER BY experiment";
    assert_eq!(both(count, &["--format", "csv"]).out, "experiment,n\nother,1\ntiny,2\n");
    let lines = both(count, &["--format", "json"]).out;
    assert_eq!(lines, "{\"experiment\":\"other\",\"n\":1}\n{\"experiment\":\"tiny\",\"n\":2}\n");
    assert_eq!(both(count, &["--json"]).out, lines);
    assert!(both(count, &[]).out.contains("| tiny       | 2 |"));
    let strong = "SELECT seed, penalty_lambda * 1e3 AS x FROM runs WHERE penalty_lambda > 1.5e-1";
    assert_eq!(both(strong, &["--format", "csv"]).out, "seed,x\n0,200\n");
    let latents = "SELECT experiment, count(*) AS n FROM latents GROUP BY experiment ORDER BY n";
    assert_eq!(both(latents, &["--format", "csv"]).out, "experiment,n\nother,16\ntiny,32\n");
    let join = "SELECT r.seed, max(h.epoch) AS epochs FROM runs r JOIN history h \
                ON r.run_id = h.run_id GROUP BY r.seed ORDER BY r.seed";
    assert_eq!(both(join, &["--format", "csv"]).out.lines().count(), 3);
    both("SELECT run_id, test_mse FROM runs", &["--format", "parquet", "--output", "a.parquet"]);
    let answer = Table::from_parquet(&fs::read(place.path("a.parquet")).unwrap()).unwrap();
    assert_eq!(answer.rows(), 3);
    let pairs = "SELECT experiment, count(*) AS n FROM stability GROUP BY experiment";
    let words = ["query", "results/tiny", "results/other", pairs];
    place.run(words).exits(2).complains(["once `saegrid stability` has made it"]);
    place.run(["stability", "results/tiny"]).exits(0);
    assert_eq!(both(pairs, &["--format", "csv"]).out, "experiment,n\ntiny,1\n");
    // Missing tables are made for the query.
    remove_derived(&place.path("results/tiny"));
    assert_eq!(both(count, &["--format", "csv"]).out.lines().count(), 3);
}

/// Wrong if a slip in a query gave a backtrace, or changed something.
#[test]
fn a_wrong_query_is_told_what_was_probably_meant() {
    let place = Place::with(TINY);
    place.run(["x.toml"]).exits(0);
    let before = files(&place.path("results/tiny"));
    for (sql, said) in [
        ("SELECT test_mze FROM runs", "did you mean `test_mse`?"),
        ("SELECT * FROM latent", "did you mean `latents`?"),
        ("SELECT FROM WHERE", "the query"),
        ("DELETE FROM runs", "begins with SELECT"),
        ("SELECT 1; SELECT 2", "more than one statement"),
    ] {
        place.run(["query", "results/tiny", sql]).exits(2).complains([said]);
    }
    place.run(["query", "results/tiny"]).exits(2);
    place.run(["query", "results/tiny", "SELECT 1", "--format", "parquet"]).exits(2);
    place.run(["query", "results/gone", "SELECT * FROM runs"]).exits(74).complains(["gone"]);
    assert!(files(&place.path("results/tiny")) == before);
}

/// Wrong if the README's Python example failed, or disagreed with the tables. `tests/lazy.rs` runs the one in
/// Rust.
#[test]
fn the_pareto_example_in_python_says_what_the_tables_say() {
    let place = two_experiments();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let runs = place.table("tiny/runs");
    let mean = |name: &str| numbers(&runs, name).iter().flatten().sum::<f64>() / 2.0;
    let (mse, l0) = (mean("test_mse_thresholded"), mean("test_l0"));
    let wanted = format!("l1: test_mse_thresholded {mse:.6} at L0 {l0:.2} (2 seeds)\n");
    let python = std::env::var("SAEGRID_TEST_PYTHON").unwrap_or("python3".to_owned());
    let python = |words: &[&str]| Command::new(&python).args(words).output();
    if !python(&["-c", "import polars"]).is_ok_and(|output| output.status.success()) {
        skipped("there is no Python with polars for examples/pareto.py");
        return;
    }
    let (script, folder) = (root.join("examples/pareto.py"), place.path("results/tiny"));
    let words = [script.to_str().unwrap(), folder.to_str().unwrap()];
    assert_eq!(Said::from(python(&words).unwrap()).exits(0).out, wanted);
    if !python(&["-c", "import matplotlib"]).is_ok_and(|output| output.status.success()) {
        skipped("there is no Python with matplotlib for the picture of examples/pareto.py");
        return;
    }
    let picture = place.path("pareto.svg");
    let words = [words[0], words[1], picture.to_str().unwrap()];
    Said::from(python(&words).unwrap()).exits(0);
    assert!(fs::read_to_string(picture).unwrap().contains("<svg"));
}
