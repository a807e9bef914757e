//! Reconstruction: how close x̂ comes to x over the whole test part, in the units of the data.
//!
//! - `test_mse`: the mean of (x̂ − x)² over samples and inputs; `test_mse_thresholded`: the same of
//!   reconstructions from codes in which every latent that L0 does not count is 0.
//! - `test_explained_variance`: 1 − Σ‖x̂ − x‖² / Σ‖x − x̄‖², both sums over all samples, x̄ the mean
//!   sample. A mean of batches' or samples' own ratios would be another number.
//! - `test_cosine`: the mean of cos(x̂, x) over the samples where neither is 0.
//! - `test_reconstruction_bias`: Σ‖x̂‖² / Σ x·x̂; below 1 where reconstructions are too short. Source:
//!   Rajamanoharan et al. 2024, arXiv:2404.16014.
//! - `test_norm_ratio`: the mean of ‖x̂‖ / ‖x‖ over the samples that are not 0, as SAELens's `l2_ratio`; below 1 where
//!   reconstructions shrink.
//! - `test_objective`, of models that were trained on another objective than the squared error: that
//!   objective, summed over inputs, mean over samples, in the units of the model.
//! - `test_jacobian`, of models of at most 4,096 latents whose architecture offers it: the mean of ‖∂h/∂x‖²_F, h
//!   the code after its activation and before any constraint, in the units of the model: how strongly codes
//!   follow small changes of a sample. What `contractive` keeps small. Where the constraint hides h, as with
//!   k-sparse after relu, it is measured at the end alone; so it is behind hidden layers, over at most 1,000 test
//!   samples, evenly spaced, as each takes milliseconds.
//! - `test_mse_corrupted`, of runs with a corruption: the MSE against the clean samples where those that are
//!   encoded are corrupted as in training. The noise of a test sample depends on its place in the test part
//!   alone, so it is the same in every run, whatever its seed, and at every evaluation point.
//!
//! Sums are in f64, sample by sample and within a sample in a fixed order, so that results depend
//! neither on the size of batches nor on the number of threads.

use framework::linkme::distributed_slice;
use framework::plugin::{
    ALIASES, Alias, Best, Declared, EVALUATIONS, EvaluatedBatch, Evaluation, Finding, L0Rule,
    Meant, Measure, Measured, Plugin, Revision, Subject, Title, When, Within,
};
use framework::spec::schema_of;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Reconstruction {}

#[distributed_slice(EVALUATIONS)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Evaluation> = Plugin {
    name: "reconstruction",
    about: "mean squared error, explained variance, cosine, bias and norm ratio of reconstructions",
    example: "",
    build: |settings| Ok(Box::new(settings.read::<Reconstruction>()?)),
    schema: schema_of::<Reconstruction>,
};

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["mse", "explained-variance", "fvu", "r2"],
    meant: Meant::Plugin { kind: "evaluation", name: "reconstruction" },
    about: r#"the mean squared error and the explained variance are measured by the evaluation `reconstruction`; what is minimized is `objective` under [train], by default "squared""#,
    lines: "",
};

impl Evaluation for Reconstruction {
    fn when(&self) -> When {
        When::EveryPoint
    }

    fn metrics(&self) -> &[Finding] {
        &[
            ("test_mse", Some(Best::Lowest)),
            ("test_mse_thresholded", Some(Best::Lowest)),
            ("test_explained_variance", Some(Best::Highest)),
            ("test_cosine", Some(Best::Highest)),
            ("test_reconstruction_bias", Some(Best::Value(1.0))),
            ("test_norm_ratio", Some(Best::Value(1.0))),
        ]
    }

    fn revisions(&self) -> &[Revision] {
        &[Revision { rule: L0Rule::Magnitude, columns: &["test_mse_thresholded"] }]
    }

    fn within(&self, _: &str) -> Within {
        Within::Data
    }

