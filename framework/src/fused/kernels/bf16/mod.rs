//! The encoder product with bf16 operands: `out[b, j] = sum over d of x[b, d] * w[j, d]`, products
//! of bf16 numbers summed in f32.
//!
//! bf16 is the upper half of an f32. Both operands are rounded to it (to nearest, ties to even),
//! so a product of two of them is exact in f32 and only the sums round. Master weights stay f32;
//! what lives here is the product alone, with one file a back-end:
//!
//! - [`amx`][]: tile instructions of Intel CPUs, where Linux grants them;
//! - [`avx512_bf16`][]: `vdpbf16ps`;
//! - [`portable`][]: f32 arithmetic on widened numbers, in three instruction sets.
//!
//! [`panels`] holds what they share: the order of work and the layout of the weights. Each element
//! of `out` is one sum in a fixed order, so its bits depend neither on the tiles nor on threads.
//! They do depend on the back-end, in these ways only:
//!
//! - `Amx` sums 32 inputs at a time from zero (even and odd inputs apart, then their sum) and adds
//!   that to the total. All others add input `2k + 1`, then `2k`, to one total, for `k` from 0 up,
//!   and so agree bit for bit. Of `tdpbf16ps` and `vdpbf16ps` this is what the manuals say; a
//!   Zen 4 CPU was seen to keep to it.
//! - `Amx` and `Avx512Bf16` take denormal operands as zeros and flush denormal sums to zero,
//!   whatever the mode of the thread. The others keep them.

// The tile algorithm compiles in tests everywhere: they run it on a model of the instructions.
#[cfg(any(all(test, target_endian = "little"), all(target_arch = "x86_64", target_os = "linux")))]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx512_bf16;
mod detect;
mod panels;
mod portable;
mod round;
#[cfg(test)]
mod tests;

use std::ops::Range;

pub use detect::BackEnd;
use panels::{PanelLine, TileWork};

/// Rows and packed samples are padded with zeros to a multiple of this many inputs: one row of an
/// AMX tile, one cache line.
const INPUTS_STEP: usize = 32;

/// The bf16 product for one number of inputs, on the best back-end of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bf16Product {
    back_end: BackEnd,
    inputs: usize,
}

/// A batch of samples, rounded and laid out for one [`Bf16Product`]; the buffer is used again.
#[derive(Clone, Debug, Default)]
pub struct Bf16Inputs {
    lines: Vec<PanelLine>,
    batch: usize,
    packed_for: Option<Bf16Product>,
}

impl Bf16Inputs {
    /// How many samples were packed last.
    pub fn batch(&self) -> usize {
        self.batch
    }
}

impl Bf16Product {
    /// The product over `inputs` inputs, on [`BackEnd::best`].
    ///
    /// # Panics
    /// If `inputs` is 0.
    pub fn new(inputs: usize) -> Self {
        Self::on(BackEnd::best(), inputs)
    }

    /// The product on a given back-end.
    ///
    /// # Panics
    /// If `inputs` is 0, or if this machine cannot run the back-end.
    pub fn on(back_end: BackEnd, inputs: usize) -> Self {
        assert!(back_end.is_supported(), "bf16 product: no {} here", back_end.name());
        assert!(inputs > 0, "bf16 product: no inputs");
        Self { back_end, inputs }
    }

    /// How many inputs a sample has.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// How many `u16` a latent's row of bf16 weights takes: the inputs, padded.
    pub fn row_len(&self) -> usize {
        self.inputs.next_multiple_of(INPUTS_STEP)
    }

    /// One latent's weights [inputs] as bf16 [`row_len`](Self::row_len), padding zeroed. NaN stays NaN.
    ///
    /// # Panics
    /// If a length is wrong.
    pub fn pack_row(&self, row: &[f32], out: &mut [u16]) {
        assert_eq!(row.len(), self.inputs, "bf16 row: wrong number of inputs");
        assert_eq!(out.len(), self.row_len(), "bf16 row: wrong length");
        let (rounded, padding) = out.split_at_mut(self.inputs);
        round::round(row, rounded);
        padding.fill(0);
    }

