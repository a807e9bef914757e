//! Multinomial logistic regression with an L2 penalty, in f64: the linear probe that evaluations
//! lay on codes. It minimises, over weights `W` and intercepts `b`, which no penalty holds,
//! `c * (sum over samples of -log softmax(x W + b)[label]) + 1/2 * (sum over W of w^2)`,
//! the objective of scikit-learn's `LogisticRegression(C=c)` for three classes or more. (For two,
//! scikit-learn has one weight vector, not a pair; its optimum at `C` is this one's at `c = C / 2`.)
//!
//! Inside, all is divided by `c * n`, as in scikit-learn: a mean loss and a penalty with weight
//! `1 / (c * n)`. L-BFGS walks over centred features, in up to five times fewer steps than over raw
//! ones; as the intercepts are free, the optimum is the same. One thread, no chance: the same
//! problem gives the same bits. Loading, scaling and splitting rows is left to the caller.

mod lbfgs;

use lbfgs::{Iterate, LANES, Lanes, Minimum, add_scaled, axpy, dot, minimise};

/// Labelled rows.
pub struct LogisticProblem<'a> {
    /// [n, features], row-major, used as they are.
    pub rows: &'a [f32],
    /// Entries of a row; may be 0.
    pub features: usize,
    /// [n], each below `classes`.
    pub labels: &'a [u32],
    /// At least 1; not all need to occur.
    pub classes: usize,
}

/// A fitted model.
pub struct Logistic {
    /// [features + 1, classes], the intercepts last: -inf for a class that no training row has.
    weights: Vec<f64>,
    features: usize,
    classes: usize,
}

/// What [`Logistic::fit`] gives back.
pub struct Fit {
    /// The model at the last point reached, converged or not.
    pub model: Logistic,
    /// Whether the gradient came down to the tolerance; it cannot where rows hold NaN or
    /// infinities.
    pub converged: bool,
}

impl LogisticProblem<'_> {
    fn check(&self) {
        assert!(self.classes > 0, "logistic: there must be a class");
        let fits = Some(self.rows.len()) == self.labels.len().checked_mul(self.features);
        assert!(fits, "logistic: rows are not [n, features]");
        let legal = self.labels.iter().all(|&l| (l as usize) < self.classes);
        assert!(legal, "logistic: a label is not below `classes`");
    }

    fn row(&self, i: usize) -> &[f32] {
        &self.rows[i * self.features..][..self.features]
    }
}

impl Logistic {
    /// The minimiser for `problem`. A class without rows takes no part and is never predicted.
    /// # Panics
    /// If `rows` is not [n, features], a label is not below `classes`, `classes` is 0, or `c` is
    /// not positive and finite.
    pub fn fit(problem: &LogisticProblem, c: f64) -> Fit {
        problem.check();
        let legal = c > 0.0 && c.is_finite();
        assert!(legal, "logistic: c must be positive and finite, got {c}");
        let objective = Objective::new(problem, c);
        let (features, classes) = (problem.features, problem.classes);
        let start = vec![[0.0; LANES]; classes.div_ceil(LANES) * (features + 1)];
        let Minimum { theta, converged } = minimise(start, |theta| objective.at(theta));
        let theta = objective.uncenterd(&theta);
        let mut weights = Vec::with_capacity((features + 1) * classes);
        for j in 0..=features {
            let at = |k: usize| theta[k / LANES * (features + 1) + j][k % LANES];
            weights.extend((0..classes).map(at));
        }
        for (k, offset) in objective.offsets.iter().enumerate() {
            weights[features * classes + k] += offset;
        }
        let model = Logistic { weights, features, classes };
        Fit { model, converged }
    }

    /// The most probable class of `row`, [features]. The lowest wins a tie; a row with NaN is class
    /// 0.
    /// # Panics
    /// If the length of `row` is not the number of features.
    pub fn predict(&self, row: &[f32]) -> u32 {
        let fits = row.len() == self.features;
        assert!(fits, "logistic: wrong number of features");
        let mut logits = self.weights[self.features * self.classes..].to_vec();
        let weights = self.weights.chunks_exact(self.classes);
        for (&x, w) in row.iter().zip(weights).filter(|(x, _)| **x != 0.0) {
            for (z, w) in logits.iter_mut().zip(w) {
                *z += f64::from(x) * w;
            }
        }
        let mut best = (0, f64::NEG_INFINITY);
        for (k, &z) in logits.iter().enumerate() {
            if z > best.1 {
                best = (k, z);
            }
        }
        best.0 as u32
    }

