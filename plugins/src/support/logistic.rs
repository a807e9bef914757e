//! Multinomial logistic regression with an L2 penalty, in f64: the linear probe that evaluations lay on codes.
//! With softmax probabilities p it minimises, over weights `W` and unpenalised intercepts,
//!     c * (sum over samples of -log p(label)) + 1/2 * (sum of W^2),
//! the objective of scikit-learn's `LogisticRegression(C=c)` for three classes or more. (For two, scikit-learn has
//! one weight vector instead of a pair; its optimum at `C` is this one's at `c = C / 2`.)
//!
//! Inside, the objective is divided by `c * n`, as scikit-learn does: a mean loss plus `1/2 * ridge * sum of W^2`
//! with `ridge = 1 / (c * n)`. L-BFGS runs on centred features. Since no penalty holds the intercepts, that moves
//! only the path, not the optimum. Single-threaded and free of chance: the same problem gives the same bits.
//! Loading rows, and scaling or splitting them, is the caller's.

use std::collections::VecDeque;

/// Classes of a block and samples of a tile: 4 x 4 sums in f64 fill half of the sixteen SSE2 registers.
const LANES: usize = 4;
type Lanes = [f64; LANES];

/// The fit has converged when no entry of the gradient of the mean objective is larger. That is a hundredth of
/// scikit-learn's default `tol`: on its digits the coefficients are then right to four decimals.
const TOLERANCE: f64 = 1e-6;
/// Far above what probes need (hundreds): reaching it means that the problem is out of f64's reach.
const MAX_ITERATIONS: usize = 10_000;
/// Pairs of steps and gradient changes that L-BFGS remembers, as in scikit-learn.
const HISTORY: usize = 10;
/// Below this share of nonzero entries a list of (feature, value) is walked faster than the full row.
const SPARSE_BELOW: f64 = 0.25;

/// Labelled rows.
pub struct Problem<'a> {
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
    /// [features + 1, classes]; the last row holds the intercepts, -inf for a class that no training row has.
    weights: Vec<f64>,
    features: usize,
    classes: usize,
}

/// What [`Logistic::fit`] gives back.
pub struct Fit {
    /// The model at the last point reached, converged or not.
    pub model: Logistic,
    /// Whether the gradient came down to the tolerance. False for rows that are not finite.
    pub converged: bool,
    /// Steps taken.
    pub iterations: usize,
}

impl Problem<'_> {
    fn check(&self) {
        assert!(self.classes > 0, "logistic: there must be at least one class");
        assert_eq!(Some(self.rows.len()), self.labels.len().checked_mul(self.features), "logistic: rows are not [n, features]");
        assert!(self.labels.iter().all(|&label| (label as usize) < self.classes), "logistic: a label is not below `classes`");
    }

    fn row(&self, i: usize) -> &[f32] {
        &self.rows[i * self.features..][..self.features]
    }
}

impl Logistic {
    /// The minimiser for `problem`. A class without training rows takes no part and is never predicted; a lone class
    /// is always predicted; without any rows, class 0 is.
    /// # Panics
    /// If `rows` is not [n, features], a label is not below `classes`, `classes` is 0, or `c` is not positive and finite.
    pub fn fit(problem: &Problem, c: f64) -> Fit {
        problem.check();
        assert!(c > 0.0 && c.is_finite(), "logistic: c must be positive and finite, got {c}");
        let mut present: Vec<u32> = problem.labels.to_vec();
        present.sort_unstable();
        present.dedup();
        let mut model = Logistic {
            weights: vec![0.0; (problem.features + 1) * problem.classes],
            features: problem.features,
            classes: problem.classes,
        };
        model.weights[problem.features * problem.classes..].fill(f64::NEG_INFINITY);
        if present.len() < 2 {
            // The loss is 0 at zero weights whatever the rows hold.
            for &label in &present {
                model.weights[problem.features * problem.classes + label as usize] = 0.0;
            }
            return Fit { model, converged: true, iterations: 0 };
        }
        let mut objective = Objective::new(problem, c, &present);
        let (theta, converged, iterations) = minimise(&mut objective);
        let plain = objective.uncentred(&theta);
        for (k, &label) in present.iter().enumerate() {
            let block = &plain[k / LANES * objective.width..][..objective.width];
            for (j, lanes) in block.iter().enumerate() {
                model.weights[j * problem.classes + label as usize] = lanes[k % LANES];
            }
        }
        Fit { model, converged, iterations }
    }

