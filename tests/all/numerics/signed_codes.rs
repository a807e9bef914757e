//! Codes of both signs: what is active in them, in both engines and wherever it counts; and finished runs
//! that were counted otherwise.

use std::fs;
use std::path::PathBuf;

use framework::engine::{FUSED, Minibatch, REFERENCE};
use framework::evaluate::Evaluator;
use framework::model::{Mode, Step};
use framework::plugin::{Data, L0Rule, SampleShape, Split, When};
use framework::train::{Model, Trainer};
use serde_json::json;
use store::{Manifest, Status};
use tables::{Table, Values};

use crate::support::models::{architecture, data, model, penalty, runs};
use crate::support::program::{Place, changes, columns, numbers, safetensors_header, texts};

/// The run of the issue: tanh codes under L1.
const TANH: &str = "name = \"signed\"
seeds = [0, 1, 2, 3]

[dataset]
kind = \"digits\"

[architecture]
kind = \"dense\"
latents = 12
activation = \"tanh\"

[penalty]
kind = \"l1\"
lambda = 0.05

[train]
epochs = 20
";

/// One sample, whose codes are as they are named where the encoder passes it on.
struct OneSample(Vec<f32>);

impl Data for OneSample {
    fn shape(&self) -> SampleShape {
        SampleShape::Vector(self.0.len())
    }

    fn rows(&self, _: Split) -> usize {
        1
    }

    fn gather(&self, _: Split, _: &[usize], out: &mut [f32]) -> Result<(), String> {
        out.copy_from_slice(&self.0);
        Ok(())
    }
}

fn mean(values: &[Option<f64>]) -> f64 {
    values.iter().map(|value| value.unwrap()).sum::<f64>() / values.len() as f64
}

/// Codes -0.99, -0.6, -0.4, 0, 0.4, 0.6 of an encoder and a decoder that pass everything on, counted by
/// hand. Wrong if an engine, a training step, an evaluation or the search for a target counted another way.
#[test]
fn the_rule_is_the_same_in_steps_evaluations_and_searches() {
    let code: [f32; 6] = [-0.99, -0.6, -0.4, 0.0, 0.4, 0.6];
    let x: Vec<f32> = code.iter().map(|h| h.atanh()).collect();
    let sample = OneSample(x.clone());
    let dense = architecture("kind = \"dense\"\nlatents = 6\nactivation = \"tanh\"");
    let (experiment, all) = runs(TANH);
    let evaluations = &experiment.evaluate.evaluations;
    for (section, rule, active) in [
        ("kind = \"l1\"\nlambda = 0.1", L0Rule::Magnitude, [true, true, false, false, false, true]),
        ("kind = \"none\"", L0Rule::Magnitude, [true, true, false, false, false, true]),
        (
            "kind = \"group-lasso\"\nlambda = 0.1\ngroup_size = 2",
            L0Rule::Magnitude,
            [true, true, false, false, false, true],
        ),
        (
            "kind = \"kl\"\nrho = 0.1\nbeta = 0.1",
            L0Rule::Above,
            [false, false, false, false, false, true],
        ),
        ("kind = \"k-sparse\"\nk = 4", L0Rule::Nonzero, [false, false, true, false, true, true]),
    ] {
        let penalty = penalty(section);
        // k-sparse keeps -0.4, 0, 0.4 and 0.6, of which 0 is not active.
        let kept = |at: usize| rule != L0Rule::Nonzero || active[at];
        let error = |at: usize, h: f32| f64::from(x[at] - h).powi(2) / 6.0;
        let whole = |at: usize| error(at, if kept(at) { code[at] } else { 0.0 });
        let thresholded = |at: usize| error(at, if active[at] { code[at] } else { 0.0 });
        let l0 = active.iter().filter(|so| **so).count() as f64;
        for engine in [REFERENCE, FUSED] {
            let what = format!("{section} in {}", engine.name);
            let model = model(&*dense.plugin, &*penalty.plugin, 6, 0);
            let model = with_identities(model).on(engine);
            assert_eq!(model.l0_rule(), rule, "{what}");
            let mut evaluator = Evaluator::new(&sample, 1);
            assert_eq!(evaluator.l0(&model).unwrap(), l0, "{what}");
            let measured = evaluator.measure(&model, evaluations, When::End).unwrap();
            let value = |name: &str| {
                measured.metrics.iter().find(|one| one.name == name).unwrap().value.unwrap()
            };
            assert_eq!(value("test_l0"), l0, "{what}");
            assert_eq!(value("test_dead_fraction"), (6.0 - l0) / 6.0, "{what}");
            let near = |name: &str, sum: f64| {
                assert!((value(name) - sum).abs() < 1e-6, "{what}: {name} {} {sum}", value(name));
            };
            near("test_mse", (0..6).map(whole).sum());
            near("test_mse_thresholded", (0..6).map(thresholded).sum());
            let rates = measured.latents.iter().find(|one| one.name == "firing_rate").unwrap();
            assert_eq!(rates.values, active.map(|so| Some(f64::from(u8::from(so)))), "{what}");
            let step = Step { mode: Mode::Train, ..Step::EVALUATE };
            let mut trainer = Trainer::new(model, all[0].train.value.optimizer);
            assert_eq!(trainer.step(Minibatch::clean(&x), step, 1.0).l0, l0, "{what}");
        }
    }
}

