//! Experiments from their file to their tables: what runs leave in the folder, and what a repeated or changed
//! command adds to it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Value as Json, json};

use crate::support::program::{
    Place, TINY, assert_same, changes, columns, idx, numbers, safetensors_header, texts, with,
};

/// Columns of `runs` that users and scripts rely on, for a grid of L1 runs with Adam.
const RUNS: [&str; 48] = [
    "run_id",
    "experiment",
    "seed",
    "status",
    "reason",
    "in_experiment",
    "engine",
    "precision",
    "dataset",
    "architecture",
    "penalty",
    "dataset_normalize",
    "architecture_latents",
    "architecture_activation",
    "architecture_tied",
    "penalty_lambda",
    "train_epochs",
    "train_batch",
    "train_engine",
    "train_precision",
    "train_optimizer_kind",
    "train_optimizer_lr",
    "train_optimizer_beta1",
    "train_optimizer_beta2",
    "train_optimizer_eps",
    "train_schedule_kind",
    "test_mse",
    "test_mse_thresholded",
    "test_explained_variance",
    "test_l0",
    "l0_threshold",
    "l0_rule",
    "test_dead_fraction",
    "test_mean_activation",
    "test_firing_rate",
    "train_loss",
    "train_loss_reconstruction",
    "train_loss_penalty",
    "seconds",
    "samples_per_second",
    "peak_memory_bytes",
    "cpu_features",
    "host",
    "pid",
    "attempt",
    "worker",
    "started",
    "finished",
];

/// The columns of `history`.
const HISTORY: [&str; 14] = [
    "run_id",
    "epoch",
    "step",
    "train_loss",
    "train_loss_reconstruction",
    "train_loss_penalty",
    "train_loss_penalty_raw",
    "test_mse",
    "test_explained_variance",
    "test_l0",
    "test_dead_fraction",
    "test_mean_activation",
    "test_firing_rate",
    "seconds",
];

/// The columns of `latents`, of data with labels.
const LATENTS: [&str; 7] = [
    "run_id",
    "latent",
    "firing_rate",
    "mean_activation",
    "max_activation",
    "decoder_norm",
    "class_selectivity",
];

