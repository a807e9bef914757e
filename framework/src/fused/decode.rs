//! From codes to reconstructions, their error and the penalty's terms of each sample.

use pulp::{Arch, Simd, WithSimd};

use super::buffers::Scratch;
use super::gates::GateRows;
use super::jump::marks;
use super::kernels::{
    Candidates, MatMut, Matrix, SelectScratch as Selection, activate_in_place, k_largest,
    k_largest_of_row, matmul, weighted_sum,
};
use super::layers::Layers;
use super::lists::{Lists, Room};
use super::objective::RowObjective;
use super::parallel::{parallel, worth};
use crate::plugin::{Activation, KeptBy, PerSample, SampleCode};
use crate::spec::TrainObjective;

/// What a batch is decoded with.
#[derive(Clone, Copy)]
pub struct Decoder<'a> {
    /// Which instruction set there is.
    pub arch: Arch,
    /// The parameters.
    pub layers: &'a Layers,
    /// What becomes of what the affine map gives.
    pub finish: Finish<'a>,
    /// Terms of each sample's code, and what their derivatives are multiplied by.
    pub terms: &'a [(f32, &'a dyn PerSample)],
    /// Where the prefixes of the code end that are decoded one by one, the whole code last; empty for the whole code
    /// alone. Only of lists.
    pub prefixes: &'a [usize],
}

/// What becomes of what the decoder's affine map gives.
#[derive(Clone, Copy)]
pub struct Finish<'a> {
    /// The bias, [inputs].
    pub bias: &'a [f32],
    /// What x̂ is made of, and compared with its target by.
    pub objective: RowObjective,
    /// What is to be reconstructed, [samples, inputs], and what becomes of the difference.
    pub goal: DecodeGoal<'a>,
    /// What the derivatives of the objective are multiplied by: the weight of the reconstruction over the
    /// number of samples.
    pub share: f32,
    /// Number of neighbouring rows that have the same target.
    pub copies: usize,
    /// The rows of what gates let through, if there are any. They are compared with the same targets once more.
    pub gates: Option<GateRows>,
}

/// What the rows of the result are.
#[derive(Clone, Copy)]
pub enum DecodeGoal<'a> {
    /// The reconstructions x̂.
    Reconstruct,
    /// What the level around this one maps back: the activation of what the affine map gives.
    Hidden(Activation),
    /// What the affine map gives without the bias of any level.
    WithoutBias,
    /// The reconstructions, with the objective against these targets, [samples, inputs].
    Measure(&'a [f32]),
    /// The derivatives of the loss by what the decoder's affine map gives, for these targets,
    /// [samples, inputs].
    Differentiate(&'a [f32]),
}

/// What decoding finds of each sample: rows of x̂ or of derivatives, [samples, inputs]; the sums of
/// the objective; the terms. With prefixes, each sample has a row and a sum for each of them, the whole code's last;
/// then the derivatives of a row are those by what the latents of that prefix, and of none before it, add.
pub struct Decoded<'a> {
    /// x̂, or derivatives.
    pub rows: &'a mut Matrix,
    /// The objective of each sample.
    pub errors: &'a mut [f64],
    /// The terms of each sample, [samples, terms].
    pub terms: &'a mut [f64],
}

