//! Waves: sines of three frequencies, one for each class. Phases and heights change from row to row by
//! irrational steps. The data is small, the same on every call, and needs no file.

use std::f64::consts::TAU;
use std::fs::File;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use framework::linkme::distributed_slice;
use framework::plugin::{DATASETS, Data, Dataset, Plugin, SampleShape, Split, Unfit};
use framework::shared::Shared;
use framework::spec::{Settings, schema_of};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Waves {
    /// Numbers a sample.
    #[serde(default = "inputs")]
    inputs: NonZeroUsize,
    /// Training rows.
    #[serde(default = "train")]
    train: NonZeroUsize,
    /// Test rows.
    #[serde(default = "test")]
    test: NonZeroUsize,
    /// Whether each row has its frequency as a label.
    #[serde(default)]
    labels: bool,
    /// The training row whose first number is NaN: broken data, to try what becomes of it.
    nan_at: Option<usize>,
    /// A file. The data is not opened while it is there, as on a disk of the network that hangs; a file of
    /// the same name with the extension `seen` says that somebody waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_by: Option<PathBuf>,
}

fn inputs() -> NonZeroUsize {
    const { NonZeroUsize::new(8).unwrap() }
}

fn train() -> NonZeroUsize {
    const { NonZeroUsize::new(96).unwrap() }
}

fn test() -> NonZeroUsize {
    const { NonZeroUsize::new(32).unwrap() }
}

#[distributed_slice(DATASETS)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Dataset> = Plugin {
    name: "waves",
    about: "sines of three frequencies, made on the spot",
    example: "inputs = 8",
    build: |settings| Ok(Box::new(settings.read::<Waves>()?)),
    schema: schema_of::<Waves>,
};

const CLASSES: [&str; 3] = ["slow", "middle", "fast"];

impl Dataset for Waves {
    fn open(&self, _: &Settings, _: &Shared) -> Result<Box<dyn Data>, Unfit> {
        if let Some(held_by) = &self.held_by {
            let _ = File::create(held_by.with_extension("seen"));
            while held_by.exists() {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
        let (inputs, train, test) = (self.inputs.get(), self.train.get(), self.test.get());
        let mut training: Vec<f32> = (0..train).flat_map(|row| wave(row, inputs)).collect();
        if let Some(row) = self.nan_at {
            if row >= train {
                let message = format!("there are {train} training rows, got {row}");
                return Err(Unfit::new("nan_at", message));
            }
            training[row * inputs] = f32::NAN;
        }
        let rows = [0..train, train..train + test];
        let labels = rows.map(|rows| rows.map(|row| (row % CLASSES.len()) as u32).collect());
        Ok(Box::new(Opened {
            inputs,
            samples: [training, (train..train + test).flat_map(|row| wave(row, inputs)).collect()],
            labels: self.labels.then_some(labels),
            class_names: CLASSES.map(str::to_owned).to_vec(),
        }))
    }
}

/// The row `row` of all rows, the test rows after the training rows.
fn wave(row: usize, inputs: usize) -> impl Iterator<Item = f32> {
    let step = |by: f64| (row as f64 * by).fract();
    let (phase, height) = (step(0.618_033_988_749_895), 0.5 + 0.5 * step(0.754_877_666_246_693));
    let turns = (row % CLASSES.len() + 1) as f64;
    (0..inputs)
        .map(move |at| (height * (TAU * (turns * at as f64 / inputs as f64 + phase)).sin()) as f32)
}

struct Opened {
    inputs: usize,
    samples: [Vec<f32>; 2],
    labels: Option<[Vec<u32>; 2]>,
    class_names: Vec<String>,
}

/// The place of a part in an array of both.
const fn part(split: Split) -> usize {
    match split {
        Split::Train => 0,
        Split::Test => 1,
    }
}

impl Data for Opened {
    fn shape(&self) -> SampleShape {
        SampleShape::Vector(self.inputs)
    }

    fn rows(&self, split: Split) -> usize {
        self.samples[part(split)].len() / self.inputs
    }

    fn gather(&self, split: Split, rows: &[usize], out: &mut [f32]) -> Result<(), String> {
        let samples = &self.samples[part(split)];
        for (row, out) in rows.iter().zip(out.chunks_exact_mut(self.inputs)) {
            out.copy_from_slice(&samples[row * self.inputs..(row + 1) * self.inputs]);
        }
        Ok(())
    }

    fn range(&self) -> Option<(f32, f32)> {
        Some((-1.0, 1.0))
    }

    fn labels(&self, split: Split) -> Option<&[u32]> {
        self.labels.as_ref().map(|labels| &*labels[part(split)])
    }

    fn class_names(&self) -> &[String] {
        if self.labels.is_some() { &self.class_names } else { &[] }
    }
}
