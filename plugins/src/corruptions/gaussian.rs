//! Gaussian noise.

use framework::linkme::distributed_slice;
use framework::plugin::{ALIASES, Alias, CORRUPTIONS, Corruption, Meant, Plugin, SampleFacts};
use framework::random::ChaCha8Rng;
use framework::spec::numbers::Strength;
use framework::spec::schema_of;
use rand::RngExt;
use rand_distr::StandardNormal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Normal noise is added to each input by itself, and nothing is clipped: a denoising autoencoder. New
/// noise is drawn for each sample in each epoch.
///
/// Source: Vincent et al. 2010, Stacked Denoising Autoencoders.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Gaussian {
    /// Standard deviation of the noise, in the units that the encoder sees: those after `normalize`.
    sigma: Strength,
}

#[distributed_slice(CORRUPTIONS)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Corruption> = Plugin {
    name: "gaussian",
    about: "normal noise on each input",
    example: "sigma = 0.3",
    build: |settings| Ok(Box::new(settings.read::<Gaussian>()?)),
    schema: schema_of::<Gaussian>,
};

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["gaussian-noise", "normal-noise", "additive-noise"],
    meant: Meant::Plugin { kind: "corruption", name: "gaussian" },
    about: "the corruption `gaussian`; `sigma` is the standard deviation, in the units after `normalize`",
    lines: "[corruption]\n\
            kind = \"gaussian\"\n\
            sigma = 0.3",
};

impl Corruption for Gaussian {
    fn corrupt(&self, samples: &mut [f32], _: &SampleFacts, random: &mut ChaCha8Rng) {
        let sigma = self.sigma.get() as f32;
        for value in samples {
            *value += sigma * random.sample::<f32, _>(StandardNormal);
        }
    }
}

#[cfg(test)]
mod tests {
    use framework::plugin::SampleShape;
    use framework::random::Streams;

    use super::*;

    /// Wrong if the noise had another mean or deviation, were clipped, or were shared by inputs.
    #[test]
    fn the_noise_is_normal_around_each_input() {
        let gaussian = Gaussian { sigma: 0.5.try_into().unwrap() };
        let facts = SampleFacts::new(SampleShape::Vector(2), None);
        let count = 100_000;
        let mut samples: Vec<f32> = [0.0, 1.0].repeat(count);
        gaussian.corrupt(&mut samples, &facts, &mut Streams::new(1).stream("test"));
        let noise: Vec<[f64; 2]> = samples
            .chunks_exact(2)
            .map(|pair| [f64::from(pair[0]), f64::from(pair[1]) - 1.0])
            .collect();
        let mean = |f: fn(&[f64; 2]) -> f64| noise.iter().map(f).sum::<f64>() / count as f64;
        // Some five standard errors of each.
        for (what, got, right, tolerance) in [
            ("mean", mean(|pair| pair[0]), 0.0, 0.008),
            ("mean", mean(|pair| pair[1]), 0.0, 0.008),
            ("variance", mean(|pair| pair[0] * pair[0]), 0.25, 0.006),
            ("variance", mean(|pair| pair[1] * pair[1]), 0.25, 0.006),
            ("covariance", mean(|pair| pair[0] * pair[1]), 0.0, 0.004),
        ] {
            assert!((got - right).abs() < tolerance, "{what}: {got}, not {right}");
        }
        let beyond = |sigmas: f64| {
            let is_beyond = |pair: &&[f64; 2]| pair[0].abs() > sigmas * 0.5;
            noise.iter().filter(is_beyond).count() as f64 / count as f64
        };
        assert!((beyond(1.0) - 0.3173).abs() < 0.008 && (beyond(2.0) - 0.0455).abs() < 0.004);
    }
}
