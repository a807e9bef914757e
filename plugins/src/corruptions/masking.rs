//! Masking: some inputs are 0.

use framework::linkme::distributed_slice;
use framework::plugin::{ALIASES, Alias, CORRUPTIONS, Corruption, Meant, Plugin, SampleFacts};
use framework::random::ChaCha8Rng;
use framework::spec::numbers::Chance;
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::support::{change_at_random, threshold};

/// Each input is 0 with a probability, by itself: a denoising autoencoder that fills in what is missing.
///
/// Source: Vincent et al. 2010, Stacked Denoising Autoencoders.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Masking {
    /// Probability that an input is 0.
    rate: Chance,
    /// Whether what survives is divided by 1 − rate, as in dropout. Without it, a model learns to amplify, and
    /// its error on clean samples means little.
    #[serde(default)]
    rescale: bool,
}

#[distributed_slice(CORRUPTIONS)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Corruption> = Plugin {
    name: "masking",
    about: "inputs are 0 at random",
    example: "rate = 0.3",
    build: |settings| Ok(Box::new(settings.read::<Masking>()?)),
    schema: schema_of::<Masking>,
};

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["dropout", "mask", "masking-noise", "masked-autoencoder"],
    meant: Meant::Plugin { kind: "corruption", name: "masking" },
    about: "dropout of inputs is the corruption `masking`; with `rescale = true` what is left is divided by 1 − rate",
    lines: "[corruption]\n\
            kind = \"masking\"\n\
            rate = 0.3",
};

impl Corruption for Masking {
    fn corrupt(&self, samples: &mut [f32], _: &SampleFacts, random: &mut ChaCha8Rng) {
        let masked = threshold(self.rate);
        let scale = if self.rescale { 1.0 / (1.0 - self.rate.get()) } else { 1.0 } as f32;
        change_at_random(
            samples,
            random,
            |value, drawn| {
                if drawn < masked { 0.0 } else { value * scale }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use framework::plugin::SampleShape;
    use framework::random::Streams;

    use super::*;

    fn corrupted(rate: f64, rescale: bool) -> Vec<f32> {
        let masking = Masking { rate: rate.try_into().unwrap(), rescale };
        let facts = SampleFacts::new(SampleShape::Vector(1), None);
        let mut samples = vec![3.0; 100_000];
        masking.corrupt(&mut samples, &facts, &mut Streams::new(1).stream("test"));
        samples
    }

    /// Wrong if another share were masked, survivors changed, or the scale were another.
    #[test]
    fn the_share_is_masked_and_the_rest_stays_or_is_scaled() {
        for (rescale, survivor) in [(false, 3.0), (true, 4.0)] {
            let samples = corrupted(0.25, rescale);
            let masked = samples.iter().filter(|value| **value == 0.0).count() as f64 / 1e5;
            assert!((masked - 0.25).abs() < 0.007, "{masked}");
            assert!(samples.iter().all(|value| *value == 0.0 || *value == survivor));
        }
        assert!(corrupted(0.0, true).iter().all(|value| *value == 3.0));
        assert!(Chance::try_from(1.0).is_err());
    }
}
