//! What the back-ends share: the order of work, and the layout that they read.
//!
//! Latents are taken in groups. A group's weights are laid out as panels of 16 latents: line `k`
//! holds inputs `2k` and `2k + 1` of each of the 16, which is the second operand of `vdpbf16ps` and
//! of `tdpbf16ps`. A [`Kernel`] then multiplies blocks of samples by two panels at a time. A group
//! stays in the L2 cache while the samples stream past it.

use std::cell::Cell;

/// Latents of a block: two panels.
pub(super) const LATENTS: usize = 32;
/// No kernel takes more samples at a time.
pub(super) const MOST_SAMPLES: usize = 32;
/// The panels of a group take at most this many bytes (unless one block alone takes more), so that
/// they leave room in an L2 cache of 1 MiB.
const GROUP_BYTES: usize = 256 << 10;

/// A cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct PanelLine(pub(super) [u32; 16]);

impl PanelLine {
    pub(super) const ZERO: Self = Self([0; 16]);
    /// 32-bit words of a line.
    pub(super) const WORDS: usize = 16;

    /// Lines as bf16 numbers.
    pub(super) fn halves(lines: &mut [Self]) -> &mut [u16] {
        // SAFETY: a line is 32 numbers of 16 bits without padding, any bits are valid ones.
        unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * 32) }
    }

    /// Lines as f32 numbers.
    pub(super) fn floats(lines: &[Self]) -> &[f32] {
        // SAFETY: a line is 16 numbers of 32 bits without padding, any bits are valid ones.
        unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), lines.len() * 16) }
    }

    /// Lines as f32 numbers, to write.
    pub(super) fn floats_mut(lines: &mut [Self]) -> &mut [f32] {
        // SAFETY: as in `floats`.
        unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * 16) }
    }
}

/// One tile of the product, its sizes checked.
pub(super) struct TileWork<'a> {
    /// Packed samples from the tile's first on, with at least `MOST_SAMPLES - 1` more than it has.
    pub(super) x: &'a [PanelLine],
    /// Lines of a packed sample.
    pub(super) row_lines: usize,
    pub(super) n_samples: usize,
    /// Weights [latents, row_len].
    pub(super) w: &'a [u16],
    pub(super) row_len: usize,
    /// Pairs of inputs that are not all padding.
    pub(super) pairs: usize,
    pub(super) out: &'a mut [f32],
    pub(super) stride: usize,
}

/// The operands of one block: `SAMPLES` samples and two panels.
#[derive(Clone, Copy)]
pub(super) struct PanelBlock<'a> {
    /// Packed samples, `row_lines` apart; the last one is there whole.
    pub(super) x: &'a [PanelLine],
    pub(super) row_lines: usize,
    /// Two panels of equal length.
    pub(super) panels: [&'a [PanelLine]; 2],
}

/// How a back-end computes.
pub(super) trait Kernel {
    /// Samples of a block, at most [`MOST_SAMPLES`].
    const SAMPLES: usize;
    /// Panels are multiplied over a multiple of this many pairs of inputs, at most 16.
    const PAIRS: usize = 1;

    /// Lays out one panel as [`lay_out`] does.
    fn lay_out(&self, rows: [&[u16]; 16], panel: &mut [PanelLine]) {
        lay_out(rows, panel);
    }

    /// Overwrites `out` [SAMPLES, LATENTS], its rows `stride` apart, with the block's product.
    fn multiply(&mut self, block: PanelBlock<'_>, out: &mut [f32], stride: usize);
}

/// Lays out the weights of 16 latents, whole rows of equal length, as one panel: `panel[k].0[j]` is
/// the word of inputs `2k` (lower half) and `2k + 1` of row `j`.
pub(super) fn lay_out(rows: [&[u16]; 16], panel: &mut [PanelLine]) {
    for (k, line) in panel.iter_mut().enumerate() {
        for (word, row) in line.0.iter_mut().zip(rows) {
            *word = u32::from(row[2 * k]) | u32::from(row[2 * k + 1]) << 16;
        }
    }
}

thread_local! {
    /// A group's panels; each thread keeps its own.
    static PANELS: Cell<Vec<PanelLine>> = const { Cell::new(Vec::new()) };
}

/// Computes a tile with a kernel.
pub(super) fn run<K: Kernel>(mut kernel: K, work: TileWork<'_>) {
    let TileWork { x, row_lines, n_samples, w, row_len, pairs, out, stride } = work;
    let pairs = pairs.next_multiple_of(K::PAIRS);
    let panel_lines = row_len / 2;
    let block_bytes = LATENTS * row_len * size_of::<u16>();
    let group = (GROUP_BYTES / block_bytes).max(1) * LATENTS;
    let mut panels = PANELS.take();
    for (group_index, w) in w.chunks(group * row_len).enumerate() {
        let n_latents = w.len() / row_len;
        let n_blocks = n_latents.div_ceil(LATENTS);
        panels.resize(panels.len().max(n_blocks * 2 * panel_lines), PanelLine::ZERO);
        for (panel, rows) in panels.chunks_exact_mut(panel_lines).zip(w.chunks(16 * row_len)) {
            // Missing rows repeat the first: nobody reads their products.
            let (first, mut rows) = (&rows[..row_len], rows.chunks_exact(row_len));
            kernel.lay_out([(); 16].map(|()| rows.next().unwrap_or(first)), panel);
        }
        for sample in (0..n_samples).step_by(K::SAMPLES) {
            let x = &x[sample * row_lines..][..K::SAMPLES * row_lines];
            let samples = (n_samples - sample).min(K::SAMPLES);
            let blocks = panels.chunks_exact(2 * panel_lines).take(n_blocks);
            for (index, panels) in blocks.enumerate() {
                let (first, second) = panels.split_at(panel_lines);
                let block =
                    PanelBlock { x, row_lines, panels: [&first[..pairs], &second[..pairs]] };
                let latents = (n_latents - index * LATENTS).min(LATENTS);
                let out = &mut out[sample * stride + group_index * group + index * LATENTS..];
                if samples == K::SAMPLES && latents == LATENTS {
                    kernel.multiply(block, out, stride);
                } else {
                    let mut whole = [0.0; MOST_SAMPLES * LATENTS];
                    kernel.multiply(block, &mut whole, LATENTS);
                    for (out, whole) in
                        out.chunks_mut(stride).zip(whole.chunks_exact(LATENTS)).take(samples)
                    {
                        out[..latents].copy_from_slice(&whole[..latents]);
                    }
                }
            }
        }
    }
    PANELS.set(panels);
}
