//! Pictures of numbers: tiles side by side, as a PNG that the page holds.

use std::io::Cursor;

/// Tiles of one size.
#[derive(Clone, Debug)]
pub struct Picture {
    /// What it shows.
    pub caption: String,
    /// 1 for grey, 3 for colour.
    pub channels: usize,
    /// Rows of a tile.
    pub height: usize,
    /// Columns of a tile.
    pub width: usize,
    /// How many tiles stand side by side.
    pub across: usize,
    /// The tiles, each channel by channel, row by row, from 0 (black) to 1 (white).
    pub tiles: Vec<Vec<f32>>,
}

impl Picture {
    /// As the bytes of a PNG file: a pixel a number, with a line of one pixel between tiles.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn png(&self) -> Result<Vec<u8>, String> {
        let (across, down) =
            (self.across.max(1), self.tiles.len().div_ceil(self.across.max(1)).max(1));
        let (width, height) = (across * (self.width + 1) + 1, down * (self.height + 1) + 1);
        let mut pixels = vec![128_u8; width * height * 3];
        for (at, tile) in self.tiles.iter().enumerate() {
            let (left, top) =
                (1 + at % across * (self.width + 1), 1 + at / across * (self.height + 1));
            for y in 0..self.height {
                for x in 0..self.width {
                    for c in 0..3 {
                        let channel = c.min(self.channels.saturating_sub(1));
                        let value = tile
                            .get((channel * self.height + y) * self.width + x)
                            .copied()
                            .unwrap_or(0.0);
                        // What is no number is black.
                        pixels[((top + y) * width + left + x) * 3 + c] =
                            (value.clamp(0.0, 1.0) * 255.0).round() as u8;
                    }
                }
            }
        }
        let mut bytes = Vec::new();
        let failed = |error: png::EncodingError| format!("a picture cannot be made: {error}");
        let mut encoder = png::Encoder::new(Cursor::new(&mut bytes), width as u32, height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_compression(png::Compression::High);
        encoder
            .write_header()
            .and_then(|mut writer| writer.write_image_data(&pixels))
            .map_err(failed)?;
        Ok(bytes)
    }
}

/// Numbers around 0 as a tile: 0 is grey, the largest in magnitude black or white.
pub fn around_zero(values: &[f32]) -> Vec<f32> {
    let most = values.iter().map(|value| value.abs()).fold(0.0, f32::max);
    values.iter().map(|value| if most > 0.0 { 0.5 + 0.5 * value / most } else { 0.5 }).collect()
}

/// Numbers between two ends as a tile.
pub fn between(values: &[f32], low: f32, high: f32) -> Vec<f32> {
    let width = if high > low { high - low } else { 1.0 };
    values.iter().map(|value| (value - low) / width).collect()
}

/// Bytes in base 64.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let number = (0..3)
            .fold(0_u32, |number, at| number << 8 | u32::from(three.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            let digit = DIGITS[(number >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_64_is_that_of_rfc_4648() {
        let known =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        known.iter().for_each(|(bytes, text)| assert_eq!(base64(bytes.as_bytes()), *text));
    }

    /// Wrong if tiles were transposed, or lay over each other.
    #[test]
    fn tiles_stand_beside_each_other() {
        let tile = |value: f32| vec![value, 0.0];
        let picture = Picture {
            caption: String::new(),
            channels: 1,
            height: 1,
            width: 2,
            across: 2,
            tiles: vec![tile(1.0), tile(0.2), tile(f32::NAN)],
        };
        let bytes = picture.png().unwrap();
        let mut reader = png::Decoder::new(Cursor::new(&bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        let grey: Vec<u8> = pixels.chunks(3).map(|rgb| rgb[0]).collect();
        let row = |at: usize| &grey[at * 7..(at + 1) * 7];
        assert_eq!(row(1), [128, 255, 0, 128, 51, 0, 128]);
        assert_eq!(row(3), [128, 0, 0, 128, 128, 128, 128]);
    }

    #[test]
    fn numbers_become_shades() {
        assert_eq!(around_zero(&[-2.0, 0.0, 1.0]), [0.0, 0.5, 0.75]);
        assert_eq!(around_zero(&[0.0]), [0.5]);
        assert_eq!(between(&[1.0, 2.0], 1.0, 3.0), [0.0, 0.5]);
    }
}
