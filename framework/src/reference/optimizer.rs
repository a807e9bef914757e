//! Adam and SGD with momentum, on flat values, generic over the dtype.

use crate::model::{Parameters, Real};
use crate::spec::{Adam, Optimizer, Sgd};

/// The optimizer of a run, with the moments of every parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct ReferenceOptimizer<E> {
    settings: Optimizer,
    steps: i32,
    first: Vec<Vec<E>>,
    second: Vec<Vec<E>>,
}

impl<E: Real> ReferenceOptimizer<E> {
    /// An optimizer whose moments are zero.
    pub fn new(settings: Optimizer, parameters: &Parameters<E>) -> Self {
        let zeros: Vec<Vec<E>> =
            parameters.entries.iter().map(|entry| vec![E::of(0.0); entry.values.len()]).collect();
        let second = match settings {
            Optimizer::Adam(_) => zeros.clone(),
            Optimizer::Sgd(_) => Vec::new(),
        };
        Self { settings, steps: 0, first: zeros, second }
    }

    /// The first moments (of SGD: the velocities), as parameters.
    pub fn first_moments(&self, parameters: &Parameters<E>) -> Parameters<E> {
        let mut moments = parameters.clone();
        for (entry, values) in moments.entries.iter_mut().zip(&self.first) {
            entry.values.clone_from(values);
        }
        moments
    }

    /// The parameters and, with an optimizer, their moments by name.
    pub(super) fn numbers<'a>(
        optimizer: Option<&'a mut Self>,
        parameters: &'a mut Parameters<E>,
    ) -> (Vec<(String, &'a mut [E])>, Option<&'a mut i32>) {
        let names: Vec<_> =
            parameters.entries.iter().map(|entry| entry.declaration.name.clone()).collect();
        let values = parameters.entries.iter_mut().map(|entry| entry.values.as_mut_slice());
        let values = names.iter().map(|name| format!("parameters.{name}")).zip(values);
        let Some(optimizer) = optimizer else { return (values.collect(), None) };
        let moments = [("first", &mut optimizer.first), ("second", &mut optimizer.second)];
        let moments = moments.into_iter().flat_map(|(of, moments)| {
            let named = names.iter().zip(moments);
            named.map(move |(name, values)| (format!("{of}.{name}"), values.as_mut_slice()))
        });
        (values.chain(moments).collect(), Some(&mut optimizer.steps))
    }

    /// Sets the moments of what belongs to these latents to 0.
    pub(super) fn reset(&mut self, parameters: &Parameters<E>, latents: &[usize]) {
        for moments in [&mut self.first, &mut self.second] {
            for (values, entry) in moments.iter_mut().zip(&parameters.entries) {
                for latent in latents {
                    entry.declaration.of_latent(*latent).for_each(|at| values[at] = E::of(0.0));
                }
            }
        }
    }

    /// The learning rate, before the schedule's factor.
    pub(super) fn lr(&self) -> f64 {
        match &self.settings {
            Optimizer::Adam(adam) => adam.lr.get(),
            Optimizer::Sgd(sgd) => sgd.lr.get(),
        }
    }

    /// Moves the parameters one step along `gradients`, at `factor` times the learning rate, and
    /// makes their constraints hold.
    pub fn step(&mut self, parameters: &mut Parameters<E>, gradients: &mut [Vec<E>], factor: f64) {
        self.move_along(parameters, gradients, factor);
        parameters.enforce_constraints();
    }

    /// The same, without making constraints hold.
    pub(super) fn move_along(
        &mut self,
        parameters: &mut Parameters<E>,
        gradients: &mut [Vec<E>],
        factor: f64,
    ) {
        parameters.project_gradients(gradients);
        self.steps = self.steps.saturating_add(1);
        for (at, entry) in parameters.entries.iter_mut().enumerate() {
            let (values, gradient) = (&mut entry.values, &gradients[at]);
            match &self.settings {
                Optimizer::Adam(adam) => {
                    adam_step(
                        adam,
                        self.steps,
                        factor,
                        values,
                        gradient,
                        &mut self.first[at],
                        &mut self.second[at],
                    );
                }
                Optimizer::Sgd(sgd) => sgd_step(sgd, factor, values, gradient, &mut self.first[at]),
            }
        }
    }
}

