//! Pictures of numbers: tiles in rows, as a PNG.

use std::collections::BTreeSet;
use std::io::Cursor;

use super::digits;

/// A picture of tiles, all of one size.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Name of its file, without the ending.
    pub name: String,
    /// Heading: of which run it is.
    pub title: String,
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

/// A tile of a picture.
#[derive(Clone, Debug)]
pub struct Tile {
    /// Its numbers, channel by channel and row by row. If there are none, the place stays empty.
    pub values: Vec<f32>,
    /// Colours of the numbers.
    pub colors: Colors,
    /// Number that stands above the tile.
    pub label: Option<usize>,
}

impl Tile {
    /// Makes a tile without a label.
    pub const fn new(values: Vec<f32>, colors: Colors) -> Self {
        Self { values, colors, label: None }
    }

    /// Makes the tile of a latent: its decoder row, with its index as label.
    pub const fn of_latent(latent: usize, row: Vec<f32>) -> Self {
        Self { values: row, colors: Colors::Signed, label: Some(latent) }
    }

    /// Makes the tile of a latent without a decoder row: the input that activates it most, with the latent's index
    /// as label. It is grey from its least number to its greatest.
    pub fn of_preferred(latent: usize, input: Vec<f32>) -> Self {
        let ends = (f32::INFINITY, f32::NEG_INFINITY);
        let (low, high) =
            input.iter().fold(ends, |(low, high), value| (low.min(*value), high.max(*value)));
        Self { values: input, colors: Colors::Between(low, high), label: Some(latent) }
    }

    /// Makes a place without a tile.
    pub const fn empty() -> Self {
        Self::new(Vec::new(), Colors::Signed)
    }
}

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

/// Number of shades of orange and of blue. With both, white and the greys, a picture has a palette.
const SHADES: f32 = 120.0;

/// Grey of labels.
const INK: u8 = 0;

