//! Corners: the smallest models, nothing active, nothing learnt from what is no number, and the
//! parts of a model that evaluation uses.

use framework::engine::{FUSED, Minibatch, REFERENCE};
use framework::model::{Mode, Parameters, Step};
use framework::plugin::{Architecture, Penalty};
use framework::rand::RngExt;
use framework::random::Streams;
use framework::spec::TrainObjective;
use framework::train::{Ended, Model, Progress, train};

use super::equality::{LOSS, LOSS_ON_TAPE, check_gradients};
use super::{Case, OnTape, TRAINING, adam, sgd, trainer};
use crate::support::models::{architecture, data, model, penalty, runs};

/// A model of some size.
const CASE: Case = Case {
    batch: 9,
    inputs: 13,
    latents: 24,
    activation: "relu",
    tied: false,
    decoder: "linear",
    objective: TrainObjective::Squared,
    subtract: true,
    unit_norm: false,
    dead: 0,
    seed: 3,
};

fn bits(parameters: &Parameters<f32>) -> Vec<Vec<u32>> {
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect();
    parameters.entries.iter().map(|entry| bits(&entry.values)).collect()
}

#[track_caller]
fn all_close(what: &str, got: &[f32], right: &[f32]) {
    assert_eq!(got.len(), right.len(), "{what}");
    for (at, (got, right)) in got.iter().zip(right).enumerate() {
        assert!(
            (got - right).abs() <= 1e-5 * right.abs().max(1.0),
            "{what} {at}: {got}, not {right}"
        );
    }
}

/// One sample, one input, one latent, and none of them; and no latent active at all.
#[test]
fn the_smallest_models_are_right() {
    for activation in ["identity", "relu", "sigmoid", "tanh"] {
        for flags in 0..16 {
            let [batch, inputs, latents] =
                [1, 2, 4].map(|bit| if flags & bit == 0 { 1 } else { 17 });
            let dead = if activation == "relu" && flags & 8 != 0 { latents } else { 0 };
            let tied = flags % 3 == 0;
            let case = Case { batch, inputs, latents, activation, tied, dead, ..CASE };
            for text in case.penalties() {
                let built = penalty(&text);
                let what = format!("{case:?} with {text}");
                check_gradients(&case, &*built.plugin, &what, LOSS).unwrap();
                let tape = OnTape(&*built.plugin);
                check_gradients(&case, &tape, &what, LOSS_ON_TAPE).unwrap();
            }
        }
    }
}

/// More latents than those whose k largest are selected from whole rows: tiles, and ties among them.
#[test]
fn models_of_many_latents_keep_the_same_ones() {
    for activation in ["identity", "relu", "sigmoid", "tanh"] {
        let case = Case { batch: 3, inputs: 2, latents: 2100, activation, ..CASE };
        for k in [1, 40, 1050, 2100] {
            let penalty = penalty(&format!("kind = \"k-sparse\"\nk = {k}"));
            let what = format!("{case:?} with k = {k}");
            check_gradients(&case, &*penalty.plugin, &what, LOSS).unwrap();
        }
    }
}

