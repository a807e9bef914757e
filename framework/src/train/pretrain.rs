//! Greedy pretraining: the layers of an architecture are trained one after another, each as an autoencoder of its own,
//! before the run trains all of them together. Sources: Hinton and Salakhutdinov 2006; Vincent et al. 2010.
//!
//! A layer starts with the parameters that the whole would start with, and is trained on what the layers before it,
//! which stay as they are, make of the samples without noise; the first one is trained on the samples as the run sees
//! them, noise included. All have the run's optimizer, clipping, batch size and precision; the schedule of the learning
//! rate runs from its start to its end over each layer. There is neither penalty nor auxiliary. The objective is the
//! run's; where the cross-entropy cannot be had, as a layer does not end in a sigmoid, it is the squared error.
//!
//! All of it follows from the seed: a run that was interrupted in it starts it anew. A layer is left out where the run
//! took one of its parameters from a stored model: what was learnt there stays.

use std::thread::Scope;
use std::time::Instant;

use super::feed::{Feed, Gatherer};
use super::noise::Noise;
use super::{Batches, Course, Ended, Model, Normalizer, Progress, Trainer, Watch, Wish};
use crate::engine::{EngineChoice, EngineKind, Minibatch};
use crate::model::{Definition, Mode, Parameters, Real, Step};
use crate::plugin::{
    Architecture, Data, FusedPenalty, Penalize, Penalty, PretrainedLayer, Pretraining, SampleShape,
    Split,
};
use crate::random::Streams;
use crate::spec::{BatchOrder, Precision, RunSpec, TrainObjective};

/// No penalty.
struct Unpenalized;

impl<E: Real> Penalize<E> for Unpenalized {}
impl Penalty for Unpenalized {
    fn fused(&self, _: &Step<'_>, _: usize) -> Option<FusedPenalty<'_>> {
        Some(FusedPenalty::Nothing)
    }
}

/// What pretraining has of its run.
pub(super) struct PretrainingRun<'a, 'scope, 'env> {
    /// Where threads that gather samples live.
    pub(super) scope: &'scope Scope<'scope, 'env>,
    /// The run.
    pub(super) run: &'scope RunSpec,
    /// Its data.
    pub(super) data: &'scope dyn Data,
    /// How samples are scaled.
    pub(super) normalizer: &'a Normalizer,
    /// Names of the parameters that were taken from a stored model.
    pub(super) taken: &'a [String],
}

/// Steps of pretraining that are done, and all there are.
struct Steps {
    done: usize,
    all: usize,
}

