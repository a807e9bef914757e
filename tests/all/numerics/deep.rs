//! Deep autoencoders: what they are where they are something else too.

use framework::engine::{Minibatch, REFERENCE};
use framework::model::{Definition, Parameters, Side, Step};
use framework::plugin::{Architecture, SampleShape};
use framework::rand::RngExt;
use framework::random::Streams;
use framework::spec::{Adam, Optimizer};
use framework::train::{Model, Trainer};

use crate::support::models::{Samples, architecture, model, parameters, pass, penalty};

const INPUTS: usize = 6;

fn samples() -> Vec<f64> {
    let mut random = Streams::new(3).stream("deep");
    (0..5 * INPUTS).map(|_| random.random_range(-1.0..1.0)).collect()
}

/// The parameters of another architecture by the place of their names.
fn renamed<E: framework::model::Real>(
    parameters: &Parameters<E>,
    names: &[(&str, &str)],
    of: Parameters<E>,
) -> Parameters<E> {
    let mut renamed = of;
    for entry in &mut renamed.entries {
        let name = &entry.declaration.name;
        let other = names.iter().find(|pair| pair.0 == name).unwrap().1;
        entry.values.clone_from(&parameters.get(other).unwrap().values);
    }
    renamed
}

const NAMES: [(&str, &str); 4] =
    [("enc.1.w", "w_enc"), ("enc.1.b", "b_enc"), ("dec.1.w", "w_dec"), ("dec.1.b", "b_dec")];

/// Wrong if one layer were another map, or had another gradient, than that of `dense`; or a code of it another row
/// of the dictionary, or the stored model another matrix of a tied decoder.
#[test]
fn a_deep_autoencoder_without_hidden_layers_is_a_dense_one() {
    let penalty = penalty("kind = \"l1\"\nlambda = 0.3\nnorm_weighted = true");
    for (activation, decoder, tied) in [
        ("identity", "linear", false),
        ("relu", "sigmoid", false),
        ("sigmoid", "linear", true),
        ("tanh", "sigmoid", true),
    ] {
        let built = ["kind = \"dense\"", "kind = \"deep\"\nhidden = []"].map(|kind| {
            architecture(&format!(
                "{kind}\nlatents = 4\nactivation = \"{activation}\"\ndecoder = \"{decoder}\"\ntied = {tied}"
            ))
        });
        let [dense, deep] = [0, 1].map(|at| Definition::new(&*built[at].plugin, &*penalty.plugin));
        let of_dense = parameters(dense, INPUTS);
        let of_deep = renamed(&of_dense, &NAMES, parameters(deep, INPUTS));
        let samples = Samples::new(samples(), INPUTS);
        let [one, other] = [(dense, &of_dense), (deep, &of_deep)]
            .map(|(definition, parameters)| pass(definition, parameters, &samples, Step::EVALUATE));
        assert_eq!(one.total, other.total, "{activation}");
        assert_eq!(one.terms, other.terms, "{activation}");
        // Tied weights have two gradients that are added, in either order.
        for (one, other) in one.gradients.concat().iter().zip(other.gradients.concat()) {
            assert!((one - other).abs() < 1e-13, "{activation}: {one} and {other}");
        }

        let (of_dense, of_deep) = (of_dense.cast(), of_deep.cast());
        let [dense, deep] = [&dense, &deep].map(|definition| definition.architecture);
        let sample = SampleShape::Vector(INPUTS);
        assert_eq!(dense.dictionary(sample, &of_dense), deep.dictionary(sample, &of_deep));
        let stored = |architecture: &dyn Architecture, parameters: &Parameters<f32>| {
            let derived = architecture.derived_tensors(sample, parameters);
            derived.into_iter().map(|(_, shape, values)| (shape, values)).collect::<Vec<_>>()
        };
        assert_eq!(stored(dense, &of_dense), stored(deep, &of_deep), "{activation}");
    }
}

/// Wrong if training one layer were another thing than training `dense`.
#[test]
fn it_trains_like_a_dense_one_too() {
    let penalty = penalty("kind = \"k-sparse\"\nk = 2");
    let built = ["kind = \"dense\"", "kind = \"deep\"\nhidden = []"]
        .map(|kind| architecture(&format!("{kind}\nlatents = 4\nactivation = \"tanh\"")));
    let x: Vec<f32> = samples().iter().map(|value| *value as f32).collect();
    let [dense, deep] = [0, 1].map(|at| model(&*built[at].plugin, &*penalty.plugin, INPUTS, 5));
    let start = renamed(&dense.parameters(), &NAMES, deep.parameters().into_owned());
    let trained = |model: Model<'_>| {
        let mut trainer = Trainer::new(model, Optimizer::Adam(Adam::default()));
        for _ in 0..20 {
            trainer.step(Minibatch::clean(&x), Step::EVALUATE, 1.0);
        }
        trainer.into_model().parameters().into_owned()
    };
    let deep = trained(deep.with_parameters(start.clone()).on(REFERENCE));
    let dense = trained(dense.on(REFERENCE));
    assert_ne!(start, deep);
    assert_eq!(renamed(&dense, &NAMES, start), deep);
}

