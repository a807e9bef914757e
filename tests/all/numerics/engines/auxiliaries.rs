//! Auxiliaries in both engines: terms of codes and of weights, weights that shrink, latents that start again.

use framework::engine::{ENGINES, FUSED, Minibatch, REFERENCE};
use framework::model::{Definition, activity};
use framework::spec::TrainObjective;
use proptest::prelude::*;

use super::equality::{LOSS, LOSS_ON_TAPE, cases, check_definition, tensors_agree};
use super::{Case, OnTape, TRAINING, adam, sgd, trainer_of, training};
use crate::support::models::{architecture, auxiliaries, penalty};
use crate::support::strategies::config;

/// What f32 rounding may do to parameters in three steps, as of the other properties.
const PARAMETERS: f64 = 5e-6;

const CONTRACTIVE: &str = "{ kind = \"contractive\", lambda = 0.1 }";
const CLASSES: &str = "{ kind = \"class-group-lasso\", lambda = 0.2 }";

/// Lists that reach every way in which the fused engine takes auxiliaries.
fn lists(case: &Case) -> Vec<String> {
    let half = case.latents.div_ceil(2);
    let divisor = (1..=half).rev().find(|size| case.latents.is_multiple_of(*size)).unwrap_or(1);
    let l1 = "{ kind = \"l1\", lambda = 0.3 }";
    let group = format!("{{ kind = \"group-lasso\", lambda = 0.2, group_size = {divisor} }}");
    let decay = "{ kind = \"weight-decay\", lambda = 0.05 }";
    let sparse = "{ kind = \"weight-decay\", lambda = 0.02, norm = \"l1\", of = \"encoder\" }";
    let mut all = vec![
        l1.to_owned(),
        decay.to_owned(),
        sparse.to_owned(),
        format!("{l1}, {group}"),
        format!("{decay}, {group}, {sparse}, {l1}"),
        "{ kind = \"cauchy-decay\", lambda = 0.05 }".to_owned(),
        CONTRACTIVE.to_owned(),
        format!("{CLASSES}, {CONTRACTIVE}, {decay}, {l1}, {CLASSES}"),
    ];
    if matches!(case.activation, "sigmoid" | "tanh") {
        let kl = "{ kind = \"kl\", rho = 0.1, beta = 0.4 }";
        all.push(format!("{kl}, {l1}"));
        all.push(format!("{kl}, {{ kind = \"kl\", rho = 0.3, beta = 0.1 }}, {decay}"));
    }
    all
}

