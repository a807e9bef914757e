//! `test_jacobian`: what is measured is the Jacobian of the encoder.

use framework::dims::Batch;
use framework::engine::{FUSED, REFERENCE};
use framework::evaluate::Evaluator;
use framework::model::{Definition, EncoderPass, Real, Step, Weights, tensor, values};
use framework::plugin::{Architecture, Data, SampleShape, Split, When};
use framework::random::Streams;
use framework::train::Model;

use crate::support::models::{architecture, data, model, penalty, runs};

/// The mean over the test part of ‖∂h/∂x‖²_F, by central differences of the encoder alone in f64.
fn by_differences(model: &Model<'_>, architecture: &dyn Architecture, data: &dyn Data) -> f64 {
    let all: Vec<usize> = (0..data.rows(Split::Test)).collect();
    by_differences_at(&all, model, architecture, data)
}

/// The same over some samples of the test part.
fn by_differences_at(
    samples: &[usize],
    model: &Model<'_>,
    architecture: &dyn Architecture,
    data: &dyn Data,
) -> f64 {
    const STEP: f64 = 1e-5;
    let (rows, inputs) = (samples.len(), model.input.0);
    let mut x = vec![0.0; rows * inputs];
    data.gather(Split::Test, samples, &mut x).unwrap();
    let parameters = model.parameters().cast::<f64>();
    let encode = |input: usize, step: f64| -> Vec<f64> {
        let mut x: Vec<f64> = x.iter().copied().map(f64::from).collect();
        x.iter_mut().skip(input).step_by(inputs).for_each(|value| *value += step);
        let weights = Weights::new(model.sample, &parameters);
        let pass = EncoderPass::new(Step::EVALUATE, &model.streams);
        let x = tensor(x, (Batch(rows), model.input)).retaped();
        values(&f64::autoencoder(architecture).encode(x, &weights, &pass).code)
    };
    let of_input = |input: usize| -> f64 {
        let (more, less) = (encode(input, STEP), encode(input, -STEP));
        more.iter().zip(&less).map(|(more, less)| ((more - less) / (2.0 * STEP)).powi(2)).sum()
    };
    (0..inputs).map(of_input).sum::<f64>() / rows as f64
}

/// Wrong if a slope were another, the constraint's gradient counted, an engine measured another number, or the
/// other evaluation points had a number that takes another pass of the encoder.
#[test]
fn the_jacobian_is_that_of_the_code_before_any_constraint() {
    let (experiment, runs) = runs(
        "name = \"j\"\n[dataset]\nkind = \"waves\"\ninputs = 6\n[architecture]\nkind = \"dense\"\nlatents = 9\n\
         [evaluate]\nkinds = [\"reconstruction\"]\n",
    );
    let data = &*data(&runs[0]);
    let constraints =
        ["kind = \"none\"", "kind = \"l1\"\nlambda = 0.1", "kind = \"k-sparse\"\nk = 2"];
    for activation in ["identity", "relu", "sigmoid", "tanh"] {
        for (at, form) in ["", "tied = true", "subtract_decoder_bias = true"].iter().enumerate() {
            let text =
                format!("kind = \"dense\"\nlatents = 9\nactivation = \"{activation}\"\n{form}");
            let (architecture, penalty) = (architecture(&text), penalty(constraints[at]));
            let start = || {
                let mut model = model(&*architecture.plugin, &*penalty.plugin, 6, at as u64);
                model.shift_encoder_bias(&[0.3, -0.2, 0.1, 0.5, -0.4, 0.05, 0.2, -0.1, 0.0]);
                model
            };
            let right = by_differences(&start(), &*architecture.plugin, data);
            for engine in [FUSED, REFERENCE] {
                let model = start().on(engine);
                let measure = |when: When, batch: usize| {
                    let evaluations = &experiment.evaluate.evaluations;
                    let found = Evaluator::new(data, batch).measure(&model, evaluations, when);
                    let metrics = found.unwrap().metrics;
                    metrics
                        .iter()
                        .find(|one| one.name == "test_jacobian")
                        .map(|one| one.value.unwrap())
                };
                let found = measure(When::End, 7).unwrap();
                assert!((found - right).abs() < 1e-4 * right, "{text}: {found}, not {right}");
                assert!((measure(When::End, 100).unwrap() - found).abs() < 1e-6 * found, "{text}");
                let is_hidden = at == 2 && activation != "identity";
                assert_eq!(measure(When::EveryPoint, 7), (!is_hidden).then_some(found), "{text}");
            }
        }
    }
}

