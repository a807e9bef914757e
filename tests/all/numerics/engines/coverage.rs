//! Which engine trains which registered architecture and penalty.

use framework::engine::{EngineKind, FUSED, Minibatch, REFERENCE};
use framework::model::{Definition, Mode, Step};
use framework::plugin::{ARCHITECTURES, CodeFacts, PENALTIES, Penalty, sorted};
use framework::train::Trainer;

use super::{OnTape, TRAINING, sgd};
use crate::support::models::{architecture, model, penalty, runs};

const LATENTS: usize = 12;

fn auto(architecture: &str, penalty: &str) -> EngineKind {
    let text = format!(
        "name = \"coverage\"\n[dataset]\nkind = \"digits\"\n\
         [architecture]\n{architecture}\n[penalty]\n{penalty}\n"
    );
    let (_, runs) = runs(&text);
    EngineKind::of(&runs[0])
}

/// Every penalty that says it trains in the fused engine does so, by hand and on the tape; any other takes
/// the reference engine without being asked to.
#[test]
fn every_penalty_takes_the_engine_that_covers_it() {
    let mut taken = Vec::new();
    for plugin in sorted(&PENALTIES) {
        let name = plugin.name;
        let built = plugin.example("".as_ref()).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        let penalty = &*built.plugin;
        let is_by_hand = penalty.fused(&TRAINING, LATENTS).is_some();
        // For all steps or for none.
        for (mode, progress) in [(Mode::Evaluate, 0.0), (Mode::Train, 0.0), (Mode::Train, 1.0)] {
            let step = Step { mode, progress, ..Step::EVALUATE };
            assert_eq!(penalty.fused(&step, LATENTS).is_some(), is_by_hand, "{name}");
        }
        let activations = activations_that_fit(penalty);
        assert!(!activations.is_empty(), "{name}: its example fits no dense code");
        for activation in activations {
            let dense = dense(activation);
            let built_dense = architecture(&dense);
            let covers = (FUSED.covers)(&Definition::new(&*built_dense.plugin, penalty));
            let engine = auto(&dense, &format!("kind = \"{name}\"\n{}", plugin.example));
            let what = format!("{name} after {activation}");
            assert_eq!(engine == FUSED, covers.is_ok(), "{what}");
            if is_by_hand {
                assert_eq!(engine, FUSED, "{what}");
                one_step(penalty, activation);
            }
            if penalty.is_of_code_alone() {
                // Both ways, if there are two; a hook that asks for more than the code panics here.
                assert_eq!(engine, FUSED, "{what}");
                one_step(&OnTape(penalty), activation);
            }
            if !is_by_hand && !penalty.is_of_code_alone() {
                assert_eq!(engine, REFERENCE, "{what}");
            }
            taken.push((name, engine));
        }
    }
    for (name, engine) in [
        ("k-sparse", FUSED),
        ("kl", FUSED),
        ("l1", FUSED),
        ("group-lasso", FUSED),
        ("sparse-group-lasso", FUSED),
        ("class-group-lasso", FUSED),
        ("batch-largest", FUSED),
        ("batch-top-k", FUSED),
        ("matryoshka", FUSED),
        ("abs-top-k", FUSED),
        ("gated", FUSED),
        ("jump-relu", FUSED),
        ("soft-threshold", REFERENCE),
    ] {
        assert!(taken.contains(&(name, engine)), "{taken:?}");
    }
}

fn dense(activation: &str) -> String {
    format!("kind = \"dense\"\nlatents = {LATENTS}\nactivation = \"{activation}\"")
}

/// Activations of dense codes that a penalty accepts.
fn activations_that_fit(penalty: &dyn Penalty) -> Vec<&'static str> {
    let fits = |activation: &&str| {
        let built = architecture(&dense(activation));
        let (range, offers) = (built.plugin.code_range(), built.plugin.offers());
        penalty.fits(&CodeFacts { latents: LATENTS, range, classes: 2, offers }).is_ok()
    };
    ["identity", "relu", "sigmoid", "tanh"].into_iter().filter(fits).collect()
}

fn one_step(penalty: &dyn Penalty, activation: &str) {
    let built = architecture(&dense(activation));
    let model = model(&*built.plugin, penalty, 5, 0).on(FUSED);
    let mut trainer = Trainer::new(model, sgd());
    let x: Vec<f32> = (0..15).map(|at| at as f32 / 15.0).collect();
    let labels = [0, 1, 0];
    let step = Step { labels: Some(&labels), ..TRAINING };
    assert!(trainer.step(Minibatch::clean(&x), step, 1.0).total.is_finite());
    assert!(trainer.model.is_finite());
    trainer.model.forward(&x, Step::EVALUATE);
}

/// Architectures that are not made of layers that the fused engine has train in the reference engine, whatever the penalty.
#[test]
fn every_architecture_takes_the_engine_that_covers_it() {
    let mut engines = Vec::new();
    for plugin in sorted(&ARCHITECTURES) {
        let built =
            plugin.example("".as_ref()).unwrap_or_else(|e| panic!("{}: {e:?}", plugin.name));
        let engine =
            auto(&format!("kind = \"{}\"\n{}", plugin.name, plugin.example), "kind = \"none\"");
        let penalty = penalty("kind = \"none\"");
        let covers = (FUSED.covers)(&Definition::new(&*built.plugin, &*penalty.plugin)).is_ok();
        let is_layered = built.plugin.layers().is_some();
        assert_eq!(engine == FUSED, is_layered && covers, "{}", plugin.name);
        engines.push((plugin.name, engine));
    }
    for engine in [("dense", FUSED), ("two-layer", REFERENCE), ("noisy-code", REFERENCE)] {
        assert!(engines.contains(&engine), "{engines:?}");
    }
}
