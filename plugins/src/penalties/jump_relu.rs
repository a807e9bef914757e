//! JumpReLU: a code passes where it exceeds a threshold of its latent. Thresholds learn straight through: what they
//! stand for has no gradient, so they have that of a box around them.

use dfdx::prelude::{BroadcastTo, HasShape, Rank0, SumTo};
use framework::dims::{Batch, Latent};
use framework::linkme::distributed_slice;
use framework::model::{
    Constraint, Declaration, Init, Pass, Real, Side, Step, Tensor, Traced, tensor, values,
};
use framework::plugin::{
    ALIASES, Activation, Alias, CodeColumn, CodeFacts, CodeRange, ColumnTerm, FusedPenalty, Meant,
    Offer, PENALTIES, Penalize, Penalty, PerColumn, PerCount, Plugin, StrengthKey, Term,
    ThresholdCost, Unfit,
};
use framework::spec::numbers::{Positive, Strength};
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::support::row_norms;

/// Name of the parameter that holds the thresholds.
const THETA: &str = "theta";

/// Name of the term.
const TERM: &str = "jump_relu";

/// What sizes are multiplied by before their tanh is taken.
const TANH_SCALE: f64 = 4.0;

/// hⱼ = zⱼ where zⱼ > θⱼ, and 0 elsewhere; zⱼ is the code after `activation = "identity"`. The thresholds θ, one a
/// latent, are parameters that never fall below 0. They learn straight through, from the codes within half a
/// `bandwidth` ε of them: ∂hⱼ/∂θⱼ = −(θⱼ/ε) · 1[|zⱼ − θⱼ| < ε/2] and ∂1[zⱼ > θⱼ]/∂θⱼ = −(1/ε) · 1[|zⱼ − θⱼ| < ε/2];
/// z has nothing of either. Under Adam, a step moves a threshold by about the learning rate, whatever `lambda` is.
///
/// Source: Rajamanoharan et al. 2024, Jumping Ahead: Improving Reconstruction Fidelity with JumpReLU Sparse
/// Autoencoders, arXiv:2407.14435; `tanh`: Conerly et al. 2025, January update of the Transformer Circuits team.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct JumpReluSettings {
    /// Weight of the penalty in the loss.
    lambda: Strength,
    /// Every threshold at the start.
    #[serde(default = "tenth")]
    theta: Strength,
    /// Width of the box around a threshold, in units of codes: codes within half of it teach the threshold.
    #[serde(default = "positive_tenth")]
    bandwidth: Positive,
    /// What the penalty is of.
    #[serde(default)]
    form: JumpForm,
    /// Number of active latents of a sample that `form = "target"` leads to, on average; it need not be whole, and
    /// is at most the number of latents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target_l0: Option<Positive>,
}

/// What the penalty is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum JumpForm {
    /// `lambda` times the mean over samples of the number of active latents.
    #[default]
    L0,
    /// `lambda` times the mean over samples of Σⱼ tanh(4 hⱼ ‖dⱼ‖), dⱼ the decoder's row; the gradient reaches h,
    /// the thresholds through h, and the rows.
    Tanh,
    /// `lambda` (2 / `target_l0`) (L0 − `target_l0`)², L0 the mean number of active latents of the batch. Under Adam
    /// the thresholds take about as long whatever `lambda` is.
    Target,
}

fn tenth() -> Strength {
    Strength::try_from(0.1).expect("a tenth is at least 0")
}

fn positive_tenth() -> Positive {
    Positive::try_from(0.1).expect("a tenth is more than 0")
}

/// The settings, put together.
struct JumpRelu {
    lambda: f64,
    theta: f64,
    bandwidth: f64,
    cost: JumpCost,
}

/// What codes cost.
#[derive(Clone, Copy, Debug, PartialEq)]
enum JumpCost {
    /// The mean number of active latents of a sample.
    Count,
    /// The tanh of sizes.
    Tanh,
    /// How far the mean number of active latents is from this.
    Target(f64),
}

#[distributed_slice(PENALTIES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Penalty> = Plugin {
    name: "jump-relu",
    about: "codes above thresholds that are learnt, and lambda times how many these are",
    example: "lambda = 0.1",
    build: |settings| {
        let JumpReluSettings { lambda, theta, bandwidth, form, target_l0 } = settings.read()?;
        let cost = match (form, target_l0) {
            (JumpForm::L0, None) => JumpCost::Count,
            (JumpForm::Tanh, None) => JumpCost::Tanh,
            (JumpForm::Target, Some(target)) => JumpCost::Target(target.get()),
            (JumpForm::Target, None) => {
                let message = "`form = \"target\"` needs `target_l0`, the number of active latents of a sample";
                return Err(vec![settings.problem("form", message).help("target_l0 = 32")]);
            }
            (_, Some(_)) => {
                let message =
                    "`target_l0` is what `form = \"target\"` leads to; other forms have no target";
                return Err(vec![settings.problem("target_l0", message).help("form = \"target\"")]);
            }
        };
        let (lambda, theta, bandwidth) = (lambda.get(), theta.get(), bandwidth.get());
        Ok(Box::new(JumpRelu { lambda, theta, bandwidth, cost }))
    },
    schema: schema_of::<JumpReluSettings>,
};

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["jump-relu-sae", "hard-threshold"],
    meant: Meant::Plugin { kind: "penalty", name: "jump-relu" },
    about: "the penalty `jump-relu` learns a threshold for each latent",
    lines: "[penalty]\n\
            kind = \"jump-relu\"\n\
            lambda = 0.1",
};

