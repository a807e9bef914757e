//! The two directions in which samples differ most.

/// What samples come to along the first two principal components.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    /// Each sample's place.
    pub places: Vec<[f64; 2]>,
    /// The share of the variance along each, 0 to 1.
    pub shares: [f64; 2],
}

/// Rounds of the power iteration: neighbouring directions of a scatter need no more.
const ROUNDS: usize = 100;

/// The principal plane of `samples`, each of the same length; `None` if they do not differ. By power
/// iteration on the centred samples: no matrix of latents × latents is ever made. The sign of a
/// direction is such that its greatest entry in magnitude is positive.
pub fn plane(samples: &[Vec<f32>]) -> Option<Plane> {
    let n = samples.len();
    let width = samples.first()?.len();
    let mut mean = vec![0.0; width];
    samples.iter().for_each(|sample| {
        mean.iter_mut().zip(sample).for_each(|(m, x)| *m += f64::from(*x) / n as f64)
    });
    let mut centerd: Vec<Vec<f64>> = samples
        .iter()
        .map(|sample| sample.iter().zip(&mean).map(|(x, m)| f64::from(*x) - m).collect())
        .collect();
    let total: f64 = centerd.iter().flatten().map(|x| x * x).sum();
    if !(total.is_finite() && total > 0.0) {
        return None;
    }
    let mut places = vec![[0.0; 2]; n];
    let mut shares = [0.0; 2];
    for component in 0..2 {
        let direction = first(&centerd, width);
        for (sample, place) in centerd.iter_mut().zip(&mut places) {
            let along = dot(sample, &direction);
            place[component] = along;
            shares[component] += along * along / total;
            sample.iter_mut().zip(&direction).for_each(|(x, d)| *x -= along * d);
        }
    }
    Some(Plane { places, shares })
}

/// The direction along which centred samples differ most.
fn first(centerd: &[Vec<f64>], width: usize) -> Vec<f64> {
    // The longest sample has a part of it, unless nothing is left.
    let longest = centerd.iter().max_by(|a, b| dot(a, a).total_cmp(&dot(b, b)));
    let mut direction = longest.cloned().unwrap_or_else(|| vec![0.0; width]);
    normalize(&mut direction);
    for _ in 0..ROUNDS {
        let mut next = vec![0.0; width];
        for sample in centerd {
            let along = dot(sample, &direction);
            next.iter_mut().zip(sample).for_each(|(n, x)| *n += along * x);
        }
        normalize(&mut next);
        direction = next;
    }
    let greatest = direction.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs()));
    if greatest.is_some_and(|greatest| greatest < 0.0) {
        direction.iter_mut().for_each(|d| *d = -*d);
    }
    direction
}

fn normalize(vector: &mut [f64]) {
    let norm = dot(vector, vector).sqrt();
    if norm > 0.0 {
        vector.iter_mut().for_each(|x| *x /= norm);
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_direction_comes_first() {
        // Along (3, 4)/5 the places are ±10, along (-4, 3)/5 they are ±1.
        let at = |a: f32, b: f32| vec![7.0 + a * 0.6 - b * 0.8, 1.0 + a * 0.8 + b * 0.6];
        let found =
            plane(&[at(10.0, 1.0), at(10.0, -1.0), at(-10.0, 1.0), at(-10.0, -1.0)]).unwrap();
        assert!((found.shares[0] - 100.0 / 101.0).abs() < 1e-6, "{found:?}");
        assert!((found.shares[1] - 1.0 / 101.0).abs() < 1e-6, "{found:?}");
        assert!(
            found
                .places
                .iter()
                .all(|[x, y]| (x.abs() - 10.0).abs() < 1e-4 && (y.abs() - 1.0).abs() < 1e-4)
        );
        assert!(found.places[0][0] > 0.0);
    }

    #[test]
    fn what_does_not_differ_has_no_plane() {
        assert_eq!(plane(&[]), None);
        assert_eq!(plane(&[vec![1.0, 2.0], vec![1.0, 2.0]]), None);
        assert_eq!(plane(&[vec![f32::NAN], vec![1.0]]), None);
        let line = plane(&[vec![0.0, 1.0], vec![0.0, 3.0]]).unwrap();
        assert!((line.shares[0] - 1.0).abs() < 1e-9 && line.shares[1].abs() < 1e-9);
    }
}
