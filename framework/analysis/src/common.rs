//! The L0, or values of what stands in its place, at which methods are compared if the user names none.

use super::Group;

/// Minimum number of L0 to compare at, if there is any stretch to place them in.
const COUNT: usize = 3;

/// Returns the L0 at which to compare methods. A stretch is the range of L0 where two comparable methods
/// both have a front. Three L0 lie evenly, in the logarithm, over all stretches; each pair of methods that
/// these miss adds one. Returns none if there is no stretch.
pub fn common(groups: &[Group], are_comparable: impl Fn(usize, usize) -> bool) -> Vec<f64> {
    let ends: Vec<Option<(f64, f64)>> = groups
        .iter()
        .map(|group| {
            let front = group.settings.iter().filter(|one| one.is_on_front);
            let l0 = front.map(|one| one.place.mean.ln());
            Some((l0.clone().reduce(f64::min)?, l0.reduce(f64::max)?))
        })
        .collect();
    let mut stretches = Vec::new();
    for other in 0..groups.len() {
        for one in 0..other {
            if let (Some((a, b)), Some((c, d))) = (ends[one], ends[other])
                && are_comparable(one, other)
            {
                stretches.push((a.max(c), b.min(d)));
            }
        }
    }
    let mut l0: Vec<f64> = points(stretches).into_iter().map(|at| rounded(at.exp())).collect();
    l0.dedup();
    l0
}

/// Returns points such that every stretch contains at least one.
fn points(mut stretches: Vec<(f64, f64)>) -> Vec<f64> {
    // A stretch that begins at L0 0 has no finite logarithm there. Where fronts do not meet, `from` is
    // above `to`.
    stretches.retain(|(from, to)| from.is_finite() && from <= to);
    stretches.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut points = spread(&stretches);
    for (from, to) in stretches {
        if !points.iter().any(|point| (from..=to).contains(point)) {
            points.push((from + to) / 2.0);
        }
    }
    points.sort_by(f64::total_cmp);
    points
}

/// Returns points that divide the covered length of the stretches, without the gaps, into equal parts. The
/// stretches must be sorted.
fn spread(stretches: &[(f64, f64)]) -> Vec<f64> {
    let mut apart: Vec<(f64, f64)> = Vec::new();
    for &(from, to) in stretches {
        match apart.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => apart.push((from, to)),
        }
    }
    let total: f64 = apart.iter().map(|(from, to)| to - from).sum();
    let point = |nth: usize| {
        let mut left = total * nth as f64 / (COUNT + 1) as f64;
        let within = |(from, to): &&(f64, f64)| {
            let is_here = left <= to - from;
            if !is_here {
                left -= to - from;
            }
            is_here
        };
        let (from, _) = *apart.iter().find(within)?;
        Some(from + left)
    };
    (1..=COUNT).filter_map(point).collect()
}

/// Rounds to two significant digits: an L0 that people would ask for.
fn rounded(l0: f64) -> f64 {
    format!("{l0:.1e}").parse().unwrap_or(l0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if methods are compared where only one of them has a front, or if two whose fronts meet are
    /// not compared.
    #[test]
    fn points_stand_where_something_is() {
        assert_eq!(points(vec![(0.0, 4.0)]), [1.0, 2.0, 3.0]);
        assert_eq!(points(vec![(1.0, 4.0), (0.0, 2.0), (2.0, 3.0)]), [1.0, 2.0, 3.0]);
        // Of two stretches far apart, the longer one gets more points, and the shorter one gets one too.
        assert_eq!(points(vec![(10.0, 12.5), (0.0, 1.5)]), [1.0, 10.5, 11.5]);
        assert_eq!(points(vec![(10.0, 10.5), (0.0, 1.5)]), [0.5, 1.0, 1.5, 10.25]);
        assert!(points(vec![(3.0, 1.0), (f64::NEG_INFINITY, 2.0)]).is_empty());
        let mut same = points(vec![(2.0, 2.0)]);
        same.dedup();
        assert_eq!(same, [2.0]);
    }

    #[test]
    fn two_digits_are_kept() {
        assert_eq!((rounded(23.46), rounded(0.1234)), (23.0, 0.12));
    }
}
