//! The tile instructions as their manual words them, to test what is asked of them.

use super::super::panels::{PanelLine, TileWork, run};
use super::{Amx, Tiles};

/// Computes a tile as the AMX back-end would.
pub(in super::super) fn tile(work: TileWork<'_>) {
    run(Amx(TileModel([[[f32::NAN.to_bits(); 16]; 16]; 8])), work);
}

/// Eight tiles; those never written hold NaN.
pub(super) struct TileModel(pub(super) [[[u32; 16]; 16]; 8]);

impl TileModel {
    /// `tdpbf16ps`: tile `c` += tile `a` · tile `b`.
    pub(super) fn multiply(tiles: &mut [[[u32; 16]; 16]; 8], [c, a, b]: [usize; 3]) {
        let (a, b) = (tiles[a], tiles[b]);
        for (i, row) in tiles[c].iter_mut().enumerate() {
            for (j, word) in row.iter_mut().enumerate() {
                let [even, odd] = [false, true].map(|odd| {
                    (0..16).fold(0f32, |sum, k| {
                        flushed(half(a[i][k], odd).mul_add(half(b[k][j], odd), sum))
                    })
                });
                *word = add(f32::from_bits(*word), add(even, odd)).to_bits();
            }
        }
    }
}

/// Denormals count as zeros, of operands and of results.
fn flushed(value: f32) -> f32 {
    if value.is_subnormal() { 0f32.copysign(value) } else { value }
}

fn add(a: f32, b: f32) -> f32 {
    flushed(flushed(a) + flushed(b))
}

/// The bf16 in a half of a word.
fn half(word: u32, odd: bool) -> f32 {
    flushed(f32::from_bits(if odd { word & 0xffff_0000 } else { word << 16 }))
}

impl Tiles for TileModel {
    fn load<const T: usize>(&mut self, lines: &[PanelLine], step: usize) {
        for (i, row) in self.0[T].iter_mut().enumerate() {
            *row = lines[i * step].0;
        }
    }

    fn zero<const T: usize>(&mut self) {
        self.0[T] = [[0; 16]; 16];
    }

    fn dot<const C: usize, const A: usize, const B: usize>(&mut self) {
        Self::multiply(&mut self.0, [C, A, B]);
    }

    fn store<const T: usize>(&mut self, out: &mut [f32], stride: usize) {
        for (i, row) in self.0[T].iter().enumerate() {
            out[i * stride..][..16].copy_from_slice(&row.map(f32::from_bits));
        }
    }
}