    /// Packs samples of [inputs] numbers each, once a step; `packed` grows to the largest batch it
    /// has seen.
    ///
    /// # Panics
    /// If a sample has another size.
    pub fn pack_inputs<'a>(
        &self,
        samples: impl ExactSizeIterator<Item = &'a [f32]>,
        packed: &mut Bf16Inputs,
    ) {
        let row_lines = self.row_lines();
        packed.batch = samples.len();
        packed.packed_for = Some(*self);
        // Blocks of samples are read whole from any first sample on: what follows is padding.
        let rows = packed.batch + panels::MOST_SAMPLES - 1;
        packed.lines.resize(rows * row_lines, PanelLine::ZERO);
        packed.lines[packed.batch * row_lines..].fill(PanelLine::ZERO);
        let rows = packed.lines.chunks_exact_mut(row_lines);
        for (sample, lines) in samples.zip(rows) {
            assert_eq!(sample.len(), self.inputs, "bf16 inputs: a sample of another size");
            if self.back_end.is_portable() {
                portable::pack_sample(sample, lines);
            } else {
                self.pack_row(sample, PanelLine::halves(lines));
            }
        }
    }

    /// Pre-codes of some samples and latents: `out[b, j] = sum over d of x[samples.start + b, d] * w[j, d]`
    /// with `w` [n, row_len] made by [`pack_row`](Self::pack_row) and `out` row-major, [samples, n]
    /// in rows `stride` apart; what lies between rows is kept. One thread works; callers run tiles
    /// in parallel. The weights are laid out anew for each call, which costs about as much as
    /// 10 samples: tiles of many samples and of a few hundred latents (a multiple of 32) suit best.
    ///
    /// # Panics
    /// If the sizes do not fit, or if another product packed the inputs.
    pub fn tile(
        &self,
        packed: &Bf16Inputs,
        samples: Range<usize>,
        w: &[u16],
        out: &mut [f32],
        stride: usize,
    ) {
        let Some(work) = self.work(packed, samples, w, out, stride) else { return };
        match self.back_end {
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            // SAFETY: the back-end is supported, as `on` asserted.
            BackEnd::Amx => unsafe { amx::tile(work) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the back-end is supported, as `on` asserted.
            BackEnd::Avx512Bf16 => unsafe { avx512_bf16::tile(work) },
            _ => portable::tile(self.back_end, work),
        }
    }

    /// A tile's operands, checked; nothing if the tile is empty.
    fn work<'a>(
        &self,
        packed: &'a Bf16Inputs,
        samples: Range<usize>,
        w: &'a [u16],
        out: &'a mut [f32],
        stride: usize,
    ) -> Option<TileWork<'a>> {
        assert_eq!(packed.packed_for, Some(*self), "bf16 tile: inputs packed for another product");
        assert!(
            samples.start <= samples.end && samples.end <= packed.batch,
            "bf16 tile: no such samples"
        );
        assert_eq!(w.len() % self.row_len(), 0, "bf16 tile: a row is cut off");
        let n_latents = w.len() / self.row_len();
        if samples.is_empty() || n_latents == 0 {
            return None;
        }
        assert!(stride >= n_latents, "bf16 tile: rows of the output overlap");
        assert!(
            out.len() >= (samples.len() - 1) * stride + n_latents,
            "bf16 tile: output too short"
        );
        let row_lines = self.row_lines();
        Some(TileWork {
            x: &packed.lines[samples.start * row_lines..],
            row_lines,
            n_samples: samples.len(),
            w,
            row_len: self.row_len(),
            pairs: self.inputs.div_ceil(2),
            out,
            stride,
        })
    }

    /// Cache lines of one packed sample: bf16 pairs, or widened numbers for portable arithmetic.
    fn row_lines(&self) -> usize {
        let words = if self.back_end.is_portable() { self.row_len() } else { self.row_len() / 2 };
        words / PanelLine::WORDS
    }
}
