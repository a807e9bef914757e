//! The convolutional autoencoder: its layers, their sizes, and what does not fit.

use dfdx::prelude::HasShape;
use framework::dims::{Batch, Input, Latent};
use framework::model::{Definition, EncoderPass, Parameters, Side, Step, Weights, tensor, values};
use framework::plugin::{Architecture, Autoencoder, SampleShape};
use framework::random::Streams;
use framework::spec::TrainObjective;
use proptest::array::uniform5;
use proptest::prelude::*;

use super::gradient_check::{Subject, check};
use crate::support::models::{architecture, penalty};
use crate::support::program::{Place, numbers, safetensors_header, texts};
use crate::support::strategies::{config, sizes};

/// The parameters of an architecture on samples of a shape, all different.
fn uneven(architecture: &dyn Architecture, sample: SampleShape) -> Parameters<f64> {
    let mut all = Parameters::initialize(architecture.parameters(sample), &Streams::new(5));
    for (at, value) in all.entries.iter_mut().flat_map(|entry| &mut entry.values).enumerate() {
        *value = (1.7 * at as f64 + 0.3).sin();
    }
    all
}

/// b + the sum over `from` of x · w, for each of `to` channels at each of so many pixels.
fn at_each_pixel(
    x: &[f64],
    pixels: usize,
    bias: &[f64],
    weight: impl Fn(usize, usize) -> f64,
) -> Vec<f64> {
    let from = x.len() / pixels;
    let number = |to: usize, pixel: usize| {
        bias[to] + (0..from).map(|at| x[at * pixels + pixel] * weight(at, to)).sum::<f64>()
    };
    (0..bias.len())
        .flat_map(|to| (0..pixels).map(move |pixel| (to, pixel)))
        .map(|(to, pixel)| number(to, pixel))
        .collect()
}

/// Wrong if a kernel of 1 x 1 pixels and stride 1 were not a dense layer at each pixel, in the encoder and in the
/// decoder; or if samples lay otherwise between the layers than channel, row, column.
#[test]
fn small_kernels_are_dense_layers_at_each_pixel() {
    let sample = SampleShape::Image { channels: 2, height: 3, width: 2 };
    let built = architecture(
        "kind = \"convolutional\"\nchannels = [4, 3]\nkernel = 1\nstride = 1\nlatents = 5\n\
         hidden_activation = \"tanh\"\nactivation = \"sigmoid\"\ndecoder = \"sigmoid\"",
    );
    let parameters = uneven(&*built.plugin, sample);
    let get = |name: &str| &*parameters.get(name).unwrap().values;
    let weights = Weights::new(sample, &parameters);
    let x: Vec<f64> = (0..24).map(|at| (0.9 * at as f64).cos()).collect();
    let streams = Streams::new(0);
    let pass = EncoderPass::new(Step::EVALUATE, &streams);
    let on_tape = tensor(x.clone(), (Batch(2), Input(12))).retaped();
    let encoded = Autoencoder::<f64>::encode(&*built.plugin, on_tape, &weights, &pass);
    let code = values(&encoded.code);
    let x_hat = Autoencoder::<f64>::decode(&*built.plugin, encoded.code, &weights);
    assert_eq!(*x_hat.shape(), (Batch(2), Input(12)));
    let x_hat = values(&x_hat);

    let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
    for row in 0..2 {
        let mut h = x[row * 12..][..12].to_vec();
        for (at, from) in [(1, 2), (2, 4)] {
            let w = get(&format!("enc.conv.{at}.w"));
            let bias = get(&format!("enc.conv.{at}.b"));
            // [out, in].
            h = at_each_pixel(&h, 6, bias, |inner, to| w[to * from + inner]);
            h.iter_mut().for_each(|value| *value = value.tanh());
        }
        let w = get("enc.code.w");
        let pre_code = at_each_pixel(&h, 1, get("enc.code.b"), |inner, to| w[inner * 5 + to]);
        let right: Vec<f64> = pre_code.into_iter().map(sigmoid).collect();
        let found = &code[row * 5..][..5];
        let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(close(found, &right), "{found:?}, not {right:?}");

        let w = get("dec.code.w");
        let mut y = at_each_pixel(found, 1, get("dec.code.b"), |inner, to| w[inner * 18 + to]);
        for (at, to_all) in [(1, 4), (2, 2)] {
            y.iter_mut().for_each(|value| *value = value.tanh());
            let w = get(&format!("dec.conv.{at}.w"));
            let bias = get(&format!("dec.conv.{at}.b"));
            // [in, out].
            y = at_each_pixel(&y, 6, bias, |inner, to| w[inner * to_all + to]);
        }
        let right: Vec<f64> = y.into_iter().map(sigmoid).collect();
        let found = &x_hat[row * 12..][..12];
        assert!(close(found, &right), "{found:?}, not {right:?}");
    }
}

