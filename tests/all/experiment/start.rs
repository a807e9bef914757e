//! What `[init]` makes of parameters: norms of the dictionary, the encoder as its transpose, the decoder's bias at
//! the mean or the median of samples.

use framework::model::{Definition, Parameters};
use framework::plugin::{Data, Split};
use framework::random::Streams;
use framework::spec::RunSpec;
use framework::train::{Ended, InitPlaces, Model, Normalizer, Progress, train};
use serde_json::json;

use crate::support::models::{data, runs};

/// An experiment on digits, with a section for its model, settings of its data, and `[init]`.
fn text(architecture: &str, dataset: &str, init: &str) -> String {
    format!(
        "name = \"x\"\n[dataset]\nkind = \"digits\"\n{dataset}\n[architecture]\n{architecture}\n\
         [train]\nsteps = 1\noptimizer = {{ kind = \"sgd\", lr = 1e-12 }}\n[init]\n{init}\n"
    )
}

fn run_of(architecture: &str, dataset: &str, init: &str) -> RunSpec {
    runs(&text(architecture, dataset, init)).1.remove(0)
}

/// What a run starts with without its `[init]`, and with it, where `taken` came from a stored model.
fn started(run: &RunSpec, data: &dyn Data, taken: &[&str]) -> [Parameters<f32>; 2] {
    let normalizer = Normalizer::fit(run.dataset.value.normalize, data).unwrap();
    let (definition, streams) = (Definition::of(run), Streams::new(run.seed));
    let model = || Model::new(definition, data.shape(), normalizer.clone(), &streams);
    let taken: Vec<String> = taken.iter().map(|name| (*name).to_owned()).collect();
    let places = InitPlaces::of(definition.architecture, data.shape());
    let after = places.apply(run, data, model(), &taken).unwrap();
    [model().parameters().into_owned(), after.parameters().into_owned()]
}

fn values<'a>(parameters: &'a Parameters<f32>, name: &str) -> &'a [f32] {
    &parameters.get(name).unwrap().values
}

fn norm(row: impl Iterator<Item = f32>) -> f64 {
    row.map(|value| f64::from(value).powi(2)).sum::<f64>().sqrt()
}

fn column(matrix: &[f32], columns: usize, at: usize) -> impl Iterator<Item = f32> {
    matrix.iter().skip(at).step_by(columns).copied()
}

/// Wrong if a section of defaults were another run, or runs that start from a stored model got other ids or columns
/// by settings that came later.
#[test]
fn only_what_is_said_enters_the_id() {
    let dense = "kind = \"dense\"\nlatents = 4";
    let of = |init: &str| run_of(dense, "", init);
    let absent = of("");
    let same = of("bias = \"zero\"\nencoder = \"own\"");
    assert_eq!((&absent.id, absent.settings()), (&same.id, same.settings()));
    let from = of("from = \"a\"");
    assert_eq!(from.id, of("from = \"a\"\nbias = \"zero\"").id);
    assert_eq!(from.settings()["init"], json!({ "from": "a", "part": "all" }));
    let all = [
        "",
        "from = \"a\"",
        "decoder_norm = 0.1",
        "encoder = \"decoder\"",
        "bias = \"mean\"",
        "bias = \"median\"",
        "from = \"a\"\nbias = \"mean\"",
    ];
    let ids: Vec<String> = all.iter().map(|init| of(init).id.to_string()).collect();
    assert!((0..all.len()).all(|a| (0..a).all(|b| ids[a] != ids[b])), "{ids:?}");
    let both = of("decoder_norm = 0.5\nbias = \"mean\"").settings()["init"].clone();
    assert_eq!(both, json!({ "decoder_norm": 0.5, "bias": "mean" }));
}

