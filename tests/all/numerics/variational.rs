//! The variational autoencoder: its prior, its noise, and what a linear one comes to.

use dfdx::prelude::HasShape;
use framework::dims::{Batch, Input, Latent};
use framework::engine::{Minibatch, REFERENCE};
use framework::evaluate::Evaluator;
use framework::model::{
    Definition, EncoderPass, Mode, Parameters, Step, Weights, rank0, tensor, values,
};
use framework::plugin::{Architecture, Autoencoder, CodeNoise, Split, When};
use framework::random::Streams;
use framework::spec::{Adam, Optimizer};
use framework::train::Trainer;
use proptest::array::uniform4;
use proptest::prelude::*;

use super::gradient_check::{Subject, check};
use crate::support::models::{
    Samples, architecture, data, model, parameters, pass, penalty, runs, shape_of,
};
use crate::support::program::{Place, columns, numbers};
use crate::support::strategies::{config, sizes};

const TRAINING: Step<'static> =
    Step { mode: Mode::Train, number: 0, progress: 0.0, steps: 0, labels: None };

/// Sets a parameter.
fn set(parameters: &mut Parameters<f64>, name: &str, values: &[f64]) {
    let entry = parameters.entries.iter_mut().find(|entry| entry.declaration.name == name);
    entry.unwrap_or_else(|| panic!("no parameter `{name}`")).values.copy_from_slice(values);
}

/// A model without hidden layers that gives every sample of 3 numbers these μ and log σ², decoded to zeros.
fn fixed(architecture: &dyn Architecture, mean: &[f64], log_variance: &[f64]) -> Parameters<f64> {
    let none = penalty("kind = \"none\"");
    let mut all = parameters(Definition::new(architecture, &*none.plugin), 3);
    all.entries.iter_mut().for_each(|entry| entry.values.fill(0.0));
    set(&mut all, "enc.mean.b", mean);
    set(&mut all, "enc.log_variance.b", log_variance);
    all
}

/// Wrong if the divergence were another, `beta` no weight, or a log-variance beyond ±20 had a gradient or were not
/// held there. By hand: μ = 1 and σ² = 0.25 have 0.818147 nats.
#[test]
fn the_prior_by_hand() {
    let built = architecture("kind = \"variational\"\nhidden = []\nlatents = 3\nbeta = 0.5");
    let none = penalty("kind = \"none\"");
    let definition = Definition::new(&*built.plugin, &*none.plugin);
    let mean = [1.0, 0.0, -2.0];
    let samples = Samples::new(vec![0.0; 6], 3);
    let of = |log_variance: [f64; 3]| {
        let parameters = fixed(&*built.plugin, &mean, &log_variance);
        let names = parameters.entries.iter().map(|entry| entry.declaration.name.clone());
        let at: Vec<String> = names.collect();
        let passed = pass(definition, &parameters, &samples, TRAINING);
        let gradient = |name: &str| {
            passed.gradients[at.iter().position(|known| known == name).unwrap()].clone()
        };
        (passed.terms / 0.5, gradient("enc.mean.b"), gradient("enc.log_variance.b"))
    };
    let (value, by_mean, by_log_variance) = of([0.25_f64.ln(), 0.0, 0.0]);
    assert!((value - (0.818_147_180_56 + 0.0 + 2.0)).abs() < 1e-10, "{value}");
    for (found, right) in by_mean.iter().zip(mean) {
        assert!((found - 0.5 * right).abs() < 1e-12, "{by_mean:?}");
    }
    // ½ (σ² − 1).
    for (found, right) in by_log_variance.iter().zip([-0.375, 0.0, 0.0]) {
        assert!((found - 0.5 * right).abs() < 1e-12, "{by_log_variance:?}");
    }
    let (value, _, by_log_variance) = of([25.0, -25.0, 20.0]);
    let at_limit = 0.5 * (20.0_f64.exp() - 20.0 - 1.0);
    let below = 0.5 * ((-20.0_f64).exp() + 20.0 - 1.0);
    let right = 0.5 + 2.0 + at_limit + below + at_limit;
    assert!((value / right - 1.0).abs() < 1e-12, "{value}, not {right}");
    assert_eq!(by_log_variance[..2], [0.0, 0.0]);
    assert!(by_log_variance[2] > 1e6);
}