#[test]
fn a_grid_leaves_its_tables_its_models_and_where_they_come_from() {
    let grid =
        "batch = 100\n[grid]\n\"architecture.tied\" = [false, true]\n\"penalty.lambda\" = [0.1, 1]";
    let place = Place::with(&with(grid));
    let said = place.run(["x.toml"]).exits(0);
    assert!(said.out.contains("4 runs that are done, 4 settings"), "{said}");
    assert!(said.out.contains("results/tiny/runs.parquet"), "{said}");
    assert_eq!(place.read("results/tiny/experiment.toml"), place.read("x.toml"));

    let ids = place.run_ids("tiny");
    assert_eq!(ids.len(), 4);
    for id in &ids {
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        assert!(id.len() == 16 && id.chars().all(hex), "{id}");
        let run = place.path("results/tiny/runs").join(id);
        let manifest = place.json(run.join("manifest.json"));
        assert_eq!((&manifest["run_id"], &manifest["status"]), (&json!(id), &json!("done")));
        assert_eq!(manifest["settings"]["seed"], json!(0));
        assert_eq!(manifest["settings"]["architecture"]["latents"], json!(16));
        for known in ["version", "commit", "cpu_features", "host"] {
            assert!(!manifest["provenance"][known].is_null(), "no {known} in {manifest}");
        }
        let digests = manifest["digests"].as_object().unwrap();
        let files: Vec<&str> = digests.keys().map(String::as_str).collect();
        assert_eq!(
            files,
            ["history.parquet", "latents.parquet", "model.safetensors", "run.parquet"]
        );
        for (file, digest) in digests {
            let bytes = fs::read(run.join(file)).unwrap();
            assert_eq!(*digest, json!(blake3::hash(&bytes).to_hex().as_str()), "{file}");
        }

        let header = safetensors_header(&run.join("model.safetensors"));
        for (tensor, shape) in [
            ("w_enc", json!([64, 16])),
            ("b_enc", json!([16])),
            ("w_dec", json!([16, 64])),
            ("b_dec", json!([64])),
        ] {
            assert_eq!(header[tensor]["dtype"], json!("F32"), "{tensor}");
            assert_eq!(header[tensor]["shape"], shape, "{tensor}");
        }
        let settings = header["__metadata__"]["settings"].as_str().unwrap();
        assert_eq!(serde_json::from_str::<Json>(settings).unwrap(), manifest["settings"]);
    }

    let runs = place.table("tiny/runs");
    assert_eq!(runs.rows(), 4);
    for name in RUNS {
        assert!(runs.get(name).is_some(), "`runs` has no `{name}`, only {:?}", columns(&runs));
    }
    let mut named = texts(&runs, "run_id");
    named.sort();
    assert_eq!(named, ids);
    // In the order of the grid.
    assert_eq!(texts(&runs, "architecture_tied"), ["false", "false", "true", "true"]);
    assert_eq!(numbers(&runs, "penalty_lambda"), [0.1, 1.0, 0.1, 1.0].map(Some));
    for (column, value) in [
        ("experiment", "tiny"),
        ("status", "done"),
        ("reason", ""),
        ("in_experiment", "true"),
        ("engine", "fused"),
        ("precision", "f32"),
        ("dataset", "digits"),
        ("architecture", "dense"),
        ("penalty", "l1"),
        ("train_optimizer_kind", "adam"),
    ] {
        assert_eq!(texts(&runs, column), [value; 4], "{column}");
    }
    let l0 = numbers(&runs, "test_l0");
    for (rate, l0) in numbers(&runs, "test_firing_rate").iter().zip(&l0) {
        assert!((rate.unwrap() - l0.unwrap() / 16.0).abs() < 1e-12);
    }

    let history = place.table("tiny/history");
    for name in HISTORY {
        assert!(history.get(name).is_some(), "`history` has no `{name}`");
    }
    assert_eq!(numbers(&history, "epoch"), [Some(1.0); 4]);
    assert_eq!(numbers(&history, "step"), [Some(15.0); 4], "1437 samples are 15 batches of 100");
    assert_eq!(numbers(&history, "test_mse"), numbers(&runs, "test_mse"));
    assert_eq!(numbers(&history, "train_loss"), numbers(&runs, "train_loss"));

    let latents = place.table("tiny/latents");
    assert_eq!(columns(&latents).len(), LATENTS.len());
    for name in LATENTS {
        assert!(latents.get(name).is_some(), "`latents` has no `{name}`");
    }
    assert_eq!(latents.rows(), 4 * 16);
    let one_run: Vec<Option<f64>> = (0..16).map(|latent| Some(f64::from(latent))).collect();
    assert_eq!(numbers(&latents, "latent"), one_run.repeat(4));
    let rates = numbers(&latents, "firing_rate");
    for (run, l0) in rates.chunks(16).zip(&l0) {
        let sum: f64 = run.iter().map(|rate| rate.unwrap()).sum();
        assert!((sum - l0.unwrap()).abs() < 1e-9, "firing rates add up to L0");
    }
    for table in [&runs, &history, &latents] {
        for column in table.columns() {
            if let tables::Values::Number(values) = &column.values {
                assert!(values.iter().flatten().all(|v| v.is_finite()), "{}", column.name);
            }
        }
    }
}

#[test]
fn history_has_a_row_an_evaluation_point_and_the_last_at_the_end() {
    let steps = |text: &str| {
        let place = Place::with(&TINY.replace("epochs = 1", text));
        place.run(["x.toml"]).exits(0);
        let history = place.table("tiny/history");
        numbers(&history, "step").into_iter().map(Option::unwrap).collect::<Vec<_>>()
    };
    assert_eq!(steps("epochs = 3"), [12.0, 24.0, 36.0]);
    assert_eq!(steps("epochs = 3\n[evaluate]\nevery = 2"), [24.0, 36.0]);
    assert_eq!(steps("steps = 7\n[evaluate]\nevery = 3"), [3.0, 6.0, 7.0]);
    assert_eq!(steps("steps = 13"), [12.0, 13.0]);
}

/// What is undefined is null, never NaN: nothing of constant data can be explained.
#[test]
fn what_is_undefined_is_null() {
    let dataset = "kind = \"idx\"\nimages = \"same\"\ntrain = 20";
    let place = Place::with(&TINY.replace("kind = \"digits\"", dataset));
    place.write("same", idx(&[30, 2, 2], &[9; 120]));
    place.run(["x.toml"]).exits(0);
    for table in ["tiny/runs", "tiny/history"] {
        let table = place.table(table);
        assert_eq!(numbers(&table, "test_explained_variance"), [None]);
        assert!(numbers(&table, "test_mse")[0].is_some());
    }
}

#[test]
fn the_experiments_of_the_repository_are_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    assert!(files.len() > 1);
    let place = Place::new();
    for file in files {
        let said = place.run([OsStr::new("check"), file.as_os_str()]);
        // Only files outside the repository may be missing.
        if said.code != Some(0) {
            let errors = said.err.lines().filter(|line| line.starts_with("error: "));
            let missing =
                errors.clone().all(|line| line.contains("cannot be opened: No such file"));
            assert!(said.code == Some(2) && missing && errors.count() > 0, "{said}");
        }
    }
}

