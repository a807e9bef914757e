//! Chance level of matched dictionaries: what directions drawn at random come to.
//!
//! Both dictionaries are directions of isotropic normal vectors, as many as the compared ones have live rows, in as
//! many dimensions, and paired in the same way. The seed is fixed, so the level is a function of the sizes alone.

use std::collections::HashMap;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use statrs::distribution::{Beta, ContinuousCDF};

use super::dictionaries::{CANDIDATES, Pairing, match_rows};

/// Number of rows to draw in all, at least: few rows are drawn several times and averaged.
const DRAWN: usize = 1024;

/// Largest number of rows for which directions are drawn for every pair of sizes: it takes some milliseconds.
const SMALL: usize = 256;

/// Number of steps in which greedy pairs are counted, for each doubling of the share of cosines that are greater.
const STEPS: usize = 64;

/// Levels that are known, by their sizes.
#[derive(Default)]
pub struct ChanceLevels {
    known: HashMap<(usize, usize, usize), f64>,
}

impl ChanceLevels {
    /// Returns the mean |cos| of paired random directions: `live` of each dictionary, in `inputs` dimensions. `None`
    /// if one has no row.
    ///
    /// Up to [`EXACT`](super::dictionaries::EXACT) rows, directions are drawn and paired. Beyond [`SMALL`] rows, their
    /// numbers are rounded, so that pairs of runs that differ by few live latents share a draw, which takes seconds;
    /// rows left over count as they are. Greedy pairs, of more rows, are counted without a draw: see [`greedy`].
    pub fn level(&mut self, live: [usize; 2], inputs: usize, pairing: Pairing) -> Option<f64> {
        let (few, many) = (live[0].min(live[1]), live[0].max(live[1]));
        if few == 0 || inputs == 0 {
            return None;
        }
        let of_paired = match pairing {
            Pairing::Greedy => greedy(few, many, inputs),
            Pairing::Best => {
                let rounded = if many > SMALL { shared(few, many) } else { [few, many] };
                let key = (rounded[0], rounded[1], inputs);
                *self.known.entry(key).or_insert_with(|| drawn(rounded, inputs, pairing))
            }
        };
        Some(of_paired * few as f64 / many as f64)
    }
}

/// Rounds the number of rows of the smaller dictionary to two digits, and how many times as many the other has to
/// 1/50. With twice the rows the level grows by 6 % (784 inputs), so rounding moves it by less than 1 %.
fn shared(few: usize, many: usize) -> [usize; 2] {
    const STEP: f64 = 50.0;
    let unit = 10_usize.pow(few.checked_ilog10().unwrap_or(0).saturating_sub(1));
    let rounded = (few + unit / 2) / unit * unit;
    let ratio = (many as f64 / few as f64 * STEP).round() / STEP;
    [rounded, ((rounded as f64 * ratio).round() as usize).max(rounded)]
}

/// Draws directions and pairs them. Returns the mean |cos| of those that are paired.
fn drawn([few, many]: [usize; 2], inputs: usize, pairing: Pairing) -> f64 {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let mut rows = |count: usize| -> Vec<f32> {
        (0..count * inputs).map(|_| StandardNormal.sample(&mut random)).collect()
    };
    let times = DRAWN.div_ceil(few);
    let mean = |_| {
        let found = match_rows(&rows(few), &rows(many), inputs, pairing);
        found.map_or(0.0, |found| found.mean() * many as f64 / few as f64)
    };
    (0..times).map(mean).sum::<f64>() / times as f64
}