    /// Share of the rows of `problem` whose label is predicted, 0..=1; NaN when there are no rows.
    /// # Panics
    /// If `problem` is malformed or has another number of features.
    pub fn accuracy(&self, problem: &LogisticProblem) -> f64 {
        problem.check();
        let right = |&(i, &label): &(usize, &u32)| self.predict(problem.row(i)) == label;
        let n_right = problem.labels.iter().enumerate().filter(right).count();
        n_right as f64 / problem.labels.len() as f64
    }
}

/// The mean objective. Its argument `theta` is [blocks of classes, features + 1, LANES], the
/// intercept last, for centred rows: logits = (x - centre) W + b. Lanes past the last class stay 0.
///
/// Rows are lists of (feature, entry), without the zeros and with a 1 for the intercept: row i is
/// `entries[starts[i]..starts[i + 1]]`. Codes are mostly zeros; on rows that have none at all, 8000
/// x 1000 with ten classes, full rows were faster by no more than a fifth.
struct Objective<'a> {
    starts: Vec<usize>,
    entries: Vec<(u32, f32)>,
    labels: &'a [u32],
    width: usize,
    ridge: f64,
    /// [features]: means over the training rows.
    center: Vec<f64>,
    /// [classes], added to the intercepts: -inf takes a class without rows out, as it takes no
    /// finite optimum.
    offsets: Vec<f64>,
}

impl<'a> Objective<'a> {
    fn new(problem: &LogisticProblem<'a>, c: f64) -> Objective<'a> {
        let (labels, features, n) = (problem.labels, problem.features, problem.labels.len());
        let (mut starts, mut entries) = (vec![0], Vec::new());
        let mut center = vec![0.0; features];
        let mut offsets = vec![f64::NEG_INFINITY; problem.classes];
        for (i, &label) in labels.iter().enumerate() {
            let row = problem.row(i).iter().enumerate();
            for (j, &x) in row.filter(|(_, x)| **x != 0.0) {
                entries.push((j as u32, x));
                center[j] += f64::from(x) / n as f64;
            }
            entries.push((features as u32, 1.0));
            starts.push(entries.len());
            offsets[label as usize] = 0.0;
        }
        // Rows that are not finite end the fit at zero weights; the intercepts should be numbers
        // then.
        for mean in center.iter_mut().filter(|mean| !mean.is_finite()) {
            *mean = 0.0;
        }
        let (width, ridge) = (features + 1, 1.0 / (c * n.max(1) as f64));
        Objective { starts, entries, labels, width, ridge, center, offsets }
    }

    /// `theta` with the intercepts that belong to rows as given.
    fn uncenterd(&self, theta: &[Lanes]) -> Vec<Lanes> {
        let mut theta = theta.to_vec();
        for block in theta.chunks_exact_mut(self.width) {
            let (w, b) = block.split_at_mut(self.width - 1);
            for (mean, w) in self.center.iter().zip(w) {
                add_scaled(&mut b[0], -mean, w);
            }
        }
        theta
    }

    fn at(&self, theta: Vec<Lanes>) -> Iterate {
        let (n, width) = (self.labels.len() as f64, self.width);
        let plain = self.uncenterd(&theta);
        let mut gradient = vec![[0.0; LANES]; theta.len()];
        let mut z = vec![[0.0; LANES]; theta.len() / width]; // [classes], in blocks
        let (mut value, mut norm) = (0.0, 0.0_f64);
        for (ends, &label) in self.starts.windows(2).zip(self.labels) {
            let (row, label) = (&self.entries[ends[0]..ends[1]], label as usize);
            for (z, w) in z.iter_mut().zip(plain.chunks_exact(width)) {
                let mut sums = [0.0; LANES]; // a local stays in registers
                for &(j, x) in row {
                    add_scaled(&mut sums, x.into(), &w[j as usize]);
                }
                *z = sums;
            }
            let p = &mut z.as_flattened_mut()[..self.offsets.len()];
            let mut top = f64::NEG_INFINITY;
            for (p, offset) in p.iter_mut().zip(&self.offsets) {
                *p += offset;
                top = top.max(*p);
            }
            value += (top - p[label]) / n;
            p.iter_mut().for_each(|p| *p = (*p - top).exp());
            let sum: f64 = p.iter().sum();
            value += sum.ln() / n;
            p.iter_mut().for_each(|p| *p /= sum * n);
            p[label] -= 1.0 / n;
            for (z, g) in z.iter().zip(gradient.chunks_exact_mut(width)) {
                for &(j, x) in row {
                    add_scaled(&mut g[j as usize], x.into(), z);
                }
            }
        }
        let blocks = gradient.chunks_exact_mut(width);
        for (g, w) in blocks.zip(plain.chunks_exact(width)) {
            let w = &w[..width - 1];
            value += 0.5 * self.ridge * dot(w, w);
            axpy(g, self.ridge, w);
            norm = g.as_flattened().iter().fold(norm, |norm, g| norm.max(g.abs()));
            let (g, b) = g.split_at_mut(width - 1);
            for (mean, g) in self.center.iter().zip(g) {
                add_scaled(g, -mean, &b[0]);
            }
        }
        Iterate { theta, value, gradient, norm }
    }
}

#[cfg(test)]
mod tests {
    use super::lbfgs::TOLERANCE;
    use super::*;

