//! The loss of one batch: the one place where its convention is stated.
//!
//! loss = reconstruction + Σ weight · term, where the reconstruction is the mean over the batch of
//! the sum over input dimensions of (x̂ − x)², or of what `train.objective` puts in its place, and each
//! term is what the penalty says it is: for all but KL, the mean over the batch of a sum over latents.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;

use dfdx::prelude::{HasShape, Merge, OwnedTape, PutTape, Rank0, Shape, SplitTape, Trace};
use rand_chacha::ChaCha8Rng;

use super::objective::reconstruct;
use super::{Held, Real, Tensor, Traced, Weights, tensor, values};
use crate::dims::{Batch, Input, Latent};
use crate::plugin::{Architecture, Autoencoder, CodeRange, Encoded, L0Rule, Penalty, Term};
use crate::spec::{RunSpec, TrainObjective};

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
    /// The share of the training steps done before this one, 0 to 1; 1 in evaluation.
    pub progress: f64,
    /// The class of each sample of the batch, where the dataset has labels.
    pub labels: Option<&'a [u32]>,
}

impl Step<'_> {
    /// The step of every evaluation without labels.
    pub const EVALUATE: Step<'static> = Step { mode: Mode::Evaluate, progress: 1.0, labels: None };
}

/// The running state of a penalty: named numbers that a training step may move and that are stored
/// with the model.
pub type State = BTreeMap<String, Vec<f64>>;

/// What a pass has besides its samples: where in the run it stands, and what moves from pass to pass.
#[derive(Clone, Copy)]
pub struct PassAt<'a> {
    /// Training or evaluation, progress and labels.
    pub step: Step<'a>,
    /// The penalty's running state.
    pub state: &'a RefCell<State>,
    /// The penalty's random stream.
    pub random: &'a RefCell<ChaCha8Rng>,
    /// What a check by differences holds fixed; `None` in training and evaluation.
    pub held: Option<&'a RefCell<Held>>,
    /// What the weights of the penalty's own terms are multiplied by.
    pub penalty_factor: f64,
}

/// What a penalty sees of a pass, besides the code.
pub struct Pass<'a, E: Real> {
    /// Training or evaluation, and how far.
    pub step: Step<'a>,
    /// The values that the code can take before it is constrained.
    pub code_range: CodeRange,
    model: Option<ModelOf<'a, E>>,
    at: PassAt<'a>,
}

/// What a penalty sees of the model, unless it says that it depends on the code alone.
#[derive(Clone, Copy)]
struct ModelOf<'a, E: Real> {
    target: &'a Tensor<(Batch, Input), E>,
    weights: &'a Weights<'a, E>,
    pre_code: &'a Tensor<(Batch, Latent), E>,
    architecture: &'a dyn Autoencoder<E>,
}

impl<'a, E: Real> Pass<'a, E> {
    /// What a penalty of the code alone sees.
    pub fn of_code_alone(at: PassAt<'a>, code_range: CodeRange) -> Self {
        Self { step: at.step, code_range, model: None, at }
    }

    fn model(&self) -> ModelOf<'a, E> {
        self.model.expect("a penalty of the code alone (`Penalty::is_of_code_alone`) sees no more")
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

    /// Another reconstruction of the input, from a code of the penalty's making.
    pub fn decode(&self, code: Traced<(Batch, Latent), E>) -> Traced<(Batch, Input), E> {
        let model = self.model();
        model.architecture.decode(code, model.weights)
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

    /// A parameter that the penalty itself declared.
    ///
    /// # Panics
    /// If the penalty declared none of that name and size.
    pub fn own<S: Shape>(&self, name: &str, shape: S) -> Traced<S, E> {
        self.weights().get(&format!("penalty.{name}"), shape)
    }

    /// Running state that the penalty declared; to be changed in training only.
    ///
    /// # Panics
    /// If the penalty declared none of that name.
    pub fn state(&self, name: &str) -> RefMut<'_, Vec<f64>> {
        RefMut::map(self.at.state.borrow_mut(), |state| {
            state.get_mut(name).unwrap_or_else(|| panic!("no state `{name}` was declared"))
        })
    }

    /// The run's random stream for penalties; evaluation has one of its own, which starts anew with
    /// each batch.
    pub fn random(&self) -> RefMut<'_, ChaCha8Rng> {
        self.at.random.borrow_mut()
    }
}

