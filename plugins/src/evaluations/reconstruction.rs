//! Reconstruction: how close x̂ comes to x over the whole test part, in the units of the data.
//!
//! - `test_mse`: the mean of (x̂ − x)² over samples and inputs; `test_mse_thresholded`: the same of
//!   reconstructions from codes in which every latent that L0 does not count is 0.
//! - `test_explained_variance`: 1 − Σ‖x̂ − x‖² / Σ‖x − x̄‖², both sums over all samples, x̄ the mean
//!   sample. A mean of batches' or samples' own ratios would be another number.
//! - `test_cosine`: the mean of cos(x̂, x) over the samples where neither is 0.
//! - `test_reconstruction_bias`: Σ‖x̂‖² / Σ x·x̂; below 1 where reconstructions are too short. Source:
//!   Rajamanoharan et al. 2024, arXiv:2404.16014.
//!
//! Sums are in f64, sample by sample, so that results do not depend on the size of batches.

use framework::linkme::distributed_slice;
use framework::plugin::{
    EVALUATIONS, EvaluatedBatch, Evaluation, Measure, Measured, Plugin, Subject, When,
};
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Reconstruction {}

#[distributed_slice(EVALUATIONS)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Evaluation> = Plugin {
    name: "reconstruction",
    about: "mean squared error, explained variance, cosine and bias of reconstructions",
    example: "",
    build: |settings| Ok(Box::new(settings.read::<Reconstruction>()?)),
    schema: schema_of::<Reconstruction>,
};

impl Evaluation for Reconstruction {
    fn when(&self) -> When {
        When::EveryPoint
    }

    fn start(&self, subject: &Subject<'_>) -> Box<dyn Measure> {
        Box::new(Sums { mean: vec![0.0; subject.inputs], ..Sums::default() })
    }
}

/// Sums over the samples seen.
#[derive(Default)]
struct Sums {
    samples: f64,
    /// The mean sample so far, [inputs].
    mean: Vec<f64>,
    /// Σ‖x − x̄‖².
    variation: f64,
    /// Σ‖x̂ − x‖².
    error: f64,
    /// The same from thresholded codes.
    error_thresholded: f64,
    /// Σ‖x̂‖².
    length: f64,
    /// Σ x·x̂.
    product: f64,
    /// Σ cos(x̂, x), and over how many samples.
    cosine: f64,
    cosines: f64,
}

impl Sums {
    fn sample(&mut self, x: &[f32], x_hat: &[f32], x_hat_thresholded: &[f32]) {
        self.samples += 1.0;
        self.error += squared_distance(x, x_hat);
        self.error_thresholded += squared_distance(x, x_hat_thresholded);
        self.variation += self.move_mean(x);

        let (product, length, x_length) = (dot(x, x_hat), dot(x_hat, x_hat), dot(x, x));
        self.product += product;
        self.length += length;
        if length > 0.0 && x_length > 0.0 {
            self.cosine += product / (length.sqrt() * x_length.sqrt());
            self.cosines += 1.0;
        }
    }

    /// Takes a sample into the mean and returns what it adds to Σ‖x − x̄‖². Welford's update: there
    /// is no difference of two large sums, which would drown the variance of data far from 0.
    fn move_mean(&mut self, x: &[f32]) -> f64 {
        let share = 1.0 / self.samples;
        let mut added = 0.0;
        for (mean, x) in self.mean.iter_mut().zip(x) {
            let before = f64::from(*x) - *mean;
            *mean += before * share;
            added += before * (f64::from(*x) - *mean);
        }
        added
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
}

impl Measure for Sums {
    fn batch(&mut self, subject: &Subject<'_>, batch: &EvaluatedBatch<'_>) {
        let rows = |values| <[f32]>::chunks_exact(values, subject.inputs);
        let pairs = rows(batch.x).zip(rows(batch.x_hat)).zip(rows(batch.x_hat_thresholded));
        pairs.for_each(|((x, x_hat), thresholded)| self.sample(x, x_hat, thresholded));
    }

