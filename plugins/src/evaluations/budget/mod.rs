//! Budget: how well a sample can be told by a few latents, the same number of every code. It compares codes
//! that no count of active latents compares, as those of sigmoid, tanh and bottlenecks are never 0.
//!
//! - `test_mse_at_M`: of each test sample the M latents that say most keep their values and all others rest;
//!   the mean of (x̂ − x)² over samples and inputs, after the mean residual of the first 10,000 training
//!   samples at the same M was added to x̂. So no latent at all is the mean sample, as of every method.
//! - `pca_mse_at_M`: the same of principal components of the training part: of each sample the M largest
//!   scores by magnitude, of as many components as there are latents, at most inputs.
//!
//! A latent rests at 0 where a code can be exactly 0, and else at the median of its values over the first
//! 10,000 training samples (of an even number the mean of the middle two). What a latent says is
//! |h − rest| · ‖d‖, d its decoder row; without such rows, the derivative of x̂ by h at rest. Of equal latents
//! the lowest index is kept.
//!
//! Sums are in f64, sample by sample. Where codes are never 0, those of 10,000 samples are held in memory,
//! four bytes a number.

mod components;
mod keep;
mod rest;

use std::num::NonZeroUsize;

use framework::linkme::distributed_slice;
use framework::plugin::{
    AtBudget, BaselineColumn, Best, Codes, Declared, EVALUATIONS, EvaluatedBatch, Evaluation,
    Measure, Measured, Plugin, Split, Subject, Title, When, Within,
};
use framework::spec::schema_of;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use components::component_errors;
use keep::KeptCodes;
use rest::Resting;

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BudgetSettings {
    /// Numbers of latents that keep their values, each once. Those above the number of latents are left out.
    #[serde(default = "from_one_to_hundred")]
    at: Vec<NonZeroUsize>,
}

fn from_one_to_hundred() -> Vec<NonZeroUsize> {
    [1, 2, 5, 10, 20, 50, 100].into_iter().filter_map(NonZeroUsize::new).collect()
}

struct Budget {
    /// Ascending.
    at: Vec<usize>,
}

#[distributed_slice(EVALUATIONS)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Evaluation> = Plugin {
    name: "budget",
    about: "error of the few latents that say most, the same number for every code, beside PCA's",
    example: "at = [1, 2]",
    build: |settings| {
        let BudgetSettings { at } = settings.read()?;
        let mut at: Vec<usize> = at.into_iter().map(NonZeroUsize::get).collect();
        at.sort_unstable();
        let help = "as in at = [1, 10, 100]";
        if at.is_empty() {
            let message = "expected at least one number of latents";
            return Err(vec![settings.problem("at", message).help(help)]);
        }
        if let Some(pair) = at.windows(2).find(|pair| pair[0] == pair[1]) {
            let message = format!("{} stands there twice", pair[0]);
            return Err(vec![settings.problem("at", message).help(help)]);
        }
        Ok(Box::new(Budget { at }))
    },
    schema: schema_of::<BudgetSettings>,
};

/// What stands in the name of the curve where metrics have the number of latents.
const CURVE_END: &str = "M";

/// Training samples that tell where latents rest and what is left over.
const TRAINING_ROWS: usize = 10_000;

/// Samples that are encoded or decoded at once.
const ROWS_AT_ONCE: usize = 256;

impl Evaluation for Budget {
    fn when(&self) -> When {
        When::End
    }

    fn within(&self, _: &str) -> Within {
        Within::Data
    }

    fn title(&self, column: &str, input: &str) -> Option<Title> {
        let (whose, latents) = column.split_once("_mse_at_")?;
        let error = format!("mean squared error per {input}");
        let with = |what: &str| match latents {
            "1" => format!("1 {what}"),
            some => format!("{some} {what}s"),
        };
        Some(match (whose, latents) {
            ("test", CURVE_END) => Title::new("MSE", error),
            ("test", _) => Title::new(
                format!("MSE with {}", with("latent")),
                format!("{error} with {} per sample", with("latent")),
            ),
            ("pca", _) => Title::new(
                format!("PCA with {}", with("component")),
                format!("{error} of PCA with {} per sample", with("component")),
            ),
            _ => return None,
        })
    }

    fn has_budgets(&self) -> bool {
        true
    }

    fn start(&self, subject: &Subject<'_>) -> Result<Box<dyn Measure>, String> {
        let at: Vec<usize> = self.at.iter().copied().filter(|m| *m <= subject.latents).collect();
        Ok(Box::new(BudgetErrors::new(at, subject)?))
    }
}

