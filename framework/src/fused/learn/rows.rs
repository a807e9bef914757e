//! Learning of affine maps whose derivatives are all there: row by row of their matrices, tiles of rows on any
//! thread. The matrices of all levels stand in one list, so that threads share the work of small ones too.

use pulp::{Arch, Simd, WithSimd};

use super::{GradientUse, RowKind, RowUse, WithMoments, tensors};
use crate::fused::buffers::Scratch;
use crate::fused::kernels::{Mat, MatMut, Matrix, matmul};
use crate::fused::parallel::parallel;
use crate::model::Side;

/// Rows whose sums are taken together: fixed, so that sums do not depend on the number of threads.
const BLOCK: usize = 32;

/// Blocks a task at most, so that their gradients stay in a cache.
const MOST_BLOCKS: usize = 4;

/// What the gradient of a tensor is made of.
#[derive(Clone, Copy)]
pub enum RowGradient<'a> {
    /// Of a matrix [out, in]: the sum of aᵀ b over pairs of a, [samples, out], and b, [samples, in]; the last ones
    /// may be any number.
    Products([Option<(Mat<'a>, Mat<'a>)>; 2], &'a [(Mat<'a>, Mat<'a>)]),
    /// Of a matrix: these rows.
    Given(&'a Matrix),
    /// Of a bias, [1, out]: the sums of the columns of a matrix [samples, out].
    ColumnSums(Mat<'a>),
    /// Of a bias: these numbers.
    GivenBias(&'a [f32]),
}

/// A tensor that is to learn.
pub struct RowTask<'a> {
    pub gradient: RowGradient<'a>,
    pub values: &'a mut Matrix,
    pub first: &'a mut Matrix,
    /// None for SGD.
    pub second: Option<&'a mut Matrix>,
    /// The half of the autoencoder that a matrix belongs to.
    pub side: Side,
    /// Whether each row of it has norm 1.
    pub unit: bool,
}

/// Some rows of a tensor.
struct RowTile<'a> {
    gradient: RowGradient<'a>,
    at: usize,
    count: usize,
    stride: usize,
    kind: RowKind,
    tensor: WithMoments<'a>,
}

/// Makes the gradients of these tensors and uses them. Returns what the use sums, then the sum of each term of the
/// weights before the step.
pub fn learn_rows<U: GradientUse>(
    arch: Arch,
    uses: &RowUse<'_, U>,
    tasks: Vec<RowTask<'_>>,
    scratches: &mut [Scratch],
) -> Vec<f64> {
    let threads = scratches.len();
    let tiles: Vec<_> = tasks.into_iter().flat_map(|task| task.tiles(threads)).collect();
    let count = 1 + uses.weight_terms.len();
    let mut sums = vec![0.0; tiles.iter().map(RowTile::blocks).sum::<usize>() * count];
    let mut rest = sums.as_mut_slice();
    let tiles = tiles.into_iter().map(|tile| {
        let (own, others) = std::mem::take(&mut rest).split_at_mut(tile.blocks() * count);
        rest = others;
        (tile, own)
    });
    parallel(scratches, tiles, |scratch, (tile, sums)| {
        let gradient = scratch.gradient.get(tile.count * tile.stride);
        arch.dispatch(UseRows { uses, tile, gradient, sums });
    });
    (0..count).map(|at| sums.iter().skip(at).step_by(count).sum()).collect()
}

impl<'a> RowTask<'a> {
    /// Tiles of whole blocks: large, as products are faster then, and enough for every thread.
    fn tiles(self, threads: usize) -> impl Iterator<Item = RowTile<'a>> {
        let Self { gradient, values, first, second, side, unit } = self;
        let (rows, inputs, stride) = (values.rows(), values.columns(), values.stride());
        let is_bias = matches!(gradient, RowGradient::ColumnSums(_) | RowGradient::GivenBias(_));
        let kind = RowKind { side: (!is_bias).then_some(side), unit, inputs };
        let tile = rows.div_ceil(BLOCK).div_ceil(threads).min(MOST_BLOCKS) * BLOCK;
        let all = tensors(Some(values), Some(first), second, tile * stride);
        (0..rows).step_by(tile).zip(all).map(move |(at, tensor)| {
            let count = tile.min(rows - at);
            RowTile { gradient, at, count, stride, kind, tensor }
        })
    }
}

impl RowTile<'_> {
    fn blocks(&self) -> usize {
        self.count.div_ceil(BLOCK)
    }

    /// Makes the gradient of the rows, [count, stride].
    #[inline(always)]
    fn make(&self, gradient: &mut [f32]) {
        let Self { at, count, stride, .. } = *self;
        match self.gradient {
            RowGradient::Products(pairs, more) => {
                let pairs = pairs.into_iter().flatten().chain(more.iter().copied());
                for (pair, (a, b)) in pairs.enumerate() {
                    let out = &mut MatMut::new(&mut *gradient, count, stride, stride);
                    matmul(a.columns(at, count).t(), b, out, pair > 0);
                }
                // Products leave the padding.
                for row in gradient.chunks_exact_mut(stride) {
                    row[self.kind.inputs..].fill(0.0);
                }
            }
            RowGradient::Given(rows) => {
                gradient.copy_from_slice(&rows.as_slice()[at * stride..(at + count) * stride]);
            }
            RowGradient::ColumnSums(of) => {
                gradient.fill(0.0);
                for sample in 0..of.row_count() {
                    let row = gradient.iter_mut().zip(of.row(sample));
                    row.for_each(|(sum, value)| *sum += value);
                }
            }
            RowGradient::GivenBias(sums) => {
                gradient.fill(0.0);
                gradient[..sums.len()].copy_from_slice(sums);
            }
        }
    }
}

struct UseRows<'a, 'b, U> {
    uses: &'a RowUse<'b, U>,
    tile: RowTile<'a>,
    gradient: &'a mut [f32],
    sums: &'a mut [f64],
}

impl<U: GradientUse> WithSimd for UseRows<'_, '_, U> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { uses, mut tile, gradient, sums } = self;
        tile.make(gradient);
        let sums_of_block = sums.len() / tile.blocks();
        for (at, gradient) in gradient.chunks_exact_mut(tile.stride).enumerate() {
            let sums = &mut sums[at / BLOCK * sums_of_block..][..sums_of_block];
            uses.take(simd, gradient, tile.tensor.row(at, tile.stride), tile.kind, sums);
        }
    }
}
