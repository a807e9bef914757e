//! What can be computed on paper: optima, check values and equal methods.

use std::f64::consts::FRAC_1_SQRT_2;

use dfdx::prelude::{HasShape, ReshapeTo, WithEmptyTape};
use framework::dims::{Batch, Input, Latent};
use framework::engine::Minibatch;
use framework::model::{
    Declaration, Definition, EncoderPass, Init, Mode, Real, Step, Traced, Weights,
};
use framework::plugin::{Architecture, Autoencoder, CodeRange, Encoded, SampleShape};
use framework::rand::RngExt;
use framework::random::Streams;
use framework::spec::{Adam, Optimizer};
use framework::train::Trainer;
use proptest::prelude::*;

use crate::support::models::{
    Passed, Samples, architecture, model, parameters, pass, penalty, value,
};
use crate::support::strategies::{config, sizes};

const TRAINING: Step<'static> =
    Step { mode: Mode::Train, number: 0, progress: 0.0, steps: 0, labels: None };

/// An architecture whose code is a parameter and whose reconstruction is the code: what a penalty
/// does to a code of one's choice.
struct FreeCode {
    batch: usize,
    latents: usize,
    range: CodeRange,
}

impl<E: Real> Autoencoder<E> for FreeCode {
    fn encode(
        &self,
        x: Traced<(Batch, Input), E>,
        weights: &Weights<'_, E>,
        _: &EncoderPass<'_>,
    ) -> Encoded<E> {
        let code = weights.get("code", (x.shape().0, Latent(self.latents)));
        Encoded::new(code.with_empty_tape(), code)
    }

    fn decode(
        &self,
        code: Traced<(Batch, Latent), E>,
        weights: &Weights<'_, E>,
    ) -> Traced<(Batch, Input), E> {
        let batch = code.shape().0;
        code.reshape_like(&(batch, weights.input()))
    }
}

impl Architecture for FreeCode {
    fn latents(&self) -> usize {
        self.latents
    }

    fn code_range(&self) -> CodeRange {
        self.range
    }

    fn parameters(&self, _: SampleShape) -> Vec<Declaration> {
        vec![Declaration::new("code", [self.batch, self.latents], Init::Zeros)]
    }
}

/// The loss of a code of one's choice against `target`, with the gradient by each of its values.
fn on_code(
    code: &[f64],
    target: &[f64],
    latents: usize,
    range: CodeRange,
    penalty_text: &str,
) -> Passed {
    let free = FreeCode { batch: code.len() / latents, latents, range };
    let penalty = penalty(penalty_text);
    let mut parameters = parameters(Definition::new(&free, &*penalty.plugin), latents);
    parameters.entries[0].values = code.to_vec();
    let samples = Samples::new(target.to_vec(), latents);
    pass(Definition::new(&free, &*penalty.plugin), &parameters, &samples, TRAINING)
}

/// The same where the code is reconstructed exactly: the penalty alone.
fn penalty_on_code(code: &[f64], latents: usize, range: CodeRange, text: &str) -> Passed {
    on_code(code, code, latents, range, text)
}

#[track_caller]
fn assert_close(got: f64, want: f64, tolerance: f64) {
    assert!((got - want).abs() <= tolerance, "{got} is not {want} to {tolerance}");
}

/// KL(rho ‖ rho_hat) and its derivative, computed by hand; each sample of a batch of
/// B has 1/B of the derivative.
#[test]
fn kl_has_its_check_values_on_sigmoid_codes() {
    for (rho, rho_hat, divergence, derivative) in
        [(0.05, 0.2, 0.093943, 0.9375), (0.1, 0.3, 0.116322, 0.952381), (0.2, 0.2, 0.0, 0.0)]
    {
        // Two latents, whose means over the four samples are rho_hat.
        let code = [0.5, 1.0, 1.5, 1.0, 0.8, 1.2, 1.2, 0.8].map(|part| part * rho_hat);
        let text = format!("kind = \"kl\"\nrho = {rho}\nbeta = 3");
        let passed = penalty_on_code(&code, 2, CodeRange::Unit, &text);
        assert_close(passed.total, 3.0 * 2.0 * divergence, 3.0 * 2.0 * 5e-7);
        for gradient in &passed.gradients[0] {
            assert_close(*gradient, 3.0 * derivative / 4.0, 5e-7);
        }
    }
}

/// A tanh code of mean -0.6 stands for a rate of 0.2; the derivative is half of the sigmoid's.
#[test]
fn kl_has_its_check_values_on_tanh_codes() {
    let code = [-0.6, -0.3, -0.6, -0.9];
    let passed =
        penalty_on_code(&code, 2, CodeRange::Symmetric, "kind = \"kl\"\nrho = 0.05\nbeta = 1");
    assert_close(passed.total, 2.0 * 0.093943, 1e-6);
    for gradient in &passed.gradients[0] {
        assert_close(*gradient, 0.9375 / 2.0 / 2.0, 1e-12);
    }
}

