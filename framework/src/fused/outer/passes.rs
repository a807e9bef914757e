//! The passes of a batch through the outer levels.

use super::maps::{Direction, biases, map};
use super::{Outer, OuterBuffers};
use pulp::{Simd, WithSimd};

use crate::fused::Fused;
use crate::fused::buffers::{Buffers, CodePlace, Scratch};
use crate::fused::decode::{DecodeGoal, Finish};
use crate::fused::kernels::{Mat, Matrix, activate, differentiate, weighted_sum};
use crate::fused::layers::Layers;
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

impl Fused {
    /// Encodes samples up to what the level that makes the code maps: to `hidden` of the innermost outer level.
    pub(in crate::fused) fn encode_outer(&self, buffers: &mut Buffers, x: &[f32]) {
        let samples = x.len() / self.inputs;
        let Buffers { x: copy, outer, scratches, errors, .. } = buffers;
        let x = self.input(copy, x).view(self.inputs);
        for (at, (level, layers)) in self.outer.iter().zip(&self.tensors.outer).enumerate() {
            let (before, own) = outer.split_at_mut(at);
            let x = before.last().map_or(x, |level| level.hidden.view(samples));
            level.encode(self, layers, x, &mut own[0].hidden, scratches, errors);
        }
    }

    /// Decodes what the level that makes the code gave, which is in `buffers.rows`, to what is wanted of the
    /// reconstructions, in the rows of the outermost level.
    pub(in crate::fused) fn decode_outer(
        &self,
        buffers: &mut Buffers,
        samples: usize,
        decode: Decode<'_>,
    ) {
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
            let [_, bias] = biases(level.convolution.as_ref(), layers);
            let objective = self.row_objective();
            let finish = Finish { bias: &bias, objective, goal, share: decode.share };
            let after = |sample: usize, row: &mut [f32], error: &mut f64| {
                *error = finish.finish(sample, row, false);
            };
            let (errors, w_dec) = (&mut errors[..samples], layers.dictionary());
            match &level.convolution {
                None => outward(
                    self.arch,
                    decoded.view(samples),
                    w_dec,
                    (out, false),
                    scratches,
                    after,
                    errors,
                ),
                Some(convolution) => {
                    map(convolution, Direction::Scatter, decoded.view(samples), w_dec, out);
                    each_row(self.arch, out, scratches, after, errors);
                }
            }
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
            let g = own.rows.view(samples);
            level.derive_inward(self, layers.dictionary(), g, of, out, scratches, errors);
        }
    }

    /// From the derivatives by what the innermost outer level gives, before its activation counts, in its `back`, to
    /// those by what the maps of the levels around it gave.
    /// Then kernels have their gradients made.
    pub(in crate::fused) fn back_through_encoders(&self, buffers: &mut Buffers, x: &[f32]) {
        let samples = x.len() / self.inputs;
        let Buffers { x: copy, outer, scratches, errors, .. } = buffers;
        for at in (1..self.outer.len()).rev() {
            let (around, own) = outer.split_at_mut(at);
            let Some(around) = around.last_mut() else { return };
            let of = Activated {
                values: &around.hidden,
                activation: self.outer[at - 1].form.activation,
            };
            let encoder = &self.tensors.outer[at].encoder;
            let back = own[0].back.view(samples);
            self.outer[at].derive_outward(
                self,
                encoder,
                back,
                of,
                &mut around.back,
                scratches,
                errors,
            );
        }
        let x = self.input(copy, x).view(self.inputs);
        for (at, level) in self.outer.iter().enumerate() {
            let (around, own) = outer.split_at_mut(at);
            let x = around.last().map_or(x, |around| around.hidden.view(samples));
            if let Some(convolution) = &level.convolution {
                own[0].correlate(convolution, x);
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
        let Buffers { outer, scratches, errors, .. } = buffers;
        let (Some(own), Some(level)) = (outer.last_mut(), self.outer.last()) else { return };
        let of = Activated { values: &own.hidden, activation: level.form.activation };
        for (at, (back, rows)) in maps.iter().enumerate() {
            let is_last = at + 1 == maps.len();
            let after = |sample: usize, row: &mut [f32], _: &mut f64| {
                if is_last {
                    of.differentiate(sample, row);
                }
            };
            let out = (&mut own.back, at > 0);
            outward(self.arch, *back, rows, out, scratches, after, &mut errors[..samples]);
        }
    }

    /// The derivatives by what the innermost outer level gave, of a code in lists: `back` has those of the entries, as
    /// they lie by sample.
    fn back_from_lists(&self, buffers: &mut Buffers, samples: usize) {
        let Buffers { outer, scratches, errors, lists, back, .. } = buffers;
        let (Some(own), Some(level)) = (outer.last_mut(), self.outer.last()) else { return };
        let of = Activated { values: &own.hidden, activation: level.form.activation };
        let encoder = &self.tensors.core.encoder;
        own.back.reserve_rows(samples);
        let arch = self.arch;
        let see = |sample: usize, row: &mut [f32], _: &mut f64| {
            let range = lists.range(sample);
            let (latents, weights) = (&lists.latents[range.clone()], &back.by_sample[range]);
            arch.dispatch(SumRows { rows: encoder, latents, weights, row });
            of.differentiate(sample, row);
        };
        each_row(arch, &mut own.back, scratches, see, &mut errors[..samples]);
    }
}

impl Activated<'_> {
    /// Turns derivatives by the activation into those by what it is of.
    #[inline(always)]
    fn differentiate(self, sample: usize, row: &mut [f32]) {
        self.differentiate_part(sample, 0, &mut row[..self.values.columns()]);
    }

    /// The same of some columns from `first` on.
    #[inline(always)]
    fn differentiate_part(self, sample: usize, first: usize, row: &mut [f32]) {
        let values = &self.values.row(sample)[first..first + row.len()];
        differentiate(self.activation, values, row);
    }
}

