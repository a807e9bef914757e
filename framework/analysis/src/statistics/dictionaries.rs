//! Similarity of two dictionaries: measures whether two runs found the same features.
//!
//! Rows of one are paired one to one with rows of the other, so that the sum of |cos| is greatest. The
//! measure is the mean of |cos| over the pairs; rows left over, if one dictionary is larger, count 0. It is
//! 1 for the same directions in any order, length and sign. It is 0 if every row is orthogonal to all rows
//! of the other. Chance is not 0: among many rows in few dimensions, some are close to any given row. The
//! sign does not count, because a code that may be negative prefers no sign.
//!
//! Sources: the mean of the best pairing is the MCC of synthetic evaluations (SAELens) and the stability of
//! Fel et al. 2025, arXiv:2502.12892, whose cosine is signed. Without the one-to-one pairing it is the MMCS
//! of Sharkey et al. 2022, where one row can serve many times.
//!
//! The row of a latent that is never active is still its initial value, so callers leave it out.

use pathfinding::prelude::{Matrix, kuhn_munkres};
use rayon::prelude::*;

/// Maximum number of rows for which the best pairing is computed. It takes a second for random rows, and
/// more if many rows are alike; time grows with the cube. Larger dictionaries are paired greedily: 8,192
/// rows of 768 numbers take 20 s.
pub const EXACT: usize = 2048;

/// Number of candidates for greedy pairs: of each row, so many of the nearest rows of the other dictionary.
pub(super) const CANDIDATES: usize = 64;

/// Way of pairing rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    /// The best of all pairings (Kuhn 1955, Munkres 1957).
    Best,
    /// The nearest two unpaired rows, repeatedly: at most as good as the best pairing.
    Greedy,
}

impl Pairing {
    /// Returns its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Best => "best",
            Self::Greedy => "greedy",
        }
    }

    /// Returns the pairing to use for dictionaries of so many rows.
    pub const fn of(rows: usize, others: usize) -> Self {
        let more = if rows > others { rows } else { others };
        if more <= EXACT { Self::Best } else { Self::Greedy }
    }
}

/// Rows of two dictionaries, paired.
#[derive(Clone, Debug, PartialEq)]
pub struct MatchedRows {
    /// A row of the one dictionary, a row of the other and their |cos|, greatest first; equal ones by the rows.
    pub pairs: Vec<(usize, usize, f64)>,
    /// Number of rows of the larger dictionary.
    pub rows: usize,
}

impl MatchedRows {
    /// Returns the mean |cos|; rows left over count 0.
    pub fn mean(&self) -> f64 {
        self.pairs.iter().map(|(.., cosine)| cosine).sum::<f64>() / self.rows as f64
    }

    /// Returns the share of rows, of the larger dictionary, that have a partner with |cos| above `least`.
    pub fn share_above(&self, least: f64) -> f64 {
        self.pairs.iter().filter(|(.., cosine)| *cosine > least).count() as f64 / self.rows as f64
    }
}

/// Pairs the rows of two dictionaries, [rows, inputs] each; `None` if one has no row.
///
/// # Panics
/// If the length of a dictionary is no multiple of `inputs`.
pub fn match_rows(
    one: &[f32],
    other: &[f32],
    inputs: usize,
    pairing: Pairing,
) -> Option<MatchedRows> {
    let is_whole = |rows: &[f32]| inputs > 0 && rows.len().is_multiple_of(inputs);
    assert!(is_whole(one) && is_whole(other), "match_rows: rows of {inputs} numbers");
    if one.is_empty() || other.is_empty() {
        return None;
    }
    // The pairing needs every row of its matrix paired, so the smaller dictionary gives the rows.
    let is_in_order = one.len() <= other.len();
    let (few, many) = if is_in_order { (one, other) } else { (other, one) };
    let (few, many) = (directions(few, inputs), directions(many, inputs));
    let mut pairs = match pairing {
        Pairing::Best => best(&few, &many, inputs),
        Pairing::Greedy => greedy(&few, &many, inputs),
    };
    if !is_in_order {
        pairs.iter_mut().for_each(|(few, many, _)| std::mem::swap(few, many));
    }
    pairs.sort_by(|a, b| b.2.total_cmp(&a.2).then((a.0, a.1).cmp(&(b.0, b.1))));
    Some(MatchedRows { pairs, rows: many.len() / inputs })
}

/// Scales each row to norm 1; rows of zeros stay zero.
pub fn directions(rows: &[f32], inputs: usize) -> Vec<f32> {
    let direction = |row: &[f32]| -> Vec<f32> {
        let norm = row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        let scale = if norm > 0.0 { 1.0 / norm } else { 0.0 };
        row.iter().map(|value| (f64::from(*value) * scale) as f32).collect()
    };
    rows.chunks_exact(inputs).flat_map(direction).collect()
}