/// The same model with matrices [6, 6] that are the identity, and biases of 0.
fn with_identities(model: Model<'_>) -> Model<'_> {
    let mut parameters = model.parameters().into_owned();
    for entry in &mut parameters.entries {
        let is_matrix = entry.declaration.shape == [6, 6];
        let one = |at: usize| f32::from(is_matrix && at.is_multiple_of(7));
        entry.values = (0..entry.values.len()).map(one).collect();
    }
    model.with_parameters(parameters)
}

/// Codes that a constraint leaves after identity, all of them below 0. Wrong if latents counted by being above 0, or if
/// a length of the code were a sum with signs.
#[test]
fn kept_codes_below_0_are_active() {
    let x = [-1.0, -4.0, -0.5, -3.0, -0.25, -2.0];
    let kept = [true, false, true, false, true, false];
    let sample = OneSample(x.to_vec());
    let dense = architecture("kind = \"dense\"\nlatents = 6\nactivation = \"identity\"");
    let penalty = penalty("kind = \"k-sparse\"\nk = 3");
    let (experiment, all) = runs(TANH);
    for engine in [REFERENCE, FUSED] {
        let model = model(&*dense.plugin, &*penalty.plugin, 6, 0);
        let model = with_identities(model).on(engine);
        let mut evaluator = Evaluator::new(&sample, 1);
        assert_eq!(evaluator.l0(&model).unwrap(), 3.0, "{}", engine.name);
        let evaluations = &experiment.evaluate.evaluations;
        let measured = evaluator.measure(&model, evaluations, When::End).unwrap();
        let value = |name: &str| {
            measured.metrics.iter().find(|one| one.name == name).unwrap().value.unwrap()
        };
        assert_eq!(value("test_l0"), 3.0, "{}", engine.name);
        assert_eq!(value("test_dead_fraction"), 0.5);
        let rates = measured.latents.iter().find(|one| one.name == "firing_rate").unwrap();
        assert_eq!(rates.values, kept.map(|so| Some(f64::from(u8::from(so)))), "{}", engine.name);
        // The three that are left out: 16 + 9 + 4.
        assert!((value("test_mse") - 29.0 / 6.0).abs() < 1e-6);
        assert_eq!(value("test_mse"), value("test_mse_thresholded"));
        // ‖h‖₁ = 1.75 and ‖h‖₂² = 1.3125.
        let hoyer = (6.0_f64.sqrt() - 1.75 / 1.3125_f64.sqrt()) / (6.0_f64.sqrt() - 1.0);
        assert!((value("test_hoyer") - hoyer).abs() < 1e-6, "{}", value("test_hoyer"));
        let step = Step { mode: Mode::Train, ..Step::EVALUATE };
        let mut trainer = Trainer::new(model, all[0].train.value.optimizer);
        let l0 = trainer.step(Minibatch::clean(&x), step, 1.0).l0;
        assert_eq!(l0, 3.0, "{}", engine.name);
    }
}

/// What a stored model makes of the test part of digits, in f64: L0 by |h| > 0.5 and by h > 0.5 alone, the
/// share of latents that neither sign activates, and the mean squared error where they are 0.
fn by_hand(place: &Place, id: &str, data: &dyn Data) -> [f64; 4] {
    let path = folder(place, id).join("model.safetensors");
    let (bytes, header) = (fs::read(&path).unwrap(), safetensors_header(&path));
    let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let tensor = |name: &str| -> Vec<f64> {
        let [from, to] = [0, 1].map(|end| header[name]["data_offsets"][end].as_u64().unwrap());
        let numbers = bytes[start + from as usize..start + to as usize].chunks_exact(4);
        numbers.map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect()
    };
    let [w_enc, b_enc, w_dec, b_dec] = ["w_enc", "b_enc", "w_dec", "b_dec"].map(tensor);
    let (rows, inputs, latents) = (data.rows(Split::Test), b_dec.len(), b_enc.len());
    let mut samples = vec![0.0; rows * inputs];
    data.gather(Split::Test, &(0..rows).collect::<Vec<_>>(), &mut samples).unwrap();
    let (mut both, mut above, mut error, mut live) = (0, 0, 0.0, vec![false; latents]);
    for x in samples.chunks_exact(inputs) {
        let mut x_hat = b_dec.clone();
        for (at, (bias, live)) in b_enc.iter().zip(&mut live).enumerate() {
            let product = (0..inputs).map(|i| f64::from(x[i]) * w_enc[i * latents + at]);
            let h = (product.sum::<f64>() + bias).tanh();
            above += usize::from(h > 0.5);
            if h.abs() > 0.5 {
                (both, *live) = (both + 1, true);
                (0..inputs).for_each(|i| x_hat[i] += h * w_dec[at * inputs + i]);
            }
        }
        error += x.iter().zip(&x_hat).map(|(x, y)| (y - f64::from(*x)).powi(2)).sum::<f64>();
    }
    let dead = live.iter().filter(|live| !**live).count() as f64 / latents as f64;
    let count = |n: usize| n as f64 / rows as f64;
    [count(both), count(above), dead, error / (rows * inputs) as f64]
}

/// Wrong if strongly negative latents were silent, dead or zeroed, as they were: L0 counted those above 0.5
/// alone.
#[test]
fn negative_latents_of_tanh_codes_are_active() {
    let (_, all) = runs(TANH);
    let data = data(&all[0]);
    let mut of_engines = Vec::new();
    for engine in ["fused", "reference"] {
        let place = Place::with(&format!("{TANH}engine = \"{engine}\"\n"));
        place.run(["x.toml"]).exits(0);
        let table = place.table("signed/runs");
        assert_eq!(texts(&table, "l0_rule"), ["magnitude"; 4]);
        assert_eq!(numbers(&table, "l0_threshold"), [Some(0.5); 4]);
        let columns = ["test_l0", "test_dead_fraction", "test_mse_thresholded"];
        let found = columns.map(|name| numbers(&table, name));
        for (at, id) in texts(&table, "run_id").iter().enumerate() {
            let [l0, above, dead, error] = by_hand(&place, id, &*data);
            let [own_l0, own_dead, own_error] = [0, 1, 2].map(|column| found[column][at].unwrap());
            // A value next to 0.5 may be on its other side in f32.
            assert!((own_l0 - l0).abs() < 0.01, "{own_l0} {l0}");
            assert!((own_error - error).abs() < 1e-3 * error, "{own_error} {error}");
            assert_eq!(own_dead, dead);
            assert!(l0 > above + 0.5, "some of what is active is negative: {l0} {above}");
        }
        let found = found.map(|values| mean(&values));
        // A latent whose mean is below -0.5 is active on many samples.
        let latents = place.table("signed/latents");
        let rates = numbers(&latents, "firing_rate");
        let means = numbers(&latents, "mean_activation");
        for (rate, mean) in rates.iter().zip(&means) {
            assert!(mean.unwrap() > -0.5 || rate.unwrap() > 0.2, "{rate:?} {mean:?}");
        }
        // `features` counts as the table does.
        let id = place.run_ids("signed").remove(0);
        let said = place.run(["features", "results/signed", &id, "--all", "--json"]).exits(0);
        let said = said.json();
        let ids = texts(&latents, "run_id");
        let mut shown: Vec<(u64, f64)> = said["shown"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["latent"].as_u64().unwrap(), one["firing_rate"].as_f64().unwrap()))
            .collect();
        shown.sort_by_key(|(latent, _)| *latent);
        let own = ids.iter().zip(&rates).filter(|(run, _)| **run == id);
        let own: Vec<f64> = own.map(|(_, rate)| rate.unwrap()).collect();
        assert_eq!(shown.into_iter().map(|(_, rate)| rate).collect::<Vec<_>>(), own);
        of_engines.push(found);
    }
    for (one, other) in of_engines[0].iter().zip(&of_engines[1]) {
        assert!((one - other).abs() <= 1e-3 * one.abs(), "{of_engines:?}");
    }
}

