//! What numbers and names do not depend on: metrics not on the batches they are taken in, the id
//! of a run not on how its settings are spelt. And what the registries promise.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use framework::plugin::{ARCHITECTURES, DATASETS, EVALUATIONS, PENALTIES, kinds};
use framework::spec::Experiment;
use proptest::prelude::*;

use crate::program::{Place, TINY, numbers};

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

/// The example of each plugin is documentation and must build.
#[test]
fn every_plugin_builds_from_its_example() {
    let here = Path::new("");
    let mut problems = Vec::new();
    problems.extend(ARCHITECTURES.iter().filter_map(|plugin| plugin.example(here).err()));
    problems.extend(DATASETS.iter().filter_map(|plugin| plugin.example(here).err()));
    problems.extend(EVALUATIONS.iter().filter_map(|plugin| plugin.example(here).err()));
    problems.extend(PENALTIES.iter().filter_map(|plugin| plugin.example(here).err()));
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn every_plugin_has_a_name_of_its_own_and_is_explained() {
    for (kind, rows) in kinds() {
        assert!(!rows.is_empty(), "no {kind} is linked");
        let mut names = HashSet::new();
        for row in rows {
            let name = row.name;
            assert!(names.insert(name), "two plugins of kind {kind} are named {name}");
            let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(name.chars().all(legal) && !name.is_empty(), "{kind} `{name}`: kebab-case");
            assert!(!row.about.is_empty() && !row.about.ends_with('.'), "{kind} `{name}`: about");
            let properties = row.schema["properties"].as_object();
            for (key, property) in properties.into_iter().flatten() {
                assert!(
                    property["description"].is_string(),
                    "{kind} `{name}`: {key} is not explained"
                );
            }
        }
    }
}

/// The ids of the runs of an experiment, in its order.
fn ids(text: &str) -> Vec<String> {
    ids_in("x.toml", "", text)
}

fn ids_in(file: &str, base: &str, text: &str) -> Vec<String> {
    let experiment = Experiment::parse(file.into(), base.into(), text.into(), &[]);
    let experiment = experiment.unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
    let runs = experiment.runs().unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
    runs.into_iter().map(|run| run.id.0).collect()
}

fn id(text: &str) -> String {
    let mut ids = ids(text);
    assert_eq!(ids.len(), 1);
    ids.remove(0)
}

/// A run with a setting of each type.
const FULL: &str = "name = \"full\"
[dataset]
kind = \"idx\"
images = \"images.gz\"
train = 100
normalize = \"center\"
[architecture]
kind = \"dense\"
latents = 16
activation = \"sigmoid\"
tied = true
[penalty]
kind = \"kl\"
rho = 0.05
beta = 2.0
[train]
epochs = 10
batch = 64
optimizer = { kind = \"adam\", lr = 0.001 }
";

#[test]
fn the_id_of_a_run_does_not_depend_on_how_it_is_spelt() {
    let full = id(FULL);
    for (from, to) in [
        ("2.0", "2"),
        ("2.0", "2e0"),
        ("2.0", "+2.0"),
        ("0.05", "5e-2"),
        ("0.001", "1e-3"),
        ("= 64", "= 0x40"),
        ("= 100", "= 1_00"),
        ("{ kind = \"adam\", lr = 0.001 }", "{ lr = 0.001, kind = \"adam\" }"),
        ("{ kind = \"adam\", lr = 0.001 }", "{ beta1 = 0.9, eps = 1e-8, beta2 = 0.999 }"),
        ("optimizer = { kind = \"adam\", lr = 0.001 }\n", ""),
        (
            "optimizer = { kind = \"adam\", lr = 0.001 }",
            "[train.optimizer]\nlr = 1e-3\nkind = \"adam\"",
        ),
        ("batch = 64", "batch = 64 # a comment\nengine = \"auto\"\nprecision = \"f32\""),
        ("batch = 64", "schedule = { kind = \"constant\", warmup_steps = 0 }\nbatch = 64"),
        ("\"sigmoid\"", "'sigmoid'"),
        ("\"sigmoid\"", "\"\"\"sigmoid\"\"\""),
        ("tied = true", "tied = true\ndecoder = \"linear\""),
        ("name = \"full\"", "name = \"other\"\nseeds = [0]"),
        (
            "name = \"full\"",
            "name = \"full\"\nevaluate = { kinds = [\"sparsity\"], every = 3, batch = 5 }",
        ),
        ("name = \"full\"", "name = \"full\"\nrun = { timeout = \"1h\", retries = 3 }"),
        ("beta = 2.0\n", "beta = 2.0\n[grid]\n\"penalty.beta\" = [2]\n"),
        (
            "[penalty]\nkind = \"kl\"\nrho = 0.05\nbeta = 2.0\n",
            "[grid]\npenalty = [{ beta = 2, rho = 0.05, kind = \"kl\" }]\n",
        ),
    ] {
        assert!(FULL.contains(from), "{from}");
        assert_eq!(id(&FULL.replace(from, to)), full, "`{from}` and `{to}` mean the same");
    }
    for (file, base) in [("elsewhere/y.toml", "elsewhere"), ("/a/b/c.toml", "/a/b")] {
        assert_eq!(ids_in(file, base, FULL), [full.as_str()], "where the file stands");
    }
    assert_eq!(id(&FULL.replace('\n', "\r\n")), full);
    let parameters = "[penalty]\nkind = \"k-sparse\"\nk = 4\n";
    let of = |more: &str| {
        id(&TINY
            .replace("[penalty]\nkind = \"l1\"\nlambda = 0.1\n", &format!("{parameters}{more}")))
    };
    assert_eq!(of(""), of("alpha = 1\nk_anneal = 0.5\n"), "defaults");
}

#[test]
fn the_id_of_a_run_changes_with_its_meaning() {
    let mut all = BTreeSet::from([id(FULL)]);
    for (from, to) in [
        ("images.gz", "./images.gz"),
        ("images.gz", "images"),
        ("= 100", "= 101"),
        ("= 100", "= 100\ntest = 5"),
        ("normalize = \"center\"\n", ""),
        ("\"center\"", "\"standard\""),
        ("= 16", "= 17"),
        ("\"sigmoid\"", "\"tanh\""),
        ("tied = true", "tied = false"),
        ("tied = true", "tied = true\ndecoder = \"sigmoid\""),
        ("tied = true", "tied = true\nsubtract_decoder_bias = true"),
        ("rho = 0.05", "rho = 0.050000000000000003"), // the next number to 0.05 but one
        ("beta = 2.0", "beta = 2.5"),
        ("kind = \"kl\"\nrho = 0.05\nbeta = 2.0", "kind = \"l1\"\nlambda = 2.0"),
        ("kind = \"kl\"\nrho = 0.05\nbeta = 2.0", "kind = \"none\""),
        ("epochs = 10", "epochs = 11"),
        ("epochs = 10", "steps = 10"),
        ("batch = 64", "batch = 65"),
        ("batch = 64", "batch = 64\nengine = \"reference\""),
        ("batch = 64", "batch = 64\nengine = \"fused\""),
        ("batch = 64", "batch = 64\nprecision = \"bf16\""),
        ("lr = 0.001", "lr = 0.002"),
        ("lr = 0.001", "lr = 0.001, beta1 = 0.8"),
        ("\"adam\"", "\"sgd\""),
        ("batch = 64", "batch = 64\nschedule = { kind = \"cosine\" }"),
        ("batch = 64", "batch = 64\nschedule = { warmup_steps = 5 }"),
        ("name = \"full\"", "name = \"full\"\nseeds = [1]"),
    ] {
        assert!(FULL.contains(from), "{from}");
        let other = id(&FULL.replace(from, to));
        assert_eq!(from == "rho = 0.05", !all.insert(other), "`{from}` against `{to}`");
    }
}

/// Ids that results out in the world have. Where one of these changes, every result of every user
/// is run again: that needs a reason and a migration, not a new number here.
#[test]
fn ids_stay_what_they_were() {
    let sweep = ids(include_str!("../../experiments/kl_sweep.toml"));
    assert_eq!(sweep.len(), 27);
    let found = [&*id(TINY), &*id(FULL), &*sweep[0], &*sweep[26]];
    let golden = ["611c827873c79d00", "029fa974908d01fe", "11650c3b429c0142", "1dbdd4f942003bb8"];
    assert_eq!(found, golden);
}

proptest! {
    /// The order of keys in each section, and of the sections, is no part of a run.
    #[test]
    fn the_order_of_a_file_is_no_part_of_a_run(
        sections in Just(FULL.split('[').skip(1).map(str::to_owned).collect::<Vec<_>>()).prop_shuffle(),
        seed in any::<u64>(),
    ) {
        let shuffled: Vec<String> = sections
            .iter()
            .map(|section| {
                let mut lines: Vec<&str> = section.lines().collect();
                let keys = &mut lines[1..];
                let by = (seed % keys.len() as u64) as usize;
                keys.rotate_left(by);
                if seed & (1 << 32) != 0 {
                    keys.reverse();
                }
                format!("[{}\n", lines.join("\n"))
            })
            .collect();
        prop_assert_eq!(id(&format!("name = \"full\"\n{}", shuffled.concat())), id(FULL));
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
