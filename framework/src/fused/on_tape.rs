//! What is of the code through its definition: its constraint, its terms and their derivatives come from dfdx,
//! everything else stays fused.

use dfdx::prelude::{OwnedTape, PutTape, Rank0, SplitTape, Trace};
use dfdx::tensor_ops::{Backward, SumTo};

use super::buffers::rows;
use super::kernels::Matrix;
use crate::dims::{Batch, Latent};
use crate::model::{
    Definition, LossTerm, Owner, Pass, PassAt, Real, Tensor, Terms, Traced, tensor, values,
};

type CodeTensor = Tensor<(Batch, Latent), f32>;

/// A penalty and auxiliaries of the code alone, at one step.
#[derive(Clone, Copy)]
pub struct OnTape<'a> {
    /// The model.
    pub definition: Definition<'a>,
    /// Where in the run, and what moves from pass to pass.
    pub at: PassAt<'a>,
}

/// The same with the code of a batch.
pub(super) struct Recorded {
    leaf: CodeTensor,
    code: CodeTensor,
    tape: OwnedTape<f32, <f32 as Real>::Device>,
    terms: Terms<f32>,
}

impl OnTape<'_> {
    /// Constrains the first `samples` rows of `code`, to those of `constrained`.
    pub(super) fn constrain(
        self,
        code: &Matrix,
        samples: usize,
        constrained: &mut Matrix,
    ) -> Recorded {
        let Self { definition, at } = self;
        let shape = (Batch(samples), Latent(code.columns()));
        let leaf: CodeTensor = tensor(rows(code, samples), shape);
        let range = definition.architecture.code_range();
        let pass = Pass::of_code_alone(at, range, Owner::Penalty);
        let penalty = f32::penalize(definition.penalty);
        let traced: Traced<(Batch, Latent), f32> = leaf.clone().leaky_traced();
        let (code, tape) = penalty.constrain(traced, &pass).split_tape();
        let mut terms = Terms::default();
        // What keeps some of a code has no other terms than those of prefixes, which are decoded by hand.
        let by_hand = definition.penalty.fused(&at.step, shape.1.0);
        if !by_hand.is_some_and(|penalty| penalty.keeps_some()) {
            terms.add_penalty(penalty.penalize(code.retaped(), &pass), at.penalty_factor);
        }
        for auxiliary in definition.auxiliaries {
            let plugin = &*auxiliary.built.plugin;
            // Terms of weights, and of the code before it is constrained, are not of this code.
            if plugin.fused(&at.step, shape.1.0).is_none_or(|fused| fused.is_of_constrained()) {
                let pass = Pass::of_code_alone(at, range, Owner::Auxiliary(&auxiliary.name));
                let found = f32::auxiliary(plugin).terms(code.retaped(), &pass);
                terms.add_auxiliary(&auxiliary.name, found, auxiliary.weight_factor(&at));
            }
        }
        let columns = constrained.columns();
        constrained.reserve_rows(samples);
        for (at, row) in values(&code).chunks_exact(columns).enumerate() {
            constrained.row_mut(at)[..columns].copy_from_slice(row);
        }
        Recorded { leaf, code, tape, terms }
    }
}

impl Recorded {
    /// The terms' values.
    pub(super) fn terms(&self) -> Vec<LossTerm> {
        self.terms.measured.clone()
    }

    /// From derivatives of the reconstruction by the constrained code to those of the whole loss by
    /// the code: both in the first rows of `gradients`.
    pub(super) fn differentiate(self, gradients: &mut Matrix) {
        let columns = gradients.columns();
        let samples = values(&self.code).len() / columns;
        let by_code: CodeTensor =
            tensor(rows(gradients, samples), (Batch(samples), Latent(columns)));
        let total = (self.code.put_tape(self.tape) * by_code).sum::<Rank0, _>();
        let mut found = self.terms.add_to(total).backward();
        // The code may be dropped by a constraint that makes another: its derivative is zero then.
        let by_leaf = match found.try_alloc_for(&self.leaf) {
            Ok(()) => found.get(&self.leaf).as_vec(),
            Err(error) => panic!("no memory for a gradient: {error:?}"),
        };
        for (at, row) in by_leaf.chunks_exact(columns).enumerate() {
            gradients.row_mut(at)[..columns].copy_from_slice(row);
        }
    }
}
