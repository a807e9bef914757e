//! The same experiment gives the same results, bit for bit, with any number of workers and threads.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use framework::plugin::{CORRUPTIONS, CodeFacts, PENALTIES, Penalty, Plugin, kinds, sorted};

use crate::support::models::architecture;
use crate::support::program::{Place, assert_same, idx, texts};

/// Number of latents of each model.
const LATENTS: usize = 256;

/// Number of classes of the digits.
const CLASSES: usize = 10;

/// Registered penalties whose example fits dense codes of this activation.
fn that_fit(activation: &str) -> Vec<&'static Plugin<dyn Penalty>> {
    let text = format!("kind = \"dense\"\nlatents = {LATENTS}\nactivation = \"{activation}\"");
    let built = architecture(&text);
    let (range, offers) = (built.plugin.code_range(), built.plugin.offers());
    let facts = CodeFacts { latents: LATENTS, range, classes: CLASSES, offers };
    let fits = |plugin: &&Plugin<dyn Penalty>| {
        let built =
            plugin.example("".as_ref()).unwrap_or_else(|e| panic!("{}: {e:?}", plugin.name));
        built.plugin.fits(&facts).is_ok()
    };
    sorted(&PENALTIES).into_iter().filter(fits).collect()
}

/// A section as a plugin's example has it, on one line.
fn section(name: &str, example: &str) -> String {
    let lines = example.lines().filter(|line| !line.trim().is_empty());
    let settings: String = lines.map(|line| format!(", {line}")).collect();
    format!("{{ kind = \"{name}\"{settings} }}")
}

/// An axis of penalties, each as its example has it.
fn axis(penalties: &[&'static Plugin<dyn Penalty>]) -> String {
    let values: Vec<String> =
        penalties.iter().map(|plugin| section(plugin.name, plugin.example)).collect();
    format!("penalty = [{}]", values.join(", "))
}

/// Wide enough that products are spread over threads.
fn experiment(architecture: &str, penalties: &str) -> String {
    format!(
        "name = \"same\"\nseeds = [0, 1]\n[dataset]\nkind = \"digits\"\nnormalize = \"standard\"\n\
         [architecture]\nkind = \"dense\"\nlatents = {LATENTS}\n{architecture}\n\
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

/// Each penalty is tried on sigmoid codes, or on others where it refuses these.
#[test]
fn every_penalty_gives_the_same_bits_with_any_number_of_workers_and_threads() {
    let mut left: Vec<&str> = PENALTIES.iter().map(|plugin| plugin.name).collect();
    for activation in ["sigmoid", "relu", "tanh", "identity"] {
        let mut penalties = that_fit(activation);
        penalties.retain(|plugin| left.contains(&plugin.name));
        if !penalties.is_empty() {
            compare(&experiment(&format!("activation = \"{activation}\""), &axis(&penalties)));
        }
        left.retain(|name| penalties.iter().all(|plugin| plugin.name != *name));
    }
    assert!(left.is_empty(), "their examples fit no dense code: {left:?}");
}

#[test]
fn so_it_is_with_tied_weights_and_codes_of_exact_zeros() {
    let penalties = that_fit("relu");
    assert!(penalties.len() > 3, "{}", axis(&penalties));
    compare(&experiment("activation = \"relu\"\ntied = true", &axis(&penalties)));
}

/// Wrong if what stands beside a penalty, or noise, came out otherwise in another process or thread.
#[test]
fn so_it_is_with_every_auxiliary_and_every_corruption() {
    let (_, rows) = kinds().into_iter().find(|(kind, _)| *kind == "auxiliary").unwrap();
    let mut lists: Vec<String> =
        rows.iter().map(|row| format!("[{}]", section(row.name, row.example))).collect();
    // Powers are taken of codes after relu; see the tests of penalties.
    lists.retain(|list| !list.contains("p-annealing"));
    lists.push("[{ kind = \"l1\", lambda = 0.1, norm_weighted = true }]".to_owned());
    let axis = format!("auxiliary = [{}]", lists.join(", "));
    let text =
        experiment("activation = \"sigmoid\"", &axis).replace("seeds = [0, 1]", "seeds = [1]");
    compare(&text.replace("epochs = 1", "epochs = 1\nbatches = \"stratified\""));

    let noises: Vec<String> =
        sorted(&CORRUPTIONS).iter().map(|plugin| section(plugin.name, plugin.example)).collect();
    let axis = format!("corruption = [{}]", noises.join(", "));
    compare(&experiment("activation = \"relu\"", &axis).replace("seeds = [0, 1]", "seeds = [1]"));
}

/// Only the controller reads and unpacks data; its workers map its memory.
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
