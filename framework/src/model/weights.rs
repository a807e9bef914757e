//! The parameters of a run as dfdx tensors, for one pass, and their gradients after it.

use std::any::Any;
use std::cell::RefCell;

use dfdx::prelude::{Gradients, Shape};

use super::{Parameters, Real, Side, Tensor, Traced, tensor};
use crate::dims::Input;
use crate::plugin::SampleShape;

/// The parameters, lent to one forward pass as typed tensors.
///
/// A tensor is made the first time a pass asks for it. Asking again with the same named shape
/// gives the same tensor; with another named shape, another view of the same parameter, whose
/// gradient is added to the first one's.
pub struct Weights<'a, E: Real> {
    sample: SampleShape,
    parameters: &'a Parameters<E>,
    used: RefCell<Vec<Used<E>>>,
    hold: Option<Hold<'a, E>>,
}

/// Gives the values that a parameter is held at.
type Hold<'a, E> = &'a dyn Fn(Vec<E>) -> Vec<E>;

struct Used<E: Real> {
    parameter: usize,
    tensor: Box<dyn Any>,
    gradient: Box<dyn TakeGradient<E>>,
}

/// Takes the gradient of one leaf out of those of a backward pass.
trait TakeGradient<E: Real>: Fn(&mut Gradients<E, E::Device>) -> Vec<E> {}
impl<E: Real, F: Fn(&mut Gradients<E, E::Device>) -> Vec<E>> TakeGradient<E> for F {}

impl<'a, E: Real> Weights<'a, E> {
    /// Lends `parameters` to a pass over samples of this shape.
    pub fn new(sample: SampleShape, parameters: &'a Parameters<E>) -> Self {
        Self { sample, parameters, used: RefCell::default(), hold: None }
    }

    /// The same parameters held fixed, at the values that `hold` gives: what is computed from them reaches no
    /// gradient of `self`.
    pub(super) fn held<'h>(&'h self, hold: Hold<'h, E>) -> Weights<'h, E> {
        Weights { hold: Some(hold), ..Weights::new(self.sample, self.parameters) }
    }

    /// How many numbers a sample has.
    pub fn input(&self) -> Input {
        Input(self.sample.inputs())
    }

    /// The shape of a sample.
    pub fn sample(&self) -> SampleShape {
        self.sample
    }

    /// The parameter `name` with its dimensions named, on a tape, so that whatever is computed from
    /// it reaches its gradient.
    ///
    /// # Panics
    /// If no parameter of that name and size was declared: an error of the plugin, not of a user.
    pub fn get<S: Shape>(&self, name: &str, shape: S) -> Traced<S, E> {
        let parameter = self
            .parameters
            .entries
            .iter()
            .position(|entry| entry.declaration.name == name)
            .unwrap_or_else(|| panic!("no parameter `{name}` was declared"));
        let mut used = self.used.borrow_mut();
        let known = used
            .iter()
            .filter(|known| known.parameter == parameter)
            .find_map(|known| known.tensor.downcast_ref::<Tensor<S, E>>());
        if let Some(known) = known {
            return known.retaped();
        }
        let values = self.parameters.entries[parameter].values.clone();
        let values = if let Some(hold) = self.hold { hold(values) } else { values };
        let leaf = tensor(values, shape);
        let gradient = {
            let leaf = leaf.clone();
            move |gradients: &mut Gradients<E, E::Device>| {
                // A parameter the loss does not depend on has no gradient yet: it is zero.
                match gradients.try_alloc_for(&leaf) {
                    Ok(()) => gradients.get(&leaf).as_vec(),
                    Err(error) => panic!("no memory for a gradient: {error:?}"),
                }
            }
        };
        used.push(Used { parameter, tensor: Box::new(leaf.clone()), gradient: Box::new(gradient) });
        leaf.retaped()
    }

    /// The numbers of each weight matrix and kernel of one half of the autoencoder, flat, on a tape.
    pub fn matrices(&self, side: Side) -> Vec<Traced<(usize,), E>> {
        let declared = self.parameters.entries.iter().map(|entry| &entry.declaration);
        let own = declared.filter(|declaration| declaration.is_weight_of(side));
        own.map(|declaration| self.get(&declaration.name, (declaration.size(),))).collect()
    }

    /// The gradient of each parameter, in the order of the parameters; zeros for those that the
    /// pass did not use.
    pub fn gradients(&self, mut gradients: Gradients<E, E::Device>) -> Vec<Vec<E>> {
        let mut sums: Vec<Option<Vec<E>>> = vec![None; self.parameters.entries.len()];
        for used in self.used.borrow().iter() {
            let gradient = (used.gradient)(&mut gradients);
            match &mut sums[used.parameter] {
                Some(sum) => sum.iter_mut().zip(gradient).for_each(|(sum, part)| *sum += part),
                empty => *empty = Some(gradient),
            }
        }
        sums.into_iter()
            .zip(&self.parameters.entries)
            .map(|(sum, entry)| sum.unwrap_or_else(|| vec![E::of(0.0); entry.values.len()]))
            .collect()
    }
}
