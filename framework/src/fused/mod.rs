//! The fused engine: the step of a dense model by hand, on buffers of its own.
//!
//! It computes what the reference engine computes, in another order: the encoder's product with
//! whatever follows it while a tile is in cache; codes as lists where few latents are active; a
//! latent's gradients made, used and forgotten at once. No pass over memory that another pass can
//! carry, no gradient of the input. Results do not depend on the number of threads, bit for bit:
//! each number is one sum in an order that depends on sizes alone.
//!
//! The engine names no plugin: it knows a [`DenseForm`] and a [`FusedPenalty`], and takes any other
//! penalty of the code alone through its definition in dfdx ([`on_tape`]).

mod decode;
mod encode;
mod kernels;
mod layers;
mod learn;
mod lists;
mod narrow;
mod on_tape;
mod parallel;

use std::cell::RefCell;

use pulp::Arch;

use crate::model::{Declaration, LossTerm, Parameters};
use crate::plugin::{Activation, DenseForm, FusedPenalty, OwnedCodes, PerLatent, PerSample};
use crate::spec::{Optimizer, Precision};
use decode::{Decoder, Found, Goal, Source};
use encode::{Encoder, Seen};
use kernels::{
    BackEnd, Bf16Inputs, Buffer, Candidates, Matrix, Rows, Scratch as Selection, Update, matmul,
};
use layers::Layers;
use learn::{Code, Lesson};
use lists::Lists;
use narrow::Narrow;
pub use on_tape::OnTape;
use parallel::parallel;

/// Codes of at most this share of active latents are kept as lists. Above it the dense products
/// are faster, which do four times the arithmetic at four times the speed (`benches/density.rs`).
const LISTS_BELOW: f64 = 0.25;

/// What takes products in bf16 on this machine: the results depend on it, to rounding.
pub fn bf16_product() -> &'static str {
    BackEnd::best().name()
}

/// A dense model in the fused engine.
pub struct Fused {
    form: DenseForm,
    arch: Arch,
    layers: Layers,
    declarations: Vec<Declaration>,
    l0_threshold: f32,
    narrow: Option<Narrow>,
    buffers: RefCell<Buffers>,
}

/// The moments of every parameter, and the optimiser they belong to.
pub struct Moments {
    optimizer: Optimizer,
    steps: i32,
    first: Layers,
    /// Empty for SGD.
    second: Layers,
}

impl Moments {
    /// Of no step yet.
    pub fn new(optimizer: Optimizer, model: &Fused) -> Self {
        let first = model.layers.zeros_like();
        let second = match optimizer {
            Optimizer::Adam(_) => model.layers.zeros_like(),
            Optimizer::Sgd(_) => Layers::default(),
        };
        Self { optimizer, steps: 0, first, second }
    }

    /// The first moments (of SGD: the velocities), as parameters.
    pub fn first(&self, model: &Fused) -> Parameters<f32> {
        self.first.to_parameters(&model.declarations)
    }
}

/// What a thread works with.
#[derive(Default)]
struct Scratch {
    tile: Buffer,
    gradient: Buffer,
    row: Vec<f32>,
    values: Vec<f32>,
    bias: Vec<f32>,
    candidates: Vec<Candidates>,
    selection: Selection,
}

/// Everything a step writes besides parameters; allocated by the first step, used by all.
#[derive(Default)]
struct Buffers {
    scratches: Vec<Scratch>,
    /// The samples, padded, with the decoder's bias taken away if that is the form.
    x: Matrix,
    /// The same in bf16, if that is the precision.
    packed: Bf16Inputs,
    /// What the activation gave, [samples, latents].
    code: Matrix,
    /// What a penalty on the tape made of it.
    constrained: Matrix,
    lists: Lists,
    counts: Vec<u32>,
    /// x̂, or the derivatives by what the decoder's affine map gave.
    rows: Matrix,
    /// The penalty's derivatives by a dense code.
    gradients: Matrix,
    errors: Vec<f64>,
    terms: Vec<f64>,
    term_values: Vec<f64>,
    term_slopes: Vec<f32>,
    pulls: Matrix,
    bias: Matrix,
}

