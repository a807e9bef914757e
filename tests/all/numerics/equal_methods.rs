//! Methods that are equal on paper, or equal to no method at all, train alike.

use framework::model::{Definition, Mode, Step};
use framework::rand::RngExt;
use framework::random::Streams;
use framework::train::{Ended, LossMeans, Progress, train};

use crate::support::models::{
    Passed, Samples, architecture, data, parameters, pass, penalty, runs,
};

/// What a run comes to.
struct Left {
    parameters: Vec<f32>,
    loss: LossMeans,
}

impl Left {
    /// How far apart the parameters of two runs are at most.
    fn from(&self, other: &Self) -> f32 {
        assert_eq!(self.parameters.len(), other.parameters.len());
        let pairs = self.parameters.iter().zip(&other.parameters);
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }
}

/// What may lie between parameters of equal methods, where sums are in another order.
const ROUNDING: f32 = 1e-5;

/// Trains a small model on samples with labels.
fn trained(engine: &str, architecture: &str, penalty: &str, auxiliary: &str) -> Left {
    let text = format!(
        "name = \"equal\"\nauxiliary = [{auxiliary}]\n[dataset]\nkind = \"waves\"\nlabels = true\n\
         [architecture]\nkind = \"dense\"\nlatents = 12\n{architecture}\n[penalty]\n{penalty}\n\
         [train]\nepochs = 3\nbatch = 20\nengine = \"{engine}\"\n[evaluate]\nkinds = [\"peak\"]\n"
    );
    let (experiment, runs) = runs(&text);
    let ended =
        train(&runs[0], &*data(&runs[0]), &experiment.evaluate, None, &mut |_: &Progress| {});
    let Ended::Done(trained) = ended else { panic!("the run did not go to its end") };
    let own = trained.model.parameters();
    let parameters = own.entries.iter().flat_map(|entry| entry.values.iter().copied()).collect();
    Left { parameters, loss: trained.loss }
}

/// A section as an entry of a list.
fn entry(section: &str) -> String {
    format!("{{ {} }}", section.replace('\n', ", "))
}

/// Wrong if a term without weight moved anything: also not by another way through an engine.
#[test]
fn terms_of_strength_0_are_no_terms() {
    let penalties = [
        "kind = \"l1\"\nlambda = 0",
        "kind = \"l1\"\nlambda = 0\nnorm_weighted = true",
        "kind = \"kl\"\nrho = 0.1\nbeta = 0",
        "kind = \"group-lasso\"\nlambda = 0\ngroup_size = 3",
        "kind = \"sparse-group-lasso\"\nlambda = 0\ngroup_lambda = 0\ngroup_size = 3",
        "kind = \"class-group-lasso\"\nlambda = 0",
        "kind = \"p-annealing\"\nlambda = 0",
    ];
    let of_weights = [
        "kind = \"contractive\"\nlambda = 0",
        "kind = \"weight-decay\"\nlambda = 0",
        "kind = \"weight-decay\"\nlambda = 0\nnorm = \"l1\"",
        "kind = \"weight-decay\"\nlambda = 0\ndecoupled = true",
        "kind = \"weight-decay\"\nlambda = 0\nnorm = \"l1\"\ndecoupled = true",
    ];
    let none = "kind = \"none\"";
    for engine in ["fused", "reference"] {
        for activation in ["activation = \"relu\"", "activation = \"sigmoid\"\ntied = true"] {
            let plain = trained(engine, activation, none, "");
            let alike = |penalty: &str, list: &str| {
                let found = trained(engine, activation, penalty, list);
                let what = format!("{engine} {activation} {penalty} {list}");
                assert_eq!(found.from(&plain), 0.0, "{what}");
                assert_eq!(found.loss.reconstruction, plain.loss.reconstruction, "{what}");
                assert_eq!(found.loss.total, plain.loss.total, "{what}");
            };
            for penalty in penalties {
                let other = if activation.contains("sigmoid") { "p-annealing" } else { "kl" };
                if !penalty.contains(other) {
                    alike(penalty, "");
                    alike(none, &entry(penalty));
                }
            }
            of_weights.iter().for_each(|term| alike(none, &entry(term)));
            let some =
                trained(engine, activation, none, &entry(&of_weights[0].replace('0', "0.1")));
            assert!(some.from(&plain) > 1e-3, "{engine} {activation}");
        }
    }
}