proptest! {
    #![proptest_config(config(200))]

    /// Loss terms and every gradient, for every list beside every penalty, by hand and on the tape.
    #[test]
    fn losses_and_gradients_are_those_of_the_definition(case in cases()) {
        let built = architecture(&case.architecture());
        for list in lists(&case) {
            let section = auxiliaries(&format!("[{list}]"));
            for text in case.penalties() {
                let penalty = penalty(&text);
                let what = format!("{case:?} with {text} and {list}");
                let new = |penalty| Definition {
                    auxiliaries: &section.value,
                    ..Definition::new(&*built.plugin, penalty)
                };
                check_definition(&case, new(&*penalty.plugin), &what, LOSS_ON_TAPE)?;
                let on_tape = OnTape(&*penalty.plugin);
                check_definition(&case, new(&on_tape), &format!("{what}, on tape"), LOSS_ON_TAPE)?;
            }
            for text in case.of_batch() {
                let penalty = penalty(&text);
                let what = format!("{case:?} with {text} and {list}");
                let auxiliaries = &section.value;
                let definition = Definition::new(&*built.plugin, &*penalty.plugin);
                let definition = Definition { auxiliaries, ..definition };
                prop_assert_eq!((FUSED.covers)(&definition), Ok(()));
                check_definition(&case, definition, &what, LOSS_ON_TAPE)?;
            }
        }
    }

    /// Terms of rows' norms beside one another, and beside each penalty that is by hand as they are.
    #[test]
    fn terms_of_rows_are_those_of_the_definition(case in cases()) {
        let norms = "{ kind = \"l1\", lambda = 0.2, norm_weighted = true }";
        let built = architecture(&case.architecture());
        for list in [norms.to_owned(), format!("{norms}, {CONTRACTIVE}, {norms}, {CLASSES}")] {
            let section = auxiliaries(&format!("[{list}]"));
            for text in case.penalties() {
                let penalty = penalty(&text);
                let definition = Definition {
                    auxiliaries: &section.value,
                    ..Definition::new(&*built.plugin, &*penalty.plugin)
                };
                let is_covered = (FUSED.covers)(&definition).is_ok();
                // What the largest are is known before rows are, and the code before that only on the tape.
                let keeps_largest = text.contains("k-sparse") || text.contains("top-k");
                let is_known = !(keeps_largest && list.contains("contractive"));
                prop_assert_eq!(is_covered, is_known, "{}", text);
                if is_covered {
                    let what = format!("{case:?} with {text} and {list}");
                    check_definition(&case, definition, &what, LOSS_ON_TAPE)?;
                }
            }
        }
    }

    /// Parameters after three steps with terms of the weights and weights that shrink, clipped or not: the
    /// decay comes after the optimizer and before norms are kept.
    #[test]
    fn parameters_after_three_steps_are_those_of_the_definition(
        case in cases(),
        norm in prop::sample::select(vec!["l1", "l2"]),
        of in prop::sample::select(vec!["all", "encoder", "decoder"]),
        decoupled in any::<bool>(),
        clips in any::<bool>(),
        with_columns in any::<bool>(),
    ) {
        let columns = format!(
            "{CONTRACTIVE}, {CLASSES}, {{ kind = \"l1\", lambda = 0.2, norm_weighted = true }}, "
        );
        let columns = if with_columns { &columns } else { "" };
        let list = format!(
            "[{columns}{{ kind = \"weight-decay\", lambda = 0.5, norm = \"{norm}\", of = \"{of}\", \
             decoupled = {decoupled} }}]"
        );
        let (built, section) = (architecture(&case.architecture()), auxiliaries(&list));
        let l1 = penalty("kind = \"l1\"\nlambda = 0.3");
        let definition = Definition {
            auxiliaries: &section.value,
            ..Definition::new(&*built.plugin, &*l1.plugin)
        };
        for optimizer in [sgd(), adam()] {
            let trained = |engine| {
                let (trainer, x) = trainer_of(definition, &case, optimizer, engine);
                let mut trainer = trainer.clipping(clips.then_some(0.5));
                let target = case.target(&trainer.model, &x);
                let losses: Vec<f64> = (0..3)
                    .map(|_| {
                        let batch = Minibatch { sample: &x, target: &target };
                        trainer.step(batch, training(case.batch), 0.5).total
                    })
                    .collect();
                (trainer.model.parameters().into_owned(), losses)
            };
            let ((right, losses), (got, fused)) = (trained(REFERENCE), trained(FUSED));
            let right: Vec<_> =
                right.cast::<f64>().entries.into_iter().map(|entry| entry.values).collect();
            let what = format!("{case:?} with {list} and {optimizer:?}, clipped: {clips}");
            tensors_agree(&what, &got, &right, PARAMETERS, 1.0)?;
            for (right, got) in losses.iter().zip(fused) {
                let close = (right - got).abs() <= LOSS.max(LOSS_ON_TAPE) * right.abs().max(1.0);
                prop_assert!(close, "{what}: {got} not {right}");
            }
        }
    }
}

/// Wrong if terms of columns and of weights had other values where nothing is learnt, from a loss that is not
/// finite, than where it is: dense codes and lists go through other code then.
#[test]
fn terms_are_measured_where_nothing_is_learnt() {
    let norms = "{ kind = \"l1\", lambda = 0.2, norm_weighted = true }";
    let section = auxiliaries(&format!(
        "[{CONTRACTIVE}, {CLASSES}, {norms}, {{ kind = \"weight-decay\", lambda = 0.1 }}]"
    ));
    for (activation, dead) in [("sigmoid", 0), ("relu", 0), ("relu", 33)] {
        let case = Case {
            batch: 20,
            inputs: 5,
            latents: 37,
            activation,
            tied: false,
            decoder: "linear",
            objective: TrainObjective::Squared,
            subtract: false,
            unit_norm: false,
            dead,
            seed: 2,
        };
        let built = architecture(&case.architecture());
        let none = penalty("kind = \"none\"");
        let definition = Definition {
            auxiliaries: &section.value,
            ..Definition::new(&*built.plugin, &*none.plugin)
        };
        let terms = |broken: bool| {
            let (mut trainer, x) = trainer_of(definition, &case, adam(), FUSED);
            let mut target = x.clone();
            target[0] = if broken { f32::NAN } else { target[0] };
            let loss = trainer.step(Minibatch { sample: &x, target: &target }, training(20), 1.0);
            assert_eq!(loss.total.is_finite(), !broken);
            loss.terms.iter().map(|term| (term.name.clone(), term.raw)).collect::<Vec<_>>()
        };
        let (learnt, not) = (terms(false), terms(true));
        assert_eq!(learnt.len(), 4, "{learnt:?}");
        for ((name, right), (same, got)) in learnt.iter().zip(&not) {
            let close = (right - got).abs() <= 1e-6 * right.abs() && *right > 0.0;
            assert!(name == same && close, "{activation}, {dead} dead, {name}: {got}, not {right}");
        }
    }
}