#[test]
fn repeating_the_command_runs_nothing() {
    let place = Place::with(&format!("seeds = [0, 1]\n{TINY}"));
    place.run(["x.toml"]).exits(0);
    let (before, table) = (changes(&place.path("results/tiny/runs")), place.table("tiny/runs"));
    for words in [&["x.toml"][..], &["run", "x.toml", "-j", "2"], &["x.toml", "--rerun", "failed"]]
    {
        let said = place.run(words).exits(0);
        said.complains(["nothing to do: all 2 runs have ended"]);
        assert_eq!(changes(&place.path("results/tiny/runs")), before);
    }
    assert_eq!(place.table("tiny/runs"), table, "volatile columns too");
    assert_eq!(numbers(&table, "attempt"), [Some(1.0); 2]);
    // The tables are derived: without them, they are made again.
    fs::remove_file(place.path("results/tiny/runs.parquet")).unwrap();
    place.run(["x.toml"]).exits(0);
    assert_eq!(place.table("tiny/runs"), table);
}

#[test]
fn more_seeds_run_the_new_ones_and_a_changed_file_keeps_the_old() {
    let place = Place::with(TINY);
    place.run(["x.toml"]).exits(0);
    let first = place.run_ids("tiny");
    let before = changes(&place.path("results/tiny/runs"));

    place.write("x.toml", format!("seeds = [0, 1]\n{TINY}"));
    place.run(["x.toml"]).exits(0).complains(["1 of 2 runs to do"]);
    let after = changes(&place.path("results/tiny/runs"));
    assert!(before.iter().all(|(file, time)| after[file] == *time), "the first was run again");
    assert_eq!(place.read("results/tiny/experiment.1.toml"), TINY);
    assert_eq!(texts(&place.table("tiny/runs"), "in_experiment"), ["true"; 2]);

    let third = TINY.replace("lambda = 0.1", "lambda = 0.2");
    place.write("x.toml", &third);
    place.run(["x.toml"]).exits(0).complains(["1 of 1 runs to do"]);
    assert_eq!(place.read("results/tiny/experiment.toml"), third);
    assert_eq!(place.read("results/tiny/experiment.1.toml"), TINY);
    assert_eq!(place.read("results/tiny/experiment.2.toml"), format!("seeds = [0, 1]\n{TINY}"));
    let runs = place.table("tiny/runs");
    assert_eq!(texts(&runs, "in_experiment"), ["true", "false", "false"]);
    assert!(texts(&runs, "run_id")[1..].contains(&first[0]));
    assert_eq!(place.table("tiny/latents").rows(), 3 * 16);

    // Back to the first file: all its runs are done.
    place.write("x.toml", TINY);
    place.run(["x.toml"]).exits(0).complains(["nothing to do"]);
    assert_eq!(texts(&place.table("tiny/runs"), "in_experiment"), ["true", "false", "false"]);
}

#[test]
fn an_evaluation_that_is_added_measures_the_stored_model() {
    let normalized = TINY.replace("\"digits\"", "\"digits\"\nnormalize = \"standard\"");
    let later = Place::with(&format!("{normalized}\n[evaluate]\nkinds = [\"reconstruction\"]\n"));
    later.run(["x.toml"]).exits(0);
    let id = later.run_ids("tiny").remove(0);
    let model = fs::read(later.path(format!("results/tiny/runs/{id}/model.safetensors"))).unwrap();
    let runs = later.table("tiny/runs");
    assert!(runs.get("test_l0").is_none() && runs.get("test_probe_accuracy").is_none());

    let text = format!(
        "{normalized}\n[evaluate]\nkinds = [\"reconstruction\", \"sparsity\", \"probe\"]\n"
    );
    later.write("x.toml", &text);
    later.run(["x.toml"]).exits(0).complains(["1 of 1 runs to do"]);
    later.run(["x.toml"]).exits(0).complains(["nothing to do"]);
    assert_eq!(later.run_ids("tiny"), [id.as_str()]);
    let same = fs::read(later.path(format!("results/tiny/runs/{id}/model.safetensors"))).unwrap();
    assert_eq!(same, model, "it was trained again");

    let at_once = Place::with(&text);
    at_once.run(["x.toml"]).exits(0);
    let probe = numbers(&at_once.table("tiny/runs"), "test_probe_accuracy");
    assert!(probe[0].unwrap() > 0.5, "{probe:?}");
    assert_same(&later.table("tiny/runs"), &at_once.table("tiny/runs"));
    assert_same(&later.table("tiny/latents"), &at_once.table("tiny/latents"));
    let (later, at_once) = (later.table("tiny/history"), at_once.table("tiny/history"));
    assert_same(&later, &at_once);

    // Other settings of an evaluation are another evaluation.
    let place = Place::with(&with("[evaluate]\nkinds = [\"probe\"]"));
    place.run(["x.toml"]).exits(0);
    place.write("x.toml", with("[evaluate]\nkinds = [{ kind = \"probe\", c = 0.001 }]"));
    // Both commands tell done runs from runs to do.
    for words in [&["list", "x.toml"][..], &["x.toml", "--dry-run"]] {
        let said = place.run(words).exits(0);
        assert!(said.out.contains("1 runs: 1 done, 1 to measure\n"), "{said}");
        assert!(said.out.contains("the next `run` measures probe"), "{said}");
    }
    place.run(["x.toml"]).exits(0).complains(["1 of 1 runs to do"]);
    assert!(place.run(["list", "x.toml"]).exits(0).out.ends_with("1 runs: 1 done\n"));
    place.run(["x.toml"]).exits(0).complains(["nothing to do"]);
}

