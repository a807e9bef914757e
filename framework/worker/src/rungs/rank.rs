//! Which runs go on from a rung: depends on the standings of its runs there, and on nothing else.

use framework::spec::{Halving, RunId};

/// Standing of a run at a rung.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Standing {
    /// It was measured there; `None` if its metric is undefined.
    Measured(Option<f64>),
    /// It ended before, without success.
    Failed,
    /// It takes no part: it passed the rung before runs were compared there.
    Absent,
}

/// Places of the runs at a rung.
#[derive(Debug, PartialEq)]
pub struct Ranking {
    /// Place of each run, counted from 1; 0 if it takes no part.
    pub places: Vec<usize>,
    /// Number of runs that take part.
    pub of: usize,
    /// Number of runs that go on.
    pub kept: usize,
}

impl Ranking {
    /// Ranks the runs of a rung by their metric. Undefined metrics and failed runs come last; of runs with
    /// the same value the one with the lower id comes first.
    pub fn new(halving: &Halving, runs: &[(&RunId, Standing)]) -> Self {
        let value = |standing: Standing| match standing {
            Standing::Measured(Some(value)) => halving.cost(value),
            // A positive NaN comes after infinity in the total order.
            _ => f64::NAN.abs(),
        };
        let mut order: Vec<usize> =
            (0..runs.len()).filter(|at| runs[*at].1 != Standing::Absent).collect();
        order.sort_by(|a, b| {
            let ((one, first), (other, second)) = (runs[*a], runs[*b]);
            value(first).total_cmp(&value(second)).then_with(|| one.cmp(other))
        });
        let mut places = vec![0; runs.len()];
        for (place, at) in order.iter().enumerate() {
            places[*at] = place + 1;
        }
        Self { places, of: order.len(), kept: halving.kept(order.len()) }
    }

    /// Returns true if a run goes on.
    pub fn goes_on(&self, at: usize) -> bool {
        self.places[at] <= self.kept
    }
}

#[cfg(test)]
mod tests {
    use framework::plugin::Best;

    use super::*;

    fn halving(more: &str) -> Halving {
        serde_json::from_str(&format!("{{ \"metric\": \"m\", \"first\": 0.1{more} }}")).unwrap()
    }

    fn places(halving: &Halving, standings: &[Standing]) -> Vec<usize> {
        let ids: Vec<RunId> = (0..standings.len()).map(|n| RunId(format!("{n:016x}"))).collect();
        let runs: Vec<_> = ids.iter().zip(standings.iter().copied()).collect();
        Ranking::new(halving, &runs).places
    }

    fn measured(values: &[f64]) -> Vec<Standing> {
        values.iter().map(|value| Standing::Measured(value.is_finite().then_some(*value))).collect()
    }

    #[test]
    fn the_lowest_come_first_or_the_highest_and_ties_go_by_id() {
        let standings = measured(&[0.3, 0.1, 0.2, 0.1]);
        assert_eq!(places(&halving(""), &standings), [4, 1, 3, 2]);
        let highest = Halving { best: Some(Best::Highest), ..halving("") };
        assert_eq!(places(&highest, &standings), [1, 3, 2, 4]);
        let near = Halving { best: Some(Best::Value(0.22)), ..halving("") };
        assert_eq!(places(&near, &standings), [2, 3, 1, 4], "those near to a best value");
    }

    #[test]
    fn what_is_undefined_or_failed_comes_last_and_what_is_absent_has_no_place() {
        let mut standings = measured(&[f64::NAN, f64::NEG_INFINITY, 1e300, -1.0]);
        standings.extend([Standing::Failed, Standing::Absent, Standing::Measured(Some(0.0))]);
        for halving in [halving(""), halving(", \"best\": \"highest\"")] {
            let places = places(&halving, &standings);
            assert_eq!((places[0], places[1], places[4], places[5]), (4, 5, 6, 0));
        }
    }

    #[test]
    fn who_goes_on_does_not_depend_on_the_order_of_the_runs() {
        let ids: Vec<RunId> = (0..27).map(|n| RunId(format!("{:016x}", n * 7919 % 27))).collect();
        let runs: Vec<(&RunId, Standing)> = ids
            .iter()
            .enumerate()
            .map(|(n, id)| (id, Standing::Measured(Some((n * 31 % 5) as f64))))
            .collect();
        let kept = |runs: &[(&RunId, Standing)]| {
            let ranking = Ranking::new(&halving(""), runs);
            assert_eq!((ranking.of, ranking.kept), (27, 9));
            let mut kept: Vec<RunId> = (0..runs.len())
                .filter(|at| ranking.goes_on(*at))
                .map(|at| runs[at].0.clone())
                .collect();
            kept.sort();
            kept
        };
        let mut turned = runs.clone();
        for _ in 0..27 {
            turned.rotate_left(1);
            assert_eq!(kept(&turned), kept(&runs));
        }
        assert_eq!(kept(&runs).len(), 9);
    }
}