/// Wrong if evaluation drew anything, a step drew what another draws, drew twice what it draws once, or codes were
/// not μ + exp(s / 2) ε with the noise that every engine draws.
#[test]
fn codes_are_drawn_in_training_alone() {
    let built = architecture("kind = \"variational\"\nhidden = []\nlatents = 2");
    let (mean, log_variance) = ([0.3, -0.7], [0.5, -1.5]);
    let parameters = fixed(&*built.plugin, &mean, &log_variance);
    let streams = Streams::new(11);
    let code = |step: Step<'_>| -> Vec<f64> {
        let weights = Weights::new(shape_of(3), &parameters);
        let x = tensor(vec![0.1; 12], (Batch(4), Input(3))).retaped();
        let pass = EncoderPass::new(step, &streams);
        let encoded = Autoencoder::<f64>::encode(&*built.plugin, x, &weights, &pass);
        assert_eq!(values(&encoded.pre_code), mean.repeat(4));
        assert_eq!(*encoded.code.shape(), (Batch(4), Latent(2)));
        assert_eq!(encoded.terms.len(), 1);
        assert!(rank0(&encoded.terms[0].value) > 0.0);
        values(&encoded.code)
    };
    assert_eq!(code(Step::EVALUATE), mean.repeat(4));
    let first = code(TRAINING);
    assert_eq!(code(TRAINING), first, "a resumed run draws the same");
    assert_ne!(code(Step { number: 1, ..TRAINING }), first);
    let noise = CodeNoise::draw(&mut streams.stream("architecture/0"), 8);
    for (at, (found, noise)) in first.iter().zip(noise).enumerate() {
        let right = mean[at % 2] + (log_variance[at % 2] / 2.0).exp() * noise;
        assert!((found - right).abs() < 1e-12, "{found}, not {right}");
    }
}

proptest! {
    #![proptest_config(config(2))]

    /// The whole loss at given noise, whatever the layers, with penalties that see the code.
    #[test]
    fn gradients_are_right_whatever_the_layers(sizes in uniform4(sizes())) {
        let kinds = [
            ("[]", "identity", "linear", "kind = \"none\""),
            ("[3]", "tanh", "sigmoid", "kind = \"l1\"\nlambda = 0.3"),
            ("[5, 3]", "sigmoid", "linear", "kind = \"k-sparse\"\nk = 1"),
            ("[4]", "relu", "sigmoid", "kind = \"group-lasso\"\nlambda = 1\ngroup_size = 2"),
        ];
        for (sizes, (hidden, activation, decoder, text)) in sizes.into_iter().zip(kinds) {
            let latents = sizes.latents;
            let name = format!(
                "kind = \"variational\"\nlatents = {latents}\nhidden = {hidden}\nbeta = 0.7\n\
                 hidden_activation = \"{activation}\"\ndecoder = \"{decoder}\""
            );
            let (built, penalty) = (architecture(&name), penalty(text));
            let definition = Definition::new(&*built.plugin, &*penalty.plugin);
            let (batch, inputs) = (sizes.batch, sizes.inputs);
            let subject = Subject { name, definition, batch, inputs };
            check(&subject, sizes.seed).map_err(|failure| TestCaseError::fail(failure.to_string()))?;
        }
    }
}

/// Numbers of a sample.
const INPUTS: usize = 6;

/// Latents: fewer than inputs.
const LATENTS: usize = 2;

/// Variances of the data along orthogonal directions.
const VARIANCES: [f64; INPUTS] = [6.0, 3.0, 0.5, 0.4, 0.3, 0.2];

/// The directions: a reflection of the axes, I − 2 v vᵀ.
fn directions() -> Vec<[f64; INPUTS]> {
    let v: Vec<f64> = (1..=INPUTS).map(|at| at as f64 / 91.0_f64.sqrt()).collect();
    let row = |i: usize| std::array::from_fn(|j| f64::from(u8::from(i == j)) - 2.0 * v[i] * v[j]);
    (0..INPUTS).map(row).collect()
}

/// Samples whose moments are exactly known: each of the 64 corners of a box, turned and moved.
fn corners() -> Vec<f64> {
    let directions = directions();
    let corner = |bits: usize| {
        let sample: [f64; INPUTS] = std::array::from_fn(|at| {
            let along = |k: usize| {
                let sign = if bits >> k & 1 == 1 { 1.0 } else { -1.0 };
                sign * VARIANCES[k].sqrt() * directions[k][at]
            };
            0.5 * at as f64 + (0..INPUTS).map(along).sum::<f64>()
        });
        sample
    };
    (0..1 << INPUTS).flat_map(corner).collect()
}

