//! Affine maps of a batch and their derivatives, one matrix at a time, and what follows them while rows are in
//! cache.

use pulp::Arch;

use super::buffers::Scratch;
use super::decode::dense_block;
use super::kernels::{Mat, MatMut, Matrix, matmul_of, part_size};
use super::parallel::{parallel, worth};

// Products are faster the larger they are, so each thread takes one part. The sum that makes a number is that of the
// whole product.

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
    let width = part_size(columns, scratches.len(), NARROWEST);
    let tiles = out.view_mut(samples).column_tiles(width).enumerate();
    parallel(scratches, tiles, |_, (at, mut tile)| {
        let (first, count) = (at * width, width.min(columns - at * width));
        let own = &rows.as_slice()[first * stride..(first + count) * stride];
        let own = Mat::new(own, count, rows.columns(), stride).t();
        matmul_of([samples, columns], a, own, &mut tile, false);
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
    let block = part_size(samples, scratches.len(), FEWEST);
    let stride = out.stride();
    let blocks = out.as_mut_slice()[..samples * stride].chunks_mut(block * stride);
    let blocks = blocks.zip(found[..samples].chunks_mut(block)).enumerate();
    parallel(scratches, blocks, |_, (at, (out, found))| {
        let (first, count) = (at * block, found.len());
        let own = &mut MatMut::new(&mut *out, count, rows.columns(), stride);
        let whole = [samples, rows.columns()];
        matmul_of(whole, a.rows(first, count), rows.view(rows.rows()), own, add);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu;

    /// Numbers in no order.
    fn uneven(count: usize) -> Vec<f32> {
        let number = |at: usize| ((at * 7919 + 13) % 1009) as f32 / 1009.0 - 0.5;
        (0..count).map(number).collect()
    }

    /// Wrong if what a thread takes of a product, one row or few, were summed in another order than the whole.
    #[test]
    fn products_have_the_same_bits_with_any_number_of_threads() {
        for (samples, inner, columns) in [
            (33, 1600, 40),
            (130, 600, 40),
            (65, 1100, 70),
            (97, 700, 65),
            (1, 9000, 130),
            (40, 1030, 129),
        ] {
            let a = uneven(samples * inner);
            let a = Mat::new(&a, samples, inner, inner);
            let tall = Matrix::from_rows(&uneven(inner * columns), columns);
            let wide = Matrix::from_rows(&uneven(inner * columns), inner);
            let made = |threads: usize| {
                let mut scratches: Vec<_> = (0..threads).map(|_| Scratch::default()).collect();
                let mut found = vec![0.0; samples];
                let arch = cpu::arch();
                let [mut out, mut inner] = [0, 0].map(|rows| Matrix::zeros(rows, columns));
                let see = |_: usize, _: usize, _: &mut [f32], _: &mut f64| {};
                outward(arch, a, &tall, (&mut out, false), &mut scratches, see, &mut found);
                inward(arch, a, &wide, &mut inner, &mut scratches, see);
                [out.to_rows(), inner.to_rows()]
            };
            let one = made(1);
            for threads in [2, 3, 5] {
                assert!(made(threads) == one, "{samples} x {inner} x {columns}, {threads} threads");
            }
        }
    }
}
