//! The input that a latent prefers: known where the encoder is affine, and better than others where it is not.

use framework::dims::Batch;
use framework::evaluate::InputBall;
use framework::model::{Definition, EncoderPass, Real, Step, Weights, tensor, values};
use framework::plugin::{Architecture, Split};
use framework::rand::RngExt;
use framework::random::Streams;
use framework::spec::Normalize;
use framework::train::{Model, Normalizer};

use crate::support::models::{architecture, data, penalty, runs};

const DATA: &str =
    "name = \"p\"\n[dataset]\nkind = \"digits\"\n[architecture]\nkind = \"dense\"\nlatents = 2\n";

/// Shows a model of `latents` on digits, and the ball of these.
fn with_model(
    architecture: &dyn Architecture,
    normalize: Normalize,
    see: impl FnOnce(&Model<'_>, &InputBall),
) {
    let data = data(&runs(DATA).1[0]);
    let normalizer = Normalizer::fit(normalize, &*data).unwrap();
    let ball = InputBall::of(&*data, &normalizer).unwrap();
    let penalty = penalty("kind = \"none\"");
    let definition = Definition::new(architecture, &*penalty.plugin);
    see(&Model::new(definition, data.shape(), normalizer, &Streams::new(3)), &ball);
}

/// Wrong if the ball were not around the mean of the training samples as the model sees them, or not as wide as
/// they are far from it.
#[test]
fn the_ball_is_that_of_training_samples() {
    let built = architecture("kind = \"dense\"\nlatents = 2");
    for normalize in [Normalize::None, Normalize::Standard] {
        with_model(&*built.plugin, normalize, |model, ball| {
            let data = data(&runs(DATA).1[0]);
            let rows: Vec<usize> = (0..data.rows(Split::Train)).collect();
            let mut samples = vec![0.0; rows.len() * 64];
            data.gather(Split::Train, &rows, &mut samples).unwrap();
            model.normalizer.apply(&mut samples);
            let mean = |input: usize| {
                let values = samples.iter().skip(input).step_by(64);
                values.map(|value| f64::from(*value)).sum::<f64>() / rows.len() as f64
            };
            let mean: Vec<f64> = (0..64).map(mean).collect();
            let far = |sample: &[f32]| {
                let off = sample.iter().zip(&mean).map(|(x, mean)| (f64::from(*x) - mean).powi(2));
                off.sum::<f64>().sqrt()
            };
            let radius = samples.chunks(64).map(far).sum::<f64>() / rows.len() as f64;
            assert!((ball.radius / radius - 1.0).abs() < 1e-9, "{} and {radius}", ball.radius);
            let is_mean = |(center, mean): (&f32, &f64)| (f64::from(*center) - mean).abs() < 1e-6;
            assert!(ball.center.iter().zip(&mean).all(is_mean), "{normalize:?}");
        });
    }
}

/// Wrong if the search did not end at the surface, in the direction of the latent's column, in the units of the data;
/// if a latent got the input of another one; or if a silent or saturated latent stood still.
#[test]
fn of_an_affine_encoder_it_is_the_center_and_a_radius_along_the_column() {
    for activation in ["identity", "relu", "sigmoid", "tanh"] {
        for normalize in [Normalize::None, Normalize::Standard] {
            let built = architecture(&format!(
                "kind = \"dense\"\nlatents = 70\nactivation = \"{activation}\""
            ));
            with_model(&*built.plugin, normalize, |model, ball| {
                let asked: Vec<usize> = (0..70).rev().chain([5]).collect();
                let found = ball.preferred(model, &asked);
                assert_eq!(found, ball.preferred(model, &asked), "the same again");
                let parameters = model.parameters();
                let w_enc = &parameters.get("w_enc").unwrap().values;
                for (latent, found) in asked.iter().zip(found.chunks(64)) {
                    let column: Vec<f32> =
                        w_enc.iter().skip(*latent).step_by(70).copied().collect();
                    let norm = column.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>().sqrt();
                    let place = ball.center.iter().zip(&column);
                    let along = |w: &f32| ball.radius * f64::from(*w) / norm;
                    let place = place.map(|(mean, w)| (f64::from(*mean) + along(w)) as f32);
                    let mut want: Vec<f32> = place.collect();
                    model.normalizer.undo(&mut want);
                    let off = found.iter().zip(&want).map(|(a, b)| (a - b).abs());
                    assert!(off.fold(0.0, f32::max) < 1e-4, "{activation} {normalize:?} {latent}");
                }
            });
        }
    }
}

/// Wrong if the search did not climb through a layer that is not affine: no other input of the ball activates the
/// latent more.
#[test]
fn of_other_encoders_it_is_better_than_what_chance_finds() {
    let built = architecture("kind = \"two-layer\"\nlatents = 6");
    with_model(&*built.plugin, Normalize::None, |model, ball| {
        let found = ball.preferred(model, &[0, 1, 2, 3, 4, 5]);
        let mut random = Streams::new(1).stream("test");
        let mut inputs = found.clone();
        inputs.extend(&ball.center);
        for _ in 0..500 {
            let direction: Vec<f64> = (0..64).map(|_| random.random::<f64>() - 0.5).collect();
            let norm = direction.iter().map(|x| x * x).sum::<f64>().sqrt();
            let place = ball.center.iter().zip(&direction);
            let scale = ball.radius / norm;
            inputs.extend(place.map(|(mean, x)| (f64::from(*mean) + scale * x) as f32));
        }
        let parameters = model.parameters();
        let weights = Weights::new(model.sample, &parameters);
        let pass = EncoderPass::new(Step::EVALUATE, &model.streams);
        let x = tensor(inputs, (Batch(507), model.input));
        let encoder = f32::autoencoder(model.definition.architecture);
        let codes = values(&encoder.encode(x.retaped(), &weights, &pass).pre_code);
        for (latent, own) in found.chunks(64).enumerate() {
            let value = |row: usize| codes[row * 6 + latent];
            let others = (6..507).map(value).fold(f32::NEG_INFINITY, f32::max);
            assert!(value(latent) > others, "{latent}: {} and {others}", value(latent));
            let off = own.iter().zip(&ball.center).map(|(x, mean)| f64::from(x - mean).powi(2));
            assert!(off.sum::<f64>().sqrt() <= ball.radius * (1.0 + 1e-5), "it is in the ball");
        }
    });
}
