//! Dead latents in both engines: what they learn from the error.

use framework::engine::{ENGINES, EngineKind, FUSED, Minibatch, REFERENCE};
use framework::model::{Definition, Mode, Parameters, Step, activity};
use framework::plugin::NamedAuxiliary;
use framework::spec::{Precision, TrainObjective};
use framework::train::Trainer;
use proptest::prelude::*;

use super::equality::{LOSS_ON_TAPE, cases, check_definition, check_definition_to, tensors_agree};
use super::{Case, OnTape, TRAINING, adam, sgd, trainer_of, training, with_dead};
use crate::support::models::{architecture, auxiliaries, model_of, penalty};
use crate::support::strategies::config;

/// What f32 rounding may do to parameters in three steps, as of the other properties.
const PARAMETERS: f64 = 5e-6;

/// Lists with terms of dead latents, alone and beside others.
const LISTS: [&str; 5] = [
    "{ kind = \"auxk\", k = 1, weight = 1 }",
    "{ kind = \"auxk\", weight = 0.7 }",
    "{ kind = \"auxk\", k = 3, weight = 0.5, normalize = false }",
    "{ kind = \"auxk\", k = 2 }, { kind = \"l1\", lambda = 0.1 }, { kind = \"auxk\", weight = 0.3, normalize = false }",
    "{ kind = \"contractive\", lambda = 0.1 }, { kind = \"auxk\", k = 4, weight = 1 }, \
     { kind = \"weight-decay\", lambda = 0.05 }",
];

proptest! {
    #![proptest_config(config(150))]

    /// Wrong if dead latents predicted another error, from other codes, with a bias or a sigmoid; if their gradient
    /// did not reach a row, a bias or what is subtracted from the input; or if it were lost where a latent is active
    /// again, in codes of any form beside any penalty.
    #[test]
    fn gradients_are_those_of_the_definition(case in cases()) {
        let built = architecture(&case.architecture());
        for list in LISTS {
            let section = auxiliaries(&format!("[{list}]"));
            for text in case.penalties() {
                let penalty = penalty(&text);
                let what = format!("{case:?} with {text} and {list}");
                let new = |penalty| Definition {
                    auxiliaries: &section.value,
                    ..Definition::new(&*built.plugin, penalty)
                };
                let definition = new(&*penalty.plugin);
                prop_assert_eq!((FUSED.covers)(&definition), Ok(()), "{}", what);
                check_definition(&case, definition, &what, LOSS_ON_TAPE)?;
                let on_tape = OnTape(&*penalty.plugin);
                check_definition(&case, new(&on_tape), &format!("{what}, on tape"), LOSS_ON_TAPE)?;
            }
        }
    }

    /// Wrong if gradients of dead latents were left out of what is clipped, or made otherwise the second time; if
    /// rows of norm 1 kept their part along the row; or if weights were shrunk before they learnt.
    #[test]
    fn parameters_after_three_steps_are_those_of_the_definition(
        case in cases(),
        clips in any::<bool>(),
        list in prop::sample::select(LISTS.to_vec()),
    ) {
        let built = architecture(&case.architecture());
        let section = auxiliaries(&format!("[{list}]"));
        for text in ["kind = \"l1\"\nlambda = 0.3", "kind = \"k-sparse\"\nk = 1"] {
            let penalty = penalty(text);
            let definition = Definition {
                auxiliaries: &section.value,
                ..Definition::new(&*built.plugin, &*penalty.plugin)
            };
            for optimizer in [sgd(), adam()] {
                let trained = |engine| {
                    let (trainer, x) = trainer_of(definition, &case, optimizer, engine);
                    let mut trainer = with_dead(trainer).clipping(clips.then_some(0.5));
                    let target = case.target(&trainer.model, &x);
                    for _ in 0..3 {
                        let batch = Minibatch { sample: &x, target: &target };
                        trainer.step(batch, training(case.batch), 0.5);
                    }
                    trainer.model.parameters().into_owned()
                };
                let right = trained(REFERENCE).cast::<f64>().entries;
                let right: Vec<_> = right.into_iter().map(|entry| entry.values).collect();
                let what = format!("{case:?} with {text}, {list} and {optimizer:?}, clipped: {clips}");
                tensors_agree(&what, &trained(FUSED), &right, PARAMETERS, 1.0)?;
            }
        }
    }

    /// Wrong if the prediction did not pass the hidden layers of a deep decoder, with a bias, or if what they learn
    /// from it, in the decoder and in the encoder, were lost.
    #[test]
    fn dead_latents_of_deep_codes_have_the_gradients_of_the_definition(
        case in cases(),
        hidden in prop::sample::select(vec!["[]", "[3]", "[5, 4]", "[2, 3, 4]"]),
        of_hidden in prop::sample::select(vec!["identity", "relu", "sigmoid", "tanh"]),
    ) {
        let Case { latents, activation, tied, decoder, .. } = &case;
        let built = architecture(&format!(
            "kind = \"deep\"\nhidden = {hidden}\nlatents = {latents}\nactivation = \"{activation}\"\n\
             hidden_activation = \"{of_hidden}\"\ntied = {tied}\ndecoder = \"{decoder}\""
        ));
        let case = Case { unit_norm: false, ..case.clone() };
        for list in &LISTS[..4] {
            let section = auxiliaries(&format!("[{list}]"));
            for text in ["kind = \"l1\"\nlambda = 0.3", "kind = \"k-sparse\"\nk = 1"] {
                let penalty = penalty(text);
                let definition = Definition {
                    auxiliaries: &section.value,
                    objective: case.objective,
                    ..Definition::new(&*built.plugin, &*penalty.plugin)
                };
                prop_assert_eq!((FUSED.covers)(&definition), Ok(()), "{}", text);
                let what = format!("{case:?} with {hidden} after {of_hidden}, {text} and {list}");
                check_definition_to(&case, definition, &what, LOSS_ON_TAPE, 1e-4)?;
            }
        }
    }
}