impl PretrainingRun<'_, '_, '_> {
    /// Pretrains the layers of a run that starts with `parameters`, and returns the parameters that it goes on with.
    /// Counts time and samples in `course`.
    ///
    /// # Errors
    /// How the run ended, if it did.
    pub(super) fn pretrain(
        &self,
        pretraining: &Pretraining,
        mut parameters: Parameters<f32>,
        course: &mut Course,
        watch: &mut dyn Watch,
    ) -> Result<Parameters<f32>, Ended<'static>> {
        let layers = &pretraining.layers;
        let trained = layers.iter().filter(|layer| !self.is_taken(layer)).count();
        let train = &self.run.train.value;
        let of_layer = self.data.rows(Split::Train).div_ceil(train.batch);
        let of_layer = of_layer.saturating_mul(pretraining.epochs.get());
        let mut steps = Steps { done: 0, all: of_layer.saturating_mul(trained) };
        let mut below: Vec<Model<'_>> = Vec::new();
        for (at, layer) in layers.iter().enumerate() {
            let sample = match below.last() {
                None => self.data.shape(),
                Some(last) => SampleShape::Vector(last.latents()),
            };
            let streams = Streams::new(self.run.seed).of(&format!("pretraining/{}", at + 1));
            let mut model = self.model(layer, sample, &parameters, &streams);
            if !self.is_taken(layer) {
                let mut trainer = Trainer::new(model, train.optimizer).clipping(train.clip_norm);
                self.train(&mut trainer, &below, of_layer, &mut steps, course, watch)?;
                model = trainer.into_model();
                if !model.is_finite() {
                    return Err(Ended::Diverged { step: 0, last_loss: course.last_loss });
                }
                let learnt = model.parameters();
                for (own, name) in &layer.names {
                    let of_whole = parameters.entries.iter_mut();
                    let mut of_whole = of_whole.filter(|entry| entry.declaration.name == *name);
                    let (to, from) = (of_whole.next(), learnt.get(own));
                    let (to, from) = to.zip(from).expect("layers name parameters that there are");
                    to.values.clone_from(&from.values);
                }
            }
            below.push(model);
        }
        // The loss of the last layer is not one of the run.
        course.last_loss = None;
        Ok(parameters)
    }

    /// Returns true if a parameter of a layer was taken from a stored model.
    fn is_taken(&self, layer: &PretrainedLayer) -> bool {
        layer.names.iter().any(|(_, name)| self.taken.contains(name))
    }

    /// Makes the model of a layer with the parameters that it has in the whole.
    fn model<'l>(
        &self,
        layer: &'l PretrainedLayer,
        sample: SampleShape,
        whole: &Parameters<f32>,
        streams: &Streams,
    ) -> Model<'l> {
        let train = &self.run.train.value;
        let architecture: &dyn Architecture = &*layer.architecture;
        let objective = match train.objective {
            TrainObjective::CrossEntropy if !architecture.ends_in_sigmoid() => {
                TrainObjective::Squared
            }
            objective => objective,
        };
        let definition = Definition { objective, ..Definition::new(architecture, &Unpenalized) };
        let EngineChoice(named) = train.engine;
        let named = named.filter(|engine| (engine.covers)(&definition).is_ok());
        let engine = named.unwrap_or_else(|| EngineKind::covering(&definition));
        let is_able = engine.precisions.contains(&train.precision);
        let precision = if is_able { train.precision } else { Precision::F32 };
        let model = Model::new(definition, sample, Normalizer::default(), streams);
        let mut parameters = model.parameters().into_owned();
        for entry in &mut parameters.entries {
            let own = &entry.declaration.name;
            let name = layer.names.iter().find(|(name, _)| name == own);
            let of_whole = name.and_then(|(_, name)| whole.get(name));
            entry.values.clone_from(&of_whole.expect("a layer is part of the whole").values);
        }
        model.with_parameters(parameters).on(engine).in_precision(precision)
    }

    /// Trains a layer on what those below it make of the training samples.
    fn train(
        &self,
        trainer: &mut Trainer<'_>,
        below: &[Model<'_>],
        of_layer: usize,
        steps: &mut Steps,
        course: &mut Course,
        watch: &mut dyn Watch,
    ) -> Result<(), Ended<'static>> {
        let (data, train, streams) = (self.data, &self.run.train.value, trainer.model.streams);
        let batches = match (train.batches, data.labels(Split::Train)) {
            (BatchOrder::Stratified, Some(labels)) => {
                Batches::stratified(streams, labels, train.batch)
            }
            _ => Batches::new(streams, data.rows(Split::Train), train.batch),
        };
        let noise = match below {
            [] => Noise::new(&*self.run.corruption.value.plugin, data, self.normalizer, streams)?,
            _ => None,
        };
        let gatherer = Gatherer::new(data, batches, self.normalizer.clone()).with_noise(noise);
        let mut feed = Feed::new(self.scope, gatherer, of_layer);
        for number in 0..of_layer {
            let started = Instant::now();
            let batch = feed.next()?;
            let minibatch = batch.minibatch();
            let codes;
            let minibatch = match below {
                [] => minibatch,
                [first, others @ ..] => {
                    codes = others
                        .iter()
                        .fold(codes_of(first, minibatch.target), |x, model| codes_of(model, &x));
                    Minibatch::clean(&codes)
                }
            };
            let at = Step {
                mode: Mode::Train,
                number,
                progress: number as f64 / of_layer as f64,
                steps: of_layer,
                labels: batch.labels(),
            };
            let measured = trainer.step(minibatch, at, train.schedule.factor(number, of_layer));
            course.count_pretraining(started.elapsed(), batch.rows);
            if !measured.total.is_finite() {
                return Err(Ended::Diverged { step: 0, last_loss: course.last_loss });
            }
            course.last_loss = Some(measured.total);
            steps.done += 1;
            let progress = Progress {
                step: steps.done,
                steps: steps.all,
                loss: measured.total,
                l0: measured.l0,
                earlier: course.earlier,
            };
            match watch.pretraining(&progress) {
                Wish::GoOn | Wish::Checkpoint => {}
                Wish::Stop => return Err(Ended::Stopped { step: 0 }),
                Wish::Abandon => return Err(Ended::Abandoned { step: 0 }),
            }
        }
        Ok(())
    }
}

/// The codes of samples, [samples, latents].
fn codes_of(model: &Model<'_>, x: &[f32]) -> Vec<f32> {
    model.forward(x, Step::EVALUATE).code.view().to_dense().into_owned()
}
