//! The latents of runs: `features` shows those of one, `stability` compares those of several seeds.

use std::fs;

use serde_json::json;

use crate::support::program::{Place, TINY, changes, numbers, texts, with};

/// Wrong if the values of a latent differed from the tables, or if the samples were not those with its
/// greatest activations.
#[test]
fn the_latents_of_a_run_are_those_of_its_table() {
    for penalty in ["", "[grid]\npenalty = [{ kind = \"k-sparse\", k = 4 }]\n"] {
        let place = Place::with(&with(&format!("batch = 100\n{penalty}")));
        place.run(["x.toml"]).exits(0);
        let id = &place.run_ids("tiny")[0];
        let words = ["features", "results/tiny", &id[..6], "--json", "--sort", "max_activation"];
        let found = place.run(words).exits(0).json();
        assert_eq!((&found["run_id"], &found["samples"]), (&json!(id), &json!(360)));
        let table = place.table("tiny/latents");
        let shown = found["shown"].as_array().unwrap();
        assert_eq!(shown.len(), 16);
        let mut before = f64::INFINITY;
        for latent in shown {
            let at = latent["latent"].as_u64().unwrap() as usize;
            for column in ["firing_rate", "mean_activation", "max_activation", "decoder_norm"] {
                let (got, want) = (latent[column].as_f64(), numbers(&table, column)[at]);
                let difference = got.unwrap() - want.unwrap();
                assert!(difference.abs() < 1e-6, "{column} of {at}: {got:?}, table {want:?}");
            }
            let max = latent["max_activation"].as_f64().unwrap();
            assert!(max <= before, "sorted by it");
            before = max;
            let top: Vec<f64> = latent["top"]
                .as_array()
                .unwrap()
                .iter()
                .map(|example| example["value"].as_f64().unwrap())
                .collect();
            assert!(top.len() <= 5 && top.is_sorted_by(|a, b| a >= b), "{top:?}");
            assert_eq!(top.first().copied().unwrap_or(0.0), max);
            let bits = latent["class"]["information"].as_f64().unwrap();
            assert!((0.0..=1.0).contains(&bits), "{bits}");
            let nearest = latent["nearest"].as_array().unwrap();
            assert_eq!(nearest.len(), 3);
            assert!(nearest.iter().all(|near| near["latent"] != latent["latent"]));
        }
    }
}

/// Wrong if a run could not be named, or a name could mean two runs.
#[test]
fn a_run_is_named_by_how_its_id_begins_and_output_is_bounded() {
    let text = format!("seeds = [0, 1]\n{TINY}").replace("latents = 16", "latents = 64");
    let place = Place::with(&text);
    place.run(["x.toml", "--set", "seeds=[0]"]).exits(0);
    let id = &place.run_ids("tiny")[0];
    let rows = |words: &[&str]| {
        let said = place.run(words).exits(0).out;
        said.lines().filter(|line| line.starts_with("| ") && !line.contains("latent")).count()
    };
    assert_eq!(rows(&["features", "results/tiny", id]), 20);
    assert_eq!(rows(&["features", "results/tiny", id, "--all", "--top", "0"]), 64);
    let said = place.run(["features", "results/tiny", id]).exits(0);
    assert!(said.out.ends_with("… and 44 more; `--all` shows them\n"), "{said}");

    place.run(["features", "results/tiny", "zz"]).exits(2).complains(["`zz`: 0 runs"]);
    place.run(["x.toml"]).exits(0);
    place.run(["features", "results/tiny", ""]).exits(2).complains(["2 runs of the experiment"]);
    place.run(["features", "nowhere", id]).exits(74);
    fs::remove_dir_all(place.path("results/tiny/runs").join(id)).unwrap();
    place.run(["features", "results/tiny", id]).exits(74).complains(["it has not ended"]);
}

/// Wrong if there were no pictures, or if data that is no pictures were drawn as such.
#[test]
fn decoder_rows_and_samples_of_image_data_are_written_as_pictures() {
    let place = Place::with(TINY);
    place.run(["x.toml"]).exits(0);
    let id = &place.run_ids("tiny")[0];
    place.run(["features", "results/tiny", id, "--pictures", "some/folder"]).exits(0);
    for name in ["features.png", "examples.png"] {
        let bytes = fs::read(place.path(format!("some/folder/{name}"))).unwrap();
        assert_eq!(&bytes[..8], b"\x89PNG\r\n\x1a\n");
    }
    let place = Place::with(
        &TINY
            .replace("\"digits\"", "\"sparse-dictionary\"\ninputs = 20\nfeatures = 16\nactive = 2"),
    );
    place.run(["x.toml"]).exits(0);
    let id = &place.run_ids("tiny")[0];
    let said = place.run(["features", "results/tiny", id, "--pictures", "none"]).exits(2);
    said.complains(["`--pictures`: the samples are no pictures"]);
    assert!(!place.path("none").exists());
    let said = place.run(["features", "results/tiny", id]).exits(0);
    assert!(!said.out.contains("class"), "there are no classes: {said}");
}