/// Wrong if an engine read or wrote other numbers of a latent than the definition does, left moments, or broke a
/// norm that is kept.
#[test]
fn latents_start_again_alike_in_every_engine() {
    for (tied, unit_norm) in [(false, false), (true, false), (false, true), (true, true)] {
        let text = format!(
            "kind = \"dense\"\nlatents = 7\nactivation = \"tanh\"\ntied = {tied}\nunit_norm = {unit_norm}"
        );
        let (dense, l1) = (architecture(&text), penalty("kind = \"l1\"\nlambda = 0.1"));
        let case = Case {
            batch: 4,
            inputs: 5,
            latents: 7,
            activation: "tanh",
            tied,
            decoder: "linear",
            objective: TrainObjective::Squared,
            subtract: false,
            unit_norm,
            dead: 0,
            seed: 1,
        };
        let definition = Definition::new(&*dense.plugin, &*l1.plugin);
        let restarted = ENGINES.map(|engine| {
            let (mut trainer, x) = trainer_of(definition, &case, adam(), engine);
            trainer.step(Minibatch::clean(&x), TRAINING, 1.0);
            let before = trainer.model.parameters().into_owned();
            let mut slices = trainer.model.of_latents(&[5, 2]);
            assert_eq!(slices, before.of_latents(&[5, 2]), "{engine:?} {text}");
            for entry in &mut slices.entries {
                let values = entry.values.iter_mut().enumerate();
                values.for_each(|(at, value)| *value = 1.0 + at as f32);
            }
            trainer.model.set_latents(&[5, 2], &slices);
            let after = trainer.model.parameters().into_owned();
            let mut right = before;
            right.set_latents(&[5, 2], &slices);
            right.enforce_constraints();
            let right: Vec<_> =
                right.cast::<f64>().entries.into_iter().map(|entry| entry.values).collect();
            tensors_agree(&text, &after, &right, 1e-6, 1.0).unwrap();
            after
        });
        let [first, second] = restarted;
        let second: Vec<_> =
            second.cast::<f64>().entries.into_iter().map(|entry| entry.values).collect();
        tensors_agree(&text, &first, &second, PARAMETERS, 1.0).unwrap();
    }
}

/// Wrong if an engine counted other latents as active than the L0 rule does, in any form that it keeps codes in,
/// or if a dead latent were not revived.
#[test]
fn dead_latents_are_found_and_revived_alike_in_every_engine() {
    let section = auxiliaries("[{ kind = \"revive\", every = 2 }]");
    for (activation, text) in [
        ("relu", "kind = \"l1\"\nlambda = 0.1"),
        ("relu", "kind = \"k-sparse\"\nk = 2"),
        ("relu", "kind = \"batch-largest\"\nk = 2"),
        ("relu", "kind = \"batch-top-k\"\nk = 2"),
        ("identity", "kind = \"abs-top-k\"\nk = 2"),
        ("identity", "kind = \"gated\"\nlambda = 0.1"),
        ("identity", "kind = \"jump-relu\"\nlambda = 0.1\nbandwidth = 1"),
        ("sigmoid", "kind = \"none\""),
    ] {
        let case = Case {
            batch: 6,
            inputs: 9,
            latents: 12,
            activation,
            tied: false,
            decoder: "linear",
            objective: TrainObjective::Squared,
            subtract: false,
            unit_norm: false,
            dead: 5,
            seed: 3,
        };
        let (dense, penalty) = (architecture(&case.architecture()), penalty(text));
        let definition = Definition {
            auxiliaries: &section.value,
            ..Definition::new(&*dense.plugin, &*penalty.plugin)
        };
        let counted = ENGINES.map(|engine| {
            let (trainer, x) = trainer_of(definition, &case, sgd(), engine);
            let mut trainer = trainer.dead_after(7);
            let mut since = Vec::new();
            for number in 0..3 {
                let step = framework::model::Step { number, ..TRAINING };
                trainer.step(Minibatch::clean(&x), step, 0.1);
                let state = trainer.model.state.borrow();
                since.push(activity::samples_since_active(&state).unwrap().to_vec());
            }
            since
        });
        assert_eq!(counted[0], counted[1], "{text}");
        if activation == "relu" {
            assert_eq!(counted[0][0][..5], [6.0; 5], "{text}: never active");
            assert_eq!(counted[0][1][..5], [0.0; 5], "{text}: counting starts anew");
            let revived = counted[0][2][..5].iter().filter(|since| **since == 0.0).count();
            assert!(revived > 0, "{text}: none of the dead came back");
        }
    }
}
