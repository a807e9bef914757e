//! The feature `lazy`: results as polars' lazy frames, and the example that computes with them. The command is
//! `cargo test --features lazy --test lazy --example pareto`, which compiles polars anew first.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tables::Table;

/// A folder with the results of two experiments, one of two seeds and one of one.
fn two_experiments() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    for (name, seeds, lambda) in [("tiny", "[0, 1]", 0.1), ("other", "[0]", 0.2)] {
        let file = place.path().join(format!("{name}.toml"));
        let text = format!(
            "name = \"{name}\"\nseeds = {seeds}\ndataset.kind = \"digits\"\n\
             architecture = {{ kind = \"dense\", latents = 16 }}\n\
             penalty = {{ kind = \"l1\", lambda = {lambda} }}\ntrain.epochs = 1\n"
        );
        fs::write(&file, text).unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_saegrid"));
        let output = program.arg(&file).current_dir(place.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    place
}

/// Wrong if a program needed to know the layout of the folder to read results, or if a folder that is named
/// twice counted twice.
#[test]
fn results_are_lazy_frames_in_rust() {
    let place = two_experiments();
    let dirs: Vec<PathBuf> = ["tiny", "other", "../results/tiny"]
        .map(|name| place.path().join("results").join(name))
        .into();
    let results = saegrid::results::load_all(&dirs).unwrap();
    let rows = |frame: tables::LazyFrame| frame.collect().unwrap().height();
    assert_eq!([rows(results.runs), rows(results.latents)], [3, 48]);
    assert_eq!(rows(saegrid::results::load(&dirs[1]).unwrap().history), 1);
    assert!(saegrid::results::load(place.path().join("results")).is_err());
}

/// Wrong if results whose tables cannot be written could not be analysed, or were incomplete.
#[test]
fn tables_that_cannot_be_written_are_lazy_frames_too() {
    let place = two_experiments();
    let folders = ["tiny", "other"].map(|name| place.path().join("results").join(name));
    let load = || saegrid::results::load_all(&folders).unwrap();
    let whole = load();
    assert_eq!(whole.warnings, [""; 0]);
    let sorted = |frame: tables::LazyFrame| {
        let mse = frame.collect().unwrap().column("test_mse").unwrap().clone();
        format!("{:?}", mse.sort(Default::default()).unwrap())
    };
    let want = sorted(whole.runs);
    // A folder that is not empty stands where a table is to be.
    fs::remove_file(folders[0].join("history.parquet")).unwrap();
    fs::create_dir_all(folders[0].join("history.parquet/x")).unwrap();
    let made = load();
    assert_eq!(made.warnings.len(), 1);
    assert!(made.warnings[0].contains("history.parquet"), "{:?}", made.warnings);
    let rows = |frame: tables::LazyFrame| frame.collect().unwrap().height();
    assert_eq!([rows(made.history), rows(made.latents)], [3, 48]);
    assert_eq!(sorted(made.runs), want);
}

/// Wrong if the README's example failed, or disagreed with the tables.
#[test]
fn the_pareto_example_says_what_the_tables_say() {
    let place = two_experiments();
    let folder = place.path().join("results/tiny");
    // With `--example pareto`, cargo builds it beside the tests.
    let here = std::env::current_exe().unwrap();
    let example = here.ancestors().nth(2).unwrap().join("examples/pareto");
    let output = Command::new(&example).arg(&folder).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", example.display()));
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, wanted(&folder), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Output of the example: its only point.
fn wanted(folder: &Path) -> String {
    let runs = Table::from_parquet(&fs::read(folder.join("runs.parquet")).unwrap()).unwrap();
    let mean = |name: &str| match runs.get(name) {
        Some(tables::Values::Number(values)) => values.iter().flatten().sum::<f64>() / 2.0,
        other => panic!("`{name}` is {other:?}"),
    };
    let (mse, l0) = (mean("test_mse_thresholded"), mean("test_l0"));
    format!("l1: test_mse_thresholded {mse:.6} at L0 {l0:.2} (2 seeds)\n")
}
