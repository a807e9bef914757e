//! Principal components: the two directions in which samples differ most.

/// Coordinates of samples along the first two principal components.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    /// Coordinates of each sample.
    pub places: Vec<[f64; 2]>,
    /// Share of the variance along each component, 0 to 1.
    pub shares: [f64; 2],
}

/// Rounds of the power iteration. A scatter plot needs no closer approximation of the directions.
const ROUNDS: usize = 100;

/// Returns the principal plane of `samples`, all of the same length; `None` if the samples do not differ.
/// Uses power iteration on the centred samples, so it never builds a matrix of latents × latents. The sign
/// of a direction makes its entry of greatest magnitude positive.
pub fn plane(samples: &[Vec<f32>]) -> Option<Plane> {
    let n = samples.len();
    let width = samples.first()?.len();
    let mut mean = vec![0.0; width];
    samples.iter().for_each(|sample| {
        mean.iter_mut().zip(sample).for_each(|(m, x)| *m += f64::from(*x) / n as f64)
    });
    let mut centered: Vec<Vec<f64>> = samples
        .iter()
        .map(|sample| sample.iter().zip(&mean).map(|(x, m)| f64::from(*x) - m).collect())
        .collect();
    let total: f64 = centered.iter().flatten().map(|x| x * x).sum();
    if !(total.is_finite() && total > 0.0) {
        return None;
    }
    let mut places = vec![[0.0; 2]; n];
    let mut shares = [0.0; 2];
    for component in 0..2 {
        let direction = first(&centered, width);
        for (sample, place) in centered.iter_mut().zip(&mut places) {
            let along = dot(sample, &direction);
            place[component] = along;
            shares[component] += along * along / total;
            sample.iter_mut().zip(&direction).for_each(|(x, d)| *x -= along * d);
        }
    }
    Some(Plane { places, shares })
}

/// Returns the direction along which centred samples differ most.
fn first(centered: &[Vec<f64>], width: usize) -> Vec<f64> {
    // The longest sample has a component along that direction, unless all samples are zero.
    let longest = centered.iter().max_by(|a, b| dot(a, a).total_cmp(&dot(b, b)));
    let mut direction = longest.cloned().unwrap_or_else(|| vec![0.0; width]);
    normalize(&mut direction);
    for _ in 0..ROUNDS {
        let mut next = vec![0.0; width];
        for sample in centered {
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

/// Scales a vector to length 1; a vector of zeros stays zero.
fn normalize(vector: &mut [f64]) {
    let norm = dot(vector, vector).sqrt();
    if norm > 0.0 {
        vector.iter_mut().for_each(|x| *x /= norm);
    }
}

/// Returns the scalar product.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_direction_comes_first() {
        // The coordinates are ±10 along (3, 4)/5 and ±1 along (-4, 3)/5.
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