    fn fit(rows: &[f32], features: usize, labels: &[u32], classes: usize, c: f64) -> Fit {
        Logistic::fit(&LogisticProblem { rows, features, labels, classes }, c)
    }

    /// Rows whose entries are nonzero with the given share, and labels, from a multiplicative
    /// sequence.
    fn sample(n: usize, features: usize, classes: u32, share: f64) -> (Vec<f32>, Vec<u32>) {
        let mut state = 0.5_f64;
        let mut next = || {
            state = (state * 997.0 + 0.618_033_988_749).fract();
            state
        };
        let mut entry = || f32::from(next() < share) * (3.0 * next() - 1.0) as f32;
        let rows = (0..n * features).map(|_| entry()).collect();
        let mut label = || (next() * f64::from(classes)) as u32;
        (rows, (0..n).map(|_| label()).collect())
    }

    /// The slow twin: value and gradient [features + 1, classes] of the objective as the module
    /// writes it.
    fn twin(problem: &LogisticProblem, c: f64, weights: &[f64]) -> (f64, Vec<f64>) {
        let (f, classes) = (problem.features, problem.classes);
        let penalised = &weights[..f * classes];
        let mut value = 0.5 * penalised.iter().map(|w| w * w).sum::<f64>();
        let mut gradient = [penalised, &vec![0.0; classes]].concat();
        for (i, &label) in problem.labels.iter().enumerate() {
            let x = |j: usize| problem.row(i).get(j).map_or(1.0, |&x| f64::from(x));
            let term = |k: usize| move |j: usize| x(j) * weights[j * classes + k];
            let e: Vec<f64> =
                (0..classes).map(|k| (0..=f).map(term(k)).sum::<f64>().exp()).collect();
            let p = |k: usize| e[k] / e.iter().sum::<f64>();
            value -= c * p(label as usize).ln();
            for (at, g) in gradient.iter_mut().enumerate() {
                let (j, k) = (at / classes, at % classes);
                *g += c * (p(k) - f64::from(k == label as usize)) * x(j);
            }
        }
        (value, gradient)
    }

