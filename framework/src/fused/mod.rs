//! The fused engine: the step of a model of layers by hand, on buffers of its own.
//!
//! The level that makes the code is the core: everything that is fast about codes is there. The levels around it,
//! if there are any, lead to it and away from it ([`outer`]).
//!
//! It computes what the reference engine computes, in another order: the encoder's product with
//! whatever follows it while a tile is in cache; codes as lists where few latents are active; a
//! latent's gradients made, used and forgotten at once. No pass over memory that another pass can
//! carry, no gradient of the input. Results do not depend on the number of threads, bit for bit:
//! each number is one sum in an order that depends on sizes alone.
//!
//! The engine names no plugin: it knows a [`LayeredForm`] and a [`FusedPenalty`], and takes any other
//! penalty of the code alone through its definition in dfdx ([`on_tape`]).

mod batch;
mod buffers;
mod clip;
mod dead;
mod decode;
mod encode;
mod engine;
mod gates;
mod jump;
mod kernels;
mod layers;
mod learn;
mod lesson;
mod lists;
mod moments;
mod narrow;
mod noise;
mod objective;
mod on_tape;
mod outer;
mod parallel;
mod pass;
mod penalties;
mod products;
mod tensors;

use std::cell::RefCell;

use pulp::Arch;

use crate::cpu;
use crate::engine::{Forward, Minibatch, StepLoss};
use crate::model::{Declaration, Parameters};
use crate::plugin::{L0Rule, LayeredForm, OwnedCodes, SampleShape};
use crate::spec::{Precision, TrainObjective};
use buffers::{Buffers, CodePlace, Scratch, Sums, count, rows};
use decode::DecodeGoal;
pub use engine::FUSED;
use kernels::{BackEnd, Matrix, PaddedRows, Update, padded};
pub(crate) use kernels::{Mat, MatMut, Multipliable, matmul};
use layers::LevelForm;
use learn::{Back, RowUse};
use lesson::CodeLesson;
use moments::Moments;
use narrow::Narrow;
use noise::NoiseBuffers;
use on_tape::OnTape;
use outer::{Outer, OuterBuffers, outer_levels};
pub(crate) use parallel::parallel;
use penalties::PassTerms;
use tensors::Tensors;

/// What takes products in bf16 on this machine: the results depend on it, to rounding.
pub fn bf16_product() -> &'static str {
    BackEnd::best().name()
}

/// A model in the fused engine.
struct Fused {
    /// The form of the whole.
    layered: LayeredForm,
    /// The form of the core.
    form: LevelForm,
    /// The levels around it.
    outer: Vec<Outer>,
    /// Number of numbers of a sample.
    inputs: usize,
    arch: Arch,
    tensors: Tensors,
    /// Whether the penalty has parameters of its own.
    has_own: bool,
    declarations: Vec<Declaration>,
    objective: TrainObjective,
    l0_rule: L0Rule,
    narrow: Option<Narrow>,
    /// The norm that gradients are scaled to where they are longer.
    clip_norm: Option<f64>,
    buffers: RefCell<Buffers>,
}

impl Fused {
    /// Takes a model over; it uses as many threads as the current rayon pool has.
    ///
    /// # Panics
    /// If the parameters are not those of the form.
    fn new(
        layered: LayeredForm,
        sample: SampleShape,
        parameters: Parameters<f32>,
        objective: TrainObjective,
        l0_rule: L0Rule,
    ) -> Self {
        let (tensors, declarations) = Tensors::take(&layered, parameters);
        let (outer, of_outer) = outer_levels(&layered, sample, &tensors.outer);
        let form = layered.levels.last().map(|level| LevelForm::of(&layered, level));
        let form = form.expect("a layered form has a level that makes the code");
        let (inputs, latents) = (tensors.core.inputs(), tensors.core.latents());
        let buffers = Buffers {
            scratches: (0..rayon::current_num_threads()).map(|_| Scratch::default()).collect(),
            x: Matrix::zeros(0, sample.inputs()),
            code: Matrix::zeros(0, latents),
            constrained: Matrix::zeros(0, latents),
            rows: Matrix::zeros(0, inputs),
            gradients: Matrix::zeros(0, latents),
            term_slopes: vec![0.0; latents],
            sums: Sums {
                pulls: Matrix::zeros(0, inputs),
                bias: Matrix::zeros(1, inputs),
                of_tiles: Vec::new(),
                own: Vec::new(),
            },
            back: Back::new(latents),
            outer: of_outer,
            noise: NoiseBuffers::new(latents),
            ..Buffers::default()
        };
        Self {
            layered,
            form,
            outer,
            inputs: sample.inputs(),
            arch: cpu::arch(),
            has_own: !tensors.own.is_empty(),
            tensors,
            declarations,
            objective,
            l0_rule,
            narrow: None,
            clip_norm: None,
            buffers: RefCell::new(buffers),
        }
    }

