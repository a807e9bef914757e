//! How samples are scaled before the model sees them, and back.

use crate::plugin::{Data, Split};
use crate::spec::Normalize;

/// x ↦ (x − mean) · scale, each input by itself; fitted on the training rows and stored with the
/// model. Metrics are in the units of the data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Normalizer {
    /// One number an input, or empty for zeros.
    pub mean: Vec<f32>,
    /// One number an input, or empty for ones.
    pub scale: Vec<f32>,
}

/// Rows read at once.
const ROWS_AT_ONCE: usize = 1024;

impl Normalizer {
    /// Fits to the training rows.
    ///
    /// # Errors
    /// If the data cannot be read.
    pub fn fit(normalize: Normalize, data: &dyn Data) -> Result<Self, String> {
        if normalize == Normalize::None {
            return Ok(Self::default());
        }
        let inputs = data.shape().inputs();
        let rows = data.rows(Split::Train) as f64;
        let mut sums = vec![0.0; inputs];
        for_each_row(data, |row| {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
        })?;
        let mean: Vec<f64> = sums.iter().map(|sum| sum / rows).collect();
        let center = |value: f32, mean: f64| f64::from(value) - mean;
        let mut squares = vec![0.0; inputs];
        for_each_row(data, |row| {
            for (at, value) in row.iter().enumerate() {
                let mean = if normalize == Normalize::UnitNorm { 0.0 } else { mean[at] };
                squares[at] += center(*value, mean).powi(2);
            }
        })?;
        let mean: Vec<f32> = mean.iter().map(|mean| *mean as f32).collect();
        Ok(match normalize {
            Normalize::None => Self::default(),
            Normalize::Center => Self { mean, scale: Vec::new() },
            Normalize::Standard => {
                let scale = |square: &f64| {
                    let deviation = (square / rows).sqrt();
                    if deviation > 1e-8 { (1.0 / deviation) as f32 } else { 1.0 }
                };
                Self { mean, scale: squares.iter().map(scale).collect() }
            }
            Normalize::UnitNorm => {
                let mean_square = squares.iter().sum::<f64>() / rows;
                let scale =
                    if mean_square > 0.0 { (inputs as f64 / mean_square).sqrt() } else { 1.0 };
                Self { mean: Vec::new(), scale: vec![scale as f32; inputs] }
            }
        })
    }

    /// Whether samples stay as they are.
    pub fn is_none(&self) -> bool {
        self.mean.is_empty() && self.scale.is_empty()
    }

    /// Scales samples, [rows, inputs], for the model.
    pub fn apply(&self, samples: &mut [f32]) {
        for_each_input(samples, &self.mean, |value, mean| *value -= mean);
        for_each_input(samples, &self.scale, |value, scale| *value *= scale);
    }

    /// Scales samples back to the units of the data.
    pub fn undo(&self, samples: &mut [f32]) {
        for_each_input(samples, &self.scale, |value, scale| *value /= scale);
        for_each_input(samples, &self.mean, |value, mean| *value += mean);
    }

    /// Scales directions, such as decoder rows, back to the units of the data.
    pub fn undo_direction(&self, directions: &mut [f32]) {
        for_each_input(directions, &self.scale, |value, scale| *value /= scale);
    }
}

fn for_each_input(samples: &mut [f32], factors: &[f32], f: impl Fn(&mut f32, f32)) {
    if !factors.is_empty() {
        for row in samples.chunks_exact_mut(factors.len()) {
            row.iter_mut().zip(factors).for_each(|(value, factor)| f(value, *factor));
        }
    }
}

/// Shows every training row, as it is in the data.
///
/// # Errors
/// If the data cannot be read.
pub(super) fn for_each_row(data: &dyn Data, mut f: impl FnMut(&[f32])) -> Result<(), String> {
    let inputs = data.shape().inputs();
    let rows: Vec<usize> = (0..data.rows(Split::Train)).collect();
    let mut values = Vec::new();
    for rows in rows.chunks(ROWS_AT_ONCE) {
        values.resize(rows.len() * inputs, 0.0);
        data.gather(Split::Train, rows, &mut values)?;
        values.chunks_exact(inputs).for_each(&mut f);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::SampleShape;

    struct Three;

    impl Data for Three {
        fn shape(&self) -> SampleShape {
            SampleShape::Vector(2)
        }

        fn rows(&self, _: Split) -> usize {
            3
        }

        fn gather(&self, _: Split, rows: &[usize], out: &mut [f32]) -> Result<(), String> {
            let all = [[1.0, 5.0], [2.0, 5.0], [6.0, 5.0]];
            out.chunks_exact_mut(2)
                .zip(rows)
                .for_each(|(out, row)| out.copy_from_slice(&all[*row]));
            Ok(())
        }
    }

    fn applied(normalize: Normalize) -> (Vec<f32>, Vec<f32>) {
        let normalizer = Normalizer::fit(normalize, &Three).unwrap();
        let mut values = vec![1.0, 5.0, 2.0, 5.0, 6.0, 5.0];
        normalizer.apply(&mut values);
        let mut back = values.clone();
        normalizer.undo(&mut back);
        (values, back)
    }

    #[test]
    fn standard_gives_mean_zero_and_deviation_one_and_leaves_constants_centred() {
        let (values, back) = applied(Normalize::Standard);
        let first: Vec<f32> = values.iter().step_by(2).copied().collect();
        assert!((first.iter().sum::<f32>()).abs() < 1e-6);
        assert!((first.iter().map(|v| v * v).sum::<f32>() / 3.0 - 1.0).abs() < 1e-6);
        assert!(values.iter().skip(1).step_by(2).all(|value| *value == 0.0));
        assert!(back.iter().zip([1.0, 5.0, 2.0, 5.0, 6.0, 5.0]).all(|(a, b)| (a - b).abs() < 1e-5));
    }

    #[test]
    fn unit_norm_gives_a_mean_squared_norm_of_the_number_of_inputs() {
        let (values, _) = applied(Normalize::UnitNorm);
        let mean_square = values.iter().map(|value| value * value).sum::<f32>() / 3.0;
        assert!((mean_square - 2.0).abs() < 1e-5);
    }

    #[test]
    fn none_changes_no_bit_and_center_takes_the_mean_away() {
        assert_eq!(applied(Normalize::None).0, [1.0, 5.0, 2.0, 5.0, 6.0, 5.0]);
        assert_eq!(applied(Normalize::Center).0, [-2.0, 0.0, -1.0, 0.0, 3.0, 0.0]);
    }
}
