//! Gated: whether a latent is active and how much are two functions of one product of the encoder.

use dfdx::prelude::{BroadcastTo, HasShape, Rank0, SumTo};
use framework::dims::{Batch, Latent};
use framework::linkme::distributed_slice;
use framework::model::{Declaration, Init, Pass, Real, Step, Traced, tensor, values};
use framework::plugin::{
    ALIASES, Activation, Alias, CodeFacts, CodeRange, FusedPenalty, GateTerms, Meant, Offer,
    PENALTIES, Penalize, Penalty, Plugin, StrengthKey, Term, Unfit,
};
use framework::spec::numbers::Strength;
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Names of the parameters.
const R: &str = "r";
const B_MAG: &str = "b_mag";

/// Names of the terms.
const L1: &str = "gated_l1";
const RECONSTRUCTION: &str = "gated_reconstruction";

/// The code is 1[z > 0] · max(0, exp(r) · (z − b) + b_mag), z the pre-code and b the encoder's bias in it; `r` and
/// `b_mag` are learnt, one number for each latent, and start at 0. The gate 1[z > 0] has no gradient, so max(0, z)
/// learns by two terms: `gated_l1`, `lambda` times the mean over samples of its sum over latents, and
/// `gated_reconstruction`, the mean over samples of the squared error of decoding it with the decoder's weights and
/// biases held fixed, which does not warm up. Codes are those of `activation = "identity"`.
///
/// Source: Rajamanoharan et al. 2024, Improving Dictionary Learning with Gated Sparse Autoencoders, arXiv:2404.16014,
/// with decoder rows of norm 1 (`unit_norm`).
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Gated {
    /// Weight of `gated_l1` in the loss, whose reconstruction term sums over the input dimensions.
    lambda: Strength,
}

#[distributed_slice(PENALTIES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Penalty> = Plugin {
    name: "gated",
    about: "gates say which latents are active, magnitudes of their own how much; lambda times the L1 norm of the gates",
    example: "lambda = 0.1",
    build: |settings| Ok(Box::new(settings.read::<Gated>()?)),
    schema: schema_of::<Gated>,
};

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["gated-sae"],
    meant: Meant::Plugin { kind: "penalty", name: "gated" },
    about: "the penalty `gated` lets gates say which latents are active; the paper's decoder rows have norm 1",
    lines: "[architecture]\n\
            kind = \"dense\"\n\
            latents = 256\n\
            unit_norm = true\n\
            \n\
            [penalty]\n\
            kind = \"gated\"\n\
            lambda = 0.1",
};

impl<E: Real> Penalize<E> for Gated {
    fn constrain(
        &self,
        code: Traced<(Batch, Latent), E>,
        pass: &Pass<'_, E>,
    ) -> Traced<(Batch, Latent), E> {
        let shape = *code.shape();
        let own = |name| pass.own(name, (shape.1,));
        let gate = values(&code).iter().map(|z| E::of(f64::from(z.f64() > 0.0))).collect();
        let gate = pass.detached(&tensor(gate, shape).retaped());
        let product = code - pass.code_bias().broadcast_like(&shape);
        let scaled = product * own(R).exp().broadcast_like(&shape);
        (scaled + own(B_MAG).broadcast_like(&shape)).relu() * gate
    }

    fn penalize(&self, code: Traced<(Batch, Latent), E>, pass: &Pass<'_, E>) -> Vec<Term<E>> {
        let share = E::of(1.0 / code.shape().0.0 as f64);
        let gates = || pass.pre_code().relu();
        let error = pass.decode_held(gates()) - pass.target().clone();
        vec![
            Term::new(L1, gates().sum::<Rank0, _>() * share, self.lambda.get()),
            Term::new(RECONSTRUCTION, error.square().sum::<Rank0, _>() * share, 1.0).at_once(),
        ]
    }
}

impl Penalty for Gated {
    fn strength(&self) -> Option<StrengthKey> {
        Some(StrengthKey::Weight("lambda"))
    }

    fn activation(&self) -> Option<Activation> {
        Some(Activation::Identity)
    }

    fn fits(&self, code: &CodeFacts) -> Result<(), Unfit> {
        if code.range != CodeRange::Real {
            let message = "it makes codes of what stands before the activation, so it needs \
                           `activation = \"identity\"`";
            return Err(Unfit::new("kind", message));
        }
        code.needs("kind", Offer::Dictionary)?;
        code.needs("kind", Offer::CodeBias)
    }

    fn leaves_zeros(&self) -> bool {
        true
    }

    fn fused(&self, _: &Step<'_>, _: usize) -> Option<FusedPenalty<'_>> {
        Some(FusedPenalty::Gates(GateTerms {
            scale: R,
            shift: B_MAG,
            sum: (L1, self.lambda.get()),
            reconstruction: (RECONSTRUCTION, 1.0),
        }))
    }

    fn parameters(&self, Latent(latents): Latent) -> Vec<Declaration> {
        let own = |name| Declaration::new(name, [latents], Init::Zeros).by_latent(0);
        vec![own(R), own(B_MAG)]
    }
}
