//! The backward pass and the optimizer, one tile of latents at a time: the gradients of a latent's
//! rows are made, used and forgotten while they are in cache.

mod back;
mod bias;
mod columns;
mod dense;
mod gradient;
mod lists;
mod own;
mod rows;

use pulp::{Arch, Simd};

use super::buffers::{Scratch, Sums};
use super::dead::{DeadRow, Prediction};
use super::gates::GateLesson;
use super::jump::JumpLesson;
use super::kernels::{Buffer, Matrix, PaddedRows};
use super::layers::{Layers, LevelForm};
use super::lists::Lists;
use super::narrow::{Narrow, NarrowRows};
use super::parallel::{parallel, worth};
use crate::model::Side;
use crate::plugin::{BatchClasses, PerColumn, Shrink, WeightTerm};
pub use back::{Back, Given};
use bias::LearnBias;
pub use columns::{LatentGradient, MOST_OWN};
pub use gradient::{GradientUse, KeepGradients, ScaledGradients, normalize};
use lists::LearnLists;
pub use own::learn_own;
pub use rows::{RowGradient, RowTask, learn_rows};

/// What a step learns from.
#[derive(Clone, Copy)]
pub struct Lesson<'a, U> {
    /// Which instruction set there is.
    pub arch: Arch,
    /// The form of the model.
    pub form: LevelForm,
    /// What was encoded, [samples, inputs].
    pub x: PaddedRows<'a>,
    /// The derivatives by what the decoder's affine map gave, [samples, inputs]; with prefixes, each sample has a row
    /// for each of them.
    pub g: PaddedRows<'a>,
    /// The codes.
    pub code: BatchCode<'a>,
    /// The derivative of the penalty by every value of a latent; empty for zeros.
    pub slopes: &'a [f32],
    /// What the slopes, and the terms' derivatives in `code`, are multiplied by.
    pub weight: f32,
    /// Terms of each latent's values in the batch, with their weights in the loss over the number of samples.
    pub columns: &'a [(f32, &'a dyn PerColumn)],
    /// The classes in the batch.
    pub classes: &'a BatchClasses,
    /// What is known already of the derivatives by what the encoder's affine map gave.
    pub given: Option<Given<'a>>,
    /// Where the prefixes of the code end that have rows of derivatives; empty for the whole code alone.
    pub prefixes: &'a [usize],
    /// What dead latents learn besides.
    pub dead: &'a [Prediction],
    /// What gates learn besides, where they make the code.
    pub gates: Option<GateLesson<'a>>,
    /// Whether the penalty has parameters of its own.
    pub has_own: bool,
    /// What thresholds learn from, if there are any.
    pub jump: Option<JumpLesson<'a>>,
    /// Number of inputs: rows are padded.
    pub inputs: usize,
    /// What becomes of the gradients.
    pub uses: RowUse<'a, U>,
}

/// What becomes of the gradients of rows.
#[derive(Clone, Copy)]
pub struct RowUse<'a, U> {
    /// Terms of the weights, with their weights in the loss.
    pub weight_terms: &'a [(f32, &'a dyn WeightTerm)],
    /// What changes weights after the step.
    pub shrinks: &'a [&'a dyn Shrink],
    /// The learning rate of this step.
    pub lr: f32,
    /// The optimizer at this step takes them.
    pub update: U,
}

/// What a row is a row of.
#[derive(Clone, Copy)]
pub struct RowKind {
    /// The half of the autoencoder that it is a weight of; `None` for biases.
    pub side: Option<Side>,
    /// Whether it has norm 1.
    pub unit: bool,
    /// Number of weights: rows are padded.
    pub inputs: usize,
}

/// The codes of a batch and the penalty's derivatives by them.
#[derive(Clone, Copy)]
pub enum BatchCode<'a> {
    /// Lists, with the derivatives in them if `term` is set.
    Lists {
        /// The entries, sorted by latent.
        lists: &'a Lists,
        /// Whether the derivatives in the lists count.
        term: bool,
    },
    /// All values, [samples, latents].
    Dense {
        /// What was decoded.
        code: &'a Matrix,
        /// What the activation gave; the same unless a penalty constrained it.
        before: &'a Matrix,
        /// The penalty's derivatives by them, where there are such.
        gradients: Option<&'a Matrix>,
        /// Whether `gradients` are those of the whole loss already.
        whole: bool,
    },
}

/// Latents a task where codes are lists: small, so that threads end together.
pub const LIST_TILE: usize = 32;

