//! A model in training.

use super::Model;
use crate::engine::{AfterStep, Minibatch, StepLoss};
use crate::model::{OwnState, Owner, PassAt, Step, activity};
use crate::spec::{Optimizer, Train};

/// A model in training, in the engine that it is in.
pub struct Trainer<'a> {
    /// The model.
    pub model: Model<'a>,
    /// Over which share of the steps the weights of the penalty's own terms rise.
    penalty_warmup: f64,
    /// Number of training samples without it after which a latent is dead.
    dead_after: usize,
}

impl<'a> Trainer<'a> {
    /// Starts training a model.
    pub fn new(mut model: Model<'a>, optimizer: Optimizer) -> Self {
        model.engine.learn_with(Some(optimizer));
        Self { model, penalty_warmup: 0.0, dead_after: usize::MAX }
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

    /// The same with latents dead after so many training samples without them.
    pub fn dead_after(self, samples: usize) -> Self {
        Self { dead_after: samples, ..self }
    }

    /// The share of the latents that are dead; `None` where no auxiliary asks for it.
    pub fn dead_fraction(&self) -> Option<f64> {
        let state = self.model.state.borrow();
        let latents = activity::samples_since_active(&state)?.len();
        Some(activity::dead(&state, self.dead_after).len() as f64 / latents as f64)
    }

    /// One step on a batch, at `factor` times the learning rate. Nothing is learnt from a loss that is not
    /// finite, and the running state stays what it was.
    pub fn step(&mut self, batch: Minibatch<'_>, step: Step<'_>, factor: f64) -> StepLoss {
        let warmup = self.penalty_warmup;
        let warmup_factor = if step.progress < warmup { step.progress / warmup } else { 1.0 };
        let dead_after = self.dead_after;
        let Model { definition, engine, state, random, streams, input, .. } = &mut self.model;
        let own_state = OwnState::of_penalty(state);
        let penalty_factor = warmup_factor * definition.penalty.weight_factor(&step, own_state);
        let at = PassAt { penalty_factor, dead_after, ..PassAt::new(step, state, random, streams) };
        let before = state.borrow().clone();
        let measured = engine.step(batch, at, factor);
        if !measured.total.is_finite() {
            *state.borrow_mut() = before;
            return measured;
        }
        if definition.watches_activity() {
            let mut active = vec![false; definition.latents().0];
            engine.mark_active(&mut active);
            let samples = batch.sample.len() / input.0;
            activity::count(&mut state.borrow_mut(), &active, samples);
        }
        let codes = || engine.last_codes();
        definition.penalty.observe(&step, own_state, &codes);
        for auxiliary in definition.auxiliaries {
            let own_state = at.own_state(Owner::Auxiliary(&auxiliary.name));
            auxiliary.built.plugin.observe(&step, own_state, &codes);
        }
        for auxiliary in definition.auxiliaries {
            let latents = definition.latents().0;
            let mut after = AfterStep::new(&auxiliary.name, latents, at, batch, &mut **engine);
            auxiliary.built.plugin.after_step(&mut after);
        }
        measured
    }

    /// The model, trained: its moments are freed.
    pub fn into_model(mut self) -> Model<'a> {
        self.model.engine.learn_with(None);
        self.model
    }
}
