//! Engines: what takes the steps of a run and the passes of its evaluations.
//!
//! An engine holds the parameters of a model in a layout of its own, and, while it trains, their moments.
//! [`reference`](crate::reference) is the definition on dfdx; [`fused`](crate::fused) does the same by hand,
//! faster. Each is one folder that implements [`Engine`] whole and one line of [`ENGINES`]; nothing else
//! asks which engine a model is in.

mod after_step;
mod choice;

use std::borrow::Cow;
use std::fmt;

use crate::model::{Definition, LossTerm, Parameters, PassAt};
use crate::plugin::{OwnedCodes, SampleShape};
use crate::spec::{Optimizer, Precision};
pub use after_step::AfterStep;
pub use choice::{ENGINES, EngineChoice, FUSED, REFERENCE};

/// An engine as the table of engines has it.
#[derive(Clone, Copy)]
pub struct EngineKind {
    /// The name in experiment files and results.
    pub name: &'static str,
    /// One line of help.
    pub about: &'static str,
    /// Whether the engine covers a model; if not, the reason.
    pub covers: fn(&Definition<'_>) -> Result<(), &'static str>,
    /// Whether the engine trains in a precision that it is asked for.
    pub precisions: &'static [Precision],
    /// Makes the engine of a model that it covers, with no optimizer yet. It uses as many threads as the
    /// current rayon pool has.
    pub make: for<'a> fn(Definition<'a>, SampleShape, Parameters<f32>) -> Box<dyn Engine + 'a>,
    /// What a run costs in this engine, for estimates.
    pub costs: Costs,
}

/// What an engine needs for p parameters, and for B samples of d inputs and m latents.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// Copies of every parameter, with Adam: values, moments, what is stored, gradients.
    pub copies: f64,
    /// Copies of a batch's codes, B m numbers each.
    pub codes: f64,
    /// The same where the penalty leaves zeros, as far as the engine keeps such codes as lists.
    pub listed_codes: Option<f64>,
    /// Copies of a batch's samples, B d numbers each.
    pub samples: f64,
    /// Floating point operations a second that one core of a common processor reaches.
    pub rate: f64,
}

impl PartialEq for EngineKind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for EngineKind {}

impl fmt::Debug for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The samples of a step or a pass, row-major.
#[derive(Clone, Copy, Debug)]
pub struct Minibatch<'a> {
    /// What is encoded, [samples, inputs].
    pub sample: &'a [f32],
    /// What is reconstructed, [samples, outputs].
    pub target: &'a [f32],
}

impl<'a> Minibatch<'a> {
    /// Samples that are their own targets.
    pub fn clean(x: &'a [f32]) -> Self {
        Self { sample: x, target: x }
    }
}

/// What a model makes of a batch, in its own units.
pub struct Forward {
    /// [samples, latents]
    pub code: OwnedCodes,
    /// [samples, inputs]
    pub x_hat: Vec<f32>,
    /// The objective of each sample against its target, where it is not the squared error.
    pub objective: Option<Vec<f64>>,
}

/// The loss of one training step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepLoss {
    /// The whole loss.
    pub total: f64,
    /// The reconstruction term.
    pub reconstruction: f64,
    /// The terms of the architecture, the penalty and the auxiliaries.
    pub terms: Vec<LossTerm>,
    /// Mean number of active latents a sample.
    pub l0: f64,
}

/// Every number of an engine that a step changes.
pub struct Numbers<'a> {
    /// Parameters and moments by name, in the engine's own layout.
    pub arrays: Vec<(String, &'a mut [f32])>,
    /// Steps that the optimizer has counted; `None` without an optimizer.
    pub optimizer_steps: Option<&'a mut i32>,
}

/// A model in an engine: its parameters, and, while it trains, its optimizer.
pub trait Engine {
    /// The row of this engine in [`ENGINES`].
    fn kind(&self) -> EngineKind;

    /// The code and the reconstruction of a batch.
    fn forward(&self, batch: Minibatch<'_>, at: PassAt<'_>) -> Forward;

    /// The reconstruction, [samples, inputs], from codes, [samples, latents].
    fn decode(&self, code: Vec<f32>) -> Vec<f32>;

    /// Gives the engine an optimizer with moments of zero, or, with `None`, takes the optimizer away and
    /// frees the moments.
    fn learn_with(&mut self, optimizer: Option<Optimizer>);

    /// One step on a batch, at `factor` times the learning rate. It learns nothing from a loss that is not
    /// finite, and nothing without an optimizer.
    fn step(&mut self, batch: Minibatch<'_>, at: PassAt<'_>, factor: f64) -> StepLoss;

    /// From now on, steps scale a gradient whose Euclidean norm, over all parameters together, is above
    /// `limit` to it: the gradient of the whole loss, before constraints are projected out of it and before
    /// the optimizer sees it. `None` leaves gradients as they are.
    fn clip_gradients(&mut self, limit: Option<f64>);

    /// The parameters in the order and layout of their declarations.
    fn parameters(&self) -> Cow<'_, Parameters<f32>>;

    /// The same, freeing the engine.
    fn into_parameters(self: Box<Self>) -> Parameters<f32>;

    /// The first moments (of SGD: the velocities), laid out like the parameters; `None` without an
    /// optimizer.
    fn first_moments(&self) -> Option<Parameters<f32>>;

    /// Every number that steps change, to be read or written.
    fn numbers(&mut self) -> Numbers<'_>;

    /// Makes anew what the engine derives from numbers that were written.
    fn refresh(&mut self) {}

    /// Sets the moments of the parameters of these latents to 0.
    fn reset_moments(&mut self, latents: &[usize]);

    /// The parameters of these latents alone; see [`Parameters::of_latents`].
    fn of_latents(&self, latents: &[usize]) -> Parameters<f32>;

    /// Writes the parameters of these latents, and makes their constraints hold.
    fn set_latents(&mut self, latents: &[usize], parameters: &Parameters<f32>);

    /// Sets `active`, one flag a latent, where a sample of the last step had the latent active.
    fn mark_active(&self, active: &mut [bool]);

    /// The constrained codes of the samples of the last step.
    fn last_codes(&self) -> OwnedCodes;

    /// The decoder's rows, [latents, inputs], where each latent has one.
    fn dictionary(&self) -> Option<Vec<f32>>;

    /// Whether every parameter is a finite number.
    fn is_finite(&self) -> bool;

    /// In which precision the encoder's product is taken.
    fn precision(&self) -> Precision {
        Precision::F32
    }

    /// Takes the encoder's product in another precision from now on. An engine that has no other keeps
    /// `f32`: such runs are refused before they start.
    fn set_precision(&mut self, precision: Precision) {
        let _ = precision;
    }

    /// Adds `shift`, one number a latent, to the encoder's bias, if the architecture has one.
    fn shift_encoder_bias(&mut self, shift: &[f32]);
}
