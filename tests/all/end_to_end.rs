//! Experiments from their file to their tables: what a run leaves behind, what a repeated command
//! does, and what becomes of runs that fail, are interrupted or are killed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value as Json, json};

use crate::program::{Place, Said, TINY, assert_same, columns, idx, numbers, texts};

/// The columns of `runs` that users and scripts rely on, for a grid of L1 runs with Adam.
const RUNS: [&str; 46] = [
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
    "test_dead_fraction",
    "test_mean_activation",
    "test_firing_rate",
    "train_loss",
    "train_loss_reconstruction",
    "train_loss_penalty",
    "seconds",
    "samples_per_second",
    "peak_memory_bytes",
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

/// The columns of `latents`.
const LATENTS: [&str; 6] =
    ["run_id", "latent", "firing_rate", "mean_activation", "max_activation", "decoder_norm"];

/// The tiny experiment with more at its end.
fn with(more: &str) -> String {
    format!("{TINY}{more}\n")
}

/// When each file below a folder was last changed.
fn changes(folder: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                all.insert(entry.path(), entry.metadata().unwrap().modified().unwrap());
            }
        }
    }
    all
}

/// The header of a safetensors file.
fn safetensors_header(path: &Path) -> Json {
    let bytes = fs::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    serde_json::from_slice(&bytes[8..8 + length]).unwrap()
}

#[test]
fn a_grid_leaves_its_tables_its_models_and_where_they_come_from() {
    let grid =
        "batch = 100\n[grid]\n\"architecture.tied\" = [false, true]\n\"penalty.lambda\" = [0.1, 1]";
    let place = Place::with(&with(grid));
    let said = place.run(["x.toml"]).exits(0);
    assert!(said.out.contains("The 4 best of 4 runs that are done"), "{said}");
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
        ("engine", "reference"),
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
        // What is not part of the repository is the only thing that may be missing.
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

    // Back to the first file: everything is there.
    place.write("x.toml", TINY);
    place.run(["x.toml"]).exits(0).complains(["nothing to do"]);
    assert_eq!(texts(&place.table("tiny/runs"), "in_experiment"), ["true", "false", "false"]);
}

