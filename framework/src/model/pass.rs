//! What plugins see of one pass of a batch: where in the run it stands, what moves from pass to pass, and the
//! model around the code.

use std::cell::{OnceCell, RefCell, RefMut};
use std::collections::BTreeMap;

use dfdx::prelude::{HasShape, OwnedTape, Rank0, Shape, SplitTape};
use rand_chacha::ChaCha8Rng;

use super::objective::reconstruction_of;
use super::{Held, Real, Tensor, Traced, Weights, activity, tensor, values};
use crate::dims::{Batch, Input, Latent};
use crate::plugin::{Autoencoder, CodeRange};
use crate::random::Streams;
use crate::spec::TrainObjective;

/// What a pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A training step.
    Train,
    /// A measurement: nothing is learnt and no running state moves.
    Evaluate,
}

/// Where in a run a pass stands, and what it may know besides the samples.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Training or evaluation.
    pub mode: Mode,
    /// Number of training steps before this one; 0 in evaluation.
    pub number: usize,
    /// The share of the training steps done before this one, 0 to 1; 1 in evaluation.
    pub progress: f64,
    /// Number of steps of the whole training; 0 in evaluation.
    pub steps: usize,
    /// The class of each sample of the batch, where the dataset has labels.
    pub labels: Option<&'a [u32]>,
}

impl Step<'_> {
    /// The step of every evaluation without labels.
    pub const EVALUATE: Step<'static> =
        Step { mode: Mode::Evaluate, number: 0, progress: 1.0, steps: 0, labels: None };

    /// The random stream of one use of randomness at this step. A training step has another one at each
    /// step, so that no stream is carried from step to step; all evaluations have the same.
    fn stream(&self, streams: &Streams, purpose: &str) -> ChaCha8Rng {
        match self.mode {
            Mode::Train => streams.stream(&format!("{purpose}/{}", self.number)),
            Mode::Evaluate => streams.stream(&format!("{purpose}/evaluation")),
        }
    }
}

/// Running state of penalties and auxiliaries: named numbers that a training step may move and that are stored
/// with the model.
pub type State = BTreeMap<String, Vec<f64>>;

/// What a pass has besides its samples: where in the run it stands, and what moves from pass to pass.
#[derive(Clone, Copy)]
pub struct PassAt<'a> {
    /// Training or evaluation, progress and labels.
    pub step: Step<'a>,
    /// The running state of the penalty and of auxiliaries.
    pub state: &'a RefCell<State>,
    /// The penalty's random stream.
    pub random: &'a RefCell<ChaCha8Rng>,
    /// The run's random streams, of which the architecture and auxiliaries have one a step.
    pub streams: &'a Streams,
    /// What a check by differences holds fixed; `None` in training and evaluation.
    pub held: Option<&'a RefCell<Held>>,
    /// What the weights of the penalty's own terms are multiplied by.
    pub penalty_factor: f64,
    /// Number of training samples without it after which a latent is dead.
    pub dead_after: usize,
}

impl<'a> PassAt<'a> {
    /// A pass with nothing out of the ordinary: terms have their weights, nothing is held fixed, and no latent
    /// is dead.
    pub fn new(
        step: Step<'a>,
        state: &'a RefCell<State>,
        random: &'a RefCell<ChaCha8Rng>,
        streams: &'a Streams,
    ) -> Self {
        let (held, penalty_factor, dead_after) = (None, 1.0, usize::MAX);
        Self { step, state, random, streams, held, penalty_factor, dead_after }
    }

    /// The running state of one owner.
    pub(crate) fn own_state(&self, owner: Owner<'a>) -> OwnState<'a> {
        OwnState { all: self.state, owner }
    }

    /// The latents that are dead, ascending.
    pub(crate) fn dead(&self) -> Vec<usize> {
        activity::dead(&self.state.borrow(), self.dead_after)
    }
}

/// What an encoder sees of a pass, besides samples and parameters.
pub struct EncoderPass<'a> {
    /// Training or evaluation, and how far.
    pub step: Step<'a>,
    streams: &'a Streams,
    random: OnceCell<RefCell<ChaCha8Rng>>,
}

