//! Folders of damaged or half-written runs: each costs a warning that names it, and nothing else.

use std::fs;
use std::path::Path;

use crate::support::program::{Place, TINY};

/// Six runs: two settings of three seeds.
fn place() -> Place {
    let text = format!("seeds = [0, 1, 2]\n{TINY}[grid]\n\"penalty.lambda\" = [0.1, 0.3]\n");
    let place = Place::with(&text.replace("epochs = 1", "steps = 10"));
    place.run(["x.toml"]).exits(0);
    place
}

/// Keeps the first bytes of a file; with 0, removes the file.
fn damage(file: &Path, kept: usize) {
    let bytes = fs::read(file).unwrap();
    assert!(bytes.len() > kept, "{}", file.display());
    fs::remove_file(file).unwrap();
    if kept > 0 {
        fs::write(file, &bytes[..kept]).unwrap();
    }
}

/// Removes the tables, so that they are made again from the runs.
fn forget_tables(place: &Place) {
    for name in
        ["runs.parquet", "history.parquet", "latents.parquet", "tables.json", "stability.parquet"]
    {
        let _ = fs::remove_file(place.path("results/tiny").join(name));
    }
}

/// Wrong if a damaged file affected other runs, went unmentioned, was mentioned twice, or stopped a command
/// from doing the rest.
#[test]
fn a_damaged_file_costs_a_warning_and_its_run() {
    let place = place();
    let ids = place.run_ids("tiny");
    let (broken, whole) = (&ids[0], &ids[1]);
    let run = place.path("results/tiny/runs").join(broken);
    // Bytes that stay of a file; number of runs compared then, and of pairs of seeds: one setting of three
    // seeds has lost a run.
    for (name, kept, compared) in [
        ("manifest.json", 100, 5),
        ("manifest.json", 1, 5),
        ("run.parquet", 0, 5),
        ("run.parquet", 30, 5),
        ("history.parquet", 50, 5),
        ("latents.parquet", 100, 5),
        ("model.safetensors", 0, 6),
        ("model.safetensors", 100, 6),
    ] {
        let what = format!("{name}, {kept} bytes left");
        let before = fs::read(run.join(name)).unwrap();
        damage(&run.join(name), kept);
        forget_tables(&place);
        let is_told = |err: &str, is_read: bool| {
            let lines: Vec<&str> = err.lines().collect();
            match (is_read, &lines[..]) {
                (false, []) => {}
                (true, [line]) if line.starts_with("warning: ") && line.contains(broken) => {}
                _ => panic!("{what}: {err}"),
            }
        };
        let reads_models = compared == 5;
        let said = place.run(["compare", "results/tiny", "--json"]).exits(0);
        is_told(&said.err, reads_models);
        let methods = said.json();
        let settings = methods["methods"][0]["settings"].as_array().unwrap().clone();
        let runs: usize =
            settings.iter().map(|setting| setting["run_ids"].as_array().unwrap().len()).sum();
        assert_eq!((settings.len(), runs), (2, compared), "{what}");

        let said = place.run(["report", "results/tiny"]).exits(0);
        is_told(&said.err, true);
        let page = place.read("results/tiny/report.html");
        for id in &ids {
            assert_eq!(page.contains(id), compared == 6 || id != broken, "{what}: {id}");
        }
        forget_tables(&place);
        let said = place.run(["stability", "results/tiny", "--json"]).exits(0);
        is_told(&said.err, true);
        let found = said.json();
        let settings = found["settings"].as_array().unwrap();
        let pairs: usize =
            settings.iter().map(|setting| setting["pairs"].as_array().unwrap().len()).sum();
        assert_eq!((settings.len(), pairs), (2, 4), "{what}");

        let said = place.run(["features", "results/tiny", whole]).exits(0);
        assert_eq!(said.err, "", "{what}");
        if name == "manifest.json" || name == "model.safetensors" {
            place.run(["features", "results/tiny", broken]).exits(74).complains([broken.as_str()]);
        }
        fs::write(run.join(name), before).unwrap();
    }
}

/// Wrong if a folder that was half copied went unmentioned, or kept a command from reading the rest.
#[test]
fn a_half_written_folder_is_no_run() {
    let place = place();
    let ids = place.run_ids("tiny");
    let run = place.path("results/tiny/runs").join(&ids[0]);
    for name in ["manifest.json", "run.parquet", "history.parquet", "latents.parquet"] {
        fs::remove_file(run.join(name)).unwrap();
        forget_tables(&place);
        for command in ["compare", "stability", "report"] {
            let said = place.run([command, "results/tiny"]).exits(0);
            assert!(!said.err.contains("error"), "{said}");
            let warning = format!("run {} is left out: its manifest is missing", ids[0]);
            assert_eq!(said.err.matches(&warning).count(), 1, "{said}");
        }
        assert!(!place.read("results/tiny/report.html").contains(&ids[0]));
        place.run(["features", "results/tiny", &ids[1]]).exits(0);
        place.run(["features", "results/tiny", &ids[0]]).exits(74).complains(["it has not ended"]);
    }
    fs::create_dir(place.path("results/tiny/runs/strange")).unwrap();
    fs::write(place.path("results/tiny/runs/file"), "no run").unwrap();
    place.run(["compare", "results/tiny"]).exits(0);
}
