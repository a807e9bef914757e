//! Weighted sums of rows, and products of one row with many: what the decoder and every gradient
//! are made of when codes are sparse. One portable source, compiled for each instruction set.

use pulp::Simd;

use super::matrix::PaddedRows;

/// Vectors of a row that are summed at once, in registers.
const MAX_VECTORS: usize = 8;

/// How many vectors each pass over a list takes, so that passes are few and alike.
#[inline(always)]
fn pass_width(vectors: usize) -> usize {
    vectors.div_ceil(vectors.div_ceil(MAX_VECTORS).max(1))
}

/// out = start + Σᵢ weights[i] · rows[of[i]], in this order; `start` is zero if not given.
#[inline(always)]
pub fn weighted_sum<S: Simd>(
    simd: S,
    rows: PaddedRows<'_>,
    of: &[u32],
    weights: &[f32],
    start: Option<&[f32]>,
    out: &mut [f32],
) {
    let vectors = out.len() / S::F32_LANES;
    let width = pass_width(vectors);
    let mut first = 0;
    while first < vectors {
        let count = width.min(vectors - first);
        macro_rules! pass {
            ($($n:literal)*) => {
                match count {
                    $($n => pass::<S, $n>(simd, rows, of, weights, start, out, first),)*
                    _ => unreachable!("a pass takes at most eight vectors"),
                }
            };
        }
        pass!(1 2 3 4 5 6 7 8);
        first += count;
    }
}

/// Two weighted sums of the same rows, each with weights of its own, as [`weighted_sum`] makes them: each row is read
/// once.
#[inline(always)]
pub fn weighted_sums<S: Simd>(
    simd: S,
    rows: PaddedRows<'_>,
    of: &[u32],
    weights: [&[f32]; 2],
    start: &[f32],
    outs: [&mut [f32]; 2],
) {
    let vectors = start.len() / S::F32_LANES;
    // Where vectors are narrow there are half as many registers.
    let most = if S::F32_LANES < 16 { MAX_VECTORS / 2 } else { MAX_VECTORS };
    let width = vectors.div_ceil(vectors.div_ceil(most).max(1));
    let [one, other] = outs;
    let mut first = 0;
    while first < vectors {
        let count = width.min(vectors - first);
        macro_rules! pass {
            ($($n:literal)*) => {
                match count {
                    $($n => {
                        let outs = [&mut *one, &mut *other];
                        pass_of_two::<S, $n>(simd, rows, of, weights, start, outs, first);
                    })*
                    _ => unreachable!("a pass takes at most eight vectors"),
                }
            };
        }
        pass!(1 2 3 4 5 6 7 8);
        first += count;
    }
}

/// `N` vectors of two weighted sums, from the vector `first` on.
#[inline(always)]
fn pass_of_two<S: Simd, const N: usize>(
    simd: S,
    rows: PaddedRows<'_>,
    of: &[u32],
    weights: [&[f32]; 2],
    start: &[f32],
    outs: [&mut [f32]; 2],
    first: usize,
) {
    let (from, to) = (first * S::F32_LANES, (first + N) * S::F32_LANES);
    let start = load::<S, N>(&start[from..to]);
    let (mut ones, mut others) = (start, start);
    for ((row, one), other) in of.iter().zip(weights[0]).zip(weights[1]) {
        let (one, other) = (simd.splat_f32s(*one), simd.splat_f32s(*other));
        let values = load::<S, N>(&rows.row(*row as usize)[from..to]);
        for n in 0..N {
            ones[n] = simd.mul_add_e_f32s(one, values[n], ones[n]);
            others[n] = simd.mul_add_e_f32s(other, values[n], others[n]);
        }
    }
    for (out, sums) in outs.into_iter().zip([ones, others]) {
        S::as_mut_simd_f32s(&mut out[from..to]).0.copy_from_slice(&sums);
    }
}

/// `N` vectors of a weighted sum, from the vector `first` on.
#[inline(always)]
fn pass<S: Simd, const N: usize>(
    simd: S,
    rows: PaddedRows<'_>,
    of: &[u32],
    weights: &[f32],
    start: Option<&[f32]>,
    out: &mut [f32],
    first: usize,
) {
    let (from, to) = (first * S::F32_LANES, (first + N) * S::F32_LANES);
    let mut sums = match start {
        Some(start) => load::<S, N>(&start[from..to]),
        None => [simd.splat_f32s(0.0); N],
    };
    for (row, weight) in of.iter().zip(weights) {
        let weight = simd.splat_f32s(*weight);
        let values = load::<S, N>(&rows.row(*row as usize)[from..to]);
        for n in 0..N {
            sums[n] = simd.mul_add_e_f32s(weight, values[n], sums[n]);
        }
    }
    let (out, _) = S::as_mut_simd_f32s(&mut out[from..to]);
    out.copy_from_slice(&sums);
}

#[inline(always)]
fn load<S: Simd, const N: usize>(values: &[f32]) -> [S::f32s; N] {
    let (vectors, _) = S::as_simd_f32s(values);
    let vectors = &vectors[..N];
    std::array::from_fn(|n| vectors[n])
}