/// The penalty of a pass.
pub enum Rule<'a> {
    /// By hand.
    Fused(FusedPenalty<'a>),
    /// By its definition.
    OnTape(OnTape<'a>),
}

/// What a pass found.
pub struct Passed {
    /// The mean over samples of Σ (x̂ − x)².
    pub reconstruction: f64,
    /// The penalty's terms.
    pub terms: Vec<LossTerm>,
    /// The whole loss.
    pub total: f64,
    /// Mean number of active latents a sample.
    pub l0: f64,
}

/// In which of the buffers the code of a batch is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Lists,
    Dense,
    Constrained,
}

impl Fused {
    /// Takes a model over; it uses as many threads as the current rayon pool has.
    ///
    /// # Panics
    /// If the parameters are not those of the form.
    pub fn new(form: DenseForm, parameters: Parameters<f32>, l0_threshold: f64) -> Self {
        let (layers, declarations) = Layers::take(&form, parameters);
        let (inputs, latents) = (layers.inputs(), layers.latents());
        let buffers = Buffers {
            scratches: (0..rayon::current_num_threads()).map(|_| Scratch::default()).collect(),
            x: Matrix::zeros(0, inputs),
            code: Matrix::zeros(0, latents),
            constrained: Matrix::zeros(0, latents),
            rows: Matrix::zeros(0, inputs),
            gradients: Matrix::zeros(0, latents),
            term_values: vec![0.0; latents],
            term_slopes: vec![0.0; latents],
            pulls: Matrix::zeros(0, inputs),
            bias: Matrix::zeros(1, inputs),
            ..Buffers::default()
        };
        let buffers = RefCell::new(buffers);
        let l0_threshold = l0_threshold as f32;
        let (arch, narrow) = (Arch::new(), None);
        Self { form, arch, layers, declarations, l0_threshold, narrow, buffers }
    }

    /// The same with the encoder's product in another precision.
    pub fn in_precision(mut self, precision: Precision) -> Self {
        let is_narrow = precision == Precision::Bf16;
        self.narrow = is_narrow.then(|| Narrow::new(&self.layers.encoder));
        self
    }

    /// In which precision the encoder's product is taken.
    pub fn precision(&self) -> Precision {
        if self.narrow.is_some() { Precision::Bf16 } else { Precision::F32 }
    }

    /// The parameters in the order and layout of the reference engine.
    pub fn parameters(&self) -> Parameters<f32> {
        self.layers.to_parameters(&self.declarations)
    }

    /// The decoder's rows, [latents, inputs].
    pub fn dictionary(&self) -> Vec<f32> {
        self.layers.dictionary().to_rows()
    }

    /// Whether every parameter is finite.
    pub fn is_finite(&self) -> bool {
        self.layers.is_finite()
    }

    /// Adds `shift`, one number a latent, to the encoder's bias.
    pub fn shift_encoder_bias(&mut self, shift: &[f32]) {
        let bias = self.layers.b_enc.row_mut(0);
        bias.iter_mut().zip(shift).for_each(|(bias, shift)| *bias += shift);
    }

    /// The code, [samples, latents], and the reconstruction, [samples, inputs], of samples `x`.
    pub fn forward(&self, x: &[f32], rule: Rule<'_>) -> (OwnedCodes, Vec<f32>) {
        let buffers = &mut *self.buffers.borrow_mut();
        let samples = x.len() / self.layers.inputs();
        let (kept, _) = self.pass(buffers, x, rule, false);
        let latents = self.layers.latents();
        let dense = |code| OwnedCodes::Dense { latents, values: rows(code, samples) };
        let code = match kept {
            Kept::Lists => buffers.lists.to_codes(latents),
            Kept::Dense => dense(&buffers.code),
            Kept::Constrained => dense(&buffers.constrained),
        };
        (code, rows(&buffers.rows, samples))
    }

    /// The reconstruction, [samples, inputs], from codes, [samples, latents].
    pub fn decode(&self, code: &[f32]) -> Vec<f32> {
        let buffers = &mut *self.buffers.borrow_mut();
        let latents = self.layers.latents();
        let samples = code.len() / latents;
        buffers.make_room(samples);
        buffers.code.reserve_rows(samples);
        for (sample, values) in code.chunks_exact(latents).enumerate() {
            buffers.code.row_mut(sample)[..latents].copy_from_slice(values);
        }
        let Buffers { code: own, counts, .. } = &mut *buffers;
        count(own, counts, samples, |value| value != 0.0);
        let kept = if buffers.is_sparse(samples) { Kept::Lists } else { Kept::Dense };
        self.decode_kept(buffers, kept, samples, Goal::Reconstruct, None);
        rows(&buffers.rows, samples)
    }

