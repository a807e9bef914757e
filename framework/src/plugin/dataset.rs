//! Datasets: numbered samples of one shape, in a training and a test part.

use std::path::PathBuf;

use linkme::distributed_slice;
use rayon::prelude::*;

use super::{Plugin, Unfit};

use crate::shared::Shared;
use crate::spec::Settings;

/// Every registered dataset.
#[distributed_slice]
pub static DATASETS: [Plugin<dyn Dataset>];

/// The two parts of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// What is learnt from.
    Train,
    /// What is measured on.
    Test,
}

/// The shape of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SampleShape {
    /// A plain vector.
    Vector(usize),
    /// A picture, stored channel by channel, row by row.
    Image {
        /// 1 for grey, 3 for colour.
        channels: usize,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
}

impl SampleShape {
    /// How many numbers a sample has.
    pub const fn inputs(&self) -> usize {
        match self {
            Self::Vector(inputs) => *inputs,
            Self::Image { channels, height, width } => *channels * *height * *width,
        }
    }
}

/// What synthetic data was made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    /// The true features, [features, inputs], each of unit norm.
    pub features: Vec<f32>,
}

/// What a setting of a dataset decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decides {
    /// The test samples or their units: errors mean another thing where it differs.
    Test,
    /// The classes of samples.
    Labels,
    /// The training samples alone.
    Training,
    /// Where files lie: what they hold tells whether the data is the same.
    Place,
}

/// A dataset as settings describe it; its files are not open yet.
pub trait Dataset: Send + Sync {
    /// Opens the data, and checks all that can be checked without reading every value. `shared` is
    /// for data that all workers of a machine can have in memory together.
    ///
    /// # Errors
    /// A file that is missing or malformed, parts that overlap: at the setting that names it.
    fn open(&self, settings: &Settings, shared: &Shared) -> Result<Box<dyn Data>, Unfit>;

    /// What one number of a sample is called, as in "error per input".
    fn input(&self) -> &'static str {
        "input"
    }

    /// What a setting decides, beside the others that are given.
    fn decides(&self, key: &str, is_given: &dyn Fn(&str) -> bool) -> Decides {
        let _ = (key, is_given);
        Decides::Test
    }

    /// The settings that say where the files are, and nothing else: runs that differ in them alone, while
    /// the files hold the same, have the same results.
    fn places(&self) -> &'static [&'static str] {
        &[]
    }

    /// The files that the data is in, each with the setting that names it: whether they have changed
    /// since a run is told by their contents.
    fn files(&self, settings: &Settings) -> Vec<(&'static str, PathBuf)> {
        let _ = settings;
        Vec::new()
    }
}

/// Open data. Nothing requires it to fit in memory.
pub trait Data: Send + Sync {
    /// The shape of every sample.
    fn shape(&self) -> SampleShape;

    /// How many samples a part has.
    fn rows(&self, split: Split) -> usize;

    /// Writes the samples `rows` of a part to `out`, [rows, inputs].
    ///
    /// # Errors
    /// What went wrong while reading; the run fails with it.
    fn gather(&self, split: Split, rows: &[usize], out: &mut [f32]) -> Result<(), String>;

    /// How many bytes of memory a process that reads it needs for it, about.
    fn bytes(&self) -> u64 {
        0
    }

    /// The least and the greatest value a sample may hold, where there are such.
    fn range(&self) -> Option<(f32, f32)> {
        None
    }

    /// The class of each sample of a part.
    fn labels(&self, split: Split) -> Option<&[u32]> {
        let _ = split;
        None
    }

    /// The names of the classes; as many as there are classes.
    fn class_names(&self) -> &[String] {
        &[]
    }

    /// What the data was made from, where that is known.
    fn truth(&self) -> Option<&Truth> {
        None
    }
}

/// Rows that a thread gathers at once.
const ROWS_AT_ONCE: usize = 128;

/// Writes samples to `out` with all threads; of several errors the first row's.
pub(crate) fn gather(
    data: &dyn Data,
    split: Split,
    rows: &[usize],
    out: &mut [f32],
) -> Result<(), String> {
    let inputs = data.shape().inputs();
    let parts = rows.par_chunks(ROWS_AT_ONCE).zip(out.par_chunks_mut(ROWS_AT_ONCE * inputs));
    let failed = parts.find_map_first(|(rows, out)| data.gather(split, rows, out).err());
    failed.map_or(Ok(()), Err)
}
