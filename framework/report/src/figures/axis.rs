//! Axes: the places of ticks and their labels.

/// Scale of an axis: how it turns values into places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Places proportional to values.
    Linear,
    /// Places proportional to logarithms. A value that is not above 0 has no place.
    Log,
}

/// An axis as requested, before its values are known.
#[derive(Clone, Debug)]
pub struct PlotAxis {
    /// Label: what the axis shows, with its unit. It may have a second line, in small letters: the name of the
    /// column in the results.
    pub label: String,
    /// Scale of the axis.
    pub scale: Scale,
}

impl PlotAxis {
    /// Makes a linear axis.
    pub fn linear(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Linear }
    }

    /// Makes a logarithmic axis.
    pub fn log(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Log }
    }

    /// Returns the place of a value; `None` if it has none.
    pub fn place(&self, value: f64) -> Option<f64> {
        let place = match self.scale {
            Scale::Linear => value,
            Scale::Log => value.log10(),
        };
        place.is_finite().then_some(place)
    }

    /// Fits the axis around these values.
    pub fn around(&self, values: impl Iterator<Item = f64>) -> Placed {
        let places = values.filter_map(|value| self.place(value));
        let ends = places.fold(None, |ends: Option<(f64, f64)>, place| {
            Some(ends.map_or((place, place), |(low, high)| (low.min(place), high.max(place))))
        });
        let (low, high) = ends.unwrap_or(match self.scale {
            Scale::Linear => (0.0, 1.0),
            Scale::Log => (-1.0, 0.0),
        });
        let margin = match high - low {
            // All values are equal, or differ by rounding alone.
            width if width <= 1e-9 * low.abs().max(high.abs()) => match self.scale {
                Scale::Linear => (0.1 * low.abs()).max(1e-6),
                Scale::Log => 0.1,
            },
            width => 0.05 * width,
        };
        let (low, high) = (low - margin, high + margin);
        let ticks = match self.scale {
            Scale::Linear => even(low, high).into_iter().map(|value| (value, value)).collect(),
            Scale::Log => logarithmic(low, high),
        };
        let step = ticks.windows(2).map(|pair| pair[1].1 - pair[0].1).fold(f64::INFINITY, f64::min);
        let ticks = ticks.into_iter().map(|(place, value)| (place, label(value, step))).collect();
        Placed { low, high, ticks }
    }
}

/// An axis that is fitted around some values.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// Place where the axis begins.
    pub low: f64,
    /// Place where the axis ends.
    pub high: f64,
    /// Places of the ticks with their labels.
    pub ticks: Vec<(f64, String)>,
}

/// Returns multiples of 1, 2 or 5 times a power of ten between two ends: three to seven of them, give or
/// take one.
fn even(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low) / 7.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let step = step.into_iter().find(|step| *step >= rough).unwrap_or(10.0 * power);
    let (first, last) = ((low / step).ceil(), (high / step).floor());
    // Adding 0 turns -0 into 0.
    (0..=(last - first).max(0.0) as usize).map(|at| (first + at as f64) * step + 0.0).collect()
}

/// Returns places and values of ticks: powers of ten, and values between them if the axis shows few powers.
fn logarithmic(low: f64, high: f64) -> Vec<(f64, f64)> {
    let decades = high - low;
    if decades < 0.7 {
        let values = even(10_f64.powf(low), 10_f64.powf(high)).into_iter();
        return values.filter(|value| *value > 0.0).map(|value| (value.log10(), value)).collect();
    }
    let factors: &[f64] = match decades {
        decades if decades < 1.5 => &[1.0, 2.0, 3.0, 5.0],
        decades if decades < 3.0 => &[1.0, 3.0],
        _ => &[1.0],
    };
    let every = (decades / 7.0).ceil().max(1.0) as i32;
    let powers = (low.floor() as i32..=high.ceil() as i32).filter(|power| power % every == 0);
    let values = powers.flat_map(|power| {
        factors
            .iter()
            .map(move |factor| (f64::from(power) + factor.log10(), factor * 10_f64.powi(power)))
    });
    values.filter(|(place, _)| (low..=high).contains(place)).collect()
}

/// Writes a value with as many digits as the distance to the next tick needs.
fn label(value: f64, step: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !(1e-4..1e6).contains(&value.abs()) {
        let text = format!("{value:.2e}");
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{power}", trimmed(digits));
    }
    let own = -value.abs().log10().floor();
    let finest = if step.is_finite() { -step.log10().floor() } else { own };
    let digits = finest.max(own).clamp(0.0, 12.0) as usize;
    trimmed(&format!("{value:.digits$}")).to_owned()
}

/// Removes zeros at the end of a decimal fraction.
fn trimmed(digits: &str) -> &str {
    match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.'),
        false => digits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(axis: &PlotAxis, values: &[f64]) -> Vec<String> {
        axis.around(values.iter().copied()).ticks.into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(said(&PlotAxis::linear(""), &[0.0, 10.0]), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(
            said(&PlotAxis::linear(""), &[-0.02, 0.03]),
            ["-0.02", "-0.01", "0", "0.01", "0.02", "0.03"]
        );
        assert_eq!(
            said(&PlotAxis::log(""), &[0.0001, 1.0]),
            ["0.0001", "0.001", "0.01", "0.1", "1"]
        );
        assert_eq!(said(&PlotAxis::log(""), &[4.0, 60.0]), ["5", "10", "20", "30", "50"]);
        assert_eq!(
            said(&PlotAxis::log(""), &[1e-9, 1e-7]),
            ["1e-9", "3e-9", "1e-8", "3e-8", "1e-7"]
        );
    }

    /// Wrong if an axis has no ticks, too many, or two with the same label.
    #[test]
    fn every_axis_has_a_few_different_ticks() {
        let cases: [&[f64]; 8] = [
            &[],
            &[0.0],
            &[5.0],
            &[1e-12, 1e12],
            &[1.0, 1.0000001],
            &[0.01, 0.013],
            &[3.0, 9.9],
            &[f64::NAN, 2.0],
        ];
        for values in cases {
            for axis in [PlotAxis::linear(""), PlotAxis::log("")] {
                let placed = axis.around(values.iter().copied());
                let mut labels: Vec<&String> =
                    placed.ticks.iter().map(|(_, label)| label).collect();
                let count = labels.len();
                labels.dedup();
                assert_eq!(labels.len(), count, "{values:?} {placed:?}");
                assert!((2..=11).contains(&count), "{values:?} {placed:?}");
                assert!(placed.ticks.iter().all(|(at, _)| (placed.low..=placed.high).contains(at)));
            }
        }
    }
}
