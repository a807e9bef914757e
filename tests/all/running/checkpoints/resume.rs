//! The same run in one attempt and in several.

use std::collections::BTreeMap;

use framework::engine::{FUSED, REFERENCE};
use framework::model::Definition;
use framework::model::Parameters;
use framework::plugin::{ARCHITECTURES, CORRUPTIONS, CodeFacts, Metric, sorted};
use framework::train::{Ended, HistoryRow, LossMeans, Wish};
use proptest::prelude::*;

use super::cases::{Cut, End, cases, penalties};
use super::{Plan, attempt, checkpoint_at, done, patched};
use crate::support::models::{architecture, penalty, runs};
use crate::support::strategies::config;

/// Everything that a run leaves, except times. Numbers are their bits, so that -0 is not 0.
#[derive(Debug, PartialEq)]
pub(super) struct Left {
    /// The loss and the number of active latents after each step.
    pub(super) curve: BTreeMap<usize, [u64; 2]>,
    pub(super) parameters: Vec<(String, Vec<u32>)>,
    pub(super) state: Vec<(String, Vec<u64>)>,
    pub(super) loss: LossBits,
    pub(super) history: Vec<(usize, usize, LossBits, Measured)>,
    pub(super) measured: Measured,
    pub(super) samples: usize,
}

/// The parts of a loss; those that a run lacks are `None`.
type LossBits = Vec<Option<u64>>;

type Measured = Vec<(String, Option<u64>)>;

fn bits(parameters: &Parameters<f32>) -> Vec<(String, Vec<u32>)> {
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect();
    let entries = parameters.entries.iter();
    entries.map(|entry| (entry.declaration.name.clone(), bits(&entry.values))).collect()
}

pub(super) fn left(ended: Ended<'_>, curve: BTreeMap<usize, [u64; 2]>) -> Left {
    let trained = done(ended);
    let means = |loss: LossMeans| {
        let LossMeans { total, reconstruction, penalty, penalty_raw, auxiliary, prior } = loss;
        let always = [total, reconstruction, penalty, penalty_raw].map(Some);
        always.into_iter().chain([auxiliary, prior]).map(|value| value.map(f64::to_bits)).collect()
    };
    let measured = |metrics: &[Metric]| -> Measured {
        metrics.iter().map(|metric| (metric.name.clone(), metric.value.map(f64::to_bits))).collect()
    };
    let row = |row: &HistoryRow| (row.epoch, row.step, means(row.loss), measured(&row.metrics));
    let state = trained.model.state.borrow();
    let of_state = |(name, values): (&String, &Vec<f64>)| {
        (name.clone(), values.iter().map(|value| value.to_bits()).collect())
    };
    Left {
        curve,
        parameters: bits(&trained.model.parameters()),
        state: state.iter().map(of_state).collect(),
        loss: means(trained.loss),
        history: trained.history.iter().map(row).collect(),
        measured: measured(&trained.measured.metrics),
        samples: trained.samples,
    }
}

/// An undisturbed run, and its number of steps.
fn undisturbed(text: &str) -> (Left, usize) {
    let mut plan = Plan::to_the_end();
    let ended = |ended: Ended<'_>| left(ended, BTreeMap::new());
    let found = attempt(text, None, &mut plan, ended);
    (Left { curve: plan.curve, ..found }, plan.steps)
}

/// The same run in several attempts.
fn interrupted(text: &str, steps: usize, cuts: &[Cut]) -> Left {
    let (mut at, mut from, mut curve) = (0, None, BTreeMap::new());
    for cut in cuts {
        if at == steps {
            break;
        }
        let end = (at + cut.does).min(steps);
        let wish = if cut.end == End::Killed { Wish::Abandon } else { Wish::Stop };
        let mut plan = Plan::new(at + cut.kept_after, (end, wish));
        if cut.end == End::Paused && end < steps {
            plan = Plan { pause: Some(end), ..Plan::new(at + cut.kept_after, (0, Wish::GoOn)) };
        }
        attempt(text, from.clone(), &mut plan, |ended| match (ended, wish) {
            (Ended::Stopped { step }, Wish::Stop) => assert_eq!(step, end),
            (Ended::Paused { step, metrics }, Wish::Stop) => {
                assert_eq!(step, end);
                assert!(!metrics.is_empty(), "nothing was measured");
            }
            (Ended::Abandoned { step }, Wish::Abandon) => assert_eq!(step, end),
            (Ended::Refused(why), _) => panic!("{why}"),
            _ => panic!("the attempt was to end at step {end}"),
        });
        assert_eq!(
            plan.curve.keys().copied().collect::<Vec<_>>(),
            (at + 1..=end).collect::<Vec<_>>()
        );
        curve.extend(plan.curve);
        if let Some((step, bytes)) = plan.kept {
            (at, from) = (step, Some(bytes));
        }
    }
    let mut plan = Plan::to_the_end();
    let found = attempt(text, from, &mut plan, |ended| left(ended, BTreeMap::new()));
    curve.extend(plan.curve);
    Left { curve, ..found }
}

