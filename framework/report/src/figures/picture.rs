//! Pictures of numbers: tiles in rows, as a PNG.

use std::io::Cursor;

/// A picture of tiles, all of one size.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Caption: what the picture shows.
    pub caption: String,
    /// Number of channels: 1 for grey, 3 for colour.
    pub channels: usize,
    /// Number of rows of a tile.
    pub height: usize,
    /// Number of columns of a tile.
    pub width: usize,
    /// Tiles from top to bottom and from left to right; rows may differ in length.
    pub rows: Vec<Vec<Tile>>,
    /// Number of tiles side by side and above each other in a block, if tiles stand in blocks, which are further
    /// apart than tiles.
    pub block: Option<(usize, usize)>,
}

/// A tile: its numbers, channel by channel and row by row, and their colours. Where there are no numbers, the
/// place stays empty.
pub type Tile = (Vec<f32>, Colors);

/// Mapping from numbers to colours.
#[derive(Clone, Copy, Debug)]
pub enum Colors {
    /// Grey scale from black (first number) to white (second number).
    Between(f32, f32),
    /// White at 0, orange above it and blue below, fully coloured at the greatest magnitude of the tile.
    /// Pictures in colour are grey at 0.
    Signed,
}

/// Width of the space between blocks, in numbers.
const SPACE: usize = 5;

/// Grey between tiles, so that white tiles have an edge.
const MARGIN: u8 = 200;

/// Orange, for numbers above 0. With [`BELOW`], colour-blind people can tell the signs apart (Okabe and
/// Ito).
const ABOVE: [f32; 3] = [213.0, 94.0, 0.0];
/// Blue, for numbers below 0.
const BELOW: [f32; 3] = [0.0, 114.0, 178.0];

impl Picture {
    /// Returns the number of tiles side by side.
    pub fn across(&self) -> usize {
        self.rows.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// Returns the width in pixels, if each number is one pixel.
    pub fn pixels_across(&self) -> usize {
        self.across() * (self.width + 1) + 1 + self.spaces().0 * SPACE
    }

    /// Returns the number of spaces between blocks, across and down.
    fn spaces(&self) -> (usize, usize) {
        let between = |tiles: usize, block: usize| tiles.saturating_sub(1) / block.max(1);
        self.block.map_or((0, 0), |(across, down)| {
            (between(self.across(), across), between(self.rows.len(), down))
        })
    }

    /// Draws the picture as the bytes of a PNG file: each number is a square of `scale` pixels, with a line
    /// between tiles.
    ///
    /// # Errors
    /// If it is larger than the format can hold.
    pub fn png(&self, scale: usize) -> Result<Vec<u8>, String> {
        let failed = |what: &dyn std::fmt::Display| format!("the picture cannot be made: {what}");
        let (scale, gap) = (scale.max(1), scale.clamp(1, 2));
        let (along, down) = (self.width * scale + gap, self.height * scale + gap);
        let (spaces, space) = (self.spaces(), SPACE * scale);
        let width = self.across() * along + gap + spaces.0 * space;
        let height = self.rows.len() * down + gap + spaces.1 * space;
        let shift =
            |at: usize, block: Option<usize>| block.map_or(0, |size| at / size.max(1) * space);
        let mut pixels = vec![MARGIN; width * height * 3];
        for (row, tiles) in self.rows.iter().enumerate() {
            let filled = tiles.iter().enumerate().filter(|(_, (values, _))| !values.is_empty());
            for (column, (values, colors)) in filled {
                let color = colors.of_tile(values, self.channels, self.width * self.height);
                let top = gap + row * down + shift(row, self.block.map(|(_, down)| down));
                let left =
                    gap + column * along + shift(column, self.block.map(|(across, _)| across));
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
    /// Returns the colour of each pixel of a tile. Its channels, of `area` numbers each, follow one
    /// another. A missing number counts as 0, and NaN as byte 0, the darkest.
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

/// Converts a share of full brightness into a byte.
fn byte(share: f32) -> u8 {
    (share.clamp(0.0, 1.0) * 255.0).round() as u8
}

/// Arranges tiles in rows of `across`.
pub fn rows_of(tiles: Vec<Tile>, across: usize) -> Vec<Vec<Tile>> {
    tiles.chunks(across.max(1)).map(<[_]>::to_vec).collect()
}

/// Encodes bytes in base 64.
pub(crate) fn base64(bytes: &[u8]) -> String {
    /// Digits of base 64.
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

    /// Returns the red of each pixel, as a PNG reader sees it, and the width of the picture.
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
            block: None,
        }
    }

    /// Wrong if tiles are transposed, or overlap.
    #[test]
    fn tiles_stand_beside_each_other() {
        let (red, width) = reds(&picture(), 1);
        assert_eq!((width, picture().pixels_across()), (7, 7));
        assert_eq!(red[7..14], [200, 255, 0, 200, 51, 0, 200]);
        assert_eq!(red[21..28], [200, 0, 0, 200, 200, 200, 200]);
    }

    /// Wrong if blocks stood no further apart than tiles, or a place without a tile were drawn.
    #[test]
    fn blocks_stand_apart() {
        let mut picture = picture();
        picture.rows.push(picture.rows[0].clone());
        picture.rows[2][0].0.clear();
        picture.block = Some((1, 2));
        let (red, width) = reds(&picture, 1);
        assert_eq!((width, picture.pixels_across()), (12, 12));
        assert_eq!(red.len(), 12 * 12, "two rows, a space and a row");
        let mut first = [200; 12];
        (first[1], first[2], first[9], first[10]) = (255, 0, 51, 0);
        assert_eq!(red[12..24], first);
        let mut last = [200; 12];
        (last[9], last[10]) = (51, 0);
        assert_eq!(red[120..132], last);
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
        // Red has the greatest number, green 0, blue the least.
        assert_eq!(Colors::Signed.of_tile(&[1.0, 0.0, -1.0], 3, 1)(0), [255, 128, 0]);
    }
}