/// Wrong if the texts of a comparison did not say what is counted, or put codes that are counted by
/// different rules on one front.
#[test]
fn comparisons_say_by_which_rule_latents_are_counted() {
    let text = TANH.replace("[penalty]\nkind = \"l1\"\nlambda = 0.05\n", "").replace("20", "2");
    let place = Place::with(&format!(
        "{text}[grid]\npenalty = [{{ kind = \"l1\", lambda = 0.05 }}, {{ kind = \"kl\" , rho = 0.1, beta = 0.1 }}]\n"
    ));
    let said = place.run(["x.toml"]).exits(0);
    for (name, rule) in [("l1", "where its absolute value is above 0.5"), ("kl", "above 0.5")] {
        let words =
            format!("codes of {name} are never exactly 0, so a latent counts as active {rule}");
        assert!(said.out.contains(&words), "{words}: {said}");
    }
    let document = place.run(["compare", "results/signed", "--json"]).exits(0).json();
    let methods = document["methods"].as_array().unwrap();
    let rules: Vec<_> = methods.iter().map(|one| (&one["method"], &one["l0_rule"])).collect();
    assert_eq!(rules, [(&json!("kl"), &json!("above")), (&json!("l1"), &json!("magnitude"))]);
    // By another metric there is nothing to compare across rules.
    let words = ["compare", "results/signed", "--json", "--metric", "test_cosine"];
    assert_eq!(place.run(words).exits(0).json()["pairs"], json!([]));
    place.run(["report", "results/signed"]).exits(0);
    let page = place.read("results/signed/report.html");
    assert!(page.contains("counts as active where its absolute value is above 0.5"));
    assert!(page.contains("counts as active above 0.5"));
}

