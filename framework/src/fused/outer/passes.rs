//! The passes of a batch through the outer levels.

use pulp::{Arch, Simd, WithSimd};

use super::maps::{Direction, biases, convolve};
use super::{Outer, OuterBuffers};
use crate::fused::Fused;
use crate::fused::buffers::{Buffers, CodePlace, Scratch};
use crate::fused::decode::{DecodeGoal, Finish};
use crate::fused::kernels::{Mat, Matrix, activate, differentiate, weighted_sum};
use crate::fused::noise::NoiseBuffers;
use crate::fused::pass::Decode;
use crate::fused::products::{each_row, inward, outward};
use crate::plugin::Activation;

/// What a matrix's numbers are the activation of.
#[derive(Clone, Copy)]
struct Activated<'a> {
    values: &'a Matrix,
    activation: Activation,
}

/// What a map works with.
struct Work<'a> {
    /// Which instruction set there is.
    arch: Arch,
    scratches: &'a mut [Scratch],
    /// A number for each sample, which only decoding to the end writes.
    found: &'a mut [f64],
}

impl Fused {
    /// Encodes samples up to what the level that makes the code maps: to `hidden` of the innermost outer level.
    pub(in crate::fused) fn encode_outer(&self, buffers: &mut Buffers, x: &[f32]) {
        let samples = x.len() / self.inputs;
        let Buffers { x: copy, outer, scratches, errors, .. } = buffers;
        let x = self.input(copy, x).view(self.inputs);
        for (at, (level, layers)) in self.outer.iter().zip(&self.tensors.outer).enumerate() {
            let (before, own) = outer.split_at_mut(at);
            let x = before.last().map_or(x, |level| level.hidden.view(samples));
            let [bias, _] = biases(level.convolution.as_ref(), layers);
            let activation = level.form.activation;
            let work = Work { arch: self.arch, scratches, found: errors };
            let (of, out) = ((x, &layers.encoder), &mut own[0].hidden);
            level.map(Direction::Inward, of, out, work, |_, first, row, _| {
                activate(activation, &bias[first..], row);
            });
        }
    }

    /// Decodes what the level that makes the code gave, which is in `buffers.rows`, to what is wanted of the
    /// reconstructions, in the rows of the outermost level: as many rows as `rows_of_core`, of each sample one for
    /// each prefix.
    pub(in crate::fused) fn decode_outer(
        &self,
        buffers: &mut Buffers,
        rows_of_core: usize,
        decode: Decode<'_>,
    ) {
        let copies = buffers.prefixes;
        let Buffers { rows, outer, scratches, errors, .. } = buffers;
        let Some(innermost) = outer.last_mut() else { return };
        std::mem::swap(rows, &mut innermost.decoded);
        for (at, (level, layers)) in self.outer.iter().zip(&self.tensors.outer).enumerate().rev() {
            let (before, own) = outer.split_at_mut(at);
            let OuterBuffers { decoded, rows, .. } = &mut own[0];
            let (out, goal) = match before.last_mut() {
                None => (rows, decode.goal),
                Some(around) => {
                    (&mut around.decoded, DecodeGoal::Hidden(level.form.decoder_activation))
                }
            };
            let [_, mut bias] = biases(level.convolution.as_ref(), layers);
            if let DecodeGoal::WithoutBias = decode.goal {
                bias.fill(0.0);
            }
            let objective = self.row_objective();
            let (share, gates) = (decode.share, decode.gates);
            let finish = Finish { bias: &bias, objective, goal, share, copies, gates };
            let work = Work { arch: self.arch, scratches, found: errors };
            let of = (decoded.view(rows_of_core), layers.dictionary());
            level.map(Direction::Outward, of, out, work, |sample, _, row, error| {
                *error = finish.finish(sample, row, false);
            });
        }
    }

    /// From the derivatives in the rows of the outermost level to those by what the decoder's map of the level
    /// that makes the code gave, in `buffers.rows`.
    pub(in crate::fused) fn back_through_decoders(&self, buffers: &mut Buffers, samples: usize) {
        let Buffers { rows: innermost, outer, scratches, errors, .. } = buffers;
        for (at, (level, layers)) in self.outer.iter().zip(&self.tensors.outer).enumerate() {
            let (before, inside) = outer.split_at_mut(at + 1);
            let own = &before[at];
            let activation = match self.outer.get(at + 1) {
                Some(inside) => inside.form.decoder_activation,
                None => self.form.decoder_activation,
            };
            let out = inside.first_mut().map_or(&mut *innermost, |inside| &mut inside.rows);
            let of = Activated { values: &own.decoded, activation };
            let work = Work { arch: self.arch, scratches, found: errors };
            let g = (own.rows.view(samples), layers.dictionary());
            level.map(Direction::Inward, g, out, work, |sample, first, row, _| {
                of.differentiate(sample, first, row);
            });
        }
    }

