//! The objective of one sample and its derivatives, by rows. Everything is inlined into code that was compiled
//! for the instruction set there is, and matches on the objective once a row.

use super::kernels::{activate_in_place, exp};
use crate::plugin::Activation;
use crate::spec::TrainObjective;

/// What becomes of a row that the decoder's affine map gave.
#[derive(Clone, Copy)]
pub struct RowObjective {
    /// How x̂ is compared with its target.
    pub objective: TrainObjective,
    /// What x̂ is of the row.
    pub activation: Activation,
}

impl RowObjective {
    /// Turns the row into x̂.
    #[inline(always)]
    pub fn reconstruct(self, row: &mut [f32]) {
        activate_in_place(self.activation, row);
    }

    /// Turns the row into x̂ and returns the objective.
    #[inline(always)]
    pub fn measure(self, row: &mut [f32], target: &[f32]) -> f64 {
        match self.objective {
            TrainObjective::Squared => {
                self.reconstruct(row);
                squared_distance(row, target)
            }
            TrainObjective::Absolute => {
                self.reconstruct(row);
                absolute_distance(row, target)
            }
            TrainObjective::CrossEntropy => {
                let error = cross_entropy(row, target);
                self.reconstruct(row);
                error
            }
        }
    }

    /// Turns the row into the derivatives of its objective times `share`, and returns the objective.
    #[inline(always)]
    pub fn differentiate(self, row: &mut [f32], target: &[f32], share: f32) -> f64 {
        let error = self.measure(row, target);
        self.slopes(row, target, share);
        error
    }

    /// Turns a row of x̂ into the derivatives of its objective times `share`.
    #[inline(always)]
    pub fn slopes(self, row: &mut [f32], target: &[f32], share: f32) {
        match self.objective {
            TrainObjective::Squared => {
                let scale = 2.0 * share;
                self.chain(row, target, |value, target| scale * (value - target));
            }
            TrainObjective::Absolute => {
                let sign = |d: f32| f32::from(d > 0.0) - f32::from(d < 0.0);
                self.chain(row, target, |value, target| share * sign(value - target));
            }
            TrainObjective::CrossEntropy => {
                let pairs = row.iter_mut().zip(target);
                pairs.for_each(|(value, target)| *value = share * (*value - target));
            }
        }
    }

    /// Turns a row of x̂ into derivatives by what the affine map gave, from those by x̂.
    #[inline(always)]
    fn chain(self, row: &mut [f32], target: &[f32], slope: impl Fn(f32, f32) -> f32) {
        let pairs = row.iter_mut().zip(target);
        match self.activation {
            Activation::Identity => {
                pairs.for_each(|(value, target)| *value = slope(*value, *target));
            }
            Activation::Relu => pairs.for_each(|(value, target)| {
                *value = if *value > 0.0 { slope(*value, *target) } else { 0.0 };
            }),
            Activation::Sigmoid => pairs.for_each(|(value, target)| {
                *value = slope(*value, *target) * (*value * (1.0 - *value));
            }),
            Activation::Tanh => pairs.for_each(|(value, target)| {
                *value = slope(*value, *target) * (1.0 - *value * *value);
            }),
        }
    }
}

/// Numbers that are summed side by side.
const LANES: usize = 16;

/// Σ (a − b)².
#[inline(always)]
pub fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    distance(a, b, |d| d * d, |d| d.powi(2))
}

/// Σ |a − b|.
#[inline(always)]
fn absolute_distance(a: &[f32], b: &[f32]) -> f64 {
    distance(a, b, f32::abs, f64::abs)
}

/// Σ f(a − b), in sixteen partial sums; what is left over goes through `wide`, the same in f64.
#[inline(always)]
fn distance(a: &[f32], b: &[f32], f: impl Fn(f32) -> f32, wide: impl Fn(f64) -> f64) -> f64 {
    let mut sums = [0.0_f32; LANES];
    let (mut a, mut b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    for (a, b) in a.by_ref().zip(b.by_ref()) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += f(a - b);
        }
    }
    let rest = a.remainder().iter().zip(b.remainder());
    let rest: f64 = rest.map(|(a, b)| wide(f64::from(a - b))).sum();
    sums.iter().map(|sum| f64::from(*sum)).sum::<f64>() + rest
}

/// Factors of one product: each is at most 2, so it stays far below the largest f64.
const FACTORS: usize = 512;

