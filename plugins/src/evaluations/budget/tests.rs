//! Tests of the whole evaluation on values small enough to check by hand.

use framework::plugin::Evaluation;

use super::*;
use crate::support::testing::{ByName, Case, Samples, in_pool, measure, settings, uneven};

/// Samples of `inputs` numbers whose code is their first `latents` ones, as [`Case`] codes them.
fn samples(x: &[f32], inputs: usize, latents: usize) -> Samples {
    let code = x.chunks_exact(inputs).flat_map(|x| x[..latents].to_vec()).collect();
    Samples { x: x.to_vec(), code, ..Samples::default() }
}

/// A model that decodes a code as it is, and fills it up with zeros.
fn case(inputs: usize, latents: usize, train: &[f32], test: &[f32]) -> Case {
    let [train, test] = [train, test].map(|x| samples(x, inputs, latents));
    Case { inputs, latents, train, test, ..Case::default() }
}

fn number(case: &Case, at: &str, name: &str) -> f64 {
    measure(&PLUGIN, &format!("at = {at}"), case, 2).value(name).unwrap()
}

#[track_caller]
fn is_near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-12, "{found} is {expected}");
}

#[test]
fn a_case_by_hand() {
    let case = case(2, 2, &[1.0, 0.0, 3.0, 4.0], &[2.0, 1.0, 1.0, -3.0]);
    // Of (1, 0) the first latent is kept, and of (3, 4) the second: residuals (0, 0) and (3, 0). With their
    // mean (1.5, 0), (2, 1) becomes (3.5, 0) and (1, −3) becomes (1.5, −3): errors 1.5² + 1² and 0.5².
    is_near(number(&case, "[2, 1]", "test_mse_at_1"), 3.5 / 4.0);
    is_near(number(&case, "[2, 1]", "test_mse_at_2"), 0.0);
    // Components (1, 2)/√5 and (2, −1)/√5 around (2, 2). The scores of (0, −1) have squares 0.8 and 0.2,
    // those of (−1, −5) have 24.2 and 1.8.
    is_near(number(&case, "[1]", "pca_mse_at_1"), 2.0 / 4.0);
    is_near(number(&case, "[1, 2]", "pca_mse_at_2"), 0.0);
}

/// Wrong if latents that are never 0 rested there, or were ranked by their values.
#[test]
fn latents_that_are_never_zero_rest_at_their_median() {
    let train = [0.0, 1.0, 2.0, 5.0, 4.0, 1.0, 6.0, 1.0];
    let case = Case { rests_at_zero: false, ..case(2, 2, &train, &[3.0, 9.0, 8.0, 2.0]) };
    // They rest at (3, 1). Only (2, 5) is not told by one latent: (3, 5) remains, and a mean residual of
    // (−0.25, 0). So (3, 9) becomes (2.75, 9), and (8, 2) becomes (7.75, 1).
    is_near(number(&case, "[1]", "test_mse_at_1"), (0.0625 + 0.0625 + 1.0) / 4.0);
    // The same with a latent that is 0 in the test sample: it does not rest, though lists leave it out.
    let case = Case { test: samples(&[0.0, 2.0], 2, 2), ..case };
    is_near(number(&case, "[1]", "test_mse_at_1"), (0.0625 + 1.0) / 2.0);
}

/// Wrong if a tie went to another latent, or decoder rows had no weight.
#[test]
fn ties_go_to_the_lowest_latent_and_long_decoder_rows_count_more() {
    let three = case(3, 3, &[0.0; 3], &[2.0, -2.0, 2.0]);
    is_near(number(&three, "[1]", "test_mse_at_1"), 8.0 / 3.0);
    is_near(number(&three, "[2]", "test_mse_at_2"), 4.0 / 3.0);
    let two = |weight| Case {
        dictionary: Some(vec![0.0, 1.0, weight, 0.0]),
        ..case(2, 2, &[0.0; 2], &[4.0, 2.0])
    };
    is_near(number(&two(1.0), "[1]", "test_mse_at_1"), 4.0 / 2.0);
    is_near(number(&two(-3.0), "[1]", "test_mse_at_1"), 16.0 / 2.0);
    // A product of 4 on either side.
    is_near(number(&two(2.0), "[1]", "test_mse_at_1"), 4.0 / 2.0);
}

/// A budget of nothing, which settings refuse.
static NOTHING: Plugin<dyn Evaluation> = Plugin {
    name: "nothing",
    about: "",
    example: "",
    build: |_| Ok(Box::new(Budget { at: vec![0] })),
    schema: schema_of::<BudgetSettings>,
};

