//! f32 to bf16, to nearest with ties to even, the same bits on every CPU.
//!
//! `vcvtneps2bf16` is not used: it takes denormals as zeros.

/// Rounds `values` into as many bf16 numbers. NaN becomes a quiet NaN of the same sign.
pub(super) fn round(values: &[f32], out: &mut [u16]) {
    assert_eq!(values.len(), out.len(), "bf16 rounding: lengths differ");
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
            // SAFETY: the CPU has both, as just asked.
            return unsafe { round_avx512(values, out) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the CPU has AVX2, as just asked.
            return unsafe { round_avx2(values, out) };
        }
    }
    round_source(values, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw")]
fn round_avx512(values: &[f32], out: &mut [u16]) {
    round_source(values, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn round_avx2(values: &[f32], out: &mut [u16]) {
    round_source(values, out);
}

#[inline(always)]
fn round_source(values: &[f32], out: &mut [u16]) {
    for (out, value) in out.iter_mut().zip(values) {
        *out = bf16(*value);
    }
}

/// The bf16 nearest to `value`.
#[inline(always)]
pub(super) fn bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    // Rounding up could carry a NaN into infinity, cutting could clear all of its fraction.
    let quiet = bits >> 16 | 0x40;
    (if value.is_nan() { quiet } else { rounded }) as u16
}

/// The f32 that a bf16 stands for.
#[inline(always)]
pub(super) fn widen(bf16: u16) -> f32 {
    f32::from_bits(u32::from(bf16) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The slow twin: the nearer of the two neighbours, by distance in f64.
    fn nearest(value: f32) -> u16 {
        let down = (value.to_bits() >> 16) as u16;
        let up = down + 1;
        // Beyond the largest bf16 the next step would be 2^128, which rounding takes as infinity.
        let step = |b: u16| match f64::from(widen(b)) {
            infinite if infinite.is_infinite() => infinite.signum() * 2f64.powi(128),
            finite => finite,
        };
        let (below, above) =
            ((f64::from(value) - step(down)).abs(), (step(up) - f64::from(value)).abs());
        if below < above || (below == above && down.is_multiple_of(2)) { down } else { up }
    }

    #[test]
    fn rounding_goes_to_the_nearest_and_ties_to_even() {
        let lower = [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff, 0x1234, 0xabcd];
        for upper in 0..=u16::MAX {
            let values = lower.map(|l| f32::from_bits(u32::from(upper) << 16 | l));
            let mut out = [0; 8];
            round(&values, &mut out);
            for (value, out) in values.into_iter().zip(out) {
                assert_eq!(out, bf16(value), "{value:e}: the variants differ");
                if value.is_nan() {
                    assert!(widen(out).is_nan(), "{value}");
                    assert_eq!(widen(out).is_sign_negative(), value.is_sign_negative());
                } else if value.is_infinite() {
                    assert_eq!(widen(out), value);
                } else {
                    assert_eq!(out, nearest(value), "{value:e}");
                }
            }
        }
    }

    #[test]
    fn long_rows_round_as_single_numbers_do() {
        let values: Vec<f32> = (0..203).map(|i| (i as f32 - 99.0) * 0.37).collect();
        for length in 0..values.len() {
            let mut out = vec![0; length];
            round(&values[..length], &mut out);
            for (value, out) in values.iter().zip(out) {
                assert_eq!(out, bf16(*value));
            }
        }
    }
}