/// out[i] = rows[of[i]] · row.
#[inline(always)]
pub fn dots<S: Simd>(simd: S, rows: PaddedRows<'_>, of: &[u32], row: &[f32], out: &mut [f32]) {
    let mut fours = of.chunks_exact(4);
    let mut outs = out.chunks_exact_mut(4);
    for (four, out) in fours.by_ref().zip(outs.by_ref()) {
        let others: [&[f32]; 4] = std::array::from_fn(|n| rows.row(four[n] as usize));
        out.copy_from_slice(&dot_of::<S, 4>(simd, row, others));
    }
    for (one, out) in fours.remainder().iter().zip(outs.into_remainder()) {
        [*out] = dot_of::<S, 1>(simd, row, [rows.row(*one as usize)]);
    }
}

/// row · row.
#[inline(always)]
pub fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    dot_of::<S, 1>(simd, a, [b])[0]
}

/// The products of one row with `N` others. Four sums each, so that additions do not wait for one
/// another where there is one row alone; two where there are four.
#[inline(always)]
fn dot_of<S: Simd, const N: usize>(simd: S, row: &[f32], others: [&[f32]; N]) -> [f32; N] {
    let (row, _) = S::as_simd_f32s(row);
    let others: [&[S::f32s]; N] = others.map(|other| &S::as_simd_f32s(other).0[..row.len()]);
    let zero = simd.splat_f32s(0.0);
    let (mut even, mut odd) = ([zero; N], [zero; N]);
    let pairs = row.len() / 2;
    for pair in 0..pairs {
        let (at, next) = (2 * pair, 2 * pair + 1);
        for n in 0..N {
            even[n] = simd.mul_add_e_f32s(row[at], others[n][at], even[n]);
            odd[n] = simd.mul_add_e_f32s(row[next], others[n][next], odd[n]);
        }
    }
    if row.len() % 2 == 1 {
        let at = row.len() - 1;
        for n in 0..N {
            even[n] = simd.mul_add_e_f32s(row[at], others[n][at], even[n]);
        }
    }
    std::array::from_fn(|n| simd.reduce_sum_f32s(simd.add_f32s(even[n], odd[n])))
}

#[cfg(test)]
mod tests {
    use pulp::{Simd, WithSimd};
    use rand::RngExt;

    use super::super::matrix::Matrix;
    use super::super::on_every_instruction_set;
    use super::*;
    use crate::random::Streams;

    struct Kernels<'a> {
        rows: PaddedRows<'a>,
        of: &'a [u32],
        weights: &'a [f32],
        start: Option<&'a [f32]>,
    }

    impl WithSimd for Kernels<'_> {
        type Output = (Vec<f32>, Vec<f32>, f32);

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
            let Self { rows, of, weights, start } = self;
            let mut sum = vec![f32::NAN; rows.stride()];
            weighted_sum(simd, rows, of, weights, start, &mut sum);
            if let Some(start) = start {
                let (mut one, mut other) = (vec![f32::NAN; sum.len()], vec![f32::NAN; sum.len()]);
                let twice: Vec<f32> = weights.iter().map(|weight| 2.0 * weight).collect();
                weighted_sums(simd, rows, of, [weights, &twice], start, [&mut one, &mut other]);
                assert_eq!(one, sum);
                weighted_sum(simd, rows, of, &twice, Some(start), &mut one);
                assert_eq!(one, other);
            }
            let mut products = vec![f32::NAN; of.len()];
            dots(simd, rows, of, rows.row(0), &mut products);
            (sum, products, dot(simd, rows.row(0), rows.row(1)))
        }
    }

    fn close(got: f32, right: f64, terms: f64) {
        assert!((f64::from(got) - right).abs() <= 1e-6 * terms, "{got}, not {right}");
    }

    #[test]
    fn sums_and_products_of_rows_are_those_of_plain_loops_on_every_instruction_set() {
        let mut random = Streams::new(8).stream("test");
        for columns in [1, 16, 17, 64, 130, 144, 784] {
            let values: Vec<f32> = (0..5 * columns).map(|_| random.random::<f32>() - 0.5).collect();
            let matrix = Matrix::from_rows(&values, columns);
            let start: Vec<f32> = (0..matrix.stride()).map(|_| random.random()).collect();
            for count in 0..11 {
                let of: Vec<u32> = (0..count).map(|_| random.random_range(0..5)).collect();
                let weights: Vec<f32> = of.iter().map(|_| random.random::<f32>() - 0.5).collect();
                for start in [None, Some(start.as_slice())] {
                    let rows = matrix.first_rows(5);
                    let of = of.as_slice();
                    let kernels = || Kernels { rows, of, weights: &weights, start };
                    let at = |row: u32, column: usize| f64::from(rows.row(row as usize)[column]);
                    on_every_instruction_set(kernels, |(sum, products, product)| {
                        for (column, got) in sum.iter().enumerate() {
                            let first = f64::from(start.map_or(0.0, |start| start[column]));
                            let rest = of.iter().zip(&weights);
                            let rest = rest.map(|(row, w)| f64::from(*w) * at(*row, column));
                            close(*got, first + rest.sum::<f64>(), 10.0);
                        }
                        let dot = |row: u32| -> f64 {
                            (0..columns).map(|column| at(0, column) * at(row, column)).sum()
                        };
                        close(product, dot(1), columns as f64);
                        for (row, got) in of.iter().zip(&products) {
                            close(*got, dot(*row), columns as f64);
                        }
                    });
                }
            }
        }
    }
}
