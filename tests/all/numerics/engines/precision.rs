//! `precision = "bf16"`: the encoder's product alone is taken in it, of numbers rounded to bf16.

use framework::engine::{FUSED, Minibatch};
use framework::model::Step;
use framework::spec::{Precision, TrainObjective};
use framework::train::Trainer;

use super::{Case, TRAINING, adam};
use crate::support::models::{architecture, model, penalty};

const CASE: Case = Case {
    batch: 37,
    inputs: 75,
    latents: 130,
    activation: "identity",
    tied: false,
    decoder: "linear",
    objective: TrainObjective::Squared,
    subtract: true,
    unit_norm: false,
    dead: 0,
    seed: 11,
};

/// Rounding to bf16 changes a number by at most 2⁻⁹ of itself, and a product of two by twice that:
/// so the pre-code moves by no more than that share of the sum of its terms' sizes.
#[test]
fn codes_differ_by_what_rounding_both_factors_may_do() {
    let built = architecture(&CASE.architecture());
    let nothing = penalty("kind = \"none\"");
    let model = model(&*built.plugin, &*nothing.plugin, CASE.inputs, 3).on(FUSED);
    let x: Vec<f32> =
        (0..CASE.batch * CASE.inputs).map(|at| ((at * 7919) % 1009) as f32 / 504.5 - 1.0).collect();
    let parameters = model.parameters().into_owned();
    let w_enc = &parameters.get("w_enc").unwrap().values;
    let exact = model.forward(&x, Step::EVALUATE).code.view().to_dense().into_owned();
    let model = model.in_precision(Precision::Bf16);
    assert_eq!(model.precision(), Precision::Bf16);
    let rounded = model.forward(&x, Step::EVALUATE).code.view().to_dense().into_owned();
    assert_ne!(exact, rounded, "nothing was rounded");
    for (at, (exact, rounded)) in exact.iter().zip(&rounded).enumerate() {
        let (sample, latent) = (at / CASE.latents, at % CASE.latents);
        let terms: f32 = (0..CASE.inputs)
            .map(|d| (x[sample * CASE.inputs + d] * w_enc[d * CASE.latents + latent]).abs())
            .sum();
        let allowed = terms * 2.01 / 512.0;
        assert!((exact - rounded).abs() <= allowed, "{at}: {exact} and {rounded}, {allowed}");
    }
}

/// The rounded copy of the encoder follows every step: a model made anew from the parameters gives
/// the same bits, for codes in lists and dense ones, tied and not.
#[test]
fn the_rounded_encoder_is_the_encoder_rounded() {
    for (activation, tied, text) in [
        ("relu", false, "kind = \"k-sparse\"\nk = 9"),
        ("relu", false, "kind = \"batch-top-k\"\nk = 9\ninference = \"batch\""),
        ("identity", true, "kind = \"abs-top-k\"\nk = 9"),
        ("identity", false, "kind = \"gated\"\nlambda = 0.1"),
        ("relu", true, "kind = \"l1\"\nlambda = 0.1"),
        ("identity", false, "kind = \"jump-relu\"\nlambda = 0.1"),
        ("sigmoid", false, "kind = \"kl\"\nrho = 0.1\nbeta = 0.1"),
        ("sigmoid", true, "kind = \"none\""),
    ] {
        let built = architecture(&Case { activation, tied, ..CASE }.architecture());
        let penalty = penalty(text);
        let start = || {
            let model = model(&*built.plugin, &*penalty.plugin, CASE.inputs, 3);
            model.on(FUSED).in_precision(Precision::Bf16)
        };
        let mut trainer = Trainer::new(start(), adam());
        let x: Vec<f32> = (0..CASE.batch * CASE.inputs).map(|at| (at % 17) as f32 / 17.0).collect();
        for _ in 0..5 {
            trainer.step(Minibatch::clean(&x), TRAINING, 1.0);
        }
        let again = start().with_parameters(trainer.model.parameters().into_owned());
        assert_eq!(again.precision(), Precision::Bf16);
        let bits = |model: &framework::train::Model<'_>| {
            let seen = model.forward(&x, Step::EVALUATE);
            let code = seen.code.view().to_dense().into_owned();
            [code, seen.x_hat]
                .map(|values| values.into_iter().map(f32::to_bits).collect::<Vec<_>>())
        };
        assert!(bits(&again) == bits(&trainer.model), "{text}, tied = {tied}");
    }
}