/// A table without a column.
fn without(table: &Table, name: &str) -> Table {
    let mut some = Table::default();
    for column in table.columns().iter().filter(|column| column.name != name) {
        some.set(column.name.as_str(), column.values.clone());
    }
    some
}

/// The folder of a run.
fn folder(place: &Place, id: &str) -> PathBuf {
    place.path("results/signed/runs").join(id)
}

/// Changes the files of a run and its manifest, and seals it again.
fn rewrite(place: &Place, id: &str, files: &[(&str, Vec<u8>)], change: impl Fn(&mut Manifest)) {
    let path = folder(place, id).join("manifest.json");
    let mut manifest = Manifest::from_bytes(&fs::read(&path).unwrap()).unwrap();
    for (name, bytes) in files {
        fs::write(folder(place, id).join(name), bytes).unwrap();
        manifest.digests.insert((*name).to_owned(), blake3::hash(bytes).to_hex().to_string());
    }
    change(&mut manifest);
    fs::write(path, manifest.to_bytes().unwrap()).unwrap();
}

fn read(place: &Place, id: &str, name: &str) -> Table {
    Table::from_parquet(&fs::read(folder(place, id).join(name)).unwrap()).unwrap()
}

/// Makes a run what the version before would have left: without versions and `l0_rule`, and with these
/// numbers in the columns that count active latents.
fn age(place: &Place, id: &str, value: f64) {
    let old = |table: Table| {
        let mut table = without(&table, "l0_rule");
        let counted = ["test_l0", "test_firing_rate", "test_dead_fraction", "firing_rate"];
        for name in counted.into_iter().chain(["test_mse_thresholded"]) {
            if let Some(Values::Number(values)) = table.get(name) {
                let values = vec![Some(value); values.len()];
                table.set(name, Values::Number(values));
            }
        }
        table.to_parquet().unwrap()
    };
    let files = ["run.parquet", "history.parquet", "latents.parquet"]
        .map(|name| (name, old(read(place, id, name))));
    rewrite(place, id, &files, |manifest| manifest.versions.clear());
}

