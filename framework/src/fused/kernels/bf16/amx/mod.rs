//! Tile instructions: a tile holds 16 rows of 64 bytes, and one `tdpbf16ps` multiplies 16 samples
//! by 16 latents over 32 inputs.
//!
//! What is said here of layout is told to [`Tiles`], which is the instructions themselves
//! ([`instructions`]) or, in tests, a model of them. Where the CPU has none, tests run the
//! instructions too, by emulation.

#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
pub(super) mod emulator;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod instructions;
#[cfg(test)]
pub(super) mod model;

use super::panels::{self, Kernel, LATENTS, PanelBlock, PanelLine};

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(super) use instructions::{is_supported, tile};

/// Eight tiles of 16 rows of 64 bytes, numbered from 0.
trait Tiles {
    /// Row `i` of tile `T` is line `i * step`.
    fn load<const T: usize>(&mut self, lines: &[PanelLine], step: usize);
    /// All of tile `T` is zero.
    fn zero<const T: usize>(&mut self);
    /// `C[i][j] += sum over k, over both halves, of A[i][k] * B[k][j]`, words of A and B being two
    /// bf16 numbers and words of C being f32.
    fn dot<const C: usize, const A: usize, const B: usize>(&mut self);
    /// Row `i` of tile `T` goes to 16 numbers from `i * stride` on.
    fn store<const T: usize>(&mut self, out: &mut [f32], stride: usize);
    /// Lays out one panel as [`panels::lay_out`] does.
    fn lay_out(&self, rows: [&[u16]; 16], panel: &mut [PanelLine]) {
        panels::lay_out(rows, panel);
    }
}

/// Two by two tiles of sums: four loads serve four products.
struct Amx<T>(T);

impl<T: Tiles> Kernel for Amx<T> {
    const SAMPLES: usize = 32;
    const PAIRS: usize = 16;

    fn lay_out(&self, rows: [&[u16]; 16], panel: &mut [PanelLine]) {
        self.0.lay_out(rows, panel);
    }

    fn multiply(&mut self, block: PanelBlock<'_>, out: &mut [f32], stride: usize) {
        let PanelBlock { x, row_lines, panels: [first, second] } = block;
        let tiles = &mut self.0;
        tiles.zero::<0>();
        tiles.zero::<1>();
        tiles.zero::<2>();
        tiles.zero::<3>();
        let (first, second) = (first.chunks_exact(16), second.chunks_exact(16));
        for (k, (first, second)) in first.zip(second).enumerate() {
            tiles.load::<4>(&x[k..], row_lines);
            tiles.load::<5>(&x[16 * row_lines + k..], row_lines);
            tiles.load::<6>(first, 1);
            tiles.load::<7>(second, 1);
            tiles.dot::<0, 4, 6>();
            tiles.dot::<1, 4, 7>();
            tiles.dot::<2, 5, 6>();
            tiles.dot::<3, 5, 7>();
        }
        let (above, below) = out.split_at_mut(16 * stride);
        tiles.store::<0>(above, stride);
        tiles.store::<1>(&mut above[LATENTS / 2..], stride);
        tiles.store::<2>(below, stride);
        tiles.store::<3>(&mut below[LATENTS / 2..], stride);
    }
}
