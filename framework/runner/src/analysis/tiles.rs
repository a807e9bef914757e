//! Samples and decoder rows of image data as sheets of tiles.

use framework::plugin::SampleShape;

/// Pixels between tiles.
const GAP: usize = 2;

/// The grey between them: a tile may be white.
const MARGIN: u8 = 200;

/// Tiles are enlarged to at least so many pixels, each pixel of theirs to a square.
const LEAST: usize = 32;

/// A picture, three bytes a pixel, row by row.
pub struct Sheet {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// [height, width, 3]
    pub pixels: Vec<u8>,
}

/// How numbers become colours.
#[derive(Clone, Copy, Debug)]
pub enum Colours {
    /// From black at the first to white at the second number.
    Between(f32, f32),
    /// White at 0, orange above and blue below it, full at the greatest magnitude of the tile; of
    /// pictures in colour, grey at 0.
    Signed,
}

/// A tile: the numbers of a sample, and how they become colours.
pub type Tile<'a> = (&'a [f32], Colours);

impl Sheet {
    /// Tiles in rows; rows may differ in length. `None` if samples are no pictures that can be shown.
    pub fn of(shape: &SampleShape, rows: &[Vec<Tile<'_>>]) -> Option<Self> {
        let SampleShape::Image { channels: channels @ (1 | 3), height, width } = *shape else {
            return None;
        };
        let scale = LEAST.div_ceil(height.max(width).max(1));
        let (down, along) = (height * scale + GAP, width * scale + GAP);
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut sheet = Self {
            width: columns * along + GAP,
            height: rows.len() * down + GAP,
            pixels: Vec::new(),
        };
        sheet.pixels = vec![MARGIN; sheet.width * sheet.height * 3];
        for (at, row) in rows.iter().enumerate() {
            for (column, (values, colours)) in row.iter().enumerate() {
                let colour = colours.of_tile(values, channels);
                let (top, left) = (GAP + at * down, GAP + column * along);
                for y in 0..height * scale {
                    for x in 0..width * scale {
                        let pixel = (y / scale) * width + x / scale;
                        let to = ((top + y) * sheet.width + left + x) * 3;
                        sheet.pixels[to..to + 3].copy_from_slice(&colour(pixel));
                    }
                }
            }
        }
        Some(sheet)
    }

    /// The picture as a PNG file.
    ///
    /// # Errors
    /// If it is larger than the format can hold.
    pub fn to_png(&self) -> Result<Vec<u8>, String> {
        let fail = |error: png::EncodingError| format!("the picture cannot be made: {error}");
        let size = |pixels: usize| u32::try_from(pixels).map_err(|error| error.to_string());
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, size(self.width)?, size(self.height)?);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().map_err(fail)?;
        writer.write_image_data(&self.pixels).map_err(fail)?;
        writer.finish().map_err(fail)?;
        Ok(bytes)
    }
}

/// Tiles in as many rows as make the sheet about square.
pub fn squared(tiles: Vec<Tile<'_>>) -> Vec<Vec<Tile<'_>>> {
    let columns = (tiles.len() as f64).sqrt().ceil() as usize;
    tiles.chunks(columns.max(1)).map(<[_]>::to_vec).collect()
}

/// Orange and blue, which colour-blind people can tell apart (Okabe and Ito).
const ABOVE: [f32; 3] = [213.0, 94.0, 0.0];
const BELOW: [f32; 3] = [0.0, 114.0, 178.0];

impl Colours {
    /// The colour of each pixel of a tile, whose channels come one after the other.
    fn of_tile(self, values: &[f32], channels: usize) -> impl Fn(usize) -> [u8; 3] {
        let greatest = values.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        let area = values.len() / channels;
        move |pixel| {
            let value = |channel: usize| {
                let value = values[(channel % channels) * area + pixel];
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

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: SampleShape = SampleShape::Image { channels: 1, height: 1, width: 2 };

    #[test]
    fn a_tile_is_enlarged_and_coloured() {
        let rows = vec![vec![(&[0.0, 1.0][..], Colours::Between(0.0, 1.0))]];
        let sheet = Sheet::of(&SHAPE, &rows).unwrap();
        assert_eq!((sheet.width, sheet.height), (2 * 16 + 2 * GAP, 16 + 2 * GAP));
        let pixel = |x: usize, y: usize| &sheet.pixels[(y * sheet.width + x) * 3..][..3];
        assert_eq!(pixel(0, 0), [MARGIN; 3], "the margin");
        assert_eq!(pixel(GAP, GAP), [0; 3]);
        assert_eq!(pixel(GAP + 15, GAP + 15), [0; 3]);
        assert_eq!(pixel(GAP + 16, GAP), [255; 3]);
    }

    #[test]
    fn signs_have_colours_and_0_has_none() {
        let colour = Colours::Signed.of_tile(&[2.0, -2.0, 0.0, 1.0], 1);
        assert_eq!(colour(0), [213, 94, 0]);
        assert_eq!(colour(1), [0, 114, 178]);
        assert_eq!(colour(2), [255; 3]);
        assert_eq!(colour(3), [234, 175, 128]);
        assert_eq!(Colours::Signed.of_tile(&[0.0], 1)(0), [255; 3]);
        // Red is greatest, green 0, blue least.
        assert_eq!(Colours::Signed.of_tile(&[1.0, 0.0, -1.0], 3)(0), [255, 128, 0]);
    }

    /// Wrong if what is written could not be read by others.
    #[test]
    fn a_sheet_is_a_png_file_and_rows_may_differ() {
        let tile = (&[0.5, 1.0][..], Colours::Between(0.0, 1.0));
        let sheet = Sheet::of(&SHAPE, &[vec![tile], vec![tile, tile]]).unwrap();
        let bytes = sheet.to_png().unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width as usize, info.height as usize), (sheet.width, sheet.height));
        assert_eq!(pixels, sheet.pixels);
    }

    #[test]
    fn vectors_and_pictures_of_other_channels_are_not_shown() {
        let shape = SampleShape::Image { channels: 2, height: 1, width: 1 };
        assert!(Sheet::of(&SampleShape::Vector(2), &[]).is_none());
        assert!(Sheet::of(&shape, &[]).is_none());
        let rows = squared(vec![(&[0.0][..], Colours::Signed); 5]);
        assert_eq!(rows.iter().map(Vec::len).collect::<Vec<_>>(), [3, 2]);
    }
}
