//! The tile instructions, by inline assembly: stable Rust has no intrinsics for them.

use core::arch::asm;
use core::arch::x86_64::{__cpuid_count, _xgetbv};
use std::sync::OnceLock;

use super::super::avx512_bf16;
use super::super::panels::{PanelLine, TileWork, run};
use super::super::{BackEnd, Bf16Inputs, Bf16Product};
use super::{Amx, Tiles};

/// Computes a tile.
///
/// # Safety
/// [`is_granted`] said yes, and the CPU has AVX-512F.
pub(in super::super) unsafe fn tile(work: TileWork<'_>) {
    // SAFETY: as asked of the caller.
    run(Amx(unsafe { Registers::configured() }), work);
}

/// The tile registers of this thread, configured as eight tiles of 16 rows of 64 bytes until drop.
struct Registers(());

/// The operand of `ldtilecfg`.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

impl Registers {
    /// # Safety
    /// [`is_granted`] said yes, the CPU has AVX-512F, and no other value of this thread is alive.
    unsafe fn configured() -> Self {
        let mut configuration = Configuration {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            row_bytes: [0; 16],
            rows: [0; 16],
        };
        configuration.row_bytes[..8].fill(64);
        configuration.rows[..8].fill(16);
        // SAFETY: the tiles are granted; the operand is 64 bytes and describes what palette 1 has.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const configuration,
                options(readonly, nostack, preserves_flags));
        }
        Self(())
    }
}

impl Drop for Registers {
    fn drop(&mut self) {
        // SAFETY: the tiles are granted; nobody reads them after this.
        unsafe { asm!("tilerelease", options(nomem, nostack, preserves_flags)) }
    }
}

/// Each block is one instruction. All are volatile, so they stay in order, and the compiler itself
/// never uses the tile registers.
impl Tiles for Registers {
    #[inline(always)]
    fn load<const T: usize>(&mut self, lines: &[PanelLine], step: usize) {
        assert!(lines.len() > 15 * step, "tile: rows are missing");
        // SAFETY: the tiles are configured; 16 lines lie `step` lines apart, as asserted.
        unsafe {
            asm!("tileloadd tmm{tile}, [{from} + {bytes}*1]",
                tile = const T, from = in(reg) lines.as_ptr(), bytes = in(reg) step * size_of::<PanelLine>(),
                options(readonly, nostack, preserves_flags));
        }
    }

    #[inline(always)]
    fn zero<const T: usize>(&mut self) {
        // SAFETY: the tiles are configured.
        unsafe {
            asm!("tilezero tmm{tile}", tile = const T, options(nomem, nostack, preserves_flags))
        }
    }

    #[inline(always)]
    fn dot<const C: usize, const A: usize, const B: usize>(&mut self) {
        const { assert!(C != A && C != B && A != B, "an instruction wants three tiles") };
        // SAFETY: the tiles are configured, and three.
        unsafe {
            asm!("tdpbf16ps tmm{c}, tmm{a}, tmm{b}", c = const C, a = const A, b = const B,
                options(nomem, nostack, preserves_flags));
        }
    }

    #[inline(always)]
    fn store<const T: usize>(&mut self, out: &mut [f32], stride: usize) {
        assert!(out.len() >= 15 * stride + 16, "tile: rows are missing");
        // SAFETY: the tiles are configured; 16 rows of 64 bytes lie `stride` numbers apart.
        unsafe {
            asm!("tilestored [{to} + {bytes}*1], tmm{tile}",
                tile = const T, to = in(reg) out.as_mut_ptr(), bytes = in(reg) stride * size_of::<f32>(),
                options(nostack, preserves_flags));
        }
    }

    fn lay_out(&self, rows: [&[u16]; 16], panel: &mut [PanelLine]) {
        // SAFETY: the CPU has AVX-512F, as `configured` asks.
        unsafe { avx512_bf16::lay_out(rows, panel) }
    }
}

/// Whether this process may use the tiles and they compute what they should.
pub(in super::super) fn is_supported() -> bool {
    static SUPPORTED: OnceLock<bool> = OnceLock::new();
    *SUPPORTED.get_or_init(|| is_granted() && computes_as_baseline())
}

/// Whether CPU and kernel let this process use tiles and AVX-512F; asks the kernel.
fn is_granted() -> bool {
    /// XCR0: tile configuration and tile data are saved.
    const TILE_STATE: u64 = 0b11 << 17;
    /// CPUID 7, EDX: AMX-BF16 and AMX-TILE.
    const AMX: u32 = 1 << 22 | 1 << 24;

    if !is_x86_feature_detected!("avx512f") || !is_x86_feature_detected!("xsave") {
        return false;
    }
    // SAFETY: CPUs with AVX-512F have CPUID with leaf 7; leaf 0x1d is read as zeros where there is
    // none, or is that of the highest leaf, and then counts only if `AMX` is set.
    #[allow(unused_unsafe, reason = "newer compilers call these safe")]
    let (features, palette) = unsafe { (__cpuid_count(7, 0), __cpuid_count(0x1d, 1)) };
    // SAFETY: XSAVE is there and enabled, as just asked.
    let saved = unsafe { _xgetbv(0) };
    let rows_of_64_bytes = palette.ebx == (8 << 16 | 64) && palette.ecx & 0xffff == 16;
    features.edx & AMX == AMX
        && saved & TILE_STATE == TILE_STATE
        && rows_of_64_bytes
        && is_permitted_by_linux()
}

/// Asks Linux, once a process, to let it use tile data; kernels before 5.16 do not know the request.
fn is_permitted_by_linux() -> bool {
    const ARCH_PRCTL: isize = 158;
    const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
    const XFEATURE_XTILEDATA: usize = 18;
    let status: isize;
    // SAFETY: the call reads no memory and changes only which registers this process may use.
    unsafe {
        asm!("syscall", inlateout("rax") ARCH_PRCTL => status,
            in("rdi") ARCH_REQ_XCOMP_PERM, in("rsi") XFEATURE_XTILEDATA,
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    status == 0
}

/// Compares a product that has whole and cut blocks with the one of plain arithmetic.
pub(super) fn computes_as_baseline() -> bool {
    const INPUTS: usize = 77;
    const BATCH: usize = 45;
    const LATENTS: usize = 51;
    // Numbers of -1 to 1 in no simple pattern.
    let number = |i: usize| (i * i % 251) as f32 / 125.0 - 1.0;
    let x: Vec<f32> = (0..BATCH * INPUTS).map(number).collect();
    let product = |back_end| {
        let product = Bf16Product { back_end, inputs: INPUTS };
        let mut w = vec![0; LATENTS * product.row_len()];
        for (j, row) in w.chunks_exact_mut(product.row_len()).enumerate() {
            let weights: Vec<f32> = (0..INPUTS).map(|d| number(j * 89 + d * 3 + 7)).collect();
            product.pack_row(&weights, row);
        }
        let mut packed = Bf16Inputs::default();
        product.pack_inputs(x.chunks_exact(INPUTS), &mut packed);
        let mut out = vec![f32::NAN; BATCH * LATENTS];
        product.tile(&packed, 0..BATCH, &w, &mut out, LATENTS);
        out
    };
    // 77 terms of at most 1: the order of sums moves a result by far less, a wrong term by more.
    let near = |(a, b): (f32, f32)| (a - b).abs() < 1e-4;
    product(BackEnd::Amx).into_iter().zip(product(BackEnd::Baseline)).all(near)
}
