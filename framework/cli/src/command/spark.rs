//! Draws curves as one line of text.

/// Characters from the least value to the greatest.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The same for text that is not UTF-8.
const ASCII: [char; 8] = ['_', '.', '-', '~', '=', '+', '*', '#'];

/// Largest number of characters in a line.
const WIDTH: usize = 32;

/// Ratio of the greatest to the least value from which the scale is logarithmic.
pub const LOGARITHMIC: f64 = 10.0;

/// Draws finite values as a line, on a scale from their least to their greatest value. If there are too many
/// values, takes evenly spaced ones, with the first and the last.
pub fn line(values: &[f64]) -> String {
    drawn(values, if is_utf8(|name| std::env::var(name).ok()) { &BLOCKS } else { &ASCII })
}

fn drawn(values: &[f64], levels: &[char; 8]) -> String {
    let count = values.len().min(WIDTH);
    let at = |n: usize| if count < 2 { n } else { n * (values.len() - 1) / (count - 1) };
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let is_logarithmic = least > 0.0 && greatest >= LOGARITHMIC * least;
    let scale = |value: f64| if is_logarithmic { value.ln() } else { value };
    let (low, high) = (scale(least), scale(greatest));
    let level = |value: f64| match high - low {
        range if range > 0.0 => ((scale(value) - low) / range * 7.0).round() as usize,
        _ => 0,
    };
    (0..count).map(|n| levels[level(values[at(n)]).min(7)]).collect()
}

/// Returns whether the locale says that text is UTF-8; without a locale, as in most containers, it is.
fn is_utf8(variable: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
    locale.is_none_or(|locale| {
        let locale = locale.to_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_value_is_lowest_and_the_greatest_highest() {
        assert_eq!(drawn(&[8.0, 1.0, 4.0], &BLOCKS), "█▁▄");
        assert_eq!(drawn(&[8.0, 1.0, 4.0], &ASCII), "#_~");
        assert_eq!(drawn(&[1000.0, 10.0, 1.0], &BLOCKS), "█▃▁", "a logarithmic scale");
        assert_eq!(drawn(&[0.0, 100.0], &BLOCKS), "▁█", "0 has no logarithm");
        assert_eq!(drawn(&[2.0, 2.0], &BLOCKS), "▁▁");
        assert_eq!(drawn(&[2.0], &BLOCKS), "▁");
        assert_eq!(drawn(&[], &BLOCKS), "");
    }

    #[test]
    fn a_long_curve_has_its_ends_in_the_line() {
        let values: Vec<f64> = (0..1000).map(f64::from).collect();
        let line: Vec<char> = drawn(&values, &BLOCKS).chars().collect();
        assert_eq!((line.len(), line[0], line[WIDTH - 1]), (WIDTH, '▁', '█'));
    }

    #[test]
    fn the_locale_says_what_can_be_shown() {
        let of = |name: &'static str, value: &'static str| {
            is_utf8(move |asked| (asked == name).then(|| value.to_owned()))
        };
        assert!(of("LANG", "de_DE.UTF-8") && of("LC_ALL", "C.utf8") && of("LANG", ""));
        assert!(!of("LC_ALL", "C") && !of("LANG", "de_DE.ISO-8859-1"));
    }
}
