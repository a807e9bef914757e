//! The latents of runs: `features` shows those of one, `stability` compares those of several seeds.

use std::fs;

use serde_json::json;
use tables::Table;

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
            let selectivity = latent["class_selectivity"].as_f64();
            let known = numbers(&table, "class_selectivity")[at];
            assert_eq!(selectivity.is_some(), known.is_some());
            let off = selectivity.zip(known).map_or(0.0, |(one, other)| (one - other).abs());
            assert!(off < 1e-6, "{selectivity:?}, table {known:?}");
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

    place.run(["features", "results/tiny", "zz"]).exits(2).complains(["no run has `zz`", "its id"]);
    place.run(["x.toml"]).exits(0);
    place.run(["features", "results/tiny", ""]).exits(2).complains(["2 runs of the experiment"]);
    place.run(["features", "nowhere", id]).exits(74);
    fs::remove_dir_all(place.path("results/tiny/runs").join(id)).unwrap();
    place.run(["features", "results/tiny", id]).exits(74).complains(["it has not ended"]);
}

/// Wrong if a setting, written as progress and tables print it, named no run, the wrong one, or one of several; or if
/// nothing said which seed was taken.
#[test]
fn a_run_is_named_by_its_setting_as_it_is_printed() {
    let text = format!(
        "seeds = [0, 1]\n{TINY}[grid]\npenalty = [{{ kind = \"l1\", lambda = 0.1 }}, {{ kind = \"l1\", lambda = 0.3 \
         }}, {{ kind = \"k-sparse\", k = 3 }}]\n\"train.optimizer.lr\" = [0.001, 0.01]\n"
    );
    let place = Place::with(&text.replace("epochs = 1", "steps = 3"));
    let progress = place.run(["x.toml", "--progress", "line"]).exits(0).err;
    let table = place.table("tiny/runs");
    let ids = texts(&table, "run_id");
    let (seeds, lrs) = (numbers(&table, "seed"), numbers(&table, "train_optimizer_lr"));
    let (lambdas, ks) = (numbers(&table, "penalty_lambda"), numbers(&table, "penalty_k"));
    let row = |seed: f64, lr: f64, lambda: Option<f64>, k: Option<f64>| {
        let wanted = (Some(seed), Some(lr), lambda, k);
        let rows = 0..ids.len();
        let mut rows = rows.filter(|at| (seeds[*at], lrs[*at], lambdas[*at], ks[*at]) == wanted);
        ids[rows.next().unwrap()].clone()
    };
    let found = |words: &[&str]| {
        let words = [&["features", "results/tiny"], words, &["--json"]].concat();
        let said = place.run(words).exits(0);
        (said.json()["run_id"].as_str().unwrap().to_owned(), said.err)
    };
    let first = row(0.0, 0.01, Some(0.3), None);
    for words in [
        &["l1 lambda=0.3 lr=0.01"][..],
        &["l1", "lambda=0.3", "lr=0.01"],
        &["lambda=0.30", "optimizer_lr=1e-2"],
        &["penalty=l1 penalty.lambda=0.3", "train.optimizer.lr=0.01"],
    ] {
        let (id, said) = found(words);
        assert_eq!(id, first, "{words:?}");
        assert!(said.contains(&first) && said.contains("seed 0 of 2"), "{said}");
    }
    let second = row(1.0, 0.001, None, Some(3.0));
    assert!(progress.contains("k-sparse k=3 lr=0.001 seed=1"), "{progress}");
    let (id, said) = found(&["k-sparse k=3 lr=0.001 seed=1"]);
    assert_eq!((id, said.as_str()), (second, ""), "there is nothing to choose");

    let refused = |words: &str, complaints: &[&str]| {
        place.run(["features", "results/tiny", words]).exits(2).complains(complaints.to_vec());
    };
    refused("l1 lambda=0.3", &["fits 2 settings", "`l1 lambda=0.3 lr=0.001`"]);
    refused("lambda=0.2", &["no run has `lambda=0.2`", "`0.1`, `0.3`"]);
    refused("lamda=0.1", &["no run has `lamda=0.1`", "did you mean `lambda`?"]);
    refused("k-spars k=3", &["no run has `k-spars`", "did you mean `k-sparse`?"]);
    refused("k=3 lr=0.01 seed=5", &["no run has `seed=5`", "`0`, `1`"]);
    refused("l1 k=3", &["no run has all of `l1 k=3`", "the nearest are"]);

    // The lowest seed without a model gives way to the next.
    fs::remove_dir_all(place.path("results/tiny/runs").join(&first)).unwrap();
    let (id, said) = found(&["lambda=0.3 lr=0.01"]);
    assert_eq!(id, row(1.0, 0.01, Some(0.3), None));
    assert!(said.contains("seed 1 of 2") && said.contains("`seed=0` takes another"), "{said}");
}