    fn title(&self, column: &str, input: &str) -> Option<Title> {
        let error = format!("mean squared error per {input}");
        Some(match column {
            "test_mse" => Title::new("MSE", error),
            "test_mse_thresholded" => {
                Title::new("MSE, inactive at 0", error + ", inactive latents set to 0")
            }
            "test_mse_corrupted" => Title::new("MSE from noisy", error + ", from noisy samples"),
            "test_explained_variance" => Title::new(
                "explained variance",
                "explained variance (1: all, 0: no more than the mean sample)",
            ),
            "test_cosine" => Title::new("cosine", "cosine of sample and reconstruction"),
            "test_reconstruction_bias" => {
                Title::new("bias", "size of reconstructions (1: as large as samples)")
            }
            "test_norm_ratio" => Title::new(
                "norm ratio",
                "length of a reconstruction over that of its sample (1: as long)",
            ),
            "test_objective" => {
                Title::new("objective", format!("objective per sample, summed over {input}s"))
            }
            "test_jacobian" => {
                Title::new("Jacobian", "squared norm of the code's derivative by the sample")
            }
            _ => return None,
        })
    }

    fn start(&self, _: &Subject<'_>) -> Result<Box<dyn Measure>, String> {
        Ok(Box::new(ErrorSums::default()))
    }
}

/// Sums over the samples seen.
#[derive(Default)]
struct ErrorSums {
    samples: f64,
    /// Σ‖x̂ − x‖².
    error: f64,
    /// The same from thresholded codes.
    error_thresholded: f64,
    /// The same from corrupted samples.
    error_corrupted: f64,
    /// Σ‖x̂‖².
    length: f64,
    /// Σ x·x̂.
    product: f64,
    /// Sum of the objective that was trained, where it is not the squared error.
    objective: Option<f64>,
    /// Σ‖∂h/∂x‖²_F, where it is known.
    jacobian: f64,
    /// How many samples that sum is of.
    jacobians: f64,
    /// Σ cos(x̂, x), and over how many samples.
    cosine: f64,
    cosines: f64,
    /// Σ ‖x̂‖ / ‖x‖, and over how many samples.
    norm_ratio: f64,
    norm_ratios: f64,
    /// The samples of a batch.
    rows: Vec<SampleErrors>,
}

/// What is summed over one sample.
#[derive(Clone, Copy, Default)]
struct SampleErrors {
    /// ‖x̂ − x‖².
    error: f64,
    /// The same from a thresholded code.
    error_thresholded: f64,
    /// The same from a corrupted sample.
    error_corrupted: f64,
    /// ‖x̂‖².
    length: f64,
    /// ‖x‖².
    x_length: f64,
    /// x·x̂.
    product: f64,
}

/// Sums over a sample are kept in so many parts, which vector instructions add to at once.
const LANES: usize = 8;

/// Number of latents of a model whose Jacobian is measured, at most.
const JACOBIAN_LATENTS: usize = 4096;

/// Samples that a thread takes at once.
const ROWS_AT_ONCE: usize = 64;

impl SampleErrors {
    fn new(x: &[f32], x_hat: &[f32], x_hat_thresholded: Option<&[f32]>) -> Self {
        let [mut error, mut length, mut x_length, mut product] = [[0.0; LANES]; 4];
        for_lanes(x, x_hat, |lane, x, x_hat| {
            error[lane] += (x_hat - x) * (x_hat - x);
            length[lane] += x_hat * x_hat;
            x_length[lane] += x * x;
            product[lane] += x * x_hat;
        });
        let [error, length, x_length, product] =
            [error, length, x_length, product].map(|lanes| lanes.iter().sum());
        let error_thresholded = x_hat_thresholded.map_or(error, |x_hat| {
            let mut error = [0.0; LANES];
            for_lanes(x, x_hat, |lane, x, x_hat| error[lane] += (x_hat - x) * (x_hat - x));
            error.iter().sum()
        });
        Self { error, error_thresholded, error_corrupted: 0.0, length, x_length, product }
    }
}

