//! The forward pass: from samples to the loss, and to what the backward pass starts from.

use super::Fused;
use super::buffers::{Buffers, CodePlace, Scratch, count};
use super::decode::{DecodeGoal, Decoded, Decoder, EntrySource, Finish, sum_from_behind};
use super::encode::{Encoder, Seen, tile_width};
use super::gates::GateRows;
use super::kernels::{Bf16Inputs, Matrix, PaddedRows, matmul};
use super::objective::RowObjective;
use super::parallel::parallel;
use super::penalties::{CodeTerms, Keep, PassTerms, parts_by_prefix};
use crate::engine::StepLoss;
use crate::plugin::{Activation, KeptBy, PerLatent, PerSample};

/// With more latents than this, the k largest are looked for in tiles of pre-codes while they are in
/// cache; with fewer, a batch's codes stay there, and looking at whole rows is faster.
const WHOLE_ROWS_UP_TO: usize = 2048;

/// What the backward pass needs to know of the terms of the code.
#[derive(Clone, Copy, Default)]
pub struct Backward {
    /// Derivatives by each value were written, before the weight.
    pub own: bool,
    /// Derivatives by each latent's mean were written, before the weight.
    pub slopes: bool,
    /// What they are multiplied by.
    pub weight: f64,
}

/// How a pass decodes.
#[derive(Clone, Copy)]
pub(super) struct Decode<'a> {
    /// What becomes of the reconstructions.
    pub goal: DecodeGoal<'a>,
    /// What the derivatives of the objective are multiplied by.
    pub share: f32,
    /// Terms of each sample's code, and what their derivatives are multiplied by.
    pub terms: &'a [(f32, &'a dyn PerSample)],
    /// Where the prefixes end that are decoded one by one; empty for the whole code alone.
    pub prefixes: &'a [usize],
    /// The rows of what gates let through, if that is decoded too.
    pub gates: Option<GateRows>,
}

impl Decode<'_> {
    /// To reconstructions alone.
    pub const RECONSTRUCT: Decode<'static> = Decode {
        goal: DecodeGoal::Reconstruct,
        share: 0.0,
        terms: &[],
        prefixes: &[],
        gates: None,
    };
}

