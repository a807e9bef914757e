//! Thresholds that are learnt, in both engines: in lists and dense, beside other terms and behind other levels.

use framework::engine::{ENGINES, FUSED, Minibatch, REFERENCE};
use framework::model::{Definition, Step};
use framework::spec::TrainObjective;
use proptest::prelude::*;

use super::equality::{LOSS, LOSS_ON_TAPE, cases, check_definition_to, tensors_agree};
use super::levels::{GRADIENT, Levels, levels};
use super::{Case, TRAINING, adam, sgd, trainer_of, training};
use crate::support::models::{architecture, auxiliaries, penalty};
use crate::support::strategies::config;

/// Every form. Boxes end on the grid that pre-codes and thresholds are on.
pub const FORMS: [&str; 3] = [
    "kind = \"jump-relu\"\nlambda = 0.3\nbandwidth = 0.5",
    "kind = \"jump-relu\"\nlambda = 0.3\nbandwidth = 0.5\nform = \"tanh\"",
    "kind = \"jump-relu\"\nlambda = 0.3\nbandwidth = 1\nform = \"target\"\ntarget_l0 = 0.75",
];

/// Lists of auxiliaries that reach every way in which a code with thresholds has more terms.
const LISTS: [&str; 4] = [
    "",
    "{ kind = \"l1\", lambda = 0.3 }, { kind = \"weight-decay\", lambda = 0.05 }",
    "{ kind = \"group-lasso\", lambda = 0.2, group_size = 1 }, \
     { kind = \"l1\", lambda = 0.2, norm_weighted = true }, { kind = \"class-group-lasso\", lambda = 0.2 }",
    "{ kind = \"auxk\", k = 2, weight = 0.5 }",
];

proptest! {
    #![proptest_config(config(150))]

    /// Wrong if a code, a count, a derivative by a threshold or by anything else were another than the definition's:
    /// of few active latents or many, of pre-codes on a threshold or on the edge of its box.
    #[test]
    fn codes_and_gradients_are_those_of_the_definition(case in cases()) {
        let unit_norm = !case.tied && case.seed.is_multiple_of(5);
        let case = Case { activation: "identity", dead: 0, unit_norm, ..case };
        let built = architecture(&case.architecture());
        for (list, text) in LISTS.iter().flat_map(|list| FORMS.map(|text| (list, text))) {
            let section = auxiliaries(&format!("[{list}]"));
            let own = penalty(text);
            let definition = Definition {
                auxiliaries: &section.value,
                ..Definition::new(&*built.plugin, &*own.plugin)
            };
            prop_assert_eq!((FUSED.covers)(&definition), Ok(()));
            let what = format!("{case:?} with {text} and {list}");
            check_definition_to(&case, definition, &what, LOSS_ON_TAPE, GRADIENT)?;
        }
    }

    /// Wrong if derivatives by codes did not reach the levels around them, or those that only thresholds have did.
    #[test]
    fn levels_around_thresholds_have_the_gradients_of_the_definition(levels in levels()) {
        let Levels { section, case } = levels;
        // After these, pre-codes stay on a grid.
        let section = section.replace("\"sigmoid\"\ndecoder", "\"relu\"\ndecoder");
        let section = section.replace("\"tanh\"\ndecoder", "\"identity\"\ndecoder");
        let named = format!("latents = {}\nactivation", case.latents);
        let (before, after) = section.split_once(&named).expect("the code has an activation");
        let (_, after) = after.split_once('\n').expect("it is not the last setting");
        let section = format!("{before}{named} = \"identity\"\n{after}");
        let case = Case { activation: "identity", ..case };
        let built = architecture(&section);
        for text in FORMS {
            let own = penalty(text);
            let definition = Definition::new(&*built.plugin, &*own.plugin);
            let definition = Definition { objective: case.objective, ..definition };
            let is_covered = (FUSED.covers)(&definition).is_ok();
            // The noise of a random code stands between pre-codes and thresholds.
            prop_assert_eq!(is_covered, !section.contains("variational"), "{}", section);
            let has_rows = !section.contains("convolutional") || !text.contains("tanh");
            if is_covered && has_rows {
                check_definition_to(&case, definition, &format!("{section}\n{text}"), LOSS, GRADIENT)?;
            }
        }
    }
}

/// Two sizes: few active latents, and many.
fn fixed() -> [Case; 2] {
    let case = Case {
        batch: 12,
        inputs: 9,
        latents: 20,
        activation: "identity",
        tied: false,
        decoder: "linear",
        objective: TrainObjective::Squared,
        subtract: true,
        unit_norm: false,
        dead: 0,
        seed: 3,
    };
    // Thresholds start around 1 where the seed leaves 2.
    [case.clone(), Case { seed: 5, ..case }]
}