/// Returns the product of two rows; for rows of norm 1 that is their cosine. Sums in f64 and always in the
/// same order, one that vector instructions can use.
pub fn product(one: &[f32], other: &[f32]) -> f64 {
    /// Number of partial sums, one a vector lane.
    const LANES: usize = 16;
    let mut sums = [0.0_f64; LANES];
    let (ones, others) = (one.chunks_exact(LANES), other.chunks_exact(LANES));
    let rest = ones.remainder().iter().zip(others.remainder());
    let rest: f64 = rest.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    for (ones, others) in ones.zip(others) {
        for (sum, (a, b)) in sums.iter_mut().zip(ones.iter().zip(others)) {
            *sum += f64::from(*a) * f64::from(*b);
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// Returns the pairs with the greatest sum of |cos| of all one-to-one pairings.
fn best(few: &[f32], many: &[f32], inputs: usize) -> Vec<(usize, usize, f64)> {
    let cosines: Vec<f64> = few
        .par_chunks_exact(inputs)
        .flat_map_iter(|row| many.chunks_exact(inputs).map(|other| product(row, other).abs()))
        .collect();
    let (rows, columns) = (few.len() / inputs, many.len() / inputs);
    let cosine = |(row, column): (usize, usize)| cosines[row * columns + column];
    // Sums of whole numbers are exact, so the algorithm ends and always finds the same pairing.
    let whole = |at| (cosine(at) * (1_u64 << 40) as f64).round() as i64;
    let (_, pairs) = kuhn_munkres(&Matrix::from_fn(rows, columns, whole));
    pairs.into_iter().enumerate().map(|at| (at.0, at.1, cosine(at))).collect()
}

/// Returns greedy pairs.
fn greedy(few: &[f32], many: &[f32], inputs: usize) -> Vec<(usize, usize, f64)> {
    let columns = many.len() / inputs;
    let nearest = |(row, values): (usize, &[f32])| {
        let cosine = |(column, other)| (product(values, other).abs(), row, column);
        let mut all: Vec<(f64, usize, usize)> =
            many.chunks_exact(inputs).enumerate().map(cosine).collect();
        if all.len() > CANDIDATES {
            all.select_nth_unstable_by(CANDIDATES - 1, nearer);
            all.truncate(CANDIDATES);
        }
        all
    };
    let mut candidates: Vec<(f64, usize, usize)> =
        few.par_chunks_exact(inputs).enumerate().flat_map_iter(nearest).collect();
    candidates.par_sort_unstable_by(nearer);
    let mut is_paired = (vec![false; few.len() / inputs], vec![false; columns]);
    let mut pairs = Vec::new();
    for (cosine, row, column) in candidates {
        if !is_paired.0[row] && !is_paired.1[column] {
            (is_paired.0[row], is_paired.1[column]) = (true, true);
            pairs.push((row, column, cosine));
        }
    }
    pairs
}

/// Orders pairs by cosine, greatest first; equal cosines by the lower indices.
fn nearer(a: &(f64, usize, usize), b: &(f64, usize, usize)) -> std::cmp::Ordering {
    b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2)))
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const BOTH: [Pairing; 2] = [Pairing::Best, Pairing::Greedy];

    fn matched_cosine(one: &[f32], other: &[f32], inputs: usize, pairing: Pairing) -> Option<f64> {
        match_rows(one, other, inputs, pairing).map(|found| found.mean())
    }

    #[track_caller]
    fn is(one: &[f32], other: &[f32], inputs: usize, want: f64) {
        for pairing in BOTH {
            for (one, other) in [(one, other), (other, one)] {
                let found = matched_cosine(one, other, inputs, pairing).unwrap();
                assert!((found - want).abs() < 1e-6, "{pairing:?}: {found}, expected {want}");
            }
        }
    }

    fn random(rows: usize, inputs: usize, seed: u64) -> Vec<f32> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        (0..rows * inputs).map(|_| random.random_range(-1.0..1.0)).collect()
    }

    #[test]
    fn the_same_directions_in_any_order_length_and_sign_are_the_same() {
        let rows = [1.0, 2.0, 0.0, -1.0, 3.0, 0.5];
        is(&rows, &rows, 2, 1.0);
        is(&rows, &[3.0, 0.5, 1.0, 2.0, 0.0, -1.0], 2, 1.0);
        is(&rows, &[6.0, 1.0, -1.0, -2.0, 0.0, 0.2], 2, 1.0);
    }

    #[test]
    fn a_product_takes_every_number_in() {
        for length in [0, 1, 15, 16, 17, 40] {
            let one: Vec<f32> = (0..length).map(|at| at as f32).collect();
            let want: usize = (0..length).map(|at| at * at).sum();
            assert_eq!(product(&one, &one), want as f64, "{length} numbers");
        }
    }

    #[test]
    fn orthogonal_rows_and_rows_of_length_0_have_nothing_in_common() {
        is(&[1.0, 0.0, 0.0, 0.0, 1.0, 0.0], &[0.0, 0.0, 5.0, 0.0, 0.0, -1.0], 3, 0.0);
        is(&[0.0, 0.0], &[1.0, 0.0], 2, 0.0);
    }

    #[test]
    fn a_row_that_is_left_over_counts_0_and_a_copy_serves_once() {
        is(&[1.0, 0.0], &[1.0, 0.0, 0.0, 1.0], 2, 0.5);
        is(&[1.0, 0.0, 1.0, 0.0], &[1.0, 0.0, 0.0, 1.0], 2, 0.5);
        for pairing in BOTH {
            assert_eq!(matched_cosine(&[], &[1.0, 0.0], 2, pairing), None);
        }
    }

    /// Wrong if the rows of the two dictionaries were swapped where the first one is larger, if pairs were not in
    /// order, or if rows left over were no part of the share.
    #[test]
    fn pairs_name_the_rows_of_each_dictionary() {
        let (three, two) = ([1.0, 0.0, 0.0, 1.0, 3.0, 4.0], [0.0, 2.0, 3.0, 4.1]);
        for pairing in BOTH {
            let found = match_rows(&three, &two, 2, pairing).unwrap();
            let rows: Vec<(usize, usize)> = found.pairs.iter().map(|(a, b, _)| (*a, *b)).collect();
            assert_eq!((&rows[..], found.rows), (&[(1, 0), (2, 1)][..], 3));
            let back = match_rows(&two, &three, 2, pairing).unwrap();
            let rows: Vec<(usize, usize)> = back.pairs.iter().map(|(a, b, _)| (*a, *b)).collect();
            assert_eq!(rows, [(0, 1), (1, 2)]);
            assert_eq!(found.share_above(0.7), 2.0 / 3.0);
            assert_eq!(found.share_above(1.0), 0.0);
        }
    }

    /// Pairing the nearest two (10 degrees) leaves two at 90; the best pairing has 40 and 40 degrees.
    #[test]
    fn the_best_pairing_is_not_the_greedy_one() {
        let at = |degrees: f64| {
            let angle = degrees.to_radians();
            [angle.cos() as f32, angle.sin() as f32]
        };
        let (one, other) = ([at(0.0), at(50.0)].concat(), [at(40.0), at(90.0)].concat());
        let cos = |degrees: f64| degrees.to_radians().cos();
        let best = matched_cosine(&one, &other, 2, Pairing::Best).unwrap();
        assert!((best - cos(40.0)).abs() < 1e-6, "{best}");
        let greedy = matched_cosine(&one, &other, 2, Pairing::Greedy).unwrap();
        assert!((greedy - cos(10.0) / 2.0).abs() < 1e-6, "{greedy}");
    }

    /// Wrong if greedy pairs are better than the best, are not one to one, or are less than half as good,
    /// which is impossible if all pairs are candidates.
    #[test]
    fn greedy_pairs_of_random_dictionaries_are_nearly_as_good() {
        for seed in 0..20 {
            let (one, other) = (random(40, 6, seed), random(30, 6, seed + 100));
            let [best, greedy] =
                BOTH.map(|pairing| matched_cosine(&one, &other, 6, pairing).unwrap());
            assert!(greedy <= best + 1e-9 && greedy > 0.8 * best, "seed {seed}: {greedy}, {best}");
        }
    }

    #[test]
    fn the_pairing_is_the_best_of_all() {
        for seed in 0..10 {
            let (one, other) = (random(3, 4, seed), random(3, 4, seed + 50));
            let (a, b) = (directions(&one, 4), directions(&other, 4));
            let cos = |row: usize, at: usize| {
                product(&a[4 * row..4 * row + 4], &b[4 * at..4 * at + 4]).abs()
            };
            let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
            let sums = orders.map(|order| (0..3).map(|row| cos(row, order[row])).sum::<f64>());
            let want = sums.into_iter().fold(0.0, f64::max) / 3.0;
            let found = matched_cosine(&one, &other, 4, Pairing::Best).unwrap();
            assert!((found - want).abs() < 1e-9, "seed {seed}: {found}, expected {want}");
        }
    }
}
