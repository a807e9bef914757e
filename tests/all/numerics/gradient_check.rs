//! Gradients against central differences, in f64: the whole loss of a training step, for each
//! parameter by itself and along random directions.
//!
//! Points are drawn away from kinks. What the seam between encoder and decoder shows is kept at a
//! distance: every pre-code is [`MARGIN`] away from 0 and, within a sample, from every other one
//! (top-k swaps nobody), unless both their codes are 0. What it does not show (the relu of a later
//! layer) is found by comparing two widths of the stencil, and the point is drawn again; the
//! gradient under test has no say in that.

use std::cell::RefCell;
use std::fmt;

use framework::dims::{Batch, Input};
use framework::model::{
    Definition, EncoderPass, Held, Mode, Parameters, Step, Weights, tensor, values,
};
use framework::plugin::Autoencoder;
use framework::rand::RngExt;
use framework::rand_chacha::ChaCha8Rng;
use framework::random::Streams;

use crate::support::models::{Samples, parameters, pass, shape_of, value};

/// The distance between points of the stencil. Fourth-order differences then err by 1e-17 times the
/// fifth derivative, and by some 1e-11 for rounding.
const STEP: f64 = 1e-4;

/// Of the largest element of the tensor.
const ELEMENT_TOLERANCE: f64 = 1e-6;

/// Of the derivative along the direction.
const DIRECTION_TOLERANCE: f64 = 1e-7;

/// What differences may find, times the loss, where a gradient is exactly zero.
const ZERO: f64 = 1e-9;

/// The rounding error of a derivative, times the loss.
const ROUNDING: f64 = 1e-10;

/// A tensor whose largest derivative is less than this, times the loss, is too flat to be judged
/// beside the rounding error.
const FLAT: f64 = 1e-4;

/// How far pre-codes are from 0 and from each other. Numbers are at most 1, so a dense layer of 6
/// inputs moves two pre-codes by at most 4 · STEP · 2 · √(6 · 2² + 1 + 6) = 4.5e-3 against each
/// other, along any direction of norm 1.
const MARGIN: f64 = 5e-3;

/// How many directions are tried.
const DIRECTIONS: usize = 3;

/// How often a point is drawn before the check gives up.
const DRAWS: usize = 400;

/// How often a point is drawn before one will do at which some parameter has no gradient at all.
const LIVELY_DRAWS: usize = 20;

/// A model to be checked.
pub struct Subject<'a> {
    /// What reports call it.
    pub name: String,
    pub definition: Definition<'a>,
    pub batch: usize,
    pub inputs: usize,
}

/// How a check failed.
#[derive(Debug)]
pub enum Failure {
    /// Gradients are wrong.
    Wrong { subject: String, seed: u64, mismatches: Vec<Mismatch> },
    /// There was nowhere to check.
    NoPoint { subject: String, seed: u64, reasons: Vec<&'static str> },
}

/// The worst element of a tensor, or a direction.
#[derive(Debug)]
pub struct Mismatch {
    /// The tensor, or what the direction is through.
    pub tensor: String,
    pub shape: Vec<usize>,
    pub element: usize,
    pub by_autodiff: f64,
    pub by_differences: f64,
    /// The largest difference that is allowed.
    pub tolerance: f64,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong { subject, seed, mismatches } => {
                write!(f, "wrong gradient: {subject}, seed {seed}")?;
                mismatches.iter().try_for_each(|mismatch| write!(f, "\n  {mismatch}"))
            }
            Self::NoPoint { subject, seed, reasons } => {
                let count = |of: &str| reasons.iter().filter(|reason| **reason == of).count();
                let mut distinct = reasons.clone();
                distinct.sort_unstable();
                distinct.dedup();
                write!(f, "no point to check {subject} at, seed {seed}:")?;
                distinct.iter().try_for_each(|of| write!(f, " {} times {of};", count(of)))
            }
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tensor, shape, element, by_autodiff, by_differences, tolerance } = self;
        write!(
            f,
            "{tensor} {shape:?}, element {element}: {by_autodiff:e} by autodiff, \
             {by_differences:e} by differences, {tolerance:e} apart at most"
        )
    }
}

/// Where a gradient is checked.
struct Point {
    parameters: Parameters<f64>,
    samples: Samples,
    labels: Vec<u32>,
    progress: f64,
    /// What the definition holds fixed here: its gradient is that of the function with these values.
    held: RefCell<Held>,
}

/// A derivative by two widths of the same stencil.
#[derive(Clone, Copy)]
struct Difference {
    narrow: f64,
    wide: f64,
}

