//! Eigenvectors of a symmetric matrix, in f64: Householder reflections make it tridiagonal, implicit QL
//! steps make it diagonal, and the vectors follow both. Some 6 n³ operations, shared out among threads; the
//! same matrix gives the same bits with any number of threads.
//!
//! Source: Golub and Van Loan 2013, Matrix Computations, 8.3.

use rayon::prelude::*;

/// Columns of the vectors that are taken together: they stay in cache while all rotations pass over them.
const WIDTH: usize = 32;

/// Numbers that a thread takes at least, where each costs an operation or two.
const AT_ONCE: usize = 1 << 15;

/// Rotations that are collected before the vectors follow them.
const COLLECTED: usize = 1 << 16;

/// Steps for one eigenvalue; one takes two or three as a rule.
const STEPS: usize = 100;

/// Returns the eigenvectors of a symmetric matrix [n, n], one a row, by falling eigenvalue, and the
/// eigenvalues; `None` if it holds NaN or infinities.
///
/// # Panics
/// If the matrix is not [n, n].
pub fn eigenvectors(matrix: Vec<f64>, n: usize) -> Option<(Vec<f64>, Vec<f64>)> {
    assert_eq!(matrix.len(), n * n, "eigenvectors: the matrix is not square");
    if matrix.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let Tridiagonal { mut diagonal, beside, reflections } = tridiagonal(matrix, n);
    let mut vectors = VectorBlocks::new(n);
    vectors.reflect(&reflections);
    diagonalize(&mut diagonal, beside, |rotations| vectors.rotate(rotations))?;
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|a, b| diagonal[*b].total_cmp(&diagonal[*a]));
    Some((vectors.rows(&order), order.iter().map(|at| diagonal[*at]).collect()))
}

/// A symmetric matrix after reflections: zero but for the diagonal and the numbers beside it.
struct Tridiagonal {
    diagonal: Vec<f64>,
    /// Entry `k` stands between rows `k` and `k + 1`; the last is 0.
    beside: Vec<f64>,
    reflections: Vec<Reflection>,
}

/// x ↦ x − scale · v (v·x), where v is 0 before `first`.
struct Reflection {
    first: usize,
    v: Vec<f64>,
    scale: f64,
}

/// Reflects a symmetric matrix until it is tridiagonal.
fn tridiagonal(mut matrix: Vec<f64>, n: usize) -> Tridiagonal {
    let mut beside = vec![0.0; n];
    let mut reflections = Vec::with_capacity(n.saturating_sub(2));
    for k in 0..n.saturating_sub(1) {
        let first = k + 1;
        let mut v = matrix[k * n + first..(k + 1) * n].to_vec();
        let norm = dot(&v, &v).sqrt();
        // The first entry may stay as it is where all others are 0.
        if v[1..].iter().all(|value| *value == 0.0) || norm == 0.0 {
            beside[k] = v[0];
            continue;
        }
        // The sign that loses no digits.
        beside[k] = -norm.copysign(v[0]);
        v[0] -= beside[k];
        let scale = 2.0 / dot(&v, &v);
        if !scale.is_finite() {
            // Numbers so small that their squares are 0: they are 0 beside all others.
            beside[k] = 0.0;
            continue;
        }
        // A ↦ H A H = A − v wᵀ − w vᵀ of the rows and columns from `first` on.
        let rows = &mut matrix[first * n..];
        let min_rows = (AT_ONCE / v.len()).max(1);
        let mut w: Vec<f64> = rows
            .par_chunks(n)
            .with_min_len(min_rows)
            .map(|row| scale * dot(&row[first..], &v))
            .collect();
        let along = 0.5 * scale * dot(&w, &v);
        w.iter_mut().zip(&v).for_each(|(w, v)| *w -= along * v);
        rows.par_chunks_mut(n).with_min_len(min_rows).zip(v.par_iter().zip(&w)).for_each(
            |(row, (v_row, w_row))| {
                for ((entry, v), w) in row[first..].iter_mut().zip(&v).zip(&w) {
                    *entry -= v_row * w + w_row * v;
                }
            },
        );
        reflections.push(Reflection { first, v, scale });
    }
    let diagonal = (0..n).map(|k| matrix[k * n + k]).collect();
    Tridiagonal { diagonal, beside, reflections }
}

