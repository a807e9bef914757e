//! From what gates let through to codes, and the reconstructions of both.

use pulp::{Arch, Simd, WithSimd};

use super::Magnitudes;
use crate::fused::buffers::Scratch;
use crate::fused::decode::{Decoded, Decoder, block_size, dense_block, not_zero};
use crate::fused::kernels::{MatMut, Matrix, matmul, weighted_sum, weighted_sums};
use crate::fused::lists::{Lists, Room};
use crate::fused::parallel::{parallel, worth};
use crate::plugin::{SampleCode, sum_of};

/// Multiplications in the time that a number takes that is looked at.
const OF_A_NUMBER: usize = 8;

impl Magnitudes<'_> {
    /// Makes all codes of what the gates let through, [samples, latents], and the sums of that over latents.
    pub(super) fn make_codes(
        self,
        arch: Arch,
        gates: &Matrix,
        codes: &mut Matrix,
        sums: &mut [f64],
        scratches: &mut [Scratch],
    ) {
        let (samples, latents, stride) = (sums.len(), gates.columns(), codes.stride());
        let block = dense_block(samples);
        let blocks = codes.as_mut_slice()[..samples * stride].chunks_mut(block * stride);
        let blocks = blocks.zip(sums.chunks_mut(block)).enumerate();
        let scratches = worth(scratches, samples * latents * OF_A_NUMBER);
        parallel(scratches, blocks, |_, (at, (codes, sums))| {
            arch.dispatch(|| {
                for (in_block, (row, sum)) in codes.chunks_exact_mut(stride).zip(sums).enumerate() {
                    let gates = &gates.row(at * block + in_block)[..latents];
                    self.of_row(gates, &mut row[..latents]);
                    *sum = sum_of(gates, |gate| gate);
                }
            });
        });
    }
}

impl Decoder<'_> {
    /// Decodes what the gates let through, [samples, latents], to the rows behind those of as many codes.
    pub fn gates(
        &self,
        gates: &Matrix,
        rows: &mut Matrix,
        errors: &mut [f64],
        scratches: &mut [Scratch],
    ) {
        let (samples, stride) = (errors.len(), rows.stride());
        let (inputs, latents) = (self.layers.inputs(), self.layers.latents());
        let dictionary = self.layers.dictionary().view(latents);
        let block = dense_block(samples);
        let rows = &mut rows.as_mut_slice()[samples * stride..2 * samples * stride];
        let tasks = rows.chunks_mut(block * stride).zip(errors.chunks_mut(block)).enumerate();
        let scratches = worth(scratches, samples * inputs * latents);
        parallel(scratches, tasks, |_, (at, (rows, errors))| {
            let (first, count) = (at * block, errors.len());
            let mut out = MatMut::new(&mut *rows, count, inputs, stride);
            matmul(gates.view(samples).rows(first, count), dictionary, &mut out, false);
            self.arch.dispatch(|| {
                let of_samples = rows.chunks_exact_mut(stride).zip(errors).enumerate();
                for (in_block, (row, error)) in of_samples {
                    *error = self.finish.finish(samples + first + in_block, row, false);
                }
            });
        });
    }

    /// Fills the lists, for which there is room, with codes of what the gates let through, and decodes them. Where
    /// there are two errors for each sample, what the gates let through is decoded too, and its sums go to `sums`; then
    /// the lists have an entry for each number of it, also where the code is 0.
    pub(super) fn gated_lists(
        &self,
        source: (&Matrix, Magnitudes<'_>),
        lists: &mut Lists,
        found: Decoded<'_>,
        sums: &mut [f64],
        scratches: &mut [Scratch],
    ) {
        let samples = sums.len();
        let block = block_size(samples, scratches.len());
        let stride = found.rows.stride();
        let all = found.errors.len();
        let rows = &mut found.rows.as_mut_slice()[..all * stride];
        let (rows, of_gates) = rows.split_at_mut(samples * stride);
        let (errors, errors_of_gates) = found.errors.split_at_mut(samples);
        let mut terms = found.terms.chunks_mut(block * self.terms.len().max(1));
        let mut of_gates =
            of_gates.chunks_mut(block * stride).zip(errors_of_gates.chunks_mut(block));
        let tasks = lists
            .blocks(block)
            .zip(rows.chunks_mut(block * stride))
            .zip(errors.chunks_mut(block))
            .zip(std::iter::repeat_with(move || terms.next().unwrap_or_default()))
            .zip(std::iter::repeat_with(move || of_gates.next()))
            .zip(sums.chunks_mut(block))
            .enumerate();
        parallel(scratches, tasks, |scratch, (at, parts)| {
            let (((((room, rows), errors), terms), of_gates), sums) = parts;
            let Scratch { values: more, row: gates, .. } = scratch;
            let first = at * block;
            let part = GatedPart { first, samples, stride, rows, errors, terms, of_gates, sums };
            self.arch.dispatch(GatedLists { decoder: self, source, room, part, more, gates });
        });
    }
}