const CASE: Case = Case {
    batch: 20,
    inputs: 25,
    latents: 40,
    activation: "relu",
    tied: false,
    decoder: "linear",
    objective: TrainObjective::Squared,
    subtract: true,
    unit_norm: false,
    dead: 0,
    seed: 5,
};

/// Everything that four steps leave behind.
fn trained(
    case: &Case,
    text: &str,
    list: &[NamedAuxiliary],
    engine: EngineKind,
    start: impl Fn(Trainer<'_>) -> Trainer<'_>,
) -> (Vec<u64>, Vec<u32>) {
    let (built, penalty) = (architecture(&case.architecture()), penalty(text));
    let definition =
        Definition { auxiliaries: list, ..Definition::new(&*built.plugin, &*penalty.plugin) };
    let (trainer, x) = trainer_of(definition, case, adam(), engine);
    let mut trainer = start(trainer);
    let step = |_| trainer.step(Minibatch::clean(&x), training(case.batch), 1.0).total.to_bits();
    let losses = (0..4).map(step).collect();
    let bits = |of: Parameters<f32>| -> Vec<u32> {
        of.entries.into_iter().flat_map(|entry| entry.values).map(f32::to_bits).collect()
    };
    let mut all = bits(trainer.model.parameters().into_owned());
    all.extend(bits(trainer.model.first_moments().unwrap()));
    (losses, all)
}

/// Wrong if the pre-codes of dead latents were lost, or were others, where codes are never there whole: of more latents
/// than that, the largest are looked for while tiles are made.
#[test]
fn dead_latents_among_many_have_the_gradients_of_the_definition() {
    for (activation, tied) in [("relu", false), ("identity", true), ("tanh", false)] {
        let case = Case { batch: 5, inputs: 4, latents: 2100, activation, tied, ..CASE };
        let built = architecture(&case.architecture());
        for list in &LISTS[..4] {
            let section = auxiliaries(&format!("[{list}]"));
            let penalty = penalty("kind = \"k-sparse\"\nk = 7");
            let definition = Definition {
                auxiliaries: &section.value,
                ..Definition::new(&*built.plugin, &*penalty.plugin)
            };
            let what = format!("{case:?} with {list}");
            check_definition(&case, definition, &what, LOSS_ON_TAPE).unwrap();
        }
    }
}

/// Wrong if asking changed a bit where no latent is dead, or none where some are.
#[test]
fn nothing_changes_where_no_latent_is_dead() {
    let section = auxiliaries("[{ kind = \"auxk\" }]");
    for text in ["kind = \"l1\"\nlambda = 0.1", "kind = \"k-sparse\"\nk = 3", "kind = \"none\""] {
        for (engine, activation) in ENGINES.into_iter().flat_map(|e| [(e, "relu"), (e, "tanh")]) {
            let case = Case { activation, ..CASE };
            let what = format!("{engine:?}, {activation}, {text}");
            let plain = trained(&case, text, &[], engine, |trainer| trainer);
            let asked = trained(&case, text, &section.value, engine, |trainer| trainer);
            assert!(plain == asked, "{what}: other bits");
            let dead = trained(&case, text, &section.value, engine, with_dead);
            assert!(dead.1 != asked.1, "{what}: the dead learn nothing");
        }
    }
}

/// Wrong if the term were there in evaluation, warmed up with the penalty, or weighed before it is named.
#[test]
fn the_term_has_its_name_and_its_weight_at_every_step() {
    let section = auxiliaries("[{ kind = \"auxk\" }, { kind = \"auxk\", k = 2, weight = 0.5 }]");
    let (built, l1) = (architecture(&CASE.architecture()), penalty("kind = \"l1\"\nlambda = 0.1"));
    let definition =
        Definition { auxiliaries: &section.value, ..Definition::new(&*built.plugin, &*l1.plugin) };
    for engine in ENGINES {
        let (trainer, x) = trainer_of(definition, &CASE, sgd(), engine);
        let mut trainer = with_dead(trainer).warming_up(1.0);
        let step = Step { mode: Mode::Train, progress: 0.25, ..TRAINING };
        let loss = trainer.step(Minibatch::clean(&x), step, 0.0);
        let terms: Vec<_> = loss.terms.iter().map(|t| (&*t.name, t.weight)).collect();
        assert_eq!(terms, [("l1", 0.025), ("auxk", 0.03125), ("auxk_2", 0.5)], "{engine:?}");
        // Dead latents at random explain more of the error than nothing, or less; not exactly all of it.
        assert!(loss.terms[1..].iter().all(|t| t.raw > 0.0 && t.raw != 1.0), "{:?}", loss.terms);
        let sum = loss.reconstruction + loss.terms.iter().map(|t| t.raw * t.weight).sum::<f64>();
        assert!((sum - loss.total).abs() < 1e-5 * sum);
    }
}

/// Wrong if dead latents were decoded with a bias, a sigmoid or the code's activation; if one that is alive predicted,
/// or more than k; or if the error had another sign or were another than that of the reconstruction. By plain loops.
#[test]
fn the_term_is_as_computed_by_hand() {
    const K: usize = 2;
    let of = |more: &str| auxiliaries(&format!("[{{ kind = \"auxk\", {more} }}]"));
    let (share, mean) = (of("k = 2"), of("k = 2, normalize = false"));
    let few = of("k = 8, normalize = false");
    let case = Case { batch: 12, inputs: 5, latents: 7, activation: "tanh", ..CASE };
    let case = Case { decoder: "sigmoid", ..case };
    let (built, none) = (architecture(&case.architecture()), penalty("kind = \"none\""));
    for engine in ENGINES {
        let raw = |list: &[NamedAuxiliary]| {
            let definition =
                Definition { auxiliaries: list, ..Definition::new(&*built.plugin, &*none.plugin) };
            let (trainer, x) = trainer_of(definition, &case, sgd(), engine);
            let mut trainer = with_dead(trainer);
            let x_hat = trainer.model.forward(&x, TRAINING).x_hat;
            let parameters = trainer.model.parameters().into_owned();
            let loss = trainer.step(Minibatch::clean(&x), TRAINING, 0.0);
            (loss.terms[0].raw, parameters, x, x_hat)
        };
        let (of_share, parameters, x, x_hat) = raw(&share.value);
        let values = |name: &str| {
            let own = parameters.get(name).unwrap().values.iter();
            own.map(|value| f64::from(*value)).collect::<Vec<_>>()
        };
        let [w_enc, b_enc, w_dec, b_dec] = ["w_enc", "b_enc", "w_dec", "b_dec"].map(values);
        assert!(b_dec.iter().any(|bias| *bias != 0.0));
        let squares = |most: usize| {
            let (mut of_error, mut of_difference) = (0.0, 0.0);
            for (x, x_hat) in x.chunks(5).zip(x_hat.chunks(5)) {
                let pre_code = |latent: usize| {
                    let of_input = |d: usize| (f64::from(x[d]) - b_dec[d]) * w_enc[d * 7 + latent];
                    b_enc[latent] + (0..5).map(of_input).sum::<f64>()
                };
                let mut found: Vec<_> =
                    [0, 2, 4, 6].map(|latent| (pre_code(latent).max(0.0), latent)).to_vec();
                found.sort_by(|a, b| b.0.total_cmp(&a.0));
                for d in 0..5 {
                    let error = f64::from(x[d]) - f64::from(x_hat[d]);
                    let of_latent = |(code, latent): &(f64, usize)| code * w_dec[latent * 5 + d];
                    let predicted: f64 = found.iter().take(most).map(of_latent).sum();
                    of_error += error * error;
                    of_difference += (error - predicted).powi(2);
                }
            }
            (of_error, of_difference)
        };
        let (of_error, of_difference) = squares(K);
        let of_all = squares(8).1;
        assert!(of_all != of_difference, "no sample has more than k");
        for (got, right) in [
            (of_share, of_difference / of_error),
            (raw(&mean.value).0, of_difference / 12.0),
            (raw(&few.value).0, 0.5 * of_all / 12.0),
        ] {
            assert!((got - right).abs() < 1e-5 * right, "{engine:?}: {got}, not {right}");
        }
    }
}

/// Wrong if a latent in lists of 0 counted as active: one that k-sparse keeps among zeros says nothing.
#[test]
fn a_latent_that_is_kept_at_zero_stays_dead() {
    let section = auxiliaries("[{ kind = \"auxk\" }]");
    let case = Case { latents: 6, dead: 5, ..CASE };
    let (built, k) = (architecture(&case.architecture()), penalty("kind = \"k-sparse\"\nk = 4"));
    let definition =
        Definition { auxiliaries: &section.value, ..Definition::new(&*built.plugin, &*k.plugin) };
    for engine in ENGINES {
        let (trainer, x) = trainer_of(definition, &case, sgd(), engine);
        let mut trainer = trainer.dead_after(CASE.batch);
        trainer.step(Minibatch::clean(&x), TRAINING, 0.0);
        assert_eq!(trainer.dead_fraction(), Some(5.0 / 6.0), "{engine:?}");
    }
}

/// Wrong if the rounded encoder did not follow what dead latents learn, or their pre-codes were another product's.
#[test]
fn the_rounded_encoder_follows_dead_latents() {
    let section = auxiliaries("[{ kind = \"auxk\", k = 5, weight = 1 }]");
    for (text, latents) in
        [("kind = \"k-sparse\"\nk = 3", 40), ("kind = \"k-sparse\"\nk = 3", 2100)]
    {
        let case = Case { latents, ..CASE };
        let (built, own) = (architecture(&case.architecture()), penalty(text));
        let definition = Definition {
            auxiliaries: &section.value,
            ..Definition::new(&*built.plugin, &*own.plugin)
        };
        let start = || {
            let (trainer, x) = trainer_of(definition, &case, adam(), FUSED);
            (trainer.model.in_precision(Precision::Bf16), x)
        };
        let (model, x) = start();
        let mut trainer = with_dead(Trainer::new(model, adam()));
        for _ in 0..3 {
            trainer.step(Minibatch::clean(&x), TRAINING, 1.0);
        }
        let again = start().0.with_parameters(trainer.model.parameters().into_owned());
        let seen = |model: &framework::train::Model<'_>| model.forward(&x, Step::EVALUATE).x_hat;
        assert!(seen(&again) == seen(&trainer.model), "{latents}");
        // Samples here are numbers that bf16 holds; so the steps are those in full precision, to rounding.
        let (trainer, _) = trainer_of(definition, &case, adam(), FUSED);
        let mut exact = with_dead(trainer);
        let loss = exact.step(Minibatch::clean(&x), TRAINING, 0.0);
        let mut rounded = with_dead(Trainer::new(start().0, adam()));
        let got = rounded.step(Minibatch::clean(&x), TRAINING, 0.0);
        for (got, right) in got.terms.iter().zip(&loss.terms) {
            assert!(
                (got.raw - right.raw).abs() <= 1e-5 * right.raw.abs(),
                "{got:?}, not {right:?}"
            );
        }
    }
}

/// What one latent owns after a step on which it started again, and all else.
fn resampled(
    case: &Case,
    engine: EngineKind,
    seed: u64,
) -> (Parameters<f32>, Parameters<f32>, Vec<f64>, framework::train::Model<'static>) {
    let list = "[{ kind = \"resample\", every = 2, until = 3 }]";
    let section = Box::leak(Box::new(auxiliaries(list)));
    let built = Box::leak(Box::new(architecture(&case.architecture())));
    let none = Box::leak(Box::new(penalty("kind = \"none\"")));
    let definition = Definition {
        auxiliaries: &section.value,
        ..Definition::new(&*built.plugin, &*none.plugin)
    };
    let model = model_of(definition, case.inputs, seed);
    let (parameters, x) = case.numbers(&model.parameters());
    let mut trainer =
        Trainer::new(model.with_parameters(parameters).on(engine), sgd()).dead_after(case.batch);
    let mut before = trainer.model.parameters().into_owned();
    for number in 0..2 {
        before = trainer.model.parameters().into_owned();
        let step = Step { number, ..TRAINING };
        trainer.step(Minibatch::clean(&x), step, if number == 1 { 0.0 } else { 0.1 });
    }
    let since = activity::samples_since_active(&trainer.model.state.borrow()).unwrap().to_vec();
    let moments = trainer.model.first_moments().unwrap();
    (before, moments, since, trainer.into_model())
}

/// Wrong if a latent that is not dead were touched; if a row were not the residual of a sample at the mean norm of
/// living rows, or a column not the same at a fifth of theirs; if two were of one sample; if a bias, a moment or a
/// count were left; or if one engine did otherwise than the other, or one seed as another.
#[test]
fn dead_latents_start_again_as_residuals() {
    for (tied, unit_norm) in [(false, false), (true, false), (false, true)] {
        let case =
            Case { batch: 6, latents: 20, dead: 8, tied, unit_norm, subtract: false, ..CASE };
        let case = Case { activation: "relu", ..case };
        let mut of_engines = Vec::new();
        for engine in ENGINES {
            let (before, moments, since, model) = resampled(&case, engine, 4);
            let what = format!("{engine:?}, tied: {tied}, unit norm: {unit_norm}");
            // Six samples for eight latents: two wait.
            assert_eq!(since[..8], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 12.0, 12.0], "{what}");
            let living: Vec<usize> = (8..20).collect();
            let (after, again) = (model.parameters().into_owned(), (0..6).collect::<Vec<_>>());
            let others: Vec<usize> = (6..20).collect();
            assert_eq!(after.of_latents(&others), before.of_latents(&others), "{what}");
            let rows_of = |of: &Parameters<f32>, name: &str, latents: &[usize]| -> Vec<Vec<f64>> {
                let own = of.get(name).unwrap();
                let row = |latent: &usize| {
                    let places = own.declaration.of_latent(*latent);
                    places.map(|place| f64::from(own.values[place])).collect()
                };
                latents.iter().map(row).collect()
            };
            let norm = |row: &Vec<f64>| row.iter().map(|value| value * value).sum::<f64>().sqrt();
            let mean = |rows: &[Vec<f64>]| rows.iter().map(norm).sum::<f64>() / rows.len() as f64;
            let decoder = if tied { "w_enc" } else { "w_dec" };
            let size = if unit_norm { 1.0 } else { mean(&rows_of(&before, decoder, &living)) };
            let rows = rows_of(&after, decoder, &again);
            // The model makes of a sample what it did: those that started again were silent.
            let (_, x) = case.numbers(&before);
            let earlier = resampled(&case, engine, 4).3.with_parameters(before.clone());
            let x_hat = earlier.forward(&x, TRAINING).x_hat;
            let residuals: Vec<Vec<f64>> = x
                .chunks(case.inputs)
                .zip(x_hat.chunks(case.inputs))
                .map(|(x, x_hat)| x.iter().zip(x_hat).map(|(x, y)| f64::from(x - y)).collect())
                .collect();
            let mut taken = Vec::new();
            for row in &rows {
                assert!((norm(row) - size).abs() < 1e-5 * size, "{what}: {}", norm(row));
                let same = |of: &Vec<f64>| {
                    let dot: f64 = of.iter().zip(row).map(|(a, b)| a * b).sum();
                    dot / (norm(of) * norm(row)) > 0.99999
                };
                taken.push(residuals.iter().position(same).expect("the residual of a sample"));
            }
            let mut distinct = taken.clone();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(distinct.len(), 6, "{what}: {taken:?}");
            if !tied {
                let size = 0.2 * mean(&rows_of(&before, "w_enc", &living));
                for (column, row) in rows_of(&after, "w_enc", &again).iter().zip(&rows) {
                    let scale = norm(column) / norm(row);
                    assert!((norm(column) - size).abs() < 1e-5 * size, "{what}");
                    let pairs = column.iter().zip(row);
                    assert!(pairs.into_iter().all(|(c, r)| (c - scale * r).abs() < 1e-6), "{what}");
                }
            }
            assert!(rows_of(&after, "b_enc", &again).iter().all(|bias| bias == &[0.0]), "{what}");
            for entry in &moments.of_latents(&again).entries {
                assert!(entry.values.iter().all(|value| *value == 0.0), "{what}");
            }
            let other = resampled(&case, engine, 5).3.parameters().into_owned();
            assert_ne!(rows_of(&other, decoder, &again), rows, "{what}: any seed draws the same");
            let same = resampled(&case, engine, 4).3.parameters().into_owned();
            assert!(same == after, "{what}: again");
            of_engines.push(after);
        }
        let [right, got] = &of_engines[..] else { panic!("two engines") };
        let right: Vec<_> = right.cast::<f64>().entries.into_iter().map(|e| e.values).collect();
        tensors_agree("engines", got, &right, 1e-5, 1.0).unwrap();
    }
}