/// Wrong if a factor of the product were missing, in the wrong place or transposed, or samples that are taken at once
/// knew of each other.
#[test]
fn the_jacobian_of_a_deep_encoder_is_the_product_of_its_layers() {
    let (experiment, runs) = runs(
        "name = \"j\"\n[dataset]\nkind = \"waves\"\ninputs = 6\n[architecture]\nkind = \"dense\"\nlatents = 4\n\
         [evaluate]\nkinds = [\"reconstruction\"]\n",
    );
    let data = &*data(&runs[0]);
    let penalty = penalty("kind = \"none\"");
    let activations = ["identity", "relu", "sigmoid", "tanh"];
    let pairs = activations.iter().flat_map(|one| activations.map(|other| (*one, other)));
    let forms = [("[]", 4), ("[5]", 4), ("[9, 3]", 4), ("[4, 7, 5]", 4), ("[2]", 9), ("[2, 2]", 9)];
    for (at, ((activation, of_hidden), (hidden, latents))) in
        pairs.flat_map(|pair| forms.map(|form| (pair, form))).enumerate()
    {
        let tied = at % 2 == 1;
        let text = format!(
            "kind = \"deep\"\nlatents = {latents}\nhidden = {hidden}\nactivation = \"{activation}\"\n\
             hidden_activation = \"{of_hidden}\"\ntied = {tied}"
        );
        let architecture = architecture(&text);
        let model = model(&*architecture.plugin, &*penalty.plugin, 6, at as u64);
        let right = by_differences(&model, &*architecture.plugin, data);
        let of_batches = |batch: usize, when: When| {
            let mut evaluator = Evaluator::new(data, batch);
            let found = evaluator.measure(&model, &experiment.evaluate.evaluations, when).unwrap();
            let found = found.metrics.into_iter().find(|one| one.name == "test_jacobian");
            found.map(|one| one.value.unwrap())
        };
        let found = of_batches(7, When::End).unwrap();
        assert!((found - right).abs() < 1e-4 * right, "{text}: {found}, not {right}");
        let whole = of_batches(100, When::End).unwrap();
        assert!((whole - found).abs() < 1e-6 * found, "{text}");
        assert_eq!(of_batches(7, When::EveryPoint).is_some(), hidden == "[]", "{text}");
    }
}

/// Wrong if others than every third of 2,500 samples were measured, or the mean were over all.
#[test]
fn behind_hidden_layers_a_thousand_samples_are_measured() {
    let (experiment, runs) = runs(
        "name = \"j\"\n[dataset]\nkind = \"waves\"\ninputs = 6\ntest = 2500\n[architecture]\nkind = \"deep\"\n\
         hidden = [5]\nlatents = 4\nactivation = \"tanh\"\n[evaluate]\nkinds = [\"reconstruction\"]\n",
    );
    let (data, penalty) = (&*data(&runs[0]), penalty("kind = \"none\""));
    let architecture = &*runs[0].architecture.value.plugin;
    let model = model(architecture, &*penalty.plugin, 6, 1);
    let measured: Vec<usize> = (0..2500).step_by(3).collect();
    let right = by_differences_at(&measured, &model, architecture, data);
    for batch in [7, 5000] {
        let evaluations = &experiment.evaluate.evaluations;
        let found = Evaluator::new(data, batch).measure(&model, evaluations, When::End).unwrap();
        let found = found.metrics.iter().find(|one| one.name == "test_jacobian").unwrap();
        let found = found.value.unwrap();
        assert!((found - right).abs() < 1e-5 * right, "{found}, not {right}");
    }
}

/// Wrong if an architecture that does not offer its Jacobian had one.
#[test]
fn other_architectures_have_no_jacobian() {
    let (experiment, runs) = runs(
        "name = \"j\"\n[dataset]\nkind = \"waves\"\ninputs = 6\n[architecture]\nkind = \"two-layer\"\nlatents = 4\n\
         [evaluate]\nkinds = [\"reconstruction\"]\n",
    );
    let architecture = &*runs[0].architecture.value.plugin;
    let penalty = penalty("kind = \"none\"");
    let model = Model::new(
        Definition::new(architecture, &*penalty.plugin),
        SampleShape::Vector(6),
        Default::default(),
        &Streams::new(0),
    );
    let data = data(&runs[0]);
    let mut evaluator = Evaluator::new(&*data, 10);
    let found = evaluator.measure(&model, &experiment.evaluate.evaluations, When::End).unwrap();
    assert!(found.metrics.iter().all(|metric| metric.name != "test_jacobian"));
    assert_eq!(architecture.offers(), []);
}