impl<'a> EncoderPass<'a> {
    /// What an encoder sees at a step of a run with these streams.
    pub fn new(step: Step<'a>, streams: &'a Streams) -> Self {
        Self { step, streams, random: OnceCell::new() }
    }

    /// The random stream of the architecture at this step: a resumed run draws the same numbers.
    pub fn random(&self) -> RefMut<'_, ChaCha8Rng> {
        let start = || RefCell::new(self.step.stream(self.streams, "architecture"));
        self.random.get_or_init(start).borrow_mut()
    }
}

/// Whose pass it is: what its parameters and its state are called, and which random stream it draws from.
#[derive(Clone, Copy)]
pub(crate) enum Owner<'a> {
    /// The penalty.
    Penalty,
    /// The auxiliary of this name.
    Auxiliary(&'a str),
}

impl Owner<'_> {
    /// Name of a parameter among all of the run.
    pub(crate) fn parameter(self, own: &str) -> String {
        match self {
            Self::Penalty => format!("penalty.{own}"),
            Self::Auxiliary(name) => format!("auxiliary.{name}.{own}"),
        }
    }

    /// Name of a piece of running state among all of the run.
    pub(crate) fn state(self, own: &str) -> String {
        match self {
            Self::Penalty => own.to_owned(),
            Self::Auxiliary(name) => format!("auxiliary.{name}.{own}"),
        }
    }

    /// A piece of its running state.
    ///
    /// # Panics
    /// If it declared none of that name.
    pub(crate) fn state_in<'s>(self, all: &'s RefCell<State>, own: &str) -> RefMut<'s, Vec<f64>> {
        let key = self.state(own);
        RefMut::map(all.borrow_mut(), |state| {
            state.get_mut(&key).unwrap_or_else(|| panic!("no state `{own}` was declared"))
        })
    }

    /// Its random stream at one step, for one of several uses.
    pub(crate) fn stream(self, at: &PassAt<'_>, used: &str) -> ChaCha8Rng {
        let purpose = match self {
            Self::Penalty => format!("penalty{used}"),
            Self::Auxiliary(name) => format!("auxiliary/{name}{used}"),
        };
        at.step.stream(at.streams, &purpose)
    }
}

/// The running state of a penalty or an auxiliary, by the names that it declared.
#[derive(Clone, Copy)]
pub struct OwnState<'a> {
    all: &'a RefCell<State>,
    owner: Owner<'a>,
}

impl<'a> OwnState<'a> {
    /// The state of a penalty, which has its names for itself.
    pub fn of_penalty(all: &'a RefCell<State>) -> Self {
        Self { all, owner: Owner::Penalty }
    }

    /// A piece of it.
    ///
    /// # Panics
    /// If none of that name was declared.
    pub fn get(&self, name: &str) -> RefMut<'a, Vec<f64>> {
        self.owner.state_in(self.all, name)
    }
}

/// What penalties and auxiliaries see of a pass, besides the code.
pub struct Pass<'a, E: Real> {
    /// Training or evaluation, and how far.
    pub step: Step<'a>,
    /// The values that the code can take before it is constrained.
    pub code_range: CodeRange,
    model: Option<&'a ModelPass<'a, E>>,
    owner: Owner<'a>,
    at: PassAt<'a>,
    /// The stream of an auxiliary; the penalty's is carried from step to step.
    random: OnceCell<RefCell<ChaCha8Rng>>,
}

/// The model around the code in one pass. Reconstructions are made when they are first asked for.
pub(super) struct ModelPass<'a, E: Real> {
    pub(super) architecture: &'a dyn Autoencoder<E>,
    pub(super) weights: &'a Weights<'a, E>,
    /// How reconstructions are compared with the target.
    pub(super) objective: TrainObjective,
    /// What is encoded.
    pub(super) sample: &'a Tensor<(Batch, Input), E>,
    /// What is to be reconstructed.
    pub(super) target: &'a Tensor<(Batch, Input), E>,
    pub(super) pre_code: Tensor<(Batch, Latent), E>,
    /// The code before it is constrained.
    pub(super) code: Tensor<(Batch, Latent), E>,
    /// The code that is decoded, once it is there.
    pub(super) constrained: OnceCell<Tensor<(Batch, Latent), E>>,
    pub(super) x_hat: OnceCell<Tensor<(Batch, Input), E>>,
    /// The tape of `x_hat`.
    pub(super) decoder_tape: RefCell<OwnedTape<E, E::Device>>,
}

