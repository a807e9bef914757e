//! The loss of one batch: the one place where its convention is stated.
//!
//! loss = weight · reconstruction + Σ weight · term, where the reconstruction is the mean over the batch of
//! the sum over input dimensions of (x̂ − x)², or of what `train.objective` puts in its place, and each term
//! is what its owner says it is: for all penalties but KL, the mean over the batch of a sum over latents.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};

use dfdx::prelude::{Merge, OwnedTape, PutTape, Rank0, SplitTape, Trace};

use super::objective::reconstruct;
use super::pass::{ModelPass, Owner};
use super::{
    Declaration, EncoderPass, Pass, PassAt, Real, State, Step, Tensor, Traced, Weights, activity,
};
use crate::dims::{Batch, Input, Latent};
use crate::plugin::{
    Architecture, CodeRange, Encoded, FusedPenalty, L0Rule, NamedAuxiliary, Penalty, SampleShape,
    Shrink, Term,
};
use crate::spec::{RunSpec, TrainObjective};

/// Whose a term of the loss is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TermOwner {
    /// The architecture's own, as the prior of a variational autoencoder.
    Architecture,
    /// The penalty's.
    Penalty,
    /// An auxiliary's.
    Auxiliary,
}

/// One measured term of a loss.
#[derive(Clone, Debug, PartialEq)]
pub struct LossTerm {
    /// Its name, unique in the loss.
    pub name: Cow<'static, str>,
    /// Whose it is.
    pub owner: TermOwner,
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
    /// The terms of the architecture, the penalty and the auxiliaries.
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
    /// What trains beside the penalty.
    pub auxiliaries: &'a [NamedAuxiliary],
    /// How reconstructions are compared with their targets.
    pub objective: TrainObjective,
    /// Number of samples of a training batch, where the model is of a run.
    pub batch: Option<usize>,
}

impl<'a> Definition<'a> {
    /// Those of a model of no run, without auxiliaries, that is trained on the squared error.
    pub fn new(architecture: &'a dyn Architecture, penalty: &'a dyn Penalty) -> Self {
        let objective = TrainObjective::Squared;
        Self { architecture, penalty, auxiliaries: &[], objective, batch: None }
    }

    /// Those of a run.
    pub fn of(run: &'a RunSpec) -> Self {
        Self {
            auxiliaries: &run.auxiliary.value,
            objective: run.train.value.objective,
            batch: Some(run.train.value.batch),
            ..Self::new(&*run.architecture.value.plugin, &*run.penalty.value.plugin)
        }
    }

