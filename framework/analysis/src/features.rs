//! Latents of one model: when each is active, its direction, and the latents that are like it.

use std::collections::BTreeMap;

use framework::evaluate::{Evaluator, InputBall};
use framework::plugin::{Data, L0Rule, Split};
use framework::train::Model;
use rayon::prelude::*;
use serde::Serialize;

use crate::profile::{CollectedValues, LatentProfile};
use crate::statistics::dictionaries::{directions, product};

/// Latents of a model, measured on the test part of its data.
pub struct Features {
    /// Entries, one a latent.
    pub latents: Vec<Latent>,
    /// Latents that were asked for in full, by index.
    pub profiles: BTreeMap<usize, LatentProfile>,
    /// Number of test samples.
    pub samples: usize,
    /// Rule by which its latents count as active.
    pub l0_rule: L0Rule,
    /// Decoder rows in the units of the data, [latents, inputs]; `None` if the model has none.
    pub dictionary: Option<Vec<f32>>,
    /// Inputs that activate latents most, in the units of the data, by latent: those that were searched.
    pub preferred: BTreeMap<usize, Vec<f32>>,
    /// Decoder rows scaled to length 1.
    directions: Option<Vec<f32>>,
    inputs: usize,
}

/// One latent.
#[derive(Clone, Debug, Serialize)]
pub struct Latent {
    /// Index of the latent.
    pub latent: usize,
    /// Share of samples on which it is active.
    pub firing_rate: f64,
    /// Mean of its signed value over all samples.
    pub mean_activation: f64,
    /// Greatest value over all samples.
    pub max_activation: f64,
    /// Norm of its decoder row.
    pub decoder_norm: Option<f64>,
    /// Samples with its greatest values, greatest first; among equal values, the first sample. Only values
    /// above 0 count. Where L0 counts both signs alike, samples are ranked by absolute value instead.
    pub top: Vec<Example>,
    /// Relation to the classes of the samples, if they have classes.
    pub class: Option<Association>,
    /// Share of its activation, the sum of its absolute values, that is on samples of the class with most of it;
    /// `None` without classes, or if it is 0 on every sample.
    pub class_selectivity: Option<f64>,
}

/// A test sample with the value of a latent on it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Example {
    /// Row of the sample in the test part.
    pub sample: usize,
    /// Value of the latent.
    pub value: f32,
    /// Class of the sample.
    pub class: Option<u32>,
}

/// Relation of a latent to the classes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Association {
    /// Class with the greatest mean activation over its samples; the first of equal ones.
    pub class: u32,
    /// Mean activation over the samples of this class.
    pub mean_activation: f64,
    /// Mutual information, in bits, between "the latent is active" and the class: 0 if one says nothing
    /// about the other, at most 1.
    pub information: f64,
}

/// A latent that is like another one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Neighbor {
    /// Index of the latent.
    pub latent: usize,
    /// Cosine of the two decoder rows.
    pub cosine: f64,
}

/// Sums for one latent over the samples seen so far.
#[derive(Clone)]
struct LatentSums {
    active: u64,
    sum: f64,
    max: f32,
    /// Number of values that went into `max`; all other values are 0.
    seen: u64,
    top: Vec<Example>,
    /// For each class, the number of samples on which the latent is active and the sum of its values.
    classes: Vec<(u64, f64)>,
    /// For each class, the sum of its absolute values.
    absolute: Vec<f64>,
}

impl Features {
    /// Measures a model on the test part, in batches of `batch` samples. Keeps the `top` strongest samples
    /// of each latent, and measures those in `in_full` in full.
    ///
    /// # Errors
    /// If the data cannot be read.
    pub fn of(
        model: &Model<'_>,
        data: &dyn Data,
        batch: usize,
        top: usize,
        in_full: &[usize],
    ) -> Result<Self, String> {
        let mut sizes = vec![0_u64; data.class_names().len()];
        for label in data.labels(Split::Test).into_iter().flatten() {
            if let Some(size) = sizes.get_mut(*label as usize) {
                *size += 1;
            }
        }
        let empty = LatentSums {
            active: 0,
            sum: 0.0,
            max: f32::NEG_INFINITY,
            seen: 0,
            top: Vec::new(),
            classes: vec![(0, 0.0); sizes.len()],
            absolute: vec![0.0; sizes.len()],
        };
        let mut sums = vec![empty; model.latents()];
        let (mut samples, mut dictionary, inputs) = (0, None, model.input.0);
        let mut l0_rule = L0Rule::Nonzero;
        let mut collected: BTreeMap<usize, CollectedValues> =
            in_full.iter().map(|latent| (*latent, CollectedValues::default())).collect();
        Evaluator::new(data, batch).each_batch(model, Split::Test, &mut |subject, batch| {
            if samples == 0 {
                dictionary = subject.model.dictionary().map(<[f32]>::to_vec);
                l0_rule = subject.l0_rule;
            }
            batch.code.for_each_nonzero(|row, latent, value| {
                let class = batch.labels.map(|labels| labels[row]);
                let example = Example { sample: samples + row, value, class };
                sums[latent].add(example, subject.l0_rule, top);
                if let Some(values) = collected.get_mut(&latent) {
                    let known = class.filter(|class| (*class as usize) < sizes.len());
                    values.add(value, known, subject.l0_rule);
                }
            });
            samples += batch.rows;
        })?;
        let latents = sums.into_iter().enumerate();
        let latents = latents.map(|(at, sums)| {
            let row = dictionary.as_ref().map(|all| &all[at * inputs..(at + 1) * inputs]);
            sums.latent(at, samples as u64, row, &sizes)
        });
        let latents = latents.collect();
        let directions = dictionary.as_ref().map(|rows| directions(rows, inputs));
        let profiles = collected.into_iter();
        let profiles =
            profiles.map(|(latent, values)| (latent, values.profile(samples, &sizes))).collect();
        let preferred = BTreeMap::new();
        Ok(Self { latents, profiles, samples, l0_rule, dictionary, preferred, directions, inputs })
    }