/// Wrong if a step moved a threshold, or anything else, otherwise than the definition does, or left one below 0;
/// clipped or not.
#[test]
fn steps_move_thresholds_as_the_definition_does() {
    for (case, text) in fixed().iter().flat_map(|case| FORMS.map(|text| (case, text))) {
        let (built, own) = (architecture(&case.architecture()), penalty(text));
        let definition = Definition::new(&*built.plugin, &*own.plugin);
        for (optimizer, limit) in [(adam(), None), (sgd(), None), (sgd(), Some(0.5))] {
            let trained = |engine| {
                let (trainer, x) = trainer_of(definition, case, optimizer, engine);
                let mut trainer = trainer.clipping(limit);
                let start = trainer.model.parameters().into_owned();
                for samples in [case.batch, case.batch, 5] {
                    let x = &x[..samples * case.inputs];
                    trainer.step(Minibatch::clean(x), training(samples), 0.5);
                }
                (start, trainer.model.parameters().into_owned())
            };
            let ((start, right), (_, got)) = (trained(REFERENCE), trained(FUSED));
            let theta = |all: &framework::model::Parameters<f32>| {
                all.get("penalty.theta").unwrap().values.clone()
            };
            assert_ne!(theta(&start), theta(&right), "{text}: thresholds do not move");
            assert!(theta(&got).iter().all(|theta| *theta >= 0.0), "{text}");
            let right: Vec<_> =
                right.cast::<f64>().entries.into_iter().map(|entry| entry.values).collect();
            tensors_agree(text, &got, &right, 5e-6, 1.0).unwrap();
        }
    }
}

/// Wrong if a code that stands in a box were shown as −0, or counted, in a pass that learns nothing.
#[test]
fn marks_are_seen_by_nobody() {
    for case in fixed() {
        let built = architecture(&case.architecture());
        let own = penalty(FORMS[0]);
        let definition = Definition::new(&*built.plugin, &*own.plugin);
        let (mut trainer, x) = trainer_of(definition, &case, sgd(), FUSED);
        let right = trainer_of(definition, &case, sgd(), REFERENCE).0;
        let right = right.model.forward(&x, Step::EVALUATE).code.view().to_dense().into_owned();
        let l0 = trainer.step(Minibatch::clean(&x), TRAINING, 0.0).l0;
        let active = right.iter().filter(|h| **h != 0.0).count();
        assert_eq!(l0, active as f64 / case.batch as f64);
        for step in [TRAINING, Step::EVALUATE] {
            let code = trainer.model.forward(&x, step).code;
            let code = code.view().to_dense().into_owned();
            assert_eq!(code, right);
            assert!(code.iter().all(|h| h.to_bits() != (-0.0_f32).to_bits()));
            // Codes of a user may be such zeros, and are zeros.
            let zeros: Vec<f32> = code.iter().map(|h| if *h == 0.0 { -0.0 } else { *h }).collect();
            assert_eq!(trainer.model.decode(zeros), trainer.model.decode(code));
        }
    }
}

/// Wrong if the threshold of a latent were not among its numbers, or its moment stayed where the latent starts again.
#[test]
fn a_latent_owns_its_threshold_in_every_engine() {
    let [case, _] = fixed();
    let (built, own) = (architecture(&case.architecture()), penalty(FORMS[0]));
    let definition = Definition::new(&*built.plugin, &*own.plugin);
    let of = |engine| {
        let (mut trainer, x) = trainer_of(definition, &case, sgd(), engine);
        let mut others = trainer.model.of_latents(&[0, 3]);
        let theta = others.entries.iter_mut().find(|e| e.declaration.name == "penalty.theta");
        theta.expect("a latent has a threshold").values = vec![0.25, -1.0];
        trainer.model.set_latents(&[4, 1], &others);
        let parameters = trainer.model.parameters().into_owned();
        let theta = &parameters.get("penalty.theta").unwrap().values;
        assert_eq!((theta[4], theta[1]), (0.25, 0.0), "{engine:?}");
        trainer.step(Minibatch::clean(&x), training(case.batch), 1.0);
        trainer.model.reset_moments(&[2, 5]);
        let moments = trainer.model.first_moments().unwrap();
        let of_theta = &moments.get("penalty.theta").unwrap().values;
        assert_eq!((of_theta[2], of_theta[5]), (0.0, 0.0), "{engine:?}");
        assert!(of_theta.iter().any(|moment| *moment != 0.0), "{engine:?}");
        parameters
    };
    let [first, second] = ENGINES.map(of);
    assert_eq!(first, second);
}

/// Wrong if one of the forms took the slower engine, or if what the fused engine does not train were not refused with
/// the reason.
#[test]
fn the_fused_engine_says_what_it_trains() {
    let sections = [
        "kind = \"dense\"\nlatents = 8\nactivation = \"identity\"",
        "kind = \"deep\"\nlatents = 8\nhidden = [6]",
        "kind = \"convolutional\"\nlatents = 8",
    ];
    let contractive = auxiliaries("[{ kind = \"contractive\", lambda = 0.1 }]");
    for text in FORMS {
        let own = penalty(text);
        for section in sections {
            let built = architecture(section);
            let definition = Definition::new(&*built.plugin, &*own.plugin);
            assert_eq!((FUSED.covers)(&definition), Ok(()), "{section} {text}");
        }
        let dense = architecture(sections[0]);
        let definition = Definition::new(&*dense.plugin, &*own.plugin);
        let beside = Definition { auxiliaries: &contractive.value, ..definition };
        let variational = architecture("kind = \"variational\"\nlatents = 8");
        let random = Definition::new(&*variational.plugin, &*own.plugin);
        for refused in [beside, random] {
            let why = (FUSED.covers)(&refused).expect_err("it is not by hand");
            assert!(why.contains("thresholds"), "{why}");
            assert_eq!((REFERENCE.covers)(&refused), Ok(()));
        }
    }
}