impl Fused {
    /// From samples to codes and to what is wanted of their reconstructions: to the loss and to what the
    /// backward pass starts from, if these are derivatives.
    pub(super) fn pass(
        &self,
        buffers: &mut Buffers,
        x: &[f32],
        pass_terms: &PassTerms<'_>,
        goal: DecodeGoal<'_>,
    ) -> (CodePlace, StepLoss, Backward) {
        let (inputs, latents) = (self.inputs, self.tensors.core.latents());
        let samples = x.len() / inputs;
        // Only the loss of training asks for more than the whole code.
        let prefixes: &[usize] = match goal {
            DecodeGoal::Differentiate(_) => &pass_terms.prefixes.ends,
            _ => &[],
        };
        let is_learning = matches!(goal, DecodeGoal::Differentiate(_));
        buffers.make_room(samples, prefixes.len().max(1));
        buffers.dead.start(&pass_terms.dead);
        // Where dead latents ask for the error, reconstructions are there before their derivatives.
        let (goal, targets) = match goal {
            DecodeGoal::Differentiate(targets) if !pass_terms.dead.is_idle() => {
                (DecodeGoal::Measure(targets), Some(targets))
            }
            goal => (goal, None),
        };
        let dead = &pass_terms.dead;
        if self.is_copied() {
            let bias = self.form.subtract_decoder_bias.then(|| self.tensors.core.b_dec.row(0));
            for (sample, values) in x.chunks_exact(inputs).enumerate() {
                let row = &mut buffers.x.row_mut(sample)[..inputs];
                row.copy_from_slice(values);
                if let Some(bias) = bias {
                    row.iter_mut().zip(bias).for_each(|(value, bias)| *value -= bias);
                }
            }
        }
        self.encode_outer(buffers, x);
        self.draw_noise(buffers, x, pass_terms.random.as_ref());
        if let Some(narrow) = &self.narrow {
            let rows = self.core_input(&buffers.x, &buffers.outer, x);
            let inputs = self.tensors.core.inputs();
            let samples = (0..samples).map(|sample| &rows.row(sample)[..inputs]);
            narrow.pack(samples, &mut buffers.packed);
        }
        let share = (1.0 / samples as f32) * pass_terms.reconstruction_weight as f32;
        let mut backward = Backward::default();
        let (kept, mut terms) = match &pass_terms.code {
            CodeTerms::ByHand(by_hand) => {
                let per_sample = by_hand.per_sample.len();
                buffers.make_room_for_terms(
                    [samples, per_sample],
                    [latents, by_hand.per_latent.len()],
                );
                // The weight of a single term waits until the gradients of latents are made.
                let single = if by_hand.count() == 1 { by_hand.weights().next() } else { None };
                let factor = |weight: f64| if single.is_some() { 1.0 } else { weight };
                let of_samples: Vec<_> = by_hand
                    .per_sample
                    .iter()
                    .map(|term| (factor(term.weight) as f32, term.term))
                    .collect();
                let of_latents: Vec<_> = by_hand
                    .per_latent
                    .iter()
                    .map(|term| (factor(term.weight), term.term))
                    .collect();
                let of_gates = match &by_hand.keep {
                    Some(Keep::Gated(terms)) => Some(terms),
                    _ => None,
                };
                let gates = of_gates.filter(|_| is_learning).map(|terms| GateRows {
                    first: samples,
                    share: (terms.reconstruction.1 / samples as f64) as f32,
                });
                let whole = Decode { goal, share, terms: &of_samples, prefixes, gates };
                let decode = self.of_core(whole);
                let kept = match by_hand.keep {
                    Some(Keep::Largest(k, by)) => {
                        self.keep_largest(buffers, x, (k.min(latents), by), decode);
                        CodePlace::Lists
                    }
                    Some(Keep::OfBatch(k, threshold)) => {
                        self.keep_of_batch(buffers, x, (k, threshold), pass_terms.at, decode)
                    }
                    Some(Keep::Above(threshold)) => {
                        self.keep_above(buffers, x, threshold, pass_terms.at, decode)
                    }
                    Some(Keep::Gated(terms)) => self.keep_gated(buffers, x, &terms, decode),
                    Some(Keep::AboveThresholds { width, .. }) => {
                        self.keep_above_thresholds(buffers, x, (width, is_learning), decode)
                    }
                    None => {
                        let kept = self.encode_dense(buffers, x, &of_latents);
                        self.decode_kept(buffers, kept, samples, decode);
                        kept
                    }
                };
                self.pass_outer(buffers, samples, whole);
                let of_dead = self.pass_dead(buffers, samples, share, targets, dead);
                backward = Backward {
                    own: per_sample > 0,
                    slopes: !of_latents.is_empty(),
                    weight: single.unwrap_or(1.0),
                };
                let mut terms =
                    by_hand.measured(&buffers.terms, samples, &buffers.term_values, latents);
                if let Some(Keep::AboveThresholds { count: Some(count), .. }) = by_hand.keep {
                    terms.insert(0, self.count_term(buffers, kept, samples, count));
                }
                terms.extend(of_dead);
                if let Some(of_gates) = of_gates.filter(|_| is_learning) {
                    let found = buffers.gates.measured(of_gates, &buffers.errors, samples);
                    terms.splice(0..0, found);
                }
                (kept, terms)
            }
            CodeTerms::OnTape(tape) => {
                self.encode_dense(buffers, x, &[]);
                let tape = tape.constrain(&buffers.code, samples, &mut buffers.constrained);
                let mut terms = tape.terms();
                let Buffers { constrained, counts, .. } = &mut *buffers;
                count(constrained, counts, samples, self.l0_rule);
                let decode = Decode { goal, share, prefixes, ..Decode::RECONSTRUCT };
                self.decode_constrained(buffers, samples, self.of_core(decode));
                self.pass_outer(buffers, samples, decode);
                terms.extend(self.pass_dead(buffers, samples, share, targets, dead));
                if targets.is_some() || matches!(goal, DecodeGoal::Differentiate(_)) {
                    buffers.gradients.reserve_rows(samples);
                    self.code_gradients(buffers, samples, prefixes);
                    tape.differentiate(&mut buffers.gradients);
                }
                (CodePlace::Constrained, terms)
            }
        };
        buffers.last = Some((kept, samples));
        if buffers.prefixes > 1 {
            let sum = buffers.take_prefixes(samples);
            let term = pass_terms.prefixes.measured(sum / samples as f64);
            term.into_iter().for_each(|term| terms.insert(0, term));
        }
        if let Some(term) = self.noise_term(&buffers.noise, samples) {
            terms.insert(0, term);
        }
        let reconstruction = buffers.errors[..samples].iter().sum::<f64>() / samples as f64;
        let of_terms = terms.iter().map(|term| term.weight * term.raw).sum::<f64>();
        let total = reconstruction * pass_terms.reconstruction_weight + of_terms;
        let l0 = buffers.active(kept, samples, self.l0_rule) as f64 / samples as f64;
        (kept, StepLoss { reconstruction, terms, total, l0 }, backward)
    }