    /// Searches the inputs that activate some latents most, if the model has no decoder rows.
    ///
    /// # Errors
    /// If the data cannot be read.
    pub fn search_preferred(
        &mut self,
        model: &Model<'_>,
        data: &dyn Data,
        latents: &[usize],
    ) -> Result<(), String> {
        if self.dictionary.is_none() {
            let found = InputBall::of(data, &model.normalizer)?.preferred(model, latents);
            let inputs = found.chunks_exact(self.inputs.max(1)).map(<[f32]>::to_vec);
            self.preferred.extend(latents.iter().copied().zip(inputs));
        }
        Ok(())
    }

    /// Returns the decoder row of a latent; `None` if the model has none.
    pub fn row(&self, latent: usize) -> Option<&[f32]> {
        self.dictionary.as_ref()?.chunks_exact(self.inputs).nth(latent)
    }

    /// Returns the `count` latents whose decoder rows have the greatest cosine with that of `latent`,
    /// greatest first. Returns none if the model has no decoder rows.
    pub fn nearest(&self, latent: usize, count: usize) -> Vec<Neighbor> {
        let Some(rows) = &self.directions else { return Vec::new() };
        let row = |at: usize| &rows[at * self.inputs..(at + 1) * self.inputs];
        let others = (0..self.latents.len()).into_par_iter().filter(|other| *other != latent);
        let mut all: Vec<Neighbor> = others
            .map(|other| Neighbor { latent: other, cosine: product(row(latent), row(other)) })
            .collect();
        all.sort_by(|a, b| b.cosine.total_cmp(&a.cosine).then(a.latent.cmp(&b.latent)));
        all.truncate(count);
        all
    }
}

impl LatentSums {
    /// Adds the value of the latent on one sample.
    fn add(&mut self, example: Example, rule: L0Rule, top: usize) {
        let value = example.value;
        let is_active = rule.is_active(value);
        self.active += u64::from(is_active);
        self.sum += f64::from(value);
        self.max = self.max.max(value);
        self.seen += 1;
        if let Some((active, sum)) =
            example.class.and_then(|class| self.classes.get_mut(class as usize))
        {
            *active += u64::from(is_active);
            *sum += f64::from(value);
        }
        if let Some(sum) = example.class.and_then(|class| self.absolute.get_mut(class as usize)) {
            *sum += f64::from(value).abs();
        }
        // Samples come in order, so an equal value goes after those already kept.
        let strength = |value: f32| if rule == L0Rule::Above { value } else { value.abs() };
        let at = self.top.partition_point(|known| strength(known.value) >= strength(value));
        if strength(value) > 0.0 && at < top {
            self.top.truncate(top - 1);
            self.top.insert(at, example);
        }
    }

    /// Turns the sums into the final numbers of the latent.
    fn latent(self, latent: usize, samples: u64, row: Option<&[f32]>, sizes: &[u64]) -> Latent {
        let count = samples.max(1) as f64;
        let max = if self.seen < samples { self.max.max(0.0) } else { self.max };
        let norm = |row: &[f32]| row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>();
        Latent {
            latent,
            firing_rate: self.active as f64 / count,
            mean_activation: self.sum / count,
            max_activation: f64::from(max),
            decoder_norm: row.map(|row| norm(row).sqrt()),
            class: association(&self.classes, sizes),
            class_selectivity: selectivity(&self.absolute),
            top: self.top,
        }
    }
}

/// Relates a latent to the classes. `classes` holds, for each class, the number of samples on which the
/// latent is active and the sum of its values; `sizes` holds the number of samples.
fn association(classes: &[(u64, f64)], sizes: &[u64]) -> Option<Association> {
    let means = classes.iter().zip(sizes).enumerate().filter(|(_, (_, size))| **size > 0);
    let means = means.map(|(class, ((_, sum), size))| (class as u32, sum / *size as f64));
    let (class, mean_activation) =
        means.reduce(|best, next| if next.1 > best.1 { next } else { best })?;
    let active = classes.iter().map(|(active, _)| *active);
    let silent = classes.iter().zip(sizes).map(|((active, _), size)| size - active);
    let information = information(&[active.collect::<Vec<_>>(), silent.collect::<Vec<_>>()]);
    Some(Association { class, mean_activation, information })
}

