//! One latent in full, as text: its tile, top samples, histogram of values, classes and nearest latents.

use analysis::words;
use analysis::{Features, Latent, LatentProfile};
use framework::plugin::{Data, SampleShape, Split};

use super::{name_of, nearest_words, top_words};

/// Number of nearest latents shown of a latent in full.
pub const NEAREST: usize = 10;

/// Greatest number of characters of a bar.
const BAR: f64 = 40.0;

/// Greatest number of rows and columns of a tile in characters; larger tiles are drawn smaller.
const SIDE: usize = 32;

/// Shades of numbers above 0 and below 0, the weakest first.
const ABOVE: [char; 4] = ['░', '▒', '▓', '█'];
const BELOW: [char; 4] = ['.', '-', '=', '#'];

/// Writes all there is to know about a latent. It was measured in full.
pub fn text(features: &Features, at: usize, profile: &LatentProfile, data: &dyn Data) -> String {
    let latent = &features.latents[at];
    let mut text = format!("\nlatent {at}\n  {}\n", numbers(features, latent));
    let preferred =
        || features.preferred.get(&at).map(|input| (&**input, "input that activates it most"));
    let shown = features.row(at).map(|row| (row, "decoder row")).or_else(preferred);
    if let (Some((numbers, what)), SampleShape::Image { channels, height, width }) =
        (shown, data.shape())
    {
        text.push_str(&format!("  {what}: ░▒▓█ above 0, .-=# below 0, by size\n"));
        for line in tile(numbers, (channels, height, width)) {
            text.push_str(&format!("    {line}\n"));
        }
    }
    let top = top_words(latent, data);
    if !top.is_empty() {
        let what = if data.labels(Split::Test).is_some() { ", class" } else { "" };
        text.push_str(&format!(
            "  top samples (row of the test part, from 0{what}): {}\n",
            top.join(", ")
        ));
    }
    text.push_str(&spread(features.samples, profile));
    text.push_str(&classes(profile, data));
    let nearest = nearest_words(features, at, NEAREST);
    if !nearest.is_empty() {
        text.push_str(&format!("  nearest latents (cosine): {}\n", nearest.join(", ")));
    }
    text
}

fn numbers(features: &Features, latent: &Latent) -> String {
    let rule = features.l0_rule;
    let active = match latent.firing_rate {
        0.0 => format!("{} on the test samples", rule.never_active()),
        rate => format!("active ({}) on {:.1} % of the test samples", rule.words(), 100.0 * rate),
    };
    let norm = latent.decoder_norm.map(|norm| format!(", decoder norm {}", words::number(norm)));
    format!(
        "{active}; mean {}, greatest {}{}",
        words::number(latent.mean_activation),
        words::number(latent.max_activation),
        norm.unwrap_or_default()
    )
}