/// Wrong if a row had another norm or direction, if the encoder or a bias moved too, or if tied weights were scaled
/// by rows of the encoder.
#[test]
fn rows_of_the_dictionary_start_with_the_norm() {
    let data = data(&run_of("kind = \"dense\"\nlatents = 4", "", ""));
    let deep = "kind = \"deep\"\nhidden = [5]\nlatents = 4";
    // The parameter, how many numbers a latent has in it, and whether latents are its columns.
    for (architecture, changed, inputs, is_tied) in [
        ("kind = \"dense\"\nlatents = 4", "w_dec", 64, false),
        ("kind = \"dense\"\nlatents = 4\ntied = true", "w_enc", 64, true),
        (deep, "dec.1.w", 5, false),
        (&format!("{deep}\ntied = true"), "enc.2.w", 5, true),
    ] {
        let [before, after] = started(&run_of(architecture, "", "decoder_norm = 0.1"), &*data, &[]);
        for (before, after) in before.entries.iter().zip(&after.entries) {
            if before.declaration.name != changed {
                assert_eq!(before, after, "{architecture}");
                continue;
            }
            for latent in 0..4 {
                let row = |values: &[f32]| -> Vec<f32> {
                    match is_tied {
                        true => column(values, 4, latent).collect(),
                        false => values[latent * inputs..(latent + 1) * inputs].to_vec(),
                    }
                };
                let (old, new) = (row(&before.values), row(&after.values));
                let length = norm(new.iter().copied());
                assert!((length - 0.1).abs() < 1e-8, "{architecture}: {length}");
                let factor = 0.1 / norm(old.iter().copied());
                for (old, new) in old.iter().zip(&new) {
                    assert!((f64::from(*old) * factor - f64::from(*new)).abs() < 1e-8);
                }
            }
        }
    }
}

/// Wrong if the encoder were the transpose of the rows before they are scaled, or another matrix of a deep encoder.
#[test]
fn the_encoder_can_start_as_the_transpose_of_the_dictionary() {
    let data = data(&run_of("kind = \"dense\"\nlatents = 4", "", ""));
    for (architecture, [dictionary, encoder], inputs) in [
        ("kind = \"dense\"\nlatents = 4", ["w_dec", "w_enc"], 64),
        ("kind = \"deep\"\nhidden = [5]\nlatents = 4", ["dec.1.w", "enc.2.w"], 5),
    ] {
        let run = run_of(architecture, "", "decoder_norm = 0.1\nencoder = \"decoder\"");
        let [before, after] = started(&run, &*data, &[]);
        let (rows, columns) = (values(&after, dictionary), values(&after, encoder));
        for (input, latent) in (0..inputs).flat_map(|input| (0..4).map(move |j| (input, j))) {
            assert_eq!(columns[input * 4 + latent], rows[latent * inputs + input]);
        }
        assert!((norm(rows[..inputs].iter().copied()) - 0.1).abs() < 1e-8);
        for entry in &before.entries {
            let name = &*entry.declaration.name;
            let is_changed = name == dictionary || name == encoder;
            assert_eq!(values(&after, name) != values(&before, name), is_changed, "{name}");
        }
        // What a stored model brings stays, and the encoder follows a dictionary that it brings.
        let [before, after] = started(&run, &*data, &[dictionary]);
        assert_eq!(values(&after, dictionary), values(&before, dictionary));
        assert_eq!(values(&after, encoder)[1], values(&before, dictionary)[inputs]);
        let [before, after] = started(&run, &*data, &[encoder]);
        assert_eq!(values(&after, encoder), values(&before, encoder));
    }
}

/// Mean of the first rows of the training part of digits in f64.
fn mean_of_digits(data: &dyn Data) -> Vec<f64> {
    let rows: Vec<usize> = (0..data.rows(Split::Train)).collect();
    let mut samples = vec![0.0; rows.len() * 64];
    data.gather(Split::Train, &rows, &mut samples).unwrap();
    let sum = |input: usize| column(&samples, 64, input).map(f64::from).sum::<f64>();
    (0..64).map(|input| sum(input) / rows.len() as f64).collect()
}

