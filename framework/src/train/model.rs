//! A model in f32, as it is trained, measured and stored, in either engine.

use std::borrow::Cow;
use std::cell::RefCell;

use rand_chacha::ChaCha8Rng;

use super::{Engine, Normalizer};
use crate::dims::{Batch, Input, Latent};
use crate::fused::{Fused, OnTape, PassPenalty};
use crate::model::{Parameters, Real, State, Step, Weights, loss, tensor, values};
use crate::plugin::{Architecture, L0Rule, OwnedCodes, Penalty};
use crate::random::Streams;
use crate::spec::{Precision, RunSpec};

/// A model and all that it is made of.
pub struct Model<'a> {
    /// Its architecture.
    pub architecture: &'a dyn Architecture,
    /// Its penalty: the constraint is part of the model.
    pub penalty: &'a dyn Penalty,
    /// How many numbers a sample has.
    pub input: Input,
    /// The penalty's running state.
    pub state: RefCell<State>,
    /// How samples are scaled before the model sees them.
    pub normalizer: Normalizer,
    pub(super) random: RefCell<ChaCha8Rng>,
    /// The stream of every evaluation: what is measured moves nothing that is learnt.
    evaluation: ChaCha8Rng,
    pub(super) learnt: Learnt,
}

/// What was learnt, in the layout of the engine that learns it.
pub(super) enum Learnt {
    Reference(Parameters<f32>),
    Fused(Box<Fused>),
}

/// What a model makes of a batch, in its own units.
pub struct Forward {
    /// [batch, latents]
    pub code: OwnedCodes,
    /// [batch, inputs]
    pub x_hat: Vec<f32>,
}

impl<'a> Model<'a> {
    /// A model as a run starts with it, in the reference engine.
    pub fn new(
        architecture: &'a dyn Architecture,
        penalty: &'a dyn Penalty,
        input: Input,
        normalizer: Normalizer,
        streams: &Streams,
    ) -> Self {
        let latent = Latent(architecture.latents());
        let mut declarations = architecture.parameters(input);
        declarations.extend(penalty.parameters(latent).into_iter().map(|mut own| {
            own.name = format!("penalty.{}", own.name);
            own
        }));
        Self {
            architecture,
            penalty,
            input,
            state: RefCell::new(penalty.state(latent)),
            normalizer,
            random: RefCell::new(streams.stream("penalty")),
            evaluation: streams.stream("penalty/evaluation"),
            learnt: Learnt::Reference(Parameters::initialize(declarations, streams)),
        }
    }

    /// The same model in an engine; the fused one uses the threads of the current rayon pool.
    ///
    /// # Panics
    /// If the engine does not cover the model; `Engine::covers` says so.
    pub fn on(mut self, engine: Engine) -> Self {
        let rule = self.l0_rule();
        self.learnt = match (self.learnt, engine) {
            (Learnt::Reference(parameters), Engine::Fused) => {
                let form = self.architecture.dense_form();
                let form = form.expect("the fused engine covers dense models, and was chosen");
                Learnt::Fused(Box::new(Fused::new(form, parameters, rule)))
            }
            (Learnt::Fused(fused), Engine::Reference) => Learnt::Reference(fused.parameters()),
            (learnt, _) => learnt,
        };
        self
    }

    /// The same model with the encoder's product in another precision, if it is in the fused engine.
    pub fn in_precision(mut self, precision: Precision) -> Self {
        self.learnt = match self.learnt {
            Learnt::Fused(fused) => Learnt::Fused(Box::new(fused.in_precision(precision))),
            reference => reference,
        };
        self
    }

    /// In which precision the encoder's product is taken.
    pub fn precision(&self) -> Precision {
        match &self.learnt {
            Learnt::Reference(_) => Precision::F32,
            Learnt::Fused(fused) => fused.precision(),
        }
    }

    /// The same model as a run asks for it: in its engine and precision.
    pub fn as_asked(self, run: &RunSpec) -> Self {
        self.on(Engine::of(run)).in_precision(run.train.value.precision)
    }

    /// The engine it is in.
    pub fn engine(&self) -> Engine {
        match self.learnt {
            Learnt::Reference(_) => Engine::Reference,
            Learnt::Fused(_) => Engine::Fused,
        }
    }

