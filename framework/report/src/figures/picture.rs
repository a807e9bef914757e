//! Pictures of numbers: tiles in rows, as a PNG.

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
    /// The tiles from top to bottom and from left to right; rows may differ in length.
    pub rows: Vec<Vec<Tile>>,
}

/// A tile: its numbers, channel by channel and row by row, and how they become colours.
pub type Tile = (Vec<f32>, Colors);

/// How numbers become colours.
#[derive(Clone, Copy, Debug)]
pub enum Colors {
    /// From black at the first to white at the second number.
    Between(f32, f32),
    /// White at 0, orange above and blue below it, full at the greatest magnitude of the tile; of
    /// pictures in colour, grey at 0.
    Signed,
}

/// The grey between tiles: a tile may be white.
const MARGIN: u8 = 200;

/// Orange and blue, which colour-blind people can tell apart (Okabe and Ito).
const ABOVE: [f32; 3] = [213.0, 94.0, 0.0];
const BELOW: [f32; 3] = [0.0, 114.0, 178.0];

impl Picture {
    /// How many tiles stand side by side.
    pub fn across(&self) -> usize {
        self.rows.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// How many pixels wide it is, where each number is one.
    pub fn pixels_across(&self) -> usize {
        self.across() * (self.width + 1) + 1
    }

    /// As the bytes of a PNG file: each number a square of `scale` pixels, with a line between tiles.
    ///
    /// # Errors
    /// If it is larger than the format can hold.
    pub fn png(&self, scale: usize) -> Result<Vec<u8>, String> {
        let failed = |what: &dyn std::fmt::Display| format!("the picture cannot be made: {what}");
        let (scale, gap) = (scale.max(1), scale.clamp(1, 2));
        let (along, down) = (self.width * scale + gap, self.height * scale + gap);
        let (width, height) = (self.across() * along + gap, self.rows.len() * down + gap);
        let mut pixels = vec![MARGIN; width * height * 3];
        for (row, tiles) in self.rows.iter().enumerate() {
            for (column, (values, colors)) in tiles.iter().enumerate() {
                let color = colors.of_tile(values, self.channels, self.width * self.height);
                let (top, left) = (gap + row * down, gap + column * along);
                for y in 0..self.height * scale {
                    for x in 0..self.width * scale {
                        let number = (y / scale) * self.width + x / scale;
                        let to = ((top + y) * width + left + x) * 3;
                        pixels[to..to + 3].copy_from_slice(&color(number));
                    }
                }
            }
        }
        let size = |pixels: usize| u32::try_from(pixels).map_err(|error| failed(&error));
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(Cursor::new(&mut bytes), size(width)?, size(height)?);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_compression(png::Compression::High);
        encoder
            .write_header()
            .and_then(|mut writer| writer.write_image_data(&pixels))
            .map_err(|error| failed(&error))?;
        Ok(bytes)
    }
}

impl Colors {
    /// The colour of each pixel of a tile, whose channels of `area` numbers come one after the other.
    /// What is missing or no number is as the least.
    fn of_tile(self, values: &[f32], channels: usize, area: usize) -> impl Fn(usize) -> [u8; 3] {
        let greatest = values.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        move |pixel| {
            let value = |channel: usize| {
                let at = channel.min(channels.saturating_sub(1)) * area + pixel;
                let value = values.get(at).copied().unwrap_or(0.0);
                match self {
                    Self::Between(low, high) if high > low => (value - low) / (high - low),
                    Self::Signed if greatest > 0.0 => value / greatest,
                    _ => 0.0,
                }
            };
            match self {
                Self::Signed if channels == 1 => {
                    let share = value(0);
                    let end = if share > 0.0 { ABOVE } else { BELOW };
                    end.map(|end| (255.0 + share.abs() * (end - 255.0)).round() as u8)
                }
                Self::Signed => [0, 1, 2].map(|channel| byte(0.5 + value(channel) / 2.0)),
                Self::Between(..) => [0, 1, 2].map(|channel| byte(value(channel))),
            }
        }
    }
}

fn byte(share: f32) -> u8 {
    (share.clamp(0.0, 1.0) * 255.0).round() as u8
}

/// Tiles in rows of `across`.
pub fn rows_of(tiles: Vec<Tile>, across: usize) -> Vec<Vec<Tile>> {
    tiles.chunks(across.max(1)).map(<[_]>::to_vec).collect()
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

    /// The red of each pixel, as readers of PNG see it, and how wide the picture is.
    fn reds(picture: &Picture, scale: usize) -> (Vec<u8>, usize) {
        let bytes = picture.png(scale).unwrap();
        let mut reader = png::Decoder::new(Cursor::new(&bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (pixels.chunks(3).map(|rgb| rgb[0]).collect(), info.width as usize)
    }

    fn picture() -> Picture {
        let tile = |value: f32| (vec![value, 0.0], Colors::Between(0.0, 1.0));
        Picture {
            caption: String::new(),
            channels: 1,
            height: 1,
            width: 2,
            rows: rows_of(vec![tile(1.0), tile(0.2), tile(f32::NAN)], 2),
        }
    }

    /// Wrong if tiles were transposed, or lay over each other.
    #[test]
    fn tiles_stand_beside_each_other() {
        let (red, width) = reds(&picture(), 1);
        assert_eq!((width, picture().pixels_across()), (7, 7));
        assert_eq!(red[7..14], [200, 255, 0, 200, 51, 0, 200]);
        assert_eq!(red[21..28], [200, 0, 0, 200, 200, 200, 200]);
    }

    #[test]
    fn numbers_become_squares() {
        let (red, width) = reds(&picture(), 3);
        assert_eq!((width, red.len()), (18, 18 * 12));
        for y in [2, 4] {
            assert_eq!(red[y * 18..y * 18 + 8], [200, 200, 255, 255, 255, 0, 0, 0]);
        }
    }

    #[test]
    fn signs_have_colours_and_0_has_none() {
        let color = Colors::Signed.of_tile(&[2.0, -2.0, 0.0, 1.0], 1, 4);
        assert_eq!(color(0), [213, 94, 0]);
        assert_eq!(color(1), [0, 114, 178]);
        assert_eq!(color(2), [255; 3]);
        assert_eq!(color(3), [234, 175, 128]);
        assert_eq!(Colors::Signed.of_tile(&[0.0], 1, 1)(0), [255; 3]);
        // Red is greatest, green 0, blue least.
        assert_eq!(Colors::Signed.of_tile(&[1.0, 0.0, -1.0], 3, 1)(0), [255, 128, 0]);
    }
}