/// Σ max(a, 0) − x a + ln(1 + e^−|a|): the cross-entropy of sigmoid(a) against x. The logarithm is taken of
/// products, as it is what costs most.
#[inline(always)]
fn cross_entropy(a: &[f32], x: &[f32]) -> f64 {
    let mut sum = 0.0;
    for (a, x) in a.chunks(LANES * FACTORS).zip(x.chunks(LANES * FACTORS)) {
        let (mut linear, mut products) = ([0.0_f32; LANES], [1.0_f64; LANES]);
        let mut add = |a: &[f32], x: &[f32]| {
            for (((linear, product), a), x) in linear.iter_mut().zip(&mut products).zip(a).zip(x) {
                *linear += a.max(0.0) - x * a;
                *product *= 1.0 + f64::from(exp(-a.abs()));
            }
        };
        let ((a, a_rest), (x, x_rest)) = (a.as_chunks::<LANES>(), x.as_chunks::<LANES>());
        a.iter().zip(x).for_each(|(a, x)| add(a, x));
        add(a_rest, x_rest);
        sum += linear.iter().map(|sum| f64::from(*sum)).sum::<f64>();
        sum += products.iter().map(|product| product.ln()).sum::<f64>();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::objective_of_sample;

    const fn of(objective: TrainObjective, sigmoid: bool) -> RowObjective {
        let activation = if sigmoid { Activation::Sigmoid } else { Activation::Identity };
        RowObjective { objective, activation }
    }

    fn differentiated(rows: RowObjective, row: &[f32], target: &[f32]) -> (f64, Vec<f32>) {
        let mut row = row.to_vec();
        let error = rows.differentiate(&mut row, target, 0.5);
        (error, row)
    }

    /// Wrong if the slope of the absolute error at 0 were not 0, or a sum were a mean.
    #[test]
    fn objectives_by_hand() {
        let (row, target) = ([3.0, 1.0, -2.0], [1.0, 1.0, 2.0]);
        let squared = of(TrainObjective::Squared, false);
        assert_eq!(differentiated(squared, &row, &target), (20.0, vec![2.0, 0.0, -4.0]));
        let absolute = of(TrainObjective::Absolute, false);
        assert_eq!(differentiated(absolute, &row, &target), (6.0, vec![0.5, 0.0, -0.5]));
        // sigmoid(0) is 1/2, whose slope is 1/4.
        let absolute = of(TrainObjective::Absolute, true);
        let found = differentiated(absolute, &[0.0, 0.0, 0.0], &[0.25, 0.5, 1.0]);
        assert_eq!(found, (0.75, vec![0.125, 0.0, -0.125]));
        let cross = of(TrainObjective::CrossEntropy, true);
        let (error, gradient) = differentiated(cross, &[0.0, 0.0], &[0.25, 1.0]);
        assert!((error - 4.0_f64.ln()).abs() < 1e-15);
        assert_eq!(gradient, [0.125, -0.25]);
    }

    /// Wrong if a logarithm of 0 or a power beyond all numbers were taken, or NaN did not stay.
    #[test]
    fn saturated_cross_entropies_are_finite_and_nan_stays() {
        let cross = of(TrainObjective::CrossEntropy, true);
        let (error, gradient) = differentiated(cross, &[1e4, -1e4, 1e4, -1e4], &[1., 0., 0., 1.]);
        assert_eq!(error, 2e4);
        assert_eq!(gradient[0], 0.0);
        assert!(gradient[1] < 1e-30 && gradient[2..] == [0.5, -0.5], "{gradient:?}");
        for objective in TrainObjective::ALL {
            assert!(of(objective, true).measure(&mut [0.0, f32::NAN], &[0.0, 0.0]).is_nan());
        }
    }

    /// Wrong if blocks or rests were counted twice or left out, or products overflowed.
    #[test]
    fn sums_of_any_length_are_those_of_the_definition() {
        for inputs in [1, 15, 16, 17, 8191, 8192, 8193, 40_000] {
            let number = |at: usize, scale: f32| (at as f32 * 0.61803).fract() * scale;
            let row: Vec<f32> = (0..inputs).map(|at| number(at, 9.0) - 4.5).collect();
            let target: Vec<f32> = (0..inputs).map(|at| number(3 * at, 1.0)).collect();
            for objective in TrainObjective::ALL {
                let sigmoid = objective == TrainObjective::CrossEntropy;
                let mut x_hat = row.clone();
                let found = of(objective, sigmoid).measure(&mut x_hat, &target);
                let right = objective_of_sample(objective, &row, &target);
                assert!((found - right).abs() < 2e-6 * right, "{objective:?}: {found}, {right}");
                if sigmoid {
                    let mut right = row.clone();
                    activate_in_place(Activation::Sigmoid, &mut right);
                    assert_eq!(x_hat, right);
                }
            }
        }
    }
}