/// Wrong if the tied matrix of a layer were that of another one, or not its transpose; or a reader of the stored
/// model got other matrices than those that decode.
#[test]
fn tied_matrices_are_the_transposes_of_their_mirrors() {
    let penalty = penalty("kind = \"none\"");
    let text = |tied: bool| {
        format!(
            "kind = \"deep\"\nhidden = [5, 3]\nlatents = 4\nhidden_activation = \"tanh\"\ntied = {tied}"
        )
    };
    let (tied, untied) = (architecture(&text(true)), architecture(&text(false)));
    let tied = model(&*tied.plugin, &*penalty.plugin, INPUTS, 0);
    let untied = model(&*untied.plugin, &*penalty.plugin, INPUTS, 1);
    let stored = tied.definition.architecture.derived_tensors(tied.sample, &tied.parameters());
    let mut same = untied.parameters().into_owned();
    for entry in &mut same.entries {
        let name = &entry.declaration.name;
        let values = match tied.parameters().get(name) {
            Some(own) => own.values.clone(),
            None => {
                let (_, shape, values) = stored.iter().find(|(other, ..)| other == name).unwrap();
                assert_eq!(*shape, entry.declaration.shape, "{name}");
                values.clone()
            }
        };
        entry.values = values;
    }
    assert_eq!(stored.len(), 3);
    let untied = untied.with_parameters(same);
    let x: Vec<f32> = samples().iter().map(|value| *value as f32).collect();
    let [one, other] = [&tied, &untied].map(|model| model.forward(&x, Step::EVALUATE).x_hat);
    let furthest = one.iter().zip(&other).map(|(one, other)| (one - other).abs());
    assert!(furthest.fold(0.0, f32::max) < 1e-6, "{one:?} {other:?}");
}

/// Wrong if parameters came in another order than data passes them, started alike, or were taken for those of the
/// other half.
#[test]
fn parameters_are_declared_as_data_passes_them() {
    let penalty = penalty("kind = \"none\"");
    let built = architecture("kind = \"deep\"\nlatents = 4\nhidden = [5, 3]");
    let model = model(&*built.plugin, &*penalty.plugin, INPUTS, 0);
    let parameters = model.parameters();
    let all = parameters.entries.iter().map(|entry| &entry.declaration);
    let found: Vec<(&str, &[usize])> = all.clone().map(|one| (&*one.name, &*one.shape)).collect();
    let right: [(&str, &[usize]); 12] = [
        ("enc.1.w", &[6, 5]),
        ("enc.1.b", &[5]),
        ("enc.2.w", &[5, 3]),
        ("enc.2.b", &[3]),
        ("enc.3.w", &[3, 4]),
        ("enc.3.b", &[4]),
        ("dec.1.w", &[4, 3]),
        ("dec.1.b", &[3]),
        ("dec.2.w", &[3, 5]),
        ("dec.2.b", &[5]),
        ("dec.3.w", &[5, 6]),
        ("dec.3.b", &[6]),
    ];
    assert_eq!(found, right);
    let latents: Vec<&str> =
        all.clone().filter(|one| one.latent_axis.is_some()).map(|one| &*one.name).collect();
    assert_eq!(latents, ["enc.3.w", "enc.3.b", "dec.1.w"]);
    for one in all {
        let side = if one.name.starts_with("enc") { Side::Encoder } else { Side::Decoder };
        assert_eq!(one.side, Some(side), "{}", one.name);
        let values = &parameters.get(&one.name).unwrap().values;
        assert_eq!(one.shape.len() == 1, values.iter().all(|value| *value == 0.0), "{}", one.name);
    }
    let [w, mirror] = ["enc.3.w", "dec.1.w"].map(|name| parameters.get(name).unwrap().values[0]);
    assert_ne!(w, mirror, "each matrix has a draw of its own");
    // No latent has a row in the space of samples, so nothing is shown as one.
    assert_eq!(built.plugin.dictionary(model.sample, &parameters), None);
}
