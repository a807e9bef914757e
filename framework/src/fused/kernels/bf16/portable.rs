//! f32 arithmetic on numbers widened from bf16: one source, compiled for three instruction sets.
//!
//! Products of bf16 numbers are exact in f32 (short of overflow and underflow), so a fused
//! multiply-add rounds as a multiplication and an addition do, and all three give the same bits.

use super::BackEnd;
use super::panels::{Kernel, LATENTS, PanelBlock, PanelLine, TileWork, run};
use super::round::{bf16, widen};

/// Computes a tile; a back-end that is not portable counts as `Baseline`.
pub(super) fn tile(back_end: BackEnd, work: TileWork<'_>) {
    match back_end {
        #[cfg(target_arch = "x86_64")]
        BackEnd::Avx512 => run(Avx512(()), work),
        #[cfg(target_arch = "x86_64")]
        BackEnd::Avx2 => run(Avx2(()), work),
        _ => run(Baseline, work),
    }
}

/// One sample as f32 numbers, rounded to bf16; the padding of `row` is zeroed.
pub(super) fn pack_sample(sample: &[f32], row: &mut [PanelLine]) {
    let (values, padding) = PanelLine::floats_mut(row).split_at_mut(sample.len());
    for (out, value) in values.iter_mut().zip(sample) {
        *out = widen(bf16(*value));
    }
    padding.fill(0.0);
}

/// `acc + a * b`, fused where the instruction set can.
#[inline(always)]
fn add_product<const FUSED: bool>(a: f32, b: f32, acc: f32) -> f32 {
    // Without the instruction `mul_add` is a call.
    if FUSED { a.mul_add(b, acc) } else { acc + a * b }
}

/// Odd input before even, as `vdpbf16ps` adds them.
#[inline(always)]
fn multiply<const SAMPLES: usize, const FUSED: bool>(
    block: PanelBlock<'_>,
    out: &mut [f32],
    stride: usize,
) {
    let x = PanelLine::floats(block.x);
    let row_len = block.row_lines * PanelLine::WORDS;
    let rows: [&[[f32; 2]]; SAMPLES] =
        std::array::from_fn(|i| x[i * row_len..][..row_len].as_chunks().0);
    for (panel, first) in block.panels.into_iter().zip([0, LATENTS / 2]) {
        let rows = rows.map(|row| &row[..panel.len()]);
        let mut acc = [[0f32; 16]; SAMPLES];
        for (k, PanelLine(words)) in panel.iter().enumerate() {
            let odd = words.map(|word| f32::from_bits(word & 0xffff_0000));
            let even = words.map(|word| f32::from_bits(word << 16));
            for (acc, row) in acc.iter_mut().zip(rows) {
                let x = row[k];
                for (acc, w) in acc.iter_mut().zip(odd) {
                    *acc = add_product::<FUSED>(w, x[1], *acc);
                }
                for (acc, w) in acc.iter_mut().zip(even) {
                    *acc = add_product::<FUSED>(w, x[0], *acc);
                }
            }
        }
        for (acc, out) in acc.iter().zip(out.chunks_mut(stride)) {
            out[first..][..16].copy_from_slice(acc);
        }
    }
}

/// Any CPU: what the build's target allows.
struct Baseline;

impl Kernel for Baseline {
    const SAMPLES: usize = 4;

    fn multiply(&mut self, block: PanelBlock<'_>, out: &mut [f32], stride: usize) {
        const FUSED: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));
        multiply::<{ Self::SAMPLES }, FUSED>(block, out, stride);
    }
}

/// Made in [`tile`] only, for a product whose back-end is supported.
#[cfg(target_arch = "x86_64")]
struct Avx2(());

#[cfg(target_arch = "x86_64")]
impl Kernel for Avx2 {
    const SAMPLES: usize = 4;

    fn multiply(&mut self, block: PanelBlock<'_>, out: &mut [f32], stride: usize) {
        #[target_feature(enable = "avx2,fma")]
        fn compiled(block: PanelBlock<'_>, out: &mut [f32], stride: usize) {
            multiply::<{ Avx2::SAMPLES }, true>(block, out, stride);
        }
        // SAFETY: `BackEnd::Avx2` is supported where the CPU has AVX2 and FMA.
        unsafe { compiled(block, out, stride) }
    }
}

/// Made in [`tile`] only, for a product whose back-end is supported.
#[cfg(target_arch = "x86_64")]
struct Avx512(());

#[cfg(target_arch = "x86_64")]
impl Kernel for Avx512 {
    const SAMPLES: usize = 8;

    fn multiply(&mut self, block: PanelBlock<'_>, out: &mut [f32], stride: usize) {
        #[target_feature(enable = "avx512f")]
        fn compiled(block: PanelBlock<'_>, out: &mut [f32], stride: usize) {
            multiply::<{ Avx512::SAMPLES }, true>(block, out, stride);
        }
        // SAFETY: `BackEnd::Avx512` is supported where the CPU has AVX-512F.
        unsafe { compiled(block, out, stride) }
    }
}