/// Number of pixels of a label that have room side by side, at least, if a tile is wide enough: two digits take two
/// fifths of it then.
const LABEL: usize = 18;

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

    /// Returns the width in pixels, if each number is a square of `scale` pixels.
    pub fn width_at(&self, scale: usize) -> usize {
        let gap = scale.clamp(1, 2);
        self.across() * (self.width * scale + gap) + gap + self.spaces().0 * SPACE * scale
    }

    /// Returns the scale at which the picture is at least `pixels` wide and every label fits above its tile.
    pub fn scale_for(&self, pixels: usize) -> usize {
        let by_width = pixels.div_ceil(self.width_at(1).max(1)).max(1);
        let by_label = self.widest_label().div_ceil(self.width.max(1)).max(1);
        let first = by_width.max(by_label);
        // Lines between tiles are not enlarged, so a picture may be less wide than its scale says.
        (first..first + pixels).find(|scale| self.width_at(*scale) >= pixels).unwrap_or(first)
    }

    /// Returns true if tiles have labels.
    pub fn has_labels(&self) -> bool {
        self.widest_label() > 0
    }

    /// Returns the number of pixels across the widest label; 0 if there is none.
    fn widest_label(&self) -> usize {
        let labels = self.rows.iter().flatten().filter_map(|tile| tile.label);
        labels.map(digits::across).max().unwrap_or(0)
    }

    /// Returns the size of a pixel of a label, for tiles that are `wide` pixels wide; 0 if there are no labels, or
    /// no room for them.
    fn label_size(&self, wide: usize) -> usize {
        match self.widest_label() {
            0 => 0,
            widest => (wide / widest).min((wide / LABEL).max(1)),
        }
    }

    /// Returns the number of spaces between blocks, across and down.
    fn spaces(&self) -> (usize, usize) {
        let between = |tiles: usize, block: usize| tiles.saturating_sub(1) / block.max(1);
        self.block.map_or((0, 0), |(across, down)| {
            (between(self.across(), across), between(self.rows.len(), down))
        })
    }

    /// Draws the picture as the bytes of a PNG file: each number is a square of `scale` pixels, with a line
    /// between tiles. Labels stand above their tiles, if they fit.
    ///
    /// # Errors
    /// If it is larger than the format can hold.
    pub fn png(&self, scale: usize) -> Result<Vec<u8>, String> {
        let failed = |what: &dyn std::fmt::Display| format!("the picture cannot be made: {what}");
        let (scale, gap) = (scale.max(1), scale.clamp(1, 2));
        let size = self.label_size(self.width * scale);
        // A row of pixels above and one below the digits.
        let strip = size * (digits::HEIGHT + 2);
        let (along, down) = (self.width * scale + gap, self.height * scale + gap + strip);
        let (spaces, space) = (self.spaces(), SPACE * scale);
        let width = self.width_at(scale);
        let height = self.rows.len() * down + gap + spaces.1 * space;
        let shift =
            |at: usize, block: Option<usize>| block.map_or(0, |size| at / size.max(1) * space);
        let mut pixels = vec![MARGIN; width * height * 3];
        for (row, tiles) in self.rows.iter().enumerate() {
            let filled = tiles.iter().enumerate().filter(|(_, tile)| !tile.values.is_empty());
            for (column, tile) in filled {
                let color =
                    tile.colors.of_tile(&tile.values, self.channels, self.width * self.height);
                let top = gap + row * down + shift(row, self.block.map(|(_, down)| down));
                let left =
                    gap + column * along + shift(column, self.block.map(|(across, _)| across));
                let mut paint = |x: usize, y: usize, color: [u8; 3]| {
                    let to = ((top + y) * width + left + x) * 3;
                    pixels[to..to + 3].copy_from_slice(&color);
                };
                for y in 0..self.height * scale {
                    for x in 0..self.width * scale {
                        let number = (y / scale) * self.width + x / scale;
                        paint(x, strip + y, color(number));
                    }
                }
                let label = tile.label.filter(|_| size > 0).map_or(Vec::new(), digits::pixels);
                for (x, y) in label {
                    for at in 0..size * size {
                        paint(x * size + at % size, (y + 1) * size + at / size, [INK; 3]);
                    }
                }
            }
        }
        let size = |pixels: usize| u32::try_from(pixels).map_err(|error| failed(&error));
        encode(&pixels, size(width)?, size(height)?).map_err(|error| failed(&error))
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
                    let share = (value(0) * SHADES).round() / SHADES;
                    let end = if share > 0.0 { ABOVE } else { BELOW };
                    end.map(|end| (255.0 + share.abs() * (end - 255.0)).round() as u8)
                }
                Self::Signed => [0, 1, 2].map(|channel| byte(0.5 + value(channel) / 2.0)),
                Self::Between(..) => [0, 1, 2].map(|channel| byte(value(channel))),
            }
        }
    }
}

