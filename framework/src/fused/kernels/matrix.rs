//! Matrices of the fused engine: row-major, each row padded with zeros to whole SIMD vectors, so
//! that no kernel over rows has a remainder; and views for products.

use std::alloc::{Layout, handle_alloc_error};
use std::borrow::Cow;
use std::marker::PhantomData;

use bytemuck::{Pod, Zeroable};

/// Numbers in the widest vector; rows are padded to multiples of it.
pub const LANES: usize = 16;

/// `columns` rounded up to whole vectors.
pub const fn padded(columns: usize) -> usize {
    columns.next_multiple_of(LANES)
}

/// One cache line: rows that start at one make no load cross two.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct CacheLine([f32; LANES]);

/// A row-major matrix on cache lines. What lies in the padding is zero unless a kernel says
/// otherwise, and nothing depends on it.
#[derive(Clone, Default)]
pub struct Matrix {
    lines: Vec<CacheLine>,
    rows: usize,
    columns: usize,
}

impl Matrix {
    /// A matrix of zeros.
    pub fn zeros(rows: usize, columns: usize) -> Self {
        let count = rows * columns.div_ceil(LANES);
        // Where there is no memory left this is to end as it does for any vector.
        let lines = bytemuck::try_zeroed_vec(count).unwrap_or_else(|()| {
            handle_alloc_error(
                Layout::array::<CacheLine>(count).unwrap_or(Layout::new::<CacheLine>()),
            )
        });
        Self { lines, rows, columns }
    }

    /// The matrix of row-major `values`.
    pub fn from_rows(values: &[f32], columns: usize) -> Self {
        let mut matrix = Self::zeros(values.len() / columns.max(1), columns);
        for (at, row) in values.chunks_exact(columns.max(1)).enumerate() {
            matrix.row_mut(at)[..columns].copy_from_slice(row);
        }
        matrix
    }

    /// The transpose of row-major `values` of `rows` columns: its column j becomes row j.
    pub fn from_columns(values: &[f32], rows: usize) -> Self {
        let columns = values.len() / rows.max(1);
        let mut matrix = Self::zeros(rows, columns);
        // In squares, so that neither side is walked in strides of whole rows.
        for first in (0..rows).step_by(LANES) {
            for column in 0..columns {
                for row in first..(first + LANES).min(rows) {
                    matrix.row_mut(row)[column] = values[column * rows + row];
                }
            }
        }
        matrix
    }

    /// The values, row-major, without padding.
    pub fn to_rows(&self) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.rows * self.columns);
        (0..self.rows).for_each(|row| values.extend_from_slice(&self.row(row)[..self.columns]));
        values
    }

    /// The values of the transpose, row-major, without padding.
    pub fn to_columns(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.rows * self.columns];
        for first in (0..self.rows).step_by(LANES) {
            for column in 0..self.columns {
                for row in first..(first + LANES).min(self.rows) {
                    values[column * self.rows + row] = self.row(row)[column];
                }
            }
        }
        values
    }

    /// Makes room for `rows` rows; those beyond what was there hold zeros.
    pub fn reserve_rows(&mut self, rows: usize) {
        if rows > self.rows {
            *self = Self::zeros(rows, self.columns);
        }
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns, without padding.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Numbers from one row to the next.
    pub fn stride(&self) -> usize {
        padded(self.columns)
    }

    /// All numbers, padding included, [rows, stride].
    pub fn as_slice(&self) -> &[f32] {
        bytemuck::cast_slice(&self.lines)
    }

    /// All numbers, padding included, [rows, stride].
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.lines)
    }

    /// A row with its padding.
    pub fn row(&self, row: usize) -> &[f32] {
        let stride = self.stride();
        &self.as_slice()[row * stride..(row + 1) * stride]
    }

    /// A row with its padding.
    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        let stride = self.stride();
        &mut self.as_mut_slice()[row * stride..(row + 1) * stride]
    }

    /// The first `rows` rows, padding included.
    pub fn first_rows(&self, rows: usize) -> PaddedRows<'_> {
        let stride = self.stride();
        PaddedRows { values: &self.as_slice()[..rows * stride], stride }
    }

    /// The first `rows` rows as an operand of a product, without padding.
    pub fn view(&self, rows: usize) -> Mat<'_> {
        Mat::new(self.as_slice(), rows, self.columns, self.stride())
    }

    /// The first `rows` rows as the result of a product, padding included.
    pub fn view_mut(&mut self, rows: usize) -> MatMut<'_> {
        let stride = self.stride();
        MatMut::new(self.as_mut_slice(), rows, stride, stride)
    }
}

