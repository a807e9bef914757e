//! L-BFGS over blocks of classes, in f64: the way to the optimum of the logistic probe.

use std::collections::VecDeque;

/// Classes in a block: twelve sums take six of the sixteen SSE2 registers. Ten classes, the usual
/// number, then fit into one block, which takes a third less time than three blocks of four.
pub const LANES: usize = 12;
/// A block of numbers, one a class.
pub type Lanes = [f64; LANES];

/// Converged: no entry of the gradient of the mean objective is larger. A thousandth of
/// scikit-learn's default `tol`. At 1e-6, one prediction in two thousand still moved on held-out
/// sparse codes; from here to 1e-9 none.
pub const TOLERANCE: f64 = 1e-7;
/// Probes need hundreds; only rows scaled out of f64's reach should come here.
const MAX_ITERATIONS: usize = 10_000;
/// Steps that L-BFGS remembers, as many as in scikit-learn.
const HISTORY: usize = 10;

/// `theta`, the value and the gradient there, and the max-norm of the gradient for rows that are
/// not centred.
pub struct Iterate {
    pub theta: Vec<Lanes>,
    pub value: f64,
    pub gradient: Vec<Lanes>,
    pub norm: f64,
}

/// A step that was taken, the change of the gradient along it, and the product of the two.
type Curvature = (Vec<Lanes>, Vec<Lanes>, f64);

/// Where L-BFGS ended.
pub struct Minimum {
    /// The last point.
    pub theta: Vec<Lanes>,
    /// Whether its gradient meets the tolerance.
    pub converged: bool,
}

/// Walks from `start` to where `objective` has no gradient.
pub fn minimise(start: Vec<Lanes>, objective: impl Fn(Vec<Lanes>) -> Iterate) -> Minimum {
    let mut here = objective(start);
    let mut history = VecDeque::with_capacity(HISTORY); // newest first
    let mut iterations = 0;
    // A value that is not finite comes from rows that are not: no step mends it.
    while here.norm > TOLERANCE && here.value.is_finite() && iterations < MAX_ITERATIONS {
        let Some(next) = line_search(&objective, &here, &direction(&here.gradient, &history))
        else {
            if history.is_empty() {
                break;
            }
            history.clear(); // steepest descent may still find a way
            continue;
        };
        let (mut step, mut change) = (next.theta.clone(), next.gradient.clone());
        axpy(&mut step, -1.0, &here.theta);
        axpy(&mut change, -1.0, &here.gradient);
        let product = dot(&step, &change);
        if product > 0.0 {
            history.truncate(HISTORY - 1);
            history.push_front((step, change, product));
        }
        (here, iterations) = (next, iterations + 1);
    }
    let converged = here.norm <= TOLERANCE && here.value.is_finite();
    Minimum { theta: here.theta, converged }
}

/// Minus the gradient times the inverse Hessian that the history suggests: the two loops of Nocedal
/// and Wright, Numerical Optimization, algorithm 7.4.
fn direction(gradient: &[Lanes], history: &VecDeque<Curvature>) -> Vec<Lanes> {
    let mut d = gradient.to_vec();
    let mut alphas = Vec::with_capacity(HISTORY);
    for (step, change, product) in history {
        let alpha = dot(step, &d) / product;
        axpy(&mut d, -alpha, change);
        alphas.push(alpha);
    }
    // Without a history the step has length 1 at most, however large the rows.
    let scale = match history.front() {
        Some((_, change, product)) => product / dot(change, change),
        None => 1.0 / dot(gradient, gradient).sqrt().max(1.0),
    };
    d.as_flattened_mut().iter_mut().for_each(|d| *d *= -scale);
    for ((step, change, product), alpha) in history.iter().zip(alphas).rev() {
        let beta = dot(change, &d) / product;
        axpy(&mut d, -alpha - beta, step);
    }
    d
}

/// The first point `here + t * direction`, t by doubling and bisection from 1, that meets the weak
/// Wolfe conditions. They make step times change of gradient positive, which is all that L-BFGS
/// asks for.
fn line_search(
    objective: &impl Fn(Vec<Lanes>) -> Iterate,
    here: &Iterate,
    direction: &[Lanes],
) -> Option<Iterate> {
    let slope = dot(&here.gradient, direction); // below 0: all pairs have positive products
    let (mut low, mut high, mut t) = (0.0, f64::INFINITY, 1.0);
    for _ in 0..50 {
        let mut theta = here.theta.clone();
        axpy(&mut theta, t, direction);
        let next = objective(theta);
        // The slack: near the optimum the value moves by less than its own rounding. NaN is no
        // fall.
        let falls = next.value <= here.value + 1e-4 * t * slope + 1e-14 * here.value.abs();
        if falls && dot(&next.gradient, direction) >= 0.9 * slope {
            return Some(next);
        }
        *(if falls { &mut low } else { &mut high }) = t;
        t = if high < f64::INFINITY { (low + high) / 2.0 } else { 2.0 * t };
    }
    None
}

/// Σ a · b.
pub fn dot(a: &[Lanes], b: &[Lanes]) -> f64 {
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        (0..LANES).for_each(|l| sums[l] += a[l] * b[l]);
    }
    sums.iter().sum()
}

/// `to += scale * from`, as far as `from` goes.
pub fn axpy(to: &mut [Lanes], scale: f64, from: &[Lanes]) {
    for (to, from) in to.iter_mut().zip(from) {
        add_scaled(to, scale, from);
    }
}

/// `to += scale * from`.
pub fn add_scaled(to: &mut Lanes, scale: f64, from: &Lanes) {
    (0..LANES).for_each(|l| to[l] += scale * from[l]);
}