/// A version that does not exist yet stays out of the tables, so that they are made anew.
fn forget_tables(place: &Place) {
    for name in ["runs.parquet", "history.parquet", "latents.parquet", "tables.json"] {
        fs::remove_file(place.path("results/signed").join(name)).unwrap();
    }
}

/// Wrong if a finished run kept numbers of the older definition, if it were trained again, if what did
/// not change were lost, or if nobody said what will be done.
#[test]
fn finished_runs_of_an_older_definition_are_measured_again() {
    let text = TANH.replace("[0, 1, 2, 3]", "[0]").replace("epochs = 20", "epochs = 3");
    let place = Place::with(&text);
    place.run(["x.toml"]).exits(0);
    let right = ["runs", "history", "latents"].map(|name| place.table(&format!("signed/{name}")));
    let id = place.run_ids("signed").remove(0);
    let model = fs::read(folder(&place, &id).join("model.safetensors")).unwrap();
    age(&place, &id, 0.25);
    forget_tables(&place);

    let said = place.run(["list", "x.toml"]).exits(0);
    assert!(said.out.contains("sparsity (again: its definition has changed)"), "{said}");
    assert!(said.out.contains("reconstruction (again: its definition has changed)"), "{said}");
    assert!(said.out.contains("1 runs: 1 done, 1 to measure"), "{said}");
    let listed = place.run(["list", "x.toml", "--json"]).exits(0).json();
    assert_eq!((&listed["total"]["to_measure"], &listed["total"]["to_do"]), (&json!(1), &json!(0)));
    assert!(
        place.run(["status", "results/signed"]).exits(0).out.contains("its definition has changed")
    );
    // Until then the table says what was counted.
    place.run(["query", "results/signed", "SELECT l0_rule FROM runs"]).exits(0);
    assert_eq!(texts(&place.table("signed/runs"), "l0_rule"), ["above"]);

    place.run(["x.toml"]).exits(0).complains(["1 of 1 runs to do"]);
    assert_eq!(fs::read(folder(&place, &id).join("model.safetensors")).unwrap(), model);
    let again = ["runs", "history", "latents"].map(|name| place.table(&format!("signed/{name}")));
    for (again, right) in again.iter().zip(&right) {
        for column in columns(right) {
            let (now, then) = (texts(again, &column), texts(right, &column));
            // The models of points on the way are no more: what was counted on them is unknown.
            let is_counted = ["test_l0", "test_firing_rate", "test_dead_fraction"]
                .contains(&column.as_str())
                || column == "test_mse_thresholded";
            match is_counted && right.rows() == 3 {
                true => assert_eq!(now, ["", "", &then[2]], "{column}"),
                false => assert_eq!(now, then, "{column}"),
            }
        }
    }
    let manifest = place.json(folder(&place, &id).join("manifest.json"));
    assert_eq!(manifest["versions"], json!({ "reconstruction": 2, "sparsity": 2 }));
    place.run(["x.toml"]).exits(0).complains(["nothing to do"]);
    assert!(place.run(["list", "x.toml"]).exits(0).out.contains("1 runs: 1 done\n"));
}

