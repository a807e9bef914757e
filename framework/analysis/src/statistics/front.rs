//! Pareto fronts: points that no other point beats in both sparsity and the metric.

use super::Better;

/// A point of a front.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrontPoint {
    /// Mean number of active latents.
    pub l0: f64,
    /// Value of the metric.
    pub value: f64,
}

/// Returns the points that no other point beats, sorted by L0. One point beats another if its L0 is smaller
/// and its value better, or if one is and the other is equal. Of equal points, keeps the first. Points at
/// L0 0 are on no front: a code that is all off says nothing about a sample, and fronts are read over the
/// logarithm of L0.
pub fn front(points: &[FrontPoint], better: Better) -> Vec<usize> {
    let mut order: Vec<usize> = (0..points.len()).filter(|at| points[*at].l0 > 0.0).collect();
    let cost = |at: usize| better.cost(points[at].value);
    order.sort_by(|a, b| {
        points[*a].l0.total_cmp(&points[*b].l0).then(cost(*a).total_cmp(&cost(*b)))
    });
    let mut least = f64::INFINITY;
    order.retain(|at| {
        let is_on_it = cost(*at) < least;
        least = least.min(cost(*at));
        is_on_it
    });
    order
}

/// Distance that a front is continued beyond its ends, as a share of L0: runs hit a target L0 only roughly.
pub const REACH: f64 = 0.05;

/// Returns the value of a [`front`] at an L0. The front must be sorted by L0. Interpolates between the two
/// neighbours, linear in the logarithm of L0, and goes on up to [`REACH`] beyond an end. There the line is through
/// points that lie at least [`REACH`] apart: nearer ones differ by chance, and a line through them could lead
/// anywhere. Of points within reach beyond the sparse end the best counts. A front without such a line has the value
/// of its end. Returns `None` further out.
pub fn at(front: &[FrontPoint], l0: f64) -> Option<f64> {
    let (first, last) = (front.first()?, front.last()?);
    let is_within_reach = |point: &FrontPoint| l0 >= point.l0 * (1.0 - REACH);
    if !is_within_reach(first) || l0 > last.l0 * (1.0 + REACH) {
        return None;
    }
    let (one, other) = if l0 < first.l0 {
        let within = front.iter().take_while(|point| is_within_reach(point)).count();
        let one = front[within - 1];
        (one, front[within..].iter().find(|point| point.l0 >= one.l0 * (1.0 + REACH)))
    } else if l0 > last.l0 {
        (*last, front.iter().rev().find(|point| point.l0 <= last.l0 * (1.0 - REACH)))
    } else {
        let after = front.iter().position(|point| point.l0 >= l0)?;
        (front[after], after.checked_sub(1).map(|before| &front[before]))
    };
    let Some(other) = other else { return Some(one.value) };
    let share = (l0.ln() - one.l0.ln()) / (other.l0.ln() - one.l0.ln());
    Some(one.value + share * (other.value - one.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(points: &[(f64, f64)]) -> Vec<FrontPoint> {
        points.iter().map(|(l0, value)| FrontPoint { l0: *l0, value: *value }).collect()
    }

    #[test]
    fn a_front_has_what_nothing_beats() {
        let all = points(&[(10.0, 0.5), (5.0, 0.9), (20.0, 0.6), (10.0, 0.4), (40.0, 0.1)]);
        assert_eq!(front(&all, Better::Lower), [1, 3, 4]);
        // Where higher is better, a denser point must have a higher value to be on the front.
        assert_eq!(front(&all, Better::Higher), [1]);
        let same = points(&[(5.0, 0.5), (5.0, 0.5), (6.0, 0.5)]);
        assert_eq!(front(&same, Better::Lower), [0], "no gain is no gain");
        assert!(front(&[], Better::Lower).is_empty());
    }

    /// Wrong if codes that are all off beat others by their L0, or if a front begins at L0 0, which has no
    /// logarithm: every L0 up to the next point would then read that point's value.
    #[test]
    fn codes_that_are_all_off_are_on_no_front() {
        let all = points(&[(0.0, 0.05), (8.0, 0.4), (12.0, 0.1)]);
        assert_eq!(front(&all, Better::Lower), [1, 2]);
        assert_eq!(front(&all, Better::Higher), [1]);
        assert!(front(&points(&[(0.0, 0.1)]), Better::Lower).is_empty());
    }

    #[test]
    fn a_front_is_read_between_its_points_and_a_little_beyond_but_not_elsewhere() {
        let line = points(&[(10.0, 0.4), (40.0, 0.2)]);
        assert!((at(&line, 20.0).unwrap() - 0.3).abs() < 1e-12, "half way in the logarithm");
        assert_eq!(at(&line, 10.0), Some(0.4));
        assert_eq!(at(&line, 40.0), Some(0.2));
        let beyond = at(&line, 9.6).unwrap();
        assert!(beyond > 0.4 && beyond < 0.41, "{beyond}");
        assert!(at(&line, 41.0).unwrap() < 0.2);
        assert_eq!(at(&line, 9.0), None);
        assert_eq!(at(&line, 43.0), None);
        assert_eq!(at(&points(&[(10.0, 0.4)]), 10.2), Some(0.4));
        assert_eq!(at(&points(&[(10.0, 0.4)]), 11.0), None);
        assert_eq!(at(&[], 1.0), None);
    }

    /// Wrong if a line through two points that differ by chance led beyond an end to a value that no run has, or if a
    /// better run within reach did not count.
    #[test]
    fn beyond_an_end_there_is_no_line_through_near_points() {
        let near = points(&[(0.05103, 0.0265), (0.05181, 0.01023)]);
        assert_eq!(at(&near, 0.05), Some(0.01023));
        assert_eq!(at(&near, 0.053), Some(0.01023));
        let value = at(&points(&[(10.2, 0.5), (10.3, 0.4), (20.6, 0.2)]), 10.0).unwrap();
        let right = 0.4 + 0.2 * (10.3_f64 / 10.0).ln() / 2.0_f64.ln();
        assert!((value - right).abs() < 1e-12, "{value}, {right}");
        let value = at(&points(&[(5.0, 0.5), (9.9, 0.31), (10.0, 0.3)]), 10.3).unwrap();
        let right = 0.3 - 0.2 * (10.3_f64 / 10.0).ln() / 2.0_f64.ln();
        assert!((value - right).abs() < 1e-12, "{value}, {right}");
    }
}