#[test]
fn an_evaluation_that_is_added_measures_the_stored_model() {
    let normalised = TINY.replace("\"digits\"", "\"digits\"\nnormalize = \"standard\"");
    let later = Place::with(&format!("{normalised}\n[evaluate]\nkinds = [\"reconstruction\"]\n"));
    later.run(["x.toml"]).exits(0);
    let id = later.run_ids("tiny").remove(0);
    let model = fs::read(later.path(format!("results/tiny/runs/{id}/model.safetensors"))).unwrap();
    let runs = later.table("tiny/runs");
    assert!(runs.get("test_l0").is_none() && runs.get("test_probe_accuracy").is_none());

    let text = format!(
        "{normalised}\n[evaluate]\nkinds = [\"reconstruction\", \"sparsity\", \"probe\"]\n"
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
    place.run(["x.toml"]).exits(0).complains(["1 of 1 runs to do"]);
    place.run(["x.toml"]).exits(0).complains(["nothing to do"]);
}

/// An evaluation that cannot be made, because the data changed behind the run's back, costs
/// nothing of what is known.
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

/// Two runs, of which the second diverges.
fn diverging() -> Place {
    Place::with(&with(
        "[grid]\n\"train.optimizer\" = [{ kind = \"adam\" }, { kind = \"sgd\", lr = 1e6 }]",
    ))
}

#[test]
fn a_run_that_diverges_is_recorded_and_the_others_go_on() {
    let place = diverging();
    place.run(["x.toml", "-j", "1"]).exits(100);
    let runs = place.table("tiny/runs");
    assert_eq!(texts(&runs, "status"), ["done", "diverged"]);
    let reason = &texts(&runs, "reason")[1];
    assert!(reason.contains("no finite number any more at step "), "{reason}");
    assert!(reason.contains("the last finite loss was "), "{reason}");
    assert_eq!(numbers(&runs, "test_mse")[1], None);
    assert_eq!(numbers(&runs, "train_optimizer_lr"), [0.001, 1e6].map(Some));
    assert_eq!(texts(&runs, "train_optimizer_kind"), ["adam", "sgd"]);

    let before = changes(&place.path("results/tiny/runs"));
    place.run(["x.toml"]).exits(100).complains(["nothing to do"]);
    assert_eq!(changes(&place.path("results/tiny/runs")), before, "it was repeated");
    let status = place.run(["status", "results/tiny"]).exits(100);
    assert!(status.out.contains("2 runs: 1 diverged, 1 done"), "{status}");
    assert!(status.out.contains("no finite number any more"), "{status}");
    let listed = place.run(["list", "x.toml", "--json"]).exits(0).json();
    assert_eq!(listed["runs"][1]["status"], json!("diverged"));
}

#[test]
fn what_failed_is_run_again_when_asked_for_and_nothing_is_deleted() {
    let place = diverging();
    place.run(["x.toml"]).exits(100);
    let runs = place.path("results/tiny/runs");
    let ids = texts(&place.table("tiny/runs"), "run_id");
    let done = changes(&runs.join(&ids[0]));
    let failed = changes(&runs.join(&ids[1]));

    place.run(["x.toml", "--rerun", "failed"]).exits(100).complains(["1 of 2 runs to do"]);
    assert_eq!(changes(&runs.join(&ids[0])), done);
    assert_ne!(changes(&runs.join(&ids[1])), failed);
    let kept = place.json(format!("results/tiny/replaced/{}.1/manifest.json", ids[1]));
    assert_eq!(kept["status"], json!("diverged"));

    place.run(["x.toml", "--rerun", &ids[0][..8]]).exits(100).complains(["1 of 2 runs to do"]);
    assert_ne!(changes(&runs.join(&ids[0])), done);
    place.run(["x.toml", "--rerun", "all"]).exits(100).complains(["2 of 2 runs to do"]);
    assert!(place.path(format!("results/tiny/replaced/{}.2", ids[0])).exists());
    assert_eq!(place.table("tiny/runs").rows(), 2, "what was replaced is in no table");
}

#[test]
fn a_run_that_takes_too_long_is_stopped() {
    let place = Place::with(
        "name = \"tiny\"\n[dataset]\nkind = \"digits\"\n[architecture]\nkind = \"dense\"\n\
         [evaluate]\nevery = 1000000\n[train]\nsteps = 1000000\n[run]\ntimeout = \"300ms\"\n\
         [grid]\n\"architecture.latents\" = [8, 16]\n",
    );
    let started = Instant::now();
    place.run(["x.toml"]).exits(100);
    assert!(started.elapsed() < Duration::from_secs(30));
    let runs = place.table("tiny/runs");
    assert_eq!(texts(&runs, "status"), ["timeout"; 2]);
    for reason in texts(&runs, "reason") {
        assert!(reason.starts_with("it took longer than 300ms; "), "{reason}");
    }
    place.run(["x.toml"]).exits(100).complains(["nothing to do"]);
    // `[run]` does not change what a run is: with more time it is the same run, tried again.
    let text =
        place.read("x.toml").replace("\"300ms\"", "\"1h\"").replace("steps = 1000000", "steps = 3");
    place.write("y.toml", text.replace("\"tiny\"", "\"other\""));
    place.run(["y.toml"]).exits(0);
}

#[test]
fn a_damaged_file_is_noticed_and_its_run_repeated() {
    let place = Place::with(&format!("seeds = [0, 1]\n{TINY}"));
    place.run(["x.toml"]).exits(0);
    let before = place.table("tiny/runs");
    let ids = place.run_ids("tiny");
    let run = |at: usize| place.path("results/tiny/runs").join(&ids[at]);
    let untouched = changes(&run(1));
    for file in ["model.safetensors", "run.parquet", "history.parquet", "manifest.json"] {
        let path = run(0).join(file);
        let mut bytes = fs::read(&path).unwrap();
        if file == "manifest.json" {
            bytes.truncate(bytes.len() / 2);
        } else {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        fs::write(&path, bytes).unwrap();
        place.run(["x.toml"]).exits(0).complains(["1 of 2 runs to do"]);
        assert_same(&place.table("tiny/runs"), &before);
    }
    fs::remove_file(run(0).join("latents.parquet")).unwrap();
    place.run(["x.toml"]).exits(0).complains(["1 of 2 runs to do"]);
    assert_eq!(changes(&run(1)), untouched);
}

#[test]
fn lists_name_every_run_with_its_place_in_the_grid_and_its_status() {
    let place =
        Place::with(&format!("seeds = [0, 7]\n{TINY}[grid]\n\"penalty.lambda\" = [0.1, 0.3]\n"));
    let said = place.run(["list", "x.toml"]).exits(0);
    assert!(said.out.contains("penalty.lambda") && said.out.contains("4 runs"), "{said}");
    assert_eq!(said.out.matches(" new ").count(), 4, "{said}");
    assert!(!place.has_results(), "listing writes nothing");
    let listed = place.run(["list", "x.toml", "--json"]).exits(0).json();
    assert_eq!(listed["experiment"], json!("tiny"));
    let points: Vec<_> = listed["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| {
            assert_eq!(run["status"], json!("new"));
            assert_eq!(run["settings"]["seed"], run["seed"]);
            (
                run["point"]["penalty.lambda"].as_str().unwrap().to_owned(),
                run["seed"].as_u64().unwrap(),
            )
        })
        .collect();
    let want = [("0.1", 0), ("0.1", 7), ("0.3", 0), ("0.3", 7)];
    assert_eq!(points, want.map(|(lambda, seed)| (lambda.to_owned(), seed)));

    place.run(["x.toml", "--set", "seeds=[7]"]).exits(0);
    let listed = place.run(["list", "x.toml", "--json"]).exits(0).json();
    let statuses: Vec<&Json> = (0..4).map(|at| &listed["runs"][at]["status"]).collect();
    assert_eq!(statuses, ["new", "done", "new", "done"]);
    let ids: Vec<&str> = (0..4).map(|at| listed["runs"][at]["run_id"].as_str().unwrap()).collect();
    assert_eq!(texts(&place.table("tiny/runs"), "run_id"), [ids[1], ids[3]]);
    place.run(["list", "x.toml", "--output-dir", "elsewhere"]).exits(0);
    assert!(!place.path("elsewhere").exists());
}

#[test]
fn check_reads_files_and_writes_nothing() {
    let place = Place::with(&with("[grid]\n\"penalty.lambda\" = { log = [0.1, 10], points = 3 }"));
    place.write("bad.toml", TINY.replace("lambda", "lamda"));
    place.write("worse.toml", "name = ");
    assert_eq!(place.run(["check", "x.toml"]).exits(0).out, "x.toml: ok, 3 runs\n");
    let said = place.run(["check", "bad.toml", "x.toml", "worse.toml"]).exits(2);
    assert_eq!(said.out, "x.toml: ok, 3 runs\n", "{said}");
    said.complains(["bad.toml:12:1", "worse.toml:1:"]);
    assert!(!place.has_results());
}

#[test]
fn status_is_told_from_the_folder_alone() {
    let place = Place::with(&format!("seeds = [0, 1]\n{TINY}"));
    place.run(["x.toml"]).exits(0);
    fs::remove_file(place.path("x.toml")).unwrap();
    let said = place.run(["status", "results/tiny"]).exits(0);
    assert_eq!(said.out, "tiny: 2 runs: 2 done\n");
    let status = place.run(["status", "results/tiny", "--json"]).exits(0).json();
    assert_eq!(status["counts"], json!({ "done": 2 }));
    assert_eq!(status["runs"].as_array().unwrap().len(), 2);
    assert_eq!(status["runs"][0]["seed"], json!(0));

    let ids = texts(&place.table("tiny/runs"), "run_id");
    fs::remove_dir_all(place.path("results/tiny/runs").join(&ids[1])).unwrap();
    let said = place.run(["status", "results/tiny"]).exits(5);
    assert_eq!(said.out, "tiny: 2 runs: 1 done, 1 new\n");
}

#[test]
fn plugins_are_listed_and_explained() {
    let place = Place::new();
    let all = place.run(["plugins"]).exits(0).out;
    for name in [
        "dense",
        "digits",
        "idx",
        "sparse-dictionary",
        "reconstruction",
        "sparsity",
        "probe",
        "recovery",
        "none",
        "l1",
        "kl",
        "k-sparse",
        "group-lasso",
    ] {
        assert!(all.contains(&format!(" {name} ")), "no {name} in\n{all}");
    }
    let penalties = place.run(["plugins", "penalty"]).exits(0).out;
    assert!(penalties.contains("k-sparse") && !penalties.contains("sparse-dictionary"));
    let kl = place.run(["plugins", "penalty", "kl"]).exits(0).out;
    for part in ["rho", "beta", "needed", "number > 0, < 1", "kind = \"kl\"", "rho = 0.05"] {
        assert!(kl.contains(part), "no {part} in\n{kl}");
    }
    assert!(
        place.run(["plugins", "penalty", "none"]).exits(0).out.contains("It takes no settings.")
    );

    let json = place.run(["plugins", "--json"]).exits(0).json();
    let kinds: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert_eq!(kinds, ["architecture", "dataset", "evaluation", "penalty"]);
    let one = place.run(["plugins", "penalty", "k-sparse", "--json"]).exits(0).json();
    assert_eq!(one["penalty"].as_array().unwrap().len(), 1);
    assert_eq!(one["penalty"][0]["name"], json!("k-sparse"));
    assert!(!one["penalty"][0]["schema"]["properties"]["k"].is_null());
    let outside = place.run_outside(["plugins", "penalty", "soft-threshold"]).exits(0);
    assert!(outside.out.contains("lambda"), "{outside}");
}

#[test]
fn overrides_hold_for_every_run() {
    let grid = "[grid]\n\"penalty.lambda\" = [0.1, 0.3]\n\"train.batch\" = [64, 128]";
    let place = Place::with(&with(grid));
    let runs = |sets: &[&str]| -> Vec<Json> {
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let words = ["list", "x.toml", "--json"].into_iter().chain(sets);
        place.run(words).exits(0).json()["runs"].as_array().unwrap().clone()
    };
    let of = |runs: &[Json], pointer: &str| -> Vec<Json> {
        runs.iter().map(|run| run["settings"].pointer(pointer).unwrap().clone()).collect()
    };
    assert_eq!(runs(&[]).len(), 4);
    let set = runs(&["train.optimizer.lr=1e-2", "architecture.activation=tanh"]);
    assert_eq!(of(&set, "/train/optimizer/lr"), vec![json!(0.01); 4]);
    assert_eq!(of(&set, "/architecture/activation"), vec![json!("tanh"); 4]);

    // Over an axis: the axis is gone.
    let pinned = runs(&["penalty.lambda=0.5"]);
    assert_eq!(of(&pinned, "/penalty/lambda"), vec![json!(0.5); 2]);
    assert_eq!(of(&pinned, "/train/batch"), [json!(64), json!(128)]);
    assert!(pinned[0]["point"].get("penalty.lambda").is_none());
    // The last one holds; an axis and the seeds can be set too.
    assert_eq!(runs(&["penalty.lambda=0.5", "penalty.lambda=0.6", "train.batch=64"]).len(), 1);
    assert_eq!(runs(&["grid.penalty.lambda=[1, 2, 3]"]).len(), 6);
    assert_eq!(runs(&["seeds=[1, 2]"]).len(), 8);
    assert_eq!(runs(&["grid={}"]).len(), 1);

    place.run(["x.toml", "--set", "grid={}", "--set", "name=other"]).exits(0);
    assert_eq!(place.run_ids("other").len(), 1);
    assert!(!place.path("results/tiny").exists());
    place.run(["status", "results/other"]).exits(0);
}

/// An override of a setting reaches into the values of an axis of whole sections.
#[test]
fn an_override_holds_for_every_value_of_an_axis_of_sections() {
    let axis = "[grid]\npenalty = [{ kind = \"l1\", lambda = 0.1 }, { kind = \"group-lasso\", lambda = 0.1, group_size = 4 }]";
    let place = Place::with(&with(axis));
    let said = place.run(["list", "x.toml", "--json", "--set", "penalty.lambda=0.5"]).exits(0);
    for run in said.json()["runs"].as_array().unwrap() {
        assert_eq!(run["settings"]["penalty"]["lambda"], json!(0.5), "{said}");
    }
    let said = place.run(["list", "x.toml", "--set", "penalty.group_size=2"]).exits(2);
    said.complains(["penalty `l1` has no setting `group_size`", "--set penalty.group_size=2:1:1"]);

    let zip = "[[grid.zip]]\n\"penalty.lambda\" = [0.1, 0.2]\n\"train.batch\" = [32, 64]";
    let place = Place::with(&with(zip));
    for (sets, runs) in
        [(&["penalty.lambda=0.5"][..], 2), (&["penalty.lambda=0.5", "train.batch=16"], 1)]
    {
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let said = place.run(["list", "x.toml", "--json"].into_iter().chain(sets)).exits(0);
        let listed = said.json()["runs"].as_array().unwrap().clone();
        assert_eq!(listed.len(), runs, "{said}");
        assert_eq!(listed[0]["settings"]["penalty"]["lambda"], json!(0.5), "{said}");
    }

    let optimizers = "[grid]\n\"train.optimizer\" = [{ kind = \"adam\" }, { kind = \"sgd\" }]";
    let place = Place::with(&with(optimizers));
    let said = place.run(["list", "x.toml", "--json", "--set", "train.optimizer.lr=0.5"]).exits(0);
    for run in said.json()["runs"].as_array().unwrap() {
        assert_eq!(run["settings"]["train"]["optimizer"]["lr"], json!(0.5), "{said}");
    }
}

#[test]
fn a_dry_run_writes_nothing() {
    let place = Place::with(TINY);
    let said = place.run(["x.toml", "--dry-run"]).exits(0);
    assert!(said.out.contains("1 runs") && said.out.contains(" new "), "{said}");
    let listed = place.run(["x.toml", "-n", "--json"]).exits(0).json();
    assert_eq!(listed["runs"].as_array().unwrap().len(), 1);
    place.run(["x.toml", "-n", "--output-dir", "out"]).exits(0);
    let entries: Vec<_> =
        fs::read_dir(place.path("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(entries, ["x.toml"]);
}

#[test]
fn results_go_to_standard_output_and_the_rest_to_standard_error() {
    let place = Place::with(TINY);
    let said = place.run(["x.toml", "--json", "--events", "events.json"]).exits(0);
    assert_eq!(said.json()["runs"][0]["status"], json!("done"));
    assert_eq!(said.json()["experiment"], json!("tiny"));
    assert!(said.err.contains("tiny: 1 of 1 runs to do") && said.err.contains("[1/1] "), "{said}");
    let events = place.read("events.json");
    let events: Vec<Json> =
        events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.first().unwrap()["event"], json!("started"));
    assert_eq!(events.last().unwrap()["event"], json!("finished"));
    assert_eq!(events.last().unwrap()["status"], json!("done"));
    let silent = place.run(["x.toml", "--rerun", "all", "--progress", "none"]).exits(0);
    assert!(!silent.err.contains("[1/1]"), "{silent}");
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    let place = Place::with(&format!(
        "seeds = [{}]\n{TINY}",
        (0..3000).map(|seed| seed.to_string()).collect::<Vec<_>>().join(", ")
    ));
    for words in [&["list", "x.toml"][..], &["list", "x.toml", "--json"], &["plugins", "--json"]] {
        let mut child =
            place.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let said = child.wait_with_output().unwrap();
        assert_eq!(said.status.code(), Some(0), "{words:?}");
        assert!(said.stderr.is_empty(), "{}", String::from_utf8_lossy(&said.stderr));
    }
}

/// Nobody hears the progress; the runs go on.
#[test]
fn a_run_outlives_the_reader_of_its_progress() {
    let place = Place::with(&format!("seeds = [0, 1, 2]\n{TINY}"));
    let mut child =
        place.command(["x.toml"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(texts(&place.table("tiny/runs"), "status"), ["done"; 3]);
}

/// Two commands on one folder share the work.
#[test]
fn two_commands_at_once_run_every_run_once() {
    let place = Place::with(&format!("seeds = [0, 1, 2, 3, 4, 5]\n{TINY}"));
    let start = || {
        let mut command = place.command(["x.toml", "-j", "1"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let (mut one, mut other) = (start(), start());
    for child in [&mut one, &mut other] {
        let code = child.wait().unwrap().code();
        assert!(code == Some(0) || code == Some(5), "{code:?}");
    }
    place.run(["x.toml"]).exits(0).complains(["nothing to do"]);
    assert_eq!(numbers(&place.table("tiny/runs"), "attempt"), [Some(1.0); 6]);
}

/// Four runs of a second or two.
const SLOW: &str = "name = \"slow\"
seeds = [0, 1, 2, 3]

[dataset]
kind = \"digits\"

[architecture]
kind = \"dense\"
latents = 16

[train]
steps = 1500

[evaluate]
every = 1500
";

/// A command under way, with what its workers tell.
struct Running {
    child: Child,
    events: PathBuf,
}

impl Running {
    fn start(place: &Place, words: &[&str]) -> Self {
        let events = place.path("events.json");
        let _ = fs::remove_file(&events);
        let mut command = place.command(words);
        command.args(["--events", "events.json"]).stdout(Stdio::null()).stderr(Stdio::null());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Self { child: command.spawn().unwrap(), events }
    }

    /// Waits for an event, and returns the first.
    fn wait_for(&self, event: &str) -> Json {
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            if let Ok(file) = fs::File::open(&self.events) {
                let lines = BufReader::new(file).lines().map_while(Result::ok);
                let mut events = lines.filter_map(|line| serde_json::from_str::<Json>(&line).ok());
                if let Some(found) = events.find(|found| found["event"] == event) {
                    return found;
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("no event `{event}` in a minute");
    }

    fn code(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The results of an experiment that nothing disturbs.
fn undisturbed(text: &str) -> Place {
    let place = Place::with(text);
    place.run(["x.toml"]).exits(0);
    place
}

#[cfg(unix)]
fn signal(signal: &str, target: i64) {
    let target = target.to_string();
    let status = std::process::Command::new("kill").args(["-s", signal, "--", &target]).status();
    assert!(status.unwrap().success(), "kill -s {signal} {target}");
}

/// The processes that `parent` started.
#[cfg(target_os = "linux")]
fn children(parent: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap() {
        let name = entry.unwrap().file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        // The name in brackets may hold anything; the parent is the second word after it.
        let rest = stat.rsplit(')').next().unwrap_or_default();
        let mut words = rest.split_whitespace();
        if words.next() != Some("Z")
            && words.next().and_then(|word| word.parse().ok()) == Some(parent)
        {
            found.push(pid);
        }
    }
    found
}

#[cfg(target_os = "linux")]
fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty()
        && stat.rsplit(')').next().unwrap_or_default().split_whitespace().next() != Some("Z")
}

/// An interruption by Ctrl-C (which the whole group hears), by a signal to the controller alone,
/// and a termination; each leaves what is done, and the same command goes on with the rest.
#[test]
#[cfg(unix)]
fn an_interrupted_grid_goes_on_when_the_command_is_repeated() {
    let undisturbed = undisturbed(SLOW);
    let place = Place::with(SLOW);
    for (name, group, code) in [("INT", true, 130), ("INT", false, 130), ("TERM", false, 143)] {
        let running = Running::start(&place, &["x.toml", "-j", "1"]);
        running.wait_for("progress");
        let pid = i64::from(running.child.id());
        let started = Instant::now();
        signal(name, if group { -pid } else { pid });
        assert_eq!(running.code(), Some(code), "SIG{name}");
        assert!(started.elapsed() < Duration::from_secs(10), "it took {:?}", started.elapsed());
        let said = place.run(["status", "results/slow"]).exits(5);
        assert!(!said.out.contains("failed"), "an interruption is no failure:\n{said}");
        assert!(place.path("results/slow/runs.parquet").exists());
    }
    place.run(["x.toml"]).exits(0);
    for table in ["slow/runs", "slow/history", "slow/latents"] {
        assert_same(&place.table(table), &undisturbed.table(table));
    }
}

/// A worker that is killed takes its run with it and no other.
#[test]
#[cfg(target_os = "linux")]
fn a_killed_worker_fails_its_run_alone() {
    let undisturbed = undisturbed(SLOW);
    let place = Place::with(SLOW);
    let running = Running::start(&place, &["x.toml", "-j", "1"]);
    let killed = running.wait_for("progress")["run"].as_str().unwrap().to_owned();
    let workers = children(running.child.id());
    assert_eq!(workers.len(), 1);
    signal("KILL", i64::from(workers[0]));
    assert_eq!(running.code(), Some(100));
    let runs = place.table("slow/runs");
    for (id, (status, reason)) in
        texts(&runs, "run_id").iter().zip(texts(&runs, "status").iter().zip(texts(&runs, "reason")))
    {
        if *id == killed {
            assert_eq!(
                (status.as_str(), reason.contains("killed by signal 9")),
                ("failed", true),
                "{reason}"
            );
        } else {
            assert_eq!(status, "done", "{reason}");
        }
    }
    place.run(["x.toml"]).exits(100).complains(["nothing to do"]);
    place.run(["x.toml", "--rerun", "failed"]).exits(0).complains(["1 of 4 runs to do"]);
    assert_same(&place.table("slow/runs"), &undisturbed.table("slow/runs"));
    assert_same(&place.table("slow/latents"), &undisturbed.table("slow/latents"));
}

/// With retries, a run whose worker was killed is tried again.
#[test]
#[cfg(target_os = "linux")]
fn a_killed_run_is_tried_again_where_retries_are_left() {
    let text = format!("{}\n[run]\nretries = 1\n", SLOW.replace("[0, 1, 2, 3]", "[0, 1]"));
    let place = Place::with(&text);
    let running = Running::start(&place, &["x.toml", "-j", "1"]);
    let killed = running.wait_for("progress")["run"].as_str().unwrap().to_owned();
    signal("KILL", i64::from(children(running.child.id())[0]));
    assert_eq!(running.code(), Some(0));
    let runs = place.table("slow/runs");
    assert_eq!(texts(&runs, "status"), ["done"; 2]);
    for (id, attempt) in texts(&runs, "run_id").iter().zip(numbers(&runs, "attempt")) {
        assert_eq!(attempt, Some(if *id == killed { 2.0 } else { 1.0 }));
    }
}

/// A run that a live worker has cannot be run again, and then nothing else is put aside either.
#[test]
#[cfg(unix)]
fn a_run_at_work_is_not_taken_away_from_its_worker() {
    let place = Place::with(SLOW);
    place.run(["x.toml", "--set", "seeds=[0]"]).exits(0);
    let done = changes(&place.path("results/slow/runs"));
    let running = Running::start(&place, &["x.toml", "-j", "1"]);
    let id = running.wait_for("progress")["run"].as_str().unwrap().to_owned();
    let said = place.run(["x.toml", "--rerun", "all"]).exits(75);
    said.complains([format!("a live worker has run {id}").as_str()]);
    let now = changes(&place.path("results/slow/runs"));
    assert!(done.iter().all(|(path, time)| now.get(path) == Some(time)), "results were put aside");
    let status = place.run(["status", "results/slow"]).exits(5);
    assert!(status.out.contains("1 running"), "{status}");
    let listed = place.run(["list", "x.toml"]).exits(0);
    assert!(listed.out.contains(" running "), "{listed}");
    assert_eq!(running.code(), Some(0));
}

/// No file may grow beyond 64 KiB at most, as on a disk that is full: the model cannot be stored.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_named_and_the_same_command_goes_on_later() {
    let text = format!("seeds = [0, 1]\n{}", TINY.replace("= 16", "= 512"));
    let undisturbed = undisturbed(&text);
    let place = Place::with(&text);
    let mut shell = std::process::Command::new("sh");
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" x.toml -j 1";
    shell.args(["-c", script, env!("CARGO_BIN_EXE_saegrid")]).current_dir(place.path(""));
    let said = Said::from(shell.output().unwrap()).exits(74);
    said.complains(["cannot write `", "model.safetensors`: File too large"]);
    for id in place.run_ids("tiny") {
        assert!(!place.path(format!("results/tiny/runs/{id}/manifest.json")).exists());
        assert!(!place.path(format!("results/tiny/runs/{id}/model.safetensors")).exists());
    }
    place.run(["x.toml"]).exits(0);
    assert_same(&place.table("tiny/runs"), &undisturbed.table("tiny/runs"));

    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let said = place.command(["list", "x.toml"]).stdout(full).output().unwrap();
    Said::from(said).exits(74).complains(["cannot write to standard output"]);
}

/// Killing the controller, in the middle of a run and with one run done, loses nothing: its workers
/// end, and the same command goes on, without repeating what is done.
#[test]
#[cfg(target_os = "linux")]
fn a_killed_controller_takes_its_workers_along_and_loses_nothing() {
    let undisturbed = undisturbed(SLOW);
    let place = Place::with(SLOW);
    let mut done = BTreeMap::new();
    for (event, jobs) in [("started", "2"), ("finished", "2"), ("progress", "1")] {
        let running = Running::start(&place, &["x.toml", "-j", jobs]);
        running.wait_for(event);
        let workers = children(running.child.id());
        signal("KILL", i64::from(running.child.id()));
        let deadline = Instant::now() + Duration::from_secs(5);
        while workers.iter().any(|pid| is_alive(*pid)) {
            assert!(Instant::now() < deadline, "workers outlived their controller");
            std::thread::sleep(Duration::from_millis(20));
        }
        let files = changes(&place.path("results/slow/runs"));
        assert!(
            done.iter().all(|(path, time)| files.get(path) == Some(time)),
            "a run that was done was touched"
        );
        done = files;
        done.retain(|path, _| path.with_file_name("manifest.json").exists());
    }
    assert!(!done.is_empty(), "one run was done");
    place.run(["x.toml"]).exits(0);
    let files = changes(&place.path("results/slow/runs"));
    assert!(
        done.iter().all(|(path, time)| files[path] == *time),
        "a run that was done was repeated"
    );
    for table in ["slow/runs", "slow/history", "slow/latents"] {
        assert_same(&place.table(table), &undisturbed.table(table));
    }
    let leftovers =
        files.keys().filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with('.'));
    assert_eq!(leftovers.count(), 0, "temporary files stay behind");
}
