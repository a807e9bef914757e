//! The gradient check catches wrong gradients: here each is wrong in one way (a sign, a factor, a
//! term), while values are right, and every one is found at every point tried.
//!
//! The same definitions without a flaw pass, so that it is the flaw that is found.

use dfdx::prelude::{
    Axes2, BroadcastTo, HasShape, PermuteTo, Rank0, Shape, SumTo, TryMatMul, WithEmptyTape,
};
use framework::dims::{Batch, Input, Latent};
use framework::model::{
    Declaration, Definition, EncoderPass, Init, Pass, Real, Traced, Weights, tensor, values,
};
use framework::plugin::{
    Architecture, Autoencoder, CodeRange, Encoded, Penalize, Penalty, SampleShape, Term,
};

use super::gradient_check::{Failure, Subject, check};
use crate::support::models::{architecture, penalty};

/// Points that each flaw is looked for at.
const SEEDS: std::ops::Range<u64> = 0..4;

/// The same value with no gradient.
fn detached<S: Shape, E: Real>(right: &Traced<S, E>) -> Traced<S, E> {
    tensor(values(right), *right.shape()).retaped()
}

/// The value of `right`, without its tape, with the gradient of `wrong`.
fn with_gradient_of<S: Shape, E: Real>(right: &Traced<S, E>, wrong: Traced<S, E>) -> Traced<S, E> {
    let difference = values(right).iter().zip(values(&wrong)).map(|(r, w)| *r - w).collect();
    let shape = *right.shape();
    wrong + tensor(difference, shape)
}

/// Values `to` as if they were computed from `from` element by element, with the given slopes.
fn with_slopes<S: Shape, E: Real>(
    from: Traced<S, E>,
    to: impl Fn(f64) -> f64,
    slope: impl Fn(f64) -> f64,
) -> Traced<S, E> {
    let each = |f: &dyn Fn(f64) -> f64| {
        values(&from).iter().map(|value| E::of(f(value.f64()))).collect::<Vec<E>>()
    };
    let (to, slopes, shape) = (each(&to), each(&slope), *from.shape());
    let wrong = from * tensor(slopes, shape);
    with_gradient_of(&tensor(to, shape).retaped(), wrong)
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

/// A gradient of a dense architecture that is wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    None,
    EncoderBiasDropped,
    DecoderBiasDropped,
    EncoderUseOfTiedWeightsDropped,
    DecoderUseOfTiedWeightsDropped,
    SubtractedBiasDropped,
    SubtractedBiasAdded,
    CodeDetachedFromDecoder,
    PreCodeNegated,
    ReluLetsAllThrough,
    ReluLetsNothingThrough,
    SigmoidWithoutItsComplement,
    TanhWithoutItsSquare,
    DecoderSigmoidForgotten,
    FactorTwoForgotten,
    SumOverTheBatch,
    ReconstructionNegated,
}

/// A dense architecture of four latents whose gradient may be wrong.
#[derive(Clone, Copy)]
struct FlawedDense {
    activation: CodeRange,
    tied: bool,
    subtract: bool,
    sigmoid_decoder: bool,
    flaw: Flaw,
}

const LATENTS: Latent = Latent(4);

impl FlawedDense {
    /// A parameter, without a gradient where the flaw is that this use of it was forgotten.
    fn weight<S: Shape, E: Real>(
        &self,
        weights: &Weights<'_, E>,
        name: &str,
        shape: S,
        forgotten: Flaw,
    ) -> Traced<S, E> {
        let weight = weights.get(name, shape);
        if self.flaw == forgotten { detached(&weight) } else { weight }
    }
}