impl<E: Real> ModelPass<'_, E> {
    /// The reconstruction, [batch, inputs]. Its tape is in `decoder_tape`.
    pub(super) fn x_hat(&self) -> &Tensor<(Batch, Input), E> {
        self.x_hat.get_or_init(|| {
            let code = self.constrained.get();
            let code = code.expect("a pass has a reconstruction once its code is constrained");
            let (x_hat, tape) = self.architecture.decode(code.retaped(), self.weights).split_tape();
            self.decoder_tape.replace(tape);
            x_hat
        })
    }
}

impl<'a, E: Real> Pass<'a, E> {
    /// What the owner sees of a pass of a model.
    pub(super) fn of_model(
        at: PassAt<'a>,
        code_range: CodeRange,
        owner: Owner<'a>,
        model: &'a ModelPass<'a, E>,
    ) -> Self {
        Self { model: Some(model), ..Self::of_code_alone(at, code_range, owner) }
    }

    /// What an owner sees that looks at nothing but the code, the step, its state and its random stream.
    pub(crate) fn of_code_alone(at: PassAt<'a>, code_range: CodeRange, owner: Owner<'a>) -> Self {
        let random = OnceCell::new();
        Self { step: at.step, code_range, model: None, owner, at, random }
    }

    fn model(&self) -> &'a ModelPass<'a, E> {
        self.model.expect("what is of the code alone (`is_of_code_alone`) sees no more")
    }

