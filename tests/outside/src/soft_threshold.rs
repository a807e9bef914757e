//! Soft threshold: each latent has a threshold of its own, which is learnt. A code is let through
//! by h ↦ h · σ((h − threshold) / width), and its softened number of active latents,
//! Σⱼ σ((hⱼ − thresholdⱼ) / width), costs `lambda` as a mean over samples.
//!
//! Everything is smooth, so that thresholds have true gradients.

use dfdx::prelude::{BroadcastTo, HasShape, Rank0, SumTo, WithEmptyTape};
use framework::dims::{Batch, Latent};
use framework::linkme::distributed_slice;
use framework::model::{Declaration, Init, Pass, Real, Traced};
use framework::plugin::{
    ALIASES, Alias, Meant, PENALTIES, Penalize, Penalty, Plugin, StrengthKey, Term,
};
use framework::spec::numbers::{Positive, Strength};
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SoftThreshold {
    /// Weight of the penalty in the loss.
    lambda: Strength,
    /// How far above its threshold a latent counts as on by about three quarters.
    #[serde(default = "quarter")]
    width: Positive,
    /// Where every threshold starts.
    #[serde(default)]
    start: f64,
}

fn quarter() -> Positive {
    Positive::try_from(0.25).expect("a quarter is positive")
}

#[distributed_slice(PENALTIES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Penalty> = Plugin {
    name: "soft-threshold",
    about: "lambda times the softened count of latents above thresholds that are learnt",
    example: "lambda = 0.1",
    build: |settings| Ok(Box::new(settings.read::<SoftThreshold>()?)),
    schema: schema_of::<SoftThreshold>,
};

/// Words under which people look for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["soft-shrink", "learnt-threshold"],
    meant: Meant::Plugin { kind: "penalty", name: "soft-threshold" },
    about: "soft shrinkage with learnt thresholds is the penalty `soft-threshold`",
    lines: "[penalty]\nkind = \"soft-threshold\"\nlambda = 0.1",
};

impl SoftThreshold {
    /// How far each latent is on, 0 to 1, [batch, latents].
    fn gate<E: Real>(
        &self,
        code: Traced<(Batch, Latent), E>,
        pass: &Pass<'_, E>,
    ) -> Traced<(Batch, Latent), E> {
        let shape = *code.shape();
        let threshold = pass.own("threshold", (shape.1,)).broadcast_like(&shape);
        ((code - threshold) * E::of(1.0 / self.width.get())).sigmoid()
    }
}

impl<E: Real> Penalize<E> for SoftThreshold {
    fn constrain(
        &self,
        code: Traced<(Batch, Latent), E>,
        pass: &Pass<'_, E>,
    ) -> Traced<(Batch, Latent), E> {
        let gate = self.gate(code.with_empty_tape(), pass);
        code * gate
    }

    fn penalize(&self, code: Traced<(Batch, Latent), E>, pass: &Pass<'_, E>) -> Vec<Term<E>> {
        let Batch(batch) = code.shape().0;
        let value = self.gate(code, pass).sum::<Rank0, _>() * E::of(1.0 / batch as f64);
        vec![Term::new("soft_threshold", value, self.lambda.get())]
    }
}

impl Penalty for SoftThreshold {
    /// A code far below its threshold is close to 0, whatever its magnitude.
    fn treats_signs_alike(&self) -> bool {
        false
    }

    fn strength(&self) -> Option<StrengthKey> {
        Some(StrengthKey::Weight("lambda"))
    }

    fn parameters(&self, Latent(latents): Latent) -> Vec<Declaration> {
        vec![Declaration::new("threshold", [latents], Init::Constant(self.start))]
    }
}