/// Checks the gradient of a subject at one random point.
///
/// # Errors
/// Every tensor and direction whose gradient is wrong.
pub fn check(subject: &Subject<'_>, seed: u64) -> Result<(), Box<Failure>> {
    let mut random = Streams::new(seed).stream("gradient check");
    let mut reasons = Vec::new();
    for draw in 0..DRAWS {
        let point = subject.draw(&mut random);
        match subject.check_at(&point, draw < LIVELY_DRAWS, &mut random) {
            Err(reason) => reasons.push(reason),
            Ok(mismatches) if mismatches.is_empty() => return Ok(()),
            Ok(mismatches) => {
                let subject = subject.to_string();
                return Err(Box::new(Failure::Wrong { subject, seed, mismatches }));
            }
        }
    }
    Err(Box::new(Failure::NoPoint { subject: subject.to_string(), seed, reasons }))
}

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (batch {}, inputs {})", self.name, self.batch, self.inputs)
    }
}

impl Subject<'_> {
    fn draw(&self, random: &mut ChaCha8Rng) -> Point {
        let mut parameters = parameters(self.definition, self.inputs);
        for entry in &mut parameters.entries {
            entry.values.iter_mut().for_each(|value| *value = random.random_range(-1.0..1.0));
        }
        let size = self.batch * self.inputs;
        let mut numbers = || (0..size).map(|_| random.random_range(-1.0..1.0)).collect();
        let (x, target) = (numbers(), numbers());
        let samples = Samples { x, target, inputs: self.inputs };
        let labels = (0..self.batch as u32).map(|row| row % 2).collect();
        let progress = random.random_range(0.0..1.0);
        let point = Point { parameters, samples, labels, progress, held: RefCell::default() };
        self.pass_value(&point, &point.parameters);
        point
    }

    /// What is wrong at a point.
    ///
    /// # Errors
    /// Why the point is not one to check at.
    fn check_at(
        &self,
        point: &Point,
        lively: bool,
        random: &mut ChaCha8Rng,
    ) -> Result<Vec<Mismatch>, &'static str> {
        if !self.is_away_from_kinks_at_the_seam(point) {
            return Err("near a kink at the seam");
        }
        let entries = &point.parameters.entries;
        if lively && (0..entries.len()).any(|at| self.is_idle(point, at)) {
            return Err("a parameter without effect");
        }
        let scale = self.value(point, &point.parameters).abs().max(1.0);
        let mut numeric: Vec<Vec<f64>> = Vec::with_capacity(entries.len());
        for (tensor, entry) in entries.iter().enumerate() {
            let derivatives: Vec<Difference> = (0..entry.values.len())
                .map(|at| self.derivative(point, |moved, t| moved.entries[tensor].values[at] += t))
                .collect();
            let largest = derivatives.iter().fold(0.0_f64, |max, d| max.max(d.narrow.abs()));
            if derivatives.iter().any(|d| !d.is_smooth(largest, scale)) {
                return Err("near a kink behind the seam");
            }
            if largest > ZERO * scale && largest < FLAT * scale {
                return Err("too flat");
            }
            numeric.push(derivatives.iter().map(|d| d.narrow).collect());
        }

        let passed = pass(self.definition, &point.parameters, &point.samples, point.step());
        let mut mismatches: Vec<Mismatch> = entries
            .iter()
            .zip(passed.gradients.iter().zip(&numeric))
            .filter_map(|(entry, (autodiff, numeric))| {
                let declaration = &entry.declaration;
                worst_element(&declaration.name, &declaration.shape, autodiff, numeric, scale)
            })
            .collect();

        let norm = numeric.iter().flatten().map(|d| d * d).sum::<f64>().sqrt();
        let size = point.parameters.size();
        let mut tried = 0;
        for _ in 0..DRAWS {
            if tried == DIRECTIONS {
                break;
            }
            let direction = direction(&point.parameters, random);
            let along = self.derivative(point, |moved, t| {
                for (entry, direction) in moved.entries.iter_mut().zip(&direction) {
                    entry.values.iter_mut().zip(direction).for_each(|(v, d)| *v += t * d);
                }
            });
            let numeric = along.narrow;
            // Almost along a contour, a relative error means nothing.
            if numeric.abs() < 0.1 * norm / (size as f64).sqrt() || numeric.abs() < 1e-3 * scale {
                continue;
            }
            if !along.is_smooth(numeric.abs(), scale) {
                return Err("near a kink along a direction");
            }
            tried += 1;
            let autodiff: f64 = passed
                .gradients
                .iter()
                .flatten()
                .zip(direction.iter().flatten())
                .map(|(g, d)| g * d)
                .sum();
            let tolerance = DIRECTION_TOLERANCE * numeric.abs();
            let is_right = (autodiff - numeric).abs() <= tolerance;
            if !is_right {
                mismatches.push(Mismatch {
                    tensor: "along a random direction of all parameters".into(),
                    shape: vec![size],
                    element: 0,
                    by_autodiff: autodiff,
                    by_differences: numeric,
                    tolerance,
                });
            }
        }
        if tried == 0 {
            return Err("level in every direction");
        }
        Ok(mismatches)
    }

    fn value(&self, point: &Point, parameters: &Parameters<f64>) -> f64 {
        point.held.borrow_mut().replay();
        self.pass_value(point, parameters)
    }

    fn pass_value(&self, point: &Point, parameters: &Parameters<f64>) -> f64 {
        let (samples, step, held) = (&point.samples, point.step(), Some(&point.held));
        value(self.definition, parameters, samples, step, held)
    }

    /// The derivative at 0 of the loss at the parameters that `displace` moves by its argument.
    fn derivative(
        &self,
        point: &Point,
        displace: impl Fn(&mut Parameters<f64>, f64),
    ) -> Difference {
        let at = |t: f64| {
            let mut moved = point.parameters.clone();
            displace(&mut moved, t);
            self.value(point, &moved)
        };
        let [one, two, four] = [1.0, 2.0, 4.0].map(|n| at(n * STEP) - at(-n * STEP));
        Difference {
            narrow: (8.0 * one - two) / (12.0 * STEP),
            wide: (8.0 * two - four) / (24.0 * STEP),
        }
    }

    /// Whether a parameter as a whole has no effect on the loss.
    fn is_idle(&self, point: &Point, tensor: usize) -> bool {
        let at = |t: f64| {
            let mut moved = point.parameters.clone();
            // Not the same for every element: some losses do not mind that.
            let values = moved.entries[tensor].values.iter_mut().enumerate();
            values.for_each(|(i, value)| *value += t * (1.0 + i as f64));
            self.value(point, &moved)
        };
        at(STEP) == at(-STEP)
    }

    fn is_away_from_kinks_at_the_seam(&self, point: &Point) -> bool {
        let shape = (Batch(self.batch), Input(self.inputs));
        let weights = Weights::new(shape_of(self.inputs), &point.parameters);
        let x = tensor(point.samples.x.clone(), shape).retaped();
        let streams = Streams::new(0);
        let pass = EncoderPass::new(Step::EVALUATE, &streams);
        let encoded = Autoencoder::<f64>::encode(self.definition.architecture, x, &weights, &pass);
        let (pre_code, code) = (values(&encoded.pre_code), values(&encoded.code));
        let latents = self.definition.latents().0;
        pre_code.iter().all(|z| z.abs() >= MARGIN)
            && pre_code.chunks_exact(latents).zip(code.chunks_exact(latents)).all(|(z, h)| {
                let apart = |a: usize, b: usize| {
                    (h[a] == 0.0 && h[b] == 0.0) || (z[a] - z[b]).abs() >= MARGIN
                };
                (0..latents).all(|a| (0..a).all(|b| apart(a, b)))
            })
    }
}