/// Where the entries of the lists come from.
#[derive(Clone, Copy)]
pub enum EntrySource<'a> {
    /// The values of a dense code that are not zero.
    NotZero(&'a Matrix),
    /// The k largest of the candidates that the scratches hold.
    Candidates(usize, &'a [Vec<Candidates>]),
    /// The k largest above a floor of the values of a dense code.
    Largest((usize, f32, KeptBy), &'a Matrix),
    /// The values of a dense code that are not zero, and its marks behind them.
    Marked(&'a Matrix),
    /// The lists have them already.
    Filled,
}

/// Samples a task. Enough tasks for every thread, and enough samples that a slice of the dictionary
/// is used more than once while it is in cache.
pub fn block_size(samples: usize, threads: usize) -> usize {
    samples.div_ceil(4 * threads).max(8)
}

/// Samples a task where codes are dense: it depends on the batch alone, and so does the order of
/// sums in the products.
pub fn dense_block(samples: usize) -> usize {
    samples.div_ceil(8).next_multiple_of(16).max(32)
}

impl Decoder<'_> {
    /// Fills the lists and decodes them.
    pub fn lists(
        &self,
        source: EntrySource<'_>,
        lists: &mut Lists,
        found: Decoded<'_>,
        scratches: &mut [Scratch],
    ) {
        let prefixes = self.prefixes.len().max(1);
        let samples = found.errors.len() / prefixes;
        let block = block_size(samples, scratches.len());
        let stride = found.rows.stride();
        let mut terms = found.terms.chunks_mut(block * self.terms.len().max(1));
        let rows = &mut found.rows.as_mut_slice()[..samples * prefixes * stride];
        let tasks = lists
            .blocks(block)
            .zip(rows.chunks_mut(block * prefixes * stride))
            .zip(found.errors.chunks_mut(block * prefixes))
            .zip(std::iter::repeat_with(move || terms.next().unwrap_or_default()))
            .enumerate();
        parallel(scratches, tasks, |scratch, (at, (((room, rows), errors), terms))| {
            let first = at * block;
            let Scratch { selection, values: more, .. } = scratch;
            let part = DecodedPart { first, rows, stride, errors, terms };
            self.arch.dispatch(DecodeLists { decoder: self, source, room, part, selection, more });
        });
    }

    /// Decodes dense codes, [samples, latents]. With a term, its derivatives go to `gradients`.
    pub fn dense(
        &self,
        code: &Matrix,
        gradients: &mut Matrix,
        found: Decoded<'_>,
        scratches: &mut [Scratch],
    ) {
        let samples = found.errors.len();
        let (inputs, latents) = (self.layers.inputs(), self.layers.latents());
        let dictionary = self.layers.dictionary().view(latents);
        let (block, stride) = (dense_block(samples), found.rows.stride());
        if !self.terms.is_empty() {
            gradients.reserve_rows(samples);
        }
        let gradient_stride = gradients.stride();
        let mut gradients = gradients.as_mut_slice().chunks_mut(block * gradient_stride);
        let mut terms = found.terms.chunks_mut(block * self.terms.len().max(1));
        let tasks = found.rows.as_mut_slice()[..samples * stride]
            .chunks_mut(block * stride)
            .zip(found.errors.chunks_mut(block))
            .zip(std::iter::repeat_with(move || terms.next().unwrap_or_default()))
            .enumerate()
            .map(|(at, parts)| (at, parts, gradients.next().unwrap_or_default()));
        let scratches = worth(scratches, samples * inputs * latents);
        parallel(scratches, tasks, |scratch, (at, ((rows, errors), terms), gradients)| {
            let (first, count) = (at * block, errors.len());
            let mut out = MatMut::new(&mut *rows, count, inputs, stride);
            matmul(code.view(samples).rows(first, count), dictionary, &mut out, false);
            let part = DecodedPart { first, rows, stride, errors, terms };
            self.arch.dispatch(FinishDense {
                decoder: self,
                code,
                gradients,
                gradient_stride,
                part,
                more: &mut scratch.values,
            });
        });
    }

    /// Decodes each prefix of a sample's entries, to a row for each. The latents of an entry ascend, so each prefix
    /// goes on where the one before ends.
    #[inline(always)]
    fn decode_prefixes<S: Simd>(
        &self,
        simd: S,
        sample: usize,
        (latents, values): (&[u32], &[f32]),
        rows: &mut [f32],
        errors: &mut [f64],
    ) {
        let dictionary = self.layers.dictionary();
        let (dictionary, stride) = (dictionary.first_rows(dictionary.rows()), dictionary.stride());
        let mut done = 0;
        for (prefix, end) in self.prefixes.iter().enumerate() {
            let until = latents.partition_point(|latent| (*latent as usize) < *end);
            let (before, row) = rows.split_at_mut(prefix * stride);
            let start = match prefix.checked_sub(1) {
                None => self.layers.b_dec.row(0),
                Some(last) => &before[last * stride..],
            };
            let (latents, values) = (&latents[done..until], &values[done..until]);
            weighted_sum(simd, dictionary, latents, values, Some(start), &mut row[..stride]);
            done = until;
        }
        let found = rows.chunks_exact_mut(stride).zip(errors);
        for (prefix, (row, error)) in found.enumerate() {
            *error = self.finish.finish(sample * self.prefixes.len() + prefix, row, true);
        }
        if let DecodeGoal::Differentiate(_) = self.finish.goal {
            sum_from_behind(rows, stride);
        }
    }

    /// Takes the terms of a sample's code; the sum of their derivatives goes to `gradient`.
    #[inline(always)]
    pub fn take_terms(
        &self,
        code: SampleCode<'_>,
        gradient: &mut [f32],
        found: &mut [f64],
        more: &mut Vec<f32>,
    ) {
        let mut terms = self.terms.iter().zip(found);
        let Some(((factor, term), value)) = terms.next() else { return };
        *value = term.value(code, gradient);
        if *factor != 1.0 {
            gradient.iter_mut().for_each(|slope| *slope *= factor);
        }
        for ((factor, term), value) in terms {
            more.clear();
            more.resize(gradient.len(), 0.0);
            *value = term.value(code, more);
            gradient.iter_mut().zip(&*more).for_each(|(sum, slope)| *sum += factor * slope);
        }
    }
}

impl Finish<'_> {
    /// Adds the bias to the product, if it is not there, takes what follows and the objective. `row` is padded.
    #[inline(always)]
    pub fn finish(&self, sample: usize, row: &mut [f32], biased: bool) -> f64 {
        let inputs = self.bias.len();
        let (row, padding) = row.split_at_mut(inputs);
        padding.fill(0.0);
        if !biased {
            row.iter_mut().zip(self.bias).for_each(|(value, bias)| *value += bias);
        }
        let sample = sample / self.copies;
        if let Some(gates) = self.gates.filter(|gates| sample >= gates.first) {
            return self.finish_gates(sample - gates.first, gates.share, row);
        }
        let of_sample = sample * inputs..(sample + 1) * inputs;
        match self.goal {
            DecodeGoal::Reconstruct => {
                self.objective.reconstruct(row);
                0.0
            }
            DecodeGoal::Hidden(activation) => {
                activate_in_place(activation, row);
                0.0
            }
            DecodeGoal::WithoutBias => 0.0,
            DecodeGoal::Measure(target) => self.objective.measure(row, &target[of_sample]),
            DecodeGoal::Differentiate(target) => {
                self.objective.differentiate(row, &target[of_sample], self.share)
            }
        }
    }
}

impl Finish<'_> {
    /// The same of a row of what gates let through, with the bias, without padding.
    #[inline(always)]
    fn finish_gates(&self, sample: usize, share: f32, row: &mut [f32]) -> f64 {
        let of_sample = sample * row.len()..(sample + 1) * row.len();
        match self.goal {
            DecodeGoal::Measure(target) | DecodeGoal::Differentiate(target) => {
                let objective =
                    RowObjective { objective: TrainObjective::Squared, ..self.objective };
                objective.differentiate(row, &target[of_sample], share)
            }
            DecodeGoal::Hidden(activation) => {
                activate_in_place(activation, row);
                0.0
            }
            DecodeGoal::Reconstruct | DecodeGoal::WithoutBias => 0.0,
        }
    }
}