    /// The most probable class of `row`, [features]; the lowest wins a tie, and class 0 a row that is not finite.
    /// # Panics
    /// If the length of `row` is not the number of features.
    pub fn predict(&self, row: &[f32]) -> u32 {
        self.predict_with(row, &mut vec![0.0; self.classes])
    }

    /// Share of the rows of `problem` whose label is predicted, 0..=1; NaN when there are no rows.
    /// # Panics
    /// If `problem` is malformed or has another number of features.
    pub fn accuracy(&self, problem: &Problem) -> f64 {
        problem.check();
        let mut logits = vec![0.0; self.classes];
        let right = |&(i, &label): &(usize, &u32)| self.predict_with(problem.row(i), &mut logits) == label;
        problem.labels.iter().enumerate().filter(right).count() as f64 / problem.labels.len() as f64
    }

    fn predict_with(&self, row: &[f32], logits: &mut [f64]) -> u32 {
        assert_eq!(row.len(), self.features, "logistic: wrong number of features");
        logits.copy_from_slice(&self.weights[self.features * self.classes..]);
        for (&x, w) in row.iter().zip(self.weights.chunks_exact(self.classes)).filter(|(x, _)| **x != 0.0) {
            logits.iter_mut().zip(w).for_each(|(z, w)| *z += f64::from(x) * w);
        }
        let mut best = (0, f64::NEG_INFINITY);
        for (k, &z) in logits.iter().enumerate() {
            if z > best.1 {
                best = (k as u32, z);
            }
        }
        best.0
    }
}

/// Training rows in tiles of `LANES` samples, each row with a 1 appended for the intercept.
enum Rows {
    /// [tiles, features + 1, LANES]; samples that fill up the last tile are all zero.
    Dense(Vec<[f32; LANES]>),
    /// Row i is `entries[starts[i]..starts[i + 1]]`; rows that fill up the last tile are empty.
    Sparse { starts: Vec<usize>, entries: Vec<(u32, f32)> },
}

impl Rows {
    fn new(problem: &Problem, sparse: bool) -> Rows {
        let (n, width) = (problem.labels.len(), problem.features + 1);
        let mut tiles = vec![[0.0; LANES]; if sparse { 0 } else { n.div_ceil(LANES) * width }];
        let (mut starts, mut entries) = (vec![0], Vec::new());
        for i in 0..n {
            let row = problem.row(i).iter().copied().chain([1.0]).enumerate().filter(|(_, x)| *x != 0.0);
            if sparse {
                entries.extend(row.map(|(j, x)| (j as u32, x)));
                starts.push(entries.len());
            } else {
                row.for_each(|(j, x)| tiles[i / LANES * width + j][i % LANES] = x);
            }
        }
        starts.resize(n.next_multiple_of(LANES) + 1, entries.len());
        if sparse { Rows::Sparse { starts, entries } } else { Rows::Dense(tiles) }
    }

    /// Logits [sample, class] of one tile for one block of classes, `w` [features + 1].
    fn logits(&self, tile: usize, w: &[Lanes]) -> [Lanes; LANES] {
        let mut z = [[0.0; LANES]; LANES];
        match self {
            Rows::Dense(tiles) => {
                for (x, w) in tiles[tile * w.len()..].iter().zip(w) {
                    for (z, &x) in z.iter_mut().zip(x) {
                        add_scaled(z, f64::from(x), w);
                    }
                }
            }
            Rows::Sparse { starts, entries } => {
                for (z, bounds) in z.iter_mut().zip(starts[tile * LANES..].windows(2)) {
                    for &(j, x) in &entries[bounds[0]..bounds[1]] {
                        add_scaled(z, f64::from(x), &w[j as usize]);
                    }
                }
            }
        }
        z
    }

    /// The transpose of `logits`: adds rows' * residual to `g` [features + 1].
    fn scatter(&self, tile: usize, residual: &[Lanes; LANES], g: &mut [Lanes]) {
        match self {
            Rows::Dense(tiles) => {
                for (x, g) in tiles[tile * g.len()..].iter().zip(g) {
                    for (r, &x) in residual.iter().zip(x) {
                        add_scaled(g, f64::from(x), r);
                    }
                }
            }
            Rows::Sparse { starts, entries } => {
                for (r, bounds) in residual.iter().zip(starts[tile * LANES..].windows(2)) {
                    for &(j, x) in &entries[bounds[0]..bounds[1]] {
                        add_scaled(&mut g[j as usize], f64::from(x), r);
                    }
                }
            }
        }
    }
}

fn add_scaled(to: &mut Lanes, scale: f64, from: &Lanes) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += scale * from;
    }
}

