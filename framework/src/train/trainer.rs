//! A model in training.

use super::{L0Controller, Model};
use crate::engine::{AfterStep, Minibatch, StepLoss};
use crate::model::{OwnState, Owner, PassAt, Step, activity};
use crate::plugin::Metric;
use crate::spec::{Optimizer, Train};

/// A model in training, in the engine that it is in.
pub struct Trainer<'a> {
    /// The model.
    pub model: Model<'a>,
    /// Over which share of the steps the weights of the penalty's own terms rise.
    penalty_warmup: f64,
    /// What steers these weights, if something does.
    control: Option<L0Controller>,
    /// Number of training samples without it after which a latent is dead.
    dead_after: usize,
}

impl<'a> Trainer<'a> {
    /// Starts training a model.
    pub fn new(mut model: Model<'a>, optimizer: Optimizer) -> Self {
        model.engine.learn_with(Some(optimizer));
        Self { model, penalty_warmup: 0.0, control: None, dead_after: usize::MAX }
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

    /// The same with weights of the penalty's own terms that a controller steers.
    pub fn steered_by(self, control: Option<L0Controller>) -> Self {
        if let Some(control) = &control {
            control.start(&mut self.model.state.borrow_mut());
        }
        Self { control, ..self }
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

    /// Whether the controller asks for the L0 of the test samples after so many steps.
    pub fn asks_for_l0(&self, steps: usize) -> bool {
        self.control.as_ref().is_some_and(|control| control.checks_after(steps))
    }

    /// Tells the controller the L0 of the test samples, as it is now.
    pub fn tell_l0(&mut self, l0: f64) {
        L0Controller::check(self.model.state.get_mut(), l0);
    }

    /// The weights that a controller has steered to, as metrics; none without one.
    pub fn steered_weights(&self) -> Vec<Metric> {
        let state = self.model.state.borrow();
        self.control.as_ref().map_or(Vec::new(), |control| control.weights(&state))
    }

    /// The number that the weights of the penalty's own terms are multiplied by at a step: the one place where all
    /// that changes them in training comes together.
    fn penalty_factor(&self, step: Step<'_>) -> f64 {
        let warmup = self.penalty_warmup;
        let warming = if step.progress < warmup { step.progress / warmup } else { 1.0 };
        let Model { definition, state, .. } = &self.model;
        let own = definition.penalty.weight_factor(&step, OwnState::of_penalty(state));
        match &self.control {
            Some(_) => warming * own * L0Controller::multiplier(&state.borrow()),
            None => warming * own,
        }
    }

    /// One step on a batch, at `factor` times the learning rate. Nothing is learnt from a loss that is not
    /// finite, and the running state stays what it was.
    pub fn step(&mut self, batch: Minibatch<'_>, step: Step<'_>, factor: f64) -> StepLoss {
        let penalty_factor = self.penalty_factor(step);
        let dead_after = self.dead_after;
        let Model { definition, engine, state, random, streams, input, .. } = &mut self.model;
        let at = PassAt { penalty_factor, dead_after, ..PassAt::new(step, state, random, streams) };
        let before = state.borrow().clone();
        let measured = engine.step(batch, at, factor);
        if !measured.total.is_finite() {
            *state.borrow_mut() = before;
            return measured;
        }
        if let Some(control) = &self.control {
            control.follow(&mut state.borrow_mut(), step, measured.l0);
        }
        if definition.watches_activity() {
            let mut active = vec![false; definition.latents().0];
            engine.mark_active(&mut active);
            let samples = batch.sample.len() / input.0;
            activity::count(&mut state.borrow_mut(), &active, samples);
        }
        let codes = || engine.last_codes();
        definition.penalty.observe(&step, OwnState::of_penalty(state), &codes);
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
        if self.control.is_some() {
            L0Controller::end(self.model.state.get_mut());
        }
        self.model.engine.learn_with(None);
        self.model
    }
}
