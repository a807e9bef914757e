//! The largest of some values, in definitions.

use framework::model::Real;

/// 1 where a value is among the `k` of its row of which `key` is largest, 0 elsewhere; the lowest index wins a tie.
pub fn largest_of_rows<E: Real>(
    values: &[E],
    columns: usize,
    k: usize,
    key: impl Fn(f64) -> f64,
) -> Vec<E> {
    let mut mask = vec![E::of(0.0); values.len()];
    let mut order: Vec<usize> = Vec::with_capacity(columns);
    for (row, mask) in values.chunks_exact(columns).zip(mask.chunks_exact_mut(columns)) {
        order.clear();
        order.extend(0..columns);
        if k < columns {
            // Adding 0 makes -0 and 0 a tie; total_cmp is an order even if training diverged to NaN.
            let value = |at: usize| key(row[at].f64()) + 0.0;
            order.select_nth_unstable_by(k, |a, b| value(*b).total_cmp(&value(*a)).then(a.cmp(b)));
        }
        order[..k.min(columns)].iter().for_each(|at| mask[*at] = E::of(1.0));
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_value<E: Real>(values: &[E], columns: usize, k: usize) -> Vec<E> {
        largest_of_rows(values, columns, k, |value| value)
    }

    #[test]
    fn the_largest_by_signed_value_are_kept_and_the_lowest_index_wins_ties() {
        let row = [-3.0, 2.0, 0.5, 2.0, 2.0, -0.0];
        assert_eq!(by_value(&row, 6, 2), [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
        assert_eq!(by_value(&row, 6, 4), [0.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
        assert_eq!(by_value(&[0.0, -0.0, 0.0_f32], 3, 1), [1.0, 0.0, 0.0]);
        assert_eq!(by_value(&[-0.0, 0.0_f32, 0.0], 3, 1), [1.0, 0.0, 0.0]);
    }

    #[test]
    fn all_are_kept_when_k_is_the_number_of_latents_and_nan_does_no_harm() {
        assert_eq!(by_value(&[-1.0, 0.0, 3.0], 3, 3), [1.0, 1.0, 1.0]);
        assert_eq!(by_value(&[f64::NAN, 1.0, f64::NAN, 2.0], 4, 2).iter().sum::<f64>(), 2.0);
    }

    /// Wrong if a sign decided, or broke a tie.
    #[test]
    fn the_largest_by_size_are_kept_whatever_their_sign() {
        let by_size = |row: &[f64], k| largest_of_rows(row, row.len(), k, f64::abs);
        assert_eq!(by_size(&[-3.0, 2.0, 0.5, -2.0, 2.0], 2), [1.0, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!(by_size(&[1.0, -2.0, 2.0, 0.0], 1), [0.0, 1.0, 0.0, 0.0]);
    }
}
