//! Machines with different vector instructions: results depend on the instructions that were used, to the
//! bit, and otherwise agree within the tolerance that docs/bits.md states.

use tables::{Table, Values};

use crate::support::program::{Place, Said, assert_same, texts};
use crate::support::skipped::skipped;

/// Sums of more terms than a register or a block of a product has.
const EXPERIMENT: &str = "name = \"cpu\"\nseeds = [0, 1]\n\
    [dataset]\nkind = \"sparse-dictionary\"\ninputs = 600\nfeatures = 800\nactive = 8\ntrain = 1024\ntest = 256\n\
    [architecture]\nkind = \"dense\"\nlatents = 700\n[train]\nepochs = 4\n\
    [evaluate]\nkinds = [\"reconstruction\", \"sparsity\"]\n\
    [grid]\n\"train.precision\" = [\"f32\", \"bf16\"]\n\
    penalty = [{ kind = \"none\" }, { kind = \"l1\", lambda = 0.1 }, { kind = \"k-sparse\", k = 32 }]\n";

/// The tolerance of docs/bits.md, relative to the greater of two numbers.
const TOLERANCE: f64 = 1e-3;

const TABLES: [&str; 3] = ["cpu/runs", "cpu/history", "cpu/latents"];

/// The experiment, run with this word in the variable that limits the instructions.
fn run(word: Option<&str>, jobs: &str) -> (Place, Said) {
    let place = Place::with(EXPERIMENT);
    let mut command = place.command(["x.toml", "-j", jobs]);
    match word {
        Some(word) => command.env("SAEGRID_CPU", word),
        None => command.env_remove("SAEGRID_CPU"),
    };
    let said = command.output().unwrap().into();
    (place, said)
}

fn run_well(word: Option<&str>, jobs: &str) -> Place {
    let (place, said) = run(word, jobs);
    said.exits(0);
    place
}

fn features(place: &Place) -> String {
    let all = texts(&place.table("cpu/runs"), "cpu_features");
    assert!(all.iter().all(|other| *other == all[0]), "{all:?}");
    let id = &place.run_ids("cpu")[0];
    let manifest = place.json(place.path("results/cpu/runs").join(id).join("manifest.json"));
    let listed = manifest["provenance"]["cpu_features"].as_array().unwrap();
    let listed: Vec<&str> = listed.iter().map(|one| one.as_str().unwrap()).collect();
    assert_eq!(listed.join(" "), all[0], "the manifest says the same");
    all[0].clone()
}

/// Greatest distance between the numbers of two tables, for each column.
fn distances(one: &Table, other: &Table, columns: &[&str]) -> Vec<(String, f64)> {
    let numbers = |table: &Table, name: &str| match table.get(name) {
        Some(Values::Number(values)) => values.clone(),
        values => panic!("`{name}` is {values:?}"),
    };
    let distance = |name: &&str| {
        let pairs = numbers(one, name).into_iter().zip(numbers(other, name));
        let apart = pairs.map(|(one, other)| match (one, other) {
            (Some(one), Some(other)) if one == other => 0.0,
            (Some(one), Some(other)) => (one - other).abs() / one.abs().max(other.abs()),
            (one, other) => {
                if one == other {
                    0.0
                } else {
                    f64::INFINITY
                }
            }
        });
        ((*name).to_owned(), apart.fold(0.0, f64::max))
    };
    columns.iter().map(distance).collect()
}

/// Wrong if machines with the same instructions gave other bits, if results named other instructions than
/// those used, or if other instructions gave results beyond the tolerance.
#[test]
fn results_are_those_of_the_instructions_that_were_used() {
    let (all, limited, again) =
        (run_well(None, "2"), run_well(Some("avx2"), "2"), run_well(Some("avx2"), "1"));
    TABLES.iter().for_each(|table| assert_same(&limited.table(table), &again.table(table)));
    assert!(!features(&limited).contains("avx512"), "{}", features(&limited));
    if !features(&all).contains("avx512vl") {
        skipped("this machine has no AVX-512 that could be switched off");
        TABLES.iter().for_each(|table| assert_same(&all.table(table), &limited.table(table)));
        return;
    }
    assert_eq!(all.run_ids("cpu"), limited.run_ids("cpu"), "they are the same runs");
    let apart = distances(
        &all.table("cpu/runs"),
        &limited.table("cpu/runs"),
        &["train_loss", "test_mse", "test_explained_variance", "test_l0", "test_mean_activation"],
    );
    println!("with and without AVX-512: {apart:?}");
    assert!(apart.iter().all(|(_, apart)| *apart < TOLERANCE), "{apart:?}");
    let model = |place: &Place, id: &str| {
        std::fs::read(place.path("results/cpu/runs").join(id).join("model.safetensors")).unwrap()
    };
    let ids = all.run_ids("cpu");
    let differ = ids.iter().filter(|id| model(&all, id) != model(&limited, id)).count();
    assert!(differ > 0, "nothing was switched off");
}

/// Wrong if a misspelt limit meant no limit.
#[test]
fn a_limit_that_is_not_known_is_said() {
    let (_, said) = run(Some("sse2"), "1");
    said.exits(2).complains(["`SAEGRID_CPU` is `sse2`", "`avx2`"]);
}
