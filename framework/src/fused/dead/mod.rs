//! Dead latents that predict the error which the reconstruction leaves: the terms, and what a pass writes of them.
//!
//! The pre-codes of dead latents are kept while a tile of them is in cache; what becomes of them is a second code of
//! the batch, in lists, with derivatives of its own. A latent that is active again all the same learns from both.

mod active;
mod capture;
mod learn;
mod predict;

use super::kernels::{Buffer, Matrix};
use super::lists::Lists;
use super::outer::OuterBuffers;
use crate::model::{Definition, LossTerm, PassAt, TermOwner};
use crate::plugin::{DeadPrediction, FusedAuxiliary, NamedAuxiliary};
pub use capture::{Capture, TileCapture};
pub use learn::DeadRow;

/// The terms of dead latents at one pass.
pub struct DeadTerms {
    /// The latents that are dead, ascending.
    latents: Vec<u32>,
    terms: Vec<DeadTerm>,
}

/// A term with its name.
struct DeadTerm {
    name: String,
    about: DeadPrediction,
}

impl DeadTerms {
    /// Those of a model at one pass.
    pub fn of(definition: &Definition<'_>, at: PassAt<'_>) -> Self {
        let count = definition.latents().0;
        let term = |NamedAuxiliary { name, built }: &NamedAuxiliary| {
            let Some(FusedAuxiliary::DeadLatents(about)) = built.plugin.fused(&at.step, count)
            else {
                return None;
            };
            Some(DeadTerm { name: name.clone(), about })
        };
        let terms: Vec<_> = definition.auxiliaries.iter().filter_map(term).collect();
        let dead = if terms.is_empty() { Vec::new() } else { at.dead() };
        Self { latents: dead.into_iter().map(|latent| latent as u32).collect(), terms }
    }

    /// Whether no latent is dead, or nobody asks.
    pub fn is_idle(&self) -> bool {
        self.latents.is_empty()
    }

    /// The terms with these values; those that have none are 0.
    fn measured(&self, values: &[f64]) -> Vec<LossTerm> {
        let values = values.iter().copied().chain(std::iter::repeat(0.0));
        let measured = |(DeadTerm { name, about }, raw): (&DeadTerm, f64)| {
            let (name, owner) = (name.clone().into(), TermOwner::Auxiliary);
            LossTerm { name, owner, raw, weight: about.weight }
        };
        self.terms.iter().zip(values).map(measured).collect()
    }
}

/// What a pass writes of dead latents.
#[derive(Default)]
pub struct DeadBuffers {
    /// The latents whose pre-codes are kept, ascending.
    latents: Vec<u32>,
    /// Their pre-codes: tile by tile of all latents, [samples, dead latents of the tile].
    pre_codes: Buffer,
    /// What the reconstruction leaves, [samples, inputs].
    errors: Matrix,
    /// The sum of its squares, of each sample.
    squares: Vec<f64>,
    /// How many predictions the last pass made.
    count: usize,
    predictions: Vec<Prediction>,
}

/// What one term's dead latents make of the error.
#[derive(Default)]
pub struct Prediction {
    /// The code: of each sample the k largest.
    lists: Lists,
    /// The derivatives by what the decoder's map of the level that makes the code gave.
    rows: Matrix,
    /// What the levels around it decoded, and the derivatives there.
    outer: Vec<OuterBuffers>,
    /// The squared error of each sample's prediction.
    errors: Vec<f64>,
    /// The values of the entries, by latent.
    values: Vec<f32>,
    /// The derivatives by the pre-codes of the entries, by latent.
    back: Vec<f32>,
    /// The same in the order of the lists by sample, where levels around need them.
    by_sample: Vec<f32>,
}

impl DeadBuffers {
    /// Starts a pass.
    pub fn start(&mut self, terms: &DeadTerms) {
        self.count = 0;
        self.latents.clone_from(&terms.latents);
    }

    /// The predictions that the last pass made.
    pub fn predictions(&self) -> &[Prediction] {
        &self.predictions[..self.count]
    }
}

/// Gives a matrix room for so many rows of this width.
fn make_room(matrix: &mut Matrix, rows: usize, columns: usize) {
    if matrix.columns() != columns {
        *matrix = Matrix::zeros(0, columns);
    }
    matrix.reserve_rows(rows);
}