    fn finish(self: Box<Self>, subject: &Subject<'_>) -> Measured {
        let numbers = self.samples * subject.inputs as f64;
        let mut measured = Measured::default();
        measured.metric("test_mse", self.error / numbers);
        measured.metric("test_mse_thresholded", self.error_thresholded / numbers);
        measured.metric("test_explained_variance", 1.0 - self.error / self.variation);
        measured.metric("test_cosine", self.cosine / self.cosines);
        measured.metric("test_reconstruction_bias", self.length / self.product);
        measured
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::testing::{Case, Found, Samples, measure, uneven};

    fn case(inputs: usize, x: &[f32], x_hat: &[f32]) -> Case {
        let test = Samples { x: x.to_vec(), x_hat: x_hat.to_vec(), ..Samples::default() };
        Case { inputs, test, ..Case::default() }
    }

    fn metric(case: &Case, name: &str) -> Option<f64> {
        measure(&PLUGIN, "", case, 2).value(name)
    }

    #[test]
    fn a_case_by_hand() {
        // Means 2 and 1, so Σ‖x − x̄‖² = 1 + 1 + 1 + 1; errors (1, 0) and (0, 2), so Σ‖x̂ − x‖² = 5.
        let mut case = case(2, &[1.0, 0.0, 3.0, 2.0], &[2.0, 0.0, 3.0, 4.0]);
        case.test.x_hat_thresholded = vec![1.0, 0.0, 3.0, 1.0];
        assert_eq!(metric(&case, "test_mse"), Some(1.25));
        assert_eq!(metric(&case, "test_mse_thresholded"), Some(0.25));
        assert_eq!(metric(&case, "test_explained_variance"), Some(1.0 - 5.0 / 4.0));
        let cosine = (1.0 + 17.0 / (5.0 * 13.0_f64.sqrt())) / 2.0;
        assert!((metric(&case, "test_cosine").unwrap() - cosine).abs() < 1e-15);
        // ‖x̂‖² = 4 + 25, x·x̂ = 2 + 17.
        assert_eq!(metric(&case, "test_reconstruction_bias"), Some(29.0 / 19.0));
    }

    #[test]
    fn the_mean_explains_nothing_and_the_sample_itself_all_however_far_from_zero() {
        for offset in [0.0, 4096.0, 1e6] {
            let x: Vec<f32> =
                uneven(300).iter().map(|value| (8.0 * value).round() + offset).collect();
            let mut mean = [0.0_f64; 3];
            x.chunks_exact(3).for_each(|row| {
                mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += f64::from(*x) / 100.0);
            });
            let means: Vec<f32> = mean.map(|mean| mean as f32).repeat(100);
            let explained = metric(&case(3, &x, &means), "test_explained_variance").unwrap();
            assert!(explained.abs() < 1e-3, "{offset}: {explained}");
            assert_eq!(metric(&case(3, &x, &x), "test_explained_variance"), Some(1.0));
            assert_eq!(metric(&case(3, &x, &x), "test_mse"), Some(0.0));
            assert_eq!(metric(&case(3, &x, &x), "test_reconstruction_bias"), Some(1.0));

            // The variation by two passes, as the slow twin.
            let centred = |at: usize| f64::from(x[at]) - mean[at % 3];
            let variation: f64 = (0..300).map(|at| centred(at).powi(2)).sum();
            let zeros = metric(&case(3, &x, &[0.0; 300]), "test_explained_variance").unwrap();
            let squares: f64 = x.iter().map(|x| f64::from(*x).powi(2)).sum();
            assert!((zeros - (1.0 - squares / variation)).abs() < 1e-9 * squares / variation);
        }
    }

    #[test]
    fn the_size_of_batches_does_not_matter() {
        let case = case(7, &uneven(700), &uneven(705)[5..]);
        let all = measure(&PLUGIN, "", &case, 100);
        for batch in [1, 3, 64] {
            assert_eq!(measure(&PLUGIN, "", &case, batch), all);
        }
    }

    #[test]
    fn what_is_undefined_is_none() {
        let constant = case(1, &[2.0, 2.0], &[0.0, 0.0]);
        assert_eq!(metric(&constant, "test_mse"), Some(4.0));
        assert_eq!(metric(&constant, "test_explained_variance"), None);
        assert_eq!(metric(&constant, "test_cosine"), None);
        assert_eq!(metric(&constant, "test_reconstruction_bias"), None);
        let one_silent = case(1, &[2.0, 2.0], &[0.0, 3.0]);
        assert_eq!(metric(&one_silent, "test_cosine"), Some(1.0), "the silent sample is left out");
        assert_eq!(metric(&case(1, &[], &[]), "test_mse"), None);
    }
}
