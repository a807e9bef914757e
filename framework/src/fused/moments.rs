//! The moments of a model's parameters.

use super::Fused;
use super::layers::Layers;
use crate::model::Parameters;
use crate::spec::Optimizer;

/// The moments of every parameter, and the optimizer they belong to.
pub struct Moments {
    pub(super) optimizer: Optimizer,
    pub(super) steps: i32,
    pub(super) first: Layers,
    /// Empty for SGD.
    pub(super) second: Layers,
}

impl Moments {
    /// Of no step yet.
    pub fn new(optimizer: Optimizer, model: &Fused) -> Self {
        let first = model.layers.zeros_like();
        let second = match optimizer {
            Optimizer::Adam(_) => model.layers.zeros_like(),
            Optimizer::Sgd(_) => Layers::default(),
        };
        Self { optimizer, steps: 0, first, second }
    }

    /// The first moments (of SGD: the velocities), as parameters.
    pub fn first(&self, model: &Fused) -> Parameters<f32> {
        self.first.to_parameters(&model.declarations)
    }

    /// What the optimizer has counted.
    pub(crate) fn steps_mut(&mut self) -> &mut i32 {
        &mut self.steps
    }

    /// Every number of the model that a step changes, padding included, by name: its parameters and
    /// these moments.
    pub(crate) fn arrays<'a>(&'a mut self, model: &'a mut Fused) -> Vec<(String, &'a mut [f32])> {
        let layers = [
            ("parameters", &mut model.layers),
            ("first", &mut self.first),
            ("second", &mut self.second),
        ];
        let arrays = layers.into_iter().flat_map(|(of, layers)| {
            layers.arrays().map(move |(name, values)| (format!("{of}.{name}"), values))
        });
        arrays.collect()
    }
}
