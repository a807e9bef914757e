//! Digits: 1,797 grey 8 × 8 images of handwritten digits, embedded in the program. Rows 0 to 1436
//! train and rows 1437 to 1796 test; pixels are the counts of the data, 0 to 16, divided by 16.
//! Source: Alpaydin and Kaynak 1998, <https://doi.org/10.24432/C50P49>; see `plugins/data/NOTICE`.

use std::io::Read;
use std::sync::OnceLock;

use flate2::read::GzDecoder;
use framework::linkme::distributed_slice;
use framework::plugin::{
    ALIASES, Alias, DATASETS, Data, Dataset, Meant, Plugin, SampleShape, Split, Unfit,
};
use framework::shared::Shared;
use framework::spec::{Settings, schema_of};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const COMPRESSED: &[u8] = include_bytes!("../../data/digits.csv.gz");
const SIDE: usize = 8;
const PIXELS: usize = SIDE * SIDE;
const TRAIN_ROWS: usize = 1437;

/// The greatest count of a pixel; a power of two, so that the division is exact.
const WHITE: f32 = 16.0;

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Digits {}

#[distributed_slice(DATASETS)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Dataset> = Plugin {
    name: "digits",
    about: "1,797 embedded 8 × 8 images of handwritten digits, labelled",
    example: "",
    build: |settings| Ok(Box::new(settings.read::<Digits>()?)),
    schema: schema_of::<Digits>,
};

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["load-digits", "optdigits", "uci-digits", "sklearn-digits"],
    meant: Meant::Plugin { kind: "dataset", name: "digits" },
    about: "scikit-learn's digits are embedded in the program: the dataset `digits`",
    lines: "[dataset]\n\
            kind = \"digits\"",
};

impl Dataset for Digits {
    fn open(&self, _: &Settings, _: &Shared) -> Result<Box<dyn Data>, Unfit> {
        static IMAGES: OnceLock<Images> = OnceLock::new();
        Ok(Box::new(IMAGES.get_or_init(decode)))
    }

    fn input(&self) -> &'static str {
        "pixel"
    }
}

struct Images {
    /// [rows, pixels], from 0 to 1.
    pixels: Vec<f32>,
    /// [rows].
    labels: Vec<u32>,
    class_names: Vec<String>,
}

/// Unpacks the embedded file, lines of 64 pixels and a label.
fn decode() -> Images {
    let mut text = String::new();
    let unpacked = GzDecoder::new(COMPRESSED).read_to_string(&mut text);
    unpacked.expect("the embedded digits are whole: a test reads them");
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let numbers = line.split(',').map(|number| {
            number.parse::<u8>().expect("the embedded digits are numbers: a test reads them")
        });
        let start = pixels.len();
        pixels.extend(numbers.map(f32::from));
        labels.extend(pixels.pop().map(|label| label as u32));
        pixels[start..].iter_mut().for_each(|pixel| *pixel /= WHITE);
    }
    Images { pixels, labels, class_names: (0..10).map(|digit| digit.to_string()).collect() }
}

/// The rows of the file that make up a part.
fn range(split: Split, rows: usize) -> std::ops::Range<usize> {
    match split {
        Split::Train => 0..TRAIN_ROWS,
        Split::Test => TRAIN_ROWS..rows,
    }
}

impl Data for &'static Images {
    fn shape(&self) -> SampleShape {
        SampleShape::Image { channels: 1, height: SIDE, width: SIDE }
    }

    fn rows(&self, split: Split) -> usize {
        range(split, self.labels.len()).len()
    }

    fn gather(&self, split: Split, rows: &[usize], out: &mut [f32]) -> Result<(), String> {
        let part = range(split, self.labels.len());
        let part = &self.pixels[part.start * PIXELS..part.end * PIXELS];
        for (row, out) in rows.iter().zip(out.chunks_exact_mut(PIXELS)) {
            out.copy_from_slice(&part[row * PIXELS..][..PIXELS]);
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        size_of_val(self.pixels.as_slice()) as u64
    }

    fn range(&self) -> Option<(f32, f32)> {
        Some((0.0, 1.0))
    }

    fn labels(&self, split: Split) -> Option<&[u32]> {
        Some(&self.labels[range(split, self.labels.len())])
    }

    fn class_names(&self) -> &[String] {
        &self.class_names
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::testing::{open, rows};

    #[test]
    fn the_parts_have_their_sizes_and_every_pixel_its_range() {
        let data = open(&PLUGIN, "").unwrap();
        assert_eq!((data.rows(Split::Train), data.rows(Split::Test)), (1437, 360));
        assert_eq!(data.shape(), SampleShape::Image { channels: 1, height: 8, width: 8 });
        for split in [Split::Train, Split::Test] {
            let all: Vec<usize> = (0..data.rows(split)).collect();
            let pixels = rows(&*data, split, &all);
            assert!(pixels.iter().all(|pixel| (0.0..=1.0).contains(pixel)));
            assert!(pixels.iter().all(|pixel| (pixel * WHITE).fract() == 0.0));
            assert!(pixels.contains(&1.0) && pixels.contains(&0.0));
        }
    }

    #[test]
    fn the_first_image_is_the_zero_of_the_file() {
        let data = open(&PLUGIN, "").unwrap();
        let first = rows(&*data, Split::Train, &[0]);
        assert_eq!(first[..8], [0.0, 0.0, 0.3125, 0.8125, 0.5625, 0.0625, 0.0, 0.0]);
        assert_eq!(first[56..], [0.0, 0.0, 0.375, 0.8125, 0.625, 0.0, 0.0, 0.0]);
        assert_eq!(data.labels(Split::Train).unwrap()[..3], [0, 1, 2]);
    }

    #[test]
    fn rows_come_in_the_order_they_are_asked_for() {
        let data = open(&PLUGIN, "").unwrap();
        let (one, other) = (rows(&*data, Split::Test, &[7]), rows(&*data, Split::Test, &[359]));
        assert_eq!(rows(&*data, Split::Test, &[359, 7, 359]), [&other[..], &one, &other].concat());
    }

    #[test]
    fn every_digit_is_there_as_often_as_the_notice_says() {
        let data = open(&PLUGIN, "").unwrap();
        let mut counts = [0; 10];
        for split in [Split::Train, Split::Test] {
            data.labels(split).unwrap().iter().for_each(|label| counts[*label as usize] += 1);
        }
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        assert_eq!(data.class_names()[9], "9");
    }
}