    /// Every parameter for samples of this shape: the architecture's, the penalty's, the auxiliaries'.
    pub fn parameters(&self, sample: SampleShape) -> Vec<Declaration> {
        let latent = self.latents();
        let named = |owner: Owner<'_>, own: Vec<Declaration>| {
            let name = |own: Declaration| Declaration { name: owner.parameter(&own.name), ..own };
            own.into_iter().map(name).collect::<Vec<_>>()
        };
        let mut all = self.architecture.parameters(sample);
        all.extend(named(Owner::Penalty, self.penalty.parameters(latent)));
        for NamedAuxiliary { name, built } in self.auxiliaries {
            all.extend(named(Owner::Auxiliary(name), built.plugin.parameters(latent)));
        }
        all
    }

    /// The running state of the penalty and the auxiliaries as a run starts with it.
    pub fn state(&self) -> State {
        let latent = self.latents();
        let mut all = self.penalty.state(latent);
        for NamedAuxiliary { name, built } in self.auxiliaries {
            let owner = Owner::Auxiliary(name);
            let own = built.plugin.state(latent).into_iter();
            all.extend(own.map(|(key, values)| (owner.state(&key), values)));
        }
        if self.watches_activity() {
            activity::start(&mut all, latent.0);
        }
        all
    }

    /// Number of samples of a batch that an evaluation passes: `own`, its own, or that of training if the penalty
    /// sees batches.
    pub fn evaluation_batch(&self, own: usize) -> usize {
        self.batch.filter(|_| self.penalty.sees_batches()).unwrap_or(own)
    }

    /// Whether an auxiliary asks which latents are dead.
    pub fn watches_activity(&self) -> bool {
        self.auxiliaries.iter().any(|auxiliary| auxiliary.built.plugin.watches_activity())
    }

    /// What changes weights after every step of the optimizer, in the order of the auxiliaries.
    pub fn shrinks(&self) -> impl Iterator<Item = &'a dyn Shrink> {
        self.auxiliaries.iter().filter_map(|auxiliary| auxiliary.built.plugin.shrinks())
    }

    /// Which latents of a code are active.
    pub fn l0_rule(&self) -> L0Rule {
        L0Rule::of(self.architecture.code_range(), self.penalty)
    }

    /// Whether the penalty leaves codes as the architecture makes them.
    pub fn leaves_codes(&self) -> bool {
        let fused = || self.penalty.fused(&Step::EVALUATE, self.latents().0);
        self.penalty.is_soft() || matches!(fused(), Some(FusedPenalty::Nothing))
    }

    /// The number of neighbouring latents that form a group, of the penalty or else of the first auxiliary that
    /// has groups.
    pub fn group_size(&self) -> Option<usize> {
        let of_auxiliaries =
            || self.auxiliaries.iter().find_map(|auxiliary| auxiliary.built.plugin.group_size());
        self.penalty.group_size().or_else(of_auxiliaries)
    }

    /// Whether a latent that says nothing is exactly 0: after relu, and under a constraint that leaves zeros.
    /// Codes after identity can be 0 too, but never are.
    pub fn rests_at_zero(&self) -> bool {
        self.penalty.leaves_zeros() || self.architecture.code_range() == CodeRange::NonNegative
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
    let Definition { architecture, penalty, auxiliaries, objective, .. } = *definition;
    let code_range = architecture.code_range();
    let (architecture, penalty) = (E::autoencoder(architecture), E::penalize(penalty));
    let pass = EncoderPass::new(at.step, at.streams);
    let Encoded { pre_code, code, terms } =
        architecture.encode(x.clone().leaky_traced(), weights, &pass);
    // The encoder's tape is kept here and joined to the loss below: whatever a penalty makes its code from, the
    // code or the pre-code, its gradient reaches the encoder.
    let (code, encoder) = code.split_tape();
    let (pre_code, more) = pre_code.split_tape();
    let encoder = encoder.merge(more);
    let model = &ModelPass {
        architecture,
        weights,
        objective,
        sample: &x,
        target,
        pre_code,
        code,
        constrained: OnceCell::new(),
        x_hat: OnceCell::new(),
        decoder_tape: RefCell::default(),
    };
    let mut all = Terms::default();
    all.add_architecture(terms);

    let pass = Pass::of_model(at, code_range, Owner::Penalty, model);
    let (code, tape) = penalty.constrain(model.code.retaped(), &pass).split_tape();
    let code = model.constrained.get_or_init(|| code);
    let traced = || code.retaped::<OwnedTape<E, E::Device>>();
    all.add_penalty(penalty.penalize(traced(), &pass), at.penalty_factor);
    for auxiliary in auxiliaries {
        let NamedAuxiliary { name, built } = auxiliary;
        let pass = Pass::of_model(at, code_range, Owner::Auxiliary(name), model);
        let terms = E::auxiliary(&*built.plugin).terms(traced(), &pass);
        all.add_auxiliary(name, terms, auxiliary.weight_factor(&at));
    }

    let reconstructed = reconstruct(objective, model, code, tape.merge(encoder));
    let (value, tape) = reconstructed.term.split_tape();
    let mut total = value.clone().put_tape(tape);
    if definition.penalty.reconstruction_weight() != 1.0 {
        total = total * E::of(definition.penalty.reconstruction_weight());
    }
    let (terms, code) = (all.measured.clone(), code.clone());
    Loss {
        total: all.add_to(total),
        reconstruction: rank0(&value),
        terms,
        code,
        x_hat: reconstructed.x_hat,
        before_sigmoid: reconstructed.before_sigmoid,
    }
}

/// The terms of a loss as they come.
pub(crate) struct Terms<E: Real> {
    /// What they are called, their values and their weights.
    pub(crate) measured: Vec<LossTerm>,
    values: Vec<Traced<Rank0, E>>,
}

impl<E: Real> Default for Terms<E> {
    fn default() -> Self {
        Self { measured: Vec::new(), values: Vec::new() }
    }
}

impl<E: Real> Terms<E> {
    /// Adds terms of the architecture.
    fn add_architecture(&mut self, terms: Vec<Term<E>>) {
        for term in terms {
            self.add(TermOwner::Architecture, term.name.into(), term.weight, term.value);
        }
    }

    /// Adds terms of the penalty; those that warm up count `factor` times.
    pub(crate) fn add_penalty(&mut self, terms: Vec<Term<E>>, factor: f64) {
        for term in terms {
            let weight = term.weight * if term.warms_up { factor } else { 1.0 };
            self.add(TermOwner::Penalty, term.name.into(), weight, term.value);
        }
    }

    /// Adds terms of an auxiliary, which count `factor` times: they have its name, and the term's too where there are
    /// several.
    pub(crate) fn add_auxiliary(&mut self, name: &str, terms: Vec<Term<E>>, factor: f64) {
        let is_one = terms.len() == 1;
        for term in terms {
            let name = if is_one { name.to_owned() } else { format!("{name}_{}", term.name) };
            self.add(TermOwner::Auxiliary, name.into(), term.weight * factor, term.value);
        }
    }

    fn add(
        &mut self,
        owner: TermOwner,
        name: Cow<'static, str>,
        weight: f64,
        value: Traced<Rank0, E>,
    ) {
        self.measured.push(LossTerm { name, owner, raw: rank0(&value), weight });
        self.values.push(value);
    }

    /// A loss with these terms added.
    pub(crate) fn add_to(self, mut total: Traced<Rank0, E>) -> Traced<Rank0, E> {
        for (measured, value) in self.measured.iter().zip(self.values) {
            total = total + value * E::of(measured.weight);
        }
        total
    }
}

/// The number in a tensor of rank 0.
pub fn rank0<E: Real, T>(tensor: &dfdx::tensor::Tensor<Rank0, E, E::Device, T>) -> f64 {
    // A tensor of rank 0 holds exactly one number.
    tensor.as_vec()[0].f64()
}