/// Wrong if a method that tells nothing were not the mean of the first 10,000 training samples, or more of
/// them counted.
#[test]
fn nothing_is_the_mean_sample() {
    for rests_at_zero in [true, false] {
        let mut train = [1.0, 5.0].repeat(5_000);
        train.extend([1e6, -1e6]);
        let case = Case { rests_at_zero, ..case(1, 1, &train, &[4.0, 2.0, 3.0]) };
        let found = measure(&NOTHING, "", &case, 2);
        is_near(found.value("test_mse_at_0").unwrap(), 2.0 / 3.0);
    }
}

/// Wrong if all latents together were another reconstruction than the whole code's, but for the mean of what
/// is left over.
#[test]
fn all_latents_are_the_whole_code() {
    let (train, test) = (uneven(50 * 4), uneven(90 * 4)[50 * 4..].to_vec());
    for rests_at_zero in [true, false] {
        let case = Case { rests_at_zero, ..case(4, 3, &train, &test) };
        // The last input has no latent: x̂ is 0 there.
        let left: f64 = train.chunks_exact(4).map(|x| f64::from(x[3]) / 50.0).sum();
        let errors = test.chunks_exact(4).map(|x| (f64::from(x[3]) - left).powi(2));
        is_near(number(&case, "[3]", "test_mse_at_3"), errors.sum::<f64>() / 160.0);
    }
}

/// Wrong if more latents told less of training-like samples, or batches and threads mattered.
#[test]
fn more_latents_tell_more_whatever_the_batch() {
    let x = uneven(300 * 9);
    let case = Case { rests_at_zero: false, ..case(9, 6, &x, &x) };
    let text = "at = [1, 2, 3, 4, 5, 6]";
    let found = measure(&PLUGIN, text, &case, 7);
    for kind in ["test", "pca"] {
        let errors = (1..=6).map(|m| found.value(&format!("{kind}_mse_at_{m}")).unwrap());
        assert!(errors.collect::<Vec<f64>>().is_sorted_by(|a, b| a > b), "{kind}: {found:?}");
    }
    for (batch, threads) in [(1, 1), (300, 3)] {
        assert_eq!(in_pool(threads, || measure(&PLUGIN, text, &case, batch)), found);
    }
}

/// Wrong if PCA had more components than the model has latents, or fewer than it has inputs.
#[test]
fn components_are_as_many_as_latents() {
    let x = uneven(60 * 5);
    let of = |latents| number(&case(5, latents, &x, &x), "[1, 2]", "pca_mse_at_2");
    // Of two components two are kept, which is the best plane; of five, two of each sample's own choice.
    assert!(of(5) < of(3) && of(3) < of(2));
    // More latents than inputs, all of which PCA keeps.
    let wide = Case { latents: 7, ..case(5, 5, &x, &x) };
    let wide = Case {
        train: Samples { x: x.clone(), ..Samples::default() },
        test: Samples { x: x.clone(), code: vec![0.0; 60 * 7], ..Samples::default() },
        ..wide
    };
    assert_eq!(number(&wide, "[6]", "pca_mse_at_6"), 0.0);
}

#[test]
fn budgets_above_the_latents_are_left_out_and_nonsense_is_refused() {
    let case = case(2, 2, &[1.0, 0.0], &[2.0, 1.0]);
    let names = |text: &str| -> Vec<String> {
        measure(&PLUGIN, text, &case, 2).metrics.into_iter().map(|metric| metric.name).collect()
    };
    assert_eq!(names(""), ["test_mse_at_1", "pca_mse_at_1", "test_mse_at_2", "pca_mse_at_2"]);
    assert!(names("at = [3]").is_empty());
    for (text, problem) in [
        ("at = []", "expected at least one number of latents"),
        ("at = [2, 1, 2]", "2 stands there twice"),
        ("at = [0]", "0"),
        ("at = [1.5]", "1.5"),
    ] {
        let found = (PLUGIN.build)(&settings(text)).err().unwrap();
        assert!(found.iter().any(|one| format!("{one:?}").contains(problem)), "{text}: {found:?}");
    }
}

/// Wrong if comparisons did not know that the numbers are points of one curve, and what PCA's are called; or if
/// the name that the user gives were not in all of them.
#[test]
fn its_metrics_are_points_of_a_curve() {
    let case = case(2, 2, &[1.0, 0.0], &[2.0, 1.0]);
    let found = measure(&PLUGIN, "", &case, 2);
    let at = found.declared["test_mse_at_2"].at.clone().unwrap();
    assert_eq!((at.curve.as_str(), at.latents), ("test_mse_at_M", 2));
    assert_eq!(at.baseline.unwrap().column, "pca_mse_at_2");
    assert!(found.declared.values().all(|one| one.best == Some(Best::Lowest)));
    assert!(found.declared["pca_mse_at_2"].at.is_none());
}