/// m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², w ← w − lr · m̂ / (√v̂ + eps), with m̂ = m/(1−β₁ᵗ) and
/// v̂ = v/(1−β₂ᵗ).
fn adam_step<E: Real>(
    adam: &Adam,
    step: i32,
    factor: f64,
    values: &mut [E],
    gradient: &[E],
    first: &mut [E],
    second: &mut [E],
) {
    let (beta1, beta2) = (adam.beta1.get(), adam.beta2.get());
    let rate = E::of(adam.lr.get() * factor / (1.0 - beta1.powi(step)));
    let root = E::of(1.0 / (1.0 - beta2.powi(step)).sqrt());
    let eps = E::of(adam.eps.get());
    let (keep1, take1) = (E::of(beta1), E::of(1.0 - beta1));
    let (keep2, take2) = (E::of(beta2), E::of(1.0 - beta2));
    for (((value, g), m), v) in values.iter_mut().zip(gradient).zip(first).zip(second) {
        *m = normal(keep1 * *m + take1 * *g);
        *v = normal(keep2 * *v + take2 * *g * *g);
        *value -= rate * *m / (v.sqrt() * root + eps);
    }
}

/// v ← momentum · v + g, w ← w − lr · v.
fn sgd_step<E: Real>(sgd: &Sgd, factor: f64, values: &mut [E], gradient: &[E], velocity: &mut [E]) {
    let (rate, momentum) = (E::of(sgd.lr.get() * factor), E::of(sgd.momentum.get()));
    for ((value, g), v) in values.iter_mut().zip(gradient).zip(velocity) {
        *v = normal(momentum * *v + *g);
        *value -= rate * *v;
    }
}

/// Moments of silent latents decay into denormal numbers, on which arithmetic is many times slower;
/// they are far below what eps lets through, so they become 0.
fn normal<E: Real>(moment: E) -> E {
    if moment.abs() < E::min_positive_value() { E::of(0.0) } else { moment }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Declaration, Init};
    use crate::random::Streams;

    fn parameters() -> Parameters<f64> {
        let declaration = Declaration::new("w", [2], Init::Constant(1.0));
        Parameters::initialize(vec![declaration], &Streams::new(0))
    }

    fn after(settings: Optimizer, gradients: &[[f64; 2]]) -> Vec<f64> {
        let mut parameters = parameters();
        let mut optimizer = ReferenceOptimizer::new(settings, &parameters);
        for gradient in gradients {
            optimizer.step(&mut parameters, &mut [gradient.to_vec()], 1.0);
        }
        parameters.entries.remove(0).values
    }

    #[test]
    fn adams_first_step_is_the_learning_rate_whatever_the_gradients_size() {
        let after = after(Optimizer::Adam(Adam::default()), &[[5.0, -1e-3]]);
        assert!((after[0] - (1.0 - 1e-3 * 5.0 / (5.0 + 1e-8))).abs() < 1e-15);
        assert!((after[1] - (1.0 + 1e-3 * 1e-3 / (1e-3 + 1e-8))).abs() < 1e-15);
    }

    #[test]
    fn adams_second_step_is_as_computed_by_hand() {
        // g = 1, then 3: m = 0.09 + 0.3 = 0.39, v = 0.000999 + 0.009 = 0.009999.
        let after = after(Optimizer::Adam(Adam::default()), &[[1.0, 0.0], [3.0, 0.0]]);
        let (m, v) = (0.39 / 0.19, 0.009_999_f64 / 0.001_999);
        let by_hand = 1.0 - 1e-3 / (1.0 + 1e-8) - 1e-3 * m / (v.sqrt() + 1e-8);
        assert!((after[0] - by_hand).abs() < 1e-12, "{} {by_hand}", after[0]);
        assert_eq!(after[1], 1.0, "no gradient, no move");
    }

    #[test]
    fn momentum_keeps_going() {
        let sgd = Sgd { lr: 0.1.try_into().unwrap(), momentum: 0.5.try_into().unwrap() };
        let after = after(Optimizer::Sgd(sgd), &[[1.0, 2.0], [0.0, 2.0]]);
        assert!((after[0] - (1.0 - 0.1 - 0.05)).abs() < 1e-15);
        assert!((after[1] - (1.0 - 0.2 - 0.3)).abs() < 1e-15);
    }

    #[test]
    fn decaying_moments_end_at_zero() {
        let mut gradients = vec![[1e-30, 1.0]];
        gradients.extend(vec![[0.0, 0.0]; 8000]);
        let mut parameters = parameters().cast::<f32>();
        let mut optimizer = ReferenceOptimizer::new(Optimizer::Adam(Adam::default()), &parameters);
        for gradient in gradients {
            optimizer.step(&mut parameters, &mut [gradient.map(|g| g as f32).to_vec()], 1.0);
        }
        assert_eq!(optimizer.first[0], [0.0, 0.0]);
    }
}