/// Where codes stand to their thresholds, [batch, latents]. Both are held fixed.
struct Stand<E: Real> {
    /// 1 where a code exceeds its threshold.
    above: Traced<(Batch, Latent), E>,
    /// 1/ε where a code is within ε/2 of its threshold.
    near: Traced<(Batch, Latent), E>,
}

impl JumpRelu {
    fn stand<E: Real>(
        &self,
        code: &Tensor<(Batch, Latent), E>,
        theta: &[E],
        pass: &Pass<'_, E>,
    ) -> Stand<E> {
        let (shape, half) = (*code.shape(), E::of(self.bandwidth / 2.0));
        let beyond: Vec<E> = values(code)
            .chunks_exact(theta.len())
            .flat_map(|row| row.iter().zip(theta).map(|(code, theta)| *code - *theta))
            .collect();
        let each = |f: &dyn Fn(E) -> f64| {
            let values = beyond.iter().map(|beyond| E::of(f(*beyond))).collect();
            pass.detached(&tensor(values, shape).retaped())
        };
        let above = each(&|beyond| f64::from(beyond.f64() > 0.0));
        let is_near = |beyond: E| beyond.f64().abs() < half.f64();
        let near = each(&|beyond| if is_near(beyond) { 1.0 / self.bandwidth } else { 0.0 });
        Stand { above, near }
    }

    /// The thresholds, and the thresholds less themselves held fixed: zeros whose derivative by them is 1.
    fn thresholds<E: Real>(pass: &Pass<'_, E>, latents: Latent) -> (Vec<E>, Traced<(Latent,), E>) {
        let theta = pass.own(THETA, (latents,));
        let held = pass.detached(&theta);
        (values(&theta), theta - held)
    }

    /// The mean number of active latents of a sample.
    fn mean_count<E: Real>(&self, pass: &Pass<'_, E>, shape: (Batch, Latent)) -> Traced<Rank0, E> {
        let (theta, zeros) = Self::thresholds(pass, shape.1);
        let Stand { above, near } = self.stand(pass.unconstrained_code(), &theta, pass);
        let count = above - zeros.broadcast_like(&shape) * near;
        count.sum::<Rank0, _>() * E::of(1.0 / shape.0.0 as f64)
    }
}

impl<E: Real> Penalize<E> for JumpRelu {
    fn constrain(
        &self,
        code: Traced<(Batch, Latent), E>,
        pass: &Pass<'_, E>,
    ) -> Traced<(Batch, Latent), E> {
        let shape = *code.shape();
        let (theta, zeros) = Self::thresholds(pass, shape.1);
        let Stand { above, near } = self.stand(&tensor(values(&code), shape), &theta, pass);
        let held = pass.detached(&tensor(theta, (shape.1,)).retaped());
        // Zeros, so the value is that of the codes above, and the gradient that of the box.
        code * above - zeros.broadcast_like(&shape) * (held.broadcast_like(&shape) * near)
    }

    fn penalize(&self, code: Traced<(Batch, Latent), E>, pass: &Pass<'_, E>) -> Vec<Term<E>> {
        let shape = *code.shape();
        let value = match self.cost {
            JumpCost::Count => self.mean_count(pass, shape),
            JumpCost::Target(target) => {
                (self.mean_count(pass, shape) - E::of(target)).square() * E::of(2.0 / target)
            }
            JumpCost::Tanh => {
                let sizes = code * row_norms(pass.dictionary()).broadcast_like(&shape);
                let sum = (sizes * E::of(TANH_SCALE)).tanh().sum::<Rank0, _>();
                sum * E::of(1.0 / shape.0.0 as f64)
            }
        };
        vec![Term::new(TERM, value, self.lambda)]
    }
}

impl Penalty for JumpRelu {
    fn strength(&self) -> Option<StrengthKey> {
        match self.cost {
            JumpCost::Count | JumpCost::Tanh => Some(StrengthKey::Weight("lambda")),
            JumpCost::Target(_) => None,
        }
    }

    fn lacks_strength(&self) -> Option<Unfit> {
        let message = "it leads to its own `target_l0`; beside a target, the forms \"l0\" and \"tanh\" have `lambda` found";
        self.strength().is_none().then(|| Unfit::new("form", message))
    }