    /// What is encoded, [batch, inputs].
    pub fn sample(&self) -> &'a Tensor<(Batch, Input), E> {
        self.model().sample
    }

    /// What is to be reconstructed, [batch, inputs].
    pub fn target(&self) -> &'a Tensor<(Batch, Input), E> {
        self.model().target
    }

    /// Every parameter of the run.
    pub fn weights(&self) -> &'a Weights<'a, E> {
        self.model().weights
    }

    /// The code before the activation, [batch, latents].
    pub fn pre_code(&self) -> Traced<(Batch, Latent), E> {
        self.model().pre_code.retaped()
    }

    /// The code before it is constrained, [batch, latents].
    pub fn unconstrained_code(&self) -> &'a Tensor<(Batch, Latent), E> {
        &self.model().code
    }

    /// The reconstruction from the constrained code, [batch, inputs].
    ///
    /// # Panics
    /// If a constraint asks for it: it is made from what the constraint returns.
    pub fn x_hat(&self) -> Traced<(Batch, Input), E> {
        self.model().x_hat().retaped()
    }

    /// The latents that were active for none of the last `train.dead_after` training samples, ascending; none
    /// unless [`Auxiliary::watches_activity`](crate::plugin::Auxiliary::watches_activity).
    pub fn dead(&self) -> Vec<usize> {
        self.at.dead()
    }

    /// Another reconstruction of the input, from a code of the caller's making.
    pub fn decode(&self, code: Traced<(Batch, Latent), E>) -> Traced<(Batch, Input), E> {
        let model = self.model();
        model.architecture.decode(code, model.weights)
    }

    /// The same as [`decode`](Self::decode) with the decoder's weights and biases held fixed: what is computed from
    /// it gives gradients to the code alone, also where the encoder shares the decoder's weights.
    pub fn decode_held(&self, code: Traced<(Batch, Latent), E>) -> Traced<(Batch, Input), E> {
        let model = self.model();
        let hold = |values| self.hold(values);
        model.architecture.decode(code, &model.weights.held(&hold))
    }

    /// What the reconstruction term of the loss would be of another code: the mean over the batch of what
    /// `train.objective` makes of decoding it.
    pub fn reconstruction(&self, code: Traced<(Batch, Latent), E>) -> Traced<Rank0, E> {
        reconstruction_of(self.model(), code)
    }

    /// The same as [`decode`](Self::decode) without the decoder's biases and without what follows its last affine
    /// map.
    ///
    /// # Panics
    /// If the architecture does not offer [`Offer::DecodeWithoutBias`](crate::plugin::Offer).
    pub fn decode_without_bias(
        &self,
        code: Traced<(Batch, Latent), E>,
    ) -> Traced<(Batch, Input), E> {
        let model = self.model();
        let decoded = model.architecture.decode_without_bias(code, model.weights);
        decoded.expect("whoever decodes without bias needs an architecture that offers it")
    }

    /// The rows of the decoder's first matrix, one a latent: terms of them reach their gradients. Where that is the
    /// only matrix, they are [latents, inputs].
    ///
    /// # Panics
    /// If the architecture does not offer [`Offer::Dictionary`](crate::plugin::Offer).
    pub fn dictionary(&self) -> Traced<(Latent, Input), E> {
        let model = self.model();
        let dictionary = model.architecture.dictionary_on_tape(model.weights);
        dictionary.expect("whoever sees the dictionary needs an architecture that offers one")
    }

    /// The bias that pre-codes are made with, [latents]: what is computed from it reaches its gradient.
    ///
    /// # Panics
    /// If the architecture does not offer [`Offer::CodeBias`](crate::plugin::Offer).
    pub fn code_bias(&self) -> Traced<(Latent,), E> {
        let model = self.model();
        let bias = model.architecture.code_bias(model.weights);
        bias.expect("whoever sees the bias of codes needs an architecture that offers it")
    }

    /// ‖∂h/∂x‖²_F of each sample, [batch], h the code before it is constrained.
    ///
    /// # Panics
    /// If the architecture does not offer [`Offer::Jacobian`](crate::plugin::Offer).
    pub fn jacobian_norm(&self) -> Traced<(Batch,), E> {
        let ModelPass { architecture, sample, code, weights, .. } = self.model();
        let norm = architecture.jacobian_norm(sample, code.retaped(), weights);
        norm.expect("whoever sees the encoder's Jacobian needs an architecture that offers it")
    }

    /// The same value held fixed: what is computed from it gives it no gradient.
    pub fn detached<S: Shape>(&self, value: &Traced<S, E>) -> Traced<S, E> {
        tensor(self.hold(values(value)), *value.shape()).retaped()
    }

    /// The values of `value` with the gradient of `other`: a straight-through estimator. The difference of the
    /// two is held fixed, so the gradient is that of `other` plus a constant, and is checked as such.
    ///
    /// # Panics
    /// If the two differ in size.
    pub fn with_gradient_of<S: Shape>(
        &self,
        value: &Traced<S, E>,
        other: Traced<S, E>,
    ) -> Traced<S, E> {
        let shape = *value.shape();
        let difference = values(value).iter().zip(values(&other)).map(|(v, o)| *v - o).collect();
        other + tensor(self.hold(difference), shape)
    }

    fn hold(&self, values: Vec<E>) -> Vec<E> {
        match self.at.held {
            Some(held) => held.borrow_mut().hold(values),
            None => values,
        }
    }

    /// A parameter that the penalty or auxiliary itself declared.
    ///
    /// # Panics
    /// If it declared none of that name and size.
    pub fn own<S: Shape>(&self, name: &str, shape: S) -> Traced<S, E> {
        self.weights().get(&self.owner.parameter(name), shape)
    }

    /// Running state that the penalty or auxiliary declared; to be changed in training only.
    ///
    /// # Panics
    /// If it declared none of that name.
    pub fn state(&self, name: &str) -> RefMut<'_, Vec<f64>> {
        self.owner.state_in(self.at.state, name)
    }

    /// A random stream of the run: the penalty's, or the auxiliary's at this step. Evaluation has one of its
    /// own, which starts anew with each batch.
    pub fn random(&self) -> RefMut<'_, ChaCha8Rng> {
        match self.owner {
            Owner::Penalty => self.at.random.borrow_mut(),
            Owner::Auxiliary(_) => {
                let stream = || RefCell::new(self.owner.stream(&self.at, ""));
                self.random.get_or_init(stream).borrow_mut()
            }
        }
    }
}
