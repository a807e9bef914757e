//! Sparse dictionary: synthetic data whose true features are known. A sample is x = Σ a_g · g, plus
//! noise: each of the features g, random directions of norm 1, is active by itself with the same
//! probability, and its coefficient a_g is then uniform. Source: Sharkey et al. 2022, "Taking
//! features out of superposition with sparse autoencoders", without its correlations.
//!
//! Rows are made as they are asked for and never kept. Each has a random stream of its own, so that
//! a row is the same in whatever order, and with however many others, it is asked for.

use std::num::NonZeroUsize;

use framework::linkme::distributed_slice;
use framework::plugin::{
    ALIASES, Alias, DATASETS, Data, Dataset, Decides, Meant, Plugin, SampleShape, Split, Truth,
    Unfit,
};
use framework::rand::{Rng, RngExt};
use framework::random::Streams;
use framework::shared::Shared;
use framework::spec::numbers::{Positive, Strength};
use framework::spec::{Settings, schema_of};
use rand_distr::{Geometric, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most numbers that the features may have together, 4 GiB, and the most rows of a part.
const MOST: usize = 1 << 30;

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SparseDictionary {
    /// How many numbers a sample has.
    inputs: NonZeroUsize,
    /// How many true features there are; more than `inputs` puts them in superposition.
    features: NonZeroUsize,
    /// The mean number of active features of a sample; the number itself varies, as each feature is
    /// active by itself with probability `active` / `features`.
    active: Positive,
    /// The least coefficient of an active feature.
    #[serde(default = "zero")]
    coefficient_min: Strength,
    /// The greatest. Between the two, coefficients are uniform.
    #[serde(default = "one")]
    coefficient_max: Positive,
    /// The standard deviation of the normal noise that is added to every number.
    #[serde(default = "zero")]
    noise: Strength,
    /// How many samples train.
    #[serde(default = "default_train")]
    train: NonZeroUsize,
    /// How many samples test.
    #[serde(default = "default_test")]
    test: NonZeroUsize,
    /// Decides the features and every sample; the seeds of the runs do not.
    #[serde(default)]
    seed: u64,
}

fn zero() -> Strength {
    Strength::try_from(0.0).expect("0 is at least 0")
}

fn one() -> Positive {
    Positive::try_from(1.0).expect("1 is greater than 0")
}

fn default_train() -> NonZeroUsize {
    const { NonZeroUsize::new(50_000).unwrap() }
}

fn default_test() -> NonZeroUsize {
    const { NonZeroUsize::new(5_000).unwrap() }
}

#[distributed_slice(DATASETS)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Dataset> = Plugin {
    name: "sparse-dictionary",
    about: "synthetic sparse sums of known features",
    example: "inputs = 8\nfeatures = 16\nactive = 2\ntrain = 64\ntest = 32",
    build: |settings| {
        let read = settings.read::<SparseDictionary>()?;
        match read.check() {
            Ok(()) => Ok(Box::new(read)),
            Err(unfit) => Err(vec![settings.problem(unfit.key, unfit.message)]),
        }
    },
    schema: schema_of::<SparseDictionary>,
};

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["synthetic", "toy", "toy-data", "toy-model"],
    meant: Meant::Plugin { kind: "dataset", name: "sparse-dictionary" },
    about: "the dataset `sparse-dictionary` is made from known features, which the evaluation `recovery` looks for",
    lines: "[dataset]\n\
            kind = \"sparse-dictionary\"\n\
            inputs = 64\n\
            features = 128\n\
            active = 4\n\
            train = 10000\n\
            test = 1000",
};

impl SparseDictionary {
    /// Whether the settings fit each other.
    fn check(&self) -> Result<(), Unfit> {
        let (features, active) = (self.features.get(), self.active.get());
        if active > features as f64 {
            let message = format!("of {features} features at most all can be active, got {active}");
            return Err(Unfit::new("active", message));
        }
        let (min, max) = (self.coefficient_min.get(), self.coefficient_max.get());
        if min > max {
            let message = format!("expected at most `coefficient_max`, which is {max}, got {min}");
            return Err(Unfit::new("coefficient_min", message));
        }
        if self.inputs.get().checked_mul(features).is_none_or(|numbers| numbers > MOST) {
            let message = format!(
                "`inputs` times `features` is at most {MOST}, got {features} features of {}",
                self.inputs
            );
            return Err(Unfit::new("features", message));
        }
        for (key, rows) in [("train", self.train), ("test", self.test)] {
            if rows.get() > MOST {
                let message = format!("a part has at most {MOST} rows, got {rows}");
                return Err(Unfit::new(key, message));
            }
        }
        Ok(())
    }
}

impl Dataset for SparseDictionary {
    fn open(&self, _: &Settings, _: &Shared) -> Result<Box<dyn Data>, Unfit> {
        let streams = Streams::new(self.seed);
        let truth =
            Truth { features: directions(self.features.get(), self.inputs.get(), &streams) };
        Ok(Box::new(Generated { settings: self.clone(), streams, truth }))
    }