/// Wrong if a tensor had another name, shape or place, or reconstructions of odd sides another size.
#[test]
fn tensors_are_those_of_the_contract() {
    let sample = SampleShape::Image { channels: 3, height: 7, width: 10 };
    let built = architecture("kind = \"convolutional\"\nlatents = 6");
    let declared = built.plugin.parameters(sample);
    let found: Vec<(&str, &[usize], bool)> = declared
        .iter()
        .map(|one| (&*one.name, &*one.shape, one.side == Some(Side::Encoder)))
        .collect();
    // 7 x 10, 4 x 5, 2 x 3.
    let right: [(&str, &[usize], bool); 12] = [
        ("enc.conv.1.w", &[16, 3, 3, 3], true),
        ("enc.conv.1.b", &[16], true),
        ("enc.conv.2.w", &[32, 16, 3, 3], true),
        ("enc.conv.2.b", &[32], true),
        ("enc.code.w", &[192, 6], true),
        ("enc.code.b", &[6], true),
        ("dec.code.w", &[6, 192], false),
        ("dec.code.b", &[192], false),
        ("dec.conv.1.w", &[32, 16, 3, 3], false),
        ("dec.conv.1.b", &[16], false),
        ("dec.conv.2.w", &[16, 3, 3, 3], false),
        ("dec.conv.2.b", &[3], false),
    ];
    assert_eq!(found, right);
    let axes: Vec<_> = declared.iter().map(|one| one.latent_axis).collect();
    assert_eq!(axes[4..8], [Some(1), Some(0), Some(0), None]);
    assert!(axes[..4].iter().chain(&axes[8..]).all(Option::is_none));

    let parameters = uneven(&*built.plugin, sample);
    let code = tensor(vec![0.5; 12], (Batch(2), Latent(6))).retaped();
    let weights = Weights::new(sample, &parameters);
    let x_hat = Autoencoder::<f64>::decode(&*built.plugin, code, &weights);
    assert_eq!(*x_hat.shape(), (Batch(2), Input(210)));
}

proptest! {
    #![proptest_config(config(2))]

    /// The whole loss, over sizes of images, kernels, strides, activations and objectives.
    #[test]
    fn gradients_are_right_whatever_the_layers(sizes in uniform5(sizes())) {
        let kinds = [
            (1, "channels = [2]\nkernel = 3\nstride = 1\nhidden_activation = \"tanh\"", "kind = \"none\""),
            (9, "channels = [2, 3]\nstride = 2\ndecoder = \"sigmoid\"", "kind = \"k-sparse\"\nk = 1"),
            (9, "channels = [3, 2]\nkernel = 1\nstride = 2\nhidden_activation = \"sigmoid\"", "kind = \"l1\"\nlambda = 1"),
            (9, "channels = [1]\nkernel = 5\nstride = 3\nactivation = \"sigmoid\"", "kind = \"kl\"\nrho = 0.2\nbeta = 1"),
            (16, "channels = [2, 2]\nstride = 2\nactivation = \"relu\"\ndecoder = \"sigmoid\"", "kind = \"l1\"\nlambda = 1"),
        ];
        for (at, (sizes, (inputs, text, penalty_text))) in sizes.into_iter().zip(kinds).enumerate() {
            let name = format!("kind = \"convolutional\"\nlatents = {}\n{text}", sizes.latents);
            let (built, penalty) = (architecture(&name), penalty(penalty_text));
            let objective = match at {
                4 => TrainObjective::CrossEntropy,
                _ => TrainObjective::Squared,
            };
            let definition =
                Definition { objective, ..Definition::new(&*built.plugin, &*penalty.plugin) };
            let subject = Subject { name, definition, batch: sizes.batch, inputs };
            check(&subject, sizes.seed).map_err(|failure| TestCaseError::fail(failure.to_string()))?;
        }
    }
}