impl Point {
    fn step(&self) -> Step<'_> {
        let labels = Some(&*self.labels);
        Step { mode: Mode::Train, progress: self.progress, labels, ..Step::EVALUATE }
    }
}

impl Difference {
    /// Whether both widths agree, beside the largest derivative of the tensor.
    fn is_smooth(&self, largest: f64, scale: f64) -> bool {
        (self.narrow - self.wide).abs() <= 1e-8 * largest + ROUNDING * scale
    }
}

/// The element with the largest error, if that is too large. NaN is.
fn worst_element(
    name: &str,
    shape: &[usize],
    autodiff: &[f64],
    numeric: &[f64],
    scale: f64,
) -> Option<Mismatch> {
    assert_eq!(autodiff.len(), numeric.len(), "the gradient of `{name}` has another size");
    let largest = autodiff.iter().fold(0.0_f64, |max, g| max.max(g.abs()));
    let tolerance = if largest == 0.0 { ZERO * scale } else { ELEMENT_TOLERANCE * largest };
    let error = |at: &usize| (autodiff[*at] - numeric[*at]).abs();
    let worst = (0..autodiff.len()).max_by(|a, b| error(a).total_cmp(&error(b)))?;
    let is_right = error(&worst) <= tolerance;
    (!is_right).then(|| Mismatch {
        tensor: name.into(),
        shape: shape.to_vec(),
        element: worst,
        by_autodiff: autodiff[worst],
        by_differences: numeric[worst],
        tolerance,
    })
}

/// A direction of norm 1 through all parameters.
fn direction(parameters: &Parameters<f64>, random: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
    let mut direction: Vec<Vec<f64>> = parameters
        .entries
        .iter()
        .map(|entry| entry.values.iter().map(|_| random.random_range(-1.0..1.0)).collect())
        .collect();
    let norm = direction.iter().flatten().map(|d: &f64| d * d).sum::<f64>().sqrt();
    direction.iter_mut().flatten().for_each(|d| *d /= norm);
    direction
}