    fn activation(&self) -> Option<Activation> {
        Some(Activation::Identity)
    }

    fn fits(&self, code: &CodeFacts) -> Result<(), Unfit> {
        if code.range != CodeRange::Real {
            let message = "its thresholds take the place of an activation, so it needs `activation = \"identity\"`";
            return Err(Unfit::new("kind", message));
        }
        match self.cost {
            JumpCost::Tanh => code.needs("form", Offer::Dictionary),
            JumpCost::Target(target) if target > code.latents as f64 => {
                let latents = code.latents;
                let message = format!("at most all {latents} latents can be active, got {target}");
                Err(Unfit::new("target_l0", message))
            }
            JumpCost::Count | JumpCost::Target(_) => Ok(()),
        }
    }

    fn leaves_zeros(&self) -> bool {
        true
    }

    fn thresholds(&self) -> Option<&'static str> {
        Some(THETA)
    }

    fn fused(&self, _: &Step<'_>, _: usize) -> Option<FusedPenalty<'_>> {
        let (name, weight, bandwidth) = (TERM, self.lambda, self.bandwidth);
        let cost = match self.cost {
            JumpCost::Count | JumpCost::Target(_) => {
                ThresholdCost::Count { name, weight, term: self }
            }
            JumpCost::Tanh => ThresholdCost::Columns { name, weight, term: self },
        };
        Some(FusedPenalty::Threshold { bandwidth, cost })
    }

    fn parameters(&self, Latent(latents): Latent) -> Vec<Declaration> {
        let theta = Declaration::new(THETA, [latents], Init::Constant(self.theta));
        vec![theta.by_latent(0).constrained(Some(Constraint::NonNegative))]
    }
}

impl PerCount for JumpRelu {
    fn value(&self, mean: f64) -> (f64, f64) {
        match self.cost {
            JumpCost::Target(target) => {
                let off = mean - target;
                (2.0 / target * off * off, 4.0 / target * off)
            }
            JumpCost::Count | JumpCost::Tanh => (mean, 1.0),
        }
    }
}

/// The form "tanh".
impl PerColumn for JumpRelu {
    fn row(&self) -> Option<Side> {
        Some(Side::Decoder)
    }

    fn value(&self, column: CodeColumn<'_>, gradient: &mut [f32]) -> ColumnTerm {
        let scale = TANH_SCALE * column.norm;
        let (mut value, mut by_scale) = (0.0, 0.0);
        for (gradient, h) in gradient.iter_mut().zip(column.values) {
            let found = (scale as f32 * h).tanh();
            let slope = 1.0 - found * found;
            *gradient = scale as f32 * slope;
            value += f64::from(found);
            by_scale += f64::from(slope * h);
        }
        ColumnTerm { value, by_norm: TANH_SCALE * by_scale }
    }
}

#[cfg(test)]
mod tests {
    use framework::plugin::CodeFacts;

    use super::*;
    use crate::support::testing::settings;

    fn built(more: &str) -> Result<Box<dyn Penalty>, String> {
        (PLUGIN.build)(&settings(&format!("lambda = 0.1\n{more}")))
            .map_err(|all| all[0].to_string())
    }

    /// Wrong if a target stood where no form leads to it, or a form that leads to one had none; or if the error named
    /// another setting.
    #[test]
    fn a_target_and_its_form_belong_together() {
        let refused = |text: &str| built(text).map(drop).expect_err("it is refused");
        for form in ["", "form = \"l0\"\n", "form = \"tanh\"\n"] {
            let said = refused(&format!("{form}target_l0 = 3"));
            assert!(said.contains("`form = \"target\"` leads to"), "{said}");
        }
        let said = refused("form = \"target\"");
        assert!(said.contains("needs `target_l0`"), "{said}");
        assert!(built("form = \"target\"\ntarget_l0 = 2.5").is_ok());
        for text in ["theta = -0.1", "bandwidth = 0", "form = \"hard\""] {
            refused(text);
        }
    }

    /// Wrong if it were trained on codes that an activation has cut already, or without what a form needs.
    #[test]
    fn it_fits_codes_of_any_number() {
        let facts = |range, offers| CodeFacts { latents: 4, range, classes: 0, offers };
        let fits = |more: &str, facts: &CodeFacts| built(more).unwrap().fits(facts).is_ok();
        let real = facts(CodeRange::Real, &[Offer::Dictionary]);
        for form in ["", "form = \"tanh\"", "form = \"target\"\ntarget_l0 = 4"] {
            assert!(fits(form, &real), "{form}");
            for range in [CodeRange::NonNegative, CodeRange::Unit, CodeRange::Symmetric] {
                assert!(!fits(form, &facts(range, &[Offer::Dictionary])), "{form} {range:?}");
            }
            assert_eq!(fits(form, &facts(CodeRange::Real, &[])), !form.contains("tanh"));
        }
        assert!(!fits("form = \"target\"\ntarget_l0 = 4.5", &real));
    }
}