/// The results of some samples.
struct DecodedPart<'a> {
    first: usize,
    rows: &'a mut [f32],
    stride: usize,
    errors: &'a mut [f64],
    terms: &'a mut [f64],
}

struct DecodeLists<'a> {
    decoder: &'a Decoder<'a>,
    source: EntrySource<'a>,
    room: Room<'a>,
    part: DecodedPart<'a>,
    selection: &'a mut Selection,
    more: &'a mut Vec<f32>,
}

impl WithSimd for DecodeLists<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { decoder, source, room, part, selection, more } = self;
        let count = decoder.terms.len();
        let dictionary = decoder.layers.dictionary();
        let dictionary = dictionary.first_rows(dictionary.rows());
        let bias = decoder.layers.b_dec.row(0);
        let prefixes = decoder.prefixes.len().max(1);
        for at in 0..room.lengths.len() {
            let range = room.range(at);
            let (latents, values) =
                (&mut room.latents[range.clone()], &mut room.values[range.clone()]);
            let sample = part.first + at;
            let length = match source {
                EntrySource::NotZero(code) => not_zero(code.row(sample), latents, values),
                EntrySource::Candidates(k, candidates) => {
                    let lists = candidates.iter().map(|lists| &lists[sample]);
                    k_largest(lists, k, selection, latents, values)
                }
                EntrySource::Largest(of, code) => {
                    let row = &code.row(sample)[..decoder.layers.latents()];
                    k_largest_of_row(row, of, selection, latents, values)
                }
                EntrySource::Marked(code) => not_zero(code.row(sample), latents, values),
                EntrySource::Filled => room.lengths[at] as usize,
            };
            room.lengths[at] = length as u32;
            if let EntrySource::Marked(code) = source {
                let behind = (&mut latents[length..], &mut values[length..]);
                room.lengths[at] += marks(code.row(sample), behind.0, behind.1) as u32;
                room.gradients[range.clone()][length..].fill(0.0);
            }
            let (latents, values) = (&latents[..length], &values[..length]);
            if count > 0 {
                let size = decoder.layers.latents();
                let code = SampleCode { values, latents: Some(latents), size };
                let (gradient, found) =
                    (&mut room.gradients[range][..length], &mut part.terms[at * count..]);
                decoder.take_terms(code, gradient, found, more);
            }
            if prefixes > 1 {
                let own = at * prefixes..(at + 1) * prefixes;
                let rows = &mut part.rows[own.start * part.stride..own.end * part.stride];
                let errors = &mut part.errors[own];
                decoder.decode_prefixes(simd, sample, (latents, values), rows, errors);
                continue;
            }
            let row = &mut part.rows[at * part.stride..(at + 1) * part.stride];
            weighted_sum(simd, dictionary, latents, values, Some(bias), row);
            part.errors[at] = decoder.finish.finish(sample, row, true);
        }
    }
}

