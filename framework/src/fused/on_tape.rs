//! A penalty through its definition: its constraint, its terms and their derivatives come from
//! dfdx, everything else stays fused.

use dfdx::prelude::{OwnedTape, PutTape, Rank0, SplitTape, Trace};
use dfdx::tensor_ops::{Backward, SumTo};

use super::buffers::rows;
use super::kernels::Matrix;
use crate::dims::{Batch, Latent};
use crate::model::{LossTerm, Owner, Pass, PassAt, Real, Tensor, TermOwner, Traced, rank0, tensor, values};
use crate::plugin::{CodeRange, Penalty, Term};

type CodeTensor = Tensor<(Batch, Latent), f32>;

/// A penalty of the code alone, at one step.
#[derive(Clone, Copy)]
pub struct OnTape<'a> {
    /// The penalty.
    pub penalty: &'a dyn Penalty,
    /// The values that codes can take.
    pub code_range: CodeRange,
    /// Where in the run, and what moves from pass to pass.
    pub at: PassAt<'a>,
}

/// The same with the code of a batch.
pub(super) struct Recorded {
    leaf: CodeTensor,
    code: CodeTensor,
    tape: OwnedTape<f32, <f32 as Real>::Device>,
    terms: Vec<Term<f32>>,
}

impl OnTape<'_> {
    /// Constrains the first `samples` rows of `code`, to those of `constrained`.
    pub(super) fn constrain(
        self,
        code: &Matrix,
        samples: usize,
        constrained: &mut Matrix,
    ) -> Recorded {
        let shape = (Batch(samples), Latent(code.columns()));
        let leaf: CodeTensor = tensor(rows(code, samples), shape);
        let pass = Pass::of_code_alone(self.at, self.code_range, Owner::Penalty);
        let penalty = f32::penalize(self.penalty);
        let traced: Traced<(Batch, Latent), f32> = leaf.clone().leaky_traced();
        let (code, tape) = penalty.constrain(traced, &pass).split_tape();
        let terms = penalty.penalize(code.retaped(), &pass).into_iter();
        let weighted =
            |term: Term<f32>| Term { weight: term.weight * self.at.penalty_factor, ..term };
        let terms = terms.map(weighted).collect();
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
        let term = |term: &Term<f32>| LossTerm {
            name: term.name,
            raw: rank0(&term.value),
            weight: term.weight,
        };
        self.terms.iter().map(term).collect()
    }

    /// From derivatives of the reconstruction by the constrained code to those of the whole loss by
    /// the code: both in the first rows of `gradients`.
    pub(super) fn differentiate(self, gradients: &mut Matrix) {
        let columns = gradients.columns();
        let samples = values(&self.code).len() / columns;
        let by_code: CodeTensor =
            tensor(rows(gradients, samples), (Batch(samples), Latent(columns)));
        let mut total = (self.code.put_tape(self.tape) * by_code).sum::<Rank0, _>();
        for Term { value, weight, .. } in self.terms {
            total = total + value * f32::of(weight);
        }
        let mut found = total.backward();
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