/// An evaluation that fails, because the data changed after the run, removes no known result.
#[test]
fn an_evaluation_that_fails_leaves_its_run_as_it_is() {
    let text = TINY.replace("kind = \"digits\"", "kind = \"idx\"\nimages = \"data\"\ntrain = 20");
    let place = Place::with(&format!("{text}[evaluate]\nkinds = [\"reconstruction\"]\n"));
    let pixels: Vec<u8> = (0..30 * 9).map(|at| (at * 37 % 251) as u8).collect();
    let good = idx(&[30, 2, 2], &pixels[..120]);
    place.write("data", &good);
    place.run(["x.toml"]).exits(0);
    let before = place.table("tiny/runs");
    let files = changes(&place.path("results/tiny/runs"));

    place.write("data", idx(&[30, 3, 3], &pixels));
    place.write("x.toml", &text);
    let said = place.run(["x.toml"]).exits(5);
    said.complains(["sparsity could not be measured: ", "`w_enc`"]);
    assert_eq!(place.table("tiny/runs"), before);
    let now = changes(&place.path("results/tiny/runs"));
    assert!(files.iter().all(|(path, time)| path.ends_with("claim") || now[path] == *time));

    place.write("data", &good);
    place.run(["x.toml"]).exits(0);
    let after = place.table("tiny/runs");
    assert_eq!(numbers(&after, "test_mse"), numbers(&before, "test_mse"));
    assert!(numbers(&after, "test_l0")[0].is_some());
}

/// Results of changed data stay and are shown as stale, by the contents of the files, not by their times.
/// Wrong if results of other data passed for current ones.
#[test]
fn a_run_whose_data_has_changed_since_is_stale() {
    let text = TINY.replace("kind = \"digits\"", "kind = \"idx\"\nimages = \"data\"\ntrain = 20");
    let place = Place::with(&text);
    let mut pixels: Vec<u8> = (0..30 * 4).map(|at| (at * 37 % 251) as u8).collect();
    place.write("data", idx(&[30, 2, 2], &pixels));
    place.run(["x.toml"]).exits(0);
    let manifest = |place: &Place| {
        place.json(format!("results/tiny/runs/{}/manifest.json", place.run_ids("tiny")[0]))
    };
    assert_eq!(manifest(&place)["data"]["images"]["digest"].as_str().unwrap().len(), 64);

    place.write("data", idx(&[30, 2, 2], &pixels));
    let later = SystemTime::now() + Duration::from_secs(60);
    fs::File::options().write(true).open(place.path("data")).unwrap().set_modified(later).unwrap();
    assert!(place.run(["status", "results/tiny"]).exits(0).out.contains("1 done"));

    pixels[0] ^= 1;
    place.write("data", idx(&[30, 2, 2], &pixels));
    let status = place.run(["status", "results/tiny"]).exits(0);
    assert!(status.out.contains("1 stale"), "{status}");
    assert!(status.out.contains("the file of `dataset.images` has changed since"), "{status}");
    assert_eq!(place.run(["list", "x.toml", "--json"]).json()["runs"][0]["status"], "stale");
    let warning = ["stale runs: 1 (", "`--rerun stale`", "nothing to do"];
    place.run(["x.toml"]).exits(0).complains(warning);
    place.run(["x.toml", "--rerun", "stale"]).exits(0).complains(["1 of 1 runs to do"]);
    assert!(place.run(["status", "results/tiny"]).exits(0).out.contains("1 done"));
}
