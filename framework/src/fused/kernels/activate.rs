//! The encoder's activation, its derivative, and the decoder's: plain loops over rows, which the
//! compiler turns into vectors of whatever instruction set calls them.

use crate::plugin::Activation;

/// row ← activation(row + bias).
#[inline(always)]
pub fn activate(activation: Activation, bias: &[f32], row: &mut [f32]) {
    let biased = row.iter_mut().zip(bias);
    match activation {
        Activation::Identity => biased.for_each(|(value, bias)| *value += bias),
        // NaN stays NaN, so that a run that diverged is seen to.
        Activation::Relu => biased.for_each(|(value, bias)| {
            let pre_code = *value + bias;
            *value = if pre_code <= 0.0 { 0.0 } else { pre_code };
        }),
        Activation::Sigmoid => biased.for_each(|(value, bias)| *value = sigmoid(*value + bias)),
        Activation::Tanh => biased.for_each(|(value, bias)| *value = tanh(*value + bias)),
    }
}

/// row ← activation(row).
#[inline(always)]
pub fn activate_in_place(activation: Activation, row: &mut [f32]) {
    let values = row.iter_mut();
    match activation {
        Activation::Identity => {}
        Activation::Relu => {
            values.for_each(|value| *value = if *value <= 0.0 { 0.0 } else { *value })
        }
        Activation::Sigmoid => values.for_each(|value| *value = sigmoid(*value)),
        Activation::Tanh => values.for_each(|value| *value = tanh(*value)),
    }
}

/// The derivative of the activation where it is `code`; 0 at relu's kink.
#[inline(always)]
pub fn slope(activation: Activation, code: f32) -> f32 {
    match activation {
        Activation::Identity => 1.0,
        Activation::Relu => f32::from(code > 0.0),
        Activation::Sigmoid => code * (1.0 - code),
        Activation::Tanh => 1.0 - code * code,
    }
}

/// gradient ← (gradient + more) · slope(code), over a row.
#[inline(always)]
pub fn through(activation: Activation, code: &[f32], more: &[f32], gradient: &mut [f32]) {
    let all = gradient.iter_mut().zip(code).zip(more);
    match activation {
        Activation::Identity => all.for_each(|((g, _), more)| *g += more),
        Activation::Relu => {
            all.for_each(|((g, code), more)| *g = if *code > 0.0 { *g + more } else { 0.0 });
        }
        Activation::Sigmoid | Activation::Tanh => {
            all.for_each(|((g, code), more)| *g = (*g + more) * slope(activation, *code));
        }
    }
}

/// gradient ← gradient · slope(code), over a row.
#[inline(always)]
pub fn differentiate(activation: Activation, code: &[f32], gradient: &mut [f32]) {
    let all = gradient.iter_mut().zip(code);
    match activation {
        Activation::Identity => {}
        Activation::Relu => all.for_each(|(g, code)| *g = if *code > 0.0 { *g } else { 0.0 }),
        Activation::Sigmoid | Activation::Tanh => {
            all.for_each(|(g, code)| *g *= slope(activation, *code));
        }
    }
}

/// 1 / (1 + e⁻ˣ).
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// tanh x: its series near 0, where 1 − 2 / (1 + e²ˣ) would cancel.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let square = x * x;
    let series = x
        * (1.0
            + square
                * (-1.0 / 3.0
                    + square * (2.0 / 15.0 + square * (-17.0 / 315.0 + square * (62.0 / 2835.0)))));
    let far = 1.0 - 2.0 / (1.0 + exp(2.0 * x));
    if x.abs() < 0.3 { series } else { far }
}

/// eˣ to about one unit in the last place; below −87.3 it is the least normal number, above 88.3
/// infinity. NaN stays NaN.
///
/// x = n ln 2 + r with |r| ≤ ln 2 / 2, and eʳ by its Taylor series to r⁷ (remainder below 1e-8).
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    // ln 2 in two parts, the first with few bits, so that n · LN2_HIGH is exact (Cody and Waite).
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Adding and subtracting 1.5 · 2²³ rounds to a whole number, which the low bits then hold.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.3, 88.3);
    let shifted = clamped * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (clamped - n * LN2_HIGH) - n * LN2_LOW;
    let series = 1.0
        + r * (1.0
            + r * (1.0 / 2.0
                + r * (1.0 / 6.0
                    + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0 + r / 5040.0))))));
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    let value = series * f32::from_bits(exponent);
    if x > 88.3 { f32::INFINITY } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_sigmoid_and_tanh_are_right_to_a_few_units_in_the_last_place() {
        let mut worst = [0.0_f64; 3];
        for at in -8_700..=8_700 {
            let x = at as f32 * 0.01 + 1e-4;
            let wide = f64::from(x);
            let pairs = [
                (exp(x), wide.exp()),
                (sigmoid(x), 1.0 / (1.0 + (-wide).exp())),
                (tanh(x), wide.tanh()),
            ];
            for (worst, (got, right)) in worst.iter_mut().zip(pairs) {
                *worst = worst.max(((f64::from(got) - right) / right).abs());
            }
        }
        assert!(worst.iter().all(|worst| *worst < 4e-7), "{worst:?}");
        for tiny in [1e-30_f32, -1e-8, 0.0] {
            assert_eq!(tanh(tiny), tiny);
        }
    }

    #[test]
    fn extremes_saturate_and_nan_stays() {
        assert_eq!((sigmoid(-1000.0), sigmoid(1000.0)), (1.0 / f32::INFINITY, 1.0));
        assert_eq!((tanh(-1000.0), tanh(1000.0)), (-1.0, 1.0));
        for activation in [Activation::Relu, Activation::Sigmoid, Activation::Tanh] {
            let mut row = [f32::NAN, f32::NEG_INFINITY];
            activate(activation, &[0.0, 0.0], &mut row);
            assert!(row[0].is_nan() && !row[1].is_nan(), "{activation:?}: {row:?}");
        }
    }
}