proptest! {
    #![proptest_config(config(150))]

    /// Whatever is trained, and wherever and however often it is stopped or killed: the end, every step and
    /// every evaluation point equal those of an undisturbed run.
    #[test]
    fn a_run_in_several_attempts_is_the_run_in_one(case in cases()) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(case.threads).build().unwrap();
        let built = architecture(&case.architecture);
        let architecture = &*built.plugin;
        let facts =
            CodeFacts {
                latents: architecture.latents(),
                range: architecture.code_range(),
                classes: 3,
                offers: architecture.offers(),
            };
        for text in penalties() {
            let built = penalty(&text);
            if built.plugin.fits(&facts).is_err() {
                continue;
            }
            let of_run = &runs(&case.text(&text, REFERENCE)).1[0];
            let covers = (FUSED.covers)(&Definition::of(of_run)).is_ok();
            for engine in [REFERENCE, FUSED] {
                if engine == FUSED && !covers {
                    continue;
                }
                let text = case.text(&text, engine);
                let (right, steps) = pool.install(|| undisturbed(&text));
                let got = pool.install(|| interrupted(&text, steps, &case.cuts));
                prop_assert!(got == right, "{got:?}\nis not\n{right:?}\nof\n{text}");
            }
        }
    }
}

/// Wrong if a corruption kept anything from step to step, so that a resumed run saw other noise. It is tried on
/// images, which fit all of them.
#[test]
fn a_resumed_run_sees_the_noise_of_every_corruption_again() {
    for plugin in sorted(&CORRUPTIONS) {
        let (kind, settings) = (plugin.name, plugin.example);
        for engine in [FUSED, REFERENCE] {
            let engine = engine.name;
            let text = format!(
                "name = \"x\"\n[dataset]\nkind = \"digits\"\n[architecture]\nkind = \"dense\"\nlatents = 6\n\
                 [corruption]\nkind = \"{kind}\"\n{settings}\n[train]\nsteps = 9\nbatch = 16\n\
                 engine = \"{engine}\"\n[evaluate]\nkinds = [\"reconstruction\"]\n"
            );
            let (right, steps) = undisturbed(&text);
            let cuts = [Cut { does: 4, kept_after: 2, end: End::Killed }; 2];
            assert!(interrupted(&text, steps, &cuts) == right, "{kind} in the {engine} engine");
        }
    }
}

/// Wrong if a level, a kernel or their moments were left out of a checkpoint. It is tried on images, which fit all
/// architectures.
#[test]
fn a_resumed_run_goes_on_with_every_parameter_of_every_architecture() {
    for plugin in sorted(&ARCHITECTURES) {
        let (kind, settings) = (plugin.name, plugin.example);
        for optimizer in ["adam", "sgd"] {
            let text = format!(
                "name = \"x\"\n[dataset]\nkind = \"digits\"\n[architecture]\nkind = \"{kind}\"\n{settings}\n\
                 [train]\nsteps = 9\nbatch = 16\noptimizer = {{ kind = \"{optimizer}\", lr = 1e-3 }}\n\
                 [evaluate]\nkinds = [\"reconstruction\"]\n"
            );
            let (right, steps) = undisturbed(&text);
            let cuts = [Cut { does: 4, kept_after: 2, end: End::Killed }; 2];
            assert!(interrupted(&text, steps, &cuts) == right, "{kind} with {optimizer}");
        }
    }
}

/// Wrong if a run that began under an older definition of L0 mixed both counts in its history.
#[test]
fn what_was_counted_by_an_older_definition_is_not_taken_over() {
    let text = "name = \"x\"\n[dataset]\nkind = \"digits\"\n[architecture]\nkind = \"dense\"\nlatents = 12\n\
                activation = \"tanh\"\n[penalty]\nkind = \"l1\"\nlambda = 0.1\n[train]\nepochs = 3\n";
    let right = checkpoint_at(text, 25);
    let old = patched(&right, "versions", b'z');
    let history = |from| {
        let mut plan = Plan::to_the_end();
        attempt(text, from, &mut plan, |ended| done(ended).history)
    };
    let (whole, gone_on, cleared) = (history(None), history(Some(right)), history(Some(old)));
    for (at, row) in whole.iter().enumerate() {
        assert_eq!(row.metrics, gone_on[at].metrics, "step {}", row.step);
        for (right, found) in row.metrics.iter().zip(&cleared[at].metrics) {
            let is_counted = ["test_l0", "test_firing_rate", "test_dead_fraction"]
                .contains(&right.name.as_str())
                || right.name == "test_mse_thresholded";
            let is_old = is_counted && row.step <= 25;
            assert_eq!(
                found.value,
                right.value.filter(|_| !is_old),
                "{} at {}",
                right.name,
                row.step
            );
        }
    }
}
