//! Sparsity: how many latents are active on the test part, and how strongly.
//!
//! - `test_l0`: the mean number of active latents of a sample: not 0, or, of codes that are never
//!   exactly 0, above the run's `l0_threshold`. `test_firing_rate` is its share of the latents.
//! - `test_dead_fraction`: the share of latents that are active on no sample.
//! - `test_mean_activation`: the mean of the signed code over samples and latents.
//! - `test_hoyer`: the mean over samples of (√m − ‖h‖₁ / ‖h‖₂) / (√m − 1), from 0 where all m latents
//!   are equal to 1 where one alone is not 0. Samples whose code is all zero are left out. It needs
//!   no threshold. Source: Hoyer 2004, JMLR 5.
//!
//! A latent's `firing_rate`, `mean_activation` and `max_activation` are over all test samples, and
//! `decoder_norm` is the length of its decoder row in the units of the data.

use framework::linkme::distributed_slice;
use framework::plugin::{
    EVALUATIONS, EvaluatedBatch, Evaluation, Measure, Measured, Plugin, Subject, When,
};
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sparsity {}

#[distributed_slice(EVALUATIONS)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Evaluation> = Plugin {
    name: "sparsity",
    about: "L0, dead latents and activations, of the whole code and of each latent",
    example: "",
    build: |settings| Ok(Box::new(settings.read::<Sparsity>()?)),
    schema: schema_of::<Sparsity>,
};

impl Evaluation for Sparsity {
    fn when(&self) -> When {
        When::EveryPoint
    }

    fn start(&self, subject: &Subject<'_>) -> Box<dyn Measure> {
        let silent = Latent { active: 0, sum: 0.0, max: f32::NEG_INFINITY };
        Box::new(Sums {
            samples: 0.0,
            latents: vec![silent; subject.latents],
            hoyer: 0.0,
            hoyers: 0.0,
        })
    }
}

/// What was seen of a latent.
#[derive(Clone)]
struct Latent {
    /// On how many samples it was active.
    active: u64,
    /// The sum of its values.
    sum: f64,
    /// The greatest of them.
    max: f32,
}

/// Sums over the samples seen.
struct Sums {
    samples: f64,
    latents: Vec<Latent>,
    /// The sum of Hoyer's measure, and over how many samples.
    hoyer: f64,
    hoyers: f64,
}

/// Hoyer's measure of a code that is not all zero; undefined for a single latent.
fn hoyer(code: &[f32]) -> Option<f64> {
    let squares: f64 = code.iter().map(|value| f64::from(*value).powi(2)).sum();
    let sum: f64 = code.iter().map(|value| f64::from(value.abs())).sum();
    let root = (code.len() as f64).sqrt();
    (squares > 0.0 && code.len() > 1).then(|| (root - sum / squares.sqrt()) / (root - 1.0))
}

impl Measure for Sums {
    fn batch(&mut self, subject: &Subject<'_>, batch: &EvaluatedBatch<'_>) {
        for code in batch.code.chunks_exact(subject.latents) {
            self.samples += 1.0;
            for (latent, value) in self.latents.iter_mut().zip(code) {
                latent.active += u64::from(subject.is_active(*value));
                latent.sum += f64::from(*value);
                latent.max = latent.max.max(*value);
            }
            if let Some(hoyer) = hoyer(code) {
                self.hoyer += hoyer;
                self.hoyers += 1.0;
            }
        }
    }

    fn finish(self: Box<Self>, subject: &Subject<'_>) -> Measured {
        let (samples, n_latents) = (self.samples, self.latents.len() as f64);
        let active: u64 = self.latents.iter().map(|latent| latent.active).sum();
        let dead = self.latents.iter().filter(|latent| latent.active == 0).count();
        let sum: f64 = self.latents.iter().map(|latent| latent.sum).sum();
        let seen = if samples > 0.0 { 1.0 } else { f64::NAN };

        let mut measured = Measured::default();
        measured.metric("test_l0", active as f64 / samples);
        measured.metric("test_firing_rate", active as f64 / samples / n_latents);
        measured.metric("test_dead_fraction", seen * dead as f64 / n_latents);
        measured.metric("test_mean_activation", sum / samples / n_latents);
        measured.metric("test_hoyer", self.hoyer / self.hoyers);

        let latents = &self.latents;
        let rate = latents.iter().map(|latent| latent.active as f64 / samples);
        measured.latent_column("firing_rate", rate);
        let mean = latents.iter().map(|latent| latent.sum / samples);
        measured.latent_column("mean_activation", mean);
        measured.latent_column("max_activation", latents.iter().map(|latent| latent.max.into()));
        measured.latent_column("decoder_norm", decoder_norms(subject));
        measured
    }
}

