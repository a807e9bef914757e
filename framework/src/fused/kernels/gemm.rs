//! Dense products: the only calls into `gemm`, which takes nineteen positional arguments, the column
//! stride before the row stride, and computes alpha · out + beta · a · b.

use gemm::Parallelism;
use num_traits::Float;

use super::matrix::{Mat, MatMut};
use crate::cpu;

/// As `gemm::gemm` for one dtype.
type Gemm<E> = unsafe fn(
    usize,
    usize,
    usize,
    *mut E,
    isize,
    isize,
    bool,
    *const E,
    isize,
    isize,
    *const E,
    isize,
    isize,
    E,
    E,
    bool,
    bool,
    bool,
    Parallelism,
);

/// A dtype that products are taken in: f32, and f64 for what is checked against finite differences.
pub trait Multipliable: Float + Send + Sync + 'static {
    /// The product with the instructions that may be used.
    fn gemm() -> Gemm<Self>;
}

impl Multipliable for f32 {
    fn gemm() -> Gemm<Self> {
        if cpu::allows_avx512() { gemm::gemm } else { narrow() }
    }
}

// No result of a run is in f64, so it needs no limit to the instructions.
impl Multipliable for f64 {
    fn gemm() -> Gemm<Self> {
        gemm::gemm
    }
}

/// Sums of more terms are taken in parts of equal length: by `gemm` itself where the caches are those of
/// most machines, and by us, so that those of others do not change the order of the sum.
const TERMS: usize = 512;

/// out = a · b, or out += a · b if `add`: a [m, k], b [k, n], out [m, at least n], of which the
/// first n columns are written.
///
/// One thread; each number is a sum in an order that depends on the shapes and the instructions alone.
///
/// # Panics
/// If the sizes do not fit.
pub fn matmul<E: Multipliable>(a: Mat<'_, E>, b: Mat<'_, E>, out: &mut MatMut<'_, E>, add: bool) {
    let whole = [a.rows, b.columns];
    matmul_by(E::gemm(), whole, a, b, out, add);
}

/// The same of some rows, or some columns, of a product of `whole` rows and columns: numbers are those that the
/// product as a whole has. One row, or one column, is not a part; see [`part_size`].
pub fn matmul_of(whole: [usize; 2], a: Mat<'_>, b: Mat<'_>, out: &mut MatMut<'_>, add: bool) {
    matmul_by(f32::gemm(), whole, a, b, out, add);
}

/// Size of parts of `all` rows or columns, at least `least` and about one a thread. None has one row alone where there
/// are more: products sum those in another order.
pub fn part_size(all: usize, threads: usize, least: usize) -> usize {
    let mut size = all.div_ceil(threads).next_multiple_of(16).max(least);
    while all > 1 && all % size == 1 {
        size += 16;
    }
    size
}

fn matmul_by<E: Multipliable>(
    gemm: Gemm<E>,
    whole: [usize; 2],
    a: Mat<'_, E>,
    b: Mat<'_, E>,
    out: &mut MatMut<'_, E>,
    add: bool,
) {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    assert_eq!(k, b.rows, "matmul: inner sizes differ");
    assert!(out.rows() == m && out.columns() >= n, "matmul: wrong output shape");
    let (out_stride, out) = (out.stride() as isize, out.as_mut_ptr());
    // Smaller products are split alike, or not at all, whatever the caches.
    let [rows, columns] = whole;
    let is_large = (rows > 64 || columns > 64) && rows > 1 && columns > 1 && rows * columns > 256;
    let parts = if is_large { k.div_ceil(TERMS).max(1) } else { 1 };
    let length = k.div_ceil(parts);
    for part in 0..parts {
        let from = part * length;
        // SAFETY: a view holds every (row, column) below its sizes at the strides it names, which the
        // constructors of `Mat` and `MatMut` checked, and a part is of its columns, or rows; `out` is a
        // unique borrow, so it overlaps neither.
        unsafe {
            gemm(
                m,
                n,
                length.min(k - from),
                out,
                1,
                out_stride,
                add || part > 0,
                a.values.as_ptr().wrapping_add(from * a.column_stride),
                a.column_stride as isize,
                a.row_stride as isize,
                b.values.as_ptr().wrapping_add(from * b.row_stride),
                b.column_stride as isize,
                b.row_stride as isize,
                E::one(),
                E::one(),
                false,
                false,
                false,
                Parallelism::None,
            );
        }
    }
}

