//! Conversion of SVG to PNG. The font is part of the program, so every machine draws the same.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

/// Pixels for each unit of a figure: 1,800 across, which is 6 inches at 300 dots.
const SCALE: f32 = 2.0;

/// Fonts to draw words with.
static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(epaint_default_fonts::UBUNTU_LIGHT.to_vec());
    let family =
        fonts.faces().next().and_then(|face| face.families.first()).map(|(name, _)| name.clone());
    fonts.set_sans_serif_family(family.unwrap_or_default());
    Arc::new(fonts)
});

/// Draws an SVG as the bytes of a PNG file.
///
/// # Errors
/// If the text is no SVG, or has no size.
pub fn png(svg: &str) -> Result<Vec<u8>, String> {
    let failed = |what: &dyn std::fmt::Display| format!("a figure cannot be made a PNG: {what}");
    let options = Options { fontdb: FONTS.clone(), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(|error| failed(&error))?;
    let size =
        tree.size().to_int_size().scale_by(SCALE).ok_or_else(|| failed(&"it has no size"))?;
    let mut pixels =
        Pixmap::new(size.width(), size.height()).ok_or_else(|| failed(&"it has no size"))?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if the font is not found: words would be missing without notice.
    #[test]
    fn words_are_drawn() {
        let svg = |word: &str| {
            format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"60\" height=\"30\" font-family=\"sans-serif\"><text y=\"20\">{word}</text></svg>"
            )
        };
        let (some, none) = (png(&svg("L0 ±")).unwrap(), png(&svg("")).unwrap());
        assert_eq!(&some[1..4], b"PNG");
        assert!(some.len() > none.len() + 100);
        assert!(png("no figure").is_err());
    }
}
