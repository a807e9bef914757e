//! The statistics of a comparison.
//!
//! A method is measured at several settings, each with several seeds. What is random is the seed: so
//! intervals and tests are over seeds, and one seed says nothing about chance. Methods are compared at
//! the same L0 alone, by interpolation along their fronts.
//!
//! - [`interval`]: mean, standard deviation and interval of a few numbers.
//! - [`dictionaries`]: what the dictionaries of two seeds have in common.
//! - [`front`]: the settings of a method that no other one of it beats in both L0 and the metric.
//! - [`matched`]: methods at the same L0, pair by pair, with Holm's correction over all pairs.
//! - [`pca`]: the two directions in which codes differ most.
//!
//! Nothing here reads tables or knows what a penalty is.

pub mod dictionaries;
pub mod front;
pub mod interval;
pub mod matched;
pub mod pca;

/// Which values of a metric are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Errors, losses, shares of dead latents.
    Lower,
    /// Explained variance, accuracies.
    Higher,
}

impl Better {
    /// A value such that less is better.
    pub fn cost(self, value: f64) -> f64 {
        match self {
            Self::Lower => value,
            Self::Higher => -value,
        }
    }
}

/// What one run came to. Both numbers are finite: whoever makes one leaves out what is not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeedOutcome {
    /// The seed of the run.
    pub seed: u64,
    /// The mean number of active latents of a test sample.
    pub l0: f64,
    /// The metric.
    pub value: f64,
}

/// A method: its settings, each with the outcomes of its seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Method {
    /// What it is called.
    pub name: String,
    /// The runs of each setting.
    pub settings: Vec<Vec<SeedOutcome>>,
}