/// A product without AVX-512, which `gemm` itself uses wherever it is.
fn narrow() -> Gemm<f32> {
    #[cfg(target_arch = "x86_64")]
    if avx2::simd().is_some() {
        return avx2::gemm;
    }
    gemm::gemm
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use gemm::Parallelism;
    use gemm_common::simd::{MixedSimd, V3};
    use gemm_f32::microkernel::fma::f32::{H_M, H_N, H_UKR, MR_DIV_N, NR, UKR};

    /// f32 in a register.
    const LANES: usize = 8;

    /// What there is of it on this machine.
    pub fn simd() -> Option<V3> {
        <V3 as MixedSimd<f32, f32, f32, f32>>::try_new()
    }

    /// As `gemm::gemm` takes a product of f32 on a machine with AVX2 and no more.
    ///
    /// # Safety
    /// As for `gemm::gemm`.
    ///
    /// # Panics
    /// If the machine has no AVX2.
    #[allow(clippy::too_many_arguments, reason = "they are those of `gemm::gemm`")]
    pub unsafe fn gemm(
        m: usize,
        n: usize,
        k: usize,
        out: *mut f32,
        out_columns: isize,
        out_rows: isize,
        add: bool,
        a: *const f32,
        a_columns: isize,
        a_rows: isize,
        b: *const f32,
        b_columns: isize,
        b_rows: isize,
        alpha: f32,
        beta: f32,
        conjugate_out: bool,
        conjugate_a: bool,
        conjugate_b: bool,
        parallelism: Parallelism,
    ) {
        let simd = simd().expect("`narrow` takes this function where there is AVX2");
        // SAFETY: the caller's.
        unsafe {
            gemm_common::gemm::gemm_basic_generic::<
                _,
                f32,
                LANES,
                { MR_DIV_N * LANES },
                NR,
                MR_DIV_N,
                H_M,
                H_N,
            >(
                simd,
                m,
                n,
                k,
                out,
                out_columns,
                out_rows,
                add,
                a,
                a_columns,
                a_rows,
                b,
                b_columns,
                b_rows,
                alpha,
                beta,
                conjugate_out,
                conjugate_a,
                conjugate_b,
                |a, b, c| a * b + c,
                &UKR,
                &H_UKR,
                false,
                parallelism,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::matrix::Matrix;
    use super::*;

    #[test]
    fn products_of_all_layouts_are_as_computed_by_hand() {
        for gemm in [gemm::gemm as Gemm<f32>, narrow()] {
            let a = Matrix::from_rows(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3);
            let b = Matrix::from_rows(&[1.0, 0.0, 2.0, 1.0, 0.0, 3.0], 2);
            let mut out = Matrix::zeros(2, 2);
            matmul_by(gemm, [2, 2], a.view(2), b.view(3), &mut out.view_mut(2), false);
            assert_eq!(out.to_rows(), [5.0, 11.0, 14.0, 23.0]);
            matmul_by(gemm, [2, 2], b.view(3).t(), a.view(2).t(), &mut out.view_mut(2), true);
            assert_eq!(out.to_rows(), [10.0, 25.0, 25.0, 46.0]);
            matmul_by(
                gemm,
                [2, 2],
                a.view(2).columns(1, 2),
                b.view(2),
                &mut out.view_mut(2),
                false,
            );
            assert_eq!(out.to_rows(), [8.0, 3.0, 17.0, 6.0]);
        }
    }

    /// Machines with and without AVX-512 differ by rounding: by less than 2^-20 of the sum of the terms'
    /// sizes, whose number is at most some thousands. Wrong if a part of a long sum were left out.
    #[test]
    fn products_with_and_without_avx512_agree_to_rounding() {
        for (m, k, n) in [(2, 3, 2), (1, 700, 90), (70, 512, 65), (33, 513, 130), (96, 2000, 80)] {
            let number = |at: usize| (at as f32 * 0.37 + 1.0).sin();
            let numbers = |rows: usize, columns: usize| -> Vec<f32> {
                (0..rows * columns).map(number).collect()
            };
            let (a, b) = (numbers(m, k), numbers(k, n));
            let (a_rows, b_rows) = (Matrix::from_rows(&a, k), Matrix::from_rows(&b, n));
            let product = |gemm| {
                let mut out = Matrix::zeros(m, n);
                matmul_by(
                    gemm,
                    [m, n],
                    a_rows.view(m),
                    b_rows.view(k),
                    &mut out.view_mut(m),
                    false,
                );
                out.to_rows()
            };
            let (wide, narrow) = (product(gemm::gemm), product(narrow()));
            for (at, (wide, narrow)) in wide.iter().zip(&narrow).enumerate() {
                let (row, column) = (at / n, at % n);
                let terms =
                    (0..k).map(|i| f64::from(a[row * k + i]) * f64::from(b[i * n + column]));
                let (exact, size) =
                    terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
                for found in [wide, narrow] {
                    let error = (f64::from(*found) - exact).abs();
                    assert!(error <= size * 2f64.powi(-20), "{m} {k} {n}: {found} {exact}");
                }
            }
        }
    }
}
