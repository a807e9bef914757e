//! Numbers of results as text: few digits, the same everywhere.

use tables::Values;

use crate::statistics::interval::Interval;

/// Returns a value of a column in few digits.
pub fn cell(values: &Values, row: usize) -> String {
    match values {
        Values::Number(values) => values.get(row).copied().flatten().map_or(String::new(), number),
        Values::Whole(values) => {
            values.get(row).copied().flatten().map_or(String::new(), |n| n.to_string())
        }
        Values::Flag(values) => {
            values.get(row).copied().flatten().map_or(String::new(), |n| n.to_string())
        }
        Values::Text(values) => values.get(row).cloned().flatten().unwrap_or_default(),
    }
}

/// Returns a column in few digits. A column of counts (whole numbers only) keeps all digits.
pub fn column(values: &Values) -> Vec<String> {
    let rows = 0..values.len();
    match values {
        Values::Number(numbers) if are_counts(numbers) => {
            let count = |value: &Option<f64>| value.map_or(String::new(), |n| format!("{n:.0}"));
            numbers.iter().map(count).collect()
        }
        _ => rows.map(|row| cell(values, row)).collect(),
    }
}

/// Largest number that is still a count: beyond it, f64 skips whole numbers.
const LARGEST_COUNT: f64 = 9_007_199_254_740_992.0;

/// Returns true if all values are whole numbers and not all are zero.
fn are_counts(values: &[Option<f64>]) -> bool {
    let mut known = values.iter().flatten();
    known.clone().any(|value| *value != 0.0)
        && known.all(|value| value.fract() == 0.0 && value.abs() < LARGEST_COUNT)
}

/// Writes a number with four significant digits; of one that was not measured, a dash.
pub fn number(value: f64) -> String {
    if value.is_nan() {
        return "–".to_owned();
    }
    let magnitude = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    match magnitude {
        -4..=5 => format!("{value:.*}", usize::try_from(3 - magnitude).unwrap_or(0)),
        _ => format!("{value:.3e}"),
    }
}

/// Writes a number with three significant digits, and 0 without decimals; of one that was not measured, a dash.
pub fn brief(value: f64) -> String {
    let rounded: f64 = format!("{value:.2e}").parse().unwrap_or(value);
    let digits = if rounded == 0.0 { 0 } else { 2 - rounded.abs().log10().floor() as i32 };
    match digits {
        _ if value.is_nan() => "–".to_owned(),
        -3..=6 => format!("{rounded:.*}", usize::try_from(digits).unwrap_or(0)),
        _ => format!("{value:.2e}"),
    }
}

/// Writes a share as a percentage: a whole number, unless it is below 1 % or above 99 % and neither 0 nor 1.
pub fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    match percent {
        _ if percent.is_nan() => "–".to_owned(),
        0.0 | 100.0 => format!("{percent} %"),
        1.0..=99.0 => format!("{percent:.0} %"),
        _ => format!("{percent:.1} %"),
    }
}

/// Writes a mean and half of its interval: the mean with as many decimals as the latter, but at most four
/// significant digits.
pub fn interval(interval: &Interval) -> String {
    let mean = number(interval.mean);
    match interval.half_width {
        // Of what was not measured, there is no interval.
        Some(half) if half.is_nan() => mean,
        Some(0.0) if interval.mean.fract() == 0.0 && interval.mean.abs() < LARGE => {
            format!("{:.0} ± 0", interval.mean)
        }
        Some(half) => {
            let half = two_digits(half);
            let decimals = |text: &str| text.split_once('.').map_or(0, |(_, rest)| rest.len());
            let is_plain = !half.contains('e') && !mean.contains('e') && half != "0";
            match is_plain && decimals(&half) < decimals(&mean) {
                true => format!("{:.*} ± {half}", decimals(&half), interval.mean),
                false => format!("{mean} ± {half}"),
            }
        }
        None => mean,
    }
}

/// Smallest number that is written with a power of ten: only its first digits carry meaning.
const LARGE: f64 = 1e6;

