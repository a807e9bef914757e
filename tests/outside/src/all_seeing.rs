//! All-seeing: a penalty that looks at everything a pass offers beside the code. Its terms are means over
//! samples of Σⱼ hⱼ² ‖dⱼ‖², of ‖∂h/∂x‖²_F, of ‖x̂‖², and of ‖e − ê‖², where the error e = x − x̂ is held fixed and
//! ê is what half the code decodes to without bias. The reconstruction counts half.

use dfdx::prelude::{Axis, BroadcastTo, HasShape, Rank0, SumTo, WithEmptyTape};
use framework::dims::{Batch, Latent};
use framework::linkme::distributed_slice;
use framework::model::{Pass, Real, Traced};
use framework::plugin::{
    CodeFacts, Offer, PENALTIES, Penalize, Penalty, Plugin, StrengthKey, Term, Unfit,
};
use framework::spec::numbers::Strength;
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AllSeeing {
    /// Weight of every term in the loss.
    lambda: Strength,
}

#[distributed_slice(PENALTIES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Penalty> = Plugin {
    name: "all-seeing",
    about: "lambda times terms of all that a penalty can see",
    example: "lambda = 0.1",
    build: |settings| Ok(Box::new(settings.read::<AllSeeing>()?)),
    schema: schema_of::<AllSeeing>,
};

impl<E: Real> Penalize<E> for AllSeeing {
    fn penalize(&self, code: Traced<(Batch, Latent), E>, pass: &Pass<'_, E>) -> Vec<Term<E>> {
        let shape = *code.shape();
        let norms = pass.dictionary().square().sum::<(Latent,), Axis<1>>().broadcast_like(&shape);
        let rows = (code.with_empty_tape().square() * norms).sum::<Rank0, _>();
        let jacobian = pass.jacobian_norm().sum::<Rank0, _>();
        let size = pass.x_hat().square().sum::<Rank0, _>();
        let error = pass.detached(&(pass.x_hat().negate() + pass.target().clone()));
        let explained = pass.decode_without_bias(code * E::of(0.5));
        let error = (error - explained).square().sum::<Rank0, _>();
        let mean = |value| value * E::of(1.0 / shape.0.0 as f64);
        let term = |name, value| Term::new(name, mean(value), self.lambda.get());
        vec![
            term("rows", rows),
            term("jacobian", jacobian),
            term("size", size),
            term("error", error).at_once(),
        ]
    }
}

impl Penalty for AllSeeing {
    fn is_soft(&self) -> bool {
        true
    }

    fn fits(&self, code: &CodeFacts) -> Result<(), Unfit> {
        let offers = [Offer::Dictionary, Offer::Jacobian, Offer::DecodeWithoutBias];
        offers.into_iter().try_for_each(|offer| code.needs("lambda", offer))
    }

    fn reconstruction_weight(&self) -> f64 {
        0.5
    }

    fn strength(&self) -> Option<StrengthKey> {
        Some(StrengthKey::Weight("lambda"))
    }
}