/// Wrong if latents started again at other steps than every so many, after the last, or where the loss is not finite.
#[test]
fn resampling_keeps_its_steps() {
    let section = auxiliaries("[{ kind = \"resample\", every = 2, until = 5 }]");
    let case = Case { dead: 10, ..CASE };
    let (built, none) = (architecture(&case.architecture()), penalty("kind = \"none\""));
    let definition = Definition {
        auxiliaries: &section.value,
        ..Definition::new(&*built.plugin, &*none.plugin)
    };
    for engine in ENGINES {
        let mut moved = Vec::new();
        for number in 0..8 {
            let (trainer, x) = trainer_of(definition, &case, sgd(), engine);
            let mut trainer = trainer.dead_after(1);
            let before = trainer.model.of_latents(&[0, 9]);
            trainer.step(Minibatch::clean(&x), Step { number, ..TRAINING }, 0.0);
            if trainer.model.of_latents(&[0, 9]) != before {
                moved.push(number + 1);
            }
        }
        assert_eq!(moved, [2, 4], "{engine:?}");
    }
}

/// Wrong if looking at what the model makes after a step moved what a penalty carries from step to step.
#[test]
fn looking_on_after_a_step_moves_no_state() {
    let case = Case { latents: 12, dead: 3, ..CASE };
    let built = architecture(&case.architecture());
    let penalty = penalty("kind = \"batch-largest\"\nk = 2");
    let section = auxiliaries("[{ kind = \"resample\", every = 1, until = 9 }]");
    for engine in ENGINES {
        let thresholds = |list: &[NamedAuxiliary]| {
            let definition = Definition {
                auxiliaries: list,
                ..Definition::new(&*built.plugin, &*penalty.plugin)
            };
            let (trainer, x) = trainer_of(definition, &case, sgd(), engine);
            let mut trainer = trainer.dead_after(case.batch);
            trainer.step(Minibatch::clean(&x), TRAINING, 0.0);
            let state = trainer.model.state.borrow().clone();
            (state.get("threshold").cloned(), trainer.model.of_latents(&[0]))
        };
        let (plain, asked) = (thresholds(&[]), thresholds(&section.value));
        assert_ne!(plain.1, asked.1, "{engine:?}: nothing started again");
        assert!(plain.0.is_some() && plain.0 == asked.0, "{engine:?}");
    }
}