    /// Takes the encoder's product in another precision from now on.
    fn set_precision(&mut self, precision: Precision) {
        let is_narrow = precision == Precision::Bf16;
        self.narrow = is_narrow.then(|| Narrow::new(&self.tensors.core.encoder));
    }

    /// Makes anew what follows from parameters that were written to from outside.
    fn refresh(&mut self) {
        if let Some(narrow) = &mut self.narrow {
            *narrow = Narrow::new(&self.tensors.core.encoder);
        }
    }

    /// In which precision the encoder's product is taken.
    fn precision(&self) -> Precision {
        if self.narrow.is_some() { Precision::Bf16 } else { Precision::F32 }
    }

    /// The parameters in the order and layout of the reference engine.
    fn parameters(&self) -> Parameters<f32> {
        self.tensors.to_parameters(&self.layered, &self.declarations)
    }

    /// The decoder's rows, [latents, inputs], where each latent has one.
    fn dictionary(&self) -> Option<Vec<f32>> {
        self.outer.is_empty().then(|| self.tensors.core.dictionary().to_rows())
    }

    /// Whether every parameter is finite.
    fn is_finite(&self) -> bool {
        self.tensors.is_finite()
    }

    /// Adds `shift`, one number a latent, to the encoder's bias.
    fn shift_encoder_bias(&mut self, shift: &[f32]) {
        let bias = self.tensors.core.b_enc.row_mut(0);
        bias.iter_mut().zip(shift).for_each(|(bias, shift)| *bias += shift);
    }

    /// The code and the reconstruction of a batch.
    fn forward(&self, batch: Minibatch<'_>, terms: PassTerms<'_>) -> Forward {
        let buffers = &mut *self.buffers.borrow_mut();
        let samples = batch.sample.len() / self.inputs;
        let measures = self.objective != TrainObjective::Squared;
        let goal = match measures {
            true => DecodeGoal::Measure(batch.target),
            false => DecodeGoal::Reconstruct,
        };
        let (kept, ..) = self.pass(buffers, batch.sample, &terms, goal);
        let code = buffers.codes(kept, samples);
        let objective = measures.then(|| buffers.errors[..samples].to_vec());
        Forward { code, x_hat: rows(buffers.reconstructions(), samples), objective }
    }

    /// The codes of the last pass.
    fn last_codes(&self) -> OwnedCodes {
        let buffers = self.buffers.borrow();
        let (kept, samples) = buffers.last.unwrap_or((CodePlace::Dense, 0));
        buffers.codes(kept, samples)
    }

    /// The reconstruction, [samples, inputs], from codes, [samples, latents].
    fn decode(&self, code: &[f32]) -> Vec<f32> {
        let buffers = &mut *self.buffers.borrow_mut();
        let latents = self.tensors.core.latents();
        let samples = code.len() / latents;
        buffers.make_room(samples, 1);
        buffers.code.reserve_rows(samples);
        for (sample, values) in code.chunks_exact(latents).enumerate() {
            buffers.code.row_mut(sample)[..latents].copy_from_slice(values);
        }
        let Buffers { code: own, counts, .. } = &mut *buffers;
        count(own, counts, samples, L0Rule::Nonzero);
        let kept = if buffers.is_sparse(samples) { CodePlace::Lists } else { CodePlace::Dense };
        self.decode_whole(buffers, kept, samples);
        rows(buffers.reconstructions(), samples)
    }