impl<E: Real> Autoencoder<E> for FlawedDense {
    fn encode(
        &self,
        x: Traced<(Batch, Input), E>,
        weights: &Weights<'_, E>,
        _: &EncoderPass<'_>,
    ) -> Encoded<E> {
        let (batch, input) = *x.shape();
        let x = if self.subtract {
            let b_dec = self.weight(weights, "b_dec", (input,), Flaw::SubtractedBiasDropped);
            let b_dec = b_dec.broadcast_like(&(batch, input));
            let right = x.with_empty_tape() - b_dec.with_empty_tape();
            if self.flaw == Flaw::SubtractedBiasAdded {
                with_gradient_of(&right, x + b_dec)
            } else {
                x - b_dec
            }
        } else {
            x
        };
        let forgotten = Flaw::EncoderUseOfTiedWeightsDropped;
        let w_enc = self.weight(weights, "w_enc", (input, LATENTS), forgotten);
        let b_enc = self.weight(weights, "b_enc", (LATENTS,), Flaw::EncoderBiasDropped);
        let pre_code = x.matmul(w_enc) + b_enc.broadcast_like(&(batch, LATENTS));
        let pre_code = match self.flaw {
            Flaw::PreCodeNegated => with_slopes(pre_code, |z| z, |_| -1.0),
            _ => pre_code,
        };
        let before = pre_code.with_empty_tape();
        let code = match (self.activation, self.flaw) {
            (CodeRange::Real, _) => pre_code,
            (CodeRange::NonNegative, Flaw::ReluLetsAllThrough) => {
                with_slopes(pre_code, |z| z.max(0.0), |_| 1.0)
            }
            (CodeRange::NonNegative, Flaw::ReluLetsNothingThrough) => {
                with_slopes(pre_code, |z| z.max(0.0), |_| 0.0)
            }
            (CodeRange::NonNegative, _) => pre_code.relu(),
            (CodeRange::Unit, Flaw::SigmoidWithoutItsComplement) => {
                with_slopes(pre_code, sigmoid, sigmoid)
            }
            (CodeRange::Unit, _) => pre_code.sigmoid(),
            (CodeRange::Symmetric, Flaw::TanhWithoutItsSquare) => {
                with_slopes(pre_code, f64::tanh, |z| 1.0 - z.tanh())
            }
            (CodeRange::Symmetric, _) => pre_code.tanh(),
        };
        Encoded::new(before, code)
    }

    fn decode(
        &self,
        code: Traced<(Batch, Latent), E>,
        weights: &Weights<'_, E>,
    ) -> Traced<(Batch, Input), E> {
        let (batch, input) = (code.shape().0, weights.input());
        let code = match self.flaw {
            Flaw::CodeDetachedFromDecoder => with_slopes(code, |h| h, |_| 0.0),
            _ => code,
        };
        let product = if self.tied {
            let forgotten = Flaw::DecoderUseOfTiedWeightsDropped;
            let w_enc = self.weight(weights, "w_enc", (input, LATENTS), forgotten);
            code.matmul(w_enc.permute::<(Latent, Input), Axes2<1, 0>>())
        } else {
            code.matmul(weights.get("w_dec", (LATENTS, input)))
        };
        let b_dec = self.weight(weights, "b_dec", (input,), Flaw::DecoderBiasDropped);
        let x_hat = product + b_dec.broadcast_like(&(batch, input));
        let x_hat = match (self.sigmoid_decoder, self.flaw) {
            (true, Flaw::DecoderSigmoidForgotten) => with_slopes(x_hat, sigmoid, |_| 1.0),
            (true, _) => x_hat.sigmoid(),
            (false, _) => x_hat,
        };
        match self.flaw {
            Flaw::FactorTwoForgotten => with_slopes(x_hat, |x| x, |_| 0.5),
            Flaw::SumOverTheBatch => with_slopes(x_hat, |x| x, |_| batch.0 as f64),
            Flaw::ReconstructionNegated => with_slopes(x_hat, |x| x, |_| -1.0),
            _ => x_hat,
        }
    }
}

impl Architecture for FlawedDense {
    fn latents(&self) -> usize {
        LATENTS.0
    }

    fn code_range(&self) -> CodeRange {
        self.activation
    }

    fn parameters(&self, sample: SampleShape) -> Vec<Declaration> {
        let (inputs, Latent(latents)) = (sample.inputs(), LATENTS);
        let mut parameters = vec![
            Declaration::new("w_enc", [inputs, latents], Init::GlorotUniform),
            Declaration::new("b_enc", [latents], Init::Zeros),
            Declaration::new("b_dec", [inputs], Init::Zeros),
        ];
        if !self.tied {
            parameters.push(Declaration::new("w_dec", [latents, inputs], Init::GlorotUniform));
        }
        parameters
    }
}

