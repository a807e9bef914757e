//! The statistics of a comparison.
//!
//! A method is measured at several settings, each with several seeds. Only the seed is random, so intervals
//! and tests are over seeds, and one seed says nothing about chance. Methods are compared only at the same
//! L0, by interpolation along their fronts.
//!
//! - [`chance`]: what dictionaries of random directions have in common.
//! - [`interval`]: mean, standard deviation and interval of a few numbers.
//! - [`dictionaries`]: similarity of the dictionaries of two seeds.
//! - [`front`]: settings of a method that none of its other settings beats in both L0 and the metric.
//! - [`matched`]: methods at the same L0, pair by pair, with Holm's correction over all pairs.
//! - [`pca`]: the two directions in which codes differ most.
//!
//! Nothing here reads tables or knows any penalty.

pub mod chance;
pub mod dictionaries;
pub mod front;
pub mod interval;
pub mod matched;
pub mod pca;

/// Direction in which the values of a metric are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Lower is better: errors, losses, shares of dead latents.
    Lower,
    /// Higher is better: explained variance, accuracies.
    Higher,
}

impl Better {
    /// Converts a value into a cost: lower is better.
    pub fn cost(self, value: f64) -> f64 {
        match self {
            Self::Lower => value,
            Self::Higher => -value,
        }
    }
}

/// Outcome of one run. Both numbers are finite; the caller leaves out other runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeedOutcome {
    /// Seed of the run.
    pub seed: u64,
    /// Mean number of active latents of a test sample, or what stands in its place.
    pub l0: f64,
    /// Value of the metric.
    pub value: f64,
}

/// A method: its settings, each with the outcomes of its seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Method {
    /// Name of the method.
    pub name: String,
    /// Outcomes of each setting, one a seed.
    pub settings: Vec<Vec<SeedOutcome>>,
}
