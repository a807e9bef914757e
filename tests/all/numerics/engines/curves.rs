//! Whole runs in both engines.

use framework::plugin::{CORRUPTIONS, sorted};
use framework::train::{Ended, Progress, train};

use crate::support::models::{data, runs};

/// How far the losses of a step are apart at most, of the loss. Rounding makes some 4e-6 of it in 200
/// steps of Adam; near-ties of k-sparse that turn out otherwise would make more, there are none here.
const CURVE: f64 = 1e-4;

/// The progress of every step of the only run of an experiment.
fn curve(engine: &str, rest: &str) -> Vec<Progress> {
    let text = format!(
        "name = \"curves\"\n[dataset]\nkind = \"digits\"\n\
         [train]\nsteps = 200\nbatch = 64\nengine = \"{engine}\"\n{rest}\n\
         [evaluate]\nkinds = [\"reconstruction\"]\nevery = 1000\n"
    );
    let (experiment, runs) = runs(&text);
    let [run] = &*runs else { panic!("one run, not {}", runs.len()) };
    let mut curve = Vec::new();
    let watch = &mut |at: &Progress| curve.push(*at);
    let ended = train(run, &*data(run), &experiment.evaluate, None, watch);
    let Ended::Done(trained) = ended else { panic!("the run did not go to its end") };
    assert_eq!(trained.model.engine().name, engine);
    curve
}

/// Both curves, and how far they are apart at most, of the loss.
fn compare(rest: &str) -> (Vec<Progress>, f64) {
    let (fused, reference) = (curve("fused", rest), curve("reference", rest));
    let apart = |(a, b): (&Progress, &Progress)| ((a.loss - b.loss) / b.loss).abs();
    let largest = fused.iter().zip(&reference).map(apart).fold(0.0, f64::max);
    assert_eq!((fused.len(), reference.len()), (200, 200));
    (fused, largest)
}

/// The loss of each of 200 steps, for every penalty with every activation that it fits.
#[test]
fn loss_curves_are_those_of_the_definition() {
    for activation in ["identity", "relu", "sigmoid", "tanh"] {
        let mut penalties = vec![
            "kind = \"none\"",
            "kind = \"l1\"\nlambda = 0.1",
            "kind = \"k-sparse\"\nk = 6",
            "kind = \"group-lasso\"\nlambda = 0.1\ngroup_size = 4",
        ];
        if matches!(activation, "sigmoid" | "tanh") {
            penalties.push("kind = \"kl\"\nrho = 0.1\nbeta = 0.1");
        }
        for (at, penalty) in penalties.into_iter().enumerate() {
            let tied = at % 2 == 1;
            let corruption =
                if at < 2 { "kind = \"none\"" } else { "kind = \"gaussian\"\nsigma = 0.2" };
            let rest = format!(
                "[architecture]\nkind = \"dense\"\nlatents = 48\nactivation = \"{activation}\"\n\
                 tied = {tied}\n[penalty]\n{penalty}\n[corruption]\n{corruption}"
            );
            let (_, apart) = compare(&rest);
            assert!(apart <= CURVE, "{apart:e} apart:\n{rest}");
        }
    }
}

/// L1 that starts with half of the latents active and ends with few: codes are kept dense first,
/// then as lists, and nobody can tell when.
#[test]
fn a_run_goes_from_dense_codes_to_lists_unnoticed() {
    const LATENTS: f64 = 96.0;
    for form in ["", "tied = true", "subtract_decoder_bias = true", "unit_norm = true"] {
        let rest = format!(
            "optimizer = {{ kind = \"adam\", lr = 3e-3 }}\n\
             [architecture]\nkind = \"dense\"\nlatents = {LATENTS}\n{form}\n\
             [penalty]\nkind = \"l1\"\nlambda = 0.5"
        );
        let (fused, apart) = compare(&rest);
        let density: Vec<f64> = fused.iter().map(|at| at.l0 / LATENTS).collect();
        assert!(density[0] > 0.45 && density[199] < 0.2, "{} to {}", density[0], density[199]);
        assert!(apart <= CURVE, "{apart:e} apart:\n{rest}");
    }
}

/// Wrong if an engine saw other noise than the other, or a corruption made numbers that are not finite. Those
/// that need images get them.
#[test]
fn every_corruption_is_the_same_noise_in_both_engines() {
    for plugin in sorted(&CORRUPTIONS) {
        let (kind, settings) = (plugin.name, plugin.example);
        let rest = format!(
            "[architecture]\nkind = \"dense\"\nlatents = 24\n[penalty]\nkind = \"l1\"\nlambda = 0.1\n\
             [corruption]\nkind = \"{kind}\"\n{settings}"
        );
        let (fused, apart) = compare(&rest);
        assert!(fused.iter().all(|at| at.loss.is_finite()), "{kind}");
        assert!(apart <= CURVE, "{apart:e} apart:\n{rest}");
    }
}