/// A linear model with decoder noise of a fixed size is probabilistic PCA (Tipping and Bishop 1999; Lucas et al.
/// 2019, arXiv:1911.02469): with the squared error and `beta` it is the bound of a normal decoder of variance
/// beta / 2. Wrong if the subspace were not that of the first principal components, or the bound not the
/// likelihood.
#[test]
fn a_linear_one_is_probabilistic_pca() {
    const BETA: f64 = 0.8;
    const VARIANCE: f64 = BETA / 2.0;
    const STEPS: usize = 3000;
    let text = format!("kind = \"variational\"\nhidden = []\nlatents = {LATENTS}\nbeta = {BETA}");
    let (built, none) = (architecture(&text), penalty("kind = \"none\""));
    let start = model(&*built.plugin, &*none.plugin, INPUTS, 3).on(REFERENCE);
    let adam = Adam { lr: 2e-2.try_into().unwrap(), ..Adam::default() };
    let mut trainer = Trainer::new(start, Optimizer::Adam(adam));
    let x = corners();
    let batch: Vec<f32> = x.iter().map(|value| *value as f32).collect();
    for number in 0..STEPS {
        let factor = 1.0 - number as f64 / STEPS as f64;
        trainer.step(Minibatch::clean(&batch), Step { number, ..TRAINING }, factor);
    }
    let found = trainer.model.parameters().cast::<f64>();
    let get = |name: &str| &found.get(name).unwrap().values;
    let (decoder, of_mean) = (get("dec.1.w"), get("enc.mean.w"));
    let (of_log_variance, bias) = (get("enc.log_variance.w"), get("dec.1.b"));

    // The bound, with the expectation over the noise taken in closed form.
    let rows = x.len() / INPUTS;
    let mut loss = 0.0;
    for sample in x.chunks_exact(INPUTS) {
        let mut x_hat = bias.clone();
        for latent in 0..LATENTS {
            let head = |w: &[f64], b: &[f64]| {
                let products =
                    sample.iter().enumerate().map(|(at, x)| x * w[at * LATENTS + latent]);
                products.sum::<f64>() + b[latent]
            };
            let mean = head(of_mean, get("enc.mean.b"));
            let s = head(of_log_variance, get("enc.log_variance.b"));
            let row = &decoder[latent * INPUTS..][..INPUTS];
            x_hat.iter_mut().zip(row).for_each(|(x_hat, w)| *x_hat += mean * w);
            loss += s.exp() * row.iter().map(|w| w * w).sum::<f64>();
            loss += BETA * 0.5 * (mean * mean + s.exp() - s - 1.0);
        }
        loss += sample.iter().zip(&x_hat).map(|(x, x_hat)| (x - x_hat).powi(2)).sum::<f64>();
    }
    let two_pi = std::f64::consts::TAU;
    let inputs = INPUTS as f64;
    let bound = -loss / rows as f64 / (2.0 * VARIANCE) - 0.5 * inputs * (two_pi * VARIANCE).ln();
    let (kept, left) = VARIANCES.split_at(LATENTS);
    let likelihood = -0.5
        * (inputs * two_pi.ln()
            + kept.iter().map(|variance| variance.ln() + 1.0).sum::<f64>()
            + left.iter().map(|variance| VARIANCE.ln() + variance / VARIANCE).sum::<f64>());
    assert!(bound < likelihood + 1e-6, "{bound} is above the likelihood {likelihood}");
    assert!((bound / likelihood - 1.0).abs() < 0.01, "{bound}, not {likelihood}");

    // The part of an orthonormal basis of the rows that lies outside of the first directions: the root of the sum
    // of the squared sines of the angles between the two subspaces.
    let mut basis: Vec<Vec<f64>> = Vec::new();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    for row in decoder.chunks_exact(INPUTS) {
        let mut row = row.to_vec();
        for other in &basis {
            let along = dot(&row, other);
            row.iter_mut().zip(other).for_each(|(value, other)| *value -= along * other);
        }
        let norm = dot(&row, &row).sqrt();
        row.iter_mut().for_each(|value| *value /= norm);
        basis.push(row);
    }
    let directions = directions();
    let outside = |row: &Vec<f64>| -> f64 {
        directions[LATENTS..].iter().map(|direction| dot(row, direction).powi(2)).sum()
    };
    let sine = basis.iter().map(outside).sum::<f64>().sqrt();
    assert!(sine < 2.0_f64.to_radians().sin(), "{:.2} degrees", sine.asin().to_degrees());
}

/// An experiment with one architecture.
fn experiment(architecture: &str, more: &str) -> String {
    format!(
        "name = \"x\"\n[dataset]\nkind = \"digits\"\nnormalize = \"center\"\n[architecture]\n{architecture}\n\
         [train]\nepochs = 2\n{more}\n"
    )
}

