//! What several plugins need and no other part of the program does.

mod groups;
pub mod idx;
pub mod logistic;
pub mod principal;
#[cfg(test)]
pub mod testing;

use framework::spec::numbers::Chance;

pub use groups::{Groups, SMOOTHING};

/// The transpose of a row-major matrix of `columns` columns.
pub fn transpose(values: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.len() / columns.max(1);
    (0..values.len()).map(|at| values[(at % rows) * columns + at / rows]).collect()
}

/// What a random u32 is below with this probability: drawing one is cheaper than drawing a float.
pub fn threshold(chance: Chance) -> u32 {
    // Less than 1, so the product is less than 2³².
    (chance.get() * f64::from(u32::MAX)).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_columns() {
        assert_eq!(transpose(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }
}
