//! The reference engine: the definition of a model on dfdx, its gradients by autodiff. It is short and
//! obvious, and says what is right.

mod clip;
mod optimizer;

use std::borrow::Cow;

use dfdx::tensor_ops::Backward;

use crate::dims::{Batch, Input, Latent};
use crate::engine::{Costs, Engine, EngineKind, Forward, Minibatch, Numbers, StepLoss};
use crate::model::{
    Definition, Loss, Parameters, PassAt, Real, Weights, loss, objective_of_sample, rank0, tensor,
    values,
};
use crate::plugin::{OwnedCodes, SampleShape};
use crate::spec::{Optimizer, Precision, TrainObjective};
pub use optimizer::ReferenceOptimizer;

/// Every architecture and penalty, in f32.
pub const REFERENCE: EngineKind = EngineKind {
    name: "reference",
    about: "dfdx: the definition.",
    covers: |_| Ok(()),
    precisions: &[Precision::F32],
    make: |definition, sample, parameters| {
        let (optimizer, clip_norm, last_code) = (None, None, Vec::new());
        Box::new(Reference { definition, sample, parameters, optimizer, clip_norm, last_code })
    },
    // Gradients too, and what the tape keeps.
    costs: Costs { copies: 6.0, codes: 6.0, listed_codes: None, samples: 6.0, rate: 20e9 },
};

struct Reference<'a> {
    definition: Definition<'a>,
    sample: SampleShape,
    parameters: Parameters<f32>,
    optimizer: Option<ReferenceOptimizer<f32>>,
    clip_norm: Option<f64>,
    /// The codes of the last step, [samples, latents].
    last_code: Vec<f32>,
}

impl Reference<'_> {
    fn input(&self) -> Input {
        Input(self.sample.inputs())
    }

    /// Passes a batch forward and shows what came of it.
    fn pass<R>(
        &self,
        batch: Minibatch<'_>,
        at: PassAt<'_>,
        see: impl FnOnce(Loss<f32>, &Weights<'_, f32>) -> R,
    ) -> R {
        let input = self.input();
        let shape = (Batch(batch.sample.len() / input.0), input);
        let sample = tensor(batch.sample.to_vec(), shape);
        let target =
            tensor(batch.target.to_vec(), (shape.0, Input(batch.target.len() / shape.0.0)));
        let weights = Weights::new(self.sample, &self.parameters);
        see(loss(&self.definition, sample, &target, &weights, at), &weights)
    }

    /// Returns the objective of each sample of a pass, where it is not the squared error.
    fn objectives(&self, passed: &Loss<f32>, target: &[f32]) -> Option<Vec<f64>> {
        let objective = self.definition.objective;
        let x_hat = values(passed.before_sigmoid.as_ref().unwrap_or(&passed.x_hat));
        let inputs = self.sample.inputs();
        let rows = x_hat.chunks_exact(inputs).zip(target.chunks_exact(inputs));
        (objective != TrainObjective::Squared).then(|| {
            rows.map(|(x_hat, target)| objective_of_sample(objective, x_hat, target)).collect()
        })
    }
}

