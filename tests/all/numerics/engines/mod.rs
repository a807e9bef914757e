//! The fused engine computes what the reference engine defines.
//!
//! Both get the same parameters and samples, small multiples of 1/64 and 1/16, whose sums of
//! products are exact in f32: so ties are ties in both, and relu's and top-k's choices the same.

mod auxiliaries;
mod clipping;
mod coverage;
mod curves;
mod dead;
mod differences;
mod edges;
mod equality;
mod gates;
mod levels;
mod objectives;
mod precision;
mod threads;
mod thresholds;
mod warming_up;

use framework::dims::{Batch, Latent};
use framework::engine::EngineKind;
use framework::model::{Definition, Mode, Parameters, Pass, Real, State, Step, Traced};
use framework::plugin::{Architecture, Penalize, Penalty, Term};
use framework::rand::RngExt;
use framework::random::Streams;
use framework::spec::{Adam, Optimizer, Sgd, TrainObjective};
use framework::train::{Model, Trainer};

use crate::support::models::{DEAD_AFTER, model_of, silence_some};

/// Sizes and settings of a dense model.
#[derive(Clone, Debug)]
struct Case {
    batch: usize,
    inputs: usize,
    latents: usize,
    activation: &'static str,
    tied: bool,
    decoder: &'static str,
    objective: TrainObjective,
    subtract: bool,
    unit_norm: bool,
    /// How many latents are never active, if relu makes them silent.
    dead: usize,
    seed: u64,
}

impl Case {
    fn architecture(&self) -> String {
        let Self { latents, activation, tied, decoder, subtract, unit_norm, .. } = self;
        format!(
            "kind = \"dense\"\nlatents = {latents}\nactivation = \"{activation}\"\ntied = {tied}\n\
             decoder = \"{decoder}\"\nsubtract_decoder_bias = {subtract}\nunit_norm = {unit_norm}"
        )
    }

    /// Parameters and samples on the grid.
    fn numbers(&self, parameters: &Parameters<f32>) -> (Parameters<f32>, Vec<f32>) {
        let mut random = Streams::new(self.seed).stream("engines");
        let mut number = || random.random_range(-16..=16) as f32 / 16.0;
        let mut parameters = parameters.clone();
        for entry in &mut parameters.entries {
            entry.values.iter_mut().for_each(|value| *value = number() / 4.0);
            if entry.declaration.name == "b_enc" {
                entry.values.iter_mut().take(self.dead).for_each(|value| *value = -100.0);
            }
            if entry.declaration.name == "penalty.theta" {
                // Of a third of the seeds, few codes exceed them, and of another third, hardly any.
                let more = (self.seed % 3) as f32 / 2.0;
                entry.values.iter_mut().for_each(|value| *value = value.abs() + more);
            }
        }
        if self.unit_norm {
            parameters.enforce_constraints();
        }
        let x = (0..self.batch * self.inputs).map(|_| number()).collect();
        (parameters, x)
    }

    /// What a model reconstructs from samples `x`: of every other seed these samples, else others on the grid.
    /// Targets of the absolute error are far from what the model makes of the samples, where that has a kink.
    fn target(&self, model: &Model<'_>, x: &[f32]) -> Vec<f32> {
        let mut random = Streams::new(self.seed).stream("targets");
        let is_clean = self.seed.is_multiple_of(2);
        let target = |x: &f32| {
            let other = random.random_range(-16..=16) as f32 / 16.0;
            if is_clean { *x } else { other }
        };
        let mut target: Vec<f32> = x.iter().map(target).collect();
        if self.objective == TrainObjective::Absolute {
            for (target, x_hat) in target.iter_mut().zip(model.forward(x, TRAINING).x_hat) {
                *target += if (*target - x_hat).abs() < 0.1 { 0.25 } else { 0.0 };
            }
        }
        target
    }

    /// Penalties of the code alone.
    fn penalties(&self) -> Vec<String> {
        let Self { latents, activation, .. } = self;
        let half = latents.div_ceil(2);
        let divisor = (2..=*latents).find(|size| latents.is_multiple_of(*size)).unwrap_or(1);
        let mut all = vec![
            "kind = \"none\"".to_owned(),
            "kind = \"l1\"\nlambda = 0.3".to_owned(),
            "kind = \"k-sparse\"\nk = 1".to_owned(),
            format!("kind = \"k-sparse\"\nk = {half}"),
            format!("kind = \"k-sparse\"\nk = {latents}"),
            format!("kind = \"group-lasso\"\nlambda = 0.3\ngroup_size = {divisor}"),
            "kind = \"group-lasso\"\nlambda = 0.3\ngroup_size = 1\nscale_by_size = true".to_owned(),
            format!(
                "kind = \"sparse-group-lasso\"\nlambda = 0.1\ngroup_lambda = 0.2\ngroup_size = {divisor}"
            ),
            "kind = \"class-group-lasso\"\nlambda = 0.3".to_owned(),
        ];
        if *activation == "relu" {
            all.push("kind = \"p-annealing\"\nlambda = 0.3\np_end = 0.8".to_owned());
        }
        if *activation == "identity" {
            let k_of = [1, half, *latents];
            all.extend(k_of.map(|k| format!("kind = \"abs-top-k\"\nk = {k}")));
        }
        if matches!(*activation, "sigmoid" | "tanh") {
            all.push("kind = \"kl\"\nrho = 0.1\nbeta = 0.4".to_owned());
        }
        all
    }
}

