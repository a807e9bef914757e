//! Keeping the largest values of a whole batch: how many they are, and the threshold that follows the least of them.
//! Every engine counts and follows here, so that all do the same.

/// Share of the newest value in the running mean.
const RATE: f64 = 0.01;

/// Returns how many values of a batch are kept: ⌊k · samples⌋.
pub fn kept_of_batch(k: f64, samples: usize) -> usize {
    // The small number keeps a product like 1.1 · 30 from losing its last latent to rounding.
    (k * samples as f64 + 1e-9).floor() as usize
}

/// Moves the running mean of the least value above 0 that each training batch keeps. It starts at the first one, as
/// 0 says that there was none yet; a batch without such a value leaves it alone.
pub fn follow_threshold(threshold: &mut f64, least: Option<f64>) {
    match least.filter(|least| *least > 0.0) {
        Some(least) if *threshold == 0.0 => *threshold = least,
        Some(least) => *threshold += RATE * (least - *threshold),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if the mean started at 0, or a batch of zeros pulled it down.
    #[test]
    fn the_threshold_starts_at_the_first_value_and_zeros_leave_it_alone() {
        let mut threshold = 0.0;
        for least in [None, Some(0.0), Some(f64::NAN)] {
            follow_threshold(&mut threshold, least);
            assert_eq!(threshold, 0.0);
        }
        follow_threshold(&mut threshold, Some(2.0));
        assert_eq!(threshold, 2.0);
        follow_threshold(&mut threshold, None);
        follow_threshold(&mut threshold, Some(0.0));
        assert_eq!(threshold, 2.0);
        follow_threshold(&mut threshold, Some(1.0));
        assert_eq!(threshold, 1.99);
    }

    /// Wrong if a fraction were rounded before it is multiplied, or 1.1 · 30 were 32.
    #[test]
    fn a_batch_keeps_its_share_rounded_down() {
        assert_eq!(kept_of_batch(1.1, 30), 33);
        assert_eq!(kept_of_batch(2.5, 3), 7);
        assert_eq!(kept_of_batch(0.3, 3), 0);
    }
}
