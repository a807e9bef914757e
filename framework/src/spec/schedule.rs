//! `train.schedule`: how the learning rate changes over the run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::numbers::{Share, valid};
use super::settings::{Settings, schema_of};
use super::train::Parsed;

/// How the learning rate changes over the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Schedule {
    /// It stays, after the warm-up.
    Constant(Constant),
    /// It falls along half a cosine, after the warm-up.
    Cosine(Cosine),
}

/// The learning rate stays as it is, after a linear warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Constant {
    /// Steps over which the rate rises linearly to its full value.
    #[serde(default)]
    pub warmup_steps: usize,
}

/// The learning rate falls along half a cosine, after a linear warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cosine {
    /// Steps over which the rate rises linearly to its full value.
    #[serde(default)]
    pub warmup_steps: usize,
    /// The share of the rate that is left at the end.
    #[serde(default = "Cosine::default_end")]
    pub end: Share,
}

impl Cosine {
    fn default_end() -> Share {
        valid(0.0)
    }
}

impl Schedule {
    pub(super) const KINDS: &[&str] = &["constant", "cosine"];

    /// The schemas of the kinds.
    pub(super) fn schemas() -> [Json; 2] {
        [schema_of::<Constant>(), schema_of::<Cosine>()]
    }

    pub(super) fn read(kind: &str, settings: &Settings) -> Option<Parsed<Self>> {
        match kind {
            "constant" => Some(settings.read().map(Self::Constant)),
            "cosine" => Some(settings.read().map(Self::Cosine)),
            _ => None,
        }
    }

    /// The factor of the learning rate at a step, counted from 0, of `steps` in all.
    pub fn factor(&self, step: usize, steps: usize) -> f64 {
        let warmup = match self {
            Self::Constant(constant) => constant.warmup_steps,
            Self::Cosine(cosine) => cosine.warmup_steps,
        };
        if step < warmup {
            return (step + 1) as f64 / warmup as f64;
        }
        match self {
            Self::Constant(_) => 1.0,
            Self::Cosine(cosine) => {
                let done = (step - warmup) as f64 / steps.saturating_sub(warmup).max(1) as f64;
                let end = cosine.end.get();
                end + (1.0 - end) * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cosine_starts_full_ends_at_its_end_and_warms_up_linearly() {
        let cosine = Schedule::Cosine(Cosine { warmup_steps: 4, end: valid(0.1) });
        assert_eq!(cosine.factor(0, 104), 0.25);
        assert_eq!(cosine.factor(3, 104), 1.0);
        assert_eq!(cosine.factor(4, 104), 1.0);
        assert!((cosine.factor(54, 104) - 0.55).abs() < 1e-12);
        assert!((cosine.factor(104, 104) - 0.1).abs() < 1e-12);
        assert_eq!(Schedule::Constant(Constant::default()).factor(77, 100), 1.0);
    }
}