/// Rates of 0 and 1 are clipped: the divergence is large, finite and flat.
#[test]
fn kl_is_finite_where_a_latent_is_always_off_or_always_on() {
    let text = "kind = \"kl\"\nrho = 0.05\nbeta = 1";
    for (rate, clipped) in [(0.0, 1e-6_f64), (1.0, 1.0 - 1e-6)] {
        let passed = penalty_on_code(&[rate, rate], 1, CodeRange::Unit, text);
        let want = 0.05 * (0.05 / clipped).ln() + 0.95 * (0.95 / (1.0 - clipped)).ln();
        assert_close(passed.total, want, 1e-9);
        assert_eq!(passed.gradients[0], [0.0, 0.0]);
    }
}

/// An orthonormal dictionary D: the code that minimises ‖a D − h D‖² + lambda |h| over h ≥ 0 is
/// max(a − lambda/2, 0), which a relu encoder with bias −lambda/2 computes. There the encoder's
/// gradient vanishes, the loss is what it is on paper, and it is more to every side.
#[test]
fn l1_with_an_orthonormal_dictionary_shrinks_by_half_of_lambda() {
    const LAMBDA: f64 = 0.4;
    // A rotation of four dimensions: orthogonal rows of norm 1.
    let half = 0.5;
    let dictionary = [
        [half, half, half, half],
        [half, -half, half, -half],
        [FRAC_1_SQRT_2, 0.0, -FRAC_1_SQRT_2, 0.0],
        [0.0, FRAC_1_SQRT_2, 0.0, -FRAC_1_SQRT_2],
    ];
    // Above the threshold of 0.2, below it, negative; in each latent some sample is active.
    let factors = [[1.0, 0.1, -0.5, 0.7], [0.15, 0.9, 0.6, -0.2], [0.3, -1.0, 0.05, 0.25]];
    let x: Vec<f64> = factors
        .iter()
        .flat_map(|a| (0..4).map(|at| (0..4).map(|j| a[j] * dictionary[j][at]).sum::<f64>()))
        .collect();
    let samples = Samples::new(x, 4);
    let dense = architecture("kind = \"dense\"\nlatents = 4");
    let l1 = penalty(&format!("kind = \"l1\"\nlambda = {LAMBDA}"));
    let definition = Definition::new(&*dense.plugin, &*l1.plugin);
    let mut optimum = parameters(definition, 4);
    for entry in &mut optimum.entries {
        for (at, value) in entry.values.iter_mut().enumerate() {
            *value = match entry.declaration.name.as_str() {
                "w_enc" => dictionary[at % 4][at / 4],
                "w_dec" => dictionary[at / 4][at % 4],
                "b_enc" => -LAMBDA / 2.0,
                _ => 0.0,
            };
        }
    }
    let passed = pass(definition, &optimum, &samples, TRAINING);
    let loss_of = |a: f64| {
        let h = (a - LAMBDA / 2.0).max(0.0);
        (a - h).powi(2) + LAMBDA * h
    };
    let on_paper = factors.iter().flatten().map(|a| loss_of(*a)).sum::<f64>() / 3.0;
    assert_close(passed.total, on_paper, 1e-12);
    for (entry, gradient) in optimum.entries.iter().zip(&passed.gradients) {
        if ["w_enc", "b_enc"].contains(&entry.declaration.name.as_str()) {
            gradient.iter().for_each(|gradient| assert_close(*gradient, 0.0, 1e-12));
        }
    }
    for (latent, by) in (0..4).flat_map(|latent| [(latent, 0.02), (latent, -0.02)]) {
        let mut aside = optimum.clone();
        let b_enc = aside.entries.iter_mut().find(|entry| entry.declaration.name == "b_enc");
        b_enc.unwrap().values[latent] += by;
        let loss = value(definition, &aside, &samples, TRAINING, None);
        assert!(loss > passed.total, "moving the bias of latent {latent} by {by} lowers the loss");
    }
}