    /// From the derivatives by what the innermost outer level gives, before its activation counts, in its `back`, to
    /// those by what the maps of the levels around it gave. Then kernels have their gradients made.
    pub(in crate::fused) fn back_through_encoders(&self, buffers: &mut Buffers, x: &[f32]) {
        let samples = x.len() / self.inputs;
        let rows_of_sample = buffers.prefixes;
        let Buffers { x: copy, outer, scratches, errors, .. } = buffers;
        for at in (1..self.outer.len()).rev() {
            let (around, own) = outer.split_at_mut(at);
            let Some(around) = around.last_mut() else { return };
            let of = Activated {
                values: &around.hidden,
                activation: self.outer[at - 1].form.activation,
            };
            let work = Work { arch: self.arch, scratches, found: errors };
            let back = (own[0].back.view(samples), &self.tensors.outer[at].encoder);
            let (level, out) = (&self.outer[at], &mut around.back);
            level.map(Direction::Outward, back, out, work, |sample, first, row, _| {
                of.differentiate(sample, first, row);
            });
        }
        let x = self.input(copy, x).view(self.inputs);
        for (at, level) in self.outer.iter().enumerate() {
            let (around, own) = outer.split_at_mut(at);
            let x = around.last().map_or(x, |around| around.hidden.view(samples));
            if let Some(convolution) = &level.convolution {
                own[0].correlate(convolution, x, rows_of_sample);
            }
        }
    }

    /// From the derivatives by what the core's maps gave to those by what the innermost outer level gave before its
    /// activation.
    pub(in crate::fused) fn back_to_outer(
        &self,
        buffers: &mut Buffers,
        noise: &NoiseBuffers,
        kept: CodePlace,
        samples: usize,
    ) {
        if kept == CodePlace::Lists {
            return self.back_from_lists(buffers, samples);
        }
        let back = std::mem::take(&mut buffers.back);
        let mut maps = vec![(back.dense.view(samples), &self.tensors.core.encoder)];
        let head = self.tensors.log_variance.as_ref().filter(|_| noise.is_drawn);
        maps.extend(head.map(|head| (noise.back.view(samples), &head.encoder)));
        self.back_from_core(buffers, samples, &maps);
        buffers.back = back;
    }

    /// From derivatives by what some of the core's maps gave, each with its rows, to the derivatives by what the
    /// innermost outer level gave before its activation.
    fn back_from_core(&self, buffers: &mut Buffers, samples: usize, maps: &[(Mat<'_>, &Matrix)]) {
        let Buffers { outer, scratches, errors, dead, .. } = buffers;
        let (Some(own), Some(level)) = (outer.last_mut(), self.outer.last()) else { return };
        let of = Activated { values: &own.hidden, activation: level.form.activation };
        let (arch, encoder) = (self.arch, &self.tensors.core.encoder);
        for (at, (back, rows)) in maps.iter().enumerate() {
            let is_last = at + 1 == maps.len();
            let after = |sample: usize, first: usize, row: &mut [f32], _: &mut f64| {
                if is_last {
                    for dead in dead.predictions() {
                        dead.add_back(arch, encoder, sample, row);
                    }
                    of.differentiate(sample, first, row);
                }
            };
            let out = (&mut own.back, at > 0);
            outward(arch, *back, rows, out, scratches, after, &mut errors[..samples]);
        }
    }

    /// The derivatives by what the innermost outer level gave, of a code in lists: `back` has those of the entries, as
    /// they lie by sample.
    fn back_from_lists(&self, buffers: &mut Buffers, samples: usize) {
        let Buffers { outer, scratches, errors, lists, back, dead, .. } = buffers;
        let (Some(own), Some(level)) = (outer.last_mut(), self.outer.last()) else { return };
        let of = Activated { values: &own.hidden, activation: level.form.activation };
        let encoder = &self.tensors.core.encoder;
        own.back.reserve_rows(samples);
        let arch = self.arch;
        let see = |sample: usize, first: usize, row: &mut [f32], _: &mut f64| {
            let range = lists.range(sample);
            let (latents, weights) = (&lists.latents[range.clone()], &back.by_sample[range]);
            arch.dispatch(SumRows { rows: encoder, latents, weights, row });
            for dead in dead.predictions() {
                dead.add_back(arch, encoder, sample, row);
            }
            of.differentiate(sample, first, row);
        };
        each_row(arch, &mut own.back, scratches, see, &mut errors[..samples]);
    }
}

impl Activated<'_> {
    /// Turns derivatives by the activation into those by what it is of, for the columns of a sample from `first`
    /// on; what is padding is left.
    #[inline(always)]
    fn differentiate(self, sample: usize, first: usize, row: &mut [f32]) {
        let values = &self.values.row(sample)[first..self.values.columns()];
        differentiate(self.activation, values, row);
    }
}

impl Outer {
    /// out ← what the level's map makes of `from` in one direction, with these rows or kernels and without a bias;
    /// then `after` is shown all of it: the sample, the first column and the numbers from there on. Outward, these
    /// are whole rows, padding included.
    fn map(
        &self,
        direction: Direction,
        (from, rows): (Mat<'_>, &Matrix),
        out: &mut Matrix,
        Work { arch, scratches, found }: Work<'_>,
        after: impl Fn(usize, usize, &mut [f32], &mut f64) + Sync,
    ) {
        let found = &mut found[..from.row_count()];
        match (&self.convolution, direction) {
            (None, Direction::Inward) => inward(arch, from, rows, out, scratches, after),
            (None, Direction::Outward) => {
                outward(arch, from, rows, (out, false), scratches, after, found);
            }
            (Some(convolution), _) => {
                convolve(convolution, direction, from, rows, out);
                each_row(arch, out, scratches, after, found);
            }
        }
    }
}

/// row ← the weighted sum of some rows.
struct SumRows<'a> {
    rows: &'a Matrix,
    latents: &'a [u32],
    weights: &'a [f32],
    row: &'a mut [f32],
}

impl WithSimd for SumRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { rows, latents, weights, row } = self;
        weighted_sum(simd, rows.first_rows(rows.rows()), latents, weights, None, row);
    }
}