    /// One step on a batch, at `factor` times the learning rate. Nothing is learnt from a loss that is not
    /// finite, or without moments.
    fn step(
        &mut self,
        moments: Option<&mut Moments>,
        batch: Minibatch<'_>,
        pass_terms: PassTerms<'_>,
        factor: f64,
    ) -> StepLoss {
        let x = batch.sample;
        let mut buffers = std::mem::take(self.buffers.get_mut());
        let samples = x.len() / self.inputs;
        let goal = DecodeGoal::Differentiate(batch.target);
        let (kept, mut passed, backward) = self.pass(&mut buffers, x, &pass_terms, goal);
        let PassTerms { columns, weights, shrinks, .. } = &pass_terms;
        let weight_terms: Vec<_> =
            weights.iter().map(|term| (term.weight as f32, term.term)).collect();
        let scaled = |weight: f64| (weight / samples as f64) as f32;
        let column_terms: Vec<_> =
            columns.terms.iter().map(|term| (scaled(term.weight), term.term)).collect();
        if kept == CodePlace::Lists {
            let is_marked = buffers.jump.is_marked();
            buffers.lists.sort_by_latent(self.tensors.core.latents(), is_marked);
            if buffers.prefixes > 1 {
                buffers.lists.spread_over_prefixes(&pass_terms.prefixes.ends);
            }
        }
        let moments = moments.filter(|_| passed.total.is_finite());
        let uses = RowUse { weight_terms: &weight_terms, shrinks, lr: 0.0, update: () };
        let about = CodeLesson {
            kept,
            backward,
            weight: scaled(backward.weight),
            columns: &column_terms,
            classes: &columns.classes,
            prefixes: &pass_terms.prefixes.ends,
        };
        let found = match moments {
            None => self.lesson(&buffers, x, about, uses).values(&self.tensors),
            Some(moments) => {
                moments.steps = moments.steps.saturating_add(1);
                let update = Update::new(&moments.optimizer, moments.steps, factor);
                let lr = (moments.lr() * factor) as f32;
                let uses = RowUse { lr, ..uses.to(update) };
                let of_columns = self.has_back().then(|| self.back(&mut buffers, x, about));
                let mut found = self.learn(&mut buffers, moments, x, about, uses);
                // Where derivatives were made before anything was learnt, so were the terms of columns.
                if let Some(of_columns) = of_columns {
                    found.truncate(weights.len());
                    found.extend(of_columns);
                }
                found
            }
        };
        let (of_weights, of_columns) = found.split_at(weights.len());
        let of_weights = weights.iter().zip(of_weights).map(|(term, sum)| term.measured(*sum));
        let of_columns = columns.terms.iter().zip(of_columns);
        let of_columns = of_columns.map(|(term, sum)| term.measured(sum / samples as f64));
        for term in of_weights.chain(of_columns) {
            passed.total += term.weight * term.raw;
            passed.terms.push(term);
        }
        *self.buffers.get_mut() = buffers;
        passed
    }

    /// The parameters of these latents alone, in the layout of the reference engine.
    fn of_latents(&self, latents: &[usize]) -> Parameters<f32> {
        self.tensors.of_latents(&self.layered, &self.declarations, latents)
    }

    /// Writes the parameters of these latents; rows of norm 1 are scaled to it.
    fn set_latents(&mut self, latents: &[usize], parameters: &Parameters<f32>) {
        self.tensors.set_latents(&self.layered, latents, parameters);
        self.refresh();
    }

    /// The samples, or their copy.
    fn input<'a>(&self, copy: &'a Matrix, x: &'a [f32]) -> PaddedRows<'a> {
        if self.is_copied() {
            copy.first_rows(x.len() / self.inputs)
        } else {
            PaddedRows::new(x, self.inputs)
        }
    }

    /// What the core encodes: what the level around it gives, or the samples.
    fn core_input<'a>(
        &self,
        copy: &'a Matrix,
        outer: &'a [OuterBuffers],
        x: &'a [f32],
    ) -> PaddedRows<'a> {
        match outer.last() {
            Some(level) => level.hidden(x.len() / self.inputs),
            None => self.input(copy, x),
        }
    }

    fn is_copied(&self) -> bool {
        self.form.subtract_decoder_bias || padded(self.inputs) != self.inputs
    }
}