/// Wrong if the bias were in the units of the data, were not what a sigmoid makes the mean of, or were written over
/// one that a stored model brings.
#[test]
fn the_bias_starts_at_the_mean_in_the_units_of_the_model() {
    let dense = "kind = \"dense\"\nlatents = 4";
    let run = run_of(dense, "", "bias = \"mean\"");
    let data = data(&run);
    let mean = mean_of_digits(&*data);
    let [before, after] = started(&run, &*data, &[]);
    for (found, mean) in values(&after, "b_dec").iter().zip(&mean) {
        assert!((f64::from(*found) - mean).abs() < 1e-6);
    }
    assert!(["w_enc", "b_enc", "w_dec"].iter().all(|name| before.get(name) == after.get(name)));
    let [before, after] = started(&run, &*data, &["b_dec"]);
    assert_eq!(before, after);

    // Centred samples have mean 0.
    let centred = run_of(dense, "normalize = \"center\"", "bias = \"mean\"");
    let [_, after] = started(&centred, &*data, &[]);
    assert!(values(&after, "b_dec").iter().all(|value| value.abs() < 1e-6));

    let sigmoid = format!("{dense}\ndecoder = \"sigmoid\"");
    let [_, after] = started(&run_of(&sigmoid, "", "bias = \"mean\""), &*data, &[]);
    let mut clamped = 0;
    for (found, mean) in values(&after, "b_dec").iter().zip(&mean) {
        let made = 1.0 / (1.0 + (-f64::from(*found)).exp());
        let right = mean.clamp(0.01, 0.99);
        clamped += usize::from(right != *mean);
        assert!((made - right).abs() < 1e-6, "{made}, not {right}");
    }
    assert!(clamped > 0, "some pixels of digits are always 0");

    let deep = "kind = \"deep\"\nhidden = [64]\nlatents = 4";
    let [before, after] = started(&run_of(deep, "", "bias = \"mean\""), &*data, &[]);
    assert_eq!(before.get("dec.1.b"), after.get("dec.1.b"), "as long, and not the last");
    assert!((f64::from(values(&after, "dec.2.b")[20]) - mean[20]).abs() < 1e-6);
    let variational = "kind = \"variational\"\nlatents = 4";
    let [before, after] = started(&run_of(variational, "", "bias = \"mean\""), &*data, &[]);
    let changed = |name: &str| before.get(name) != after.get(name);
    let names = before.entries.iter().map(|entry| &*entry.declaration.name);
    assert_eq!(names.filter(|name| changed(name)).collect::<Vec<_>>(), ["dec.2.b"]);
}

/// Wrong if the median were that of each input by itself, or the mean: its sum of distances is the least.
#[test]
fn the_bias_starts_at_the_geometric_median() {
    let run = run_of("kind = \"dense\"\nlatents = 4", "", "bias = \"median\"");
    let data = data(&run);
    let [_, after] = started(&run, &*data, &[]);
    let median: Vec<f64> = values(&after, "b_dec").iter().map(|value| f64::from(*value)).collect();
    let rows: Vec<usize> = (0..data.rows(Split::Train)).collect();
    let mut samples = vec![0.0; rows.len() * 64];
    data.gather(Split::Train, &rows, &mut samples).unwrap();
    let distances = |point: &[f64]| -> f64 {
        let away = |row: &[f32]| {
            row.iter().zip(point).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>().sqrt()
        };
        samples.chunks(64).map(away).sum()
    };
    let least = distances(&median);
    assert!(least < distances(&mean_of_digits(&*data)) - 0.1);
    for (input, shift) in (0..64).flat_map(|input| [(input, 0.01), (input, -0.01)]) {
        let mut beside = median.clone();
        beside[input] += shift;
        assert!(distances(&beside) > least, "{input}");
    }
}

/// Wrong if training began elsewhere than `[init]` says, in either engine.
#[test]
fn training_starts_there() {
    let init = "decoder_norm = 0.1\nencoder = \"decoder\"\nbias = \"mean\"";
    for engine in ["fused", "reference"] {
        let text = text("kind = \"dense\"\nlatents = 4", "", init);
        let engine_of = format!("steps = 1\nengine = \"{engine}\"");
        let (experiment, runs) = runs(&text.replace("steps = 1", &engine_of));
        let (run, data) = (&runs[0], data(&runs[0]));
        let [_, right] = started(run, &*data, &[]);
        let watch = &mut |_: &Progress| {};
        let Ended::Done(done) = train(run, &*data, &experiment.evaluate, None, watch) else {
            panic!("the run did not go to its end")
        };
        for entry in &done.model.parameters().entries {
            let right = values(&right, &entry.declaration.name);
            let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-7;
            let all_near = entry.values.iter().zip(right).all(near);
            assert!(all_near, "{engine} {}", entry.declaration.name);
        }
    }
}
