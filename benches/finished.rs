//! Folders of experiments whose runs have all ended, made without training: for measurements and
//! tests of what is done with results. The store makes their tables and manifests; only the numbers
//! are made up.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use framework::plugin::{LatentColumn, Metric};
use framework::spec::{Experiment, RunSpec};
use framework::train::{HistoryRow, LossMeans};
use store::{Execution, Folder, Manifest, Status, history_table, latents_table, run_table};

/// What all finished runs have in common.
pub struct Finished {
    /// The experiment.
    pub experiment: Experiment,
    /// Its runs.
    pub runs: Vec<RunSpec>,
    /// Latents of a run, as its table has them.
    pub latents: usize,
    /// Rows of its history.
    pub points: usize,
}

impl Finished {
    /// An experiment of so many seeds of four settings.
    pub fn new(seeds: usize, latents: usize, points: usize) -> Self {
        let seeds: Vec<usize> = (0..seeds).collect();
        let text = format!(
            "name = \"finished\"\nseeds = {seeds:?}\ndataset.kind = \"digits\"\n\
             architecture = {{ kind = \"dense\", latents = {latents} }}\n[grid]\n\
             penalty = [{{ kind = \"l1\", lambda = 0.1 }}, {{ kind = \"l1\", lambda = 0.3 }}, \
             {{ kind = \"k-sparse\", k = 5 }}, {{ kind = \"k-sparse\", k = 2 }}]\n",
        );
        let experiment = Experiment::parse("finished.toml".into(), "".into(), text, &[]);
        let experiment = experiment.expect("the experiment is a legal one");
        let runs = experiment.runs().expect("no two points are the same");
        Self { experiment, runs, latents, points }
    }

    /// Makes the folder of the experiment, without a run.
    pub fn open(&self, path: &Path) -> Folder {
        let folder = Folder::at(path);
        let opened = folder.open_for(&self.experiment, Path::new("finished.toml"), &[]);
        opened.expect("the folder is free");
        folder
    }

    /// Writes what a run leaves behind, in place of what is there. What is measured follows from the
    /// run and the number of the attempt alone.
    pub fn write(&self, folder: &Folder, run: &RunSpec, attempt: usize, status: Status) {
        let metrics = |share: f64| {
            let at = (run.seed * 31 + attempt as u64 * 7) % 97;
            let value = |name: &str, value| Metric { name: name.to_owned(), value: Some(value) };
            let sparse = run.penalty.value.kind == "k-sparse";
            let strength = ["k", "lambda"].iter().find_map(|key| run.penalty.settings.get(*key));
            let strength = strength.and_then(|value| value.as_f64()).unwrap_or(1.0);
            let l0 = if sparse { strength } else { 1.0 / strength };
            vec![
                value("test_mse", (0.02 + at as f64 / 1e4) * share / l0),
                value("test_mse_thresholded", (0.02 + at as f64 / 1e4) * share / l0),
                value("test_explained_variance", 0.9 - at as f64 / 1e3),
                value("test_l0", l0),
                value("test_dead_fraction", at as f64 / 100.0),
                value("test_mean_activation", 0.1 * share),
                value("test_firing_rate", l0 / self.latents as f64),
            ]
        };
        let execution = Execution {
            seconds: 1.5 + run.seed as f64,
            samples_per_second: Some(1e5),
            peak_memory_bytes: Some(1 << 26),
            started: "2026-01-01T00:00:00Z".to_owned(),
            finished: "2026-01-01T00:00:01Z".to_owned(),
            host: "here".to_owned(),
            pid: 1,
            worker: 0,
            attempt,
            threads: 1,
        };
        let is_done = status == Status::Done;
        let (reason, results) =
            if is_done { (None, metrics(1.0)) } else { (Some("made up"), Vec::new()) };
        let name = &self.experiment.name;
        let table = run_table(name, run, status, reason, &results, Some(run.l0_rule()), &execution);
        let mut tables = vec![("run.parquet", table)];
        if is_done {
            let history: Vec<HistoryRow> = (1..=self.points)
                .map(|point| HistoryRow {
                    epoch: point,
                    step: point * 12,
                    loss: LossMeans {
                        total: 1.0 / point as f64,
                        reconstruction: 0.9 / point as f64,
                        penalty: 0.1 / point as f64,
                        penalty_raw: 1.0 / point as f64,
                        ..LossMeans::default()
                    },
                    metrics: metrics(2.0 - point as f64 / self.points as f64),
                    seconds: point as f64,
                })
                .collect();
            // No two runs have the same values, which would be packed as nobody's results are.
            let own = u32::from_str_radix(&run.id.0[..8], 16).expect("an id is hex digits");
            let own = f64::from(own) + attempt as f64;
            let column = |name: &str, scale: f64| LatentColumn {
                name: name.to_owned(),
                values: (0..self.latents)
                    .map(|latent| Some((latent as f64 * scale + own).sin()))
                    .collect(),
            };
            let columns = [
                column("firing_rate", 0.1),
                column("mean_activation", 0.2),
                column("max_activation", 0.3),
                column("decoder_norm", 0.4),
            ];
            tables.push(("history.parquet", history_table(&run.id, &history)));
            tables.push(("latents.parquet", latents_table(&run.id, self.latents, &columns)));
        }
        let path = folder.run(&run.id);
        if path.exists() {
            fs::remove_dir_all(&path).expect("the run folder is ours");
        }
        fs::create_dir_all(&path).expect("the folder can be written to");
        let mut digests = BTreeMap::new();
        for (name, table) in tables {
            let bytes = table.to_parquet().expect("a small table can be written");
            digests.insert(name.to_owned(), blake3::hash(&bytes).to_hex().to_string());
            fs::write(path.join(name), bytes).expect("the folder can be written to");
        }
        let manifest = Manifest {
            format: 1,
            run_id: run.id.clone(),
            status,
            reason: reason.map(str::to_owned),
            settings: serde_json::json!({ "seed": run.seed }),
            evaluations: Manifest::evaluations_of(&self.experiment),
            every: None,
            versions: Manifest::versions_of(&self.experiment, run),
            provenance: serde_json::json!({}),
            attempt,
            data: Default::default(),
            taken: Vec::new(),
            digests,
            exhibits: Vec::new(),
        };
        let bytes = manifest.to_bytes().expect("a manifest has a JSON form");
        fs::write(path.join("manifest.json"), bytes).expect("the folder can be written to");
    }
}
