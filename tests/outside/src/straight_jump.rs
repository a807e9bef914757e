//! Straight jump: a code passes where it exceeds a threshold of its latent, h ↦ h · 1[h > θⱼ], and the number of
//! codes that pass costs `lambda` as a mean over samples.
//!
//! A step has no gradient, so thresholds learn through straight-through estimators with a box of width ε around
//! the threshold: ∂h/∂θ = −(θ/ε) · 1[|h − θ| < ε/2] and ∂1[h > θ]/∂θ = −(1/ε) · 1[|h − θ| < ε/2].
//! Source: Rajamanoharan et al. 2024, arXiv:2407.14435, section 3.

use dfdx::prelude::{BroadcastTo, HasShape, Rank0, SumTo, WithEmptyTape};
use framework::dims::{Batch, Latent};
use framework::linkme::distributed_slice;
use framework::model::{Declaration, Init, Pass, Real, Traced, tensor, values};
use framework::plugin::{PENALTIES, Penalize, Penalty, Plugin, StrengthKey, Term};
use framework::spec::numbers::{Positive, Strength};
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StraightJump {
    /// Weight of the penalty in the loss.
    lambda: Strength,
    /// Start of every threshold.
    #[serde(default = "tenth")]
    theta: Positive,
    /// Width of the box around a threshold in which it learns.
    #[serde(default = "one")]
    bandwidth: Positive,
}

fn tenth() -> Positive {
    Positive::try_from(0.1).expect("a tenth is positive")
}

fn one() -> Positive {
    Positive::try_from(1.0).expect("1 is positive")
}

#[distributed_slice(PENALTIES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Penalty> = Plugin {
    name: "straight-jump",
    about: "lambda times the count of codes above thresholds that learn straight through",
    example: "lambda = 0.1",
    build: |settings| Ok(Box::new(settings.read::<StraightJump>()?)),
    schema: schema_of::<StraightJump>,
};

/// Thresholds and where codes stand to them, [batch, latents].
struct Gate<E: Real> {
    theta: Traced<(Batch, Latent), E>,
    /// 1 where a code exceeds its threshold.
    open: Traced<(Batch, Latent), E>,
    /// 1/ε where a code is within ε/2 of its threshold.
    near: Traced<(Batch, Latent), E>,
}

impl StraightJump {
    fn gate<E: Real>(&self, code: &Traced<(Batch, Latent), E>, pass: &Pass<'_, E>) -> Gate<E> {
        let (shape, width) = (*code.shape(), self.bandwidth.get());
        let theta = pass.own("theta", (shape.1,)).broadcast_like(&shape);
        let above: Vec<f64> = values(code)
            .iter()
            .zip(values(&theta))
            .map(|(code, theta)| code.f64() - theta.f64())
            .collect();
        let each = |f: &dyn Fn(f64) -> f64| {
            let values = above.iter().map(|above| E::of(f(*above))).collect();
            pass.detached(&tensor(values, shape).retaped())
        };
        let open = each(&|above| f64::from(u8::from(above > 0.0)));
        let near = each(&|above| if above.abs() < width / 2.0 { 1.0 / width } else { 0.0 });
        Gate { theta, open, near }
    }
}

impl<E: Real> Penalize<E> for StraightJump {
    fn constrain(
        &self,
        code: Traced<(Batch, Latent), E>,
        pass: &Pass<'_, E>,
    ) -> Traced<(Batch, Latent), E> {
        let Gate { theta, open, near } = self.gate(&code, pass);
        let jumped = code * open;
        let slope = pass.detached(&(theta.with_empty_tape() * near));
        let value = jumped.with_empty_tape();
        pass.with_gradient_of(&value, jumped - theta * slope)
    }

    fn penalize(&self, code: Traced<(Batch, Latent), E>, pass: &Pass<'_, E>) -> Vec<Term<E>> {
        let Batch(batch) = code.shape().0;
        let Gate { theta, open, near } = self.gate(&code, pass);
        let count = pass.with_gradient_of(&open, theta * near * E::of(-1.0));
        let value = count.sum::<Rank0, _>() * E::of(1.0 / batch as f64);
        vec![Term::new("straight_jump", value, self.lambda.get())]
    }
}

impl Penalty for StraightJump {
    fn strength(&self) -> Option<StrengthKey> {
        Some(StrengthKey::Weight("lambda"))
    }

    fn leaves_zeros(&self) -> bool {
        true
    }

    fn parameters(&self, Latent(latents): Latent) -> Vec<Declaration> {
        let theta = Declaration::new("theta", [latents], Init::Constant(self.theta.get()));
        vec![theta.by_latent(0)]
    }
}