    /// Fourteen classes are a full block and a part.
    #[test]
    fn gradient_is_the_slope_of_the_value() {
        let (rows, labels) = sample(30, 3, 14, 0.6);
        let (rows, labels) = (&rows, &labels);
        let objective =
            Objective::new(&LogisticProblem { rows, features: 3, labels, classes: 14 }, 0.7);
        let real = |i: usize| i / (4 * LANES) * LANES + i % LANES < 14;
        let mut theta = vec![[0.0; LANES]; 8];
        for (i, t) in theta.as_flattened_mut().iter_mut().enumerate() {
            *t = f64::from(real(i)) * (0.03 * (i % 31) as f64 - 0.4);
        }
        let gradient = objective.at(theta.clone()).gradient;
        for (i, g) in gradient.as_flattened().iter().enumerate() {
            let moved = |by: f64| {
                let mut theta = theta.clone();
                theta.as_flattened_mut()[i] += by;
                objective.at(theta).value
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((slope - g).abs() < 1e-9, "{i}: {slope} {g}");
            assert!(real(i) || *g == 0.0, "lanes past the last class stay 0");
        }
    }

    /// On sparse and on full rows, weakly and strongly held.
    #[test]
    fn optimum_has_no_gradient_in_the_objective_as_written() {
        for (share, c) in [(0.05, 1.0), (0.9, 1.0), (0.9, 0.01), (0.9, 100.0)] {
            let (rows, labels) = &sample(90, 12, 3, share);
            let fit = fit(rows, 12, labels, 3, c);
            let problem = LogisticProblem { rows, features: 12, labels, classes: 3 };
            let (value, gradient) = twin(&problem, c, &fit.model.weights);
            // The tolerance is for the mean objective; rounding is far below it.
            let allowed = 1.01 * TOLERANCE * c * 90.0;
            assert!(gradient.iter().all(|g| g.abs() <= allowed), "{gradient:?}");
            assert!(fit.converged && value < twin(&problem, c, &[0.0; 39]).0);
        }
    }

    /// Rows -1 and 1: by symmetry W = (-a, a), and the gradient is 0 at a = 2c / (1 + e^2a). So c =
    /// ln 3 gives a = ln 3 / 2, and each row its label with probability 3/4.
    #[test]
    fn two_points_by_hand() {
        let a = 3.0_f64.ln() / 2.0;
        let model = fit(&[-1.0, 1.0], 1, &[0, 1], 2, 2.0 * a).model;
        for (got, want) in model.weights.iter().zip([-a, a, 0.0, 0.0]) {
            assert!((got - want).abs() < 1e-6, "{got} {want}");
        }
        let (rows, labels) = (&[-0.1, 0.1, 5.0, 7.0], &[0, 1, 1, 0]);
        assert_eq!(
            model.accuracy(&LogisticProblem { rows, features: 1, labels, classes: 2 }),
            0.75
        );
    }

    #[test]
    fn separable_rows_and_odd_scales_stay_finite() {
        for (scale, c) in [(1.0, 1.0), (1.0, 1e6), (1e4, 1.0), (1e-6, 1.0)] {
            let rows = [-2.0, -1.0, 1.0, 2.0].map(|x| x * scale);
            let fit = fit(&rows, 1, &[0, 0, 1, 1], 2, c);
            assert!(fit.converged, "{scale} {c}");
            assert!(fit.model.weights.iter().all(|w| w.is_finite()), "{scale} {c}");
        }
    }

    #[test]
    fn corners_are_defined() {
        let lone = fit(&[0.5, 1.0], 1, &[2, 2], 4, 1.0);
        assert!(lone.converged && lone.model.predict(&[-9.0]) == 2);
        let one = fit(&[0.5], 1, &[1], 3, 1.0);
        assert!(one.converged && one.model.predict(&[0.0]) == 1);
        let none = fit(&[], 2, &[], 3, 1.0);
        assert!(none.converged && none.model.predict(&[1.0, 1.0]) == 0);
        let empty = LogisticProblem { rows: &[], features: 2, labels: &[], classes: 3 };
        assert!(none.model.accuracy(&empty).is_nan());

        let absent = fit(&[1.0, 2.0, 3.0], 1, &[0, 0, 2], 3, 1.0); // no row of class 1
        assert!(absent.converged && absent.model.weights[4] == f64::NEG_INFINITY);
        assert!((-50..50).all(|x| absent.model.predict(&[x as f32]) != 1));

        // Without features, the log odds of the labels.
        let shares = fit(&[], 0, &[0, 1, 1, 1], 2, 1.0).model;
        assert!((shares.weights[1] - shares.weights[0] - 3.0_f64.ln()).abs() < 1e-5);
        let clash = fit(&[1.0, 1.0], 1, &[0, 1], 2, 1.0); // one row with either label: a tie
        assert!(clash.converged && clash.model.weights == [0.0; 4]);
        assert_eq!(clash.model.predict(&[1.0]), 0);

        let broken = fit(&[1.0, f32::NAN, f32::INFINITY], 1, &[0, 1, 0], 2, 1.0);
        assert!(!broken.converged);
        assert_eq!(broken.model.weights, [0.0; 4]);
    }

    #[test]
    #[should_panic(expected = "rows are not [n, features]")]
    fn wrong_lengths_are_refused() {
        fit(&[1.0], 2, &[0], 1, 1.0);
    }
}