    /// What was learnt.
    pub fn parameters(&self) -> Cow<'_, Parameters<f32>> {
        match &self.learnt {
            Learnt::Reference(parameters) => Cow::Borrowed(parameters),
            Learnt::Fused(fused) => Cow::Owned(fused.parameters()),
        }
    }

    /// The same model with other parameters of the same sizes.
    pub fn with_parameters(mut self, parameters: Parameters<f32>) -> Self {
        let (engine, precision) = (self.engine(), self.precision());
        self.learnt = Learnt::Reference(parameters);
        self.on(engine).in_precision(precision)
    }

    /// Adds `shift`, one number a latent, to the encoder's bias, if the architecture has one.
    pub fn shift_encoder_bias(&mut self, shift: &[f32]) {
        match &mut self.learnt {
            Learnt::Fused(fused) => fused.shift_encoder_bias(shift),
            Learnt::Reference(parameters) => {
                let entries = &mut parameters.entries;
                let bias = entries.iter_mut().find(|entry| entry.declaration.name == "b_enc");
                let values = bias.into_iter().flat_map(|bias| &mut bias.values);
                values.zip(shift).for_each(|(value, shift)| *value += shift);
            }
        }
    }

    /// The decoder's rows, [latents, inputs], where each latent has one.
    pub fn dictionary(&self) -> Option<Vec<f32>> {
        match &self.learnt {
            Learnt::Reference(parameters) => self.architecture.dictionary(self.input, parameters),
            Learnt::Fused(fused) => Some(fused.dictionary()),
        }
    }

    /// Which latents of its codes are active.
    pub fn l0_rule(&self) -> L0Rule {
        L0Rule::of(self.architecture.code_range(), self.penalty)
    }

    /// The code and the reconstruction of samples `x`, [batch, inputs]: whatever random numbers the
    /// penalty draws are the same every time.
    pub fn forward(&self, x: &[f32], step: Step<'_>) -> Forward {
        let (architecture, penalty) = (self.architecture, self.penalty);
        let (state, random) = (&self.state, &RefCell::new(self.evaluation.clone()));
        match &self.learnt {
            Learnt::Reference(parameters) => {
                let shape = (Batch(x.len() / self.input.0), self.input);
                let x = tensor(x.to_vec(), shape);
                let weights = Weights::new(self.input, parameters);
                let passed =
                    loss(architecture, penalty, x.clone(), &x, &weights, step, state, random);
                let latents = architecture.latents();
                let code = OwnedCodes::Dense { latents, values: values(&passed.code) };
                Forward { code, x_hat: values(&passed.x_hat) }
            }
            Learnt::Fused(fused) => {
                let rule = rule(architecture, penalty, step, state, random);
                let (code, x_hat) = fused.forward(x, rule);
                Forward { code, x_hat }
            }
        }
    }

    /// The reconstruction from codes, [batch, latents].
    pub fn decode(&self, code: Vec<f32>) -> Vec<f32> {
        match &self.learnt {
            Learnt::Reference(parameters) => {
                let latent = Latent(self.architecture.latents());
                let shape = (Batch(code.len() / latent.0), latent);
                let weights = Weights::new(self.input, parameters);
                let architecture = f32::autoencoder(self.architecture);
                values(&architecture.decode(tensor(code, shape).retaped(), &weights))
            }
            Learnt::Fused(fused) => fused.decode(&code),
        }
    }

    /// Whether every parameter is a finite number.
    pub fn is_finite(&self) -> bool {
        match &self.learnt {
            Learnt::Reference(parameters) => parameters
                .entries
                .iter()
                .all(|entry| entry.values.iter().all(|value| value.is_finite())),
            Learnt::Fused(fused) => fused.is_finite(),
        }
    }
}

/// A penalty at a step as the fused engine takes it.
pub(super) fn rule<'a>(
    architecture: &dyn Architecture,
    penalty: &'a dyn Penalty,
    step: Step<'a>,
    state: &'a RefCell<State>,
    random: &'a RefCell<ChaCha8Rng>,
) -> PassPenalty<'a> {
    match penalty.fused(&step, architecture.latents()) {
        Some(fused) => PassPenalty::Fused(fused),
        None => {
            let code_range = architecture.code_range();
            PassPenalty::OnTape(OnTape { penalty, step, code_range, state, random })
        }
    }
}