    /// One step on samples `x`, [samples, inputs], at `factor` times the learning rate. Nothing is
    /// learnt from a loss that is not finite.
    pub fn step(
        &mut self,
        moments: &mut Moments,
        x: &[f32],
        rule: Rule<'_>,
        factor: f64,
    ) -> Passed {
        let mut buffers = std::mem::take(self.buffers.get_mut());
        let samples = x.len() / self.layers.inputs();
        let (kept, (passed, lesson)) = self.pass(&mut buffers, x, rule, true);
        if passed.total.is_finite() {
            moments.steps = moments.steps.saturating_add(1);
            let update = Update::new(&moments.optimizer, moments.steps, factor);
            let Buffers {
                scratches,
                x: own,
                code,
                constrained,
                lists,
                rows,
                gradients,
                term_slopes,
                pulls,
                bias,
                ..
            } = &mut buffers;
            let code = match kept {
                Kept::Lists => {
                    lists.sort_by_latent(self.layers.latents());
                    Code::Lists { lists, term: lesson.own }
                }
                Kept::Dense => {
                    let gradients = lesson.own.then_some(&*gradients);
                    Code::Dense { code, before: code, gradients, whole: false }
                }
                Kept::Constrained => {
                    let gradients = Some(&*gradients);
                    Code::Dense { code: constrained, before: code, gradients, whole: true }
                }
            };
            let lesson = Lesson {
                arch: self.arch,
                form: self.form,
                x: self.input(own, x),
                g: rows.first_rows(samples),
                code,
                slopes: if lesson.slopes { term_slopes } else { &[] },
                weight: (lesson.weight / samples as f64) as f32,
                update,
            };
            let narrow = self.narrow.as_mut();
            lesson.learn(&mut self.layers, moments, narrow, pulls, bias, scratches);
        }
        *self.buffers.get_mut() = buffers;
        passed
    }

    /// The rows that are encoded: the samples themselves, or their copy.
    fn input<'a>(&self, copy: &'a Matrix, x: &'a [f32]) -> Rows<'a> {
        let inputs = self.layers.inputs();
        if self.is_copied() { copy.first_rows(x.len() / inputs) } else { Rows::new(x, inputs) }
    }

    fn is_copied(&self) -> bool {
        self.form.subtract_decoder_bias || self.layers.encoder.stride() != self.layers.inputs()
    }

