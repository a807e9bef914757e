//! KL.
//!
//! The sum over latents is not divided by the batch: rho_hat is a mean over it already. At and
//! beyond the clip the gradient is 0, so a latent that is on for every sample is not pulled back;
//! in f32 the last part before the upper clip is coarse, since 1 − rho_hat is.

use dfdx::prelude::{Axis, MeanTo, Rank0, SumTo, WithEmptyTape};
use framework::dims::{Batch, Latent};
use framework::linkme::distributed_slice;
use framework::model::{Pass, Real, Step, Traced};
use framework::plugin::{
    ALIASES, Alias, CodeFacts, CodeRange, FusedPenalty, Meant, Offer, PENALTIES, Penalize, Penalty,
    PerLatent, Plugin, StrengthKey, Term, Unfit,
};
use framework::search::MeanPull;
use framework::spec::numbers::{Rate, Strength};
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Measured rates are kept this far from 0 and 1, where the divergence is infinite.
const CLIP: f64 = 1e-6;

/// `beta` times Σⱼ [rho ln(rho / rho_hatⱼ) + (1 − rho) ln((1 − rho) / (1 − rho_hatⱼ))], where
/// rho_hatⱼ is the mean of latent j over the batch, clipped to [1e-6, 1 − 1e-6]. Tanh codes are first
/// rescaled to probabilities: (1 + mean) / 2.
///
/// Source: Ng, CS294A lecture notes, section 3 and its remark on tanh units.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct KlSettings {
    /// Target rate of each latent: the mean activation it is pulled to (of tanh codes, the target
    /// probability of the high state).
    rho: Rate,
    /// Weight of the penalty in the loss.
    beta: Strength,
}

struct Kl(KlSettings);

#[distributed_slice(PENALTIES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Penalty> = Plugin {
    name: "kl",
    about: "beta times the divergence of each latent's mean activation from rho; sigmoid or tanh codes",
    example: "rho = 0.05\nbeta = 0.1",
    build: |settings| Ok(Box::new(Kl(settings.read()?))),
    schema: schema_of::<KlSettings>,
};

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["kl-divergence", "kl-sparsity", "sparsity-proportion", "sparsity-regularization"],
    meant: Meant::Plugin { kind: "penalty", name: "kl" },
    about: "the penalty `kl`: `rho` is the sparsity proportion, `beta` the weight; codes are sigmoid or tanh",
    lines: "[architecture]\n\
            kind = \"dense\"\n\
            latents = 256\n\
            activation = \"sigmoid\"\n\
            [penalty]\n\
            kind = \"kl\"\n\
            rho = 0.05\n\
            beta = 0.1",
};

impl<E: Real> Penalize<E> for Kl {
    fn penalize(&self, code: Traced<(Batch, Latent), E>, pass: &Pass<'_, E>) -> Vec<Term<E>> {
        let (rho, beta) = (self.0.rho.get(), self.0.beta.get());
        let mean = code.mean::<(Latent,), Axis<0>>();
        let rho_hat = match pass.code_range {
            CodeRange::Symmetric => (mean + E::of(1.0)) * E::of(0.5),
            _ => mean,
        };
        let rho_hat = rho_hat.clamp(CLIP, 1.0 - CLIP);
        let off = rho_hat.with_empty_tape().negate() + E::of(1.0);
        let on = rho_hat.ln() * E::of(-rho);
        let cross_entropy = on + off.ln() * E::of(rho - 1.0);
        let entropy = -rho * rho.ln() - (1.0 - rho) * (1.0 - rho).ln();
        let value = (cross_entropy - E::of(entropy)).sum::<Rank0, _>();
        vec![Term::new("kl", value, beta)]
    }
}

impl Penalty for Kl {
    fn is_soft(&self) -> bool {
        true
    }

    fn strength(&self) -> Option<StrengthKey> {
        Some(StrengthKey::Weight("beta"))
    }

    fn pulls_mean_to(&self) -> Option<MeanPull> {
        Some(MeanPull { key: "rho", to: self.0.rho.get() })
    }

    /// Tanh codes are pulled to −1, which is "off".
    fn treats_signs_alike(&self) -> bool {
        false
    }

    fn fused(&self, _: &Step<'_>, _: usize) -> Option<FusedPenalty<'_>> {
        Some(FusedPenalty::PerLatent { name: "kl", weight: self.0.beta.get(), term: self })
    }

    fn fits(&self, code: &CodeFacts) -> Result<(), Unfit> {
        match code.range {
            CodeRange::Unit | CodeRange::Symmetric => Ok(()),
            CodeRange::Real | CodeRange::NonNegative => {
                let fits = match code.offers.contains(&Offer::Prior) {
                    true => {
                        "codes that are drawn are never bounded, so no setting of this architecture fits"
                    }
                    false => "`activation = \"sigmoid\"` in [architecture] fits",
                };
                let message = format!(
                    "the mean of a latent must be a rate, so codes lie between 0 and 1 (sigmoid) or -1 and 1 (tanh); \
                     relu and identity codes have no upper bound; {fits}"
                );
                Err(Unfit::new("kind", message))
            }
        }
    }
}

impl PerLatent for Kl {
    fn value(&self, mean: f64, range: CodeRange) -> (f64, f64) {
        let rho = self.0.rho.get();
        let (rho_hat, scale) = match range {
            CodeRange::Symmetric => ((mean + 1.0) * 0.5, 0.5),
            _ => (mean, 1.0),
        };
        let is_clipped = rho_hat <= CLIP || rho_hat >= 1.0 - CLIP;
        let rho_hat = rho_hat.clamp(CLIP, 1.0 - CLIP);
        let value = rho * (rho / rho_hat).ln() + (1.0 - rho) * ((1.0 - rho) / (1.0 - rho_hat)).ln();
        let slope = (1.0 - rho) / (1.0 - rho_hat) - rho / rho_hat;
        (value, if is_clipped { 0.0 } else { scale * slope })
    }
}