impl Outer {
    /// hidden ← the activation of the map of x.
    fn encode(
        &self,
        fused: &Fused,
        layers: &Layers,
        x: Mat<'_>,
        hidden: &mut Matrix,
        scratches: &mut [Scratch],
        errors: &mut [f64],
    ) {
        let [bias, _] = biases(self.convolution.as_ref(), layers);
        let activation = self.form.activation;
        match &self.convolution {
            None => inward(fused.arch, x, &layers.encoder, hidden, scratches, |_, columns, row| {
                activate(activation, &bias[columns], row);
            }),
            Some(convolution) => {
                map(convolution, Direction::Gather, x, &layers.encoder, hidden);
                let errors = &mut errors[..x.row_count()];
                each_row(
                    fused.arch,
                    hidden,
                    scratches,
                    |_, row, _| activate(activation, &bias, row),
                    errors,
                );
            }
        }
    }

    /// out ← the derivatives by what `of` is the activation of, from those by what the decoder's map gave.
    #[allow(clippy::too_many_arguments, reason = "they are all of one product")]
    fn derive_inward(
        &self,
        fused: &Fused,
        rows: &Matrix,
        g: Mat<'_>,
        of: Activated<'_>,
        out: &mut Matrix,
        scratches: &mut [Scratch],
        errors: &mut [f64],
    ) {
        match &self.convolution {
            None => inward(fused.arch, g, rows, out, scratches, |sample, columns, row| {
                of.differentiate_part(sample, columns.start, row);
            }),
            Some(convolution) => {
                map(convolution, Direction::Gather, g, rows, out);
                let see =
                    |sample: usize, row: &mut [f32], _: &mut f64| of.differentiate(sample, row);
                each_row(fused.arch, out, scratches, see, &mut errors[..g.row_count()]);
            }
        }
    }

    /// out ← the derivatives by what `of` is the activation of, from those by what the encoder's map gave.
    #[allow(clippy::too_many_arguments, reason = "they are all of one product")]
    fn derive_outward(
        &self,
        fused: &Fused,
        rows: &Matrix,
        back: Mat<'_>,
        of: Activated<'_>,
        out: &mut Matrix,
        scratches: &mut [Scratch],
        errors: &mut [f64],
    ) {
        let see = |sample: usize, row: &mut [f32], _: &mut f64| of.differentiate(sample, row);
        let errors = &mut errors[..back.row_count()];
        match &self.convolution {
            None => outward(fused.arch, back, rows, (out, false), scratches, see, errors),
            Some(convolution) => {
                map(convolution, Direction::Scatter, back, rows, out);
                each_row(fused.arch, out, scratches, see, errors);
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
