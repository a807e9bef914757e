//! Where latents rest, and how much one says that does not.

use framework::plugin::{Coder, Codes, OwnedCodes, Split, Subject};
use rayon::prelude::*;

use super::ROWS_AT_ONCE;

/// The value of each latent that says nothing, and how far x̂ moves with a latent.
pub struct Resting {
    /// [latents].
    code: Vec<f32>,
    is_at_zero: bool,
    /// ‖∂x̂/∂h‖ of each latent, [latents].
    norms: Vec<f64>,
}

/// How far a latent is moved to see how x̂ moves with it.
const STEP: f32 = 0.01;

impl Resting {
    /// Finds it for a model. Returns the codes of the training samples `rows` beside it, batch by batch, if it
    /// needed them.
    ///
    /// # Errors
    /// If the data cannot be read.
    pub fn find(subject: &Subject<'_>, rows: &[usize]) -> Result<(Self, Vec<OwnedCodes>), String> {
        let Subject { model, latents, inputs, rests_at_zero, .. } = *subject;
        let mut codes = Vec::new();
        if !rests_at_zero {
            for rows in rows.chunks(ROWS_AT_ONCE) {
                codes.push(model.encode(&subject.samples(Split::Train, rows)?));
            }
        }
        let code = medians(&codes, latents);
        let norms = match model.dictionary() {
            Some(atoms) => atoms.chunks_exact(inputs).map(norm).collect(),
            None => slopes(model, &code, inputs),
        };
        Ok((Self { code, is_at_zero: rests_at_zero, norms }, codes))
    }

    /// Returns the code in which all latents rest, [latents].
    pub fn code(&self) -> &[f32] {
        &self.code
    }

    /// Returns true if all rest at 0 whatever the data.
    pub fn is_at_zero(&self) -> bool {
        self.is_at_zero
    }

    /// Returns how much a latent says that has this value: |h − rest| · ‖d‖.
    pub fn says(&self, latent: usize, value: f32) -> f64 {
        (f64::from(value) - f64::from(self.code[latent])).abs() * self.norms[latent]
    }
}

/// Latents whose values are copied together: they share a cache line.
const LATENTS_AT_ONCE: usize = 16;

/// Returns the median of each latent over all codes, of an even number the mean of the middle two; 0 of none.
fn medians(codes: &[OwnedCodes], latents: usize) -> Vec<f32> {
    let dense: Vec<_> = codes.iter().map(|codes| codes.view().to_dense()).collect();
    let mut medians = vec![0.0; latents];
    let blocks = medians.par_chunks_mut(LATENTS_AT_ONCE).enumerate();
    blocks.for_each(|(at, medians)| {
        let first = at * LATENTS_AT_ONCE;
        let mut values = vec![Vec::new(); medians.len()];
        for row in dense.iter().flat_map(|codes| codes.chunks_exact(latents)) {
            let row = &row[first..first + values.len()];
            values.iter_mut().zip(row).for_each(|(values, value)| values.push(*value));
        }
        medians.iter_mut().zip(values).for_each(|(median, values)| *median = median_of(values));
    });
    medians
}

/// Returns the median of some numbers; 0 of none.
fn median_of(mut values: Vec<f32>) -> f32 {
    let count = values.len();
    if count == 0 {
        return 0.0;
    }
    let (below, middle, _) = values.select_nth_unstable_by(count / 2, f32::total_cmp);
    match below.iter().copied().max_by(f32::total_cmp) {
        Some(before) if count.is_multiple_of(2) => {
            ((f64::from(before) + f64::from(*middle)) / 2.0) as f32
        }
        _ => *middle,
    }
}

/// Returns ‖∂x̂/∂h‖ of each latent where all others rest, by central differences.
fn slopes(model: &dyn Coder, rest: &[f32], inputs: usize) -> Vec<f64> {
    let latents = rest.len();
    let moved = |latents_moved: std::ops::Range<usize>, by: f32| {
        let mut values = rest.repeat(latents_moved.len());
        let codes = values.chunks_exact_mut(latents).zip(latents_moved);
        codes.for_each(|(code, latent)| code[latent] += by);
        model.decode(Codes::Dense { latents, values: &values })
    };
    let mut slopes = Vec::with_capacity(latents);
    for first in (0..latents).step_by(ROWS_AT_ONCE) {
        let some = first..latents.min(first + ROWS_AT_ONCE);
        let (above, below) = (moved(some.clone(), STEP), moved(some, -STEP));
        let pairs = above.chunks_exact(inputs).zip(below.chunks_exact(inputs));
        slopes.extend(pairs.map(|(above, below)| {
            let squares =
                above.iter().zip(below).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
            squares.sum::<f64>().sqrt() / (2.0 * f64::from(STEP))
        }));
    }
    slopes
}

/// ‖d‖.
fn norm(atom: &[f32]) -> f64 {
    atom.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use framework::train::Model;

    use super::*;

    /// x̂ = (h₀², 3 h₁).
    struct Curved;

    impl Coder for Curved {
        fn encode(&self, _: &[f32]) -> OwnedCodes {
            unreachable!("nothing is encoded")
        }

        fn reconstruct(&self, _: &[f32]) -> Vec<f32> {
            unreachable!("nothing is reconstructed")
        }

        fn decode(&self, codes: Codes<'_>) -> Vec<f32> {
            codes.to_dense().chunks_exact(2).flat_map(|h| [h[0] * h[0], 3.0 * h[1]]).collect()
        }

        fn dictionary(&self) -> Option<&[f32]> {
            None
        }

        fn whole(&self) -> Option<&Model<'_>> {
            None
        }
    }

    /// Wrong if latents of a decoder without rows counted alike, or were moved from elsewhere than rest.
    #[test]
    fn slopes_are_taken_at_rest() {
        let found = slopes(&Curved, &[2.0, 7.0], 2);
        assert!((found[0] - 4.0).abs() < 1e-3 && (found[1] - 3.0).abs() < 1e-3, "{found:?}");
    }

    /// Wrong if an even number took one of the middle two, or order mattered.
    #[test]
    fn medians_by_hand() {
        assert_eq!(median_of(vec![3.0, -1.0, 2.0]), 2.0);
        assert_eq!(median_of(vec![3.0, -1.0, 2.0, 10.0]), 2.5);
        assert_eq!(median_of(vec![5.0]), 5.0);
        assert_eq!(median_of(vec![1.0, 2.0]), 1.5);
        assert_eq!(median_of(Vec::new()), 0.0);
        // 17 latents are two blocks; their values come in two batches.
        let batch = |rows: &[f32]| OwnedCodes::Dense {
            latents: 17,
            values: rows.iter().flat_map(|row| (0..17).map(move |at| row * at as f32)).collect(),
        };
        let expected: Vec<f32> = (0..17).map(|at| 2.5 * at as f32).collect();
        assert_eq!(medians(&[batch(&[1.0, 3.0]), batch(&[2.0, 9.0])], 17), expected);
    }
}