/// Checks a model at every seed: a right gradient passes, a wrong one is found in `tensor`.
fn expect(
    name: &str,
    architecture: &dyn Architecture,
    penalty: &dyn Penalty,
    wrong_tensor: Option<&str>,
) {
    for seed in SEEDS {
        let subject = Subject {
            name: name.into(),
            definition: Definition::new(architecture, penalty),
            batch: 3,
            inputs: 3,
        };
        match (check(&subject, seed), wrong_tensor) {
            (Ok(()), None) => {}
            (Ok(()), Some(tensor)) => panic!("{name}, seed {seed}: not found in `{tensor}`"),
            (Err(failure), None) => panic!("{failure}"),
            (Err(failure), Some(tensor)) => {
                let Failure::Wrong { mismatches, .. } = &*failure else { panic!("{failure}") };
                let found = mismatches.iter().any(|mismatch| mismatch.tensor == tensor);
                assert!(found, "not found in `{tensor}`, but so: {failure}");
            }
        }
    }
}

/// Every flaw of a dense architecture is found, in the parameter that it spoils.
#[test]
fn a_wrong_gradient_of_an_architecture_is_found() {
    use CodeRange::{NonNegative, Symmetric, Unit};
    let none = penalty("kind = \"none\"");
    let plain = FlawedDense {
        activation: NonNegative,
        tied: false,
        subtract: false,
        sigmoid_decoder: false,
        flaw: Flaw::None,
    };
    let tied = FlawedDense { tied: true, activation: Symmetric, ..plain };
    let subtracting = FlawedDense { subtract: true, activation: Symmetric, ..plain };
    let sigmoid_decoder = FlawedDense { sigmoid_decoder: true, ..plain };
    let sigmoid = FlawedDense { activation: Unit, ..plain };
    let tanh = FlawedDense { activation: Symmetric, ..plain };
    for right in [plain, tied, subtracting, sigmoid_decoder, sigmoid, tanh] {
        expect("a right architecture", &right, &*none.plugin, None);
    }
    for (wrong, flaw, tensor) in [
        (plain, Flaw::EncoderBiasDropped, "b_enc"),
        (plain, Flaw::DecoderBiasDropped, "b_dec"),
        (plain, Flaw::CodeDetachedFromDecoder, "w_enc"),
        (plain, Flaw::PreCodeNegated, "w_enc"),
        (plain, Flaw::ReluLetsAllThrough, "w_enc"),
        (plain, Flaw::ReluLetsNothingThrough, "w_enc"),
        (plain, Flaw::FactorTwoForgotten, "w_dec"),
        (plain, Flaw::SumOverTheBatch, "w_dec"),
        (plain, Flaw::ReconstructionNegated, "b_dec"),
        (tied, Flaw::EncoderUseOfTiedWeightsDropped, "w_enc"),
        (tied, Flaw::DecoderUseOfTiedWeightsDropped, "w_enc"),
        (subtracting, Flaw::SubtractedBiasDropped, "b_dec"),
        (subtracting, Flaw::SubtractedBiasAdded, "b_dec"),
        (subtracting, Flaw::DecoderBiasDropped, "b_dec"),
        (sigmoid_decoder, Flaw::DecoderSigmoidForgotten, "b_dec"),
        (sigmoid, Flaw::SigmoidWithoutItsComplement, "w_enc"),
        (tanh, Flaw::TanhWithoutItsSquare, "w_enc"),
    ] {
        let wrong = FlawedDense { flaw, ..wrong };
        expect(&format!("{flaw:?}"), &wrong, &*none.plugin, Some(tensor));
    }
}

/// A code as a penalty by hand sees it.
struct Code<'a> {
    /// [batch, latents]
    h: &'a [f64],
    latents: usize,
}

impl Code<'_> {
    fn batch(&self) -> f64 {
        (self.h.len() / self.latents) as f64
    }

    /// The mean of the latent that element `at` is of.
    fn mean(&self, at: usize) -> f64 {
        self.h.iter().skip(at % self.latents).step_by(self.latents).sum::<f64>() / self.batch()
    }

    /// √(Σ h² + 1e-8) over the group of two that element `at` is in.
    fn norm(&self, at: usize) -> f64 {
        let first = at - at % 2;
        (self.h[first].powi(2) + self.h[first + 1].powi(2) + 1e-8).sqrt()
    }
}