/// One measured term of a loss.
#[derive(Clone, Debug, PartialEq)]
pub struct LossTerm {
    /// The name that the penalty gave it.
    pub name: &'static str,
    /// Its value before its weight.
    pub raw: f64,
    /// Its weight in the loss of this step.
    pub weight: f64,
}

/// The loss of a batch and what it was computed from.
pub struct Loss<E: Real> {
    /// The whole loss, on the tape.
    pub total: Traced<Rank0, E>,
    /// The reconstruction term.
    pub reconstruction: f64,
    /// The penalty's terms.
    pub terms: Vec<LossTerm>,
    /// The constrained code, [batch, latents].
    pub code: Tensor<(Batch, Latent), E>,
    /// The reconstruction, [batch, inputs].
    pub x_hat: Tensor<(Batch, Input), E>,
    /// What the reconstruction is the sigmoid of, where the objective is taken from that.
    pub before_sigmoid: Option<Tensor<(Batch, Input), E>>,
}

/// The parts of a run that define its model and its loss.
#[derive(Clone, Copy)]
pub struct Definition<'a> {
    /// How a sample becomes a code, and a code a sample.
    pub architecture: &'a dyn Architecture,
    /// What makes codes sparse: its constraint is part of the model.
    pub penalty: &'a dyn Penalty,
    /// How reconstructions are compared with their targets.
    pub objective: TrainObjective,
}

impl<'a> Definition<'a> {
    /// Those of a model that is trained on the squared error.
    pub fn new(architecture: &'a dyn Architecture, penalty: &'a dyn Penalty) -> Self {
        Self { architecture, penalty, objective: TrainObjective::Squared }
    }

    /// Those of a run.
    pub fn of(run: &'a RunSpec) -> Self {
        let (architecture, penalty) = (&run.architecture.value, &run.penalty.value);
        let objective = run.train.value.objective;
        Self { objective, ..Self::new(&*architecture.plugin, &*penalty.plugin) }
    }

    /// Which latents of a code are active.
    pub fn l0_rule(&self) -> L0Rule {
        L0Rule::of(self.architecture.code_range(), self.penalty)
    }

    /// The number of latents.
    pub fn latents(&self) -> Latent {
        Latent(self.architecture.latents())
    }
}

/// Passes `x` forward and takes the loss against `target`.
pub fn loss<E: Real>(
    definition: &Definition<'_>,
    x: Tensor<(Batch, Input), E>,
    target: &Tensor<(Batch, Input), E>,
    weights: &Weights<'_, E>,
    at: PassAt<'_>,
) -> Loss<E> {
    let Definition { architecture, penalty, objective } = *definition;
    let code_range = architecture.code_range();
    let (architecture, penalty) = (E::autoencoder(architecture), E::penalize(penalty));
    let Encoded { pre_code, code } = architecture.encode(x.leaky_traced(), weights);
    // The encoder's tape is kept here and joined to the loss below: whatever a penalty makes its code from, the
    // code or the pre-code, its gradient reaches the encoder.
    let (code, encoder) = code.split_tape();
    let (pre_code, more) = pre_code.split_tape();
    let encoder = encoder.merge(more);
    let model = Some(ModelOf { target, weights, pre_code: &pre_code, architecture });
    let pass = Pass { step: at.step, code_range, model, at };

    let (code, tape) = penalty.constrain(code.retaped(), &pass).split_tape();
    let terms = penalty.penalize(code.retaped::<OwnedTape<E, E::Device>>(), &pass);
    let tape = tape.merge(encoder);
    let traced = code.clone().put_tape(tape);
    let reconstructed = reconstruct(objective, architecture, traced, target, weights);
    let (value, tape) = reconstructed.term.split_tape();
    let mut total = value.clone().put_tape(tape);
    let mut measured = Vec::with_capacity(terms.len());
    for Term { name, value, weight } in terms {
        let weight = weight * at.penalty_factor;
        measured.push(LossTerm { name, raw: rank0(&value), weight });
        total = total + value * E::of(weight);
    }
    Loss {
        total,
        reconstruction: rank0(&value),
        terms: measured,
        code,
        x_hat: reconstructed.x_hat,
        before_sigmoid: reconstructed.before_sigmoid,
    }
}

/// The number in a tensor of rank 0.
pub fn rank0<E: Real, T>(tensor: &dfdx::tensor::Tensor<Rank0, E, E::Device, T>) -> f64 {
    // A tensor of rank 0 holds exactly one number.
    tensor.as_vec()[0].f64()
}