/// Wrong if the contractive term of a linear code, whose Jacobian is its encoder, were another than the decay of
/// the encoder by lambda Σ w²; the decay's own lambda is halved.
#[test]
fn contractive_on_a_linear_code_is_weight_decay_of_the_encoder() {
    for engine in ["fused", "reference"] {
        for tied in [false, true] {
            let linear = format!("activation = \"identity\"\ntied = {tied}");
            let of = |list: &str| trained(engine, &linear, "kind = \"none\"", list);
            let contractive = of("{ kind = \"contractive\", lambda = 0.3 }");
            let decay = of("{ kind = \"weight-decay\", lambda = 0.6, of = \"encoder\" }");
            let what = format!("{engine}, tied = {tied}");
            assert!(contractive.from(&decay) < ROUNDING, "{what}: {}", contractive.from(&decay));
            let [one, other] = [&contractive, &decay].map(|left| left.loss.auxiliary.unwrap());
            assert!((one / other - 1.0).abs() < 1e-5 && one > 0.1, "{what}: {one} is not {other}");
            assert!(contractive.from(&of("")) > 1e-3, "{what}: the term does nothing");
            let other = of("{ kind = \"weight-decay\", lambda = 0.3, of = \"encoder\" }");
            assert!(contractive.from(&other) > 1e-3, "{what}: any weight would do");
        }
    }
}

/// Wrong if one half of the sparse group lasso were weighed by the other's weight, or did anything at weight 0.
#[test]
fn the_sparse_group_lasso_with_one_weight_is_one_of_its_halves() {
    for engine in ["fused", "reference"] {
        for activation in ["relu", "tanh"] {
            let activation = format!("activation = \"{activation}\"");
            let of = |penalty: &str| trained(engine, &activation, penalty, "");
            let both = |lambda: f64, group_lambda: f64| {
                of(&format!(
                    "kind = \"sparse-group-lasso\"\nlambda = {lambda:?}\ngroup_lambda = {group_lambda:?}\n\
                     group_size = 3"
                ))
            };
            let l1 = of("kind = \"l1\"\nlambda = 0.3");
            let groups = of("kind = \"group-lasso\"\nlambda = 0.3\ngroup_size = 3");
            assert!(l1.from(&groups) > 1e-3, "{engine} {activation}");
            for (found, right) in [(both(0.3, 0.0), l1), (both(0.0, 0.3), groups)] {
                let apart = found.from(&right);
                assert!(apart < ROUNDING, "{engine} {activation}: {apart}");
                let [one, other] = [&found, &right].map(|left| left.loss.penalty);
                assert!((one / other - 1.0).abs() < 1e-5, "{one} is not {other}");
            }
        }
    }
}

/// The loss of a sigmoid model whose decoder rows have norm 1, with a penalty; each sample is of its own class.
fn on_model(penalty_text: &str) -> (Passed, Vec<f64>) {
    const BATCH: usize = 6;
    let dense =
        architecture("kind = \"dense\"\nlatents = 4\nactivation = \"sigmoid\"\nunit_norm = true");
    let penalty = penalty(penalty_text);
    let definition = Definition::new(&*dense.plugin, &*penalty.plugin);
    let mut parameters = parameters(definition, 5);
    let w_dec = parameters.entries.iter_mut().find(|entry| entry.declaration.name == "w_dec");
    let rows = &mut w_dec.unwrap().values;
    for row in rows.chunks_mut(5) {
        let norm = row.iter().map(|w| w * w).sum::<f64>().sqrt();
        row.iter_mut().for_each(|w| *w /= norm);
    }
    let rows = rows.clone();
    let mut random = Streams::new(9).stream("data");
    let x = (0..BATCH * 5).map(|_| random.random_range(-1.0..1.0)).collect();
    let labels: Vec<u32> = (0..BATCH as u32).rev().collect();
    let step =
        Step { mode: Mode::Train, number: 0, progress: 0.0, steps: 0, labels: Some(&labels) };
    (pass(definition, &parameters, &Samples::new(x, 5), step), rows)
}