    fn decides(&self, key: &str, _: &dyn Fn(&str) -> bool) -> Decides {
        // Test samples are made by themselves.
        if key == "train" { Decides::Training } else { Decides::Test }
    }
}

/// Directions that are uniform on the sphere, [features, inputs].
fn directions(features: usize, inputs: usize, streams: &Streams) -> Vec<f32> {
    let mut random = streams.stream("sparse-dictionary/features");
    let mut directions = Vec::with_capacity(features * inputs);
    let mut direction = vec![0.0_f64; inputs];
    for _ in 0..features {
        let norm = loop {
            direction.iter_mut().for_each(|value| *value = random.sample(StandardNormal));
            let norm = direction.iter().map(|value| value * value).sum::<f64>().sqrt();
            if norm > 1e-6 {
                break norm;
            }
        };
        directions.extend(direction.iter().map(|value| (value / norm) as f32));
    }
    directions
}

/// Samples that are made as they are asked for.
struct Generated {
    settings: SparseDictionary,
    streams: Streams,
    truth: Truth,
}

impl Generated {
    fn stream(&self, split: Split, row: usize) -> impl Rng {
        let part = match split {
            Split::Train => "train",
            Split::Test => "test",
        };
        self.streams.stream(&format!("sparse-dictionary/{part}/{row}"))
    }

    /// Calls `each` with every active feature of a sample and its coefficient. The gaps between
    /// features that are active by themselves are geometric: silent features cost nothing.
    fn active(&self, random: &mut impl Rng, mut each: impl FnMut(usize, f64)) {
        let settings = &self.settings;
        let features = settings.features.get();
        let share = settings.active.get() / features as f64;
        let Ok(gap) = Geometric::new(share) else { return };
        let (min, max) = (settings.coefficient_min.get(), settings.coefficient_max.get());
        let mut next = 0_u64;
        loop {
            next = next.saturating_add(random.sample(gap));
            let Some(feature) = usize::try_from(next).ok().filter(|next| *next < features) else {
                return;
            };
            each(feature, min + (max - min) * random.random::<f64>());
            next += 1;
        }
    }

    fn sample(&self, split: Split, row: usize, sum: &mut [f64]) {
        let inputs = sum.len();
        sum.fill(0.0);
        let mut random = self.stream(split, row);
        self.active(&mut random, |feature, coefficient| {
            let direction = &self.truth.features[feature * inputs..][..inputs];
            sum.iter_mut().zip(direction).for_each(|(x, g)| *x += coefficient * f64::from(*g));
        });
        let noise = self.settings.noise.get();
        if noise > 0.0 {
            sum.iter_mut().for_each(|x| *x += noise * random.sample::<f64, _>(StandardNormal));
        }
    }
}

impl Data for Generated {
    fn shape(&self) -> SampleShape {
        SampleShape::Vector(self.settings.inputs.get())
    }

    fn rows(&self, split: Split) -> usize {
        match split {
            Split::Train => self.settings.train.get(),
            Split::Test => self.settings.test.get(),
        }
    }

