//! Contractive: codes that change little where samples do.

use dfdx::prelude::{HasShape, Rank0, SumTo};
use framework::dims::{Batch, Latent};
use framework::linkme::distributed_slice;
use framework::model::{Pass, Real, Side, Step, Traced};
use framework::plugin::{
    ALIASES, AUXILIARIES, Alias, Auxiliary, AuxiliaryTerms, CodeColumn, CodeFacts, CodeRange,
    ColumnTerm, FusedAuxiliary, Meant, Offer, PerColumn, Plugin, Term, Unfit, sum_of, vectorized,
};
use framework::spec::numbers::Strength;
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `lambda` times the mean over samples of ‖∂h/∂x‖²_F, where h is the code after its activation, before a
/// penalty constrains it.
///
/// Source: Rifai et al. 2011, Contractive Auto-Encoders, section 3.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Contractive {
    /// Weight of the term in the loss.
    lambda: Strength,
}

#[distributed_slice(AUXILIARIES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Auxiliary> = Plugin {
    name: "contractive",
    about: "lambda times the squared norm of the encoder's Jacobian",
    example: "lambda = 0.1",
    build: |settings| Ok(Box::new(settings.read::<Contractive>()?)),
    schema: schema_of::<Contractive>,
};

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["cae", "contractive-autoencoder", "jacobian", "frobenius"],
    meant: Meant::Plugin { kind: "auxiliary", name: "contractive" },
    about: "CAE is a convolutional autoencoder, the architecture `convolutional`, or a contractive one: an architecture \
            with the auxiliary `contractive`",
    lines: "[[auxiliary]]\n\
            kind = \"contractive\"\n\
            lambda = 0.1",
};

impl<E: Real> AuxiliaryTerms<E> for Contractive {
    fn terms(&self, _: Traced<(Batch, Latent), E>, pass: &Pass<'_, E>) -> Vec<Term<E>> {
        let norms = pass.jacobian_norm();
        let (batch,) = *norms.shape();
        let value = norms.sum::<Rank0, _>() * E::of(1.0 / batch.0 as f64);
        vec![Term::new("contractive", value, self.lambda.get())]
    }
}

impl Auxiliary for Contractive {
    fn fits(&self, code: &CodeFacts) -> Result<(), Unfit> {
        code.needs("kind", Offer::Jacobian)
    }

    fn fused(&self, _: &Step<'_>, _: usize) -> Option<FusedAuxiliary<'_>> {
        Some(FusedAuxiliary::PerColumn(self.lambda.get(), self))
    }
}

/// Of a dense encoder: Σⱼ φ'(zⱼ)² ‖wⱼ‖², wⱼ the latent's row.
impl PerColumn for Contractive {
    fn row(&self) -> Option<Side> {
        Some(Side::Encoder)
    }

    fn is_before_constraint(&self) -> bool {
        true
    }

    fn value(&self, column: CodeColumn<'_>, gradient: &mut [f32]) -> ColumnTerm {
        let CodeColumn { values, range, norm, .. } = column;
        let scale = (norm * norm) as f32;
        // φ' by h, and the derivative of its square.
        let squares = vectorized(|| match range {
            CodeRange::Real => squared_slopes(values, scale, gradient, |_| (1.0, 0.0)),
            CodeRange::NonNegative => {
                squared_slopes(values, scale, gradient, |h| (f32::from(h > 0.0), 0.0))
            }
            CodeRange::Unit => squared_slopes(values, scale, gradient, |h| {
                let slope = h * (1.0 - h);
                (slope, 2.0 * slope * (1.0 - 2.0 * h))
            }),
            CodeRange::Symmetric => squared_slopes(values, scale, gradient, |h| {
                let slope = 1.0 - h * h;
                (slope, -4.0 * slope * h)
            }),
        });
        ColumnTerm { value: squares * norm * norm, by_norm: 2.0 * squares * norm }
    }
}

/// The sum of the squares of slopes; `scale` times the derivatives of the squares goes to `gradient`.
#[inline(always)]
fn squared_slopes(
    values: &[f32],
    scale: f32,
    gradient: &mut [f32],
    slope: impl Fn(f32) -> (f32, f32),
) -> f64 {
    for (gradient, value) in gradient.iter_mut().zip(values) {
        *gradient = scale * slope(*value).1;
    }
    sum_of(values, |value| slope(value).0.powi(2))
}

#[cfg(test)]
mod tests {
    use framework::plugin::BatchClasses;

    use super::*;

    fn of(range: CodeRange, values: &[f32]) -> (ColumnTerm, Vec<f32>) {
        let contractive = Contractive { lambda: Strength::try_from(1.0).unwrap() };
        let classes = &BatchClasses::default();
        let column = CodeColumn { values, samples: None, range, norm: 3.0, classes };
        let mut gradient = vec![f32::NAN; values.len()];
        let found = contractive.value(column, &mut gradient);
        (found, gradient)
    }

    /// Wrong if a slope or its derivative were another than by hand. At 1/2 a sigmoid is steepest, and its slope
    /// does not change.
    #[test]
    fn squared_slopes_are_as_computed_by_hand() {
        let term = |sum: f64| ColumnTerm { value: 9.0 * sum, by_norm: 6.0 * sum };
        assert_eq!(of(CodeRange::Real, &[-2.0, 0.0]), (term(2.0), vec![0.0, 0.0]));
        assert_eq!(of(CodeRange::NonNegative, &[2.0, 0.0]), (term(1.0), vec![0.0, 0.0]));
        // h(1 - h) is 1/4 and 3/16; the derivative of its square at 1/4 is 2 · 3/16 · 1/2.
        let unit = of(CodeRange::Unit, &[0.5, 0.25]);
        assert_eq!(unit, (term(1.0 / 16.0 + 9.0 / 256.0), vec![0.0, 9.0 * 3.0 / 16.0]));
        // 1 - h² is 3/4, and the derivative of its square -4 · 3/4 · 1/2.
        assert_eq!(of(CodeRange::Symmetric, &[0.5]), (term(9.0 / 16.0), vec![9.0 * -1.5]));
    }
}