/// Writes a number with two significant digits.
fn two_digits(value: f64) -> String {
    let rounded: f64 = format!("{value:.1e}").parse().unwrap_or(value);
    let digits = if rounded == 0.0 { 0 } else { (1 - rounded.abs().log10().floor() as i32).max(0) };
    match digits {
        0..=6 if rounded.abs() < LARGE => format!("{rounded:.*}", digits as usize),
        _ => format!("{value:.1e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_significant_digits() {
        assert_eq!(number(0.012345678), "0.01235");
        assert_eq!(number(123.456), "123.5");
        assert_eq!(number(98765.4), "98765");
        assert_eq!(number(1.5e-9), "1.500e-9");
        assert_eq!(number(0.0), "0.000");
        assert_eq!(number(f64::NAN), "–");
    }

    #[test]
    fn intervals_have_two_digits() {
        let said = |half| {
            interval(&Interval { count: 2, mean: 0.0153, deviation: None, half_width: half })
        };
        assert_eq!(said(Some(0.00093)), "0.01530 ± 0.00093");
        assert_eq!((said(Some(0.0)), said(None)), ("0.01530 ± 0".into(), "0.01530".into()));
        assert_eq!(two_digits(12.3), "12");
        // L0, where the experiment does not measure it.
        let (mean, half_width) = (f64::NAN, Some(f64::NAN));
        assert_eq!(interval(&Interval { count: 2, mean, deviation: None, half_width }), "–");
    }

    /// Wrong if a mean had decimals that its interval does not reach, or lost those that it does.
    #[test]
    fn a_mean_has_the_decimals_of_its_interval() {
        let said = |mean, half| {
            let half_width = Some(half);
            interval(&Interval { count: 3, mean, deviation: None, half_width })
        };
        assert_eq!(said(1.4883, 0.2129), "1.49 ± 0.21");
        assert_eq!(said(5.009, 1.1), "5.0 ± 1.1");
        assert_eq!(said(29.45, 27.0), "29 ± 27");
        assert_eq!(said(0.054_998, 0.035), "0.055 ± 0.035");
        assert_eq!(said(10.0, 0.0), "10 ± 0");
        assert_eq!(said(10.5, 0.0), "10.50 ± 0");
        assert_eq!(said(0.5, 1e-9), "0.5000 ± 1.0e-9");
        assert_eq!(said(1.5e-9, 2.0e-10), "1.500e-9 ± 2.0e-10");
    }

    #[test]
    fn brief_numbers_have_three_digits_and_shares_are_percentages() {
        let said = [0.0, 0.022_04, 0.93, 128.4, 1.5e-9, 999.7, 12_345.0, -0.5, f64::NAN].map(brief);
        let right = ["0", "0.0220", "0.930", "128", "1.50e-9", "1000", "12300", "-0.500", "–"];
        assert_eq!(said, right);
        let said = [0.0, 0.0042, 0.404, 0.998, 1.0, f64::NAN].map(percent);
        assert_eq!(said, ["0 %", "0.4 %", "40 %", "99.8 %", "100 %", "–"]);
    }

    /// Wrong if digits without meaning are written, as all 42 of them once were.
    #[test]
    fn large_numbers_have_a_power_of_ten() {
        let huge = Interval { count: 2, mean: 1.5e40, deviation: None, half_width: Some(1.9e41) };
        assert_eq!(interval(&huge), "1.500e40 ± 1.9e41");
        assert_eq!((two_digits(99_499.0), two_digits(999_999.0)), ("99000".into(), "1.0e6".into()));
        for power in -300..=300 {
            let value = 1.23456 * 10_f64.powi(power);
            assert!(number(value).len() <= 10 && two_digits(value).len() <= 10, "{value:e}");
        }
    }

    /// Wrong if a count of trainings is shown as `11.00`, or a mean without its digits.
    #[test]
    fn counts_have_no_decimals() {
        let said = |values: &[f64]| {
            column(&Values::Number(values.iter().map(|value| Some(*value)).collect()))
        };
        assert_eq!(said(&[11.0, 3.0, 1437.0]), ["11", "3", "1437"]);
        assert_eq!(said(&[11.0, 3.5]), ["11.00", "3.500"]);
        assert_eq!(said(&[0.0, 0.0]), ["0.000", "0.000"]);
        assert_eq!(said(&[1.9e41]), ["1.900e41"]);
        assert_eq!(column(&Values::Number(vec![None, Some(2.0)])), ["", "2"]);
    }
}
