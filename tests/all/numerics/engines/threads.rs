//! The same bits every time, with any number of threads, where there is work for several.

use framework::engine::{FUSED, Minibatch};
use framework::model::{Definition, Mode, Parameters, Step};
use framework::plugin::{NamedAuxiliary, Penalty};
use framework::spec::{Optimizer, TrainObjective};
use framework::train::Trainer;

use super::thresholds::FORMS;
use super::{Case, NORM_WEIGHTED, Shrink, TRAINING, adam, sgd, training, with_dead};
use crate::support::models::{architecture, auxiliaries, model, model_of, penalty};

/// Several tiles of latents and several blocks of samples, none of them whole.
const CASE: Case = Case {
    batch: 130,
    inputs: 70,
    latents: 1100,
    activation: "relu",
    tied: false,
    decoder: "linear",
    objective: TrainObjective::Squared,
    subtract: true,
    unit_norm: false,
    dead: 100,
    seed: 7,
};

const EVALUATION: Step<'static> = Step { mode: Mode::Evaluate, ..TRAINING };

/// Bit patterns, so that −0 is not 0.
fn bits<'a>(values: impl IntoIterator<Item = &'a f32>) -> Vec<u32> {
    values.into_iter().map(|value| value.to_bits()).collect()
}

fn all(parameters: &Parameters<f32>) -> Vec<u32> {
    bits(parameters.entries.iter().flat_map(|entry| &entry.values))
}

/// Everything that three steps and an evaluation give, the last step on a short batch.
fn trained(
    case: &Case,
    definition: Definition<'_>,
    optimizer: Optimizer,
    threads: usize,
) -> (Vec<Vec<u32>>, Vec<[u64; 3]>) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let model = model_of(definition, case.inputs, 0);
        let (parameters, x) = coarse(case, &model.parameters());
        let model = model.with_parameters(parameters).on(FUSED);
        let mut trainer = with_dead(Trainer::new(model, optimizer));
        let mut bits_of = Vec::new();
        let mut losses = Vec::new();
        for x in [&x[..], &x, &x[..37 * case.inputs]] {
            let step = training(x.len() / case.inputs);
            let loss = trainer.step(Minibatch::clean(x), step, 1.0);
            let terms = loss.terms.iter().map(|term| term.raw).sum::<f64>();
            losses.push([loss.total, terms, loss.l0].map(f64::to_bits));
            let seen = trainer.model.forward(x, EVALUATION);
            bits_of.extend([bits(&*seen.code.view().to_dense()), bits(&seen.x_hat)]);
        }
        bits_of.extend([
            all(&trainer.model.parameters()),
            all(&trainer.model.first_moments().unwrap()),
        ]);
        (bits_of, losses)
    })
}

/// Numbers on a coarse grid, so that many pre-codes of a sample are the same.
fn coarse(case: &Case, parameters: &Parameters<f32>) -> (Parameters<f32>, Vec<f32>) {
    let (mut parameters, mut x) = case.numbers(parameters);
    let round = |value: &mut f32, to: f32| *value = (*value / to).round() * to;
    for entry in &mut parameters.entries {
        entry.values.iter_mut().for_each(|value| round(value, 0.125));
    }
    x.iter_mut().for_each(|value| round(value, 0.5));
    (parameters, x)
}

fn check(case: &Case, penalty: &dyn Penalty, optimizer: Optimizer, what: &str) {
    check_beside(case, penalty, &[], optimizer, what);
}

fn check_beside(
    case: &Case,
    penalty: &dyn Penalty,
    auxiliaries: &[NamedAuxiliary],
    optimizer: Optimizer,
    what: &str,
) {
    let built = architecture(&case.architecture());
    let definition = Definition { auxiliaries, ..Definition::new(&*built.plugin, penalty) };
    let once = trained(case, definition, optimizer, 1);
    for threads in [1, 2, 5] {
        let again = trained(case, definition, optimizer, threads);
        assert!(once == again, "{what}: other bits with {threads} threads: {case:?}");
    }
}