/// Wrong if the run had the latents of the written strength instead of the found one.
#[test]
fn the_latents_of_a_run_with_a_target_are_those_of_the_strength_that_was_found() {
    let target = "[target]\nl0 = 6\ntolerance = 0.3";
    let place = Place::with(&with(target).replace("epochs = 1", "epochs = 3"));
    place.run(["x.toml"]).exits(0);
    let id = place.run_ids("tiny").remove(0);
    let found = place.run(["features", "results/tiny", &id, "--json"]).exits(0).json();
    let shown = found["shown"].as_array().unwrap();
    let l0: f64 = shown.iter().map(|latent| latent["firing_rate"].as_f64().unwrap()).sum();
    let want = numbers(&place.table("tiny/runs"), "test_l0")[0].unwrap();
    assert!((l0 - want).abs() < 1e-9, "{l0}, table {want}");
}

/// Wrong if a pair were compared twice, if derived files could not be made again, or if one seed counted as
/// stable.
#[test]
fn dictionaries_of_seeds_are_compared_once() {
    let text = format!("seeds = [0, 1, 2]\n{TINY}[grid]\n\"penalty.lambda\" = [0.1, 0.3]\n");
    let place = Place::with(&text);
    place.run(["x.toml", "--set", "seeds=[0]"]).exits(0);
    let said = place.run(["stability", "results/tiny"]).exits(0);
    assert!(said.out.starts_with("No setting has two seeds"), "{said}");
    place.run(["x.toml"]).exits(0);
    let first = place.run(["stability", "results/tiny", "--json"]).exits(0).json();
    let settings = first["settings"].as_array().unwrap();
    assert_eq!(settings.len(), 2);
    for setting in settings {
        let pairs = setting["pairs"].as_array().unwrap();
        let seeds: Vec<_> = pairs.iter().map(|pair| pair["seeds"].clone()).collect();
        assert_eq!(seeds, [json!([0, 1]), json!([0, 2]), json!([1, 2])]);
        let cosines = pairs.iter().map(|pair| pair["matched_cosine"].as_f64().unwrap());
        let mean = cosines.clone().sum::<f64>() / 3.0;
        assert!(cosines.clone().all(|cosine| cosine > 0.1 && cosine < 1.0), "{setting}");
        assert!((setting["matched_cosine"].as_f64().unwrap() - mean).abs() < 1e-12);
    }
    let table = place.table("tiny/stability");
    assert_eq!((table.rows(), numbers(&table, "other_seed").len()), (6, 6));
    let columns = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/results/README.md"));
    for column in table.columns() {
        let name = format!("`{}`", column.name);
        assert!(columns.as_ref().unwrap().contains(&name), "{name} is not explained");
    }

    let file = place.path("results/tiny/stability.parquet");
    let made = |place: &Place| changes(&place.path("results/tiny"))[&file];
    let before = made(&place);
    assert_eq!(place.run(["stability", "results/tiny", "--json"]).exits(0).json(), first);
    assert_eq!(made(&place), before, "nothing was new");
    for damage in [None, Some("no table")] {
        fs::remove_file(&file).unwrap();
        damage.into_iter().for_each(|text| fs::write(&file, text).unwrap());
        assert_eq!(place.run(["stability", "results/tiny", "--json"]).exits(0).json(), first);
    }
    let said = place.run(["stability", "results/tiny"]).exits(0);
    assert!(said.out.contains("matched cosine") && said.out.contains("lambda=0.3"), "{said}");
}

/// Wrong if a damaged model affected the others.
#[test]
fn a_damaged_model_is_left_out_with_a_warning() {
    let place = Place::with(&format!("seeds = [0, 1, 2]\n{TINY}"));
    place.run(["x.toml"]).exits(0);
    let id = &texts(&place.table("tiny/runs"), "run_id")[0];
    let model = place.path(format!("results/tiny/runs/{id}/model.safetensors"));
    fs::write(model, "damaged").unwrap();
    let said = place.run(["stability", "results/tiny", "--json"]).exits(0);
    let found = said.json();
    assert_eq!(found["settings"][0]["pairs"].as_array().map(Vec::len), Some(1));
    said.complains([format!("run {id}: ").as_str(), "damaged"]);
}