/// A rotation of vectors `at` and `at + 1`.
#[derive(Clone, Copy)]
struct Givens {
    at: usize,
    cos: f64,
    sin: f64,
}

/// Makes a tridiagonal matrix diagonal by QL steps with implicit shifts, and tells `follow` the rotations in
/// their order. Returns `None` if it does not converge.
fn diagonalize(
    diagonal: &mut [f64],
    mut beside: Vec<f64>,
    mut follow: impl FnMut(&[Givens]),
) -> Option<()> {
    let n = diagonal.len();
    let size = diagonal.iter().chain(&beside).fold(0.0, |most: f64, value| most.max(value.abs()));
    let is_none = |value: f64| value.abs() <= f64::EPSILON * size;
    let mut rotations = Vec::new();
    for low in 0..n {
        let mut steps = 0;
        loop {
            let end = (low..n - 1).find(|at| is_none(beside[*at])).unwrap_or(n - 1);
            if end == low {
                break;
            }
            steps += 1;
            if steps > STEPS {
                return None;
            }
            step(diagonal, &mut beside, low, end, &mut rotations);
            if rotations.len() >= COLLECTED {
                follow(&rotations);
                rotations.clear();
            }
        }
    }
    follow(&rotations);
    Some(())
}

/// One QL step on the rows from `low` to `end`.
fn step(
    diagonal: &mut [f64],
    beside: &mut [f64],
    low: usize,
    end: usize,
    rotations: &mut Vec<Givens>,
) {
    // Wilkinson's shift.
    let half = (diagonal[low + 1] - diagonal[low]) / (2.0 * beside[low]);
    let shift = beside[low] / (half + half.hypot(1.0).copysign(half));
    let mut g = diagonal[end] - diagonal[low] + shift;
    let (mut sin, mut cos, mut moved) = (1.0, 1.0, 0.0);
    for at in (low..end).rev() {
        let (f, b) = (sin * beside[at], cos * beside[at]);
        let r = f.hypot(g);
        beside[at + 1] = r;
        if r == 0.0 {
            // The matrix falls into two parts here.
            diagonal[at + 1] -= moved;
            beside[end] = 0.0;
            return;
        }
        (sin, cos) = (f / r, g / r);
        g = diagonal[at + 1] - moved;
        let turned = (diagonal[at] - g) * sin + 2.0 * cos * b;
        moved = sin * turned;
        diagonal[at + 1] = g + moved;
        g = cos * turned - b;
        rotations.push(Givens { at, cos, sin });
    }
    diagonal[low] -= moved;
    beside[low] = g;
    beside[end] = 0.0;
}

/// Vectors, one a row, [n, n], in blocks of neighbouring columns: what is done to the rows is done to each
/// block by itself.
struct VectorBlocks {
    n: usize,
    blocks: Vec<Vec<[f64; WIDTH]>>,
}

impl VectorBlocks {
    /// The unit vectors; the last block is filled up with zeros.
    fn new(n: usize) -> Self {
        let block = |first: usize| {
            let mut rows = vec![[0.0; WIDTH]; n];
            rows.iter_mut().skip(first).take(WIDTH).enumerate().for_each(|(at, row)| row[at] = 1.0);
            rows
        };
        Self { n, blocks: (0..n).step_by(WIDTH).map(block).collect() }
    }

    /// Applies reflections, the first one first.
    fn reflect(&mut self, reflections: &[Reflection]) {
        self.blocks.par_iter_mut().for_each(|block| {
            for Reflection { first, v, scale } in reflections {
                let rows = &mut block[*first..];
                let mut along = [0.0; WIDTH];
                for (row, v) in rows.iter().zip(v) {
                    (0..WIDTH).for_each(|at| along[at] += v * row[at]);
                }
                along.iter_mut().for_each(|along| *along *= scale);
                for (row, v) in rows.iter_mut().zip(v) {
                    (0..WIDTH).for_each(|at| row[at] -= v * along[at]);
                }
            }
        });
    }

