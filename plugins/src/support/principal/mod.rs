//! Principal components of the training part: what an encoder and a decoder that are linear do best.
//!
//! They depend on the data alone, so they are found once a data set, by [`PrincipalComponents::of`].

mod symmetric;

use std::sync::Arc;

use dfdx::prelude::{Axes2, PermuteTo, TryMatMul};
use framework::model::{Tensor, tensor, values};
use framework::plugin::{Data, DataFacts, Split};

use symmetric::eigenvectors;

/// Data with more inputs has no principal components here: their time grows with inputs³, and is a minute
/// or two at this number.
pub const MOST_INPUTS: usize = 4096;

/// Rows read at once.
const ROWS_AT_ONCE: usize = 1024;

/// The mean of samples, and the directions in which they differ, the one in which they differ most first.
pub struct PrincipalComponents {
    mean: Vec<f64>,
    /// [components, inputs], each of length 1.
    directions: Vec<f64>,
}

/// Samples without the mean, and what of them lies along each component.
pub struct Scores {
    /// ‖x − mean‖² of each sample.
    pub squares: Vec<f64>,
    /// [samples, components].
    pub scores: Vec<f64>,
}

impl PrincipalComponents {
    /// Returns those of the training part, found once a data set; `None` where there are more than
    /// [`MOST_INPUTS`] inputs, no samples, or numbers that are not finite.
    ///
    /// # Errors
    /// If the data cannot be read.
    pub fn of(data: &dyn Data, facts: &DataFacts) -> Result<Arc<Option<Self>>, String> {
        facts.once("principal components", || Self::fit(data))
    }

    fn fit(data: &dyn Data) -> Result<Option<Self>, String> {
        let (inputs, rows) = (data.shape().inputs(), data.rows(Split::Train));
        if inputs > MOST_INPUTS || rows == 0 {
            return Ok(None);
        }
        let mut mean = vec![0.0; inputs];
        for_each_batch(data, Split::Train, |x| {
            for x in x.chunks_exact(inputs) {
                mean.iter_mut().zip(x).for_each(|(mean, x)| *mean += f64::from(*x));
            }
        })?;
        mean.iter_mut().for_each(|mean| *mean /= rows as f64);
        let mut products = vec![0.0; inputs * inputs];
        for_each_batch(data, Split::Train, |x| {
            let x = matrix(centered(x, &mean), inputs);
            let own = values(&x.clone().permute::<_, Axes2<1, 0>>().matmul(x));
            products.iter_mut().zip(own).for_each(|(all, own)| *all += own);
        })?;
        // Two halves of a product may differ in the last bit.
        for row in 0..inputs {
            (0..row).for_each(|at| products[at * inputs + row] = products[row * inputs + at]);
        }
        Ok(eigenvectors(products, inputs).map(|(mut directions, _)| {
            directions.truncate(inputs.min(rows) * inputs);
            Self { mean, directions }
        }))
    }

    /// Returns what lies along the first `most` components, or along all if there are fewer, of samples,
    /// [samples, inputs].
    pub fn scores(&self, x: &[f32], most: usize) -> Scores {
        let inputs = self.mean.len();
        let centered = centered(x, &self.mean);
        let squares = centered.chunks_exact(inputs).map(|x| x.iter().map(|x| x * x).sum());
        let squares: Vec<f64> = squares.collect();
        let some = &self.directions[..most.min(self.directions.len() / inputs) * inputs];
        let directions = matrix(some.to_vec(), inputs).permute::<_, Axes2<1, 0>>();
        Scores { squares, scores: values(&matrix(centered, inputs).matmul(directions)) }
    }
}

/// Shows all samples of a part, some at a time, [rows, inputs].
///
/// # Errors
/// If the data cannot be read.
pub fn for_each_batch(
    data: &dyn Data,
    split: Split,
    mut see: impl FnMut(&[f32]),
) -> Result<(), String> {
    let rows: Vec<usize> = (0..data.rows(split)).collect();
    let mut x = Vec::new();
    for rows in rows.chunks(ROWS_AT_ONCE) {
        x.resize(rows.len() * data.shape().inputs(), 0.0);
        data.gather(split, rows, &mut x)?;
        see(&x);
    }
    Ok(())
}

/// Returns a matrix of so many columns.
fn matrix(values: Vec<f64>, columns: usize) -> Tensor<(usize, usize), f64> {
    let rows = values.len() / columns;
    tensor(values, (rows, columns))
}

/// Returns samples without the mean.
fn centered(x: &[f32], mean: &[f64]) -> Vec<f64> {
    let samples = x.chunks_exact(mean.len());
    samples.flat_map(|x| x.iter().zip(mean).map(|(x, mean)| f64::from(*x) - mean)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::testing::{Case, Samples, uneven};

    fn case(inputs: usize, x: Vec<f32>) -> Case {
        Case { inputs, train: Samples { x, ..Samples::default() }, ..Case::default() }
    }

    fn of(case: &Case) -> Arc<Option<PrincipalComponents>> {
        PrincipalComponents::of(case, &DataFacts::default()).unwrap()
    }

    /// Wrong if the longest direction did not come first, or the mean were not taken away.
    #[test]
    fn a_case_by_hand() {
        // ±10 along (3, 4)/5 and ±1 along (−4, 3)/5 around (7, 1).
        let at = |a: f32, b: f32| [7.0 + a * 0.6 - b * 0.8, 1.0 + a * 0.8 + b * 0.6];
        let x = [at(10.0, 1.0), at(10.0, -1.0), at(-10.0, 1.0), at(-10.0, -1.0)].concat();
        let found = of(&case(2, x.clone()));
        let Scores { squares, scores } = found.as_ref().as_ref().unwrap().scores(&x, 5);
        for (square, scores) in squares.iter().zip(scores.chunks_exact(2)) {
            assert!((square - 101.0).abs() < 1e-4, "{square}");
            assert!((scores[0].abs() - 10.0).abs() < 1e-5 && (scores[1].abs() - 1.0).abs() < 1e-5);
        }
        let one = found.as_ref().as_ref().unwrap().scores(&x, 1).scores;
        assert_eq!(one.len(), 4);
    }

    /// Wrong if scores did not add up to the whole sample where there are as many as inputs.
    #[test]
    fn all_components_together_are_the_sample() {
        let x = uneven(40 * 6);
        let found = of(&case(6, x.clone()));
        let Scores { squares, scores } = found.as_ref().as_ref().unwrap().scores(&x, 6);
        for (square, scores) in squares.iter().zip(scores.chunks_exact(6)) {
            let sum: f64 = scores.iter().map(|score| score * score).sum();
            assert!((sum - square).abs() < 1e-12, "{sum} is {square}");
        }
    }

    #[test]
    fn there_are_none_of_nothing_and_no_more_than_samples() {
        assert!(of(&case(2, Vec::new())).is_none());
        assert!(of(&case(2, vec![1.0, f32::NAN])).is_none());
        let two = of(&case(3, vec![1.0, 2.0, 3.0, 3.0, 2.0, 1.0]));
        assert_eq!(two.as_ref().as_ref().unwrap().scores(&[0.0; 3], 3).scores.len(), 2);
    }
}
