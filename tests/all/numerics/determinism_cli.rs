//! The same experiment gives the same results, bit for bit, whatever the number of workers and
//! threads.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value as Json;

use crate::support::program::{Place, assert_same, idx, texts};

/// An axis of every penalty that the program knows, each as its example has it, but those `without`.
fn penalties(place: &Place, without: &[&str]) -> String {
    let known = place.run_outside(["plugins", "penalty", "--json"]).exits(0).json();
    let rows = known["penalty"].as_array().unwrap();
    let text = |row: &Json, key: &str| row[key].as_str().unwrap().to_owned();
    let values: Vec<String> = rows
        .iter()
        .filter(|row| !without.contains(&row["name"].as_str().unwrap()))
        .map(|row| {
            let example = text(row, "example");
            let lines = example.lines().filter(|line| !line.trim().is_empty());
            let settings: String = lines.map(|line| format!(", {line}")).collect();
            format!("{{ kind = \"{}\"{settings} }}", text(row, "name"))
        })
        .collect();
    assert!(values.len() > 3, "{values:?}");
    format!("penalty = [{}]", values.join(", "))
}

/// Wide enough that products are spread over threads.
fn experiment(architecture: &str, penalties: &str) -> String {
    format!(
        "name = \"same\"\nseeds = [0, 1]\n[dataset]\nkind = \"digits\"\nnormalize = \"standard\"\n\
         [architecture]\nkind = \"dense\"\nlatents = 256\n{architecture}\n\
         [train]\nepochs = 1\n[grid]\n{penalties}\n"
    )
}

fn compare(text: &str) {
    let of = |jobs: &str, threads: &str| {
        let place = Place::with(text);
        place.run_outside(["x.toml", "-j", jobs, "--threads-per-run", threads]).exits(0);
        assert!(texts(&place.table("same/runs"), "threads").iter().all(|used| used == threads));
        place
    };
    let first = of("1", "2");
    let others = [of("1", "2"), of("2", "1")];
    for other in others {
        for table in ["same/runs", "same/history", "same/latents"] {
            assert_same(&first.table(table), &other.table(table));
        }
        for id in first.run_ids("same") {
            let model = format!("results/same/runs/{id}/model.safetensors");
            let read = |place: &Place| std::fs::read(place.path(&model)).unwrap();
            assert!(read(&first) == read(&other), "the models of {id} differ");
        }
    }
}

#[test]
fn every_penalty_gives_the_same_bits_with_any_number_of_workers_and_threads() {
    let all = penalties(&Place::new(), &[]);
    compare(&experiment("activation = \"sigmoid\"", &all));
}

#[test]
fn so_it_is_with_tied_weights_and_codes_of_exact_zeros() {
    let fitting = penalties(&Place::new(), &["kl"]);
    compare(&experiment("activation = \"relu\"\ntied = true", &fitting));
}

/// Data is read, and unpacked, by the controller alone, and its workers map what it has in memory.
#[test]
fn so_it_is_with_data_in_a_plain_or_a_packed_file() {
    let pixels: Vec<u8> = (0..100 * 6).map(|at| (at * at % 251) as u8).collect();
    let plain = idx(&[100, 2, 3], &pixels);
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&plain).unwrap();
    let packed = packed.finish().unwrap();
    let of = |file: &[u8], jobs: &str| {
        let place = Place::with(
            "name = \"same\"\nseeds = [0, 1]\n[dataset]\nkind = \"idx\"\nimages = \"data\"\n\
             labels = \"labels\"\ntest = 40\n[architecture]\nkind = \"dense\"\nlatents = 8\n\
             [train]\nepochs = 3\nbatch = 7\n",
        );
        place.write("data", file);
        place.write("labels", idx(&[100], &[1; 100]));
        place.run(["x.toml", "-j", jobs]).exits(0);
        place
    };
    let (plain, packed) = (of(&plain, "1"), of(&packed, "2"));
    for table in ["same/runs", "same/history", "same/latents"] {
        assert_same(&plain.table(table), &packed.table(table));
    }
}
