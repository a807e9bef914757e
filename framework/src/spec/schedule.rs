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
    /// It stays after the warm-up, and falls linearly at the end.
    Linear(Linear),
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

/// The learning rate stays as it is, after a linear warm-up, and falls linearly over the last steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    /// Steps over which the rate rises linearly to its full value.
    #[serde(default)]
    pub warmup_steps: usize,
    /// The share of the rate that is left at the end.
    #[serde(default = "Linear::default_end")]
    pub end: Share,
    /// The share of the steps, counted from the last, over which the rate falls.
    #[serde(default = "Linear::default_decay")]
    pub decay: Share,
}

impl Linear {
    fn default_end() -> Share {
        valid(0.0)
    }

    fn default_decay() -> Share {
        valid(0.2)
    }

    /// The factor of the rate after the warm-up. A warm-up that lasts into the fall shortens it.
    fn factor(&self, step: usize, steps: usize) -> f64 {
        let (step, end) = (step as f64, self.end.get());
        let start = (steps as f64 * (1.0 - self.decay.get())).max(self.warmup_steps as f64);
        if step <= start {
            return 1.0;
        }
        let done = ((step - start) / (steps as f64 - start)).min(1.0);
        1.0 - (1.0 - end) * done
    }
}

impl Cosine {
    fn default_end() -> Share {
        valid(0.0)
    }
}

impl Schedule {
    pub(super) const KINDS: &[&str] = &["constant", "cosine", "linear"];

    /// The schemas of the kinds.
    pub(super) fn schemas() -> [Json; 3] {
        [schema_of::<Constant>(), schema_of::<Cosine>(), schema_of::<Linear>()]
    }

    pub(super) fn read(kind: &str, settings: &Settings) -> Option<Parsed<Self>> {
        match kind {
            "constant" => Some(settings.read().map(Self::Constant)),
            "cosine" => Some(settings.read().map(Self::Cosine)),
            "linear" => Some(settings.read().map(Self::Linear)),
            _ => None,
        }
    }

    /// The factor of the learning rate at a step, counted from 0, of `steps` in all.
    pub fn factor(&self, step: usize, steps: usize) -> f64 {
        let warmup = match self {
            Self::Constant(constant) => constant.warmup_steps,
            Self::Cosine(cosine) => cosine.warmup_steps,
            Self::Linear(linear) => linear.warmup_steps,
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
            Self::Linear(linear) => linear.factor(step, steps),
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
    /// Wrong if the rate fell before the last `decay` share of the steps, by another law than a line, or to
    /// another end.
    #[test]
    fn the_line_falls_over_the_last_share_of_the_steps() {
        let linear = |warmup_steps, end, decay| {
            let (end, decay) = (valid(end), valid(decay));
            Schedule::Linear(Linear { warmup_steps, end, decay })
        };
        let plain = linear(4, 0.1, 0.2);
        assert_eq!(plain.factor(1, 100), 0.5, "it warms up");
        assert_eq!([4, 50, 80].map(|step| plain.factor(step, 100)), [1.0; 3]);
        assert!((plain.factor(90, 100) - 0.55).abs() < 1e-12);
        assert!((plain.factor(100, 100) - 0.1).abs() < 1e-12);
        assert!((linear(0, 0.0, 1.0).factor(25, 100) - 0.75).abs() < 1e-12);
        assert!((0..10).all(|step| linear(0, 0.0, 0.0).factor(step, 10) == 1.0), "no fall");
        let overlapping = linear(90, 0.0, 0.2);
        assert_eq!(overlapping.factor(90, 100), 1.0, "no jump after the warm-up");
        assert!((overlapping.factor(95, 100) - 0.5).abs() < 1e-12);
    }
}
