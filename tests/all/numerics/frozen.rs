//! Experiments as they once stood in `experiments/`: their runs keep their ids, and some of them, trained
//! again, come to the same bits. `tests/golden/frozen` has the files, the ids and what the runs left.
//!
//! Bits depend on the vector instructions, and with the reference engine on the L1 data cache as well
//! (docs/bits.md), so each record in `bits.json` says which these were; with others, nothing is compared. To
//! record ids and bits anew, or the bits of another machine: `SAEGRID_FROZEN=write cargo test frozen`. Where a
//! known id or record then changes, every user's results change: that needs a reason.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use framework::spec::Experiment;
use serde_json::{Value as Json, json};
use tables::Table;

use crate::support::program::{Place, Said, lasting, texts};
use crate::support::skipped::skipped;

const FOLDER: &str = "tests/golden/frozen";

/// The experiments. Paths to their data are those of `experiments/`, as a path counts as it is written.
const EXPERIMENTS: [&str; 3] = ["kl_sweep", "methods", "mnist_methods"];

/// What of them is trained: an experiment, and what the command line changes in it.
const TRAINED: [(&str, &[&str]); 3] = [
    ("kl_sweep", &["penalty.rho=0.05"]),
    ("methods", &[ONE_OF_EACH]),
    ("methods", &[ONE_OF_EACH, "train.engine=reference", "train.epochs=10"]),
];

/// One run of `methods` for each penalty.
const ONE_OF_EACH: &str = "grid.zip=[{ penalty = [{ kind = \"l1\", lambda = 0.1 }, \
    { kind = \"kl\", rho = 0.05, beta = 0.1 }, { kind = \"k-sparse\", k = 10 }, \
    { kind = \"group-lasso\", lambda = 0.1, group_size = 8 }], \
    \"architecture.activation\" = [\"relu\", \"sigmoid\", \"relu\", \"relu\"] }]";

/// Columns that are no result: what the record is of, and what metrics declare, which grows with them.
const NO_RESULTS: [&str; 2] = ["cpu_features", "metrics"];

fn writes() -> bool {
    std::env::var_os("SAEGRID_FROZEN").is_some_and(|word| word == "write")
}

/// Ids of the runs of a frozen experiment, in its order.
fn ids(name: &str) -> Vec<String> {
    let path = Path::new(FOLDER).join(format!("{name}.toml"));
    let runs = Experiment::read(&path, &[]).and_then(|experiment| experiment.runs());
    runs.unwrap_or_else(|problems| panic!("{problems:?}")).into_iter().map(|run| run.id.0).collect()
}

fn known_ids(name: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(FOLDER).join(format!("{name}.ids"))).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Wrong if a run that users have got another id, so that all of it were run again.
#[test]
fn frozen_experiments_keep_the_ids_of_their_runs() {
    for (name, count) in EXPERIMENTS.into_iter().zip([27, 36, 36]) {
        let found = ids(name);
        assert_eq!(found.len(), count, "{name}");
        if writes() {
            let file = Path::new(FOLDER).join(format!("{name}.ids"));
            fs::write(file, found.join("\n") + "\n").unwrap();
        }
        assert_eq!(found, known_ids(name), "{name}");
    }
}

fn digest(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex()[..16].to_owned()
}

/// What a table has in each column of results: the value of a table of one row, else a digest of all rows.
fn columns(bytes: &[u8]) -> Json {
    let mut columns = lasting(&Table::from_parquet(bytes).unwrap());
    columns.retain(|name, _| !NO_RESULTS.contains(&&**name));
    let shown = |values: Vec<String>| match &*values {
        [value] => value.clone(),
        values => format!("{} rows: {}", values.len(), digest(&values.join("\n"))),
    };
    columns.into_iter().map(|(name, values)| (name, json!(shown(values)))).collect()
}

/// What runs left, by the machine that their bits are of and by id.
type Bits = BTreeMap<String, BTreeMap<String, Json>>;

/// Trains [`TRAINED`] with this word in the variable that limits the instructions.
fn trained(word: &str) -> Bits {
    let mut bits = Bits::new();
    for (name, sets) in TRAINED {
        let place = Place::with(&fs::read_to_string(format!("{FOLDER}/{name}.toml")).unwrap());
        let sets = sets.iter().flat_map(|set| ["--set", *set]);
        let words = ["x.toml", "-j", "2", "--set", "seeds=[0]"].into_iter().chain(sets);
        let said = place.command(words).env("SAEGRID_CPU", word).output().unwrap();
        Said::from(said).exits(0);
        let engine = &texts(&place.table(&format!("{name}/runs")), "engine")[0];
        for id in place.run_ids(name) {
            let folder = place.path("results").join(name).join("runs").join(&id);
            let manifest = place.json(folder.join("manifest.json"));
            let provenance = &manifest["provenance"];
            let features = provenance["cpu_features"].as_array().unwrap();
            let features: Vec<&str> = features.iter().map(|one| one.as_str().unwrap()).collect();
            let mut machine = format!("{engine}: {}", features.join(" "));
            // The cache has no part in the results of the fused engine.
            if engine == "reference" {
                let cache = provenance["l1_data_cache"].as_str().unwrap_or("unknown");
                machine.push_str(&format!("; L1 {cache}"));
            }
            let table = |table: &str| columns(&fs::read(folder.join(table)).unwrap());
            let left = json!({
                "model": manifest["digests"]["model.safetensors"],
                "run": table("run.parquet"),
                "history": table("history.parquet"),
                "latents": table("latents.parquet"),
            });
            bits.entry(machine).or_default().insert(id, left);
        }
    }
    bits
}

/// Wrong if a change of the program moved what existing experiments learn or what is measured of it. New
/// columns are no such change.
#[test]
fn frozen_runs_come_to_the_same_bits() {
    let file = Path::new(FOLDER).join("bits.json");
    let mut known: Bits = match fs::read(&file) {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap(),
        Err(_) => Bits::new(),
    };
    let mut all = trained("");
    // Without AVX-512, which more machines have in common.
    all.extend(trained("avx2"));
    let frozen: Vec<String> = EXPERIMENTS.into_iter().flat_map(known_ids).collect();
    for (machine, runs) in all {
        if machine.starts_with("fused") {
            assert!(runs.keys().all(|id| frozen.contains(id)), "{:?}", runs.keys());
        }
        if writes() {
            known.insert(machine, runs);
            continue;
        }
        let Some(known) = known.get(&machine) else {
            skipped(&format!(
                "{FOLDER} has no bits of {machine}; SAEGRID_FROZEN=write records them"
            ));
            continue;
        };
        assert_eq!(known.keys().collect::<Vec<_>>(), runs.keys().collect::<Vec<_>>(), "{machine}");
        for (id, known) in known {
            let found = &runs[id];
            for (part, known) in known.as_object().unwrap() {
                let Some(columns) = known.as_object() else {
                    assert_eq!(&found[part], known, "{machine}: {part} of run {id}");
                    continue;
                };
                for (column, known) in columns {
                    let found = &found[part][column];
                    assert_eq!(found, known, "{machine}: column {column} of {part} of run {id}");
                }
            }
        }
    }
    if writes() {
        fs::write(&file, serde_json::to_string_pretty(&known).unwrap() + "\n").unwrap();
    }
}