fn dot(a: &[Lanes], b: &[Lanes]) -> f64 {
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for l in 0..LANES {
            sums[l] += a[l] * b[l];
        }
    }
    sums.iter().sum()
}

/// The mean objective over `theta` [blocks of classes, features + 1, LANES], its last feature the intercept
/// of centred rows: logits = (x - centre) W + theta's intercept. Lanes past the last class stay 0.
struct Objective {
    rows: Rows,
    /// [n], as positions among the classes present.
    labels: Vec<usize>,
    classes: usize,
    width: usize,
    ridge: f64,
    /// [features]: means over the training rows.
    centre: Vec<f64>,
    /// [features + 1]: one over the diagonal of the Hessian where all classes are equally probable.
    step_scale: Vec<f64>,
}

impl Objective {
    fn new(problem: &Problem, c: f64, present: &[u32]) -> Objective {
        let (n, features, classes) = (problem.labels.len() as f64, problem.features, present.len());
        let (mut sums, mut squares, mut nonzero) = (vec![0.0; features], vec![0.0; features], 0usize);
        for i in 0..problem.labels.len() {
            for (j, &x) in problem.row(i).iter().enumerate().filter(|(_, x)| **x != 0.0) {
                sums[j] += f64::from(x);
                squares[j] += f64::from(x).powi(2);
                nonzero += 1;
            }
        }
        let ridge = 1.0 / (c * n);
        let uniform = (1.0 - 1.0 / classes as f64) / classes as f64;
        let centre: Vec<f64> = if CENTRE { sums.iter().map(|sum| sum / n).collect() } else {vec![0.0;features]};
        let variance = squares.iter().zip(&centre).map(|(square, mean)| (square / n - mean * mean).max(0.0));
        let step_scale = if SCALE { variance.map(|v| 1.0 / (uniform * v + ridge)).chain([1.0 / uniform]).collect() } else {vec![1.0;features+1]};
        Objective {
            rows: Rows::new(problem, (nonzero as f64) < SPARSE_BELOW * problem.rows.len() as f64),
            labels: problem.labels.iter().map(|label| present.binary_search(label).unwrap_or(0)).collect(),
            classes,
            width: features + 1,
            ridge,
            centre,
            step_scale,
        }
    }

    /// `theta` with the intercepts that rows as given, not centred, need.
    fn uncentred(&self, theta: &[Lanes]) -> Vec<Lanes> {
        let mut plain = theta.to_vec();
        for block in plain.chunks_exact_mut(self.width) {
            let (w, b) = block.split_at_mut(self.width - 1);
            self.centre.iter().zip(w).for_each(|(&mean, w)| add_scaled(&mut b[0], -mean, w));
        }
        plain
    }

    /// Writes the gradient and returns the value and the max-norm of the gradient before centring: that of the
    /// objective as documented.
    fn evaluate(&self, theta: &[Lanes], gradient: &mut [Lanes]) -> (f64, f64) {
        let (n, width) = (self.labels.len(), self.width);
        let plain = self.uncentred(theta);
        gradient.fill([0.0; LANES]);
        let mut z = vec![[[0.0; LANES]; LANES]; theta.len() / width];
        let mut p = vec![0.0; self.classes];
        let mut loss = 0.0;
        for (tile, labels) in self.labels.chunks(LANES).enumerate() {
            for (z, w) in z.iter_mut().zip(plain.chunks_exact(width)) {
                *z = self.rows.logits(tile, w);
            }
            for (r, &label) in labels.iter().enumerate() {
                let logit = |k: usize| z[k / LANES][r][k % LANES];
                let top = (0..self.classes).map(logit).fold(f64::NEG_INFINITY, f64::max);
                for (k, p) in p.iter_mut().enumerate() {
                    *p = (logit(k) - top).exp();
                }
                let sum: f64 = p.iter().sum();
                loss += sum.ln() + top - logit(label);
                z.iter_mut().for_each(|z| z[r] = [0.0; LANES]);
                for (k, p) in p.iter().enumerate() {
                    z[k / LANES][r][k % LANES] = (p / sum - f64::from(u8::from(k == label))) / n as f64;
                }
            }
            for (z, g) in z.iter_mut().zip(gradient.chunks_exact_mut(width)) {
                // Samples that fill up the last tile have rows of zeros: they add nothing.
                self.rows.scatter(tile, z, g);
            }
        }
        let (mut squares, mut norm) = (0.0, 0.0);
        for (g, w) in gradient.chunks_exact_mut(width).zip(plain.chunks_exact(width)) {
            let (g, b) = g.split_at_mut(width - 1);
            squares += dot(&w[..width - 1], &w[..width - 1]);
            for (g, w) in g.iter_mut().zip(w) {
                add_scaled(g, self.ridge, w);
            }
            for &g in g.iter().chain(&*b).flatten() {
                norm = if g.abs() <= norm { norm } else { g.abs() }; // NaN stays
            }
            self.centre.iter().zip(g).for_each(|(&mean, g)| add_scaled(g, -mean, &b[0]));
        }
        (loss / n as f64 + 0.5 * self.ridge * squares, norm)
    }
}