impl Engine for Reference<'_> {
    fn kind(&self) -> EngineKind {
        REFERENCE
    }

    fn forward(&self, batch: Minibatch<'_>, at: PassAt<'_>) -> Forward {
        let latents = self.definition.architecture.latents();
        self.pass(batch, at, |passed, _| Forward {
            code: OwnedCodes::Dense { latents, values: values(&passed.code) },
            x_hat: values(&passed.x_hat),
            objective: self.objectives(&passed, batch.target),
        })
    }

    fn decode(&self, code: Vec<f32>) -> Vec<f32> {
        let architecture = self.definition.architecture;
        let latent = Latent(architecture.latents());
        let shape = (Batch(code.len() / latent.0), latent);
        let weights = Weights::new(self.sample, &self.parameters);
        values(&f32::autoencoder(architecture).decode(tensor(code, shape).retaped(), &weights))
    }

    fn learn_with(&mut self, optimizer: Option<Optimizer>) {
        self.optimizer =
            optimizer.map(|optimizer| ReferenceOptimizer::new(optimizer, &self.parameters));
    }

    fn step(&mut self, batch: Minibatch<'_>, at: PassAt<'_>, factor: f64) -> StepLoss {
        let (rule, samples) =
            (self.definition.l0_rule(), batch.sample.len() / self.sample.inputs());
        let (measured, gradients, code) = self.pass(batch, at, |passed, weights| {
            let code = values(&passed.code);
            let active = rule.count(&code);
            let measured = StepLoss {
                total: rank0(&passed.total),
                reconstruction: passed.reconstruction,
                terms: passed.terms,
                l0: active as f64 / samples as f64,
            };
            let learns = self.optimizer.is_some() && measured.total.is_finite();
            (measured, learns.then(|| weights.gradients(passed.total.backward())), code)
        });
        self.last_code = code;
        if let (Some(optimizer), Some(mut gradients)) = (&mut self.optimizer, gradients) {
            if let Some(limit) = self.clip_norm {
                clip::clip(&mut gradients, limit);
            }
            optimizer.move_along(&mut self.parameters, &mut gradients, factor);
            let lr = (optimizer.lr() * factor) as f32;
            for shrink in self.definition.shrinks() {
                for entry in &mut self.parameters.entries {
                    if entry.declaration.is_weight_of(shrink.side()) {
                        shrink.shrink(lr, &mut entry.values);
                    }
                }
            }
            self.parameters.enforce_constraints();
        }
        measured
    }

    fn clip_gradients(&mut self, limit: Option<f64>) {
        self.clip_norm = limit;
    }

    fn parameters(&self) -> Cow<'_, Parameters<f32>> {
        Cow::Borrowed(&self.parameters)
    }

    fn into_parameters(self: Box<Self>) -> Parameters<f32> {
        self.parameters
    }

    fn first_moments(&self) -> Option<Parameters<f32>> {
        Some(self.optimizer.as_ref()?.first_moments(&self.parameters))
    }

    fn numbers(&mut self) -> Numbers<'_> {
        let (arrays, optimizer_steps) =
            ReferenceOptimizer::numbers(self.optimizer.as_mut(), &mut self.parameters);
        Numbers { arrays, optimizer_steps }
    }

    fn reset_moments(&mut self, latents: &[usize]) {
        if let Some(optimizer) = &mut self.optimizer {
            optimizer.reset(&self.parameters, latents);
        }
    }

    fn of_latents(&self, latents: &[usize]) -> Parameters<f32> {
        self.parameters.of_latents(latents)
    }

    fn set_latents(&mut self, latents: &[usize], parameters: &Parameters<f32>) {
        self.parameters.set_latents(latents, parameters);
        self.parameters.enforce_constraints();
    }

    fn mark_active(&self, active: &mut [bool]) {
        let rule = self.definition.l0_rule();
        for code in self.last_code.chunks_exact(active.len()) {
            active.iter_mut().zip(code).for_each(|(active, h)| *active |= rule.is_active(*h));
        }
    }

    fn last_codes(&self) -> OwnedCodes {
        let latents = self.definition.architecture.latents();
        OwnedCodes::Dense { latents, values: self.last_code.clone() }
    }

    fn dictionary(&self) -> Option<Vec<f32>> {
        self.definition.architecture.dictionary(self.sample, &self.parameters)
    }

    fn is_finite(&self) -> bool {
        let mut entries = self.parameters.entries.iter();
        entries.all(|entry| entry.values.iter().all(|value| value.is_finite()))
    }

    fn shift_encoder_bias(&mut self, shift: &[f32]) {
        let form = self.definition.architecture.layers();
        let of_code = form.and_then(|mut form| form.levels.pop()).map(|level| level.encoder.bias);
        let name = of_code.as_deref().unwrap_or("b_enc");
        let entries = &mut self.parameters.entries;
        let bias = entries.iter_mut().find(|entry| entry.declaration.name == name);
        let values = bias.into_iter().flat_map(|bias| &mut bias.values);
        values.zip(shift).for_each(|(value, shift)| *value += shift);
    }
}