/// Eigenvalues of a symmetric matrix, greatest first, by Jacobi's rotations.
fn eigenvalues(mut a: Vec<Vec<f64>>) -> Vec<f64> {
    let n = a.len();
    for _ in 0..50 {
        for (p, q) in (0..n).flat_map(|q| (0..q).map(move |p| (p, q))) {
            if a[p][q].abs() < 1e-300 {
                continue;
            }
            let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
            let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
            let c = 1.0 / (t * t + 1.0).sqrt();
            let s = t * c;
            for row in &mut a {
                (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
            }
            let (row_p, row_q) = (a[p].clone(), a[q].clone());
            for at in 0..n {
                a[p][at] = c * row_p[at] - s * row_q[at];
                a[q][at] = s * row_p[at] + c * row_q[at];
            }
        }
    }
    let mut eigenvalues: Vec<f64> = (0..n).map(|at| a[at][at]).collect();
    eigenvalues.sort_by(|a, b| b.total_cmp(a));
    eigenvalues
}

/// A linear autoencoder of m latents comes within 1 % of the error of the first m principal
/// components, tied or not, and never below it.
#[test]
fn a_linear_autoencoder_learns_the_principal_components() {
    const ROWS: usize = 120;
    const INPUTS: usize = 8;
    const LATENTS: usize = 3;
    let mut random = Streams::new(5).stream("data");
    let mut uniform = || random.random_range(-1.0..1.0_f64);
    let mixing: Vec<f64> = (0..INPUTS * INPUTS).map(|_| uniform()).collect();
    let mut x = Vec::new();
    for _ in 0..ROWS {
        let sources: Vec<f64> = (0..INPUTS)
            .map(|at| uniform() * [2.0, 1.5, 1.2, 0.4, 0.3, 0.2, 0.1, 0.1][at])
            .collect();
        // The offset is for the decoder's bias to learn.
        x.extend((0..INPUTS).map(|input| {
            let mixed = |at: usize| sources[at] * mixing[at * INPUTS + input];
            0.5 + (0..INPUTS).map(mixed).sum::<f64>()
        }));
    }
    let x: Vec<f32> = x.into_iter().map(|value| value as f32).collect();
    let column = |input: usize| x.iter().skip(input).step_by(INPUTS).map(|v| f64::from(*v));
    let mean: Vec<f64> = (0..INPUTS).map(|at| column(at).sum::<f64>() / ROWS as f64).collect();
    let covariance = |a: usize, b: usize| {
        let products = column(a).zip(column(b)).map(|(u, v)| (u - mean[a]) * (v - mean[b]));
        products.sum::<f64>() / ROWS as f64
    };
    let covariance: Vec<Vec<f64>> =
        (0..INPUTS).map(|a| (0..INPUTS).map(|b| covariance(a, b)).collect()).collect();
    let trace: f64 = (0..INPUTS).map(|at| covariance[at][at]).sum();
    let eigenvalues = eigenvalues(covariance);
    assert_close(eigenvalues.iter().sum(), trace, 1e-9 * trace);
    let best: f64 = eigenvalues[LATENTS..].iter().sum();
    assert!(best > 1e-3 * trace, "the data is too easy");

    for tied in [false, true] {
        let linear = architecture(&format!(
            "kind = \"dense\"\nlatents = {LATENTS}\nactivation = \"identity\"\ntied = {tied}"
        ));
        let none = penalty("kind = \"none\"");
        let model = model(&*linear.plugin, &*none.plugin, INPUTS, 0);
        let adam = Adam { lr: 2e-2.try_into().unwrap(), ..Adam::default() };
        let mut trainer = Trainer::new(model, Optimizer::Adam(adam));
        let steps = 2000;
        let mut error = f64::NAN;
        for step in 0..steps {
            let factor = 1.0 - step as f64 / steps as f64;
            error = trainer.step(Minibatch::clean(&x), TRAINING, factor).reconstruction;
        }
        assert!(error < 1.01 * best, "tied = {tied}: {error}, but principal components {best}");
        assert!(error > (1.0 - 1e-4) * best, "tied = {tied}: {error} is below the best, {best}");
    }
}

/// The bits of all parameters after a few steps of training.
fn after_training(architecture: &dyn Architecture, penalty_text: &str) -> Vec<Vec<u32>> {
    let penalty = penalty(penalty_text);
    let mut trainer =
        Trainer::new(model(architecture, &*penalty.plugin, 6, 3), Optimizer::Adam(Adam::default()));
    let mut random = Streams::new(3).stream("data");
    for _ in 0..20 {
        let x: Vec<f32> = (0..5 * 6).map(|_| random.random_range(-1.0..1.0)).collect();
        trainer.step(Minibatch::clean(&x), TRAINING, 1.0);
    }
    let parameters = trainer.model.parameters();
    let entries = &parameters.entries;
    entries.iter().map(|entry| entry.values.iter().map(|v| v.to_bits()).collect()).collect()
}

/// Keeping all latents is no constraint, bit for bit.
#[test]
fn k_sparse_with_all_latents_is_no_penalty() {
    for activation in ["identity", "relu", "sigmoid", "tanh"] {
        let text = format!("kind = \"dense\"\nlatents = 7\nactivation = \"{activation}\"");
        let dense = architecture(&text);
        let all = after_training(&*dense.plugin, "kind = \"k-sparse\"\nk = 7");
        assert_eq!(all, after_training(&*dense.plugin, "kind = \"none\""), "{activation}");
        let fewer = after_training(&*dense.plugin, "kind = \"k-sparse\"\nk = 3");
        assert_ne!(all, fewer, "{activation}");
    }
}

/// Only kept latents have a gradient: 2 h / B where the target is 0.
#[test]
fn k_sparse_has_a_gradient_through_kept_latents_alone() {
    let code = [0.3, -0.9, 0.8, 0.1, -0.2, -0.5, -0.1, -0.7];
    let passed = on_code(&code, &[0.0; 8], 4, CodeRange::Real, "kind = \"k-sparse\"\nk = 2");
    let want = [0.3, 0.0, 0.8, 0.0, -0.2, 0.0, -0.1, 0.0];
    assert_eq!(passed.gradients[0], want);
    assert_close(passed.total, want.iter().map(|h| h * h).sum::<f64>() / 2.0, 1e-15);
}

/// At h = 0 the slope of L1 is 0, and an all-zero group has a gradient of 0, not NaN.
#[test]
fn a_silent_code_has_no_gradient() {
    for text in ["kind = \"l1\"\nlambda = 1", "kind = \"group-lasso\"\nlambda = 1\ngroup_size = 2"]
    {
        let passed = penalty_on_code(&[0.0; 8], 4, CodeRange::NonNegative, text);
        assert_eq!(passed.gradients[0], [0.0; 8], "{text}");
    }
}

/// A code of one's choice, away from 0.
fn code_of(seed: u64, size: usize) -> Vec<f64> {
    let mut random = Streams::new(seed).stream("code");
    let mut number = || {
        let sign = if random.random::<bool>() { 1.0 } else { -1.0 };
        sign * random.random_range(0.01..1.0)
    };
    (0..size).map(|_| number()).collect()
}

proptest! {
    #![proptest_config(config(64))]

    /// Groups of one are L1, up to the smoothing: √(h² + 1e-8) is at most 1e-4 above |h|, and its
    /// slope at most 1e-8 / (2 h²) below that of |h|.
    #[test]
    fn group_lasso_with_groups_of_one_is_l1(sizes in sizes()) {
        let code = code_of(sizes.seed, sizes.batch * sizes.latents);
        let of = |text: &str| penalty_on_code(&code, sizes.latents, CodeRange::Real, text);
        let groups = of("kind = \"group-lasso\"\nlambda = 0.7\ngroup_size = 1");
        let l1 = of("kind = \"l1\"\nlambda = 0.7");
        let above = groups.terms - l1.terms;
        prop_assert!((0.0..=0.7e-4 * sizes.latents as f64).contains(&above), "{above}");
        for ((h, by_group), by_l1) in code.iter().zip(&groups.gradients[0]).zip(&l1.gradients[0]) {
            let limit = 0.7 / sizes.batch as f64 * 1e-8 / (2.0 * h * h);
            prop_assert!((by_group - by_l1).abs() <= limit * 1.001 + 1e-15);
        }
        let scaled = of("kind = \"group-lasso\"\nlambda = 0.7\ngroup_size = 1\nscale_by_size = true");
        prop_assert_eq!(scaled.terms, groups.terms);
    }

    /// A penalty's value is a mean over samples: a batch repeated costs the same, and each of its
    /// samples has half of the gradient. KL, of means over the batch, too.
    #[test]
    fn penalties_do_not_depend_on_how_often_a_batch_is_repeated(sizes in sizes()) {
        let code: Vec<f64> = code_of(sizes.seed, sizes.batch * sizes.latents);
        let code: Vec<f64> = code.iter().map(|h| h.abs()).collect();
        let twice = [code.clone(), code.clone()].concat();
        for text in [
            "kind = \"l1\"\nlambda = 0.7",
            "kind = \"kl\"\nrho = 0.1\nbeta = 0.5",
            "kind = \"group-lasso\"\nlambda = 0.7\ngroup_size = 2",
        ] {
            let once = penalty_on_code(&code, sizes.latents, CodeRange::Unit, text);
            let twice = penalty_on_code(&twice, sizes.latents, CodeRange::Unit, text);
            prop_assert!((once.total - twice.total).abs() <= 1e-13 * once.total.abs().max(1.0));
            for (one, two) in once.gradients[0].iter().zip(&twice.gradients[0]) {
                prop_assert!((one / 2.0 - two).abs() <= 1e-13 * one.abs().max(1.0), "{text}");
            }
        }
    }
}