/// Wrong if groups of one, of latents or of samples, were another penalty than L1 up to the smoothing: codes are
/// far from 0, where √(h² + 1e-8) is at most 1e-7 above h.
#[test]
fn groups_of_one_are_l1() {
    let (l1, _) = on_model("kind = \"l1\"\nlambda = 0.7");
    assert!(l1.terms > 0.5);
    for text in [
        "kind = \"group-lasso\"\nlambda = 0.7\ngroup_size = 1",
        "kind = \"sparse-group-lasso\"\nlambda = 0.5\ngroup_lambda = 0.2\ngroup_size = 1",
        "kind = \"class-group-lasso\"\nlambda = 0.7",
    ] {
        let (groups, _) = on_model(text);
        let above = groups.terms - l1.terms;
        assert!((0.0..1e-6).contains(&above), "{text}: {above}");
        let pairs = groups.gradients.iter().flatten().zip(l1.gradients.iter().flatten());
        for (one, other) in pairs {
            assert!((one - other).abs() < 1e-6, "{text}: {one} is not {other}");
        }
    }
}

/// Wrong if a sum of codes to the power of 1 were another than L1; or if the penalty learnt otherwise as an auxiliary,
/// whose weight follows a running state of its own.
#[test]
fn p_annealing_that_ends_at_1_is_l1_and_may_stand_beside_others() {
    let (l1, _) = on_model("kind = \"l1\"\nlambda = 0.7");
    let (annealed, _) = on_model("kind = \"p-annealing\"\nlambda = 0.7\np_end = 1");
    assert!((annealed.terms - l1.terms).abs() < 1e-12 && l1.terms > 0.5);
    let pairs = annealed.gradients.iter().flatten().zip(l1.gradients.iter().flatten());
    pairs.for_each(|(one, other)| assert!((one - other).abs() < 1e-12, "{one} is not {other}"));
    for engine in ["fused", "reference"] {
        let of =
            |penalty: &str, list: &str| trained(engine, "activation = \"relu\"", penalty, list);
        let annealed = "kind = \"p-annealing\"\nlambda = 0.3";
        let (alone, none) = (of(annealed, ""), "kind = \"none\"");
        assert_eq!(of(none, &entry(annealed)).from(&alone), 0.0, "{engine}");
        assert!(of("kind = \"l1\"\nlambda = 0.3", "").from(&alone) > 1e-3, "{engine}: p stays");
    }
}

/// Wrong if rows of norm 1 changed what L1 costs or pulls codes by; to the rows themselves, only the weighted one
/// has a gradient, lambda · mean |hⱼ| along them.
#[test]
fn l1_weighted_by_norms_of_1_is_l1() {
    let (plain, rows) = on_model("kind = \"l1\"\nlambda = 0.7");
    let (weighted, _) = on_model("kind = \"l1\"\nlambda = 0.7\nnorm_weighted = true");
    assert!((weighted.terms - plain.terms).abs() < 1e-12);
    let [w_enc, b_enc, w_dec, b_dec] = [0, 1, 2, 3];
    for entry in [w_enc, b_enc, b_dec] {
        for (one, other) in weighted.gradients[entry].iter().zip(&plain.gradients[entry]) {
            assert!((one - other).abs() < 1e-12, "{entry}: {one} is not {other}");
        }
    }
    let mut sum = 0.0;
    let gradients = weighted.gradients[w_dec].chunks(5).zip(plain.gradients[w_dec].chunks(5));
    for ((weighted, plain), row) in gradients.zip(rows.chunks(5)) {
        let more: Vec<f64> = weighted.iter().zip(plain).map(|(one, other)| one - other).collect();
        let along: f64 = more.iter().zip(row).map(|(more, w)| more * w).sum();
        sum += along;
        more.iter().zip(row).for_each(|(more, w)| assert!((more - along * w).abs() < 1e-12));
    }
    assert!((sum - plain.terms).abs() < 1e-12, "{sum} is not {}", plain.terms);
}
