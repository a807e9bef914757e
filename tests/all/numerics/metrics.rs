//! What metrics do not depend on: the batches they are taken in, and how samples are scaled for the model.

use crate::support::program::{Place, numbers};

/// Columns of numbers that are results of the evaluation.
fn measured(place: &Place, table: &str) -> Vec<(String, Vec<Option<f64>>)> {
    let table = place.table(table);
    let names = table.columns().iter().map(|column| column.name.clone());
    names
        .filter(|name| name.starts_with("test_") || name.ends_with("activation"))
        .filter(|name| matches!(table.get(name), Some(tables::Values::Number(_))))
        .map(|name| (name.clone(), numbers(&table, &name)))
        .collect()
}

/// 7 divides neither part; 1000 takes the test part at once.
#[test]
fn metrics_do_not_depend_on_the_batch_they_are_taken_in() {
    for (architecture, penalties) in [
        ("sigmoid", "[{ kind = \"kl\", rho = 0.1, beta = 0.1 }, { kind = \"none\" }]"),
        ("tanh", "[{ kind = \"kl\", rho = 0.1, beta = 0.1 }, { kind = \"l1\", lambda = 0.1 }]"),
        (
            "identity",
            "[{ kind = \"k-sparse\", k = 4, alpha = 1.5 }, { kind = \"l1\", lambda = 0.1 }]",
        ),
        (
            "relu",
            "[{ kind = \"group-lasso\", lambda = 0.3, group_size = 4 }, { kind = \"k-sparse\", k = 4 }]",
        ),
    ] {
        let of = |batch: usize| {
            let place = Place::with(&format!(
                "name = \"m\"\n[dataset]\nkind = \"sparse-dictionary\"\ninputs = 24\nfeatures = 32\n\
                 active = 3\ntrain = 600\ntest = 500\nnormalize = \"unit-norm\"\n\
                 [architecture]\nkind = \"dense\"\nlatents = 16\nactivation = \"{architecture}\"\n\
                 [train]\nepochs = 2\n[grid]\npenalty = {penalties}\n\
                 [evaluate]\nkinds = [\"reconstruction\", \"sparsity\", \"recovery\"]\nbatch = {batch}\n"
            ));
            place.run(["x.toml"]).exits(0);
            place
        };
        let (small, large) = (of(7), of(1000));
        assert_eq!(small.run_ids("m"), large.run_ids("m"), "`[evaluate]` makes no other run");
        for table in ["m/runs", "m/latents", "m/history"] {
            let (small, large) = (measured(&small, table), measured(&large, table));
            assert!(small.len() >= 2, "{small:?}");
            for ((name, small), (other, large)) in small.iter().zip(&large) {
                assert_eq!(name, other);
                for (small, large) in small.iter().zip(large) {
                    let (Some(small), Some(large)) = (small, large) else {
                        assert_eq!(small, large, "{architecture}: {table}: {name}");
                        continue;
                    };
                    // Codes are f32 whose products are summed in another order in another batch.
                    let scale = small.abs().max(large.abs()).max(1e-3);
                    assert!(
                        (small - large).abs() <= 1e-6 * scale,
                        "{architecture}: {table}: {name}: {small} and {large}"
                    );
                }
            }
        }
    }
}

/// Metrics are in the units of the data however samples are scaled for the model: the error divided
/// by the unexplained share is the variance of the test set. Wrong if reconstructions were measured
/// before they are scaled back, or against scaled samples.
#[test]
fn metrics_are_in_the_units_of_the_data_whatever_the_normalisation() {
    let place = Place::with(
        "name = \"tiny\"\n[dataset]\nkind = \"digits\"\n[architecture]\nkind = \"dense\"\n\
         latents = 32\n[train]\nepochs = 20\n[grid]\n\"dataset.normalize\" = \
         [\"none\", \"center\", \"standard\", \"unit-norm\"]\n",
    );
    place.run(["x.toml"]).exits(0);
    let runs = place.table("tiny/runs");
    let column = |name: &str| numbers(&runs, name).into_iter().map(Option::unwrap);
    for (mse, explained) in column("test_mse").zip(column("test_explained_variance")) {
        // 0.07301 a number: the variance of the last 360 digits around the mean of each pixel.
        let variance = mse / (1.0 - explained);
        assert!((variance - 0.07301).abs() < 1e-4, "{variance}");
        assert!(explained > 0.5, "not as in the units of the data, or not learnt: {explained}");
    }
}
