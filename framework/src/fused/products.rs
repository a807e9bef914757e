//! Affine maps of a batch and their derivatives, one matrix at a time, and what follows them while rows are in
//! cache.

use pulp::Arch;

use super::buffers::Scratch;
use super::decode::dense_block;
use super::kernels::{Mat, MatMut, Matrix, matmul};
use super::parallel::{parallel, worth};

// Products are faster the larger they are, so each thread takes one part. The sum that makes a number is the same in
// parts of any size.

/// Columns a task at least: as many as a kernel of the products takes at once.
const NARROWEST: usize = 64;

/// Samples a task at least.
const FEWEST: usize = 32;

/// out ← a rowsᵀ, for a, [samples, in], and rows, [out, in]; then `after` is shown parts of rows: the sample, the first
/// column, the numbers from there on, and a number that nobody reads.
pub fn inward(
    arch: Arch,
    a: Mat<'_>,
    rows: &Matrix,
    out: &mut Matrix,
    scratches: &mut [Scratch],
    after: impl Fn(usize, usize, &mut [f32], &mut f64) + Sync,
) {
    let (samples, columns, stride) = (a.row_count(), rows.rows(), rows.stride());
    out.reserve_rows(samples);
    let scratches = worth(scratches, samples * columns * rows.columns());
    let width = columns.div_ceil(scratches.len()).next_multiple_of(16).max(NARROWEST);
    let tiles = out.view_mut(samples).column_tiles(width).enumerate();
    parallel(scratches, tiles, |_, (at, mut tile)| {
        let (first, count) = (at * width, width.min(columns - at * width));
        let own = &rows.as_slice()[first * stride..(first + count) * stride];
        matmul(a, Mat::new(own, count, rows.columns(), stride).t(), &mut tile, false);
        arch.dispatch(|| {
            for sample in 0..samples {
                after(sample, first, &mut tile.row_mut(sample)[..count], &mut 0.0);
            }
        });
    });
}

/// out ← a rows, for a, [samples, out], and rows, [out, in], or with `add` out ← out + a rows; then `after` is shown
/// each sample, 0, its row, padding included, and its number of `found`.
pub fn outward(
    arch: Arch,
    a: Mat<'_>,
    rows: &Matrix,
    (out, add): (&mut Matrix, bool),
    scratches: &mut [Scratch],
    after: impl Fn(usize, usize, &mut [f32], &mut f64) + Sync,
    found: &mut [f64],
) {
    let samples = a.row_count();
    out.reserve_rows(samples);
    let scratches = worth(scratches, samples * rows.rows() * rows.columns());
    let block = samples.div_ceil(scratches.len()).next_multiple_of(16).max(FEWEST);
    let stride = out.stride();
    let blocks = out.as_mut_slice()[..samples * stride].chunks_mut(block * stride);
    let blocks = blocks.zip(found[..samples].chunks_mut(block)).enumerate();
    parallel(scratches, blocks, |_, (at, (out, found))| {
        let (first, count) = (at * block, found.len());
        let own = &mut MatMut::new(&mut *out, count, rows.columns(), stride);
        matmul(a.rows(first, count), rows.view(rows.rows()), own, add);
        arch.dispatch(|| {
            for (at, (row, found)) in out.chunks_exact_mut(stride).zip(found).enumerate() {
                after(first + at, 0, row, found);
            }
        });
    });
}

/// Multiplications in the time that a number takes that is looked at.
const OF_A_NUMBER: usize = 32;

/// Shows each sample as [`outward`] does, a block of samples a task.
pub fn each_row(
    arch: Arch,
    rows: &mut Matrix,
    scratches: &mut [Scratch],
    see: impl Fn(usize, usize, &mut [f32], &mut f64) + Sync,
    found: &mut [f64],
) {
    let (samples, stride) = (found.len(), rows.stride());
    let block = dense_block(samples);
    let blocks = rows.as_mut_slice()[..samples * stride].chunks_mut(block * stride);
    let blocks = blocks.zip(found.chunks_mut(block)).enumerate();
    let scratches = worth(scratches, samples * stride * OF_A_NUMBER);
    parallel(scratches, blocks, |_, (at, (rows, found))| {
        arch.dispatch(|| {
            for (in_block, (row, found)) in rows.chunks_exact_mut(stride).zip(found).enumerate() {
                see(at * block + in_block, 0, row, found);
            }
        });
    });
}