/// Adds to each row all those after it, from rows of derivatives by each prefix to those by what its own latents add.
#[inline(always)]
pub fn sum_from_behind(rows: &mut [f32], stride: usize) {
    for at in (1..rows.len() / stride).rev() {
        let (before, behind) = rows.split_at_mut(at * stride);
        let row = &mut before[(at - 1) * stride..];
        row.iter_mut().zip(&behind[..stride]).for_each(|(sum, value)| *sum += value);
    }
}

/// Writes the values that are not zero, and where they are; returns how many.
#[inline(always)]
pub fn not_zero(row: &[f32], latents: &mut [u32], values: &mut [f32]) -> usize {
    let mut count = 0;
    for (at, value) in row.iter().enumerate() {
        if count == values.len() {
            break;
        }
        // Written always, kept if not zero: no branch to be predicted.
        (latents[count], values[count]) = (at as u32, *value);
        count += usize::from(*value != 0.0);
    }
    count
}

struct FinishDense<'a> {
    decoder: &'a Decoder<'a>,
    code: &'a Matrix,
    gradients: &'a mut [f32],
    gradient_stride: usize,
    part: DecodedPart<'a>,
    more: &'a mut Vec<f32>,
}

impl WithSimd for FinishDense<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { decoder, code, gradients, gradient_stride, part, more } = self;
        let count = decoder.terms.len();
        let size = decoder.layers.latents();
        for at in 0..part.errors.len() {
            let sample = part.first + at;
            if count > 0 {
                let code = SampleCode { values: &code.row(sample)[..size], latents: None, size };
                let gradients = &mut gradients[at * gradient_stride..][..size];
                decoder.take_terms(code, gradients, &mut part.terms[at * count..], more);
            }
            let row = &mut part.rows[at * part.stride..(at + 1) * part.stride];
            part.errors[at] = decoder.finish.finish(sample, row, false);
        }
    }
}