/// Encodes pixels of three colours as a PNG: of grey, or with a palette, if that says the same in one byte a pixel.
fn encode(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(Cursor::new(&mut bytes), width, height);
    encoder.set_compression(png::Compression::High);
    let (colors, _) = pixels.as_chunks::<3>();
    let all: BTreeSet<[u8; 3]> = colors.iter().copied().collect();
    let palette: Vec<[u8; 3]> = all.into_iter().collect();
    let data: Vec<u8> = if palette.iter().all(|[red, green, blue]| red == green && green == blue) {
        encoder.set_color(png::ColorType::Grayscale);
        colors.iter().map(|color| color[0]).collect()
    } else if palette.len() <= 256 {
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_palette(palette.concat());
        // Neighbours in a palette are not neighbours in colour, so there is nothing to predict.
        encoder.set_filter(png::Filter::NoFilter);
        let place = |color: &[u8; 3]| palette.binary_search(color).unwrap_or_default() as u8;
        colors.iter().map(place).collect()
    } else {
        encoder.set_color(png::ColorType::Rgb);
        pixels.to_vec()
    };
    encoder.write_header()?.write_image_data(&data)?;
    Ok(bytes)
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
        let mut decoder = png::Decoder::new(Cursor::new(&bytes));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        let samples = info.color_type.samples();
        (pixels.chunks(samples).map(|pixel| pixel[0]).collect(), info.width as usize)
    }

    fn picture() -> Picture {
        let tile = |value: f32| Tile::new(vec![value, 0.0], Colors::Between(0.0, 1.0));
        Picture {
            name: String::new(),
            title: String::new(),
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
        assert_eq!((width, picture().width_at(1)), (7, 7));
        assert_eq!(red[7..14], [200, 255, 0, 200, 51, 0, 200]);
        assert_eq!(red[21..28], [200, 0, 0, 200, 200, 200, 200]);
    }

    /// Wrong if blocks stood no further apart than tiles, or a place without a tile were drawn.
    #[test]
    fn blocks_stand_apart() {
        let mut picture = picture();
        picture.rows.push(picture.rows[0].clone());
        picture.rows[2][0].values.clear();
        picture.block = Some((1, 2));
        let (red, width) = reds(&picture, 1);
        assert_eq!((width, picture.width_at(1)), (12, 12));
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

    /// Wrong if a label were missing, stood on its tile, or were drawn where it does not fit.
    #[test]
    fn labels_stand_above_their_tiles() {
        let mut picture = picture();
        picture.rows[0][1].label = Some(17);
        assert!(picture.has_labels() && !super::tests::picture().has_labels());
        // Seven pixels do not fit above a tile of two.
        assert_eq!(reds(&picture, 1), reds(&super::tests::picture(), 1));
        assert_eq!(picture.scale_for(1), 4, "8 pixels have room for 7");
        let (red, width) = reds(&picture, 4);
        assert_eq!((width, picture.width_at(4)), (22, 22));
        assert_eq!(red.len(), 22 * (2 * (4 + 2 + 7) + 2));
        let line = |y: usize| &red[y * 22 + 12..y * 22 + 20];
        let (on, off) = (INK, MARGIN);
        assert_eq!(line(2), [off; 8], "a row of pixels is left above the digits");
        assert_eq!(line(3), [off, on, off, off, on, on, on, off]);
        assert_eq!(line(7), [on, on, on, off, off, off, on, off]);
        assert_eq!(line(8), [off; 8]);
        assert_eq!(line(9), [51, 51, 51, 51, 0, 0, 0, 0], "the tile itself");
        assert!(red[3 * 22..3 * 22 + 11].iter().all(|grey| *grey == off), "no label, no digits");
    }

    /// Wrong if a palette lost a colour, or if signed tiles took three bytes a number, which makes a page three times
    /// as large.
    #[test]
    fn pictures_take_a_byte_a_pixel_and_keep_their_colours() {
        let values: Vec<f32> = (-5000..5000).map(|at| (at as f32 / 700.0).sin()).collect();
        let (height, width) = (100, 100);
        let mut picture = Picture { height, width, rows: Vec::new(), ..picture() };
        let kind = |picture: &Picture| picture.png(1).unwrap()[25];
        picture.rows = vec![vec![Tile::of_latent(1, values.clone())]];
        assert_eq!(kind(&picture), 3, "a palette");
        let (red, across) = reds(&picture, 1);
        let color = Colors::Signed.of_tile(&values, 1, height * width);
        let strip = red.len() / across - height - 2;
        for y in 0..height {
            for x in 0..width {
                let found = red[(strip + 1 + y) * across + 1 + x];
                assert_eq!(found, color(y * width + x)[0], "{y} {x}");
            }
        }
        picture.rows[0][0].colors = Colors::Between(-1.0, 1.0);
        assert_eq!(kind(&picture), 0, "grey");
        picture.rows[0].push(Tile::of_latent(1, values.clone()));
        assert_eq!(kind(&picture), 2, "more than 256 colours");
    }

    /// Wrong if a picture for print were too small.
    #[test]
    fn a_scale_makes_a_picture_as_wide_as_it_is_asked_to_be() {
        for pixels in [1, 7, 100, 945] {
            let scale = picture().scale_for(pixels);
            assert!(picture().width_at(scale) >= pixels, "{pixels}");
            assert!(scale == 1 || picture().width_at(scale - 1) < pixels, "{pixels}");
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