/// Latents a task where codes are dense: large enough for the products to be efficient.
const DENSE_TILE: usize = 256;

/// The parameters and moments of some latents, rows padded.
struct LatentTile<'a> {
    first: usize,
    encoder: WithMoments<'a>,
    b_enc: WithMoments<'a>,
    decoder: WithMoments<'a>,
    /// The encoder's rows in bf16, if that is the precision.
    narrow: Option<NarrowRows<'a>>,
    /// The sum over these latents of that of their derivatives times the encoder's row.
    pull: &'a mut [f32],
    /// The derivatives by the penalty's own parameters; empty where it has none.
    own: &'a mut [[f32; MOST_OWN]],
    /// What is summed over these latents: the squares of gradients, each term of the weights, each term of
    /// columns.
    sums: &'a mut [f64],
}

/// Values and moments.
pub struct WithMoments<'a> {
    values: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
}

impl WithMoments<'_> {
    #[inline(always)]
    fn row(&mut self, at: usize, stride: usize) -> WithMoments<'_> {
        let range = at * stride..(at + 1) * stride;
        WithMoments {
            values: &mut self.values[range.clone()],
            first: &mut self.first[range.clone()],
            second: if self.second.is_empty() { &mut [] } else { &mut self.second[range] },
        }
    }
}

/// The chunks of a matrix's numbers, and empty ones after the last.
fn chunks(matrix: Option<&mut Matrix>, size: usize) -> impl Iterator<Item = &mut [f32]> + Send {
    let values = matrix.map(Matrix::as_mut_slice).unwrap_or_default();
    values.chunks_mut(size.max(1)).chain(std::iter::repeat_with(Default::default))
}

/// Values and moments of one tensor, in chunks of `size` numbers.
fn tensors<'a>(
    values: Option<&'a mut Matrix>,
    first: Option<&'a mut Matrix>,
    second: Option<&'a mut Matrix>,
    size: usize,
) -> impl Iterator<Item = WithMoments<'a>> + Send {
    chunks(values, size)
        .zip(chunks(first, size))
        .zip(chunks(second, size))
        .map(|((values, first), second)| WithMoments { values, first, second })
}

impl<'a, U> RowUse<'a, U> {
    /// The same with another use of the gradients.
    pub fn to<V>(&self, update: V) -> RowUse<'a, V> {
        let Self { weight_terms, shrinks, lr, .. } = *self;
        RowUse { weight_terms, shrinks, lr, update }
    }
}

impl<U: GradientUse> RowUse<'_, U> {
    /// Uses the gradient of a row.
    #[inline(always)]
    pub fn take<S: Simd>(
        &self,
        simd: S,
        gradient: &mut [f32],
        row: WithMoments<'_>,
        RowKind { side, unit, inputs }: RowKind,
        sums: &mut [f64],
    ) {
        let Some(side) = side else {
            return self.update.take(simd, gradient, row, false, &mut sums[0]);
        };
        let WithMoments { values, first, second } = row;
        if !self.weight_terms.is_empty() {
            self.add_weight_terms(&values[..inputs], &mut gradient[..inputs], side, sums);
        }
        let row = WithMoments { values: &mut *values, first, second };
        self.update.take(simd, gradient, row, unit, &mut sums[0]);
        if U::MOVES {
            if !self.shrinks.is_empty() {
                self.shrink(&mut values[..inputs], side);
            }
            if unit {
                normalize(values);
            }
        }
    }

    /// Adds the gradients of the terms of the weights to that of a row, and their values to the sums. It stands
    /// apart, so that rows without such terms go through little code.
    #[cold]
    #[inline(never)]
    fn add_weight_terms(&self, row: &[f32], gradient: &mut [f32], side: Side, sums: &mut [f64]) {
        for ((weight, term), sum) in self.weight_terms.iter().zip(&mut sums[1..]) {
            if term.side().is_of(side) {
                *sum += term.value(row, *weight, gradient);
            }
        }
    }

    /// Shrinks the weights of a row.
    #[cold]
    #[inline(never)]
    fn shrink(&self, row: &mut [f32], side: Side) {
        for shrink in self.shrinks.iter().filter(|shrink| shrink.side().is_of(side)) {
            shrink.shrink(self.lr, row);
        }
    }
}