/// Calls `f` with every pair of numbers, in f64, and the lane that they belong to.
#[inline(always)]
fn for_lanes(a: &[f32], b: &[f32], mut f: impl FnMut(usize, f64, f64)) {
    let (a_lanes, a_rest) = a.as_chunks::<LANES>();
    let (b_lanes, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_lanes.iter().zip(b_lanes) {
        (0..LANES).for_each(|lane| f(lane, a[lane].into(), b[lane].into()));
    }
    let rest = a_rest.iter().zip(b_rest).enumerate();
    rest.for_each(|(lane, (a, b))| f(lane, (*a).into(), (*b).into()));
}

impl Measure for ErrorSums {
    fn batch(&mut self, subject: &Subject<'_>, batch: &EvaluatedBatch<'_>) {
        let inputs = subject.inputs;
        let row = |at: usize| at * inputs..(at + 1) * inputs;
        let corrupted = subject.model.reconstruct_corrupted(batch.x, batch.first);
        self.rows.resize(batch.rows, SampleErrors::default());
        self.rows.par_iter_mut().enumerate().with_min_len(ROWS_AT_ONCE).for_each(|(at, sums)| {
            let thresholded = batch.x_hat_thresholded.map(|x_hat| &x_hat[row(at)]);
            let (x, x_hat) = (&batch.x[row(at)], &batch.x_hat[row(at)]);
            *sums = SampleErrors::new(x, x_hat, thresholded);
            if let Some(x_hat) = &corrupted {
                sums.error_corrupted = SampleErrors::new(x, &x_hat[row(at)], None).error;
            }
        });
        let has_few_latents = subject.latents <= JACOBIAN_LATENTS;
        let norms = has_few_latents.then(|| subject.model.jacobian_norms(batch, subject.when));
        for of_sample in norms.flatten().into_iter().flatten() {
            self.jacobian += of_sample;
            self.jacobians += 1.0;
        }
        for of_sample in batch.objective.into_iter().flatten() {
            *self.objective.get_or_insert(0.0) += of_sample;
        }
        for row in &self.rows {
            self.samples += 1.0;
            self.error += row.error;
            self.error_thresholded += row.error_thresholded;
            self.error_corrupted += row.error_corrupted;
            self.length += row.length;
            self.product += row.product;
            if row.length > 0.0 && row.x_length > 0.0 {
                self.cosine += row.product / (row.length.sqrt() * row.x_length.sqrt());
                self.cosines += 1.0;
            }
            if row.x_length > 0.0 {
                self.norm_ratio += row.length.sqrt() / row.x_length.sqrt();
                self.norm_ratios += 1.0;
            }
        }
    }

    fn finish(self: Box<Self>, subject: &Subject<'_>) -> Result<Measured, String> {
        let numbers = self.samples * subject.inputs as f64;
        let explained = 1.0 - self.error / subject.test_spread.variation;
        let mut measured = Measured::default();
        measured.metric("test_mse", self.error / numbers);
        measured.metric("test_mse_thresholded", self.error_thresholded / numbers);
        measured.metric("test_explained_variance", explained);
        measured.metric("test_cosine", self.cosine / self.cosines);
        measured.metric("test_reconstruction_bias", self.length / self.product);
        measured.metric("test_norm_ratio", self.norm_ratio / self.norm_ratios);
        if let Some(objective) = self.objective {
            measured.metric("test_objective", objective / self.samples);
            measured.declare("test_objective", Some(Best::Lowest), Within::Training);
        }
        if self.jacobians > 0.0 {
            measured.metric("test_jacobian", self.jacobian / self.jacobians);
            measured.declare("test_jacobian", None, Within::Training);
        }
        if let Some(corruption) = subject.corruption {
            measured.metric("test_mse_corrupted", self.error_corrupted / numbers);
            // Another corruption makes it another number.
            let (best, how) = (Some(Best::Lowest), corruption.to_owned());
            let declared = Declared { how, ..Declared::new(best, Within::Data) };
            measured.declared.insert("test_mse_corrupted".to_owned(), declared);
        }
        Ok(measured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::testing::{ByName, Case, Samples, in_pool, measure, uneven};

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
        // ‖x̂‖ / ‖x‖ is 2 / 1 and 5 / √13.
        let ratio = (2.0 + 5.0 / 13.0_f64.sqrt()) / 2.0;
        assert!((metric(&case, "test_norm_ratio").unwrap() - ratio).abs() < 1e-15);
    }

    /// Wrong if the ratio were one of sums, which the mean sample makes 1 here, or if it said of the mean sample that
    /// it is as good as the sample itself: no sample is as long as the mean.
    #[test]
    fn the_mean_sample_has_the_mean_of_the_ratios_of_lengths() {
        let x = [1.0, 0.0, 3.0, 0.0, 0.0, 0.0];
        let mean = [2.0, 0.0].repeat(3);
        // 2 / 1 and 2 / 3; the sample that is 0 is left out.
        let ratio = metric(&case(2, &x, &mean), "test_norm_ratio").unwrap();
        assert!((ratio - 4.0 / 3.0).abs() < 1e-15, "{ratio}");
        assert_eq!(metric(&case(2, &x, &[0.0; 6]), "test_norm_ratio"), Some(0.0));
        assert_eq!(metric(&case(2, &x, &x), "test_norm_ratio"), Some(1.0));
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
            let centerd = |at: usize| f64::from(x[at]) - mean[at % 3];
            let variation: f64 = (0..300).map(|at| centerd(at).powi(2)).sum();
            let zeros = metric(&case(3, &x, &[0.0; 300]), "test_explained_variance").unwrap();
            let squares: f64 = x.iter().map(|x| f64::from(*x).powi(2)).sum();
            assert!((zeros - (1.0 - squares / variation)).abs() < 1e-9 * squares / variation);
        }
    }

    #[test]
    fn neither_the_size_of_batches_nor_the_number_of_threads_matters() {
        for inputs in [7, 24, 100] {
            let case = case(inputs, &uneven(200 * inputs), &uneven(201 * inputs)[inputs..]);
            let all = measure(&PLUGIN, "", &case, 200);
            for (batch, threads) in [(1, 1), (3, 2), (200, 3), (64, 1)] {
                assert_eq!(in_pool(threads, || measure(&PLUGIN, "", &case, batch)), all);
            }
        }
    }

    /// Wrong if it were there where it is not known, or the mean were over batches.
    #[test]
    fn the_jacobian_is_a_mean_over_samples_where_it_is_known() {
        let mut case = case(1, &[1.0, 2.0, 3.0], &[0.0, 0.0, 0.0]);
        let found = |case: &Case| measure(&PLUGIN, "", case, 2);
        assert!(found(&case).metrics.iter().all(|metric| metric.name != "test_jacobian"));
        case.test.jacobian_norms = vec![1.0, 2.5, 4.0];
        assert_eq!(found(&case).value("test_jacobian"), Some(2.5));
        let declared = &found(&case).declared["test_jacobian"];
        assert_eq!((declared.best, declared.within), (None, Within::Training));
        case.latents = 4097;
        assert!(found(&case).metrics.iter().all(|metric| metric.name != "test_jacobian"));
    }

    /// Wrong if runs on the squared error had a new column, or the mean were over batches.
    #[test]
    fn the_objective_is_a_mean_over_samples_where_it_is_not_the_squared_error() {
        let mut case = case(1, &[1.0, 2.0, 3.0], &[0.0, 0.0, 0.0]);
        let found = |case: &Case| measure(&PLUGIN, "", case, 2);
        assert!(found(&case).metrics.iter().all(|metric| metric.name != "test_objective"));
        case.test.objective = vec![1.0, 2.5, 4.0];
        assert_eq!(found(&case).value("test_objective"), Some(2.5));
        let declared = &found(&case).declared["test_objective"];
        assert_eq!((declared.best, declared.within), (Some(Best::Lowest), Within::Training));
    }

    #[test]
    fn what_is_undefined_is_none() {
        let constant = case(1, &[2.0, 2.0], &[0.0, 0.0]);
        assert_eq!(metric(&constant, "test_mse"), Some(4.0));
        assert_eq!(metric(&constant, "test_explained_variance"), None);
        assert_eq!(metric(&constant, "test_cosine"), None);
        assert_eq!(metric(&constant, "test_reconstruction_bias"), None);
        let zero = case(1, &[0.0, 0.0], &[1.0, 3.0]);
        assert_eq!(metric(&zero, "test_norm_ratio"), None);
        let one_silent = case(1, &[2.0, 2.0], &[0.0, 3.0]);
        assert_eq!(metric(&one_silent, "test_cosine"), Some(1.0), "the silent sample is left out");
        assert_eq!(metric(&case(1, &[], &[]), "test_mse"), None);
    }
}
