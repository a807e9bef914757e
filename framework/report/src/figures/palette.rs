//! Colours and shapes. The colours are those of Okabe and Ito, which colour-blind readers can tell apart.
//! Each series also has its own shape and dash, for prints in grey.

/// Colours of series: blue, vermilion, green, purple, orange, sky blue, grey. They are those of Okabe and
/// Ito, without the yellow, which is hard to see on white.
pub const COLORS: [&str; 7] =
    ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#808080"];

/// Returns the colour of the series at a position.
pub fn color(at: usize) -> &'static str {
    COLORS[at % COLORS.len()]
}

/// Returns the dashes of a series' line. Lines are solid until every colour is used once.
pub fn dashes(at: usize) -> &'static str {
    ["", "12 6", "4 6", "16 5 4 5"][at / COLORS.len() % 4]
}

/// Returns the path of a series' mark around a point; `size` is half its width.
pub fn shape(at: usize, x: f64, y: f64, size: f64) -> String {
    // The number of shapes shares no divisor with the number of colours, so the two never repeat together.
    let corners: &[(f64, f64)] = match at % 6 {
        0 => {
            let left = x - size;
            return format!(
                "M{left:.1} {y:.1}a{size} {size} 0 1 0 {d} 0a{size} {size} 0 1 0 -{d} 0z",
                d = 2.0 * size
            );
        }
        1 => &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        2 => &[(0.0, -1.15), (1.1, 0.85), (-1.1, 0.85)],
        3 => &[(0.0, -1.3), (1.1, 0.0), (0.0, 1.3), (-1.1, 0.0)],
        4 => &[(0.0, 1.15), (1.1, -0.85), (-1.1, -0.85)],
        _ => &[
            (-0.4, -1.2),
            (0.4, -1.2),
            (0.4, -0.4),
            (1.2, -0.4),
            (1.2, 0.4),
            (0.4, 0.4),
            (0.4, 1.2),
            (-0.4, 1.2),
            (-0.4, 0.4),
            (-1.2, 0.4),
            (-1.2, -0.4),
            (-0.4, -0.4),
        ],
    };
    let corner = |(dx, dy): &(f64, f64)| format!("{:.1} {:.1}", x + dx * size, y + dy * size);
    format!("M{}z", corners.iter().map(corner).collect::<Vec<_>>().join("L"))
}

/// Returns a colour of the scale from low (0) to high (1). It is viridis, which grows steadily in
/// lightness, so readers who see no hues can read it.
pub fn scale(share: f64) -> [u8; 3] {
    /// Colours of the scale at even distances.
    const STOPS: [[f64; 3]; 6] = [
        [68.0, 1.0, 84.0],
        [65.0, 68.0, 135.0],
        [42.0, 120.0, 142.0],
        [34.0, 168.0, 132.0],
        [122.0, 209.0, 81.0],
        [253.0, 231.0, 37.0],
    ];
    let at = share.clamp(0.0, 1.0) * (STOPS.len() - 1) as f64;
    let low = (at as usize).min(STOPS.len() - 2);
    let part = at - low as f64;
    std::array::from_fn(|c| {
        (STOPS[low][c] + part * (STOPS[low + 1][c] - STOPS[low][c])).round() as u8
    })
}

/// Returns black or white, whichever has more contrast on this colour.
pub fn ink_on(color: [u8; 3]) -> &'static str {
    if luminance(color) > 0.179 { "#000000" } else { "#ffffff" }
}

/// Returns the relative luminance of an sRGB colour by WCAG 2: 0 for black, 1 for white.
fn luminance(color: [u8; 3]) -> f64 {
    let [r, g, b] = color.map(|part| match f64::from(part) / 255.0 {
        part if part <= 0.04045 => part / 12.92,
        part => ((part + 0.055) / 1.055).powf(2.4),
    });
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if a number of a heat map is hard to read on its colour: WCAG 2 asks for a contrast of 4.5.
    #[test]
    fn words_have_contrast_on_every_colour_of_the_scale() {
        for at in 0..=1000 {
            let color = scale(f64::from(at) / 1000.0);
            let ground = luminance(color) + 0.05;
            let contrast = if ink_on(color) == "#000000" { ground / 0.05 } else { 1.05 / ground };
            assert!(contrast >= 4.5, "{color:?}: {contrast}");
        }
    }

    /// Wrong if a mark is hard to see on white or on the dark page.
    #[test]
    fn marks_have_contrast_on_both_pages() {
        for color in COLORS {
            let part = |at: usize| u8::from_str_radix(&color[at..at + 2], 16).unwrap();
            let own = luminance([part(1), part(3), part(5)]) + 0.05;
            let (white, dark) = (1.05 / own, own / (luminance([0x15, 0x17, 0x1a]) + 0.05));
            assert!(white > 2.0 && dark > 3.0, "{color}: {white} on white, {dark} in the dark");
        }
    }

    /// Wrong if two of the first 28 series look the same.
    #[test]
    fn series_differ_in_colour_or_shape_and_in_colour_or_dashes() {
        let marks: Vec<_> = (0..28).map(|at| (color(at), shape(at, 0.0, 0.0, 5.0))).collect();
        let lines: Vec<_> = (0..28).map(|at| (color(at), dashes(at))).collect();
        for at in 0..28 {
            assert!(!marks[..at].contains(&marks[at]) && !lines[..at].contains(&lines[at]), "{at}");
        }
    }

    #[test]
    fn the_scale_runs_from_dark_to_light() {
        assert_eq!((scale(-1.0), scale(1.0)), ([68, 1, 84], [253, 231, 37]));
        let light = |share: f64| scale(share).iter().map(|c| f64::from(*c)).sum::<f64>();
        assert!((1..=10).all(|at| light(f64::from(at) / 10.0) > light(f64::from(at - 1) / 10.0)));
    }
}
