//! `bench-step`: it prints what it measured, and refuses what it cannot time before it allocates anything.

use serde_json::Value as Json;

use crate::support::program::{Place, Said};

fn bench(more: &[&str]) -> Said {
    let size = ["bench-step", "--input", "12", "--latents", "40", "--batch", "20", "--steps", "6"];
    let place = Place::new();
    let said = place.run(size.iter().chain(more));
    assert!(!place.has_results());
    said
}

#[track_caller]
fn number(object: &Json, key: &str) -> f64 {
    object[key].as_f64().unwrap_or_else(|| panic!("`{key}` is no number in {object}"))
}

/// Every field of the contract is there and the fields agree with each other.
#[test]
fn the_object_holds_what_scripts_rely_on() {
    let penalty = "{ kind = \"k-sparse\", k = 5 }";
    let said = bench(&["--penalty", penalty, "--threads", "1", "--json"]).exits(0);
    let object = said.json();
    let steps: Vec<f64> =
        object["step_ms"].as_array().unwrap().iter().map(|step| step.as_f64().unwrap()).collect();
    assert_eq!(steps.len(), 6);
    assert!(steps.iter().all(|step| *step > 0.0 && step.is_finite()), "{steps:?}");
    let median = number(&object, "ms_per_step_median");
    let below = steps.iter().filter(|step| **step < median).count();
    assert!((2..=3).contains(&below), "{median} of {steps:?}");
    let rate = number(&object, "samples_per_second");
    assert!((rate * median / 1e3 / 20.0 - 1.0).abs() < 1e-9, "{object}");
    assert!(["fused", "reference"].contains(&object["engine"].as_str().unwrap()));
    assert_eq!((object["precision"].as_str(), object["threads"].as_u64()), (Some("f32"), Some(1)));
    assert!(number(&object, "peak_rss_mib") > 1.0, "{object}");
    // At most k of the latents are kept, and fewer only where fewer are above 0.
    let density = number(&object, "density");
    assert!(density > 0.1 && density <= 0.125, "{density}");
    assert_eq!(said.out.lines().count(), 1);
    assert!(said.err.is_empty(), "{said}");
}

#[test]
fn without_json_the_same_is_said_in_words() {
    let said = bench(&["--tied", "--activation", "tanh", "--engine", "reference"]).exits(0);
    for part in ["ms a step", "median of 6", "engine reference", "density"] {
        assert!(said.out.contains(part), "`{part}` is missing:\n{said}");
    }
}

/// Wrong if training changed the constants, or if they were set for other batches than the timed ones.
#[test]
fn the_asked_share_of_latents_is_active_in_the_timed_steps() {
    for penalty in [
        "{ kind = \"none\" }",
        "{ kind = \"l1\", lambda = 0.3 }",
        "{ kind = \"group-lasso\", lambda = 1.0, group_size = 8 }",
        "{ kind = \"gated\", lambda = 0.3 }",
        "{ kind = \"jump-relu\", lambda = 0.3, theta = 0.2 }",
    ] {
        for density in ["0", "0.03", "0.5", "1"] {
            let said = bench(&["--penalty", penalty, "--density", density, "--json"]).exits(0);
            let (asked, measured) =
                (density.parse::<f64>().unwrap(), said.json()["density"].clone());
            let measured = measured.as_f64().unwrap();
            assert!((asked - measured).abs() < 0.002, "{penalty}: {measured} in place of {asked}");
        }
    }
}

