//! Codes that gates and magnitudes make: a latent is active where its pre-code is above 0, and its value is a function of
//! its own of the same product.
//!
//! With z the pre-code, p = max(0, z) is what the gates let through, and a code like that of relu: it is made and listed
//! as one. The code f = max(0, exp(r) (z − b) + s), b the encoder's bias in z, is made of p where that is above 0. Where a
//! step learns, both are decoded side by side, and every sample has two rows: first stand the rows of all codes, then
//! those of what the gates let through, from which the decoder learns nothing.

mod decode;
mod learn;

use super::Fused;
use super::buffers::{Buffers, CodePlace, count};
use super::decode::Decoded;
use super::kernels::{Matrix, PaddedRows, exp};
use super::pass::Decode;
use super::tensors::OwnTensor;
use crate::model::{LossTerm, Owner, TermOwner};
use crate::plugin::{Activation, GateTerms};
pub use learn::GateLesson;

/// The rows of what gates let through.
#[derive(Clone, Copy)]
pub struct GateRows {
    /// Number of the first of them: before it is a row of every sample's code.
    pub first: usize,
    /// What the derivatives of their objective, which is always the squared error, are multiplied by.
    pub share: f32,
}

/// What a pass writes of gates.
#[derive(Default)]
pub struct GateBuffers {
    /// Whether the last pass decoded what they let through.
    pub is_decoded: bool,
    /// exp(r) of each latent.
    scales: Vec<f32>,
    /// s of each latent.
    shifts: Vec<f32>,
    /// Places of r and s among the penalty's own parameters.
    own: [usize; 2],
    /// The sum over latents of what is let through, of each sample.
    sums: Vec<f64>,
    /// The derivative of the term of that sum by each number that is above 0.
    slope: f32,
}

/// What makes magnitudes, one number of each for every latent.
#[derive(Clone, Copy)]
struct Magnitudes<'a> {
    scales: &'a [f32],
    biases: &'a [f32],
    shifts: &'a [f32],
}

impl Magnitudes<'_> {
    /// The code of a latent whose pre-code is above 0. NaN stays NaN, so that a run that diverged is seen to.
    #[inline(always)]
    fn code(self, latent: usize, pre_code: f32) -> f32 {
        let magnitude =
            self.scales[latent] * (pre_code - self.biases[latent]) + self.shifts[latent];
        if magnitude <= 0.0 { 0.0 } else { magnitude }
    }

    /// The codes of all latents, from what the gates let through.
    #[inline(always)]
    fn of_row(self, gates: &[f32], row: &mut [f32]) {
        let Self { scales, biases, shifts } = self;
        let maps = scales.iter().zip(biases).zip(shifts);
        for ((value, gate), ((scale, bias), shift)) in row.iter_mut().zip(gates).zip(maps) {
            let magnitude = scale * (gate - bias) + shift;
            *value = if *gate <= 0.0 || magnitude <= 0.0 { 0.0 } else { magnitude };
        }
    }
}

impl GateBuffers {
    /// Takes the magnitudes of a pass over from the penalty's parameters.
    fn start(&mut self, terms: &GateTerms, samples: usize, own: &[OwnTensor]) {
        let place = |name: &str| {
            let name = Owner::Penalty.parameter(name);
            let place = own.iter().position(|own| own.name == name);
            place.expect("a penalty with gates declares the parameters that it names")
        };
        self.own = [place(terms.scale), place(terms.shift)];
        let [scales, shifts] = self.own.map(|at| own[at].values.row(0));
        let latents = own[self.own[0]].values.columns();
        self.scales.clear();
        self.scales.extend(scales[..latents].iter().map(|r| exp(*r)));
        self.shifts.clear();
        self.shifts.extend_from_slice(&shifts[..latents]);
        self.slope = (terms.sum.1 / samples as f64) as f32;
        self.sums.clear();
        self.sums.resize(samples, 0.0);
    }

    /// What a step learns from, where `rows` are the derivatives of all rows and what the gates let through was decoded.
    pub fn lesson<'a>(&'a self, rows: &'a Matrix, samples: usize) -> Option<GateLesson<'a>> {
        let Self { scales, shifts, own, slope, .. } = self;
        let stride = rows.stride();
        self.is_decoded.then(|| {
            let g = &rows.as_slice()[samples * stride..2 * samples * stride];
            let g = PaddedRows::new(g, stride);
            GateLesson { g, scales, shifts, own: *own, slope: *slope }
        })
    }

    /// The terms as they came out; `errors` are the objectives of all rows.
    pub fn measured(&self, terms: &GateTerms, errors: &[f64], samples: usize) -> [LossTerm; 2] {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / samples as f64;
        let term = |(name, weight): (&'static str, f64), raw| LossTerm {
            name: name.into(),
            owner: TermOwner::Penalty,
            raw,
            weight,
        };
        let of_rows = &errors[samples..2 * samples];
        [term(terms.sum, mean(&self.sums)), term(terms.reconstruction, mean(of_rows))]
    }
}

impl Fused {
    /// Encodes, and decodes the codes that gates and magnitudes make; where a step learns (`decode` has rows of gates),
    /// what the gates let through is decoded too.
    pub(super) fn keep_gated(
        &self,
        buffers: &mut Buffers,
        x: &[f32],
        terms: &GateTerms,
        decode: Decode<'_>,
    ) -> CodePlace {
        let samples = x.len() / self.inputs;
        buffers.gates.start(terms, samples, &self.tensors.own);
        buffers.decode_gates(decode.gates.map(|_| samples));
        let kept = self.encode_activated(buffers, x, &[], Activation::Relu);
        let decoder = self.decoder(decode);
        let biases = self.tensors.core.b_enc.row(0);
        if kept == CodePlace::Lists {
            buffers.make_room_for_active(samples);
            let Buffers { code, lists, gates, scratches, rows, errors, terms, .. } = buffers;
            let GateBuffers { is_decoded, scales, shifts, sums, .. } = gates;
            let magnitudes = Magnitudes { scales, biases, shifts };
            let errors = &mut errors[..if *is_decoded { 2 * samples } else { samples }];
            let found = Decoded { rows, errors, terms };
            decoder.gated_lists((code, magnitudes), lists, found, sums, scratches);
            return kept;
        }
        let Buffers { code, constrained, counts, gates, scratches, rows, errors, .. } =
            &mut *buffers;
        let GateBuffers { is_decoded, scales, shifts, sums, .. } = gates;
        let magnitudes = Magnitudes { scales, biases, shifts };
        constrained.reserve_rows(samples);
        magnitudes.make_codes(self.arch, code, constrained, sums, scratches);
        count(constrained, counts, samples, self.l0_rule);
        if *is_decoded {
            decoder.gates(code, rows, &mut errors[samples..2 * samples], scratches);
        }
        self.decode_kept(buffers, CodePlace::Constrained, samples, decode);
        CodePlace::Constrained
    }
}
