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
        ("architecture", "two-layer"),
        ("corruption", "salt"),
        ("dataset", "waves"),
        ("evaluation", "peak"),
        ("penalty", "soft-threshold"),
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