/// Writes how the values of a latent are spread: exact zeros, and the others as a histogram.
fn spread(samples: usize, profile: &LatentProfile) -> String {
    let share = 100.0 * profile.zeros as f64 / samples.max(1) as f64;
    let mut text = format!(
        "  values on the test samples: exactly 0 on {} of {samples} ({share:.1} %)\n",
        profile.zeros
    );
    let most = profile.histogram.iter().map(|bin| bin.samples).max().unwrap_or(0);
    let ends = profile.histogram.iter().map(|bin| [bin.from, bin.to].map(short));
    let ends: Vec<[String; 2]> = ends.collect();
    let wide = ends.iter().flatten().map(String::len).max().unwrap_or(0);
    for (bin, [from, to]) in profile.histogram.iter().zip(&ends) {
        let bar = bar(bin.samples as f64, most as f64);
        let line = format!("    {from:>wide$} to {to:>wide$}  {:>6}  {bar}", bin.samples);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Writes the end of a range, a round number, with the digits that it has.
fn short(end: f64) -> String {
    let digits = format!("{end:.6e}");
    let end: f64 = digits.parse().unwrap_or(end);
    match end.abs() {
        size if size > 0.0 && !(1e-3..1e6).contains(&size) => format!("{end:e}"),
        _ => end.to_string(),
    }
}

/// Writes the mean of a latent on each class.
fn classes(profile: &LatentProfile, data: &dyn Data) -> String {
    if profile.classes.is_empty() {
        return String::new();
    }
    let mut text = "  mean and share of samples on which it is active, by class\n".to_owned();
    let names: Vec<String> = profile.classes.iter().map(|one| name_of(one.class, data)).collect();
    let wide = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let most = profile.classes.iter().map(|one| one.mean_activation.abs()).fold(0.0, f64::max);
    for (class, name) in profile.classes.iter().zip(&names) {
        let mean = words::number(class.mean_activation);
        let active = 100.0 * class.firing_rate;
        let bar = bar(class.mean_activation.abs(), most);
        let line = format!("    {name:wide$}  {mean:>9}  {active:>5.1} %  {bar}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Draws a bar whose length says which share `value` is of `most`; anything above 0 is seen.
fn bar(value: f64, most: f64) -> String {
    if value.is_nan() || value <= 0.0 || most <= 0.0 {
        return String::new();
    }
    "█".repeat(((value / most * BAR).round() as usize).max(1))
}

/// Draws a tile with two characters a number: the mean of the channels, and of neighbours if it is large. `sides`
/// are channels, height and width.
fn tile(row: &[f32], (channels, height, width): (usize, usize, usize)) -> Vec<String> {
    let (down, across) = (height.min(SIDE), width.min(SIDE));
    let area = height * width;
    let range = |at: usize, all: usize, cells: usize| at * all / cells..(at + 1) * all / cells;
    let mean = |y: usize, x: usize| {
        let (ys, xs) = (range(y, height, down), range(x, width, across));
        let count = (channels * ys.len() * xs.len()).max(1) as f32;
        let pixels = ys.flat_map(|y| xs.clone().map(move |x| y * width + x));
        let values = pixels.flat_map(|pixel| (0..channels).map(move |of| row[of * area + pixel]));
        values.sum::<f32>() / count
    };
    let cells: Vec<Vec<f32>> =
        (0..down).map(|y| (0..across).map(|x| mean(y, x)).collect()).collect();
    let most = cells.iter().flatten().fold(0.0_f32, |most, cell| most.max(cell.abs()));
    let shade = |cell: &f32| {
        // Five shades, the weakest of which is blank. A share of NaN is blank too.
        let shade = (cell.abs() / most * 5.0) as usize;
        let shades = if *cell > 0.0 { ABOVE } else { BELOW };
        let shade = shade.checked_sub(1).map_or(' ', |shade| shades[shade.min(3)]);
        String::from_iter([shade; 2])
    };
    let line = |cells: &Vec<f32>| cells.iter().map(shade).collect::<String>().trim_end().to_owned();
    cells.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if signs looked alike, rows were columns, or a large tile had no end.
    #[test]
    fn tiles_are_drawn_in_characters() {
        assert_eq!(tile(&[1.0, 0.0, -1.0, 0.5], (1, 2, 2)), ["██", "##▒▒"]);
        assert_eq!(tile(&[0.0; 4], (1, 2, 2)), [""; 2]);
        assert_eq!(tile(&[f32::NAN; 4], (1, 2, 2)), [""; 2]);
        // The mean of two channels.
        assert_eq!(tile(&[1.0, 1.0, 1.0, -1.0], (2, 1, 2)), ["██"]);
        let large = tile(&[1.0; 100 * 65], (1, 100, 65));
        assert_eq!(large.len(), SIDE);
        assert!(large.iter().all(|line| line.chars().count() == 2 * SIDE));
    }

    #[test]
    fn ends_of_ranges_have_the_digits_that_they_have() {
        let ends = [0.15000000000000002, 0.0, -0.3, 2e-5, 4e7].map(short);
        assert_eq!(ends, ["0.15", "0", "-0.3", "2e-5", "4e7"]);
    }

    #[test]
    fn bars_of_anything_are_seen() {
        assert_eq!(bar(1e-9, 1.0), "█");
        assert_eq!(bar(3.0, 3.0).chars().count(), 40);
        assert_eq!((bar(0.0, 1.0), bar(0.0, 0.0), bar(f64::NAN, 1.0)), Default::default());
    }
}
