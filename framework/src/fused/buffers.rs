//! Everything a pass writes besides parameters: allocated by the first step, used by all.

use super::batch::Chosen;
use super::dead::DeadBuffers;
use super::gates::GateBuffers;
use super::jump::JumpBuffers;
use super::kernels::{Bf16Inputs, Buffer, Candidates, Matrix, SelectScratch as Selection};
use super::learn::{Back, MOST_OWN};
use super::lists::Lists;
use super::noise::NoiseBuffers;
use super::outer::OuterBuffers;
use super::tensors::Tensors;
use crate::plugin::{L0Rule, OwnedCodes};

/// Codes of at most this share of active latents are kept as lists. Above it the dense products
/// are faster, which do four times the arithmetic at four times the speed (`benches/density.rs`).
const LISTS_BELOW: f64 = 0.25;

/// What a thread works with. No two share a cache line, nor the pair of lines that some processors fetch together:
/// lengths of vectors change all the time.
#[derive(Default)]
#[repr(align(128))]
pub struct Scratch {
    pub tile: Buffer,
    pub gradient: Buffer,
    pub row: Vec<f32>,
    pub values: Vec<f32>,
    pub bias: Vec<f32>,
    /// Columns of a code and derivatives by them.
    pub columns: Buffer,
    pub candidates: Vec<Candidates>,
    pub selection: Selection,
}

/// Everything a step writes besides parameters; allocated by the first step, used by all.
#[derive(Default)]
pub struct Buffers {
    pub scratches: Vec<Scratch>,
    /// The samples, padded, with the decoder's bias taken away if that is the form.
    pub x: Matrix,
    /// The same in bf16, if that is the precision.
    pub packed: Bf16Inputs,
    /// What the activation gave, [samples, latents].
    pub code: Matrix,
    /// What a penalty on the tape made of it.
    pub constrained: Matrix,
    pub lists: Lists,
    pub counts: Vec<u32>,
    /// What is kept of codes of a batch.
    pub chosen: Chosen,
    /// What the pass knows of thresholds.
    pub jump: JumpBuffers,
    /// x̂, or the derivatives by what the decoder's affine map gave; of each sample a row for each prefix.
    pub rows: Matrix,
    /// Number of prefixes of a code that the last pass decoded, the whole code among them.
    pub prefixes: usize,
    /// The penalty's derivatives by a dense code.
    pub gradients: Matrix,
    pub errors: Vec<f64>,
    /// Terms of each sample, [samples, terms].
    pub terms: Vec<f64>,
    /// Terms of each latent, [latents, terms].
    pub term_values: Vec<f64>,
    pub term_slopes: Vec<f32>,
    pub sums: Sums,
    /// Gradients that wait for their norm, where it is limited.
    pub kept: Option<Tensors>,
    /// The derivatives by what the encoder's map of the core gave, where levels around it, or noise, need them.
    pub back: Back,
    /// What a pass writes of the levels around the core.
    pub outer: Vec<OuterBuffers>,
    /// What makes codes random.
    pub noise: NoiseBuffers,
    /// What gates let through, where they make codes.
    pub gates: GateBuffers,
    /// What dead latents make of the error.
    pub dead: DeadBuffers,
    /// Where the code of the last pass is, and of how many samples.
    pub last: Option<(CodePlace, usize)>,
}

/// What the backward pass sums over tiles of latents.
#[derive(Default)]
pub struct Sums {
    /// What each tile takes from the derivative of the decoder's bias, [tiles, inputs].
    pub pulls: Matrix,
    /// The derivative of the decoder's bias, [1, inputs].
    pub bias: Matrix,
    /// Squares of gradients and values of terms of the weights, of the decoder's bias and of each tile.
    pub of_tiles: Vec<f64>,
    /// The derivatives by the penalty's own parameters, of each latent; empty where it has none.
    pub own: Vec<[f32; MOST_OWN]>,
}

/// In which of the buffers the code of a batch is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum CodePlace {
    Lists,
    Dense,
    Constrained,
}