    fn gather(&self, split: Split, rows: &[usize], out: &mut [f32]) -> Result<(), String> {
        let inputs = self.settings.inputs.get();
        let mut sum = vec![0.0; inputs];
        for (row, out) in rows.iter().zip(out.chunks_exact_mut(inputs)) {
            self.sample(split, *row, &mut sum);
            out.iter_mut().zip(&sum).for_each(|(out, x)| *out = *x as f32);
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        size_of_val(self.truth.features.as_slice()) as u64
    }

    fn truth(&self) -> Option<&Truth> {
        Some(&self.truth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::testing::{open, rows, settings};

    const SMALL: &str = "inputs = 5\nfeatures = 9\nactive = 2\ntrain = 40\ntest = 40\n";

    fn data(text: &str) -> Box<dyn Data> {
        open(&PLUGIN, text).unwrap()
    }

    fn generated(text: &str) -> Generated {
        let settings: SparseDictionary = settings(text).read().unwrap();
        let streams = Streams::new(settings.seed);
        let truth = Truth {
            features: directions(settings.features.get(), settings.inputs.get(), &streams),
        };
        Generated { settings, streams, truth }
    }

    /// The coefficients of a training row, [features].
    fn coefficients(data: &Generated, row: usize) -> Vec<f64> {
        let mut all = vec![0.0; data.settings.features.get()];
        let mut random = data.stream(Split::Train, row);
        data.active(&mut random, |feature, coefficient| all[feature] = coefficient);
        all
    }

    #[test]
    fn features_have_norm_1_and_differ() {
        let data = data(SMALL);
        let features: Vec<&[f32]> = data.truth().unwrap().features.chunks_exact(5).collect();
        assert_eq!(features.len(), 9);
        for (at, feature) in features.iter().enumerate() {
            let norm: f32 = feature.iter().map(|value| value * value).sum();
            assert!((norm - 1.0).abs() < 1e-6);
            assert!(!features[..at].contains(feature));
        }
    }

    #[test]
    fn a_row_is_the_same_in_whatever_order_and_company() {
        let (one, again) = (data(SMALL), data(SMALL));
        let all: Vec<usize> = (0..40).collect();
        let in_order = rows(&*one, Split::Test, &all);
        for row in [39, 0, 17] {
            let alone = rows(&*again, Split::Test, &[row]);
            assert_eq!(alone, in_order[row * 5..][..5]);
        }
        let mut backwards =
            rows(&*again, Split::Test, &all.iter().rev().copied().collect::<Vec<_>>());
        backwards = backwards.chunks_exact(5).rev().flatten().copied().collect();
        assert_eq!(backwards, in_order);
        assert_ne!(rows(&*one, Split::Train, &all), in_order);
    }

    #[test]
    fn the_seed_decides_all() {
        let (one, other) = (data(SMALL), data(&format!("{SMALL}seed = 1")));
        assert_ne!(one.truth(), other.truth());
        assert_ne!(rows(&*one, Split::Train, &[0, 1, 2]), rows(&*other, Split::Train, &[0, 1, 2]));
        let noisy = data(&format!("{SMALL}noise = 0.1"));
        assert_eq!(one.truth(), noisy.truth(), "noise moves no feature");
    }

    #[test]
    fn the_mean_number_of_active_features_is_as_set() {
        for (features, active) in [(50, 3.0), (50, 0.5), (4, 3.5), (7, 7.0), (1000, 20.0)] {
            let data = generated(&format!("inputs = 1\nfeatures = {features}\nactive = {active}"));
            let mut counts = vec![0; features];
            for row in 0..4000 {
                for (count, value) in counts.iter_mut().zip(coefficients(&data, row)) {
                    *count += usize::from(value != 0.0);
                }
            }
            let share = active / features as f64;
            let deviation = |trials: f64| (share * (1.0 - share) / trials).sqrt();
            let mean = counts.iter().sum::<usize>() as f64 / 4000.0 / features as f64;
            assert!((mean - share).abs() <= 4.0 * deviation(4000.0 * features as f64), "{mean}");
            let even =
                |count: &usize| (*count as f64 / 4000.0 - share).abs() <= 5.0 * deviation(4000.0);
            assert!(counts.iter().all(even), "features are active alike");
        }
    }

    #[test]
    fn coefficients_are_uniform_between_their_ends() {
        let text = format!("{SMALL}coefficient_min = 0.5\ncoefficient_max = 1.5");
        let data = generated(&text);
        let all: Vec<f64> = (0..4000).flat_map(|row| coefficients(&data, row)).collect();
        let active: Vec<f64> = all.into_iter().filter(|value| *value != 0.0).collect();
        assert!(active.iter().all(|value| (0.5..=1.5).contains(value)));
        let mean = active.iter().sum::<f64>() / active.len() as f64;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        let fixed = generated(&format!("{SMALL}coefficient_min = 1"));
        assert!(coefficients(&fixed, 3).iter().all(|value| *value == 0.0 || *value == 1.0));
    }

    #[test]
    fn a_sample_is_the_sum_of_its_features_and_noise_has_its_deviation() {
        let clean = generated("inputs = 3\nfeatures = 4\nactive = 2");
        let noisy = generated("inputs = 3\nfeatures = 4\nactive = 2\nnoise = 0.25");
        let mut squares = 0.0;
        for row in 0..2000 {
            let mut sum = [0.0; 3];
            for (feature, value) in coefficients(&clean, row).iter().enumerate() {
                let direction = &clean.truth.features[3 * feature..][..3];
                sum.iter_mut().zip(direction).for_each(|(x, g)| *x += value * f64::from(*g));
            }
            let (x, with_noise) =
                (rows(&clean, Split::Train, &[row]), rows(&noisy, Split::Train, &[row]));
            for at in 0..3 {
                assert!((f64::from(x[at]) - sum[at]).abs() < 1e-6);
                squares += f64::from(with_noise[at] - x[at]).powi(2) / 6000.0;
            }
        }
        assert!((squares.sqrt() - 0.25).abs() < 0.01, "{squares}");
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused_at_their_place() {
        let refused = |text: &str| {
            let problems = (PLUGIN.build)(&settings(text)).err().unwrap();
            problems[0].to_string()
        };
        let many = refused("inputs = 2\nfeatures = 3\nactive = 4");
        assert!(many.starts_with("test.toml:3:10: test: active: of 3 features"), "{many}");
        let ends = refused(&format!("{SMALL}coefficient_min = 2"));
        assert!(ends.contains("coefficient_min: expected at most `coefficient_max`"), "{ends}");
        let huge = refused("inputs = 1000000\nfeatures = 1000000\nactive = 1");
        assert!(huge.contains("features: `inputs` times `features` is at most"), "{huge}");
        let rows =
            refused(&format!("inputs = 1\nfeatures = 1\nactive = 1\ntest = {}", 1_u64 << 40));
        assert!(rows.contains("test: a part has at most"), "{rows}");
    }
}