/// Wrong if runs whose numbers are as they were had to be measured again, or if their rows did not say
/// what was counted.
#[test]
fn finished_runs_that_the_definition_leaves_alone_stay_as_they_are() {
    let text = TANH.replace("\"tanh\"", "\"relu\"").replace("epochs = 20", "epochs = 1");
    let place = Place::with(&text.replace("[0, 1, 2, 3]", "[0]"));
    place.run(["x.toml"]).exits(0);
    let id = place.run_ids("signed").remove(0);
    age(&place, &id, 3.0);
    forget_tables(&place);
    let before = changes(&folder(&place, &id));
    place.run(["x.toml"]).exits(0).complains(["nothing to do"]);
    assert_eq!(changes(&folder(&place, &id)), before);
    let table = place.table("signed/runs");
    assert_eq!(
        (numbers(&table, "test_l0"), texts(&table, "l0_rule")),
        (vec![Some(3.0)], vec!["nonzero".into()])
    );
}

/// Wrong if numbers of the older definition stayed beside new ones because the file asks for other
/// evaluations by now.
#[test]
fn old_numbers_that_nobody_asks_for_any_more_are_taken_out() {
    let text = TANH.replace("[0, 1, 2, 3]", "[0]").replace("epochs = 20", "epochs = 2");
    let place = Place::with(&text);
    place.run(["x.toml"]).exits(0);
    let id = place.run_ids("signed").remove(0);
    age(&place, &id, 0.25);
    forget_tables(&place);
    place.write("x.toml", format!("{text}[evaluate]\nkinds = [\"reconstruction\"]\n"));
    place.run(["x.toml"]).exits(0).complains(["1 of 1 runs to do"]);
    let table = place.table("signed/runs");
    assert_eq!(texts(&table, "l0_rule"), ["magnitude"]);
    for name in ["test_l0", "test_firing_rate", "test_dead_fraction"] {
        assert_eq!(numbers(&table, name), [None], "{name}");
        assert_eq!(numbers(&place.table("signed/history"), name), [None; 2], "{name}");
    }
    assert_ne!(numbers(&table, "test_mse_thresholded"), [Some(0.25)]);
    assert_eq!(numbers(&place.table("signed/latents"), "firing_rate"), [None; 12]);
    assert!(numbers(&table, "test_mean_activation")[0].is_some(), "it was right");
    place.write("x.toml", &text);
    place.run(["x.toml"]).exits(0).complains(["1 of 1 runs to do"]);
    assert!(numbers(&place.table("signed/runs"), "test_l0")[0].is_some());
}

/// Wrong if a search for a target counted above 0.5 alone.
#[test]
fn a_target_is_searched_for_by_the_same_count() {
    let text = TANH.replace("[0, 1, 2, 3]", "[0]").replace("lambda = 0.05\n", "");
    let place = Place::with(&format!("{text}[target]\nl0 = 3\n"));
    place.run(["x.toml"]).exits(0);
    let table = place.table("signed/runs");
    let l0 = numbers(&table, "test_l0")[0].unwrap();
    assert!((l0 / 3.0 - 1.0).abs() <= 0.05, "{l0}");
    assert_eq!(texts(&table, "l0_rule"), ["magnitude"]);
    // What was counted above 0.5 alone would be about half of it.
    let rates = numbers(&place.table("signed/latents"), "firing_rate");
    let sum: f64 = rates.iter().flatten().sum();
    assert!((sum - l0).abs() < 1e-9);
    let said = place.run(["query", "results/signed", "SELECT search_trainings FROM runs"]).exits(0);
    assert!(!said.out.contains('.'), "a count of trainings has no decimals: {said}");
}