/// Wrong if a setting did not reach the run that is timed, or if an option won over it.
#[test]
fn settings_are_those_of_an_experiment() {
    let said = bench(&[
        "--set",
        "penalty={ kind = \"k-sparse\", k = 9 }",
        "--set",
        "penalty.k=2",
        "--set",
        "architecture.latents=20",
        "--set",
        "architecture.activation=identity",
        "--set",
        "train.engine=reference",
        "--set",
        "train.batch=30",
        "--json",
    ]);
    let object = said.exits(0).json();
    assert_eq!(number(&object, "density"), 0.1, "2 of 20: {object}");
    assert_eq!(object["engine"], "reference");
    let samples = number(&object, "samples_per_second") * number(&object, "ms_per_step_median");
    assert!((samples / 1e3 / 30.0 - 1.0).abs() < 1e-9, "{object}");
    assert!(object.get("dead").is_none(), "{object}");

    // Noise is put on the samples that are encoded: this much is beyond what a step can take.
    let noise = ["--set", "corruption={ kind = \"gaussian\", sigma = 1e30 }"];
    bench(&noise).exits(100).complains(["the loss was no finite number any more"]);
    // Samples of a square number of inputs are images.
    let block = ["--set", "corruption={ kind = \"block\", share = 0.3 }"];
    bench(&block).exits(2).complains(["it needs images"]);
    let input = ["bench-step", "--input", "16", "--latents", "9", "--batch", "5", "--steps", "2"];
    Place::new().run(input.iter().chain(&block)).exits(0);
    let auxiliary = ["--set", "auxiliary=[{ kind = \"weight-decay\", lambda = 1e-3 }]"];
    assert_eq!(
        bench(&[auxiliary.as_slice(), &["--json"]].concat()).exits(0).json()["engine"],
        "fused"
    );

    // Another architecture, without the settings that options may give `dense`.
    let size = ["bench-step", "--input", "12", "--latents", "40", "--batch", "20", "--steps", "2"];
    let other = ["--set", "architecture.kind=two-layer", "--set", "architecture.code=first"];
    let place = Place::new();
    place.run_outside(size.iter().chain(&other)).exits(0);
    let twice = place.run_outside(size.iter().chain(&other).chain(&["--activation", "relu"]));
    twice.exits(2).complains(["activation"]);
}

/// Wrong if a dead latent fired, or if `--density` were a share of the living latents alone.
#[test]
fn the_asked_share_of_latents_never_fires() {
    let k_sparse = "{ kind = \"k-sparse\", k = 3 }";
    let kl = "{ kind = \"kl\", rho = 0.1, beta = 0.1 }";
    for more in [
        &["--density", "0.25"][..],
        &["--density", "0.25", "--engine", "reference"],
        &["--density", "0.25", "--set", "architecture.subtract_decoder_bias=true"],
        &["--penalty", k_sparse, "--activation", "identity"],
        &["--penalty", k_sparse, "--set", "auxiliary=[{kind=\"auxk\",k=2}]"],
        &["--penalty", kl, "--activation", "sigmoid"],
    ] {
        let asked = ["--dead", "0.7", "--json"];
        let object = bench(&[more, &asked].concat()).exits(0).json();
        let (dead, density) = (number(&object, "dead"), number(&object, "density"));
        assert!((0.7..1.0).contains(&dead), "{more:?}: {object}");
        if more[0] == "--density" {
            assert_eq!(dead, 0.7, "{more:?}: each living latent fires in some step");
            assert!((density - 0.25).abs() < 0.002, "{more:?}: {object}");
        }
    }
    let dead = |share: &str| {
        number(&bench(&["--dead", share, "--density", "0", "--json"]).exits(0).json(), "dead")
    };
    assert_eq!((dead("0"), dead("1")), (1.0, 1.0), "with no density, none fires");
    let all = bench(&["--dead", "0", "--density", "1", "--json"]).exits(0).json();
    assert_eq!(number(&all, "dead"), 0.0);
    let said = bench(&["--dead", "0.5", "--density", "0.5"]).exits(0);
    assert!(said.out.contains(", dead 0.5"), "{said}");
}