impl<U: GradientUse> Lesson<'_, U> {
    /// Uses the gradient of a row of weights, or with no side, of biases.
    #[inline(always)]
    fn take<S: Simd>(
        &self,
        simd: S,
        gradient: &mut [f32],
        row: WithMoments<'_>,
        side: Option<Side>,
        sums: &mut [f64],
    ) {
        let unit = self.form.unit_norm && side != Some(Side::Encoder);
        let kind = RowKind { side, unit, inputs: self.inputs };
        self.uses.take(simd, gradient, row, kind, sums);
    }

    /// Makes the gradients of all parameters and uses them: an optimizer moves all one step. Returns what
    /// the use sums, then the sum of each term of the weights and of each term of columns before the step.
    pub fn learn(
        &self,
        (layers, first, second): (&mut Layers, &mut Layers, &mut Layers),
        narrow: Option<&mut Narrow>,
        sums: &mut Sums,
        scratches: &mut [Scratch],
    ) -> Vec<f64> {
        let (latents, stride) = (layers.latents(), layers.encoder.stride());
        let width = match self.code {
            BatchCode::Lists { .. } => LIST_TILE,
            BatchCode::Dense { .. } => back::dense_tile(latents),
        };
        let tiles = latents.div_ceil(width);
        let pulling = self.form.subtract_decoder_bias;
        let Sums { pulls, bias, of_tiles, own } = sums;
        own.clear();
        own.resize(if self.has_own { latents } else { 0 }, [0.0; MOST_OWN]);
        let owns = own.chunks_mut(width).chain(std::iter::repeat_with(Default::default));
        if pulling {
            pulls.reserve_rows(tiles);
        }
        let count = 1 + self.uses.weight_terms.len() + self.columns.len();
        of_tiles.clear();
        of_tiles.resize((tiles + 1) * count, 0.0);
        let (of_bias, of_latents) = of_tiles.split_at_mut(count);
        let rows = width * stride;
        let encoders = tensors(
            Some(&mut layers.encoder),
            Some(&mut first.encoder),
            Some(&mut second.encoder),
            rows,
        );
        let decoders =
            tensors(layers.decoder.as_mut(), first.decoder.as_mut(), second.decoder.as_mut(), rows);
        let biases = tensors(
            Some(&mut layers.b_enc),
            Some(&mut first.b_enc),
            Some(&mut second.b_enc),
            width,
        );
        let narrow = narrow.into_iter().flat_map(|narrow| narrow.chunks(width)).map(Some);
        let narrow = narrow.chain(std::iter::repeat_with(|| None));
        let tasks = (0..tiles)
            .zip(encoders)
            .zip(decoders)
            .zip(biases)
            .zip(chunks(pulling.then_some(&mut *pulls), stride))
            .zip(narrow)
            .zip(of_latents.chunks_exact_mut(count))
            .zip(owns)
            .map(|(((((((at, encoder), decoder), b_enc), pull), narrow), sums), own)| LatentTile {
                first: at * width,
                encoder,
                b_enc,
                decoder,
                narrow,
                pull,
                own,
                sums,
            });
        let scratches = match self.code {
            BatchCode::Lists { .. } => scratches,
            BatchCode::Dense { .. } => worth(scratches, 2 * self.x.len() * latents * stride),
        };
        parallel(scratches, tasks, |scratch, tile| match self.code {
            BatchCode::Lists { lists, term } => {
                self.arch.dispatch(LearnLists { lesson: self, lists, term, tile, scratch });
            }
            BatchCode::Dense { code, before, gradients, whole } => {
                self.learn_dense([code, before], gradients, whole, tile, scratch);
            }
        });
        let pulls = pulling.then_some((&*pulls, tiles));
        self.arch.dispatch(LearnBias {
            lesson: self,
            pulls,
            gradient: bias.row_mut(0),
            tensor: WithMoments {
                values: layers.b_dec.row_mut(0),
                first: first.b_dec.row_mut(0),
                second: second.b_dec.as_mut_slice(),
            },
            sums: of_bias,
        });
        (0..count).map(|at| of_tiles.iter().skip(at).step_by(count).sum()).collect()
    }

    /// Adds what a dead latent learns besides to the gradient of one of its rows.
    #[inline(always)]
    fn add_dead(&self, latent: usize, row: DeadRow<'_>, gradient: &mut [f32], spare: &mut Buffer) {
        for dead in self.dead {
            dead.add_to(self.arch, latent, row, gradient, spare);
        }
    }

    fn latents(&self) -> usize {
        match self.code {
            BatchCode::Lists { lists, .. } => lists.latents(),
            BatchCode::Dense { code, .. } => code.columns(),
        }
    }
}