/// Nothing is learnt from a loss that is not finite: parameters, moments and the number of steps
/// stay, so that what follows is as if it had not been.
#[test]
fn nothing_is_learnt_from_nan() {
    for activation in ["identity", "relu", "sigmoid", "tanh"] {
        let case = Case { activation, ..CASE };
        let built = architecture(&case.architecture());
        for text in case.penalties() {
            let penalty = penalty(&text);
            let tape = OnTape(&*penalty.plugin);
            for (penalty, optimizer) in
                [(&*penalty.plugin, adam()), (&*penalty.plugin, sgd()), (&tape, adam())]
            {
                let start = || trainer(&*built.plugin, penalty, &case, optimizer, FUSED);
                let ((mut disturbed, x), (mut quiet, _)) = (start(), start());
                for bad in [f32::NAN, f32::INFINITY] {
                    let mut broken = x.clone();
                    broken[case.inputs + 2] = bad;
                    disturbed.step(Minibatch::clean(&x), TRAINING, 1.0);
                    let before = bits(&disturbed.model.parameters());
                    let loss = disturbed.step(Minibatch::clean(&broken), TRAINING, 1.0).total;
                    assert!(!loss.is_finite(), "{loss} from {bad}: {activation} with {text}");
                    let after = bits(&disturbed.model.parameters());
                    assert_eq!(before, after, "{activation} with {text}");
                    quiet.step(Minibatch::clean(&x), TRAINING, 1.0);
                }
                disturbed.step(Minibatch::clean(&x), TRAINING, 1.0);
                quiet.step(Minibatch::clean(&x), TRAINING, 1.0);
                let [left, right] = [&disturbed, &quiet].map(|of| {
                    [bits(&of.model.parameters()), bits(&of.model.first_moments().unwrap())]
                });
                assert_eq!(left, right, "{activation} with {text}");
            }
        }
    }
}

/// A run with far too large steps ends in both engines at the same one. (k-sparse with negative
/// codes may go on for one step more: it drops what has become −∞, where the definition multiplies
/// it by zero, which is no number. So it keeps all codes here, or none that is negative.)
#[test]
fn a_run_diverges_where_it_does_in_the_reference_engine() {
    for (activation, penalty) in [
        ("identity", "kind = \"none\""),
        ("identity", "kind = \"l1\"\nlambda = 0.1"),
        ("identity", "kind = \"k-sparse\"\nk = 16"),
        ("relu", "kind = \"k-sparse\"\nk = 5"),
        ("identity", "kind = \"group-lasso\"\nlambda = 0.1\ngroup_size = 4"),
    ] {
        let diverged = |engine: &str| {
            let text = format!(
                "name = \"edges\"\n[dataset]\nkind = \"digits\"\n\
                 [architecture]\nkind = \"dense\"\nlatents = 16\nactivation = \"{activation}\"\n\
                 [penalty]\n{penalty}\n[train]\nsteps = 50\nengine = \"{engine}\"\n\
                 optimizer = {{ kind = \"sgd\", lr = 1e3 }}\n"
            );
            let (experiment, runs) = runs(&text);
            let watch = &mut |_: &Progress| ();
            let ended = train(&runs[0], &*data(&runs[0]), &experiment.evaluate, None, watch);
            let Ended::Diverged { step, last_loss } = ended else {
                panic!("{penalty}: the run with {engine} did not diverge")
            };
            (step, last_loss.unwrap())
        };
        let (fused, reference) = (diverged("fused"), diverged("reference"));
        assert_eq!(fused.0, reference.0, "{penalty}");
        let (got, right) = (fused.1, reference.1);
        assert!((got / right - 1.0).abs() < 1e-3, "{penalty}: {got}, not {right}");
    }
}