/// Returns the share of the greatest of these sums; `None` if all are 0.
fn selectivity(sums: &[f64]) -> Option<f64> {
    let all: f64 = sums.iter().sum();
    (all > 0.0).then(|| sums.iter().copied().fold(0.0, f64::max) / all)
}

/// Returns the mutual information, in bits, of the rows and columns of a table of counts.
fn information(counts: &[Vec<u64>; 2]) -> f64 {
    let total: u64 = counts.iter().flatten().sum();
    let mut bits = 0.0;
    for row in counts {
        let of_row: u64 = row.iter().sum();
        for (column, count) in row.iter().enumerate().filter(|(_, count)| **count > 0) {
            let of_column: u64 = counts.iter().map(|row| row[column]).sum();
            let joint = *count as f64 / total as f64;
            let ratio = *count as f64 * total as f64 / (of_row as f64 * of_column as f64);
            bits += joint * ratio.log2();
        }
    }
    bits.max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(classes: usize) -> LatentSums {
        LatentSums {
            active: 0,
            sum: 0.0,
            max: f32::NEG_INFINITY,
            seen: 0,
            top: Vec::new(),
            classes: vec![(0, 0.0); classes],
            absolute: vec![0.0; classes],
        }
    }

    /// Wrong if the order of samples decides which are shown, except among equal values, or if a latent that is
    /// active below 0, as after identity, had no example there.
    #[test]
    fn the_values_of_greatest_size_are_kept_in_order() {
        let mut sums = sums(0);
        for (sample, value) in [1.0, 3.0, -5.0, 2.0, 3.0, 0.5].into_iter().enumerate() {
            sums.add(Example { sample, value, class: None }, L0Rule::Nonzero, 3);
        }
        let latent = sums.latent(7, 10, Some(&[3.0, 4.0]), &[]);
        let top: Vec<usize> = latent.top.iter().map(|example| example.sample).collect();
        assert_eq!(top, [2, 1, 4]);
        assert_eq!((latent.firing_rate, latent.max_activation), (0.6, 3.0));
        assert!((latent.mean_activation - 0.45).abs() < 1e-12);
        assert_eq!((latent.decoder_norm, latent.class), (Some(5.0), None));
    }

    /// Wrong if a strongly negative latent counts as dead, or has no examples.
    #[test]
    fn where_both_signs_count_alike_examples_are_the_strongest() {
        let mut sums = sums(0);
        for (sample, value) in [0.4, -1.0, 0.6, -0.6, -0.4].into_iter().enumerate() {
            sums.add(Example { sample, value, class: None }, L0Rule::Magnitude, 3);
        }
        let latent = sums.latent(0, 5, None, &[]);
        let top: Vec<(usize, f32)> = latent.top.iter().map(|one| (one.sample, one.value)).collect();
        assert_eq!(top, [(1, -1.0), (2, 0.6), (3, -0.6)]);
        assert_eq!(latent.firing_rate, 0.6);
    }

    #[test]
    fn where_a_value_is_not_listed_it_is_0_and_without_room_no_example_is_kept() {
        let mut some = sums(0);
        some.add(Example { sample: 0, value: -1.0, class: None }, L0Rule::Nonzero, 0);
        assert_eq!(some.clone().latent(0, 2, None, &[]).max_activation, 0.0);
        let latent = some.latent(0, 1, None, &[]);
        assert!(latent.max_activation == -1.0 && latent.top.is_empty());
    }

    #[test]
    fn selectivity_for_a_class_by_hand() {
        assert_eq!(selectivity(&[0.0, 3.0, 0.0]), Some(1.0));
        assert_eq!(selectivity(&[1.0, 1.0, 2.0]), Some(0.5));
        assert_eq!((selectivity(&[0.0, 0.0]), selectivity(&[])), (None, None));
    }

    /// Has 4 samples of class 0 and 4 of class 1. A latent that is active on one class alone tells the
    /// class, and a latent that is active on half of each tells nothing.
    #[test]
    fn information_about_classes_by_hand() {
        let alone = association(&[(0, 0.0), (4, 6.0)], &[4, 4]).unwrap();
        assert_eq!(alone, Association { class: 1, mean_activation: 1.5, information: 1.0 });
        let nothing = association(&[(2, 1.0), (2, 1.0)], &[4, 4]).unwrap();
        assert_eq!((nothing.class, nothing.information), (0, 0.0));
        // Active on 1 of 2 and 0 of 2: H(1/4) - H(1/2) / 2 = 0.8113 - 0.5.
        let half = association(&[(1, 1.0), (0, 0.0)], &[2, 2]).unwrap();
        assert!((half.information - 0.311_278_124).abs() < 1e-8, "{}", half.information);
        assert_eq!(association(&[], &[]), None);
        assert_eq!(association(&[(0, 0.0), (1, -1.0)], &[0, 1]).unwrap().class, 1);
    }
}
