//! Dense products: the only call into `gemm`, which takes nineteen positional arguments, the column
//! stride before the row stride, and computes alpha · out + beta · a · b.

use super::matrix::{Mat, MatMut};

/// out = a · b, or out += a · b if `add`: a [m, k], b [k, n], out [m, at least n], of which the
/// first n columns are written.
///
/// One thread; each number is a sum in an order that depends on the shapes alone.
///
/// # Panics
/// If the sizes do not fit.
pub fn matmul(a: Mat<'_>, b: Mat<'_>, out: &mut MatMut<'_>, add: bool) {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    assert_eq!(k, b.rows, "matmul: inner sizes differ");
    assert!(out.rows() == m && out.columns() >= n, "matmul: wrong output shape");
    let (out_stride, out) = (out.stride() as isize, out.as_mut_ptr());
    // SAFETY: a view holds every (row, column) below its sizes at the strides it names, which the
    // constructors of `Mat` and `MatMut` checked; `out` is a unique borrow, so it overlaps neither.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out,
            1,
            out_stride,
            add,
            a.values.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.values.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::matrix::Matrix;
    use super::*;

    #[test]
    fn products_of_all_layouts_are_as_computed_by_hand() {
        let a = Matrix::from_rows(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3);
        let b = Matrix::from_rows(&[1.0, 0.0, 2.0, 1.0, 0.0, 3.0], 2);
        let mut out = Matrix::zeros(2, 2);
        matmul(a.view(2), b.view(3), &mut out.view_mut(2), false);
        assert_eq!(out.to_rows(), [5.0, 11.0, 14.0, 23.0]);
        matmul(b.view(3).t(), a.view(2).t(), &mut out.view_mut(2), true);
        assert_eq!(out.to_rows(), [10.0, 25.0, 25.0, 46.0]);
        matmul(a.view(2).columns(1, 2), b.view(2), &mut out.view_mut(2), false);
        assert_eq!(out.to_rows(), [8.0, 3.0, 17.0, 6.0]);
    }
}