#[test]
fn mistakes_are_shown_as_those_of_experiments_are() {
    let refused = |more: &[&str], parts: &[&str]| {
        let said = bench(more).exits(2).complains(parts.iter().copied());
        assert!(said.out.is_empty(), "{said}");
    };
    refused(&["--penalty", "{ kind = \"kll\" }"], &["bench-step:2:", "did you mean `kl`"]);
    refused(&["--penalty", "{ kind = \"k-sparse\", k = 41 }"], &["k: at most all 40"]);
    refused(&["--penalty", "{ kind = \"l1\", lambda = nan }"], &["finite"]);
    refused(&["--penalty", "{ kind = \"kl\", rho = 0.1, beta = 1 }"], &["the architecture"]);
    refused(&["--penalty", "l1"], &["quoted"]);
    refused(&["--penalty", "{ kind = \"none\" }\nseeds = [1]"], &["bench-step:2:"]);
    refused(&["--activation", "swish"], &["activation: `swish` is not one of"]);
    refused(&["--engine", "turbo"], &["engine: `turbo` is not one of"]);
    refused(&["--precision", "f16"], &["precision: `f16` is not one of"]);
    refused(&["--density", "1.5"], &["from 0 to 1"]);
    refused(&["--density", "nan"], &["from 0 to 1"]);
    refused(&["--density", "0.1", "--activation", "sigmoid"], &["`--density`", "relu"]);
    refused(&["--threads", "0"], &["--threads"]);
    refused(&["--dead", "1.5"], &["from 0 to 1"]);
    refused(&["--dead", "0.5", "--density", "0.6"], &["`--density 0.6`", "at most 0.5"]);
    refused(&["--dead", "1", "--density", "0.1"], &["at most 0 can"]);
    refused(&["--dead", "0.5", "--activation", "tanh"], &["`--dead`", "not active"]);
    refused(&["--dead", "0.5", "--activation", "identity"], &["`--dead`", "not active"]);
    let set = |text: &str, parts: &[&str]| refused(&["--set", text], parts);
    set("penalty.kind=kll", &["--set penalty.kind=kll:1:14", "did you mean `kl`"]);
    set("penalti.kind=kl", &["did you mean `penalty`"]);
    set("architecture.latent=3", &["did you mean `latents`"]);
    set("penalty", &["an override is KEY=VALUE"]);
    set("train.batch=nan", &["finite"]);
    set("dataset.kind=idx", &["`--set dataset.kind=idx`", "no part of a step"]);
    set("target={ l0 = 5 }", &["no part of a step"]);
    set("init.from=\"x\"", &["no part of a step"]);
    set("seeds=[1, 2]", &["times one run", "make 2"]);
    set("grid.train.batch=[5, 6, 7]", &["times one run", "make 3"]);
    set("include=\"x.toml\"", &["cannot be set from outside"]);
    let excluded = "grid.exclude=[{ architecture.kind = \"dense\" }]";
    bench(&["--set", excluded]).exits(4).complains(["no run is left"]);
}

/// Sizes are checked before memory is allocated.
#[test]
fn sizes_that_fit_no_machine_are_refused() {
    for (size, part) in [
        (["1", "99999999999", "1"], "1 to 16777216 latents"),
        (["16384", "16777216", "1"], "TiB; at most 1 TiB is allowed"),
        (["18446744073709551615", "1", "1"], "TiB; at most 1 TiB is allowed"),
        (["1", "1", "9223372036854775807"], "this machine has"),
        (["1", "1", "18446744073709551615"], "64 bits"),
        (["0", "1", "1"], "--input"),
    ] {
        let [input, latents, batch] = size;
        let words = ["bench-step", "--input", input, "--latents", latents, "--batch", batch];
        Place::new().run(words).exits(2).complains([part]);
    }
}

#[test]
fn a_step_that_learns_nothing_is_not_timed() {
    let said = bench(&["--penalty", "{ kind = \"l1\", lambda = 1e300 }", "--json"]).exits(100);
    assert!(said.out.is_empty() && said.err.contains("finite"), "{said}");
}
