//! Weight decay: small weights, by a term of the loss or, decoupled from the gradient, after each step.

use dfdx::prelude::{Rank0, SumTo};
use framework::dims::{Batch, Latent};
use framework::linkme::distributed_slice;
use framework::model::{Pass, Real, Side, Step, Traced};
use framework::plugin::{
    ALIASES, AUXILIARIES, Alias, Auxiliary, AuxiliaryTerms, FusedAuxiliary, Meant, Plugin, Shrink,
    Term, WeightTerm, sum_of, vectorized,
};
use framework::spec::numbers::Strength;
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// (`lambda`/2) Σ w², or `lambda` Σ |w|, over weight matrices and kernels; biases and parameters of penalties
/// are left out, tied weights count once. It is added to the loss once a step, not divided by the batch.
///
/// Source: Krogh and Hertz 1991, A Simple Weight Decay Can Improve Generalization. Decoupled: Loshchilov and
/// Hutter 2019, Decoupled Weight Decay Regularization, arXiv:1711.05101.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WeightDecay {
    /// Weight of the term in the loss; decoupled, what the learning rate is multiplied by.
    lambda: Strength,
    /// Norm that is kept small: half the sum of squares, or the sum of absolute values.
    #[serde(default)]
    norm: Norm,
    /// Weights that count.
    #[serde(default)]
    of: Weights,
    /// Whether the loss has no such term and, after the optimizer's step, each weight w becomes
    /// w · (1 − lr · lambda), or for l1 sign(w) · max(|w| − lr · lambda, 0). Under Adam, a term of the loss
    /// moves a weight without other gradient by about the learning rate whatever lambda is, and leaves no exact
    /// zeros; this does.
    #[serde(default)]
    decoupled: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Norm {
    /// Half the sum of squares.
    #[default]
    L2,
    /// The sum of absolute values, of slope 0 at 0.
    L1,
}

#[derive(Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Weights {
    /// All weights.
    #[default]
    All,
    /// The encoder's.
    Encoder,
    /// The decoder's.
    Decoder,
}

#[distributed_slice(AUXILIARIES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Auxiliary> = Plugin {
    name: "weight-decay",
    about: "lambda times half the squared L2 norm, or the L1 norm, of the weights",
    example: "lambda = 0.001",
    build: |settings| Ok(Box::new(settings.read::<WeightDecay>()?)),
    schema: schema_of::<WeightDecay>,
};

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["l2", "ridge", "l2-regularization", "weight-regularization"],
    meant: Meant::Plugin { kind: "auxiliary", name: "weight-decay" },
    about: "L2 on weights is the auxiliary `weight-decay`",
    lines: "[[auxiliary]]\n\
            kind = \"weight-decay\"\n\
            lambda = 0.001",
};

/// And Adam with it, decoupled.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static ADAMW: Alias = Alias {
    words: &["adamw", "decoupled-weight-decay"],
    meant: Meant::Plugin { kind: "auxiliary", name: "weight-decay" },
    about: "AdamW is the optimizer `adam` with a `weight-decay` that is decoupled",
    lines: "[train]\n\
            optimizer = { kind = \"adam\", lr = 1e-3 }\n\
            [[auxiliary]]\n\
            kind = \"weight-decay\"\n\
            lambda = 0.01\n\
            decoupled = true",
};

impl WeightDecay {
    fn half(&self) -> Side {
        match self.of {
            Weights::All => Side::Both,
            Weights::Encoder => Side::Encoder,
            Weights::Decoder => Side::Decoder,
        }
    }
}

impl<E: Real> AuxiliaryTerms<E> for WeightDecay {
    fn terms(&self, _: Traced<(Batch, Latent), E>, pass: &Pass<'_, E>) -> Vec<Term<E>> {
        if self.decoupled {
            return Vec::new();
        }
        let norms =
            pass.weights().matrices(self.half()).into_iter().map(|weights| match self.norm {
                Norm::L2 => weights.square().sum::<Rank0, _>() * E::of(0.5),
                Norm::L1 => weights.abs().sum::<Rank0, _>(),
            });
        let value = norms.reduce(|sum, norm| sum + norm);
        value.map(|value| Term::new("norm", value, self.lambda.get())).into_iter().collect()
    }
}

impl Auxiliary for WeightDecay {
    fn fused(&self, _: &Step<'_>, _: usize) -> Option<FusedAuxiliary<'_>> {
        Some(match self.decoupled {
            true => FusedAuxiliary::Nothing,
            false => FusedAuxiliary::Weights(self.lambda.get(), self),
        })
    }

    fn shrinks(&self) -> Option<&dyn Shrink> {
        self.decoupled.then_some(self)
    }
}

impl WeightTerm for WeightDecay {
    fn side(&self) -> Side {
        self.half()
    }

    fn value(&self, weights: &[f32], weight: f32, gradient: &mut [f32]) -> f64 {
        let sums = gradient.iter_mut().zip(weights);
        vectorized(|| match self.norm {
            Norm::L2 => {
                sums.for_each(|(slope, w)| *slope += weight * w);
                sum_of(weights, |w| w * w) / 2.0
            }
            Norm::L1 => {
                // At 0 the slope is 0, as dfdx has it.
                sums.for_each(|(slope, w)| *slope += weight * sign(*w));
                sum_of(weights, f32::abs)
            }
        })
    }
}

impl Shrink for WeightDecay {
    fn side(&self) -> Side {
        self.half()
    }

    fn shrink(&self, lr: f32, weights: &mut [f32]) {
        let less = lr * self.lambda.get() as f32;
        vectorized(|| match self.norm {
            Norm::L2 => weights.iter_mut().for_each(|w| *w *= 1.0 - less),
            Norm::L1 => weights.iter_mut().for_each(|w| *w = sign(*w) * (w.abs() - less).max(0.0)),
        });
    }
}

/// −1, 0 or 1.
#[inline(always)]
fn sign(w: f32) -> f32 {
    f32::from(w > 0.0) - f32::from(w < 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decay(norm: Norm) -> WeightDecay {
        let lambda = Strength::try_from(0.5).unwrap();
        WeightDecay { lambda, norm, of: Weights::All, decoupled: true }
    }

    /// Wrong if a norm or its slope were another than by hand: 0 has slope 0.
    #[test]
    fn norms_and_slopes_are_as_computed_by_hand() {
        let weights = [3.0, 0.0, -4.0];
        for (norm, value, slopes) in
            [(Norm::L2, 12.5, [7.0, 1.0, -7.0]), (Norm::L1, 7.0, [3.0, 1.0, -1.0])]
        {
            let mut gradient = [1.0; 3];
            assert_eq!(decay(norm).value(&weights, 2.0, &mut gradient), value);
            assert_eq!(gradient, slopes);
        }
    }

    /// Wrong if l1 overshot zero or l2 were subtracted: the exact zeros are what it is for.
    #[test]
    fn decoupled_decay_scales_or_subtracts_down_to_exact_zeros() {
        let mut weights = [1.0, 0.04, -0.04, -1.0, 0.0];
        decay(Norm::L1).shrink(0.1, &mut weights);
        assert_eq!(weights, [0.95, 0.0, 0.0, -0.95, 0.0]);
        decay(Norm::L2).shrink(0.1, &mut weights);
        assert_eq!(weights, [0.95 * 0.95, 0.0, 0.0, -0.95 * 0.95, 0.0]);
    }
}