impl Case {
    /// Penalties that keep the largest codes of the batch. After a step, their codes are on no grid, and two engines
    /// may differ in which of two that are near each other is kept: the more, the more there are in a batch.
    fn of_batch(&self) -> Vec<String> {
        let Self { latents, activation, .. } = self;
        if *activation != "relu" {
            return Vec::new();
        }
        let half = *latents as f64 / 2.0;
        let mut all = vec![
            "kind = \"batch-top-k\"\nk = 0.7".to_owned(),
            format!("kind = \"batch-top-k\"\nk = {half}"),
            format!("kind = \"batch-top-k\"\nk = {latents}"),
            format!("kind = \"matryoshka\"\nk = {half}\nfractions = [1.0]"),
        ];
        if *latents >= 5 {
            all.push(format!("kind = \"matryoshka\"\nk = {half}\nfractions = [0.2, 0.7, 1.0]"));
            all.push(format!(
                "kind = \"matryoshka\"\nk = {latents}\nprefixes = [2, {latents}]\naverage = false"
            ));
        }
        all
    }
}

/// A penalty that no tape of the code alone can hold: the decoder's rows are in it.
const NORM_WEIGHTED: &str = "kind = \"l1\"\nlambda = 0.3\nnorm_weighted = true";

const TRAINING: Step<'static> =
    Step { mode: Mode::Train, number: 0, progress: 0.5, steps: 0, labels: None };

/// The same of `samples` samples of four classes.
fn training(samples: usize) -> Step<'static> {
    static LABELS: [u32; 256] = {
        let (mut labels, mut at) = ([0; 256], 0);
        while at < labels.len() {
            labels[at] = (at * 7 + at / 3) as u32 % 4;
            at += 1;
        }
        labels
    };
    Step { labels: Some(&LABELS[..samples]), ..TRAINING }
}

fn trainer<'a>(
    architecture: &'a dyn Architecture,
    penalty: &'a dyn Penalty,
    case: &Case,
    optimizer: Optimizer,
    engine: EngineKind,
) -> (Trainer<'a>, Vec<f32>) {
    trainer_of(Definition::new(architecture, penalty), case, optimizer, engine)
}

/// The same with all that a definition has.
fn trainer_of<'a>(
    definition: Definition<'a>,
    case: &Case,
    optimizer: Optimizer,
    engine: EngineKind,
) -> (Trainer<'a>, Vec<f32>) {
    let model = model_of(definition, case.inputs, 0);
    let (parameters, x) = case.numbers(&model.parameters());
    let model = model.with_parameters(parameters).minimizing(case.objective);
    (Trainer::new(model.on(engine), optimizer), x)
}

/// The same where [some latents are dead](silence_some).
fn with_dead(trainer: Trainer<'_>) -> Trainer<'_> {
    silence_some(&trainer.model.state);
    trainer.dead_after(DEAD_AFTER)
}

fn sgd() -> Optimizer {
    Optimizer::Sgd(Sgd { lr: 1e-3.try_into().unwrap(), momentum: 0.9.try_into().unwrap() })
}

/// With an eps that hides rounding: Adam divides a derivative by its own size, so where the right one
/// is 0 and the other 1e-9, the step would be the whole learning rate.
fn adam() -> Optimizer {
    Optimizer::Adam(Adam { eps: 1e-3.try_into().unwrap(), ..Adam::default() })
}

/// A penalty of the code alone that the fused engine does not know by hand.
struct Shrink;

impl<E: Real> Penalize<E> for Shrink {
    fn constrain(
        &self,
        code: Traced<(Batch, Latent), E>,
        _: &Pass<'_, E>,
    ) -> Traced<(Batch, Latent), E> {
        (code - E::of(0.25)).relu()
    }

    fn penalize(&self, code: Traced<(Batch, Latent), E>, _: &Pass<'_, E>) -> Vec<Term<E>> {
        use framework::dfdx::prelude::{HasShape, Rank0, SumTo};
        let Batch(batch) = code.shape().0;
        let value = code.square().sum::<Rank0, _>() * E::of(1.0 / batch as f64);
        vec![Term::new("squares", value, 0.2)]
    }
}

impl Penalty for Shrink {
    fn is_of_code_alone(&self) -> bool {
        true
    }

    fn leaves_zeros(&self) -> bool {
        true
    }
}

/// Another penalty without what it says by hand.
struct OnTape<'a>(&'a dyn Penalty);

impl<E: Real> Penalize<E> for OnTape<'_> {
    fn constrain(
        &self,
        code: Traced<(Batch, Latent), E>,
        pass: &Pass<'_, E>,
    ) -> Traced<(Batch, Latent), E> {
        E::penalize(self.0).constrain(code, pass)
    }

    fn penalize(&self, code: Traced<(Batch, Latent), E>, pass: &Pass<'_, E>) -> Vec<Term<E>> {
        E::penalize(self.0).penalize(code, pass)
    }
}

impl Penalty for OnTape<'_> {
    fn is_of_code_alone(&self) -> bool {
        true
    }

    fn leaves_zeros(&self) -> bool {
        self.0.leaves_zeros()
    }

    fn state(&self, latents: Latent) -> State {
        self.0.state(latents)
    }
}