/// The same model in both engines, and samples for it.
fn pair<'a>(
    case: &Case,
    architecture: &'a dyn Architecture,
    penalty: &'a dyn Penalty,
) -> ([Model<'a>; 2], Vec<f32>) {
    let make = |engine| {
        let model = model(architecture, penalty, case.inputs, 0);
        let (parameters, x) = case.numbers(&model.parameters());
        (model.with_parameters(parameters).on(engine), x)
    };
    let ((fused, x), (reference, _)) = (make(FUSED), make(REFERENCE));
    ([fused, reference], x)
}

/// What is kept of a sample follows the step: a schedule of k, alpha in evaluation, and never more
/// than there are latents.
#[test]
fn codes_and_reconstructions_follow_the_step() {
    let steps = [0.0, 0.2, 0.45, 0.5, 1.0].map(|progress| Step { progress, ..TRAINING });
    let evaluation = Step { mode: Mode::Evaluate, ..TRAINING };
    let mut seen = Vec::new();
    for activation in ["identity", "relu", "sigmoid", "tanh"] {
        let case = Case { activation, dead: if activation == "relu" { 5 } else { 0 }, ..CASE };
        let built = architecture(&case.architecture());
        let mut penalties = case.penalties();
        penalties.extend([
            "kind = \"k-sparse\"\nk = 3\nalpha = 1.5\nk_start = 20".to_owned(),
            "kind = \"k-sparse\"\nk = 20\nalpha = 3\nk_start = 2\nk_anneal = 1".to_owned(),
            // More than there are: refused in a file, harmless here.
            "kind = \"k-sparse\"\nk = 1000".to_owned(),
        ]);
        for text in penalties {
            let penalty = penalty(&text);
            let ([fused, reference], x) = pair(&case, &*built.plugin, &*penalty.plugin);
            for step in steps.into_iter().chain([evaluation]) {
                let what = format!("{activation} with {text} at {step:?}");
                let (got, right) = (fused.forward(&x, step), reference.forward(&x, step));
                let (code, right_code) = (got.code.view().to_dense(), right.code.view().to_dense());
                all_close(&format!("{what}: code"), &code, &right_code);
                all_close(&format!("{what}: x_hat"), &got.x_hat, &right.x_hat);
                let zeros =
                    |code: &[f32]| code.iter().map(|value| *value == 0.0).collect::<Vec<_>>();
                assert_eq!(zeros(&code), zeros(&right_code), "{what}");
                if text.contains("k_start = 20") && activation == "identity" {
                    seen.push(code[..case.latents].iter().filter(|v| **v != 0.0).count());
                }
            }
        }
    }
    // From 20 down to 3 in half of the steps, then 3, and 4 in evaluation.
    assert_eq!(seen, [20, 13, 5, 3, 3, 4]);
}

/// Any code decodes alike: dense ones, sparse ones, with negative values, all zero.
#[test]
fn codes_decode_alike() {
    for flags in 0..4 {
        let (tied, decoder) = (flags & 1 == 0, if flags & 2 == 0 { "linear" } else { "sigmoid" });
        let case = Case { tied, decoder, ..CASE };
        let built = architecture(&case.architecture());
        let penalty = penalty("kind = \"l1\"\nlambda = 0.1");
        let ([fused, reference], _) = pair(&case, &*built.plugin, &*penalty.plugin);
        let mut random = Streams::new(1).stream("codes");
        for density in [0.0, 0.05, 0.5, 1.0] {
            // More samples than before, then fewer: buffers grow, and keep nothing.
            for samples in [1, 40, 7] {
                let mut number = |_| {
                    let value = random.random_range(-1.0..1.0_f32);
                    if random.random_bool(density) { value } else { 0.0 }
                };
                let code: Vec<f32> = (0..samples * case.latents).map(&mut number).collect();
                let what = format!("{samples} at {density}");
                all_close(&what, &fused.decode(code.clone()), &reference.decode(code));
            }
        }
    }
}

/// Nothing is lost on the way to the other engine and back.
#[test]
fn parameters_go_to_the_other_engine_and_back() {
    for latents in [1, 3, 24, 70] {
        for tied in [false, true] {
            for unit_norm in [false, true] {
                let case = Case { latents, tied, unit_norm, ..CASE };
                let built = architecture(&case.architecture());
                let penalty = penalty("kind = \"none\"");
                let ([fused, reference], _) = pair(&case, &*built.plugin, &*penalty.plugin);
                let right = reference.parameters().into_owned();
                let got = fused.parameters().into_owned();
                assert_eq!(bits(&got), bits(&right));
                assert_eq!(got, right);
                let [got_atoms, atoms] =
                    [&fused, &reference].map(|model| model.dictionary().unwrap());
                assert_eq!(got_atoms, atoms);
                let back = fused.on(REFERENCE);
                assert_eq!(back.engine(), REFERENCE);
                assert_eq!(bits(&back.parameters()), bits(&right));
            }
        }
    }
}
