//! Which back-ends this machine can run.

use crate::cpu;

/// What computes the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackEnd {
    /// Tile instructions (`tdpbf16ps`), on Linux.
    Amx,
    /// `vdpbf16ps` on 512-bit registers.
    Avx512Bf16,
    /// f32 arithmetic on 512-bit registers.
    Avx512,
    /// f32 arithmetic on 256-bit registers.
    Avx2,
    /// f32 arithmetic in what the build's target allows.
    Baseline,
}

impl BackEnd {
    /// All, the fastest first.
    pub const ALL: [Self; 5] =
        [Self::Amx, Self::Avx512Bf16, Self::Avx512, Self::Avx2, Self::Baseline];

    /// The fastest that this machine can run and [`cpu`] allows.
    pub fn best() -> Self {
        let mut all = Self::ALL.into_iter();
        all.find(Self::is_supported).unwrap_or(Self::Baseline)
    }

    /// A short name, for tables of results.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Amx => "amx-bf16",
            Self::Avx512Bf16 => "avx512-bf16",
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Baseline => "baseline",
        }
    }

    /// Whether this machine can run it, and may. The first question about `Amx` asks the kernel to let this
    /// process use the tiles, and checks a small product.
    pub fn is_supported(&self) -> bool {
        match self {
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Amx => cpu::allows_avx512() && super::amx::is_supported(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 => {
                Self::Avx512.is_supported() && is_x86_feature_detected!("avx512bf16")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => cpu::allows_avx512() && is_x86_feature_detected!("avx512f"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            Self::Baseline => true,
            #[allow(unreachable_patterns, reason = "other targets have no other back-end")]
            _ => false,
        }
    }

    /// Whether it computes on numbers widened to f32.
    pub(super) fn is_portable(&self) -> bool {
        !matches!(self, Self::Amx | Self::Avx512Bf16)
    }
}
