//! `train.optimizer`: how parameters move along their gradients.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::numbers::{Decay, Positive, valid};
use super::settings::{Settings, schema_of};
use super::train::Parsed;

/// How parameters move along their gradients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimizer {
    /// Adam.
    Adam(Adam),
    /// Stochastic gradient descent with momentum.
    Sgd(Sgd),
}

/// Adam, bias-corrected, eps outside the root, no decay. Source: arXiv:1412.6980, algorithm 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Adam {
    /// Learning rate.
    #[serde(default = "Adam::default_lr")]
    pub lr: Positive,
    /// Decay rate of the running mean of gradients.
    #[serde(default = "Adam::default_beta1")]
    pub beta1: Decay,
    /// Decay rate of the running mean of squared gradients.
    #[serde(default = "Adam::default_beta2")]
    pub beta2: Decay,
    /// Added to the root of the second moment.
    #[serde(default = "Adam::default_eps")]
    pub eps: Positive,
}

/// Stochastic gradient descent with momentum: v ← momentum · v + g, w ← w − lr · v.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sgd {
    /// Learning rate.
    #[serde(default = "Sgd::default_lr")]
    pub lr: Positive,
    /// Decay rate of the velocity; 0 is plain gradient descent.
    #[serde(default = "Sgd::default_momentum")]
    pub momentum: Decay,
}

impl Adam {
    fn default_lr() -> Positive {
        valid(1e-3)
    }

    fn default_beta1() -> Decay {
        valid(0.9)
    }

    fn default_beta2() -> Decay {
        valid(0.999)
    }

    fn default_eps() -> Positive {
        valid(1e-8)
    }
}

impl Default for Adam {
    fn default() -> Self {
        Self {
            lr: Self::default_lr(),
            beta1: Self::default_beta1(),
            beta2: Self::default_beta2(),
            eps: Self::default_eps(),
        }
    }
}

impl Sgd {
    fn default_lr() -> Positive {
        valid(1e-2)
    }

    fn default_momentum() -> Decay {
        valid(0.9)
    }
}

impl Optimizer {
    pub(super) const KINDS: &[&str] = &["adam", "sgd"];

    /// The learning rate before its schedule.
    pub const fn lr(&self) -> f64 {
        match self {
            Self::Adam(adam) => adam.lr.get(),
            Self::Sgd(sgd) => sgd.lr.get(),
        }
    }

    /// The schemas of the kinds.
    pub(super) fn schemas() -> [Json; 2] {
        [schema_of::<Adam>(), schema_of::<Sgd>()]
    }

    pub(super) fn read(kind: &str, settings: &Settings) -> Option<Parsed<Self>> {
        match kind {
            "adam" => Some(settings.read().map(Self::Adam)),
            "sgd" => Some(settings.read().map(Self::Sgd)),
            _ => None,
        }
    }
}