/// L-BFGS from zero with a weak Wolfe line search by bisection, so that every pair has positive curvature.
/// Returns the point, whether it meets the tolerance, and the steps taken.
fn minimise(objective: &mut Objective) -> (Vec<Lanes>, bool, usize) {
    let size = objective.classes.div_ceil(LANES) * objective.width;
    let mut theta = vec![[0.0; LANES]; size];
    let mut gradient = theta.clone();
    let (mut value, mut norm) = objective.evaluate(&theta, &mut gradient);
    let mut history: VecDeque<(Vec<Lanes>, Vec<Lanes>, f64)> = VecDeque::new(); // steps, changes, 1 / their product
    let mut evals = 1;
    for iteration in 0..MAX_ITERATIONS {
        if norm <= TOLERANCE || !value.is_finite() || !norm.is_finite() {
            eprintln!("evals {evals} iters {iteration} value {value} norm {norm}");
            return (theta, norm <= TOLERANCE, iteration);
        }
        let mut direction: Vec<Lanes> = gradient.iter().map(|g| g.map(|g| -g)).collect();
        let mut alphas = Vec::with_capacity(HISTORY);
        for (s, y, inverse) in history.iter().rev() {
            let alpha = inverse * dot(s, &direction);
            y.iter().zip(&mut direction).for_each(|(y, d)| add_scaled(d, -alpha, y));
            alphas.push(alpha);
        }
        let scaled = |v: &[Lanes]| -> Vec<Lanes> {
            v.iter().zip(objective.step_scale.iter().cycle()).map(|(v, s)| v.map(|v| s * v)).collect()
        };
        let gamma = history.back().map_or(1.0, |(_, y, inverse)| 1.0 / (inverse * dot(y, &scaled(y))));
        direction = scaled(&direction);
        direction.iter_mut().for_each(|d| *d = d.map(|d| gamma * d));
        for ((s, y, inverse), alpha) in history.iter().zip(alphas.iter().rev()) {
            let beta = inverse * dot(y, &direction);
            s.iter().zip(&mut direction).for_each(|(s, d)| add_scaled(d, alpha - beta, s));
        }
        let slope = dot(&gradient, &direction);
        // Near the optimum the value moves by less than its own rounding: that much of a rise is no rise.
        let slack = 1e-14 * value.abs();
        let (mut low, mut high, mut step) = (0.0, f64::INFINITY, 1.0);
        let mut next_gradient = vec![[0.0; LANES]; size];
        let mut accepted = None;
        for _ in 0..40 {
            let mut next = theta.clone();
            next.iter_mut().zip(&direction).for_each(|(t, d)| add_scaled(t, step, d));
            let (v, m) = objective.evaluate(&next, &mut next_gradient);
            evals += 1;
            if !(v <= value + 1e-4 * step * slope + slack) {
                high = step;
            } else if dot(&next_gradient, &direction) < 0.9 * slope {
                low = step;
            } else {
                accepted = Some((next, v, m));
                break;
            }
            step = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * step };
        }
        let Some((next, v, m)) = accepted else {
            eprintln!("line search failed at {iteration}");
            if history.is_empty() { return (theta, false, iteration); }
            history.clear();
            continue;
        };
        let s: Vec<Lanes> = next.iter().zip(&theta).map(|(a, b)| std::array::from_fn(|l| a[l] - b[l])).collect();
        let y: Vec<Lanes> = next_gradient.iter().zip(&gradient).map(|(a, b)| std::array::from_fn(|l| a[l] - b[l])).collect();
        let product = dot(&s, &y);
        if product > 0.0 {
            if history.len() == HISTORY { history.pop_front(); }
            history.push_back((s, y, 1.0 / product));
        }
        (theta, value, norm) = (next, v, m);
        gradient = next_gradient;
    }
    (theta, norm <= TOLERANCE, MAX_ITERATIONS)
}