/// Memory on cache lines that grows when more is asked for and is used again and again.
#[derive(Default)]
pub struct Buffer(Vec<CacheLine>);

impl Buffer {
    /// `size` numbers, of whatever was there before.
    pub fn get(&mut self, size: usize) -> &mut [f32] {
        let lines = size.div_ceil(LANES);
        if self.0.len() < lines {
            self.0.resize(lines, CacheLine([0.0; LANES]));
        }
        &mut bytemuck::cast_slice_mut(&mut self.0)[..size]
    }
}

/// Whole padded rows, one after another.
#[derive(Clone, Copy)]
pub struct PaddedRows<'a> {
    values: &'a [f32],
    stride: usize,
}

impl<'a> PaddedRows<'a> {
    /// Rows of `stride` numbers each.
    pub fn new(values: &'a [f32], stride: usize) -> Self {
        Self { values, stride }
    }

    /// Numbers a row.
    pub fn stride(self) -> usize {
        self.stride
    }

    /// How many rows.
    pub fn len(self) -> usize {
        self.values.len() / self.stride
    }

    /// One row.
    #[inline(always)]
    pub fn row(self, row: usize) -> &'a [f32] {
        &self.values[row * self.stride..(row + 1) * self.stride]
    }

    /// The same as an operand of a product, `columns` of each row.
    pub fn view(self, columns: usize) -> Mat<'a> {
        Mat::new(self.values, self.len(), columns, self.stride)
    }

    /// The same of every `step`-th row, from `first` on.
    pub fn every(self, step: usize, first: usize, columns: usize) -> Mat<'a> {
        let values = &self.values[first * self.stride..];
        Mat::new(values, self.len() / step, columns, step * self.stride)
    }
}

/// A matrix that is read: number (r, c) is at r · row_stride + c · column_stride.
#[derive(Clone, Copy)]
pub struct Mat<'a, E = f32> {
    pub(super) values: &'a [E],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
}

impl<'a> Mat<'a> {
    /// The numbers of a row-major view, row after row.
    pub fn flat(self) -> Cow<'a, [f32]> {
        if self.row_stride == self.columns {
            return Cow::Borrowed(&self.values[..self.rows * self.columns]);
        }
        let mut all = Vec::with_capacity(self.rows * self.columns);
        (0..self.rows).for_each(|row| all.extend_from_slice(self.row(row)));
        Cow::Owned(all)
    }
}

impl<'a, E> Mat<'a, E> {
    /// A row-major view.
    ///
    /// # Panics
    /// If `values` is too short.
    pub fn new(values: &'a [E], rows: usize, columns: usize, stride: usize) -> Self {
        check_size(values.len(), rows, columns, stride);
        Self { values, rows, columns, row_stride: stride, column_stride: 1 }
    }

    /// Rows.
    pub fn row_count(&self) -> usize {
        self.rows
    }

    /// A row of a row-major view.
    #[inline(always)]
    pub fn row(&self, row: usize) -> &'a [E] {
        debug_assert_eq!(self.column_stride, 1, "rows lie together in row-major views alone");
        &self.values[row * self.row_stride..][..self.columns]
    }

    /// The transpose.
    pub fn t(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// `count` rows of a row-major view, from `first` on.
    pub fn rows(self, first: usize, count: usize) -> Self {
        assert!(first + count <= self.rows, "rows outside of the matrix");
        let values = &self.values[(first * self.row_stride).min(self.values.len())..];
        Self { values, rows: count, ..self }
    }

    /// `count` columns of a row-major view, from `first` on.
    pub fn columns(self, first: usize, count: usize) -> Self {
        assert!(first + count <= self.columns, "columns outside of the matrix");
        let values = &self.values[(first * self.column_stride).min(self.values.len())..];
        Self { values, columns: count, ..self }
    }
}

