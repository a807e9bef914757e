//! The moments of a model's parameters.

use super::Fused;
use super::tensors::Tensors;
use crate::engine::Numbers;
use crate::model::Parameters;
use crate::spec::Optimizer;

/// The moments of every parameter, and the optimizer they belong to.
pub struct Moments {
    pub(super) optimizer: Optimizer,
    pub(super) steps: i32,
    pub(super) first: Tensors,
    /// Empty for SGD.
    pub(super) second: Tensors,
}

impl Moments {
    /// Of no step yet.
    pub fn new(optimizer: Optimizer, model: &Fused) -> Self {
        let first = model.tensors.zeros_like();
        let second = match optimizer {
            Optimizer::Adam(_) => model.tensors.zeros_like(),
            Optimizer::Sgd(_) => Tensors::default(),
        };
        Self { optimizer, steps: 0, first, second }
    }

    /// The first moments (of SGD: the velocities), as parameters.
    pub fn first(&self, model: &Fused) -> Parameters<f32> {
        self.first.to_parameters(&model.layered, &model.declarations)
    }

    /// Every number of the model that a step changes, padding included, by name: its parameters and, while
    /// it trains, these moments.
    pub fn numbers<'a>(moments: Option<&'a mut Self>, model: &'a mut Fused) -> Numbers<'a> {
        let named = |of: &'static str, tensors: &'a mut Tensors| {
            tensors.arrays().map(move |(name, values)| (format!("{of}.{name}"), values))
        };
        let mut arrays: Vec<_> = named("parameters", &mut model.tensors).collect();
        let Some(Self { first, second, steps, .. }) = moments else {
            return Numbers { arrays, optimizer_steps: None };
        };
        arrays.extend(named("first", first).chain(named("second", second)));
        Numbers { arrays, optimizer_steps: Some(steps) }
    }

    /// The learning rate, before the schedule's factor.
    pub fn lr(&self) -> f64 {
        match &self.optimizer {
            Optimizer::Adam(adam) => adam.lr.get(),
            Optimizer::Sgd(sgd) => sgd.lr.get(),
        }
    }

    /// Sets the moments of these latents to 0.
    pub fn reset(&mut self, latents: &[usize]) {
        // SGD has no second moments.
        let moments = [&mut self.first, &mut self.second].into_iter();
        let there = moments.filter(|moments| moments.core.latents() > 0);
        there.for_each(|moments| moments.clear_latents(latents));
    }
}
