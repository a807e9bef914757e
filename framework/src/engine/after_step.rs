//! What an auxiliary may see and change after a step.

use std::cell::{OnceCell, RefCell, RefMut};

use super::{Engine, Forward, Minibatch};
use crate::model::{Owner, Parameters, PassAt, Step};
use crate::random::ChaCha8Rng;

/// A model after a step of its optimizer, as an auxiliary meets it.
pub struct AfterStep<'a> {
    /// The step that was taken.
    pub step: Step<'a>,
    /// What it was taken on.
    pub batch: Minibatch<'a>,
    /// Number of latents.
    pub latents: usize,
    engine: &'a mut (dyn Engine + 'a),
    at: PassAt<'a>,
    owner: Owner<'a>,
    random: OnceCell<RefCell<ChaCha8Rng>>,
}

impl<'a> AfterStep<'a> {
    /// What the auxiliary of a name meets after a step.
    pub fn new(
        name: &'a str,
        latents: usize,
        at: PassAt<'a>,
        batch: Minibatch<'a>,
        engine: &'a mut (dyn Engine + 'a),
    ) -> Self {
        let (owner, random) = (Owner::Auxiliary(name), OnceCell::new());
        Self { step: at.step, batch, latents, engine, at, owner, random }
    }

    /// Number of steps taken, this one included.
    pub fn steps_taken(&self) -> usize {
        self.step.number + 1
    }

    /// The latents that were active for none of the last `train.dead_after` training samples, ascending; none
    /// unless [`Auxiliary::watches_activity`](crate::plugin::Auxiliary::watches_activity).
    pub fn dead(&self) -> Vec<usize> {
        self.at.dead()
    }

    /// What the model makes of the samples of the step now.
    pub fn forward(&self) -> Forward {
        // The step has moved the running state, and this is no other step.
        let state = RefCell::new(self.at.state.borrow().clone());
        self.engine.forward(self.batch, PassAt { state: &state, ..self.at })
    }

    /// The decoder's rows, [latents, inputs], where each latent has one.
    pub fn dictionary(&self) -> Option<Vec<f32>> {
        self.engine.dictionary()
    }

    /// All parameters.
    pub fn parameters(&self) -> Parameters<f32> {
        self.engine.parameters().into_owned()
    }

    /// The parameters of these latents alone: of each parameter that has a slice for every latent, those
    /// slices, in this order.
    pub fn of_latents(&self, latents: &[usize]) -> Parameters<f32> {
        self.engine.of_latents(latents)
    }

    /// Gives these latents parameters of the form that [`of_latents`](Self::of_latents) returns, and sets
    /// their moments to 0. Constraints are enforced.
    pub fn restart(&mut self, latents: &[usize], parameters: &Parameters<f32>) {
        self.engine.set_latents(latents, parameters);
        self.engine.reset_moments(latents);
    }

    /// Running state that the auxiliary declared.
    ///
    /// # Panics
    /// If it declared none of that name.
    pub fn state(&self, name: &str) -> RefMut<'_, Vec<f64>> {
        self.owner.state_in(self.at.state, name)
    }

    /// The random stream of the auxiliary's intervention at this step.
    pub fn random(&self) -> RefMut<'_, ChaCha8Rng> {
        let stream = || RefCell::new(self.owner.stream(&self.at, "/after"));
        self.random.get_or_init(stream).borrow_mut()
    }
}