/// A run whose strength was found by the older count, here made up from one with another strength. Wrong
/// if it passed for one that has its target.
#[test]
fn a_target_that_was_reached_by_the_older_count_is_judged_anew() {
    let text = TANH.replace("[0, 1, 2, 3]", "[0]").replace("epochs = 20", "epochs = 5");
    let place = Place::with(&text.replace("lambda = 0.05", "lambda = 0.01"));
    place.run(["x.toml"]).exits(0);
    let other = place.run_ids("signed").remove(0);
    let dense = numbers(&place.table("signed/runs"), "test_l0")[0].unwrap();
    let model = fs::read(folder(&place, &other).join("model.safetensors")).unwrap();

    let target = format!("{}[target]\nl0 = 3\n", text.replace("lambda = 0.05\n", ""));
    place.write("x.toml", target);
    place.run(["x.toml"]).exits(0);
    let id = place.run_ids("signed").into_iter().find(|id| *id != other).unwrap();
    age(&place, &id, 3.0);
    rewrite(&place, &id, &[("model.safetensors", model)], |manifest| {
        manifest.settings["penalty"]["lambda"] = json!(0.01);
    });
    forget_tables(&place);
    assert!(place.run(["list", "x.toml"]).exits(0).out.contains("1 done, 1 to measure"));
    place.run(["x.toml"]).exits(100);
    let table = place.table("signed/runs");
    let at = texts(&table, "run_id").iter().position(|run| *run == id).unwrap();
    assert_eq!(texts(&table, "status")[at], "unreached");
    assert_eq!(numbers(&table, "test_l0")[at], Some(dense));
    let reason = &texts(&table, "reason")[at];
    assert!(
        reason.contains(&format!("its test L0 is {dense:.4}, not within 5 % of 3")),
        "{reason}"
    );
    assert!(reason.contains(&format!("`--rerun {id}` searches again")), "{reason}");
    place.run(["x.toml", "--rerun", &id]).exits(0);
    let table = place.table("signed/runs");
    let at = texts(&table, "run_id").iter().position(|run| *run == id).unwrap();
    assert_eq!(texts(&table, "status")[at], "done");
}

/// Wrong if seeds were compared by the latents that were live by the older count.
#[test]
fn the_stability_of_dictionaries_follows_the_count() {
    let text = TANH.replace("[0, 1, 2, 3]", "[0, 1]").replace("epochs = 20", "epochs = 3");
    let place = Place::with(&text);
    place.run(["x.toml"]).exits(0);
    place.run(["stability", "results/signed"]).exits(0);
    let right = place.table("signed/stability");
    for id in place.run_ids("signed") {
        age(&place, &id, 0.0);
    }
    place.run(["stability", "results/signed"]).exits(0);
    assert_eq!(numbers(&place.table("signed/stability"), "live_latents"), [Some(0.0)]);
    place.run(["x.toml"]).exits(0);
    place.run(["stability", "results/signed"]).exits(0);
    let again = place.table("signed/stability");
    for name in ["live_latents", "other_live_latents", "matched_cosine"] {
        assert_eq!(numbers(&again, name), numbers(&right, name), "{name}");
    }
}