#[test]
fn repeats_are_bit_identical_with_any_number_of_threads() {
    for activation in ["relu", "sigmoid"] {
        for (at, text) in [
            "kind = \"none\"",
            "kind = \"l1\"\nlambda = 0.3",
            "kind = \"k-sparse\"\nk = 25",
            "kind = \"batch-top-k\"\nk = 25.5",
            "kind = \"matryoshka\"\nk = 25\nfractions = [0.1, 0.4, 1.0]",
            "kind = \"group-lasso\"\nlambda = 0.3\ngroup_size = 11",
            "kind = \"kl\"\nrho = 0.1\nbeta = 0.1",
            "kind = \"sparse-group-lasso\"\nlambda = 0.1\ngroup_lambda = 0.2\ngroup_size = 11",
            "kind = \"class-group-lasso\"\nlambda = 0.3",
            NORM_WEIGHTED,
        ]
        .into_iter()
        .enumerate()
        {
            let needs_relu = text.contains("batch-top-k") || text.contains("matryoshka");
            if needs_relu && activation != "relu" || text.contains("kl") && activation == "relu" {
                continue;
            }
            let penalty = penalty(text);
            for (optimizer, form) in [(sgd(), at), (adam(), at + 1)] {
                let tied = form % 2 == 0;
                let dead = if activation == "relu" { CASE.dead } else { 0 };
                let objective = TrainObjective::ALL[form % 3];
                let decoder = if form % 3 == 2 { "sigmoid" } else { CASE.decoder };
                let unit_norm = !tied;
                let case = Case { activation, tied, decoder, objective, unit_norm, dead, ..CASE };
                check(&case, &*penalty.plugin, optimizer, text);
            }
        }
    }
    check(&CASE, &Shrink, adam(), "another, on tape");
    // Few enough active latents for lists.
    let silent = Case { dead: 900, ..CASE };
    for text in [
        "kind = \"l1\"\nlambda = 0.3",
        "kind = \"group-lasso\"\nlambda = 0.3\ngroup_size = 4",
        "kind = \"class-group-lasso\"\nlambda = 0.3",
        NORM_WEIGHTED,
    ] {
        check(&silent, &*penalty(text).plugin, adam(), text);
    }
}

/// Wrong if the order of what thresholds learn depended on threads, in lists or dense.
#[test]
fn thresholds_are_bit_identical_with_any_number_of_threads() {
    for (text, seed) in FORMS.into_iter().flat_map(|text| [(text, 3), (text, 4), (text, 5)]) {
        let case = Case { activation: "identity", dead: 0, seed, tied: seed == 4, ..CASE };
        check(&case, &*penalty(text).plugin, adam(), text);
    }
}

/// Wrong if the order of sums of terms beside a penalty depended on threads.
#[test]
fn auxiliaries_are_bit_identical_with_any_number_of_threads() {
    let list = "[{ kind = \"contractive\", lambda = 0.1 }, { kind = \"class-group-lasso\", lambda = 0.1 }, \
                { kind = \"l1\", lambda = 0.1, norm_weighted = true }, \
                { kind = \"sparse-group-lasso\", lambda = 0.1, group_lambda = 0.2, group_size = 11 }, \
                { kind = \"weight-decay\", lambda = 0.1, norm = \"l1\" }]";
    let (section, none) = (auxiliaries(list), penalty("kind = \"none\""));
    for (activation, tied) in [("relu", false), ("sigmoid", true), ("tanh", false)] {
        let dead = if activation == "relu" { CASE.dead } else { 0 };
        let case = Case { activation, tied, dead, ..CASE };
        check_beside(&case, &*none.plugin, &section.value, adam(), activation);
    }
    let section = auxiliaries("[{ kind = \"auxk\", k = 7 }, { kind = \"auxk\", k = 90 }]");
    for latents in [CASE.latents, 2 * CASE.latents] {
        for text in ["kind = \"none\"", "kind = \"k-sparse\"\nk = 9"] {
            let case = Case { latents, ..CASE };
            check_beside(&case, &*penalty(text).plugin, &section.value, adam(), text);
        }
    }
}

/// Ties at the k-th largest, in whole rows and in tiles that different threads see: the lowest index
/// wins.
#[test]
fn ties_are_broken_alike_with_any_number_of_threads() {
    for latents in [CASE.latents, 2 * CASE.latents] {
        check_ties(&Case { activation: "identity", dead: 0, latents, ..CASE });
    }
}

fn check_ties(case: &Case) {
    const K: usize = 40;
    let built = architecture(&case.architecture());
    let nothing = penalty("kind = \"none\"");
    let k_sparse = penalty(&format!("kind = \"k-sparse\"\nk = {K}"));
    check(case, &*k_sparse.plugin, adam(), "k-sparse with ties");
    let by_size = penalty(&format!("kind = \"abs-top-k\"\nk = {K}"));
    check(case, &*by_size.plugin, adam(), "abs-top-k with ties");

    let start = |penalty| {
        let model = model(&*built.plugin, penalty, case.inputs, 0);
        let (parameters, x) = coarse(case, &model.parameters());
        (model.with_parameters(parameters).on(FUSED), x)
    };
    let (all, x) = start(&*nothing.plugin);
    let kept = start(&*k_sparse.plugin).0.forward(&x, TRAINING).code;
    let (all, kept) = (
        all.forward(&x, TRAINING).code.view().to_dense().into_owned(),
        kept.view().to_dense().into_owned(),
    );
    let mut ties = 0;
    for (all, kept) in all.chunks(case.latents).zip(kept.chunks(case.latents)) {
        let mut order: Vec<usize> = (0..case.latents).collect();
        order.sort_by(|a, b| all[*b].total_cmp(&all[*a]).then(a.cmp(b)));
        ties += usize::from(all[order[K - 1]] == all[order[K]]);
        let mut right = vec![0.0; case.latents];
        order[..K].iter().for_each(|at| right[*at] = all[*at]);
        assert_eq!(bits(kept), bits(&right));
    }
    assert!(ties > case.batch / 4, "only {ties} samples had ties");
}
