//! A model in f32, as it is trained, measured and stored, in any engine.

use std::borrow::Cow;
use std::cell::RefCell;

use rand_chacha::ChaCha8Rng;

use super::Normalizer;
use crate::dims::Input;
use crate::engine::{Engine, EngineKind, Forward, Minibatch, REFERENCE};
use crate::model::{Definition, Parameters, PassAt, State, Step};
use crate::plugin::{L0Rule, SampleShape};
use crate::random::Streams;
use crate::spec::{Precision, RunSpec, TrainObjective};

/// A model and all that it is made of.
pub struct Model<'a> {
    /// Its architecture, penalty and auxiliaries.
    pub definition: Definition<'a>,
    /// The shape of a sample.
    pub sample: SampleShape,
    /// How many numbers it has.
    pub input: Input,
    /// The running state of the penalty and of auxiliaries.
    pub state: RefCell<State>,
    /// How samples are scaled before the model sees them.
    pub normalizer: Normalizer,
    /// The random streams of its run.
    pub streams: Streams,
    /// What was learnt, in the engine that learns it.
    pub(super) engine: Box<dyn Engine + 'a>,
    /// The penalty's random stream in training.
    pub(super) random: RefCell<ChaCha8Rng>,
    /// The stream of every evaluation: what is measured moves nothing that is learnt.
    evaluation: ChaCha8Rng,
}

impl<'a> Model<'a> {
    /// A model as a run starts with it, in the reference engine.
    pub fn new(
        definition: Definition<'a>,
        sample: SampleShape,
        normalizer: Normalizer,
        streams: &Streams,
    ) -> Self {
        let parameters = Parameters::initialize(definition.parameters(sample), streams);
        Self {
            definition,
            sample,
            input: Input(sample.inputs()),
            state: RefCell::new(definition.state()),
            normalizer,
            streams: *streams,
            engine: (REFERENCE.make)(definition, sample, parameters),
            random: RefCell::new(streams.stream("penalty")),
            evaluation: streams.stream("penalty/evaluation"),
        }
    }

    /// The same model in an engine that covers it, without an optimizer.
    pub fn on(self, engine: EngineKind) -> Self {
        let Self { definition, sample, .. } = self;
        let parameters = self.engine.into_parameters();
        Self { engine: (engine.make)(definition, sample, parameters), ..self }
    }

    /// The same model with the encoder's product in another precision, if its engine has that.
    pub fn in_precision(mut self, precision: Precision) -> Self {
        self.engine.set_precision(precision);
        self
    }

    /// In which precision the encoder's product is taken.
    pub fn precision(&self) -> Precision {
        self.engine.precision()
    }

    /// The same model, trained on another objective.
    pub fn minimizing(mut self, objective: TrainObjective) -> Self {
        let (engine, precision) = (self.engine(), self.precision());
        self.definition.objective = objective;
        self.on(engine).in_precision(precision)
    }

    /// The same model as a run asks for it: with its objective, in its engine and precision.
    pub fn as_asked(mut self, run: &RunSpec) -> Self {
        self.definition.objective = run.train.value.objective;
        self.on(EngineKind::of(run)).in_precision(run.train.value.precision)
    }

    /// The engine it is in.
    pub fn engine(&self) -> EngineKind {
        self.engine.kind()
    }

    /// What was learnt.
    pub fn parameters(&self) -> Cow<'_, Parameters<f32>> {
        self.engine.parameters()
    }

    /// The first moments of every parameter (of SGD: the velocities), in the layout of the parameters; `None`
    /// where the model is not in training.
    pub fn first_moments(&self) -> Option<Parameters<f32>> {
        self.engine.first_moments()
    }

    /// The same model with other parameters of the same sizes.
    pub fn with_parameters(mut self, parameters: Parameters<f32>) -> Self {
        let (engine, precision) = (self.engine(), self.precision());
        self.engine = (engine.make)(self.definition, self.sample, parameters);
        self.in_precision(precision)
    }

    /// Adds `shift`, one number a latent, to the encoder's bias, if the architecture has one.
    pub fn shift_encoder_bias(&mut self, shift: &[f32]) {
        self.engine.shift_encoder_bias(shift);
    }

    /// Sets the moments of the parameters of these latents to 0.
    pub fn reset_moments(&mut self, latents: &[usize]) {
        self.engine.reset_moments(latents);
    }

    /// The parameters of these latents alone; see [`Parameters::of_latents`].
    pub fn of_latents(&self, latents: &[usize]) -> Parameters<f32> {
        self.engine.of_latents(latents)
    }

    /// Writes the parameters of these latents, and makes their constraints hold.
    pub fn set_latents(&mut self, latents: &[usize], parameters: &Parameters<f32>) {
        self.engine.set_latents(latents, parameters);
    }

    /// The decoder's rows, [latents, inputs], where each latent has one.
    pub fn dictionary(&self) -> Option<Vec<f32>> {
        self.engine.dictionary()
    }

    /// The number of latents.
    pub fn latents(&self) -> usize {
        self.definition.latents().0
    }

    /// Which latents of its codes are active.
    pub fn l0_rule(&self) -> L0Rule {
        self.definition.l0_rule()
    }

    /// The code and the reconstruction of samples `x`, [batch, inputs]: whatever random numbers the
    /// penalty draws are the same every time.
    pub fn forward(&self, x: &[f32], step: Step<'_>) -> Forward {
        let random = &RefCell::new(self.evaluation.clone());
        let at = PassAt::new(step, &self.state, random, &self.streams);
        self.engine.forward(Minibatch::clean(x), at)
    }

    /// The reconstruction from codes, [batch, latents].
    pub fn decode(&self, code: Vec<f32>) -> Vec<f32> {
        self.engine.decode(code)
    }

    /// Whether every parameter is a finite number.
    pub fn is_finite(&self) -> bool {
        self.engine.is_finite()
    }
}
