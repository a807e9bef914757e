//! Penalties whose weights rise from 0, in both engines.

use framework::engine::{ENGINES, Minibatch};
use framework::model::Step;
use framework::plugin::Penalty;
use framework::spec::TrainObjective;

use super::{Case, OnTape, TRAINING, sgd, trainer};
use crate::support::models::{architecture, penalty};

const CASE: Case = Case {
    batch: 6,
    inputs: 5,
    latents: 8,
    activation: "sigmoid",
    tied: false,
    decoder: "linear",
    objective: TrainObjective::Squared,
    subtract: false,
    unit_norm: false,
    dead: 0,
    seed: 3,
};

/// Wrong if the share of the weight that counts were not the share of the warm-up that is done, if a raw value
/// changed with it, or if the gradient were of another weight than what is reported.
#[test]
fn weights_rise_linearly_from_0_and_raw_values_stay_raw() {
    let built = architecture(&CASE.architecture());
    for text in ["kind = \"l1\"\nlambda = ", "kind = \"kl\"\nrho = 0.1\nbeta = "] {
        for engine in ENGINES {
            for on_tape in [false, true] {
                let step = |weight: f64, progress: f64, warmup: f64| {
                    let plugin = penalty(&format!("{text}{weight:?}")).plugin;
                    let taped = OnTape(&*plugin);
                    let penalty: &dyn Penalty = if on_tape { &taped } else { &*plugin };
                    let (trainer, x) = trainer(&*built.plugin, penalty, &CASE, sgd(), engine);
                    let mut trainer = trainer.warming_up(warmup);
                    let at = Step { progress, ..TRAINING };
                    let loss = trainer.step(Minibatch::clean(&x), at, 1.0);
                    (loss, trainer.model.first_moments().unwrap())
                };
                for (progress, share) in [(0.0, 0.0), (0.1, 0.25), (0.4, 1.0), (0.9, 1.0)] {
                    let (warmed, right) = (step(0.5, progress, 0.4), step(0.5 * share, 0.9, 0.0));
                    assert_eq!(warmed, right, "{engine:?} {text} at {progress}");
                    assert_eq!(warmed.0.terms[0].raw, step(0.5, 0.9, 0.0).0.terms[0].raw);
                }
            }
        }
    }
}
