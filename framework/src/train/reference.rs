//! The reference engine: every step through dfdx. Short and obvious; the definition of what is
//! right.

use std::cell::RefCell;

use dfdx::tensor_ops::Backward;
use rand_chacha::ChaCha8Rng;

use super::{Normaliser, Optimise};
use crate::dims::{Batch, Input, Latent};
use crate::model::{LossTerm, Parameters, Real, State, Step, Weights, loss, rank0, tensor, values};
use crate::plugin::{Architecture, Penalty, is_active};
use crate::random::Streams;
use crate::spec::Optimizer;

/// A model in f32, as it is trained, measured and stored.
pub struct Model<'a> {
    /// Its architecture.
    pub architecture: &'a dyn Architecture,
    /// Its penalty: the constraint is part of the model.
    pub penalty: &'a dyn Penalty,
    /// How many numbers a sample has.
    pub input: Input,
    /// What was learnt.
    pub parameters: Parameters<f32>,
    /// The penalty's running state.
    pub state: RefCell<State>,
    /// How samples are scaled before the model sees them.
    pub normaliser: Normaliser,
    random: RefCell<ChaCha8Rng>,
}

/// What a model makes of a batch, in its own units.
pub struct Forward {
    /// [batch, latents]
    pub code: Vec<f32>,
    /// [batch, inputs]
    pub x_hat: Vec<f32>,
}

impl<'a> Model<'a> {
    /// A model as a run starts with it.
    pub fn new(
        architecture: &'a dyn Architecture,
        penalty: &'a dyn Penalty,
        input: Input,
        normaliser: Normaliser,
        streams: &Streams,
    ) -> Self {
        let latent = Latent(architecture.latents());
        let mut declarations = architecture.parameters(input);
        declarations.extend(penalty.parameters(latent).into_iter().map(|mut own| {
            own.name = format!("penalty.{}", own.name);
            own
        }));
        Self {
            architecture,
            penalty,
            input,
            parameters: Parameters::initialise(declarations, streams),
            state: RefCell::new(penalty.state(latent)),
            normaliser,
            random: RefCell::new(streams.stream("penalty")),
        }
    }

    /// A latent counts as active above this value; 0 stands for "is not zero".
    pub fn l0_threshold(&self) -> f64 {
        let soft = self.architecture.code_range().soft_threshold();
        if self.penalty.leaves_zeros() { 0.0 } else { soft.unwrap_or(0.0) }
    }

    /// The code and the reconstruction of samples `x`, [batch, inputs].
    pub fn forward(&self, x: Vec<f32>, step: Step<'_>) -> Forward {
        let shape = (Batch(x.len() / self.input.0), self.input);
        let x = tensor(x, shape);
        let weights = Weights::new(self.input, &self.parameters);
        let (architecture, penalty) = (self.architecture, self.penalty);
        let passed =
            loss(architecture, penalty, x.clone(), &x, &weights, step, &self.state, &self.random);
        Forward { code: values(&passed.code), x_hat: values(&passed.x_hat) }
    }

    /// The reconstruction from codes, [batch, latents].
    pub fn decode(&self, code: Vec<f32>) -> Vec<f32> {
        let latent = Latent(self.architecture.latents());
        let shape = (Batch(code.len() / latent.0), latent);
        let weights = Weights::new(self.input, &self.parameters);
        let architecture = f32::autoencoder(self.architecture);
        values(&architecture.decode(tensor(code, shape).retaped(), &weights))
    }

    /// Whether every parameter is a finite number.
    pub fn is_finite(&self) -> bool {
        self.parameters
            .entries
            .iter()
            .all(|entry| entry.values.iter().all(|value| value.is_finite()))
    }
}

/// The loss of one training step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepLoss {
    /// The whole loss.
    pub total: f64,
    /// The reconstruction term.
    pub reconstruction: f64,
    /// The penalty's terms.
    pub terms: Vec<LossTerm>,
    /// Mean number of active latents a sample.
    pub l0: f64,
}

/// A model in training.
pub struct Trainer<'a> {
    /// The model.
    pub model: Model<'a>,
    optimise: Optimise<f32>,
}

impl<'a> Trainer<'a> {
    /// Starts training a model.
    pub fn new(model: Model<'a>, optimizer: Optimizer) -> Self {
        let optimise = Optimise::new(optimizer, &model.parameters);
        Self { model, optimise }
    }

    /// One step on samples `x`, [batch, inputs], at `factor` times the learning rate. Nothing is
    /// learnt from a loss that is not finite.
    pub fn step(&mut self, x: Vec<f32>, step: Step<'_>, factor: f64) -> StepLoss {
        let model = &mut self.model;
        let batch = x.len() / model.input.0;
        let x = tensor(x, (Batch(batch), model.input));
        let weights = Weights::new(model.input, &model.parameters);
        let (architecture, penalty) = (model.architecture, model.penalty);
        let passed =
            loss(architecture, penalty, x.clone(), &x, &weights, step, &model.state, &model.random);
        let threshold = model.l0_threshold();
        let active =
            values(&passed.code).into_iter().filter(|value| is_active(*value, threshold)).count();
        let measured = StepLoss {
            total: rank0(&passed.total),
            reconstruction: passed.reconstruction,
            terms: passed.terms,
            l0: active as f64 / batch as f64,
        };
        if measured.total.is_finite() {
            let mut gradients = weights.gradients(passed.total.backward());
            drop(weights);
            self.optimise.step(&mut model.parameters, &mut gradients, factor);
        }
        measured
    }
}