/// Wrong if what is measured were not the mean over test samples of the divergence as it is defined, whatever the
/// size of batches, or if other models had it.
#[test]
fn the_divergence_is_measured_latent_by_latent() {
    let text = experiment("kind = \"variational\"\nlatents = 5\nhidden = [7]", "");
    let (experiment, runs) = runs(&text);
    let data = &*data(&runs[0]);
    let (built, none) = (&*runs[0].architecture.value.plugin, penalty("kind = \"none\""));
    let model = model(built, &*none.plugin, 64, 4);
    let rows = data.rows(Split::Test);
    let mut x = vec![0.0; rows * 64];
    data.gather(Split::Test, &(0..rows).collect::<Vec<_>>(), &mut x).unwrap();
    let parameters = model.parameters().cast::<f64>();
    let weights = Weights::new(shape_of(64), &parameters);
    let x = tensor(x.iter().copied().map(f64::from).collect(), (Batch(rows), Input(64)));
    let all = Autoencoder::<f64>::kl_prior(built, x.retaped(), &weights).unwrap();
    let mut means = [0.0; 5];
    for of_sample in values(&all).chunks_exact(5) {
        means.iter_mut().zip(of_sample).for_each(|(mean, kl)| *mean += kl / rows as f64);
    }
    for (batch, when) in [(7, When::End), (1000, When::EveryPoint)] {
        let found =
            Evaluator::new(data, batch).measure(&model, &experiment.evaluate.evaluations, when);
        let found = found.unwrap();
        let metric = |name: &str| {
            found.metrics.iter().find(|metric| metric.name == name).unwrap().value.unwrap()
        };
        let right: f64 = means.iter().sum();
        assert!((metric("test_kl_prior") / right - 1.0).abs() < 1e-5);
        assert_eq!(metric("test_collapsed_fraction"), 0.0);
        if let Some(column) = found.latents.iter().find(|column| column.name == "kl_prior") {
            for (found, right) in column.values.iter().zip(means) {
                assert!((found.unwrap() / right - 1.0).abs() < 1e-5);
            }
        }
        assert_eq!(found.latents.iter().any(|column| column.name == "kl_prior"), when == When::End);
    }
}

/// Wrong if runs lacked a column of the prior, dense runs had one, a large `beta` did not collapse the latents, or
/// `budget` could not tell what latents without rows say.
#[test]
fn a_run_has_the_columns_of_its_prior() {
    let variational = experiment(
        "kind = \"variational\"\nlatents = 6\nhidden = [16]\nbeta = 1000",
        "optimizer = { kind = \"adam\", lr = 1e-2 }\n[evaluate]\n\
         kinds = [\"reconstruction\", \"sparsity\", \"budget\"]",
    );
    let place = Place::with(&variational.replace("epochs = 2", "epochs = 10"));
    place.run(["x.toml"]).exits(0);
    let runs = place.table("x/runs");
    let of = |column: &str| numbers(&runs, column)[0].unwrap();
    assert!(of("train_loss_prior") > 0.0 && of("test_kl_prior") < 0.06);
    assert_eq!((of("test_collapsed_fraction"), of("test_l0")), (1.0, 6.0));
    assert!(of("test_mse_at_1") > 0.0);
    assert_eq!(numbers(&place.table("x/latents"), "kl_prior").len(), 6);
    assert!(numbers(&place.table("x/history"), "test_kl_prior").iter().all(Option::is_some));

    let place = Place::with(&experiment("kind = \"dense\"\nlatents = 6", ""));
    place.run(["x.toml"]).exits(0);
    for (table, column) in [
        ("runs", "train_loss_prior"),
        ("runs", "test_kl_prior"),
        ("runs", "test_collapsed_fraction"),
        ("latents", "kl_prior"),
    ] {
        let table = place.table(&format!("x/{table}"));
        assert!(!columns(&table).contains(&column.to_owned()), "{column}");
    }
}

/// Wrong if something could follow the mean, a layer could be empty, or the place of the mistake were not told.
#[test]
fn what_it_cannot_be_is_refused_at_its_line() {
    let refused = |line: &str, message: &str| {
        let text = experiment(&format!("kind = \"variational\"\nlatents = 4\n{line}"), "");
        Place::with(&text).run(["check", "x.toml"]).exits(2).complains(["x.toml:8:", message]);
    };
    refused("activation = \"relu\"", "the only value is \"identity\"");
    refused("hidden = [8, 0]", "0");
    refused("beta = -1", "at least 0");
    let kl = experiment(
        "kind = \"variational\"\nlatents = 4",
        "[penalty]\nkind = \"kl\"\nrho = 0.1\nbeta = 1",
    );
    Place::with(&kl).run(["check", "x.toml"]).exits(2).complains(["penalty `kl`"]);
}
