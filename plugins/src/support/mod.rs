//! What several plugins need and no other part of the program does.

pub mod batch_top_k;
mod groups;
pub mod idx;
pub mod jacobian;
pub mod layers;
pub mod logistic;
pub mod principal;
mod row_norms;
pub mod selection;
#[cfg(test)]
pub mod testing;

use framework::plugin::{CodeFacts, CodeRange, Offer, Unfit};
use framework::random::ChaCha8Rng;
use framework::spec::numbers::Chance;
use rand::RngExt;

pub use groups::{Groups, SMOOTHING};
pub use row_norms::row_norms;

/// Why a term that pulls codes to 0 makes none of them 0, if so: a warning.
pub fn doubt_without_zeros(code: &CodeFacts) -> Option<Unfit> {
    // Those of a variational architecture cannot be rectified.
    let relu = if code.offers.contains(&Offer::Prior) { "" } else { "Relu leaves zeros; " };
    let message = format!(
        "it pulls codes towards 0, but codes of any sign and size, as after `identity`, are never exactly 0: L0 \
         counts every latent. {relu}the evaluation `budget` compares codes without them"
    );
    (code.range == CodeRange::Real).then(|| Unfit::new("kind", message))
}

/// The transpose of a row-major matrix of `columns` columns.
pub fn transpose(values: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.len() / columns.max(1);
    (0..values.len()).map(|at| values[(at % rows) * columns + at / rows]).collect()
}

/// Changes each number by a random u32 of its own; they are drawn many at a time, which is faster.
pub fn change_at_random(
    numbers: &mut [f32],
    random: &mut ChaCha8Rng,
    change: impl Fn(f32, u32) -> f32,
) {
    let mut drawn = [0_u32; 512];
    for numbers in numbers.chunks_mut(drawn.len()) {
        let drawn = &mut drawn[..numbers.len()];
        random.fill(drawn);
        numbers.iter_mut().zip(drawn).for_each(|(number, drawn)| *number = change(*number, *drawn));
    }
}

/// What a random u32 is below with this probability: drawing one is cheaper than drawing a float.
pub fn threshold(chance: Chance) -> u32 {
    // Less than 1, so the product is less than 2³².
    (chance.get() * f64::from(u32::MAX)).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if numbers drawn together were others than one after another: runs that are done would have had
    /// other noise.
    #[test]
    fn drawing_many_at_a_time_draws_the_same() {
        let start = || framework::random::Streams::new(3).stream("test");
        let (mut one, mut many) = (start(), start());
        let mut numbers = vec![0.0; 1300];
        change_at_random(&mut numbers, &mut many, |_, drawn| drawn as f32);
        assert!(numbers.iter().all(|number| *number == one.random::<u32>() as f32));
        assert_eq!(one.random::<u64>(), many.random::<u64>());
    }

    #[test]
    fn rows_become_columns() {
        assert_eq!(transpose(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }
}
