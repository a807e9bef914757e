//! Every registered plugin builds and is explained, and plugins of a foreign crate take part like any other.

use std::collections::HashSet;
use std::path::Path;

use framework::fit::{check_fit, open_data};
use framework::plugin::{
    ARCHITECTURES, AUXILIARIES, CORRUPTIONS, DATASETS, EVALUATIONS, PENALTIES, Split, kinds,
};
use framework::train::{Ended, Progress, train};

use crate::support::models::{data, runs};
use crate::support::program::{Place, numbers, safetensors_header, texts};

/// The example of each plugin is documentation and must build.
#[test]
fn every_plugin_builds_from_its_example() {
    let here = Path::new("");
    let mut problems = Vec::new();
    problems.extend(AUXILIARIES.iter().filter_map(|plugin| plugin.example(here).err()));
    problems.extend(ARCHITECTURES.iter().filter_map(|plugin| plugin.example(here).err()));
    problems.extend(AUXILIARIES.iter().filter_map(|plugin| plugin.example(here).err()));
    problems.extend(CORRUPTIONS.iter().filter_map(|plugin| plugin.example(here).err()));
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

const EXPERIMENT: &str = "name = \"outside\"
[dataset]
kind = \"waves\"
labels = true
[architecture]
kind = \"two-layer\"
latents = 6
code = \"first\"
[penalty]
kind = \"soft-threshold\"
lambda = 0.1
start = 0.2
[train]
epochs = 2
[evaluate]
kinds = [\"peak\"]
";

/// The registries have all of them by their names.
#[test]
fn they_are_in_the_registries() {
    for (kind, name) in [
        ("architecture", "noisy-code"),
        ("architecture", "two-layer"),
        ("auxiliary", "cauchy-decay"),
        ("auxiliary", "revive"),
        ("corruption", "salt"),
        ("dataset", "waves"),
        ("evaluation", "peak"),
        ("penalty", "batch-largest"),
        ("penalty", "soft-threshold"),
        ("penalty", "straight-jump"),
    ] {
        let rows = kinds().into_iter().find(|(of, _)| *of == kind).unwrap().1;
        assert!(rows.iter().any(|row| row.name == name), "no {kind} `{name}`");
    }
}

/// A run with all four trains, the penalty's own parameter included, and is measured.
#[test]
fn they_train_and_measure_together() {
    let (experiment, runs) = runs(EXPERIMENT);
    let mut opened = open_data(&runs).unwrap();
    check_fit(&experiment, &runs, &mut opened).unwrap();
    let data = data(&runs[0]);
    assert_eq!(data.labels(Split::Test).unwrap().len(), data.rows(Split::Test));
    let ended = train(&runs[0], &*data, &experiment.evaluate, None, &mut |_: &Progress| {});
    let Ended::Done(trained) = ended else { panic!("the run did not go to its end") };
    let peak = trained.measured.metrics.iter().find(|metric| metric.name == "test_peak");
    let peak = peak.unwrap().value.unwrap();
    assert!(
        peak > 0.0 && peak < 1.0,
        "{peak} is not the largest of tanh codes let through in part"
    );
    let parameters = trained.model.parameters();
    let thresholds = &parameters.get("penalty.threshold").unwrap().values;
    assert_eq!(thresholds.len(), 6);
    assert!(thresholds.iter().all(|threshold| *threshold != 0.2), "{thresholds:?} did not move");
}

/// What trains beside a penalty, what draws random numbers and what keeps state are listed with their columns,
/// train, and are stored.
const OPENED: &str = "name = \"tiny\"
auxiliary = [
    { kind = \"revive\", every = 3 },
    { kind = \"cauchy-decay\", lambda = 0.01 },
    { kind = \"cauchy-decay\", lambda = 0.02 },
]
[dataset]
kind = \"waves\"
[architecture]
kind = \"noisy-code\"
latents = 6
[corruption]
kind = \"salt\"
rate = 0.1
[train]
epochs = 2
dead_after = 100
[grid]
penalty = [
    { kind = \"straight-jump\", lambda = 0.1 },
    { kind = \"batch-largest\", k = 2 },
]
\"auxiliary.cauchy_decay_2.lambda\" = [0.02, 0.03]
";

/// Wrong if a loss term, a parameter, a state or a column of a plugin from elsewhere were left out.
#[test]
fn what_they_add_is_in_the_results() {
    let place = Place::with(OPENED);
    place.run_outside(["x.toml"]).exits(0);
    let runs = place.table("tiny/runs");
    let second = numbers(&runs, "auxiliary_cauchy_decay_2_lambda");
    assert_eq!(second, [0.02, 0.03, 0.02, 0.03].map(Some));
    assert_eq!(numbers(&runs, "auxiliary_revive_every"), [Some(3.0); 4]);
    for column in ["train_loss_auxiliary", "train_loss_prior", "test_mse_corrupted"] {
        assert!(numbers(&runs, column).iter().all(|value| *value > Some(0.0)), "{column}");
    }
    let history = place.table("tiny/history");
    let dead = numbers(&history, "train_dead_fraction");
    assert!(dead.iter().all(|dead| (Some(0.0)..=Some(1.0)).contains(dead)), "{dead:?}");
    let latents = place.table("tiny/latents");
    assert!(numbers(&latents, "samples_since_active").iter().all(Option::is_some));
    for (id, kind) in texts(&runs, "run_id").iter().zip(texts(&runs, "penalty")) {
        let model = place.path(format!("results/tiny/runs/{id}/model.safetensors"));
        let header = safetensors_header(&model);
        let own = if kind == "batch-largest" { "penalty.state.threshold" } else { "penalty.theta" };
        for name in [own, "penalty.state.auxiliary.samples_since_active", "s"] {
            assert!(header[name]["shape"].is_array(), "{kind}: no `{name}` in {header}");
        }
    }
}

/// Wrong if a penalty that needs more than codes reached an architecture that has no more: it would crash in
/// the middle of the run.
#[test]
fn what_an_architecture_does_not_offer_is_refused_at_its_line() {
    let all_seeing = "kind = \"all-seeing\"\nlambda = 0.1";
    let text =
        EXPERIMENT.replace("kind = \"soft-threshold\"\nlambda = 0.1\nstart = 0.2", all_seeing);
    let place = Place::with(&text);
    let said = place.run_outside(["x.toml"]).exits(2);
    said.complains(["x.toml:11:10", "a dictionary that is one matrix", "two-layer"]);
    assert!(!place.has_results());
    let list = "auxiliary = [{ kind = \"all-seeing\", lambda = 0.1 }]";
    let place = Place::with(&EXPERIMENT.replace("[dataset]", &format!("{list}\n[dataset]")));
    let said = place.run_outside(["x.toml"]).exits(2);
    said.complains(["x.toml:2:46", "a dictionary that is one matrix"]);
}

/// Broken data is found before anything trains, and the message names the sample.
#[test]
fn a_nan_in_the_data_is_refused_where_it_stands() {
    let text = EXPERIMENT.replace("labels = true", "nan_at = 7");
    let Err(problems) = open_data(&runs(&text).1) else { panic!("a NaN went through") };
    let shown = problems[0].to_string();
    assert!(shown.contains("sample 7 holds NaN at input 0"), "{shown}");
}

/// The ordinary commands list, configure, train and store them; the penalty may see either hidden code.
#[test]
fn the_ordinary_commands_work_with_them() {
    let place = Place::with(
        &EXPERIMENT.replace("code = \"first\"\n", "").replace("\"outside\"", "\"tiny\"").replace(
            "[evaluate]",
            "[grid]\n\"architecture.code\" = [\"first\", \"second\"]\n[evaluate]",
        ),
    );
    let listed = place.run_outside(["plugins"]).exits(0).out;
    for name in ["two-layer", "salt", "waves", "peak", "soft-threshold"] {
        assert!(listed.contains(name), "{listed}");
    }
    // Wrong if a slower engine were taken without a word.
    let planned = place.run_outside(["list", "x.toml"]).exits(0).out;
    let reason = "2 runs train in the reference engine, which is slower: the fused engine trains architectures";
    assert!(planned.contains(reason), "{planned}");
    place.run_outside(["x.toml"]).exits(0);
    let runs = place.table("tiny/runs");
    assert_eq!(texts(&runs, "architecture_code"), ["first", "second"]);
    assert_eq!(texts(&runs, "engine"), ["reference", "reference"], "of what is not dense");
    assert_eq!(numbers(&runs, "penalty_lambda"), [Some(0.1), Some(0.1)]);
    assert!(numbers(&runs, "test_peak").iter().all(Option::is_some));
    for id in texts(&runs, "run_id") {
        let model = place.path(format!("results/tiny/runs/{id}/model.safetensors"));
        let header = safetensors_header(&model);
        assert_eq!(header["penalty.threshold"]["shape"], serde_json::json!([6]), "{header}");
    }
    place.run_outside(["status", "results/tiny"]).exits(0);
}
