//! Tests of comparisons at budgets, on made-up tables of runs.

use tables::Table;

use super::*;
use crate::{Comparison, Comparisons, Question, THRESHOLDED};

/// A finished run of a method at a strength: its L0 and its errors with 1 and with 10 latents.
struct Run {
    penalty: &'static str,
    strength: f64,
    seed: i64,
    l0: Option<f64>,
    errors: [Option<f64>; 2],
}

/// Makes the runs of three seeds; errors grow a little with the seed.
fn runs(penalty: &'static str, strength: f64, l0: f64, errors: [f64; 2]) -> Vec<Run> {
    let run = |seed: i32| Run {
        penalty,
        strength,
        seed: seed.into(),
        l0: Some(l0),
        errors: errors.map(|error| Some(error + 1e-4 * f64::from(seed * seed))),
    };
    (0..3).map(run).collect()
}

/// `kl` is never 0 and better than `k` with one latent, but worse with ten.
fn two_methods() -> Vec<Run> {
    [
        runs("kl", 0.1, 0.0, [0.5, 0.4]),
        runs("kl", 1.0, 3.0, [0.3, 0.45]),
        runs("k", 5.0, 5.0, [0.6, 0.2]),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What the runs declare, with a baseline.
const DECLARATIONS: &str = "{\"test_e_at_1\":[\"lowest\",\"data\",\"\",{\"curve\":\"test_e_at_M\",\"latents\":1,\
    \"baseline\":[\"PCA\",\"pca_e_at_1\"]}],\"test_e_at_10\":[\"lowest\",\"data\",\"\",{\"curve\":\
    \"test_e_at_M\",\"latents\":10,\"baseline\":[\"PCA\",\"pca_e_at_10\"]}],\"test_mse\":[\"lowest\",\"data\"]}";

fn table(runs: &[Run]) -> Runs {
    let rows = runs.iter().map(|run| {
        let mut row = Table::default();
        let mut text = |name: &str, value: &str| {
            row.set(name, Values::Text(vec![Some(value.to_owned())]));
        };
        text("status", "done");
        text("dataset", "some");
        text("penalty", run.penalty);
        text("penalty_strength", &run.strength.to_string());
        text("metrics", DECLARATIONS);
        text("run_id", &format!("{}-{}-{}", run.penalty, run.strength, run.seed));
        text("l0_rule", if run.penalty == "kl" { "above" } else { "nonzero" });
        row.set("seed", Values::Whole(vec![Some(run.seed)]));
        let mut number = |name: &str, value: Option<f64>| {
            row.set(name, Values::Number(vec![value]));
        };
        number("test_l0", run.l0);
        number("test_mse", Some(0.1));
        number(THRESHOLDED, Some(0.2));
        number("test_e_at_1", run.errors[0]);
        number("test_e_at_10", run.errors[1]);
        number("pca_e_at_1", Some(0.7));
        number("pca_e_at_10", Some(if run.penalty == "kl" { 0.3 } else { 0.25 }));
        row
    });
    Runs::new(Table::union(rows))
}

fn compared(runs: &[Run], question: &Question) -> Comparisons {
    Comparisons::new(&table(runs), question)
}

/// The mean of a method at a place.
fn read(part: &Comparison, method: usize, at: f64) -> f64 {
    let reading = part.readings.iter().find(|one| one.method == method && one.at == at);
    reading.unwrap().interval().unwrap().mean
}

/// Wrong if codes that are never 0 were compared by what is left of them above a threshold though all runs were
/// measured at budgets, or if codes with L0 0 were left out of that.
#[test]
fn codes_that_are_never_zero_are_compared_with_the_same_number_of_latents() {
    let found = compared(&two_methods(), &Question::default());
    assert_eq!(found.metric, "test_e_at_10");
    let [part] = &found.parts[..] else { panic!("one comparison") };
    assert_eq!((part.metric.as_str(), &part.at[..]), ("test_e_at_M", &[1.0, 10.0][..]));
    assert_eq!((part.place(1.0), part.place(10.0)), ("1 latent".into(), "10 latents".into()));
    assert_eq!(part.metric_at(1.0), "test_e_at_1");
    let names: Vec<&str> = part.groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!((names, &part.never_zero[..]), (vec!["k", "kl"], &["kl".to_owned()][..]));
    // The best setting of each method, with another number of latents another one.
    let off = (0.0 + 1e-4 + 4e-4) / 3.0;
    for (method, at, expected) in [(0, 1.0, 0.6), (0, 10.0, 0.2), (1, 1.0, 0.3), (1, 10.0, 0.4)] {
        assert!((read(part, method, at) - expected - off).abs() < 1e-12);
    }
    let best: Vec<&[f64]> = part.groups[1].settings.iter().map(|one| &one.best_at[..]).collect();
    assert_eq!(best, [&[10.0][..], &[1.0][..]], "by L0: strength 0.1 and 1");
    assert!(part.groups[1].settings.iter().all(|one| one.is_on_front && one.is_read));
    // Where the models allow the baseline more or less, its best counts.
    assert_eq!(part.baseline_row(), Some(("PCA", vec![Some(0.7), Some(0.25)])));
    // Differences are the same for every seed: no chance.
    let winners: Vec<(f64, Option<usize>)> =
        part.pairs.iter().map(|pair| (pair.at, pair.winner)).collect();
    assert_eq!(winners, [(1.0, Some(1)), (10.0, Some(0))]);
    assert_eq!((part.silent, part.is_split, part.unread()), (0, false, None));
    let notes = part.notes(&found.by).join("\n");
    assert!(notes.contains("Codes of kl are never 0"), "{notes}");
}

/// Wrong if runs without codes that are never 0 were compared otherwise than before, or a metric that is named
/// were replaced.
#[test]
fn other_codes_and_other_questions_keep_their_axis() {
    let only_k: Vec<Run> = two_methods().into_iter().filter(|run| run.penalty == "k").collect();
    assert_eq!(compared(&only_k, &Question::default()).metric, "test_mse");
    let by_l0 = compared(&two_methods(), &Question { by_l0: true, ..Question::default() });
    assert_eq!(by_l0.metric, THRESHOLDED);
    assert!(by_l0.parts[0].budgets.is_none() && by_l0.parts[0].silent == 3);
    let notes = by_l0.parts[0].notes(&by_l0.by).join("\n");
    assert!(notes.contains("Codes of kl are never 0") && notes.contains("--metric test_e_at_10"));
    let named = Question { metric: Some(THRESHOLDED.to_owned()), ..Question::default() };
    assert!(compared(&two_methods(), &named).parts[0].budgets.is_none());
}

/// Wrong if runs that were not measured at budgets were left out without a word.
#[test]
fn all_runs_are_compared_or_the_axis_is_l0() {
    let mut runs = two_methods();
    runs[0].errors[1] = None;
    let found = compared(&runs, &Question::default());
    assert_eq!(found.metric, "test_e_at_1", "the nearest number that all have");
    assert!(found.left_out.is_empty());
    let at_10 = found.parts[0].readings.iter().find(|one| one.method == 1 && one.at == 10.0);
    // The seed that lacks it in one setting has it in another.
    assert_eq!(at_10.unwrap().seeds.len(), 3);
    runs[0].errors[0] = None;
    let found = compared(&runs, &Question::default());
    assert_eq!(found.metric, THRESHOLDED);
    let named = Question { metric: Some("test_e_at_10".to_owned()), ..Question::default() };
    let found = compared(&runs, &named);
    assert_eq!(found.left_out.get("without test_e_at_10"), Some(&1));
}

/// Wrong if a metric that was taken with a number of latents needed an L0.
#[test]
fn a_metric_at_a_budget_needs_no_l0() {
    let mut runs = two_methods();
    runs.iter_mut().for_each(|run| run.l0 = None);
    let named = Question { metric: Some("test_e_at_10".to_owned()), ..Question::default() };
    let found = compared(&runs, &named);
    let part = &found.parts[0];
    assert_eq!((part.metric.as_str(), &part.at[..]), ("test_e_at_10", &[10.0][..]));
    assert!(found.left_out.is_empty() && part.pairs[0].winner == Some(0));
    assert!(part.groups[0].settings[0].l0.mean.is_nan(), "it is not known");
    // A number that was not measured is said to be unread.
    let elsewhere = compared(&runs, &Question { at: vec![10.0, 7.0], ..named });
    assert_eq!(elsewhere.parts[0].at, [10.0, 7.0]);
    assert!(elsewhere.parts[0].unread().is_some());
}