/// One step so long that what the model makes of the data overflows, though its parameters do not. Wrong
/// if that were done, with null where the error should be.
#[test]
fn a_model_that_overflows_has_diverged() {
    for (engine, lr) in
        [("fused", "1e19"), ("fused", "1e30"), ("reference", "1e25"), ("fused", "1e37")]
    {
        let text = TANH.replace("\"tanh\"", "\"relu\"").replace("[0, 1, 2, 3]", "[0]");
        let train = format!(
            "steps = 1\nengine = \"{engine}\"\noptimizer = {{ kind = \"adam\", lr = {lr} }}"
        );
        let place = Place::with(&text.replace("epochs = 20", &train));
        place.run(["x.toml"]).exits(100);
        let table = place.table("signed/runs");
        assert_eq!(texts(&table, "status"), ["diverged"], "{engine} {lr}");
        let reason = &texts(&table, "reason")[0];
        assert!(reason.starts_with("test_mse is no finite number after step 1"), "{reason}");
    }
}

/// A run that was done before overflow was looked for. Wrong if an evaluation of it were tried for ever.
#[test]
fn a_stored_model_that_overflows_has_diverged() {
    let text = TANH.replace("\"tanh\"", "\"identity\"").replace("[0, 1, 2, 3]", "[0]");
    let text = text.replace("epochs = 20", "epochs = 1");
    let place = Place::with(&format!("{text}[evaluate]\nkinds = [\"sparsity\"]\n"));
    place.run(["x.toml"]).exits(0);
    let id = place.run_ids("signed").remove(0);
    let mut model = fs::read(folder(&place, &id).join("model.safetensors")).unwrap();
    let header = u64::from_le_bytes(model[..8].try_into().unwrap()) as usize;
    for number in model[8 + header..].chunks_exact_mut(4) {
        number.copy_from_slice(&1e30_f32.to_le_bytes());
    }
    rewrite(&place, &id, &[("model.safetensors", model)], |manifest| {
        assert_eq!(manifest.status, Status::Done);
    });
    place.write("x.toml", text);
    place.run(["x.toml"]).exits(100);
    let table = place.table("signed/runs");
    assert_eq!(texts(&table, "status"), ["diverged"]);
    assert!(
        texts(&table, "reason")[0].starts_with("test_mse is no finite number"),
        "{:?}",
        texts(&table, "reason")
    );
    place.run(["x.toml"]).exits(100).complains(["nothing to do"]);
}

/// Wrong if the rule that a run's manifest and its trained model go by were two.
#[test]
fn a_run_and_its_model_have_one_rule() {
    for (activation, penalty, rule) in [
        ("tanh", "{ kind = \"l1\", lambda = 0.1 }", L0Rule::Magnitude),
        ("tanh", "{ kind = \"kl\", rho = 0.1, beta = 0.1 }", L0Rule::Above),
        ("tanh", "{ kind = \"soft-threshold\", lambda = 0.1 }", L0Rule::Above),
        ("tanh", "{ kind = \"k-sparse\", k = 2 }", L0Rule::Nonzero),
        ("sigmoid", "{ kind = \"l1\", lambda = 0.1 }", L0Rule::Above),
        ("identity", "{ kind = \"l1\", lambda = 0.1 }", L0Rule::Nonzero),
        ("relu", "{ kind = \"none\" }", L0Rule::Nonzero),
    ] {
        let text = TANH.replace("tanh", activation);
        let text = text.replace("[penalty]\nkind = \"l1\"\nlambda = 0.05\n", "");
        let (experiment, runs) = runs(&format!("{text}[grid]\npenalty = [{penalty}]\n"));
        let run = &runs[0];
        assert_eq!(run.l0_rule(), rule, "{activation} {penalty}");
        let model = model(&*run.architecture.value.plugin, &*run.penalty.value.plugin, 64, 0);
        assert_eq!(model.l0_rule(), rule);
        let version = if rule == L0Rule::Magnitude { 2 } else { 1 };
        let versions = Manifest::versions_of(&experiment, run);
        assert!(versions.values().all(|own| *own == version), "{versions:?}");
    }
}
