//! The forward pass: from samples to the loss, and to what the backward pass starts from.

use super::buffers::{Buffers, CodePlace, Scratch, count};
use super::decode::{DecodeGoal, Decoded, Decoder, EntrySource};
use super::encode::{Encoder, Seen, tile_width};
use super::kernels::{Bf16Inputs, Matrix, PaddedRows, matmul};
use super::objective::RowObjective;
use super::parallel::parallel;
use super::{Fused, OnTape};
use crate::engine::StepLoss;
use crate::model::LossTerm;
use crate::plugin::{Activation, FusedPenalty, PerLatent, PerSample};

/// With more latents than this, the k largest are looked for in tiles of pre-codes while they are in
/// cache; with fewer, a batch's codes stay there, and looking at whole rows is faster.
const WHOLE_ROWS_UP_TO: usize = 2048;

/// The penalty of a pass.
pub enum PassPenalty<'a> {
    /// By hand.
    Fused(FusedPenalty<'a>),
    /// By its definition.
    OnTape(OnTape<'a>),
}

/// What the backward pass needs to know of the penalty.
#[derive(Clone, Copy, Default)]
pub struct Backward {
    /// Derivatives by each value were written, before the weight.
    pub own: bool,
    /// Derivatives by each latent's mean were written, before the weight.
    pub slopes: bool,
    /// The penalty's weight.
    pub weight: f64,
}

impl Fused {
    /// From samples to codes and to what is wanted of their reconstructions: to the loss and to what the
    /// backward pass starts from, if these are derivatives.
    pub(super) fn pass(
        &self,
        buffers: &mut Buffers,
        x: &[f32],
        penalty: PassPenalty<'_>,
        goal: DecodeGoal<'_>,
    ) -> (CodePlace, StepLoss, Backward) {
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
        let mut backward = Backward::default();
        let mut terms = Vec::new();
        let kept = match penalty {
            PassPenalty::Fused(FusedPenalty::KeepLargest(k)) => {
                self.keep_largest(buffers, x, k.min(latents), goal);
                CodePlace::Lists
            }
            PassPenalty::Fused(penalty) => {
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
            PassPenalty::OnTape(tape) => {
                self.encode_dense(buffers, x, None);
                let tape = tape.constrain(&buffers.code, samples, &mut buffers.constrained);
                terms = tape.terms();
                let Buffers { constrained, counts, .. } = &mut *buffers;
                count(constrained, counts, samples, self.l0_rule);
                self.decode_kept(buffers, CodePlace::Constrained, samples, goal, None);
                if let DecodeGoal::Differentiate(_) = goal {
                    buffers.gradients.reserve_rows(samples);
                    self.code_gradients(buffers, samples);
                    tape.differentiate(&mut buffers.gradients);
                }
                CodePlace::Constrained
            }
        };
        let reconstruction = buffers.errors[..samples].iter().sum::<f64>() / samples as f64;
        let total = reconstruction + terms.iter().map(|term| term.weight * term.raw).sum::<f64>();
        let l0 = buffers.active(kept, samples, self.l0_rule) as f64 / samples as f64;
        (kept, StepLoss { reconstruction, terms, total, l0 }, backward)
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

    fn decoder<'a>(&'a self, goal: DecodeGoal<'a>, term: Option<&'a dyn PerSample>) -> Decoder<'a> {
        let sigmoid = self.form.sigmoid_decoder;
        let objective = RowObjective { objective: self.objective, sigmoid };
        Decoder { arch: self.arch, layers: &self.layers, objective, goal, term }
    }

    /// Encodes and decodes the k largest of each sample.
    fn keep_largest(&self, buffers: &mut Buffers, x: &[f32], k: usize, goal: DecodeGoal<'_>) {
        let (samples, latents) = (x.len() / self.layers.inputs(), self.layers.latents());
        // What relu makes zero is never kept: it has neither a value nor a gradient.
        let floor = if self.form.activation == Activation::Relu { 0.0 } else { f32::NAN };
        buffers.lists.make_room(std::iter::repeat_n(k, samples));
        if latents <= WHOLE_ROWS_UP_TO {
            self.encode_dense(buffers, x, None);
            self.fill_lists(buffers, samples, goal, |code| EntrySource::Largest(k, floor, code));
            return;
        }
        let encoder = self.encoder(&buffers.x, &buffers.packed, x);
        encoder.candidates(k, floor, &mut buffers.scratches);
        let take = |scratch: &mut Scratch| std::mem::take(&mut scratch.candidates);
        let candidates: Vec<_> = buffers.scratches.iter_mut().map(take).collect();
        self.fill_lists(buffers, samples, goal, |_| EntrySource::Candidates(k, &candidates));
        for (scratch, candidates) in buffers.scratches.iter_mut().zip(candidates) {
            scratch.candidates = candidates;
        }
    }

    /// Fills the lists, for which there is room, and decodes them.
    fn fill_lists<'a>(
        &self,
        buffers: &'a mut Buffers,
        samples: usize,
        goal: DecodeGoal<'_>,
        source: impl FnOnce(&'a Matrix) -> EntrySource<'a>,
    ) {
        let Buffers { code, lists, scratches, rows, errors, terms, .. } = buffers;
        let found = Decoded { rows, errors: &mut errors[..samples], terms: &mut terms[..samples] };
        self.decoder(goal, None).lists(source(code), lists, found, scratches);
    }

    /// Encodes all codes, and says whether they are few enough for lists.
    fn encode_dense(
        &self,
        buffers: &mut Buffers,
        x: &[f32],
        term: Option<&dyn PerLatent>,
    ) -> CodePlace {
        let samples = x.len() / self.layers.inputs();
        let Buffers { x: copy, packed, code, counts, term_values, term_slopes, scratches, .. } =
            buffers;
        code.reserve_rows(samples);
        let seen = Seen { counts, rule: self.l0_rule, term, term_values, term_slopes };
        self.encoder(copy, packed, x).dense(code, seen, scratches);
        // Only where relu leaves zeros does no gradient pass them.
        let sparse = self.form.activation == Activation::Relu;
        if sparse && buffers.is_sparse(samples) { CodePlace::Lists } else { CodePlace::Dense }
    }

    /// Decodes the dense code in the buffers, as lists if there are few enough active latents.
    pub(super) fn decode_kept(
        &self,
        buffers: &mut Buffers,
        kept: CodePlace,
        samples: usize,
        goal: DecodeGoal<'_>,
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
        let found = Decoded { rows, errors: &mut errors[..samples], terms: &mut terms[..samples] };
        match kept {
            CodePlace::Dense => decoder.dense(code, gradients, found, scratches),
            CodePlace::Constrained => decoder.dense(constrained, gradients, found, scratches),
            CodePlace::Lists => {
                let of_sample = |sample: usize| {
                    counts[sample..].iter().step_by(samples).map(|count| *count as usize).sum()
                };
                lists.make_room((0..samples).map(of_sample));
                decoder.lists(EntrySource::NotZero(code), lists, found, scratches);
            }
        }
    }

    /// The derivatives of the reconstruction by the code, [samples, latents].
    fn code_gradients(&self, buffers: &mut Buffers, samples: usize) {
        let latents = self.layers.latents();
        let (dictionary, stride) = (self.layers.dictionary(), self.layers.dictionary().stride());
        let g = buffers.rows.view(samples);
        let width = tile_width(latents);
        let tiles = buffers.gradients.view_mut(samples).column_tiles(width).enumerate();
        parallel(&mut buffers.scratches, tiles, |_, (at, mut tile)| {
            let (first, count) = (at * width, width.min(latents - at * width));
            let atoms = PaddedRows::new(
                &dictionary.as_slice()[first * stride..(first + count) * stride],
                stride,
            );
            matmul(g, atoms.view(dictionary.columns()).t(), &mut tile, false);
        });
    }
}
