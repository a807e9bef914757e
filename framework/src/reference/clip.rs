//! Gradients that are scaled where they are too long.

use crate::model::Real;

/// Scales the gradient of all parameters together to the Euclidean norm `limit` where it is longer.
pub fn clip<E: Real>(gradients: &mut [Vec<E>], limit: f64) {
    let square = |value: &E| value.f64() * value.f64();
    let norm = gradients.iter().flatten().map(square).sum::<f64>().sqrt();
    if norm > limit {
        let factor = E::of(limit / norm);
        gradients.iter_mut().flatten().for_each(|value| *value *= factor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if each parameter had a norm of its own, or a shorter gradient were stretched.
    #[test]
    fn a_longer_gradient_is_scaled_to_the_limit_and_a_shorter_one_stays() {
        let mut gradients = [vec![3.0_f64, 0.0], vec![4.0]];
        clip(&mut gradients, 5.0);
        assert_eq!(gradients, [vec![3.0, 0.0], vec![4.0]]);
        clip(&mut gradients, 2.5);
        assert_eq!(gradients, [vec![1.5, 0.0], vec![2.0]]);
    }
}