    /// Applies rotations, the first one first.
    fn rotate(&mut self, rotations: &[Givens]) {
        self.blocks.par_iter_mut().for_each(|block| {
            for Givens { at, cos, sin } in rotations {
                let (one, other) = (block[*at], block[*at + 1]);
                for lane in 0..WIDTH {
                    block[*at][lane] = cos * one[lane] - sin * other[lane];
                    block[*at + 1][lane] = sin * one[lane] + cos * other[lane];
                }
            }
        });
    }

    /// Returns the rows in this order, [rows, n].
    fn rows(&self, order: &[usize]) -> Vec<f64> {
        let mut all = Vec::with_capacity(order.len() * self.n);
        for row in order {
            let numbers = self.blocks.iter().flat_map(|block| &block[*row]);
            all.extend(numbers.take(self.n));
        }
        all
    }
}

/// Sums are kept in so many parts, which vector instructions add to at once.
const LANES: usize = 8;

/// Returns the scalar product.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        (0..LANES).for_each(|lane| sums[lane] += a[lane] * b[lane]);
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::testing::{in_pool, uneven};

    /// A symmetric matrix in no order.
    fn symmetric(n: usize) -> Vec<f64> {
        let values = uneven(n * n);
        let entry =
            |at: usize| f64::from(values[at / n * n + at % n] + values[at % n * n + at / n]);
        (0..n * n).map(entry).collect()
    }

    /// Wrong if a vector is no eigenvector, or they are not orthonormal, or not by falling eigenvalue.
    #[test]
    fn they_are_what_they_are_called() {
        let mut cases: Vec<(usize, Vec<f64>)> =
            [1, 2, 3, 7, 31, 33, 100].into_iter().map(|n| (n, symmetric(n))).collect();
        cases.push((5, vec![0.0; 25]));
        cases.push((4, (0..16).map(|at| f64::from(at % 5 == 0)).collect()));
        // Of rank 1, with a column of zeros.
        let v = [1.0, 2.0, 0.0, -3.0, 0.5, 1e-170];
        cases.push((6, (0..36).map(|at| v[at / 6] * v[at % 6]).collect()));
        // Some numbers are far smaller than others.
        cases.push((3, vec![1e-300, 1e-200, 0.0, 1e-200, 1.0, 1e-9, 0.0, 1e-9, 2.0]));
        for (n, matrix) in cases {
            let (vectors, values) = eigenvectors(matrix.clone(), n).unwrap();
            assert!(values.is_sorted_by(|a, b| a >= b), "{values:?}");
            let size = values.iter().fold(1e-300, |most: f64, value| most.max(value.abs()));
            for (row, value) in vectors.chunks(n).zip(&values) {
                for (at, column) in matrix.chunks(n).enumerate() {
                    let off = dot(column, row) - value * row[at];
                    assert!(off.abs() < 1e-13 * n as f64 * size, "{n}: {off}");
                }
            }
            for (at, one) in vectors.chunks(n).enumerate() {
                for (other_at, other) in vectors.chunks(n).enumerate() {
                    let expected = f64::from(u8::from(at == other_at));
                    assert!((dot(one, other) - expected).abs() < 1e-13 * n as f64);
                }
            }
        }
    }

    #[test]
    fn a_case_by_hand() {
        let (vectors, values) = eigenvectors(vec![2.0, 1.0, 1.0, 2.0], 2).unwrap();
        assert!((values[0] - 3.0).abs() < 1e-15 && (values[1] - 1.0).abs() < 1e-15);
        assert!((vectors[0] - vectors[1]).abs() < 1e-15 && (vectors[2] + vectors[3]).abs() < 1e-15);
    }

    #[test]
    fn what_is_not_finite_has_none_and_threads_change_no_bit() {
        assert!(eigenvectors(vec![1.0, f64::NAN, f64::NAN, 1.0], 2).is_none());
        assert_eq!(eigenvectors(Vec::new(), 0), Some((Vec::new(), Vec::new())));
        let one = in_pool(1, || eigenvectors(symmetric(70), 70));
        assert_eq!(in_pool(3, || eigenvectors(symmetric(70), 70)), one);
    }
}
