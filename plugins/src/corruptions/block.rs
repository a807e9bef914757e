//! Block: a square of an image, or its lower half, is 0.

use framework::linkme::distributed_slice;
use framework::plugin::{
    ALIASES, Alias, CORRUPTIONS, Corruption, Meant, Plugin, SampleFacts, SampleShape, Unfit,
};
use framework::random::ChaCha8Rng;
use framework::spec::numbers::Portion;
use framework::spec::schema_of;
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A square of an image is 0 in all channels, at a place that is drawn anew for each sample and epoch; or the
/// lower half is. A denoising autoencoder learns to fill the hole from what is around it. Exactly one of `share`
/// and `where` is given.
///
/// Source: Pathak et al. 2016, Context Encoders: Feature Learning by Inpainting, arXiv:1604.07379.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CutOut {
    /// Share of an image's area that the square has. Its side is the whole number of pixels nearest to
    /// √(share · height · width), at least 1 and at most the shorter side of the image; a share of 0 changes
    /// nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<Portion>,
    /// Part of the image that is always 0, in place of a square.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    part: Option<ImagePart>,
}

#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum ImagePart {
    /// The lower half of the rows; of an odd number, the middle row stays.
    LowerHalf,
}

#[distributed_slice(CORRUPTIONS)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Corruption> = Plugin {
    name: "block",
    about: "a square of an image, or its lower half, is 0",
    example: "share = 0.25",
    build: |settings| {
        let CutOut { share, part } = settings.read()?;
        match (share, part) {
            (Some(share), None) => Ok(Box::new(Hole::Square(share))),
            (None, Some(ImagePart::LowerHalf)) => Ok(Box::new(Hole::LowerHalf)),
            (Some(_), Some(_)) => {
                let message = "`share` and `where` exclude each other; give one of them";
                Err(vec![settings.problem("where", message)])
            }
            (None, None) => {
                let message = "give `share`, as in `share = 0.25`, or `where = \"lower-half\"`";
                Err(vec![settings.problem("kind", message)])
            }
        }
    },
    schema: schema_of::<CutOut>,
};

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["cutout", "random-erasing", "occlusion"],
    meant: Meant::Plugin { kind: "corruption", name: "block" },
    about: "the corruption `block`: a square of an image is 0",
    lines: "[corruption]\n\
            kind = \"block\"\n\
            share = 0.25",
};

/// What is cut out of an image.
enum Hole {
    Square(Portion),
    LowerHalf,
}

/// The side of a square of this share of an image.
fn side(share: Portion, height: usize, width: usize) -> usize {
    let side = (share.get() * (height * width) as f64).sqrt().round() as usize;
    side.max(1).min(height).min(width)
}

impl Corruption for Hole {
    fn fits(&self, shape: &SampleShape) -> Result<(), Unfit> {
        match (shape, self) {
            (SampleShape::Vector(_), _) => {
                let message = "it needs images, and the samples are vectors";
                Err(Unfit::new("kind", message))
            }
            (SampleShape::Image { height: 0 | 1, .. }, Self::LowerHalf) => {
                let message = "images of a single row have no lower half";
                Err(Unfit::new("where", message))
            }
            (SampleShape::Image { .. }, _) => Ok(()),
        }
    }

    fn is_any(&self) -> bool {
        !matches!(self, Self::Square(share) if share.get() == 0.0)
    }

