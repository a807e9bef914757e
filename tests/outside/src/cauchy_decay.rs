//! Cauchy decay: a term of the weights whose slope vanishes for large ones, `lambda` Σ ln(1 + w²).

use dfdx::prelude::{Rank0, SumTo};
use framework::dims::{Batch, Latent};
use framework::linkme::distributed_slice;
use framework::model::{Pass, Real, Side, Step, Traced};
use framework::plugin::{
    AUXILIARIES, Auxiliary, AuxiliaryTerms, FusedAuxiliary, Plugin, Term, WeightTerm, sum_of,
};
use framework::spec::numbers::Strength;
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CauchyDecay {
    /// Weight of the term in the loss.
    lambda: Strength,
}

#[distributed_slice(AUXILIARIES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Auxiliary> = Plugin {
    name: "cauchy-decay",
    about: "lambda times the sum of ln(1 + w²) over the decoder's weights",
    example: "lambda = 0.01",
    build: |settings| Ok(Box::new(settings.read::<CauchyDecay>()?)),
    schema: schema_of::<CauchyDecay>,
};

impl<E: Real> AuxiliaryTerms<E> for CauchyDecay {
    fn terms(&self, _: Traced<(Batch, Latent), E>, pass: &Pass<'_, E>) -> Vec<Term<E>> {
        let weights = pass.weights().matrices(Side::Decoder).into_iter();
        let terms = weights.map(|weights| (weights.square() + E::of(1.0)).ln().sum::<Rank0, _>());
        let value = terms.reduce(|sum, term| sum + term);
        value.map(|value| Term::new("cauchy", value, self.lambda.get())).into_iter().collect()
    }
}

impl Auxiliary for CauchyDecay {
    fn fused(&self, _: &Step<'_>, _: usize) -> Option<FusedAuxiliary<'_>> {
        Some(FusedAuxiliary::Weights(self.lambda.get(), self))
    }
}

impl WeightTerm for CauchyDecay {
    fn side(&self) -> Side {
        Side::Decoder
    }

    fn value(&self, weights: &[f32], weight: f32, gradient: &mut [f32]) -> f64 {
        for (slope, w) in gradient.iter_mut().zip(weights) {
            *slope += weight * 2.0 * w / (1.0 + w * w);
        }
        sum_of(weights, |w| (w * w).ln_1p())
    }
}