impl Buffers {
    /// Makes room for so many samples and so many prefixes of each; only the first step, or a larger batch,
    /// allocates.
    pub fn make_room(&mut self, samples: usize, prefixes: usize) {
        self.prefixes = prefixes;
        self.gates.is_decoded = false;
        self.x.reserve_rows(samples);
        self.rows.reserve_rows(samples * prefixes);
        if self.errors.len() < samples * prefixes {
            self.errors.resize(samples * prefixes, 0.0);
        }
    }

    /// Makes room to decode what the gates of so many samples let through, if it is to be decoded.
    pub fn decode_gates(&mut self, samples: Option<usize>) {
        self.gates.is_decoded = samples.is_some();
        let rows = 2 * samples.unwrap_or_default();
        self.rows.reserve_rows(rows);
        self.errors.resize(rows.max(self.errors.len()), 0.0);
    }

    /// Number of rows that the level that makes the code decodes of so many samples.
    pub fn rows_of_core(&self, samples: usize) -> usize {
        samples * (self.prefixes + usize::from(self.gates.is_decoded))
    }

    /// Makes room in the lists for the latents of each sample that were counted as active.
    pub fn make_room_for_active(&mut self, samples: usize) {
        let Self { counts, lists, .. } = self;
        let of_sample = |sample: usize| {
            counts[sample..].iter().step_by(samples).map(|count| *count as usize).sum()
        };
        lists.make_room((0..samples).map(of_sample));
    }

    /// Leaves the objectives of whole codes, one a sample, and returns the sum of those of shorter prefixes.
    pub fn take_prefixes(&mut self, samples: usize) -> f64 {
        let (mut sum, last) = (0.0, self.prefixes - 1);
        for sample in 0..samples {
            let first = sample * self.prefixes;
            sum += self.errors[first..first + last].iter().sum::<f64>();
            self.errors[sample] = self.errors[first + last];
        }
        sum
    }

    /// Makes room for so many terms of each sample and of each of `latents` latents.
    pub fn make_room_for_terms(&mut self, samples: [usize; 2], latents: [usize; 2]) {
        let [samples, latents] = [samples, latents].map(|[count, terms]| count * terms);
        self.terms.resize(samples.max(self.terms.len()), 0.0);
        self.term_values.resize(latents.max(self.term_values.len()), 0.0);
    }

    /// The reconstructions of the last pass, or the derivatives where the backward pass started.
    pub fn reconstructions(&self) -> &Matrix {
        self.outer.first().map_or(&self.rows, |outermost| &outermost.rows)
    }

    /// The codes of a pass.
    pub fn codes(&self, kept: CodePlace, samples: usize) -> OwnedCodes {
        let latents = self.code.columns();
        let dense = |code| OwnedCodes::Dense { latents, values: rows(code, samples) };
        match kept {
            CodePlace::Lists => self.lists.to_codes(latents),
            CodePlace::Dense => dense(&self.code),
            CodePlace::Constrained => dense(&self.constrained),
        }
    }

    /// Whether lists are faster than a dense code of which so much was counted as active.
    pub fn is_sparse(&self, samples: usize) -> bool {
        let active: f64 = self.counts.iter().map(|count| f64::from(*count)).sum();
        active <= LISTS_BELOW * samples as f64 * self.code.columns() as f64
    }

    /// How many latents are active in the whole batch.
    pub fn active(&self, kept: CodePlace, samples: usize, rule: L0Rule) -> usize {
        let in_list = |sample: usize| rule.count(&self.lists.values[self.lists.range(sample)]);
        match kept {
            CodePlace::Lists => (0..samples).map(in_list).sum(),
            CodePlace::Dense | CodePlace::Constrained => {
                self.counts.iter().map(|count| *count as usize).sum()
            }
        }
    }
}

/// Counts the active latents of each sample of a code.
pub fn count(code: &Matrix, counts: &mut Vec<u32>, samples: usize, rule: L0Rule) {
    counts.clear();
    counts.extend((0..samples).map(|sample| {
        let values = &code.row(sample)[..code.columns()];
        rule.count(values) as u32
    }));
}

/// The first rows of a matrix, without padding.
pub fn rows(matrix: &Matrix, count: usize) -> Vec<f32> {
    let columns = matrix.columns();
    let mut values = Vec::with_capacity(count * columns);
    (0..count).for_each(|row| values.extend_from_slice(&matrix.row(row)[..columns]));
    values
}
