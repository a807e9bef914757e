//! A model in training.

use super::Model;
use crate::engine::{Minibatch, StepLoss};
use crate::model::{PassAt, Step};
use crate::spec::{Optimizer, Train};

/// A model in training, in the engine that it is in.
pub struct Trainer<'a> {
    /// The model.
    pub model: Model<'a>,
    /// Over which share of the steps the weights of the penalty's own terms rise.
    penalty_warmup: f64,
}

impl<'a> Trainer<'a> {
    /// Starts training a model.
    pub fn new(mut model: Model<'a>, optimizer: Optimizer) -> Self {
        model.engine.learn_with(Some(optimizer));
        Self { model, penalty_warmup: 0.0 }
    }

    /// Starts training a model as `[train]` says.
    pub fn of(model: Model<'a>, train: &Train) -> Self {
        let trainer = Self::new(model, train.optimizer).clipping(train.clip_norm);
        trainer.warming_up(train.penalty_warmup)
    }

    /// The same with gradients whose norm is above `limit` scaled to it.
    pub fn clipping(mut self, limit: Option<f64>) -> Self {
        self.model.engine.clip_gradients(limit);
        self
    }

    /// The same with weights of the penalty's own terms that rise linearly from 0 over this share of the
    /// steps.
    pub fn warming_up(self, penalty_warmup: f64) -> Self {
        Self { penalty_warmup, ..self }
    }

    /// One step on a batch, at `factor` times the learning rate. Nothing is learnt from a loss that is not
    /// finite.
    pub fn step(&mut self, batch: Minibatch<'_>, step: Step<'_>, factor: f64) -> StepLoss {
        let warmup = self.penalty_warmup;
        let penalty_factor = if step.progress < warmup { step.progress / warmup } else { 1.0 };
        let Model { engine, state, random, streams, .. } = &mut self.model;
        let at = PassAt { step, state, random, streams, held: None, penalty_factor };
        engine.step(batch, at, factor)
    }

    /// The model, trained: its moments are freed.
    pub fn into_model(mut self) -> Model<'a> {
        self.model.engine.learn_with(None);
        self.model
    }
}