/// An experiment with a convolutional autoencoder on images of 8 x 8 pixels, or other data.
fn experiment(dataset: &str, lines: &str) -> String {
    format!(
        "name = \"x\"\n[dataset]\nkind = \"{dataset}\"\n[architecture]\nkind = \"convolutional\"\nlatents = 8\n\
         {lines}\n[train]\nepochs = 6\nbatch = 32\noptimizer = {{ kind = \"adam\", lr = 5e-3 }}\n"
    )
}

/// Wrong if what cannot be was accepted, was a panic, or was told at another line.
#[test]
fn what_it_cannot_be_is_refused_at_its_line() {
    let refused = |dataset: &str, line: &str, place: &str, message: &str| {
        let said =
            Place::with(&experiment(dataset, line)).run_outside(["check", "x.toml"]).exits(2);
        said.complains([place, message]);
    };
    refused("waves", "", "x.toml:5:", "it needs images, and the samples are vectors");
    refused("digits", "kernel = 4", "x.toml:7:10", "an odd number of rows, got 4");
    refused("digits", "kernel = 0", "x.toml:7:10", "0");
    refused("digits", "stride = 0", "x.toml:7:10", "0");
    refused("digits", "stride = 9", "x.toml:7:10", "layer 1 of 2 reads maps of 8 x 8 pixels");
    refused(
        "digits",
        "stride = 3\nchannels = [2, 2, 2]",
        "x.toml:7:10",
        "layer 3 of 3 reads maps of 1 x 1 pixels",
    );
    refused("digits", "channels = [4, 0]", "x.toml:7:", "0");
    refused("digits", "channels = []", "x.toml:7:12", "at least one layer");
    refused("digits", "channels = [9223372036854775807]", "x.toml:7:12", "channels");
    refused(
        "digits",
        "kernel = 9223372036854775807",
        "x.toml:",
        "more weights than can be counted",
    );
    for line in ["stride = 8\nchannels = [3]", "stride = 1\nchannels = [2, 2, 2, 2]", "kernel = 15"]
    {
        Place::with(&experiment("digits", line)).run(["check", "x.toml"]).exits(0);
    }
}

/// Wrong if training did not bring the error down, latents without rows could not be weighed, or the stored model
/// lacked a tensor.
#[test]
fn a_run_learns_and_is_stored() {
    let text = experiment("digits", "channels = [4, 6]")
        + "[evaluate]\nkinds = [\"reconstruction\", \"sparsity\", \"budget\"]\n";
    let place = Place::with(&text);
    place.run(["x.toml"]).exits(0);
    let runs = place.table("x/runs");
    let of = |column: &str| numbers(&runs, column)[0].unwrap();
    assert!(of("test_explained_variance") > 0.2, "{}", of("test_explained_variance"));
    assert!(of("test_mse_at_5") < of("test_mse_at_1"));
    assert_eq!(texts(&runs, "architecture_channels"), ["[4,6]"]);
    let model = format!("results/x/runs/{}/model.safetensors", texts(&runs, "run_id")[0]);
    let header = safetensors_header(&place.path(model));
    assert_eq!(header["enc.conv.2.w"]["shape"], serde_json::json!([6, 4, 3, 3]));
    assert_eq!(header["dec.conv.2.w"]["shape"], serde_json::json!([4, 1, 3, 3]));
}