/// The results of some samples.
struct GatedPart<'a> {
    first: usize,
    /// Number of samples in all.
    samples: usize,
    stride: usize,
    rows: &'a mut [f32],
    errors: &'a mut [f64],
    terms: &'a mut [f64],
    /// The rows and the errors of what the gates let through, if it is decoded.
    of_gates: Option<(&'a mut [f32], &'a mut [f64])>,
    sums: &'a mut [f64],
}

struct GatedLists<'a> {
    decoder: &'a Decoder<'a>,
    source: (&'a Matrix, Magnitudes<'a>),
    room: Room<'a>,
    part: GatedPart<'a>,
    more: &'a mut Vec<f32>,
    gates: &'a mut Vec<f32>,
}

impl WithSimd for GatedLists<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { decoder, source: (all, magnitudes), room, mut part, more, gates } = self;
        let (count, size) = (decoder.terms.len(), decoder.layers.latents());
        let dictionary = decoder.layers.dictionary();
        let dictionary = dictionary.first_rows(dictionary.rows());
        let bias = decoder.layers.b_dec.row(0);
        for at in 0..room.lengths.len() {
            let range = room.range(at);
            let (latents, values) =
                (&mut room.latents[range.clone()], &mut room.values[range.clone()]);
            let sample = part.first + at;
            gates.clear();
            gates.resize(values.len(), 0.0);
            let mut length = not_zero(&all.row(sample)[..size], latents, gates);
            let entries = values.iter_mut().zip(&*latents).zip(&*gates).take(length);
            entries.for_each(|((value, latent), gate)| {
                *value = magnitudes.code(*latent as usize, *gate);
            });
            if part.of_gates.is_none() {
                length = compact(&mut latents[..length], &mut values[..length]);
            }
            room.lengths[at] = length as u32;
            let (latents, values) = (&latents[..length], &values[..length]);
            if count > 0 {
                let code = SampleCode { values, latents: Some(latents), size };
                let (gradient, found) =
                    (&mut room.gradients[range][..length], &mut part.terms[at * count..]);
                decoder.take_terms(code, gradient, found, more);
            }
            let own = at * part.stride..(at + 1) * part.stride;
            let row = &mut part.rows[own.clone()];
            if let Some((rows, errors)) = &mut part.of_gates {
                let (gates, of_gates) = (&gates[..length], &mut rows[own]);
                let outs = [&mut *row, &mut *of_gates];
                weighted_sums(simd, dictionary, latents, [values, gates], bias, outs);
                errors[at] = decoder.finish.finish(part.samples + sample, of_gates, true);
                part.sums[at] = sum_of(gates, |gate| gate);
            } else {
                weighted_sum(simd, dictionary, latents, values, Some(bias), row);
            }
            part.errors[at] = decoder.finish.finish(sample, row, true);
        }
    }
}

/// Keeps the entries whose values are not 0, in their order; returns how many.
#[inline(always)]
fn compact(latents: &mut [u32], values: &mut [f32]) -> usize {
    let mut count = 0;
    for at in 0..values.len() {
        let (latent, value) = (latents[at], values[at]);
        (latents[count], values[count]) = (latent, value);
        count += usize::from(value != 0.0);
    }
    count
}