    fn encoder<'a>(&'a self, x: PaddedRows<'a>, packed: &'a Bf16Inputs) -> Encoder<'a> {
        Encoder {
            arch: self.arch,
            activation: self.form.activation,
            layers: &self.tensors.core,
            x,
            narrow: self.narrow.as_ref().map(|narrow| (narrow, packed)),
        }
    }

    pub(super) fn decoder<'a>(&'a self, decode: Decode<'a>) -> Decoder<'a> {
        let Decode { goal, share, terms, prefixes, gates } = decode;
        let layers = &self.tensors.core;
        let bias = &layers.b_dec.row(0)[..layers.inputs()];
        let (objective, copies) = (self.row_objective(), prefixes.len().max(1));
        let finish = Finish { bias, objective, goal, share, copies, gates };
        Decoder { arch: self.arch, layers, finish, terms, prefixes }
    }

    /// What becomes of rows of reconstructions.
    pub(super) fn row_objective(&self) -> RowObjective {
        let outermost = self.layered.levels.first().map(|level| level.decoder_activation);
        let activation = outermost.unwrap_or(self.form.decoder_activation);
        RowObjective { objective: self.objective, activation }
    }

    /// Decodes the code in the buffers to reconstructions.
    pub(super) fn decode_whole(&self, buffers: &mut Buffers, kept: CodePlace, samples: usize) {
        self.decode_kept(buffers, kept, samples, self.of_core(Decode::RECONSTRUCT));
        self.pass_outer(buffers, samples, Decode::RECONSTRUCT);
    }

    /// How the core decodes, as part of decoding as a whole.
    fn of_core<'a>(&self, whole: Decode<'a>) -> Decode<'a> {
        let hidden = DecodeGoal::Hidden(self.form.decoder_activation);
        let goal = if self.outer.is_empty() { whole.goal } else { hidden };
        Decode { goal, ..whole }
    }

    /// Decodes through the levels around the core, and goes back to it with derivatives if these are wanted.
    fn pass_outer(&self, buffers: &mut Buffers, samples: usize, whole: Decode<'_>) {
        if self.outer.is_empty() {
            return;
        }
        let rows_of_core = buffers.rows_of_core(samples);
        self.decode_outer(buffers, rows_of_core, whole);
        buffers.rows.reserve_rows(rows_of_core);
        if let DecodeGoal::Differentiate(_) = whole.goal {
            self.back_to_core(buffers, samples);
        }
    }

    /// From the derivatives in the rows of the outermost level to those of each prefix in the rows of the core.
    pub(super) fn back_to_core(&self, buffers: &mut Buffers, samples: usize) {
        let (prefixes, rows_of_core) = (buffers.prefixes, buffers.rows_of_core(samples));
        self.back_through_decoders(buffers, rows_of_core);
        let stride = buffers.rows.stride();
        let rows = &mut buffers.rows.as_mut_slice()[..rows_of_core * stride];
        rows.chunks_exact_mut(prefixes * stride).for_each(|rows| sum_from_behind(rows, stride));
    }

    /// Encodes and decodes the k largest of each sample.
    fn keep_largest(
        &self,
        buffers: &mut Buffers,
        x: &[f32],
        (k, by): (usize, KeptBy),
        decode: Decode<'_>,
    ) {
        let (samples, latents) = (x.len() / self.inputs, self.tensors.core.latents());
        // What relu makes zero is never kept: it has neither a value nor a gradient.
        let floor = if self.form.activation == Activation::Relu { 0.0 } else { f32::NAN };
        buffers.lists.make_room(std::iter::repeat_n(k, samples));
        if latents <= WHOLE_ROWS_UP_TO {
            self.encode_dense(buffers, x, &[]);
            self.fill_lists(buffers, samples, decode, |code| {
                EntrySource::Largest((k, floor, by), code)
            });
            return;
        }
        let Buffers { x: copy, packed, outer, dead, scratches, .. } = &mut *buffers;
        let encoder = self.encoder(self.core_input(copy, outer, x), packed);
        encoder.candidates((k, floor, by), dead.capture(samples), scratches);
        let take = |scratch: &mut Scratch| std::mem::take(&mut scratch.candidates);
        let candidates: Vec<_> = buffers.scratches.iter_mut().map(take).collect();
        self.fill_lists(buffers, samples, decode, |_| EntrySource::Candidates(k, &candidates));
        for (scratch, candidates) in buffers.scratches.iter_mut().zip(candidates) {
            scratch.candidates = candidates;
        }
    }

    /// Fills the lists, for which there is room, and decodes them.
    pub(super) fn fill_lists<'a>(
        &self,
        buffers: &'a mut Buffers,
        samples: usize,
        decode: Decode<'_>,
        source: impl FnOnce(&'a Matrix) -> EntrySource<'a>,
    ) {
        let Buffers { code, lists, scratches, rows, errors, terms, .. } = buffers;
        let errors = &mut errors[..samples * decode.prefixes.len().max(1)];
        let found = Decoded { rows, errors, terms };
        self.decoder(decode).lists(source(code), lists, found, scratches);
    }

    /// Encodes all codes, and says whether they are few enough for lists.
    pub(super) fn encode_dense(
        &self,
        buffers: &mut Buffers,
        x: &[f32],
        terms: &[(f64, &dyn PerLatent)],
    ) -> CodePlace {
        self.encode_activated(buffers, x, terms, self.form.activation)
    }

    /// The same with another activation in the place of the form's.
    pub(super) fn encode_activated(
        &self,
        buffers: &mut Buffers,
        x: &[f32],
        terms: &[(f64, &dyn PerLatent)],
        activation: Activation,
    ) -> CodePlace {
        let samples = x.len() / self.inputs;
        let Buffers { x: copy, packed, code, counts, outer, noise, scratches, .. } = buffers;
        let Buffers { term_values, term_slopes, dead, jump, .. } = buffers;
        code.reserve_rows(samples);
        // Only where relu, or a threshold, leaves zeros does no gradient pass them.
        let sparse = activation == Activation::Relu || jump.is_there();
        let noise = noise.is_drawn.then_some((&noise.spread, &mut noise.mean));
        let rule = self.l0_rule;
        let seen = Seen { counts, rule, jump, noise, terms, term_values, term_slopes };
        let x = self.core_input(copy, outer, x);
        let encoder = Encoder { activation, ..self.encoder(x, packed) };
        encoder.dense(code, seen, dead.capture(samples), scratches);
        if sparse && buffers.is_sparse(samples) { CodePlace::Lists } else { CodePlace::Dense }
    }

    /// Decodes the dense code in the buffers, as lists if there are few enough active latents.
    pub(super) fn decode_kept(
        &self,
        buffers: &mut Buffers,
        kept: CodePlace,
        samples: usize,
        decode: Decode<'_>,
    ) {
        let decoder = self.decoder(decode);
        if kept == CodePlace::Lists {
            buffers.make_room_for_active(samples);
        }
        let is_marked = buffers.jump.is_marked();
        let Buffers { code, constrained, lists, gradients, scratches, rows, errors, terms, .. } =
            buffers;
        let found = Decoded { rows, errors: &mut errors[..samples], terms };
        match kept {
            CodePlace::Dense => decoder.dense(code, gradients, found, scratches),
            CodePlace::Constrained => decoder.dense(constrained, gradients, found, scratches),
            CodePlace::Lists => {
                let source = match is_marked {
                    true => EntrySource::Marked(code),
                    false => EntrySource::NotZero(code),
                };
                decoder.lists(source, lists, found, scratches);
            }
        }
    }

    /// Decodes the constrained code in the buffers; through lists where prefixes are decoded one by one.
    fn decode_constrained(&self, buffers: &mut Buffers, samples: usize, decode: Decode<'_>) {
        if decode.prefixes.is_empty() {
            self.decode_kept(buffers, CodePlace::Constrained, samples, decode);
            return;
        }
        let constrained = std::mem::take(&mut buffers.constrained);
        buffers.lists.make_room(buffers.counts.iter().map(|count| *count as usize));
        self.fill_lists(buffers, samples, decode, |_| EntrySource::NotZero(&constrained));
        buffers.constrained = constrained;
    }

    /// The derivatives of the reconstruction by the code, [samples, latents].
    fn code_gradients(&self, buffers: &mut Buffers, samples: usize, prefixes: &[usize]) {
        let (latents, dictionary) = (self.tensors.core.latents(), self.tensors.core.dictionary());
        let stride = dictionary.stride();
        let (count_of_prefixes, columns) = (prefixes.len().max(1), dictionary.columns());
        let g = buffers.rows.first_rows(samples * count_of_prefixes);
        let width = tile_width(latents);
        let tiles = buffers.gradients.view_mut(samples).column_tiles(width).enumerate();
        parallel(&mut buffers.scratches, tiles, |_, (at, tile)| {
            let mut rest = tile;
            let (first, count) = (at * width, width.min(latents - at * width));
            for (prefix, part) in parts_by_prefix(prefixes, first..first + count) {
                let atoms = &dictionary.as_slice()[part.start * stride..part.end * stride];
                let atoms = PaddedRows::new(atoms, stride).view(columns);
                let g = g.every(count_of_prefixes, prefix, columns);
                let (mut own, others) = rest.split_columns(part.len());
                rest = others;
                matmul(g, atoms.t(), &mut own, false);
            }
        });
    }
}