/// The length of each latent's decoder row; undefined where there are none.
fn decoder_norms(subject: &Subject<'_>) -> Vec<f64> {
    let norm = |row: &[f32]| row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    match subject.dictionary {
        Some(dictionary) => dictionary.chunks_exact(subject.inputs).map(norm).collect(),
        None => vec![f64::NAN; subject.latents],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::testing::{Case, Found, Samples, measure, uneven};

    fn case(latents: usize, code: &[f32]) -> Case {
        let test = Samples { code: code.to_vec(), ..Samples::default() };
        Case { latents, test, ..Case::default() }
    }

    #[test]
    fn a_case_by_hand() {
        let mut case = case(4, &[0.0, 2.0, -1.0, 0.0, 0.0, 4.0, 0.0, 0.0]);
        case.inputs = 2;
        case.dictionary = Some(vec![3.0, 4.0, 0.0, 0.0, 0.0, -2.0, 1.0, 0.0]);
        let found = measure(&PLUGIN, "", &case, 1);
        assert_eq!(found.value("test_l0"), Some(1.5));
        assert_eq!(found.value("test_firing_rate"), Some(0.375));
        assert_eq!(found.value("test_dead_fraction"), Some(0.5));
        assert_eq!(found.value("test_mean_activation"), Some(0.625));
        // (2 − 3 / √5) / (2 − 1) and 1.
        let hoyer = (2.0 - 3.0 / 5.0_f64.sqrt() + 1.0) / 2.0;
        assert!((found.value("test_hoyer").unwrap() - hoyer).abs() < 1e-15);
        assert_eq!(found.column("firing_rate"), [Some(0.0), Some(1.0), Some(0.5), Some(0.0)]);
        assert_eq!(found.column("mean_activation"), [Some(0.0), Some(3.0), Some(-0.5), Some(0.0)]);
        assert_eq!(found.column("max_activation"), [Some(0.0), Some(4.0), Some(0.0), Some(0.0)]);
        assert_eq!(found.column("decoder_norm"), [Some(5.0), Some(0.0), Some(2.0), Some(1.0)]);
    }

    #[test]
    fn a_threshold_decides_where_codes_are_never_zero() {
        let mut case = case(3, &[0.9, 0.1, 0.5, 0.6, 0.2, 0.4]);
        assert_eq!(measure(&PLUGIN, "", &case, 2).value("test_l0"), Some(3.0));
        case.l0_threshold = 0.5;
        let found = measure(&PLUGIN, "", &case, 2);
        assert_eq!(found.value("test_l0"), Some(1.0), "0.5 is not above 0.5");
        assert_eq!(found.value("test_dead_fraction"), Some(2.0 / 3.0));
    }

    #[test]
    fn hoyer_goes_from_0_for_equal_latents_to_1_for_one() {
        assert_eq!(hoyer(&[0.5; 4]), Some(0.0));
        assert_eq!(hoyer(&[0.0, -3.0, 0.0]), Some(1.0));
        assert_eq!(hoyer(&[0.0, 0.0]), None);
        assert_eq!(hoyer(&[7.0]), None);
        let found = measure(&PLUGIN, "", &case(2, &[0.0, 0.0, 0.0, 5.0]), 2);
        assert_eq!(found.value("test_hoyer"), Some(1.0), "the silent sample is left out");
        assert_eq!(measure(&PLUGIN, "", &case(1, &[3.0]), 2).value("test_hoyer"), None);
    }

    #[test]
    fn the_size_of_batches_does_not_matter() {
        let case = case(11, &uneven(1100));
        let all = measure(&PLUGIN, "", &case, 100);
        for batch in [1, 7, 99] {
            assert_eq!(measure(&PLUGIN, "", &case, batch), all);
        }
    }

    #[test]
    fn without_samples_or_a_dictionary_numbers_are_undefined() {
        let found = measure(&PLUGIN, "", &case(2, &[]), 2);
        assert!(found.metrics.iter().all(|metric| metric.value.is_none()));
        assert!(found.latents.iter().all(|column| column.values == [None, None]));
    }
}
