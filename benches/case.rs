//! A model in training at the sizes that an experiment may have.

use framework::dims::Batch;
use framework::engine::{EngineKind, Minibatch};
use framework::model::{Definition, EncoderPass, Mode, Real, Step, Weights, tensor, values};
use framework::plugin::SampleShape;
use framework::rand::RngExt;
use framework::random::Streams;
use framework::spec::{Experiment, RunSpec};
use framework::train::{Model, Normalizer, Trainer};

/// What is trained.
#[derive(Clone, Copy)]
pub struct Case {
    /// Inputs, latents and samples a batch.
    pub sizes: (usize, usize, usize),
    /// What follows the encoder's affine map.
    pub activation: &'static str,
    /// The penalty's section.
    pub penalty: &'static str,
    /// The share of latents that are active, where the penalty does not say and relu can.
    pub density: Option<f64>,
}

/// A billionth of the learning rate: the same work each time, at the density of the first.
const FACTOR: f64 = 1e-9;

const STEP: Step<'static> =
    Step { mode: Mode::Train, number: 0, progress: 0.0, steps: 0, labels: None };

impl Case {
    /// Its run, as an experiment file would have it.
    pub fn run(&self) -> RunSpec {
        let (Self { activation, penalty, .. }, (_, latents, _)) = (self, self.sizes);
        let text = format!(
            "name = \"bench\"\n[dataset]\nkind = \"digits\"\n[architecture]\nkind = \"dense\"\n\
             latents = {latents}\nactivation = \"{activation}\"\n[penalty]\n{penalty}\n"
        );
        let experiment = Experiment::parse("bench".into(), "".into(), text, &[]);
        let runs = experiment.and_then(|experiment| experiment.runs());
        runs.expect("the case is right").remove(0)
    }

    /// What it is called: sizes, penalty, and how dense its codes are.
    pub fn name(&self, run: &RunSpec) -> String {
        let (inputs, latents, batch) = self.sizes;
        let kind = &run.penalty.value.kind;
        let kept = run.penalty.settings.get("k").and_then(|k| k.as_u64());
        let density = kept.map(|k| k as f64 / latents as f64).or(self.density);
        let density = density
            .map_or("dense".to_owned(), |density| format!("{} %", (density * 1e4).round() / 1e2));
        format!("{inputs}x{latents}x{batch} {kind} {density}")
    }
}

/// A model on a batch that is in memory already.
pub struct Trained<'a> {
    trainer: Trainer<'a>,
    x: Vec<f32>,
}

impl<'a> Trained<'a> {
    /// The model of a case as training starts, its bias set for the density.
    pub fn new(case: &Case, run: &'a RunSpec, engine: EngineKind) -> Self {
        let (inputs, _, batch) = case.sizes;
        let streams = Streams::new(0);
        let mut random = streams.stream("bench");
        let x: Vec<f32> = (0..batch * inputs).map(|_| random.random()).collect();
        let (architecture, penalty) = (&*run.architecture.value.plugin, &*run.penalty.value.plugin);
        let normalizer = Normalizer::default();
        let mut model = Model::new(
            Definition::new(architecture, penalty),
            SampleShape::Vector(inputs),
            normalizer,
            &streams,
        );
        if let Some(density) = case.density {
            let shift = shift(&model, &x, density);
            model.shift_encoder_bias(&shift);
        }
        Self { trainer: Trainer::new(model.on(engine), run.train.value.optimizer), x }
    }

    /// The model.
    pub fn model(&self) -> &Model<'a> {
        &self.trainer.model
    }

    /// One step.
    pub fn step(&mut self) -> f64 {
        self.trainer.step(Minibatch::clean(&self.x), STEP, FACTOR).total
    }
}

/// What to add to each latent's bias, so that the share `density` of a batch is above 0.
fn shift(model: &Model<'_>, x: &[f32], density: f64) -> Vec<f32> {
    let (parameters, latents) = (model.parameters(), model.latents());
    let shape = (Batch(x.len() / model.input.0), model.input);
    let weights = Weights::new(model.sample, &parameters);
    let streams = Streams::new(0);
    let pass = EncoderPass::new(Step::EVALUATE, &streams);
    let architecture = f32::autoencoder(model.definition.architecture);
    let encoded = architecture.encode(tensor(x.to_vec(), shape).retaped(), &weights, &pass);
    let pre_code = values(&encoded.pre_code);
    let above = (density * shape.0.0 as f64).round() as usize;
    (0..latents)
        .map(|latent| {
            let mut column: Vec<f32> =
                pre_code.iter().skip(latent).step_by(latents).copied().collect();
            column.sort_unstable_by(|a, b| b.total_cmp(a));
            -(column[above - 1] + column[above]) / 2.0
        })
        .collect()
}
