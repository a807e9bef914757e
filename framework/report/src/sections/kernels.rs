//! Kernels: those of a convolution that read the image itself, and those that write it, as tiles.

use framework::model::Parameters;
use framework::plugin::{LayeredForm, LevelMap};
use framework::train::Model;

use super::atoms::ACROSS;
use crate::Picture;
use crate::figures::picture::{Tile, rows_of};

/// Draws the kernels next to the image, of architectures whose first level is a convolution. `of` is the name of
/// the model, `sides` are channels, height and width of an image.
pub fn kernels(model: &Model<'_>, sides: (usize, usize, usize), of: &str) -> Option<Picture> {
    let form = model.definition.architecture.layers()?;
    let kernels = OuterKernels::of(&form, &model.parameters(), sides.0)?;
    Some(kernels.picture(sides.0, of))
}

/// Kernels of the outermost level.
struct OuterKernels {
    /// Rows, or columns, of a kernel.
    side: usize,
    /// Kernels of the encoder, which read the image: a tile a channel.
    encoder: Vec<Tile>,
    /// Kernels of the decoder, which write it.
    decoder: Vec<Tile>,
}

impl OuterKernels {
    /// Returns the kernels of a form, between images of so many channels and the channels of the first level; `None`
    /// if that is no convolution.
    fn of(form: &LayeredForm, parameters: &Parameters<f32>, channels: usize) -> Option<Self> {
        let level = form.levels.first()?;
        let LevelMap::Convolution { channels: inner, kernel: side, .. } = level.map else {
            return None;
        };
        // Both are [inner channels, channels of the image, side, side].
        let tiles = |name: &str| {
            let values = &parameters.get(name)?.values;
            let size = channels * side * side;
            let tiles = values.chunks_exact(size.max(1)).enumerate().take(inner);
            Some(tiles.map(|(at, kernel)| Tile::of_latent(at, kernel.to_vec())).collect())
        };
        let (encoder, decoder) = (tiles(&level.encoder.weights)?, tiles(&level.decoder.weights)?);
        Some(Self { side, encoder, decoder })
    }

    /// Draws the encoder's kernels above the decoder's.
    fn picture(self, channels: usize, of: &str) -> Picture {
        let Self { side, encoder, decoder } = self;
        let zero = match channels {
            1 => "white is 0, orange above it, blue below",
            _ => "grey is 0",
        };
        let caption = format!(
            "The {} kernels by which {of} reads an image above, those by which it writes one below, of {side} by {side} \
             numbers each. Each tile has the number of its channel above it and its own scale: {zero}.",
            encoder.len()
        );
        let across = encoder.len().clamp(1, ACROSS);
        let mut rows = rows_of(encoder, across);
        let block = Some((across, rows.len()));
        rows.extend(rows_of(decoder, across));
        let (name, title) = (String::new(), String::new());
        Picture { name, title, caption, channels, height: side, width: side, rows, block }
    }
}

#[cfg(test)]
mod tests {
    use framework::model::{Declaration, Init, Parameter};
    use framework::plugin::{Activation, LayerNames, Level};

    use super::*;

    fn level(map: LevelMap, at: usize) -> Level {
        Level {
            map,
            activation: Activation::Relu,
            decoder_activation: Activation::Identity,
            encoder: LayerNames::new(format!("enc.{at}.w"), format!("enc.{at}.b")),
            decoder: LayerNames::new(format!("dec.{at}.w"), format!("dec.{at}.b")),
            tied: false,
        }
    }

    /// Kernels whose numbers count from 0 in the encoder and from 1000 in the decoder; another convolution within.
    fn hand_made(channels: usize) -> (LayeredForm, Parameters<f32>) {
        let convolution = |channels| LevelMap::Convolution { channels, kernel: 3, stride: 2 };
        let form = LayeredForm {
            levels: vec![level(convolution(14), 1), level(convolution(5), 2)],
            subtract_decoder_bias: false,
            unit_norm: false,
            noise: None,
        };
        let parameter = |name: &str, shape: [usize; 4], from: usize| {
            let declaration = Declaration::new(name, shape, Init::Zeros);
            let values = (from..from + declaration.size()).map(|value| value as f32).collect();
            Parameter { declaration, values }
        };
        let entries = vec![
            parameter("enc.1.w", [14, channels, 3, 3], 0),
            parameter("enc.2.w", [5, 14, 3, 3], 0),
            parameter("dec.2.w", [5, 14, 3, 3], 0),
            parameter("dec.1.w", [14, channels, 3, 3], 1000),
        ];
        (form, Parameters { entries })
    }

    /// Wrong if kernels of an inner level were shown, a tile held parts of two kernels, or the decoder's were missing.
    #[test]
    fn a_tile_is_a_kernel_next_to_the_image() {
        for channels in [1, 3] {
            let (form, parameters) = hand_made(channels);
            let kernels = OuterKernels::of(&form, &parameters, channels).unwrap();
            let picture = kernels.picture(channels, "x");
            let sizes: Vec<usize> = picture.rows.iter().map(Vec::len).collect();
            assert_eq!(sizes, [12, 2, 12, 2]);
            assert_eq!((picture.width, picture.height, picture.channels), (3, 3, channels));
            assert_eq!(picture.block, Some((12, 2)), "a space between encoder and decoder");
            for (half, from) in [(0, 0), (2, 1000)] {
                let tiles = picture.rows[half..half + 2].iter().flatten();
                for (at, tile) in tiles.enumerate() {
                    let first = (from + at * channels * 9) as f32;
                    assert_eq!((tile.label, tile.values[0]), (Some(at), first));
                    assert_eq!(tile.values.len(), channels * 9);
                }
            }
            picture.png(picture.scale_for(640)).unwrap();
        }
    }

    #[test]
    fn other_forms_have_no_kernels() {
        let (mut form, parameters) = hand_made(1);
        form.levels[0].map = LevelMap::Dense;
        assert!(OuterKernels::of(&form, &parameters, 1).is_none());
        form.levels.clear();
        assert!(OuterKernels::of(&form, &parameters, 1).is_none());
    }
}
