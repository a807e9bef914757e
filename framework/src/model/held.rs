//! Values that a pass holds fixed: the parts of a definition without a gradient, as of a straight-through
//! estimator.
//!
//! The gradient of such a definition is not the derivative of its value. It is the derivative of another
//! function: the one in which the held values stay what they were. So a check by differences records them at
//! its point, and replays them while it moves the parameters.

use super::Real;

/// Values held by the passes of a check.
#[derive(Clone, Debug, Default)]
pub struct Held {
    values: Vec<Vec<f64>>,
    /// Number of values replayed; `None` while they are recorded.
    replayed: Option<usize>,
}

impl Held {
    /// Has the next pass use the recorded values.
    pub fn replay(&mut self) {
        self.replayed = Some(0);
    }

    /// Records values, or returns those that were recorded in their place.
    ///
    /// # Panics
    /// If a pass that replays holds more values than the one that recorded, or of other sizes.
    pub(super) fn hold<E: Real>(&mut self, values: Vec<E>) -> Vec<E> {
        let Some(at) = self.replayed else {
            self.values.push(values.iter().map(|value| value.f64()).collect());
            return values;
        };
        let held = self.values.get(at).filter(|held| held.len() == values.len());
        let held = held.expect("every pass of a check holds the same values fixed");
        self.replayed = Some(at + 1);
        held.iter().map(|value| E::of(*value)).collect()
    }
}
