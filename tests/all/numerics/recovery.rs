//! Training finds known features, which the metrics of recovery measure.

use crate::support::program::{Place, numbers};

/// `{ penalty }` at `steps` steps: the mean max cosine against 64 true features in 32 dimensions.
fn mean_max_cosine(penalty: &str, train: &str) -> f64 {
    let place = Place::with(&format!(
        "name = \"tiny\"\n[dataset]\nkind = \"sparse-dictionary\"\ninputs = 32\nfeatures = 64\n\
         active = 3\ntrain = 10000\ntest = 500\n[architecture]\nkind = \"dense\"\nlatents = 64\n\
         subtract_decoder_bias = true\nunit_norm = true\n[penalty]\n{penalty}\n[train]\n{train}\n\
         [evaluate]\nkinds = [\"recovery\"]\nevery = 1000\n"
    ));
    place.run(["x.toml"]).exits(0);
    numbers(&place.table("tiny/runs"), "test_mean_max_cosine")[0].unwrap()
}

const TRAINED: &str = "epochs = 20\noptimizer = { kind = \"adam\", lr = 3e-3 }";

/// Wrong if L1, as it is defined and trained here, did not find an over-complete dictionary.
#[test]
fn l1_recovers_an_over_complete_dictionary() {
    let found = mean_max_cosine("kind = \"l1\"\nlambda = 0.1", TRAINED);
    assert!(found > 0.9, "{found}");
}

/// Wrong if k-sparse, as it is defined and trained here, did not find an over-complete dictionary.
#[test]
fn k_sparse_recovers_an_over_complete_dictionary() {
    let found = mean_max_cosine("kind = \"k-sparse\"\nk = 4", TRAINED);
    assert!(found > 0.9, "{found}");
}

/// Wrong if the metric were high for a decoder of random directions.
#[test]
fn random_directions_are_no_recovery() {
    let untrained = "steps = 1\noptimizer = { kind = \"sgd\", lr = 1e-12 }";
    let found = mean_max_cosine("kind = \"none\"", untrained);
    assert!(found < 0.6, "{found}");
}
