//! The setting `train.objective`: how a reconstruction is compared with its target.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What training minimizes beside the penalty: a sum over inputs, its mean over the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TrainObjective {
    /// The squared error (x̂ − x)².
    #[default]
    Squared,
    /// The absolute error |x̂ − x|; its slope at 0 is 0.
    Absolute,
    /// The cross-entropy of x̂ against x, −x ln x̂ − (1 − x) ln(1 − x̂). It needs a decoder that ends in a
    /// sigmoid and data within [0, 1].
    CrossEntropy,
}

impl TrainObjective {
    /// Every objective.
    pub const ALL: [Self; 3] = [Self::Squared, Self::Absolute, Self::CrossEntropy];

    /// Name in experiment files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Squared => "squared",
            Self::Absolute => "absolute",
            Self::CrossEntropy => "cross-entropy",
        }
    }
}
