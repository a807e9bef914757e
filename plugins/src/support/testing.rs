//! What the unit tests of several plugins need.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use framework::diagnostics::Source;
use framework::plugin::{
    Coder, Codes, Data, DataFacts, Dataset, EvaluatedBatch, Evaluation, L0Rule, Measured,
    OwnedCodes, Plugin, Role, SampleShape, Split, Spread, Subject, Truth, Unfit, When,
};
use framework::random::Streams;
use framework::shared::Shared;
use framework::spec::{Settings, parse};
use framework::train::Model;

/// Settings as the text of a TOML file in the folder `base` gives them.
pub fn settings_in(base: &Path, text: &str) -> Settings {
    let source = Source {
        name: "test.toml".into(),
        base: base.to_owned(),
        text: text.into(),
        is_private: false,
    };
    Settings::new("test", parse(&Arc::new(source)).unwrap())
}

/// Settings of a text that names no file.
pub fn settings(text: &str) -> Settings {
    settings_in(&PathBuf::new(), text)
}

/// The data of settings that build.
pub fn open(plugin: &Plugin<dyn Dataset>, text: &str) -> Result<Box<dyn Data>, Unfit> {
    open_in(plugin, &PathBuf::new(), text)
}

/// The data of settings that build, whose files are in `base`.
pub fn open_in(
    plugin: &Plugin<dyn Dataset>,
    base: &Path,
    text: &str,
) -> Result<Box<dyn Data>, Unfit> {
    let settings = settings_in(base, text);
    (plugin.build)(&settings).unwrap().open(&settings, &Shared::default())
}

/// Samples of a part, [rows, inputs].
pub fn rows(data: &dyn Data, split: Split, rows: &[usize]) -> Vec<f32> {
    let mut out = vec![f32::NAN; rows.len() * data.shape().inputs()];
    data.gather(split, rows, &mut out).unwrap();
    out
}

/// Samples of a part and what a model made of them; what a test does not name is filled with 0.
#[derive(Default)]
pub struct Samples {
    pub x: Vec<f32>,
    pub x_hat: Vec<f32>,
    /// As `x_hat` where it is left empty.
    pub x_hat_thresholded: Vec<f32>,
    /// One number a sample; of a model trained on the squared error where it is left empty.
    pub objective: Vec<f64>,
    /// One number a sample; of an architecture that does not offer it where it is left empty.
    pub jacobian_norms: Vec<f64>,
    /// One number a sample and latent; of an architecture that does not offer it where it is left empty.
    pub kl_prior: Vec<f64>,
    pub code: Vec<f32>,
    pub labels: Option<Vec<u32>>,
}

/// Data and a model on it, for the tests of evaluations.
pub struct Case {
    pub inputs: usize,
    pub latents: usize,
    pub l0_rule: L0Rule,
    pub rests_at_zero: bool,
    pub dictionary: Option<Vec<f32>>,
    pub group_size: Option<usize>,
    pub truth: Option<Truth>,
    pub class_names: Vec<String>,
    pub train: Samples,
    pub test: Samples,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            inputs: 1,
            latents: 1,
            l0_rule: L0Rule::Nonzero,
            rests_at_zero: true,
            dictionary: None,
            group_size: None,
            truth: None,
            class_names: Vec::new(),
            train: Samples::default(),
            test: Samples::default(),
        }
    }
}

impl Case {
    fn samples(&self, split: Split) -> &Samples {
        match split {
            Split::Train => &self.train,
            Split::Test => &self.test,
        }
    }
}

impl Data for Case {
    fn shape(&self) -> SampleShape {
        SampleShape::Vector(self.inputs)
    }

    fn rows(&self, split: Split) -> usize {
        let samples = self.samples(split);
        (samples.x.len() / self.inputs).max(samples.code.len() / self.latents)
    }

    fn gather(&self, split: Split, rows: &[usize], out: &mut [f32]) -> Result<(), String> {
        let x = &self.samples(split).x;
        for (row, out) in rows.iter().zip(out.chunks_exact_mut(self.inputs)) {
            match x.get(row * self.inputs..(row + 1) * self.inputs) {
                Some(x) => out.copy_from_slice(x),
                None => out.fill(0.0),
            }
        }
        Ok(())
    }

    fn labels(&self, split: Split) -> Option<&[u32]> {
        self.samples(split).labels.as_deref()
    }

    fn class_names(&self) -> &[String] {
        &self.class_names
    }

    fn truth(&self) -> Option<&Truth> {
        self.truth.as_ref()
    }
}

/// A model that codes a sample as its first numbers, as many as there are latents, and decodes likewise.
impl Coder for Case {
    fn encode(&self, x: &[f32]) -> OwnedCodes {
        let values = resized(x, self.inputs, self.latents);
        OwnedCodes::Dense { latents: self.latents, values }
    }

    fn reconstruct(&self, x: &[f32]) -> Vec<f32> {
        self.decode(self.encode(x).view())
    }

    fn decode(&self, codes: Codes<'_>) -> Vec<f32> {
        resized(&codes.to_dense(), self.latents, self.inputs)
    }

    fn dictionary(&self) -> Option<&[f32]> {
        self.dictionary.as_deref()
    }

    fn group_size(&self) -> Option<usize> {
        self.group_size
    }