/// Returns the mean |cos| of greedy pairs of `few` and `many` random directions, rows without a partner among their
/// candidates counting 0.
///
/// Each |cos| is above c with a probability x that is known: cos² has the beta distribution of 1/2 and
/// (inputs − 1)/2. Any two of the cosines are independent, and are taken to be so all together, which is near the
/// truth for many directions in many dimensions. Where m pairs are made of all cosines above c, the next one makes a
/// pair if both its rows are free: dm/dx = (few − m)(many − m), which has a closed form. Each row knows only its
/// nearest [`CANDIDATES`], so x ends there. Of 8,192 by 8,192 directions in 768 dimensions this says 0.1359 in 25 ms,
/// and a draw 0.1360 in 43 s.
fn greedy(few: usize, many: usize, inputs: usize) -> f64 {
    let (rows, others) = (few as f64, many as f64);
    let Ok(square) = Beta::new((inputs.max(2) - 1) as f64 / 2.0, 0.5) else { return 1.0 };
    if inputs == 1 {
        return 1.0;
    }
    let last = (CANDIDATES as f64 / others).min(1.0);
    // Number of pairs of which both rows are free no longer, at a share x of cosines that are greater.
    let paired = |x: f64| {
        let more = others - rows;
        // (e^(more x) − 1) / more; its limit for equal numbers is x.
        let grown = if more * x > 1e-9 { (more * x).exp_m1() / more } else { x };
        rows * others * grown / (1.0 + others * grown)
    };
    // From a share that no pair has, in equal ratios.
    let first = 1e-3 / (rows * others);
    let count = ((last / first).log2() * STEPS as f64).ceil().max(1.0) as usize;
    let share = |at: usize| first * (last / first).powf(at as f64 / count as f64);
    let cosine = |x: f64| (1.0 - square.inverse_cdf(x)).max(0.0).sqrt();
    let mut sum = paired(first) * cosine(first);
    for at in 0..count {
        let (from, to) = (share(at), share(at + 1));
        sum += (paired(to) - paired(from)) * cosine((from * to).sqrt());
    }
    sum / rows
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if the level were not that of a draw, which takes long for as many rows as are paired greedily.
    #[test]
    fn greedy_levels_are_those_of_drawn_directions() {
        for (few, many, inputs) in [(300, 300, 24), (200, 400, 64), (500, 500, 200), (300, 310, 8)]
        {
            let drawn = drawn([few, many], inputs, Pairing::Greedy);
            let counted = greedy(few, many, inputs);
            assert!(
                (counted / drawn - 1.0).abs() < 0.02,
                "{few} {many} {inputs}: {counted} {drawn}"
            );
        }
    }

    /// Wrong if rows left over were forgotten, or rounding moved the level.
    #[test]
    fn levels_follow_the_sizes() {
        let mut levels = ChanceLevels::default();
        let mut of =
            |one, other, inputs| levels.level([one, other], inputs, Pairing::Best).unwrap();
        assert!((of(5, 5, 1) - 1.0).abs() < 1e-9, "there is one direction");
        assert_eq!(of(30, 60, 8), of(60, 30, 8));
        assert!(of(30, 60, 8) < 0.6 && of(60, 60, 8) > 0.6, "rows left over count 0");
        assert!(of(100, 100, 64) < of(100, 100, 16), "the more dimensions, the less");
        assert!((of(1003, 1004, 4) - of(998, 999, 4)).abs() < 0.01);
        // The mean |cos| of two directions in a plane is 2/π.
        assert!((of(1, 1, 2) - std::f64::consts::FRAC_2_PI).abs() < 0.03);
        assert_eq!(ChanceLevels::default().level([0, 3], 8, Pairing::Best), None);
    }

    /// Wrong if nearby sizes shared no draw, or a shared draw were that of other sizes.
    #[test]
    fn large_dictionaries_of_nearly_one_size_share_a_draw() {
        let sizes = [(987, 991), (991, 994), (1012, 1015), (900, 1100), (1049, 1051), (3, 2000)];
        let shared = sizes.map(|(few, many)| shared(few, many));
        assert_eq!(shared[..3], [[990, 990], [990, 990], [1000, 1000]]);
        assert_eq!(shared[3..], [[900, 1098], [1000, 1000], [3, 2000]]);
        let mut levels = ChanceLevels::default();
        for (few, many) in [(254, 268), (249, 271)] {
            let level = levels.level([few, many], 24, Pairing::Best).unwrap();
            let exact = drawn([few, many], 24, Pairing::Best) * few as f64 / many as f64;
            assert!((level / exact - 1.0).abs() < 0.01, "{few} {many}: {level} {exact}");
        }
    }
}
