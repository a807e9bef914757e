//! The mean and the geometric median of rows.
//!
//! Sums are in f64, over blocks of rows of a fixed size that are added up in their order: any number of threads
//! comes to the same bits.

use rayon::prelude::*;

/// Rows summed by one thread.
const ROWS_AT_ONCE: usize = 256;

/// Most steps towards the median.
const MAX_STEPS: usize = 1_000;

/// Where the mean of the unit vectors towards the rows is shorter than this, the median is found: at the median it is
/// 0, as moving any way lengthens the sum of distances.
const MAX_SLOPE: f64 = 1e-6;

/// A step shorter than this share of the mean distance is the last one, and rows nearer than it are where the point is.
const MIN_STEP: f64 = 1e-9;

/// The mean of rows of so many numbers.
pub(super) fn mean(rows: &[f32], numbers: usize) -> Vec<f64> {
    let sums = sum_over_blocks(rows, numbers, numbers, |row, sums| {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
    });
    let count = (rows.len() / numbers) as f64;
    sums.iter().map(|sum| sum / count).collect()
}

/// The point with the least sum of distances to rows of so many numbers, by Weiszfeld's steps from the mean; a point
/// that stands on rows moves as Vardi and Zhang 2000 say. Ends where the mean of the unit vectors towards the rows is
/// shorter than 1e-6 or a step shorter than 1e-9 of the mean distance, at the latest after 1,000 steps.
pub(super) fn geometric_median(rows: &[f32], numbers: usize) -> Vec<f64> {
    let count = (rows.len() / numbers) as f64;
    let mut point = mean(rows, numbers);
    let mut mean_distance = 0.0;
    for _ in 0..MAX_STEPS {
        let near = MIN_STEP * mean_distance;
        // Σ (row − point) / distance, Σ 1 / distance, Σ distance, and how many rows are where the point is.
        let sums = sum_over_blocks(rows, numbers, numbers + 3, |row, sums| {
            let away = |(value, point): (&f32, &f64)| f64::from(*value) - point;
            let square: f64 = row.iter().zip(&point).map(|pair| away(pair).powi(2)).sum();
            let distance = square.sqrt();
            let (pull, rest) = sums.split_at_mut(numbers);
            rest[1] += distance;
            if distance > near {
                let pairs = row.iter().zip(&point);
                pull.iter_mut().zip(pairs).for_each(|(pull, pair)| *pull += away(pair) / distance);
                rest[0] += 1.0 / distance;
            } else {
                rest[2] += 1.0;
            }
        });
        let (pull, rest) = sums.split_at(numbers);
        let [weight, distance, here] = [rest[0], rest[1], rest[2]];
        mean_distance = distance / count;
        let length = pull.iter().map(|pull| pull * pull).sum::<f64>().sqrt();
        // Rows where the point is hold it back with a force of 1 each.
        let free = length - here;
        if free <= MAX_SLOPE * count {
            break;
        }
        let step = free / length / weight;
        point.iter_mut().zip(pull).for_each(|(point, pull)| *point += step * pull);
        if step * length <= MIN_STEP * mean_distance {
            break;
        }
    }
    point
}

/// Adds up `add` over all rows, in so many sums.
fn sum_over_blocks(
    rows: &[f32],
    numbers: usize,
    sums: usize,
    add: impl Fn(&[f32], &mut [f64]) + Sync,
) -> Vec<f64> {
    let of_block = |block: &[f32]| {
        let mut of_block = vec![0.0; sums];
        block.chunks_exact(numbers).for_each(|row| add(row, &mut of_block));
        of_block
    };
    let blocks: Vec<Vec<f64>> = rows.par_chunks(ROWS_AT_ONCE * numbers).map(of_block).collect();
    let mut all = vec![0.0; sums];
    for of_block in blocks {
        all.iter_mut().zip(of_block).for_each(|(all, sum)| *all += sum);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distances(rows: &[f32], point: &[f64]) -> f64 {
        let distance = |row: &[f32]| {
            let square = row.iter().zip(point).map(|(value, at)| (f64::from(*value) - at).powi(2));
            square.sum::<f64>().sqrt()
        };
        rows.chunks(point.len()).map(distance).sum()
    }

    /// Wrong if it were the mean, or the median of each number by itself, which is (0, 0): in a triangle the point
    /// sees every side at 120°, here from √(1/3) above the base between (−1, 0) and (1, 0).
    #[test]
    fn three_points_have_the_point_that_sees_them_at_equal_angles() {
        let rows = [-1.0, 0.0, 1.0, 0.0, 0.0, 5.0];
        let found = geometric_median(&rows, 2);
        assert!(
            found[0].abs() < 1e-9 && (found[1] - (1.0_f64 / 3.0).sqrt()).abs() < 1e-5,
            "{found:?}"
        );
        let mean = mean(&rows, 2);
        assert!(mean[0].abs() < 1e-12 && (mean[1] - 5.0 / 3.0).abs() < 1e-12, "{mean:?}");
    }

    /// Wrong if a point that stands on a row were a division by 0, or stayed there though it is not the median: both
    /// means are rows.
    #[test]
    fn a_median_on_a_row_is_found_and_a_mean_on_a_row_is_left() {
        // Two of three rows are one: it is the median.
        let found = geometric_median(&[0.0, 0.0, 0.0, 0.0, 9.0, 3.0], 2);
        assert!(found.iter().all(|value| value.abs() < 1e-6), "{found:?}");
        // The mean is the row (0, 0), which is not the median: the others pull it to the right.
        let rows = [0.0, 0.0, -3.0, 0.0, 1.0, 0.5, 1.0, -0.5, 1.0, 0.0];
        let found = geometric_median(&rows, 2);
        let best = distances(&rows, &found);
        for (x, y) in [(0.0, 0.0), (1.0, 0.0), (0.9, 0.0), (1.0, 0.01), (0.5, 0.0)] {
            assert!(best <= distances(&rows, &[x, y]) + 1e-6, "{found:?} {x} {y}");
        }
        // All rows are one, and rows in which nothing varies.
        assert_eq!(geometric_median(&[2.0, 3.0, 2.0, 3.0], 2), [2.0, 3.0]);
        assert_eq!(geometric_median(&[7.0], 1), [7.0]);
    }

    /// Wrong if an outlier moved the median as it moves the mean, or threads or the order of their work moved a bit.
    #[test]
    fn outliers_move_it_little_and_threads_not_at_all() {
        let mut rows: Vec<f32> =
            (0..3_000).map(|at| ((at * 7919) % 1000) as f32 / 1000.0 - 0.5).collect();
        let without = geometric_median(&rows, 3);
        rows.extend([1e6, 1e6, 1e6]);
        let with = geometric_median(&rows, 3);
        assert!(
            without.iter().zip(&with).all(|(a, b)| (a - b).abs() < 0.01),
            "{without:?} {with:?}"
        );
        assert!(mean(&rows, 3)[0] > 900.0);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let again = pool.install(|| geometric_median(&rows, 3));
            assert!(again.iter().zip(&with).all(|(a, b)| a.to_bits() == b.to_bits()));
        }
    }
}