/// Wrong if what is shown of one latent in full disagreed with the table, or if a part of it were missing.
#[test]
fn a_latent_is_shown_in_full() {
    let place = Place::with(&with("batch = 100"));
    place.run(["x.toml"]).exits(0);
    let shown =
        |words: &[&str]| place.run([&["features", "results/tiny", "l1"], words].concat()).exits(0);
    let found = shown(&["--latent", "7,3", "--latent", "3", "--json"]).json();
    let latents = found["shown"].as_array().unwrap();
    assert_eq!(
        latents.iter().map(|one| one["latent"].as_u64()).collect::<Vec<_>>(),
        [Some(3), Some(7)]
    );
    let table = place.table("tiny/latents");
    for latent in latents {
        let at = latent["latent"].as_u64().unwrap() as usize;
        let bins = latent["histogram"].as_array().unwrap();
        let samples: u64 = bins.iter().map(|bin| bin["samples"].as_u64().unwrap()).sum();
        let zeros = latent["zeros"].as_u64().unwrap();
        assert_eq!(samples + zeros, 360, "{latent}");
        let active = 1.0 - zeros as f64 / 360.0;
        assert!((active - numbers(&table, "firing_rate")[at].unwrap()).abs() < 1e-9);
        let classes = latent["classes"].as_array().unwrap();
        assert_eq!(classes.len(), 10);
        let sum = |class: &serde_json::Value| {
            class["mean_activation"].as_f64().unwrap() * class["samples"].as_f64().unwrap()
        };
        let mean = classes.iter().map(sum).sum::<f64>() / 360.0;
        assert!((mean - numbers(&table, "mean_activation")[at].unwrap()).abs() < 1e-6);
        assert_eq!(latent["decoder_row"].as_array().unwrap().len(), 64);
        assert_eq!(latent["tile"], json!({ "channels": 1, "height": 8, "width": 8 }));
        assert_eq!(latent["nearest"].as_array().unwrap().len(), 10);
    }
    let said = shown(&["--latent", "3"]).out;
    for part in [
        "latent 3\n",
        "decoder row: ░▒▓█",
        "top samples (row of the test part, from 0, class): ",
        "exactly 0 on ",
        " to ",
        "by class",
        "nearest latents (cosine): ",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    shown(&["--latent", "3,5", "--pictures", "some"]);
    let mut names: Vec<_> = fs::read_dir(place.path("some")).unwrap().collect();
    names.sort_by_key(|entry| entry.as_ref().unwrap().file_name());
    let names = names.into_iter().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let expected = ["examples.png", "features.png", "latent-3.png", "latent-5.png"];
    assert_eq!(names.collect::<Vec<_>>(), expected);
    place
        .run(["features", "results/tiny", "l1", "--latent", "16"])
        .exits(2)
        .complains(["`--latent 16`: the run has 16 latents", "the last 15"]);
}

/// Wrong if latents that act weakly were called dead, or dead ones were not.
#[test]
fn dead_is_said_only_of_latents_that_never_act() {
    for (activation, word) in
        [("relu", "of them dead on"), ("sigmoid", "of them never above 0.5 on")]
    {
        let text =
            TINY.replace("latents = 16", &format!("latents = 16\nactivation = \"{activation}\""));
        let place = Place::with(&text);
        place.run(["x.toml"]).exits(0);
        let said = place.run(["features", "results/tiny", "l1"]).exits(0);
        assert!(said.out.contains(word), "{said}");
        place.run(["report", "results/tiny"]).exits(0);
        let page = place.read("results/tiny/report.html");
        assert_eq!(page.contains("never above 0.5 on the test samples"), activation == "sigmoid");
    }
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
    // The words of the table name the run, and what is written as the strength does not.
    let table = place.run(["compare", "results/tiny", "--json"]).exits(0).json();
    let words = table["methods"][0]["settings"][0]["setting"].as_str().unwrap().to_owned();
    assert!(words.contains('≈') && words.ends_with(" (found)"), "{words}");
    let found = place.run(["features", "results/tiny", &words, "--json"]).exits(0).json();
    assert_eq!(found["run_id"], id);
    place.run(["features", "results/tiny", "lambda≈1e9 (found)"]).exits(2);
    let written = numbers(&place.table("tiny/runs"), "penalty_lambda")[0].unwrap();
    assert_ne!(written, 0.1);
    place.run(["features", "results/tiny", "lambda=0.1"]).exits(2).complains(["lambda"]);
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
    assert!(
        said.out.contains("| chance | above 0.7 |") && said.out.contains("share nothing"),
        "{said}"
    );

    // A table that an older program wrote is completed, not trusted and not refused.
    let new = Table::from_parquet(&fs::read(&file).unwrap()).unwrap();
    let mut old = Table::default();
    for column in new.columns() {
        if !["chance_cosine", "share_above_0_7"].contains(&column.name.as_str()) {
            old.set(column.name.as_str(), column.values.clone());
        }
    }
    fs::write(&file, old.to_parquet().unwrap()).unwrap();
    assert_eq!(place.run(["stability", "results/tiny", "--json"]).exits(0).json(), first);
    assert_eq!(numbers(&place.table("tiny/stability"), "chance_cosine").len(), 6);
}

/// Wrong if the listed pairs of latents were not those of the matched cosine, or not one to one.
#[test]
fn pairs_of_latents_are_listed() {
    let place =
        Place::with(&format!("seeds = [0, 1]\n{TINY}").replace("latents = 16", "latents = 32"));
    place.run(["x.toml"]).exits(0);
    let document = |words: &[&str]| {
        let said = place.run([&["stability", "results/tiny", "--json"], words].concat()).exits(0);
        said.json()["settings"][0]["pairs"][0].clone()
    };
    assert!(document(&[])["latent_pairs"].is_null());
    let some = document(&["--pairs"]);
    assert_eq!(some["latent_pairs"].as_array().unwrap().len(), 20);
    let pair = document(&["--pairs", "--all"]);
    let latents = pair["latent_pairs"].as_array().unwrap();
    let cosines: Vec<f64> = latents.iter().map(|one| one["cosine"].as_f64().unwrap()).collect();
    assert!(cosines.is_sorted_by(|a, b| a >= b), "{cosines:?}");
    let live = pair["live_latents"].as_array().unwrap().iter();
    let larger = live.map(|live| live.as_f64().unwrap()).fold(0.0, f64::max);
    let mean = cosines.iter().sum::<f64>() / larger;
    assert!((mean - pair["matched_cosine"].as_f64().unwrap()).abs() < 1e-9);
    let share = cosines.iter().filter(|cosine| **cosine > 0.7).count() as f64 / larger;
    assert!((share - pair["share_above_0_7"].as_f64().unwrap()).abs() < 1e-9);
    let chance = pair["chance_cosine"].as_f64().unwrap();
    assert!((0.1..0.5).contains(&chance), "{chance}");
    let rates = numbers(&place.table("tiny/latents"), "firing_rate");
    for (at, name) in ["latent", "other_latent"].into_iter().enumerate() {
        let mut all: Vec<usize> =
            latents.iter().map(|one| one[name].as_u64().unwrap() as usize).collect();
        assert!(all.iter().all(|latent| rates[at * 32 + latent].unwrap() > 0.0), "live");
        all.sort_unstable();
        assert!(all.windows(2).all(|two| two[0] < two[1]), "{name}: each once");
    }
    let said = place.run(["stability", "results/tiny", "--pairs"]).exits(0);
    let more = format!("… and {} more; `--all` shows them", latents.len() - 20);
    assert!(said.out.contains("seed 0 (run ") && said.out.contains(&more), "{said}");
    place.run(["stability", "results/tiny", "--all"]).exits(2);
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