    /// From samples to the loss, and, with `learn`, to what the backward pass starts from.
    fn pass(
        &self,
        buffers: &mut Buffers,
        x: &[f32],
        rule: Rule<'_>,
        learn: bool,
    ) -> (Kept, (Passed, Backward)) {
        let (inputs, latents) = (self.layers.inputs(), self.layers.latents());
        let samples = x.len() / inputs;
        buffers.make_room(samples);
        if self.is_copied() {
            let bias = self.form.subtract_decoder_bias.then(|| self.layers.b_dec.row(0));
            for (sample, values) in x.chunks_exact(inputs).enumerate() {
                let row = &mut buffers.x.row_mut(sample)[..inputs];
                row.copy_from_slice(values);
                if let Some(bias) = bias {
                    row.iter_mut().zip(bias).for_each(|(value, bias)| *value -= bias);
                }
            }
        }
        if let Some(narrow) = &self.narrow {
            let rows = self.input(&buffers.x, x);
            let samples = (0..samples).map(|sample| &rows.row(sample)[..inputs]);
            narrow.pack(samples, &mut buffers.packed);
        }
        let goal = if learn { Goal::Differentiate(x) } else { Goal::Reconstruct };
        let mut backward = Backward::default();
        let mut terms = Vec::new();
        let kept = match rule {
            Rule::Fused(FusedPenalty::KeepLargest(k)) => {
                self.keep_largest(buffers, x, k.min(latents), goal);
                Kept::Lists
            }
            Rule::Fused(penalty) => {
                let (per_sample, per_latent) = match penalty {
                    FusedPenalty::PerSample { term, .. } => (Some(term), None),
                    FusedPenalty::PerLatent { term, .. } => (None, Some(term)),
                    _ => (None, None),
                };
                let kept = self.encode_dense(buffers, x, per_latent);
                self.decode_kept(buffers, kept, samples, goal, per_sample);
                let term = match penalty {
                    FusedPenalty::PerSample { name, weight, .. } => {
                        let value = buffers.terms[..samples].iter().sum::<f64>() / samples as f64;
                        backward = Backward { own: true, weight, ..backward };
                        Some((name, weight, value))
                    }
                    FusedPenalty::PerLatent { name, weight, .. } => {
                        backward = Backward { slopes: true, weight, ..backward };
                        Some((name, weight, buffers.term_values.iter().sum()))
                    }
                    _ => None,
                };
                terms.extend(term.map(|(name, weight, raw)| LossTerm { name, raw, weight }));
                kept
            }
            Rule::OnTape(tape) => {
                self.encode_dense(buffers, x, None);
                let tape = tape.constrain(&buffers.code, samples, &mut buffers.constrained);
                terms = tape.terms();
                let Buffers { constrained, counts, .. } = &mut *buffers;
                count(constrained, counts, samples, |value| is_counted(value, self.l0_threshold));
                self.decode_kept(buffers, Kept::Constrained, samples, goal, None);
                if learn {
                    buffers.gradients.reserve_rows(samples);
                    self.code_gradients(buffers, samples);
                    tape.differentiate(&mut buffers.gradients);
                }
                Kept::Constrained
            }
        };
        let reconstruction = buffers.errors[..samples].iter().sum::<f64>() / samples as f64;
        let total = reconstruction + terms.iter().map(|term| term.weight * term.raw).sum::<f64>();
        let l0 = buffers.active(kept, samples, self.l0_threshold) as f64 / samples as f64;
        (kept, (Passed { reconstruction, terms, total, l0 }, backward))
    }

    fn encoder<'a>(
        &'a self,
        copy: &'a Matrix,
        packed: &'a Bf16Inputs,
        x: &'a [f32],
    ) -> Encoder<'a> {
        Encoder {
            arch: self.arch,
            activation: self.form.activation,
            layers: &self.layers,
            x: self.input(copy, x),
            narrow: self.narrow.as_ref().map(|narrow| (narrow, packed)),
        }
    }

    fn decoder<'a>(&'a self, goal: Goal<'a>, term: Option<&'a dyn PerSample>) -> Decoder<'a> {
        let sigmoid = self.form.sigmoid_decoder;
        Decoder { arch: self.arch, layers: &self.layers, sigmoid, goal, term }
    }

    /// Encodes and decodes the k largest of each sample.
    fn keep_largest(&self, buffers: &mut Buffers, x: &[f32], k: usize, goal: Goal<'_>) {
        let samples = x.len() / self.layers.inputs();
        self.encoder(&buffers.x, &buffers.packed, x).candidates(k, &mut buffers.scratches);
        let take = |scratch: &mut Scratch| std::mem::take(&mut scratch.candidates);
        let candidates: Vec<_> = buffers.scratches.iter_mut().map(take).collect();
        let source = Source::Largest(k, &candidates);
        buffers.lists.make_room(std::iter::repeat_n(k, samples));
        let Buffers { lists, scratches, rows, errors, terms, .. } = buffers;
        let found = Found { rows, errors: &mut errors[..samples], terms: &mut terms[..samples] };
        self.decoder(goal, None).lists(source, lists, found, scratches);
        for (scratch, candidates) in scratches.iter_mut().zip(candidates) {
            scratch.candidates = candidates;
        }
    }

    /// Encodes all codes, and says whether they are few enough for lists.
    fn encode_dense(&self, buffers: &mut Buffers, x: &[f32], term: Option<&dyn PerLatent>) -> Kept {
        let samples = x.len() / self.layers.inputs();
        let Buffers { x: copy, packed, code, counts, term_values, term_slopes, scratches, .. } =
            buffers;
        code.reserve_rows(samples);
        let threshold = self.l0_threshold;
        let seen = Seen { counts, threshold, term, term_values, term_slopes };
        self.encoder(copy, packed, x).dense(code, seen, scratches);
        // Only where relu leaves zeros does no gradient pass them.
        let sparse = self.form.activation == Activation::Relu;
        if sparse && buffers.is_sparse(samples) { Kept::Lists } else { Kept::Dense }
    }

    /// Decodes the dense code in the buffers, as lists if there are few enough active latents.
    fn decode_kept(
        &self,
        buffers: &mut Buffers,
        kept: Kept,
        samples: usize,
        goal: Goal<'_>,
        term: Option<&dyn PerSample>,
    ) {
        let decoder = self.decoder(goal, term);
        let Buffers {
            code,
            constrained,
            counts,
            lists,
            gradients,
            scratches,
            rows,
            errors,
            terms,
            ..
        } = buffers;
        let found = Found { rows, errors: &mut errors[..samples], terms: &mut terms[..samples] };
        match kept {
            Kept::Dense => decoder.dense(code, gradients, found, scratches),
            Kept::Constrained => decoder.dense(constrained, gradients, found, scratches),
            Kept::Lists => {
                let of_sample = |sample: usize| {
                    counts[sample..].iter().step_by(samples).map(|count| *count as usize).sum()
                };
                lists.make_room((0..samples).map(of_sample));
                decoder.lists(Source::NotZero(code), lists, found, scratches);
            }
        }
    }

    /// The derivatives of the reconstruction by the code, [samples, latents].
    fn code_gradients(&self, buffers: &mut Buffers, samples: usize) {
        let latents = self.layers.latents();
        let (dictionary, stride) = (self.layers.dictionary(), self.layers.dictionary().stride());
        let g = buffers.rows.view(samples);
        let width = encode::tile_width(latents);
        let tiles = buffers.gradients.view_mut(samples).column_tiles(width).enumerate();
        parallel(&mut buffers.scratches, tiles, |_, (at, mut tile)| {
            let (first, count) = (at * width, width.min(latents - at * width));
            let atoms =
                Rows::new(&dictionary.as_slice()[first * stride..(first + count) * stride], stride);
            matmul(g, atoms.view(dictionary.columns()).t(), &mut tile, false);
        });
    }
}