    fn jacobian_norms(&self, batch: &EvaluatedBatch<'_>, _: When) -> Option<Vec<f64>> {
        let norms = &self.samples(batch.split).jacobian_norms;
        Some(norms.get(batch.first..batch.first + batch.rows)?.to_vec())
    }

    fn kl_prior(&self, batch: &EvaluatedBatch<'_>) -> Option<Vec<f64>> {
        let all = &self.samples(batch.split).kl_prior;
        let rows = batch.first * self.latents..(batch.first + batch.rows) * self.latents;
        Some(all.get(rows)?.to_vec())
    }

    fn whole(&self) -> Option<&Model<'_>> {
        None
    }
}

/// Rows of another width: cut off, or filled with 0.
fn resized(rows: &[f32], from: usize, to: usize) -> Vec<f32> {
    let resize = |row: &[f32]| (0..to).map(|at| row.get(at).copied().unwrap_or(0.0)).collect();
    rows.chunks_exact(from).flat_map(|row| -> Vec<f32> { resize(row) }).collect()
}

/// What an evaluation finds on a case, in batches of `batch` samples. Codes in full and codes without
/// their zeros give the same.
pub fn measure(plugin: &Plugin<dyn Evaluation>, text: &str, case: &Case, batch: usize) -> Measured {
    let found = measure_form(plugin, text, case, batch, false);
    assert_eq!(measure_form(plugin, text, case, batch, true), found, "from sparse codes");
    found
}

fn measure_form(
    plugin: &Plugin<dyn Evaluation>,
    text: &str,
    case: &Case,
    batch: usize,
    sparse: bool,
) -> Measured {
    let evaluation = (plugin.build)(&settings(text)).unwrap();
    let subject = Subject {
        data: case,
        facts: &DataFacts::default(),
        test_spread: &Spread::of(case, Split::Test).unwrap(),
        inputs: case.inputs,
        latents: case.latents,
        l0_rule: case.l0_rule,
        rests_at_zero: case.rests_at_zero,
        model: case,
        streams: Streams::new(0),
        role: Role { name: plugin.name, settings: text },
        corruption: None,
        when: When::End,
    };
    let mut measure = evaluation.start(&subject).unwrap();
    for split in evaluation.splits() {
        let samples = case.samples(*split);
        let rows = case.rows(*split);
        let filled = |values: &[f32], width: usize| {
            if values.is_empty() { vec![0.0; rows * width] } else { values.to_vec() }
        };
        let (x, x_hat) = (filled(&samples.x, case.inputs), filled(&samples.x_hat, case.inputs));
        let thresholded = Some(&samples.x_hat_thresholded).filter(|values| !values.is_empty());
        let code = filled(&samples.code, case.latents);
        for start in (0..rows).step_by(batch) {
            let end = rows.min(start + batch);
            let inputs = start * case.inputs..end * case.inputs;
            let values = &code[start * case.latents..end * case.latents];
            let dense = Codes::Dense { latents: case.latents, values };
            let entries = ListedEntries::of(dense);
            let batch = EvaluatedBatch {
                split: *split,
                first: start,
                rows: end - start,
                x: &x[inputs.clone()],
                x_hat: &x_hat[inputs.clone()],
                x_hat_thresholded: thresholded.map(|values| &values[inputs]),
                objective: samples.objective.get(start..end),
                code: if sparse { entries.codes(case.latents) } else { dense },
                labels: samples.labels.as_ref().map(|labels| &labels[start..end]),
            };
            measure.batch(&subject, &batch);
        }
    }
    measure.finish(&subject).unwrap()
}

/// Does something with so many threads.
pub fn in_pool<T: Send>(threads: usize, f: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(f)
}

/// What [`Codes::Sparse`] borrows.
struct ListedEntries {
    starts: Vec<usize>,
    lengths: Vec<u32>,
    indices: Vec<u32>,
    values: Vec<f32>,
}

impl ListedEntries {
    /// Lists with a gap after each row.
    fn of(dense: Codes<'_>) -> Self {
        let mut lengths = vec![0; dense.rows()];
        let (mut starts, mut indices, mut values) = (vec![0; dense.rows()], vec![], vec![]);
        dense.for_each_nonzero(|row, latent, value| {
            if lengths[row] == 0 {
                indices.push(u32::MAX);
                values.push(f32::NAN);
                starts[row] = values.len();
            }
            indices.push(latent as u32);
            values.push(value);
            lengths[row] += 1;
        });
        Self { starts, lengths, indices, values }
    }

    fn codes(&self, latents: usize) -> Codes<'_> {
        let Self { starts, lengths, indices, values } = self;
        Codes::Sparse { latents, starts, lengths, indices, values }
    }
}

/// Looking numbers up by their names.
pub trait ByName {
    fn value(&self, name: &str) -> Option<f64>;
    fn column(&self, name: &str) -> &[Option<f64>];
}

impl ByName for Measured {
    fn value(&self, name: &str) -> Option<f64> {
        self.metrics.iter().find(|metric| metric.name == name).unwrap().value
    }

    fn column(&self, name: &str) -> &[Option<f64>] {
        &self.latents.iter().find(|column| column.name == name).unwrap().values
    }
}

/// Numbers between -1 and 1 in no order, always the same.
pub fn uneven(count: usize) -> Vec<f32> {
    let mut state = 0.5_f64;
    let next = |_| {
        state = (state * 997.0 + 0.618_033_988_749).fract();
        (2.0 * state - 1.0) as f32
    };
    (0..count).map(next).collect()
}