    fn corrupt(&self, samples: &mut [f32], facts: &SampleFacts, random: &mut ChaCha8Rng) {
        // Vectors were refused before.
        let SampleShape::Image { height, width, .. } = *facts.shape() else { return };
        for sample in samples.chunks_exact_mut(facts.shape().inputs()) {
            let (rows, columns) = match self {
                Self::Square(share) => {
                    let side = side(*share, height, width);
                    let top = random.random_range(0..=height - side);
                    let left = random.random_range(0..=width - side);
                    (top..top + side, left..left + side)
                }
                Self::LowerHalf => (height.div_ceil(2)..height, 0..width),
            };
            for channel in sample.chunks_exact_mut(height * width) {
                for row in rows.clone() {
                    channel[row * width..][columns.clone()].fill(0.0);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use framework::random::Streams;

    use super::*;
    use crate::support::testing::settings;

    const COLOUR: SampleShape = SampleShape::Image { channels: 3, height: 7, width: 10 };

    fn built(text: &str) -> Result<Box<dyn Corruption>, String> {
        (PLUGIN.build)(&settings(text)).map_err(|problems| problems[0].to_string())
    }

    /// Images of 3s after a corruption.
    fn corrupted(text: &str, shape: &SampleShape, images: usize) -> Vec<f32> {
        let mut samples = vec![3.0; images * shape.inputs()];
        let facts = SampleFacts::new(*shape, None);
        let random = &mut Streams::new(1).stream("test");
        built(text).unwrap().corrupt(&mut samples, &facts, random);
        samples
    }

    /// Wrong if the hole were no square of the right side, differed by channel, or changed what is around it.
    #[test]
    fn a_square_of_the_share_is_cut_out_of_all_channels() {
        // √(0.2 · 70) is 3.74.
        for image in corrupted("share = 0.2", &COLOUR, 200).chunks(210) {
            let holes = |channel: &[f32]| -> Vec<usize> {
                (0..70).filter(|pixel| channel[*pixel] == 0.0).collect()
            };
            let first = holes(&image[..70]);
            let (top, left) = (first[0] / 10, first[0] % 10);
            let square: Vec<usize> =
                (0..16).map(|at| (top + at / 4) * 10 + left + at % 4).collect();
            assert_eq!(first, square);
            assert!(left + 4 <= 10, "it does not go over the edge");
            assert!(image.chunks(70).all(|channel| holes(channel) == first));
            assert!(image.iter().all(|value| [0.0, 3.0].contains(value)));
        }
    }

    /// Wrong if a place were left out or came more often than others, or if samples shared it.
    #[test]
    fn every_place_is_as_likely() {
        let shape = SampleShape::Image { channels: 1, height: 3, width: 4 };
        let images = corrupted("share = 0.34", &shape, 60_000);
        let mut counts = [0; 12];
        for image in images.chunks(12) {
            counts[image.iter().position(|value| *value == 0.0).unwrap()] += 1;
        }
        // A square of side 2 has two places from top to bottom and three from left to right.
        for (at, count) in counts.into_iter().enumerate() {
            let right = if at < 8 && at % 4 < 3 { 10_000 } else { 0 };
            assert!(i32::abs(count - right) < 500, "{at}: {count}");
        }
    }

    /// Wrong if a side were 0, or longer than an image, or rounded down.
    #[test]
    fn the_side_is_rounded_and_stays_inside() {
        let side = |share: f64, height, width| side(share.try_into().unwrap(), height, width);
        assert_eq!([side(0.25, 28, 28), side(0.1, 28, 28), side(0.111, 28, 28)], [14, 9, 9]);
        assert_eq!([side(1e-9, 28, 28), side(0.999, 28, 28), side(0.5, 1, 64)], [1, 28, 1]);
    }

    /// Wrong if the upper half were cut off, or the middle row.
    #[test]
    fn the_lower_half_is_cut_off() {
        for image in corrupted("where = \"lower-half\"", &COLOUR, 2).chunks(70) {
            assert!(image[..40].iter().all(|value| *value == 3.0));
            assert!(image[40..].iter().all(|value| *value == 0.0));
        }
    }

    #[test]
    fn nothing_is_cut_out_for_a_share_of_0() {
        assert!(!built("share = 0").unwrap().is_any());
        assert!(built("share = 0.001").unwrap().is_any());
    }

    #[test]
    fn one_setting_is_given_and_it_fits_the_samples() {
        for (text, message) in [
            ("", "give `share`"),
            ("share = 0.1\nwhere = \"lower-half\"", "exclude each other"),
            ("share = 1", "a share of at least 0 and less than 1"),
            ("share = -0.1", "a share of at least 0 and less than 1"),
            ("where = \"upper-half\"", "lower-half"),
        ] {
            let said = built(text).err().unwrap();
            assert!(said.contains(message), "{text}: {said}");
        }
        let (square, half) =
            (built("share = 0.1").unwrap(), built("where = \"lower-half\"").unwrap());
        assert_eq!(square.fits(&SampleShape::Vector(64)).unwrap_err().key, "kind");
        let row = SampleShape::Image { channels: 1, height: 1, width: 64 };
        assert!(square.fits(&row).is_ok());
        assert_eq!(half.fits(&row).unwrap_err().key, "where");
        assert!(half.fits(&COLOUR).is_ok());
    }
}