/// A penalty whose value and whose gradient, for each element of the code, are written by hand.
#[derive(Clone, Copy)]
struct ByHand {
    value: fn(&Code<'_>) -> f64,
    gradient: Gradient,
}

impl<E: Real> Penalize<E> for ByHand {
    fn penalize(&self, code: Traced<(Batch, Latent), E>, _: &Pass<'_, E>) -> Vec<Term<E>> {
        let h: Vec<f64> = values(&code).iter().map(|value| value.f64()).collect();
        let shape = *code.shape();
        let seen = Code { h: &h, latents: shape.1.0 };
        let gradient: Vec<f64> = (0..h.len()).map(|at| (self.gradient)(&seen, at)).collect();
        // The offset makes the value right and has no gradient.
        let linear: f64 = h.iter().zip(&gradient).map(|(h, g)| h * g).sum();
        let gradient = tensor(gradient.iter().map(|g| E::of(*g)).collect(), shape);
        let offset = (self.value)(&seen) - linear;
        let value = (code * gradient).sum::<Rank0, _>() + E::of(offset);
        vec![Term::new("by_hand", value, 1.0)]
    }
}

impl Penalty for ByHand {}

const LAMBDA: f64 = 0.7;
const RHO: f64 = 0.1;

fn l1(code: &Code<'_>) -> f64 {
    LAMBDA * code.h.iter().map(|h| h.abs()).sum::<f64>() / code.batch()
}

fn divergence(rho_hat: f64) -> f64 {
    RHO * (RHO / rho_hat).ln() + (1.0 - RHO) * ((1.0 - RHO) / (1.0 - rho_hat)).ln()
}

fn kl(code: &Code<'_>) -> f64 {
    (0..code.latents).map(|at| LAMBDA * divergence(code.mean(at))).sum()
}

fn kl_of_tanh(code: &Code<'_>) -> f64 {
    (0..code.latents).map(|at| LAMBDA * divergence(0.5 + 0.5 * code.mean(at))).sum()
}

fn group_lasso(code: &Code<'_>) -> f64 {
    let norms: f64 = (0..code.h.len()).step_by(2).map(|at| code.norm(at)).sum();
    LAMBDA * 2.0_f64.sqrt() * norms / code.batch()
}

/// The gradient by one element of the code.
type Gradient = fn(&Code<'_>, usize) -> f64;

/// A soft term with its right gradient and wrong ones.
struct SoftTerm {
    name: &'static str,
    /// Of the dense architecture that it is tried on.
    activation: &'static str,
    value: fn(&Code<'_>) -> f64,
    right: Gradient,
    wrong: &'static [(&'static str, Gradient)],
}

/// Every flaw of a soft term is found: a sign, a factor, a term, an average over the wrong samples.
#[test]
fn a_wrong_gradient_of_a_soft_term_is_found() {
    let dense = |activation: &str| {
        architecture(&format!("kind = \"dense\"\nlatents = 4\nactivation = \"{activation}\""))
    };
    let cases = [
        SoftTerm {
            name: "l1",
            activation: "identity",
            value: l1,
            right: |c, at| LAMBDA * c.h[at].signum() / c.batch(),
            wrong: &[
                ("the sign flipped", |c, at| -LAMBDA * c.h[at].signum() / c.batch()),
                ("the sign of h forgotten", |c, _| LAMBDA / c.batch()),
                ("lambda forgotten", |c, at| c.h[at].signum() / c.batch()),
                ("1/B forgotten", |c, at| LAMBDA * c.h[at].signum()),
                ("1/B twice", |c, at| LAMBDA * c.h[at].signum() / c.batch().powi(2)),
                ("h in place of its sign", |c, at| LAMBDA * c.h[at] / c.batch()),
                ("no gradient", |_, _| 0.0),
            ],
        },
        SoftTerm {
            name: "kl of sigmoid codes",
            activation: "sigmoid",
            value: kl,
            right: |c, at| LAMBDA / c.batch() * slope_of(c.mean(at)),
            wrong: &[
                ("the sign flipped", |c, at| -LAMBDA / c.batch() * slope_of(c.mean(at))),
                ("beta forgotten", |c, at| slope_of(c.mean(at)) / c.batch()),
                ("1/B forgotten", |c, at| LAMBDA * slope_of(c.mean(at))),
                ("1/B twice", |c, at| LAMBDA / c.batch().powi(2) * slope_of(c.mean(at))),
                ("the term of 1 - rho forgotten", |c, at| LAMBDA / c.batch() * (-RHO / c.mean(at))),
                ("the term of rho forgotten", |c, at| {
                    LAMBDA / c.batch() * ((1.0 - RHO) / (1.0 - c.mean(at)))
                }),
                ("the factor rho forgotten", |c, at| {
                    LAMBDA / c.batch() * (-1.0 / c.mean(at) + (1.0 - RHO) / (1.0 - c.mean(at)))
                }),
                ("rho and 1 - rho swapped", |c, at| {
                    LAMBDA / c.batch() * (-(1.0 - RHO) / c.mean(at) + RHO / (1.0 - c.mean(at)))
                }),
                ("each sample's own value for the mean", |c, at| {
                    LAMBDA / c.batch() * slope_of(c.h[at])
                }),
                ("the sign of the second term flipped", |c, at| {
                    LAMBDA / c.batch() * (-RHO / c.mean(at) - (1.0 - RHO) / (1.0 - c.mean(at)))
                }),
            ],
        },
        SoftTerm {
            name: "kl of tanh codes",
            activation: "tanh",
            value: kl_of_tanh,
            right: |c, at| 0.5 * LAMBDA / c.batch() * slope_of(0.5 + 0.5 * c.mean(at)),
            wrong: &[
                ("the half of the rescaling forgotten", |c, at| {
                    LAMBDA / c.batch() * slope_of(0.5 + 0.5 * c.mean(at))
                }),
                ("the rescaling forgotten", |c, at| {
                    0.5 * LAMBDA / c.batch() * slope_of(c.mean(at).abs().max(0.01))
                }),
                ("the half twice", |c, at| {
                    0.25 * LAMBDA / c.batch() * slope_of(0.5 + 0.5 * c.mean(at))
                }),
            ],
        },
        SoftTerm {
            name: "group lasso",
            activation: "identity",
            value: group_lasso,
            right: |c, at| LAMBDA * 2.0_f64.sqrt() * c.h[at] / c.norm(at) / c.batch(),
            wrong: &[
                ("the sign flipped", |c, at| {
                    -LAMBDA * 2.0_f64.sqrt() * c.h[at] / c.norm(at) / c.batch()
                }),
                ("the root of the size forgotten", |c, at| {
                    LAMBDA * c.h[at] / c.norm(at) / c.batch()
                }),
                ("the size for its root", |c, at| LAMBDA * 2.0 * c.h[at] / c.norm(at) / c.batch()),
                ("the norm forgotten", |c, at| LAMBDA * 2.0_f64.sqrt() * c.h[at] / c.batch()),
                ("the norm squared", |c, at| {
                    LAMBDA * 2.0_f64.sqrt() * c.h[at] / c.norm(at).powi(2) / c.batch()
                }),
                ("the norm of another group", |c, at| {
                    let other = (at + 2) % c.h.len();
                    LAMBDA * 2.0_f64.sqrt() * c.h[at] / c.norm(other) / c.batch()
                }),
                ("1/B forgotten", |c, at| LAMBDA * 2.0_f64.sqrt() * c.h[at] / c.norm(at)),
                ("l1's gradient", |c, at| LAMBDA * c.h[at].signum() / c.batch()),
            ],
        },
    ];
    for SoftTerm { name, activation, value, right, wrong } in cases {
        let dense = dense(activation);
        expect(name, &*dense.plugin, &ByHand { value, gradient: right }, None);
        for (flaw, gradient) in wrong {
            let penalty = ByHand { value, gradient: *gradient };
            expect(&format!("{name}: {flaw}"), &*dense.plugin, &penalty, Some("w_enc"));
        }
    }
}

/// The derivative of the divergence by rho_hat.
fn slope_of(rho_hat: f64) -> f64 {
    -RHO / rho_hat + (1.0 - RHO) / (1.0 - rho_hat)
}

/// A constraint that keeps the two largest latents, whose gradient may be wrong.
#[derive(Clone, Copy)]
struct TopTwo {
    /// The slope at a kept latent.
    kept: f64,
    /// The slope at another.
    dropped: f64,
}

impl<E: Real> Penalize<E> for TopTwo {
    fn constrain(
        &self,
        code: Traced<(Batch, Latent), E>,
        _: &Pass<'_, E>,
    ) -> Traced<(Batch, Latent), E> {
        let (h, shape) = (values(&code), *code.shape());
        let is_kept = |at: usize| {
            let row = at - at % shape.1.0;
            h[row..row + shape.1.0].iter().filter(|other| **other > h[at]).count() < 2
        };
        let choose = |kept: f64, other: f64| {
            let value = |at| E::of(if is_kept(at) { kept } else { other });
            (0..h.len()).map(value).collect::<Vec<E>>()
        };
        let mask = choose(1.0, 0.0);
        let right = h.iter().zip(mask).map(|(h, mask)| *h * mask).collect();
        let wrong = code * tensor(choose(self.kept, self.dropped), shape);
        with_gradient_of(&tensor(right, shape).retaped(), wrong)
    }
}

impl Penalty for TopTwo {}

/// Every flaw of a hard constraint is found.
#[test]
fn a_wrong_gradient_of_a_constraint_is_found() {
    let dense = architecture("kind = \"dense\"\nlatents = 4\nactivation = \"identity\"");
    let right = TopTwo { kept: 1.0, dropped: 0.0 };
    expect("a right constraint", &*dense.plugin, &right, None);
    for (name, wrong) in [
        ("the gradient of dropped latents passes", TopTwo { dropped: 1.0, ..right }),
        ("a hundredth of it passes", TopTwo { dropped: 0.01, ..right }),
        ("the gradient of kept latents is lost", TopTwo { kept: 0.0, ..right }),
        ("kept and dropped are swapped", TopTwo { kept: 0.0, dropped: 1.0 }),
        ("the gradient of kept latents is doubled", TopTwo { kept: 2.0, ..right }),
    ] {
        expect(name, &*dense.plugin, &wrong, Some("w_enc"));
    }
}

/// A penalty with a parameter of its own, h ↦ h · scale, whose gradient may be wrong.
#[derive(Clone, Copy)]
struct Scale {
    /// The gradient of the parameter is multiplied by this.
    own: f64,
}

impl<E: Real> Penalize<E> for Scale {
    fn constrain(
        &self,
        code: Traced<(Batch, Latent), E>,
        pass: &Pass<'_, E>,
    ) -> Traced<(Batch, Latent), E> {
        let shape = *code.shape();
        let scale = with_slopes(pass.own("scale", (shape.1,)), |s| s, |_| self.own);
        code * scale.broadcast_like(&shape)
    }
}

impl Penalty for Scale {
    fn parameters(&self, Latent(latents): Latent) -> Vec<Declaration> {
        vec![Declaration::new("scale", [latents], Init::Constant(1.0))]
    }
}

/// Every flaw of a penalty's own parameter is found.
#[test]
fn a_wrong_gradient_of_a_penaltys_own_parameter_is_found() {
    let dense = architecture("kind = \"dense\"\nlatents = 4\nactivation = \"tanh\"");
    expect("a right scale", &*dense.plugin, &Scale { own: 1.0 }, None);
    for (name, own) in [
        ("the parameter's gradient dropped", 0.0),
        ("its sign flipped", -1.0),
        ("a factor forgotten", 0.5),
        ("wrong in the fifth digit", 1.000_01),
    ] {
        expect(name, &*dense.plugin, &Scale { own }, Some("penalty.scale"));
    }
}

/// A constraint that makes its code from the pre-code alone, and drops the code that it is given.
struct OfPreCode;

impl<E: Real> Penalize<E> for OfPreCode {
    fn constrain(
        &self,
        _: Traced<(Batch, Latent), E>,
        pass: &Pass<'_, E>,
    ) -> Traced<(Batch, Latent), E> {
        pass.pre_code().sin()
    }
}

impl Penalty for OfPreCode {}

/// Wrong if a code made from the pre-code alone gave the encoder no gradient, as it once did.
#[test]
fn a_code_of_the_pre_code_alone_teaches_the_encoder() {
    let dense = architecture("kind = \"dense\"\nlatents = 4\nactivation = \"tanh\"");
    expect("a code of the pre-code", &*dense.plugin, &OfPreCode, None);
}
