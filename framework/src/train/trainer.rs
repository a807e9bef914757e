//! A model in training: one step in either engine. The reference engine's goes through dfdx: short
//! and obvious, the definition of what is right.

use dfdx::tensor_ops::Backward;

use super::model::{Learnt, rule};
use super::{Model, ReferenceOptimizer};
use crate::dims::Batch;
use crate::fused::{Moments, Passed};
use crate::model::{LossTerm, Parameters, State, Step, Weights, loss, rank0, tensor, values};
use crate::spec::Optimizer;

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
    optimizer: EngineOptimizer,
}

/// The optimizer of the model's engine.
enum EngineOptimizer {
    Reference(ReferenceOptimizer<f32>),
    Fused(Box<Moments>),
}

impl<'a> Trainer<'a> {
    /// Starts training a model in the engine that it is in.
    pub fn new(model: Model<'a>, optimizer: Optimizer) -> Self {
        let optimizer = match &model.learnt {
            Learnt::Reference(parameters) => {
                EngineOptimizer::Reference(ReferenceOptimizer::new(optimizer, parameters))
            }
            Learnt::Fused(fused) => {
                EngineOptimizer::Fused(Box::new(Moments::new(optimizer, fused)))
            }
        };
        Self { model, optimizer }
    }

    /// The first moments of every parameter (of SGD: the velocities), in the layout of the
    /// parameters.
    pub fn first_moments(&self) -> Parameters<f32> {
        match (&self.optimizer, &self.model.learnt) {
            (EngineOptimizer::Fused(moments), Learnt::Fused(fused)) => moments.first(fused),
            (EngineOptimizer::Reference(optimizer), Learnt::Reference(parameters)) => {
                optimizer.first_moments(parameters)
            }
            _ => unreachable!("the optimizer was made for the model's engine"),
        }
    }

    /// Every number that steps change: parameters and moments by name, in the layout of the engine,
    /// and the penalty's running state.
    pub(super) fn learnt(&mut self) -> (Vec<(String, &mut [f32])>, &mut State) {
        let Model { learnt, state, .. } = &mut self.model;
        let arrays = match (&mut self.optimizer, learnt) {
            (EngineOptimizer::Fused(moments), Learnt::Fused(fused)) => moments.arrays(fused),
            (EngineOptimizer::Reference(optimizer), Learnt::Reference(parameters)) => {
                optimizer.arrays(parameters)
            }
            _ => unreachable!("the optimizer was made for the model's engine"),
        };
        (arrays, state.get_mut())
    }

    /// What the optimizer has counted.
    pub(super) fn optimizer_steps(&mut self) -> &mut i32 {
        match &mut self.optimizer {
            EngineOptimizer::Reference(optimizer) => optimizer.steps_mut(),
            EngineOptimizer::Fused(moments) => moments.steps_mut(),
        }
    }

    /// Makes anew what follows from parameters that were written to from outside.
    pub(super) fn refresh(&mut self) {
        if let Learnt::Fused(fused) = &mut self.model.learnt {
            fused.refresh();
        }
    }

    /// One step on samples `x`, [batch, inputs], at `factor` times the learning rate. Nothing is
    /// learnt from a loss that is not finite.
    pub fn step(&mut self, x: &[f32], step: Step<'_>, factor: f64) -> StepLoss {
        let model = &mut self.model;
        let (architecture, penalty) = (model.architecture, model.penalty);
        let l0_rule = model.l0_rule();
        match (&mut self.optimizer, &mut model.learnt) {
            (EngineOptimizer::Fused(moments), Learnt::Fused(fused)) => {
                let rule = rule(architecture, penalty, step, &model.state, &model.random);
                let Passed { total, reconstruction, terms, l0 } =
                    fused.step(moments, x, rule, factor);
                StepLoss { total, reconstruction, terms, l0 }
            }
            (EngineOptimizer::Reference(optimizer), Learnt::Reference(parameters)) => {
                let batch = x.len() / model.input.0;
                let x = tensor(x.to_vec(), (Batch(batch), model.input));
                let weights = Weights::new(model.input, parameters);
                let (state, random) = (&model.state, &model.random);
                let passed =
                    loss(architecture, penalty, x.clone(), &x, &weights, step, state, random);
                let active = l0_rule.count(&values(&passed.code));
                let measured = StepLoss {
                    total: rank0(&passed.total),
                    reconstruction: passed.reconstruction,
                    terms: passed.terms,
                    l0: active as f64 / batch as f64,
                };
                if measured.total.is_finite() {
                    let mut gradients = weights.gradients(passed.total.backward());
                    drop(weights);
                    optimizer.step(parameters, &mut gradients, factor);
                }
                measured
            }
            _ => unreachable!("the optimizer was made for the model's engine"),
        }
    }
}