/// A row-major matrix that is written, maybe some columns of a larger one.
pub struct MatMut<'a, E = f32> {
    pointer: *mut E,
    rows: usize,
    columns: usize,
    stride: usize,
    lent: PhantomData<&'a mut [E]>,
}

// SAFETY: a `MatMut` is a unique borrow of its numbers, as `&mut [E]` is, which is Send where E is.
unsafe impl<E: Send> Send for MatMut<'_, E> {}

impl<'a, E: Send> MatMut<'a, E> {
    /// A view of a slice.
    ///
    /// # Panics
    /// If `values` is too short.
    pub fn new(values: &'a mut [E], rows: usize, columns: usize, stride: usize) -> Self {
        check_size(values.len(), rows, columns, stride);
        Self { pointer: values.as_mut_ptr(), rows, columns, stride, lent: PhantomData }
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut E {
        self.pointer
    }

    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// One row.
    #[inline(always)]
    pub fn row_mut(&mut self, row: usize) -> &mut [E] {
        assert!(row < self.rows, "row outside of the matrix");
        // SAFETY: `new` checked that row · stride + columns is inside of the borrowed slice, and
        // `split_columns` keeps it so; the columns of this view belong to no other.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.add(row * self.stride), self.columns) }
    }

    /// The columns before `at`, and the rest.
    pub fn split_columns(self, at: usize) -> (Self, Self) {
        assert!(at <= self.columns, "columns outside of the matrix");
        let Self { pointer, rows, columns, stride, lent } = self;
        // SAFETY: `at` is at most `columns`, so inside the slice or at its end. The two parts have
        // no number in common, since at and columns are at most stride.
        let right = unsafe { pointer.add(if rows == 0 { 0 } else { at }) };
        (
            Self { pointer, rows, columns: at, stride, lent },
            Self { pointer: right, rows, columns: columns - at, stride, lent },
        )
    }

    /// The columns in tiles of `width`, the last one maybe narrower.
    pub fn column_tiles(self, width: usize) -> impl Iterator<Item = Self> + Send {
        let mut rest = Some(self);
        std::iter::from_fn(move || {
            let view = rest.take().filter(|view| view.columns > 0)?;
            let at = width.min(view.columns);
            let (tile, others) = view.split_columns(at);
            rest = Some(others);
            Some(tile)
        })
    }
}

fn check_size(values: usize, rows: usize, columns: usize, stride: usize) {
    assert!(columns <= stride, "rows overlap");
    assert!(rows == 0 || (rows - 1) * stride + columns <= values, "a view larger than its slice");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_columns_come_back_as_they_went_in_and_padding_is_zero() {
        let values: Vec<f32> = (0..51).map(|value| value as f32).collect();
        let (rows, columns) = (Matrix::from_rows(&values, 17), Matrix::from_columns(&values, 17));
        assert_eq!((rows.rows(), rows.columns(), rows.stride()), (3, 17, 32));
        assert_eq!((columns.rows(), columns.columns()), (17, 3));
        assert_eq!((rows.to_rows(), columns.to_columns()), (values.clone(), values.clone()));
        assert_eq!(columns.row(1)[..4], [1.0, 18.0, 35.0, 0.0]);
        assert!(rows.row(2)[17..].iter().all(|value| *value == 0.0));
    }

    #[test]
    fn column_tiles_cover_every_number_once() {
        let mut matrix = Matrix::zeros(3, 40);
        for (at, mut tile) in matrix.view_mut(3).column_tiles(20).enumerate() {
            for row in 0..tile.rows() {
                tile.row_mut(row).iter_mut().for_each(|value| *value += (at + 1) as f32);
            }
        }
        let row: Vec<f32> = [vec![1.0; 20], vec![2.0; 20], vec![3.0; 8]].concat();
        assert!((0..3).all(|at| matrix.row(at) == row));
    }
}
