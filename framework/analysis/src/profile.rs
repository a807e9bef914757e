//! One latent in full: how its values are spread over the test samples and over the classes.

use serde::Serialize;

use framework::plugin::L0Rule;

/// Values of one latent on the test samples.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LatentProfile {
    /// Number of samples on which it is exactly 0.
    pub zeros: usize,
    /// Numbers of samples on which its other values lie in ranges of equal width, lowest first.
    pub histogram: Vec<ActivationBin>,
    /// Its values on the samples of each class that has some.
    pub classes: Vec<ClassActivation>,
}

/// Range of values of a latent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ActivationBin {
    /// Lowest value of the range.
    pub from: f64,
    /// End of the range; belongs to the next one, except in the last range.
    pub to: f64,
    /// Number of samples with a value in the range.
    pub samples: usize,
}

/// Values of a latent on the samples of a class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassActivation {
    /// Class of the samples.
    pub class: u32,
    /// Number of samples.
    pub samples: u64,
    /// Mean of its signed value.
    pub mean_activation: f64,
    /// Share of the samples on which it is active.
    pub firing_rate: f64,
}

/// Values of a latent, collected over the samples.
#[derive(Clone, Debug, Default)]
pub(crate) struct CollectedValues {
    /// Values other than 0.
    values: Vec<f32>,
    /// For each class, the number of samples on which it is active and the sum of its values.
    classes: Vec<(u64, f64)>,
}

impl CollectedValues {
    /// Adds a value, other than 0, on a sample of a class.
    pub fn add(&mut self, value: f32, class: Option<u32>, rule: L0Rule) {
        self.values.push(value);
        let Some(class) = class.map(|class| class as usize) else { return };
        if self.classes.len() <= class {
            self.classes.resize(class + 1, (0, 0.0));
        }
        let (active, sum) = &mut self.classes[class];
        *active += u64::from(rule.is_active(value));
        *sum += f64::from(value);
    }

    /// Sums up. `sizes` holds the number of samples of each class.
    pub fn profile(&self, samples: usize, sizes: &[u64]) -> LatentProfile {
        let classes = sizes.iter().enumerate().filter(|(_, size)| **size > 0);
        let classes = classes.map(|(class, size)| {
            let (active, sum) = self.classes.get(class).copied().unwrap_or_default();
            ClassActivation {
                class: class as u32,
                samples: *size,
                mean_activation: sum / *size as f64,
                firing_rate: active as f64 / *size as f64,
            }
        });
        LatentProfile {
            zeros: samples - self.values.len(),
            histogram: histogram(&self.values),
            classes: classes.collect(),
        }
    }
}

/// Number of ranges of a histogram, at least, unless all values are equal; at most about twice as many.
const RANGES: f64 = 10.0;

/// Counts values in ranges whose ends are round numbers. Values that are not finite are left out.
fn histogram(values: &[f32]) -> Vec<ActivationBin> {
    let finite = || values.iter().map(|value| f64::from(*value)).filter(|value| value.is_finite());
    let (Some(low), Some(high)) = (finite().reduce(f64::min), finite().reduce(f64::max)) else {
        return Vec::new();
    };
    let step = round_step((high - low) / RANGES);
    // Values that differ by nothing, or by less than their own precision, are one range.
    if low + step == low || high + step == high {
        return vec![ActivationBin { from: low, to: high, samples: finite().count() }];
    }
    let first = (low / step).floor();
    let count = ((high / step - first).ceil() as usize).max(1);
    // The product has fewer digits than a sum of steps.
    let edge = |at: usize| (first + at as f64) * step;
    let mut bins: Vec<ActivationBin> = (0..count)
        .map(|at| ActivationBin { from: edge(at), to: edge(at + 1), samples: 0 })
        .collect();
    for value in finite() {
        let at = ((value / step - first) as usize).min(count - 1);
        bins[at].samples += 1;
    }
    bins
}

/// Returns 1, 2 or 5 times a power of ten, the greatest that is at most `width`; 0 if `width` is not above 0.
fn round_step(width: f64) -> f64 {
    if width.is_nan() || width <= 0.0 {
        return 0.0;
    }
    let power = 10_f64.powf(width.log10().floor());
    let times = [5.0, 2.0].into_iter().find(|times| times * power <= width).unwrap_or(1.0);
    times * power
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if a sample were in no range or in two, or if zeros were hidden in one.
    #[test]
    fn every_sample_is_a_zero_or_in_one_range() {
        let mut values = CollectedValues::default();
        for value in [0.05, 0.1, 0.95, 0.5, 0.55, f32::NAN] {
            values.add(value, None, L0Rule::Nonzero);
        }
        let profile = values.profile(10, &[]);
        assert_eq!((profile.zeros, profile.classes.len()), (4, 0));
        let samples: usize = profile.histogram.iter().map(|bin| bin.samples).sum();
        assert_eq!(samples, 5, "NaN is in no range");
        let first = &profile.histogram[0];
        assert!(first.from <= 0.05 && first.samples > 0, "{first:?}");
        let last = &profile.histogram[profile.histogram.len() - 1];
        assert!(last.to >= 0.95 && last.samples == 1, "{last:?}");
        assert!((10..=21).contains(&profile.histogram.len()), "{}", profile.histogram.len());
        assert!(profile.histogram.windows(2).all(|two| two[0].to == two[1].from));
    }

    /// Wrong if one value, or two that only differ in their last digit, gave endless ranges or none.
    #[test]
    fn equal_values_are_one_range() {
        let next = f32::from_bits(1e8_f32.to_bits() + 1);
        for values in [&[0.3][..], &[-2.0, -2.0], &[1e8, next], &[f32::MAX, f32::MIN], &[1e-40]] {
            let bins = histogram(values);
            assert!((1..=21).contains(&bins.len()), "{values:?}: {}", bins.len());
            assert_eq!(bins.iter().map(|bin| bin.samples).sum::<usize>(), values.len());
        }
        assert!(histogram(&[]).is_empty());
    }

    #[test]
    fn classes_have_means_over_all_their_samples() {
        let mut values = CollectedValues::default();
        values.add(0.75, Some(2), L0Rule::Above);
        values.add(0.25, Some(2), L0Rule::Above);
        let profile = values.profile(9, &[3, 0, 4]);
        let of = |class, samples, mean_activation, firing_rate| ClassActivation {
            class,
            samples,
            mean_activation,
            firing_rate,
        };
        assert_eq!(profile.classes, [of(0, 3, 0.0, 0.0), of(2, 4, 0.25, 0.25)]);
    }

    #[test]
    fn steps_are_round() {
        for (width, step) in [(0.09, 0.05), (0.5, 0.5), (1.99, 1.0), (30.0, 20.0), (0.0, 0.0)] {
            assert!((round_step(width) - step).abs() < 1e-12, "{width}: {}", round_step(width));
        }
    }
}