impl Buffers {
    /// Makes room for so many samples; only the first step, or a larger batch, allocates.
    fn make_room(&mut self, samples: usize) {
        self.x.reserve_rows(samples);
        self.rows.reserve_rows(samples);
        if self.errors.len() < samples {
            self.errors.resize(samples, 0.0);
            self.terms.resize(samples, 0.0);
        }
    }

    /// Whether lists are faster than a dense code of which so much was counted as active.
    fn is_sparse(&self, samples: usize) -> bool {
        let active: f64 = self.counts.iter().map(|count| f64::from(*count)).sum();
        active <= LISTS_BELOW * samples as f64 * self.code.columns() as f64
    }

    /// How many latents are active in the whole batch.
    fn active(&self, kept: Kept, samples: usize, threshold: f32) -> usize {
        let in_list = |sample: usize| {
            let values = &self.lists.values[self.lists.range(sample)];
            values.iter().filter(|value| is_counted(**value, threshold)).count()
        };
        match kept {
            Kept::Lists => (0..samples).map(in_list).sum(),
            Kept::Dense | Kept::Constrained => {
                self.counts.iter().map(|count| *count as usize).sum()
            }
        }
    }
}

/// What the backward pass needs to know of the penalty.
#[derive(Clone, Copy, Default)]
struct Backward {
    /// Derivatives by each value were written, before the weight.
    own: bool,
    /// Derivatives by each latent's mean were written, before the weight.
    slopes: bool,
    weight: f64,
}

/// Counts the active latents of each sample of a code.
fn count(code: &Matrix, counts: &mut Vec<u32>, samples: usize, is_active: impl Fn(f32) -> bool) {
    counts.clear();
    counts.extend((0..samples).map(|sample| {
        let values = &code.row(sample)[..code.columns()];
        values.iter().map(|value| u32::from(is_active(*value))).sum::<u32>()
    }));
}

/// Whether a latent of this value counts as active; see `plugin::is_active`.
#[inline(always)]
fn is_counted(value: f32, threshold: f32) -> bool {
    if threshold > 0.0 { value > threshold } else { value != 0.0 }
}

/// The first rows of a matrix, without padding.
fn rows(matrix: &Matrix, count: usize) -> Vec<f32> {
    let columns = matrix.columns();
    let mut values = Vec::with_capacity(count * columns);
    (0..count).for_each(|row| values.extend_from_slice(&matrix.row(row)[..columns]));
    values
}
