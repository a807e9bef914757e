//! Mean, standard deviation and interval of a few numbers, by Student's t.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// Probability that an interval contains the true mean.
pub const CONFIDENCE: f64 = 0.95;

/// Estimate of the mean that a few numbers are drawn around.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Number of values.
    pub count: usize,
    /// Mean of the values.
    pub mean: f64,
    /// Standard deviation of the values, with n − 1; `None` for one value.
    pub deviation: Option<f64>,
    /// Half the width of the 95 % interval of the mean, t · s / √n with n − 1 degrees of freedom; `None`
    /// for one value.
    pub half_width: Option<f64>,
}

impl Interval {
    /// Estimates the mean of finite numbers; `None` if there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len();
        if count == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / count as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (count > 1).then(|| (squares / (count - 1) as f64).sqrt());
        let half_width = deviation.and_then(|deviation| {
            let t = student(count - 1)?.inverse_cdf(0.5 + CONFIDENCE / 2.0);
            Some(t * deviation / (count as f64).sqrt())
        });
        Some(Self { count, mean, deviation, half_width })
    }

    /// Returns the probability of a mean at least this far from 0 if the true one is 0: the two-sided t
    /// test. `None` for one number. Equal numbers show no chance: returns 0, or 1 if they all are 0.
    pub fn probability_of_none(&self) -> Option<f64> {
        let error = self.deviation? / (self.count as f64).sqrt();
        if error == 0.0 {
            return Some(if self.mean == 0.0 { 1.0 } else { 0.0 });
        }
        Some(2.0 * student(self.count - 1)?.cdf(-(self.mean / error).abs()))
    }
}

/// Returns Student's distribution; `None` without a degree of freedom.
fn student(freedom: usize) -> Option<StudentsT> {
    StudentsT::new(0.0, 1.0, freedom as f64).ok()
}

/// Holm's correction of the probabilities of several tests. Afterwards, the chance of rejecting any true
/// hypothesis is at most the level of the test (Holm 1979, A simple sequentially rejective multiple test
/// procedure).
pub fn holm(probabilities: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]));
    let mut adjusted = vec![1.0; probabilities.len()];
    let mut largest: f64 = 0.0;
    for (rank, at) in order.into_iter().enumerate() {
        let factor = (probabilities.len() - rank) as f64;
        largest = largest.max((factor * probabilities[at]).min(1.0));
        adjusted[at] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-4 * b.abs().max(1e-3)
    }

    #[test]
    fn an_interval_is_that_of_the_tables() {
        // t(0.975, 2) = 4.30265; of 1, 2, 3: s = 1.
        let interval = Interval::of(&[1.0, 2.0, 3.0]).unwrap();
        assert_eq!((interval.count, interval.mean, interval.deviation), (3, 2.0, Some(1.0)));
        assert!(near(interval.half_width.unwrap(), 4.302653 / 3.0_f64.sqrt()));
        // t(0.975, 9) = 2.26216.
        let ten: Vec<f64> = (0..10).map(f64::from).collect();
        let interval = Interval::of(&ten).unwrap();
        assert!(near(interval.deviation.unwrap(), 3.027650));
        assert!(near(interval.half_width.unwrap(), 2.262157 * 3.027650 / 10.0_f64.sqrt()));
    }

    #[test]
    fn one_number_has_no_interval_and_none_has_nothing() {
        assert_eq!(Interval::of(&[]), None);
        let one = Interval::of(&[5.0]).unwrap();
        assert_eq!((one.deviation, one.half_width, one.probability_of_none()), (None, None, None));
    }

    #[test]
    fn the_t_test_is_that_of_the_tables() {
        // The mean of 1, 2, 3 is 2 / (1 / √3) = 3.4641 errors from 0: p = 0.074180 with 2 degrees.
        let p = Interval::of(&[1.0, 2.0, 3.0]).unwrap().probability_of_none().unwrap();
        assert!(near(p, 0.0741799), "{p}");
        let mirrored = Interval::of(&[-1.0, -2.0, -3.0]).unwrap().probability_of_none().unwrap();
        assert_eq!(p, mirrored);
        assert_eq!(Interval::of(&[0.0, 0.0]).unwrap().probability_of_none(), Some(1.0));
        assert_eq!(Interval::of(&[2.0, 2.0]).unwrap().probability_of_none(), Some(0.0));
    }

    #[test]
    fn holm_multiplies_by_what_is_left_and_never_goes_down() {
        // 4 tests: 0.005·4, 0.01·3, 0.03·2, and 0.04·1, which is raised to the one before.
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        let expected = [0.03, 0.06, 0.06, 0.02];
        assert!(adjusted.iter().zip(expected).all(|(a, b)| near(*a, b)), "{adjusted:?}");
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }
}
