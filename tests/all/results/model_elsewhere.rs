//! A stored model is of use without this program: the programs of docs/model.md find the error that is stored
//! with a run.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::readme::{blocks_of, python_with, runnable};
use crate::support::program::{Place, numbers, texts};
use crate::support::skipped::skipped;

/// Every activation, both decoders, tied weights, a bias that is subtracted, unit norms, each normalization, and
/// penalties that change codes or leave them as they are.
const MODELS: &str = "name = \"models\"

[dataset]
kind = \"digits\"

[architecture]
kind = \"dense\"
latents = 24

[train]
epochs = 1

[[grid.zip]]
\"dataset.normalize\" = [\"none\", \"center\", \"standard\", \"unit-norm\", \"none\", \"standard\", \"none\", \"center\", \"none\", \"center\", \"standard\"]
architecture = [
    { kind = \"dense\", latents = 24 },
    { kind = \"dense\", latents = 24, activation = \"identity\" },
    { kind = \"dense\", latents = 24, activation = \"sigmoid\", tied = true },
    { kind = \"dense\", latents = 24, activation = \"tanh\", subtract_decoder_bias = true },
    { kind = \"dense\", latents = 24, decoder = \"sigmoid\", unit_norm = true },
    { kind = \"dense\", latents = 24, subtract_decoder_bias = true, unit_norm = true, tied = true },
    { kind = \"dense\", latents = 24 },
    { kind = \"dense\", latents = 24, tied = true },
    { kind = \"dense\", latents = 24 },
    { kind = \"dense\", latents = 24, subtract_decoder_bias = true },
    { kind = \"dense\", latents = 24 },
]
penalty = [
    { kind = \"k-sparse\", k = 3 },
    { kind = \"k-sparse\", k = 5, alpha = 1.5 },
    { kind = \"kl\", rho = 0.05, beta = 0.1 },
    { kind = \"kl\", rho = 0.05, beta = 0.1 },
    { kind = \"l1\", lambda = 0.01 },
    { kind = \"k-sparse\", k = 20, alpha = 3 },
    { kind = \"abs-top-k\", k = 3 },
    { kind = \"batch-top-k\", k = 2.5 },
    { kind = \"matryoshka\", k = 3, prefixes = [6, 24] },
    { kind = \"gated\", lambda = 0.01 },
    { kind = \"jump-relu\", lambda = 0.1 },
]
";

/// Wrong if the page's formula, its scaling of data or its reading of tensors was not the program's.
#[test]
fn the_programs_of_the_page_find_the_stored_error() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/model.md")).unwrap();
    let programs = runnable(&blocks_of(&page, "python"));
    assert_eq!(programs.len(), 2, "one of NumPy and one of PyTorch");
    let mut able = Vec::new();
    for (needs, program) in programs {
        match python_with(needs) {
            Some(python) => able.push((python, program)),
            None => {
                skipped(&format!("there is no Python with {needs} for the page on stored models"))
            }
        }
    }
    if able.is_empty() {
        return;
    }
    let place = Place::with(MODELS);
    place.run(["x.toml"]).exits(0);
    fs::create_dir_all(place.path("plugins/data")).unwrap();
    let data = "plugins/data/digits.csv.gz";
    fs::copy(root.join(data), place.path(data)).unwrap();
    let runs = place.table("models/runs");
    let stored = numbers(&runs, "test_mse");
    assert_eq!(stored.len(), 11);
    for (python, program) in able {
        for (id, stored) in texts(&runs, "run_id").iter().zip(&stored) {
            let output = Command::new(&python)
                .args(["-c", &program, &format!("results/models/runs/{id}")])
                .current_dir(place.path(""))
                .output()
                .unwrap();
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{program}\n{error}");
            let found: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
            let stored = stored.unwrap();
            assert!((found / stored - 1.0).abs() < 1e-5, "{id}: {found} for {stored}");
        }
    }
}
