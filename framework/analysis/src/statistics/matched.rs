//! Comparison of methods at the same L0.
//!
//! Each seed of a method has its own front, and the value at an L0 is read from it. Two methods are
//! compared by their differences on the seeds that both have, with the paired t test. All pairs at all
//! requested L0 are one family of tests: Holm's correction keeps the chance of calling any false difference
//! at the level of one test.

use std::collections::BTreeSet;

use super::front::{self, FrontPoint};
use super::interval::{Interval, holm};
use super::{Better, Method};

/// Level of the test: a difference with a probability below this is called.
pub const LEVEL: f64 = 0.05;

/// Value of a method at an L0.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Index of the method.
    pub method: usize,
    /// L0 at which it is read, or the number of latents that stands in its place.
    pub at: f64,
    /// Seeds that reach this L0, each with its value of the metric.
    pub seeds: Vec<(u64, f64)>,
}

impl Reading {
    /// Returns the interval over the seeds; `None` if no seed reaches this L0.
    pub fn interval(&self) -> Option<Interval> {
        Interval::of(&self.seeds.iter().map(|(_, value)| *value).collect::<Vec<_>>())
    }
}

/// Two methods at an L0.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodPair {
    /// Indices of the two methods.
    pub methods: [usize; 2],
    /// L0 at which they are compared, or the number of latents that stands in its place.
    pub at: f64,
    /// First method minus second, over the seeds that both have; `None` if they share none.
    pub difference: Option<Interval>,
    /// Probability of such a difference by chance, after Holm's correction; `None` with fewer than two
    /// seeds.
    pub probability: Option<f64>,
    /// Index of the better method, if the difference is called.
    pub winner: Option<usize>,
}

/// Reads the value of every method at an L0.
pub fn readings(methods: &[Method], l0: f64, better: Better) -> Vec<Reading> {
    let reading = |(method, of): (usize, &Method)| {
        let outcomes = || of.settings.iter().flatten();
        let seeds: BTreeSet<u64> = outcomes().map(|outcome| outcome.seed).collect();
        let value = |seed: u64| {
            let own = outcomes().filter(|outcome| outcome.seed == seed);
            let points: Vec<FrontPoint> =
                own.map(|outcome| FrontPoint { l0: outcome.l0, value: outcome.value }).collect();
            let front: Vec<FrontPoint> =
                front::front(&points, better).into_iter().map(|at| points[at]).collect();
            Some((seed, front::at(&front, l0)?))
        };
        Reading { method, at: l0, seeds: seeds.into_iter().filter_map(value).collect() }
    };
    methods.iter().enumerate().map(reading).collect()
}

/// Compares every pair of methods that `are_comparable` allows, at every L0.
pub fn pairs(
    readings: &[Reading],
    better: Better,
    are_comparable: impl Fn(usize, usize) -> bool,
) -> Vec<MethodPair> {
    let mut pairs = Vec::new();
    for (place, one) in readings.iter().enumerate() {
        for other in &readings[place + 1..] {
            let is_pair = one.at == other.at && one.method != other.method;
            if is_pair && are_comparable(one.method, other.method) {
                pairs.push(pair(one, other));
            }
        }
    }
    let tested: Vec<usize> =
        (0..pairs.len()).filter(|at| pairs[*at].probability.is_some()).collect();
    let alone: Vec<f64> = tested.iter().filter_map(|at| pairs[*at].probability).collect();
    for (at, probability) in tested.into_iter().zip(holm(&alone)) {
        let pair = &mut pairs[at];
        pair.probability = Some(probability);
        let difference = pair.difference.map_or(0.0, |difference| better.cost(difference.mean));
        if probability < LEVEL && difference != 0.0 {
            pair.winner = Some(pair.methods[usize::from(difference > 0.0)]);
        }
    }
    pairs
}