/// Squared errors at each budget over the samples seen.
struct BudgetErrors {
    /// Numbers of latents that keep their values, ascending, each at most the number of latents.
    at: Vec<usize>,
    resting: Resting,
    /// What is added to reconstructions: the mean residual of training samples, [budgets, inputs].
    residuals: Vec<Vec<f64>>,
    samples: usize,
    errors: Vec<f64>,
}

impl BudgetErrors {
    /// Finds where latents rest, and what is left over of training samples at each budget.
    fn new(at: Vec<usize>, subject: &Subject<'_>) -> Result<Self, String> {
        let (model, inputs) = (subject.model, subject.inputs);
        let rows: Vec<usize> = (0..subject.data.rows(Split::Train).min(TRAINING_ROWS)).collect();
        let (resting, known) = Resting::find(subject, &rows)?;
        let mut residuals = vec![vec![0.0; inputs]; at.len()];
        let mut known = known.into_iter();
        for rows in rows.chunks(ROWS_AT_ONCE) {
            let x = subject.samples(Split::Train, rows)?;
            let codes = known.next().unwrap_or_else(|| model.encode(&x));
            KeptCodes::new(codes.view(), &resting, &at).for_each(&at, |at, code| {
                let x_hat = model.decode(Codes::Dense { latents: subject.latents, values: code });
                for (x, x_hat) in x.chunks_exact(inputs).zip(x_hat.chunks_exact(inputs)) {
                    for ((sum, x), x_hat) in residuals[at].iter_mut().zip(x).zip(x_hat) {
                        *sum += f64::from(*x) - f64::from(*x_hat);
                    }
                }
            });
        }
        let share = 1.0 / rows.len().max(1) as f64;
        residuals.iter_mut().flatten().for_each(|sum| *sum *= share);
        let errors = vec![0.0; at.len()];
        Ok(Self { at, resting, residuals, samples: 0, errors })
    }
}

impl Measure for BudgetErrors {
    fn batch(&mut self, subject: &Subject<'_>, batch: &EvaluatedBatch<'_>) {
        let Self { at, resting, residuals, samples, errors } = self;
        let (inputs, latents) = (subject.inputs, subject.latents);
        *samples += batch.rows;
        KeptCodes::new(batch.code, resting, at).for_each(at, |at, code| {
            let x_hat = subject.model.decode(Codes::Dense { latents, values: code });
            let pairs = batch.x.par_chunks_exact(inputs).zip(x_hat.par_chunks_exact(inputs));
            let of_sample = |(x, x_hat)| squared_error(x, x_hat, &residuals[at]);
            let of_samples: Vec<f64> = pairs.map(of_sample).collect();
            of_samples.into_iter().for_each(|error| errors[at] += error);
        });
    }

    fn finish(self: Box<Self>, subject: &Subject<'_>) -> Result<Measured, String> {
        let Self { at, samples, errors, .. } = *self;
        let numbers = samples as f64 * subject.inputs as f64;
        let of_components = component_errors(subject, &at)?;
        let mut measured = Measured::default();
        for (at, m) in at.iter().enumerate() {
            let pca = of_components.as_ref().map_or(f64::NAN, |errors| errors[at]);
            let [test, of_pca] = ["test", "pca"].map(|whose| format!("{whose}_mse_at_{m}"));
            measured.metric(&*test, errors[at] / numbers);
            measured.metric(&*of_pca, pca);
            measured.declare(&*of_pca, Some(Best::Lowest), Within::Data);
            let baseline = BaselineColumn { method: "PCA".to_owned(), column: of_pca };
            let at = AtBudget {
                curve: format!("test_mse_at_{CURVE_END}"),
                latents: *m,
                baseline: Some(baseline),
            };
            let declared = Declared::new(Some(Best::Lowest), Within::Data);
            measured.declared.insert(test, Declared { at: Some(at), ..declared });
        }
        Ok(measured)
    }
}

/// ‖x̂ + residual − x‖².
fn squared_error(x: &[f32], x_hat: &[f32], residual: &[f64]) -> f64 {
    let all = x.iter().zip(x_hat).zip(residual);
    all.map(|((x, x_hat), residual)| f64::from(*x_hat) + residual - f64::from(*x))
        .map(|off| off * off)
        .sum()
}

#[cfg(test)]
mod tests;