/// Compares two methods at the L0 of both; the correction and the winner come later.
fn pair(one: &Reading, other: &Reading) -> MethodPair {
    let difference = |(seed, value): &(u64, f64)| {
        let same = other.seeds.iter().find(|(known, _)| known == seed);
        same.map(|(_, other)| value - other)
    };
    let differences: Vec<f64> = one.seeds.iter().filter_map(difference).collect();
    let difference = Interval::of(&differences);
    MethodPair {
        methods: [one.method, other.method],
        at: one.at,
        difference,
        probability: difference.and_then(|difference| difference.probability_of_none()),
        winner: None,
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;
    use crate::statistics::SeedOutcome;

    /// Makes a method whose value at L0 10 and 40 is `low` and `high`, one value a seed.
    fn method(name: &str, low: &[f64], high: &[f64]) -> Method {
        let setting = |l0: f64, values: &[f64]| {
            let outcome =
                |(seed, value): (usize, &f64)| SeedOutcome { seed: seed as u64, l0, value: *value };
            values.iter().enumerate().map(outcome).collect()
        };
        Method { name: name.into(), settings: vec![setting(10.0, low), setting(40.0, high)] }
    }

    fn compare(methods: &[Method], at: &[f64]) -> Vec<MethodPair> {
        let all: Vec<Reading> =
            at.iter().flat_map(|l0| readings(methods, *l0, Better::Lower)).collect();
        pairs(&all, Better::Lower, |_, _| true)
    }

    #[test]
    fn differences_are_between_the_same_seeds_at_the_same_l0() {
        // Values differ far more between seeds than between methods: only pairs show the difference.
        let one = method("one", &[1.0, 2.0, 3.0], &[0.5, 1.5, 2.5]);
        let other = method("other", &[1.1, 2.11, 3.09], &[0.6, 1.61, 2.59]);
        let found = compare(&[one, other], &[20.0]);
        let [pair] = &found[..] else { panic!("{found:?}") };
        let difference = pair.difference.unwrap();
        assert!((difference.mean + 0.1).abs() < 1e-9, "{difference:?}");
        // −0.1, −0.11, −0.09: s = 0.01, t = 0.1 / (0.01 / √3) = 17.32, p = 0.003317.
        assert!((pair.probability.unwrap() - 0.003317).abs() < 1e-5, "{pair:?}");
        assert_eq!(pair.winner, Some(0));
    }

    #[test]
    fn one_seed_has_no_winner_and_neither_have_methods_that_never_meet() {
        let found = compare(&[method("a", &[1.0], &[0.5]), method("b", &[9.0], &[8.0])], &[20.0]);
        assert_eq!(found[0].winner, None);
        assert_eq!(found[0].probability, None);
        let far = Method {
            name: "far".into(),
            settings: vec![vec![
                SeedOutcome { seed: 0, l0: 100.0, value: 0.1 },
                SeedOutcome { seed: 1, l0: 101.0, value: 0.1 },
            ]],
        };
        let found = compare(&[method("a", &[1.0, 1.0], &[0.5, 0.5]), far], &[20.0]);
        assert_eq!((found[0].difference, found[0].winner), (None, None));
    }

    #[test]
    fn more_pairs_ask_for_more() {
        let one = || method("one", &[1.0, 2.0, 3.0], &[0.5, 1.5, 2.5]);
        let other = || method("other", &[1.1, 2.13, 3.07], &[0.6, 1.63, 2.57]);
        let alone = compare(&[one(), other()], &[10.0]);
        assert_eq!(alone[0].winner, Some(0));
        let family = compare(&[one(), other()], &[10.0, 12.0, 15.0, 20.0, 40.0]);
        assert!(family[0].probability > alone[0].probability);
        assert_eq!(family.iter().filter_map(|pair| pair.winner).count(), 0, "{family:#?}");
    }

    /// Wrong if chance is called a winner more often than the level allows: 1,000 experiments of four equal
    /// methods at three strengths each, compared at three L0.
    #[test]
    fn chance_is_seldom_called_a_winner() {
        let mut random = ChaCha8Rng::seed_from_u64(20_261_121);
        for seeds in [2, 3, 5] {
            let mut with_a_winner = 0;
            for _ in 0..1000 {
                // Each seed shifts all methods alike.
                let common: Vec<f64> = (0..seeds).map(|_| normal(&mut random)).collect();
                let mut method = |at: usize| {
                    let mut setting = |l0: f64, value: f64| -> Vec<SeedOutcome> {
                        let outcome = |(seed, common): (usize, &f64)| SeedOutcome {
                            seed: seed as u64,
                            l0: l0 * (1.0 + 0.02 * normal(&mut random)),
                            value: value * (1.0 + 0.05 * common + 0.05 * normal(&mut random)),
                        };
                        common.iter().enumerate().map(outcome).collect()
                    };
                    let settings =
                        vec![setting(8.0, 0.03), setting(20.0, 0.02), setting(50.0, 0.01)];
                    Method { name: at.to_string(), settings }
                };
                let methods: Vec<Method> = (0..4).map(&mut method).collect();
                let found = compare(&methods, &[10.0, 20.0, 40.0]);
                with_a_winner += usize::from(found.iter().any(|pair| pair.winner.is_some()));
            }
            assert!(with_a_winner <= 60, "{with_a_winner} of 1000 with {seeds} seeds");
        }
    }

    /// Wrong if no difference is ever called: the same with one method a fifth better.
    #[test]
    fn a_real_difference_is_called() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut values = |scale: f64| -> Vec<f64> {
            (0..5).map(|_| scale * (1.0 + 0.02 * normal(&mut random))).collect()
        };
        let better = method("better", &values(0.8), &values(0.4));
        let worse = method("worse", &values(1.0), &values(0.5));
        let found = compare(&[worse, better], &[10.0, 20.0, 40.0]);
        assert!(found.iter().all(|pair| pair.winner == Some(1)), "{found:#?}");
    }

    fn normal(random: &mut ChaCha8Rng) -> f64 {
        StandardNormal.sample(random)
    }

    #[test]
    fn where_more_is_better_the_larger_one_wins() {
        let all: Vec<Reading> = readings(
            &[method("a", &[0.1, 0.2], &[0.3, 0.4]), method("b", &[0.5, 0.6], &[0.7, 0.8])],
            40.0,
            Better::Higher,
        );
        let found = pairs(&all, Better::Higher, |_, _| true);
        assert_eq!(found[0].winner, Some(1));
    }

    /// Wrong if a seed whose codes are all off has a front, or moves the front of others.
    #[test]
    fn a_seed_whose_codes_are_all_off_is_not_read() {
        let outcome = |seed, l0, value| SeedOutcome { seed, l0, value };
        let settings = vec![
            vec![outcome(0, 0.0, 0.2), outcome(1, 8.0, 0.2)],
            vec![outcome(0, 12.0, 0.1), outcome(1, 12.0, 0.1)],
            vec![outcome(2, 0.0, 0.01)],
        ];
        let methods = [Method { name: "kl".into(), settings }];
        assert_eq!(readings(&methods, 12.0, Better::Lower)[0].seeds, [(0, 0.1), (1, 0.1)]);
        assert_eq!(readings(&methods, 8.0, Better::Lower)[0].seeds, [(1, 0.2)]);
    }

    /// Wrong if an L0 that is asked for twice compares a method with itself, which makes all others less
    /// certain.
    #[test]
    fn a_method_is_not_compared_with_itself() {
        let one = || method("one", &[1.0, 2.0, 3.0], &[0.5, 1.5, 2.5]);
        let other = || method("other", &[1.1, 2.13, 3.07], &[0.6, 1.63, 2.57]);
        let found = compare(&[one(), other()], &[20.0, 20.0]);
        assert!(found.iter().all(|pair| pair.methods[0] != pair.methods[1]), "{found:?}");
    }
}
