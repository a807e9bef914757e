//! Salt and pepper: some inputs become the least or the greatest value.

use framework::linkme::distributed_slice;
use framework::plugin::{ALIASES, Alias, CORRUPTIONS, Corruption, Meant, Plugin, SampleFacts};
use framework::random::ChaCha8Rng;
use framework::spec::numbers::Chance;
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::support::{change_at_random, threshold};

/// Each input becomes, with a probability, the least or the greatest value of the whole training part, each half
/// the time.
///
/// Source: Vincent et al. 2010, Stacked Denoising Autoencoders.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SaltAndPepper {
    /// Probability that an input is replaced.
    rate: Chance,
}

#[distributed_slice(CORRUPTIONS)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Corruption> = Plugin {
    name: "salt-and-pepper",
    about: "inputs become the least or the greatest value at random",
    example: "rate = 0.2",
    build: |settings| Ok(Box::new(settings.read::<SaltAndPepper>()?)),
    schema: schema_of::<SaltAndPepper>,
};

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["salt-pepper", "impulse-noise", "impulse"],
    meant: Meant::Plugin { kind: "corruption", name: "salt-and-pepper" },
    about: "the corruption `salt-and-pepper`",
    lines: "[corruption]\n\
            kind = \"salt-and-pepper\"\n\
            rate = 0.2",
};

impl Corruption for SaltAndPepper {
    fn needs_range(&self) -> bool {
        true
    }

    fn corrupt(&self, samples: &mut [f32], facts: &SampleFacts, random: &mut ChaCha8Rng) {
        let (least, greatest) = facts.range();
        let replaced = threshold(self.rate);
        change_at_random(samples, random, |value, drawn| {
            let extreme = if drawn < replaced / 2 { least } else { greatest };
            if drawn < replaced { extreme } else { value }
        });
    }
}

#[cfg(test)]
mod tests {
    use framework::plugin::SampleShape;
    use framework::random::Streams;

    use super::*;

    /// Wrong if another share were replaced, one end came more often, or the rest changed.
    #[test]
    fn the_share_is_replaced_half_by_either_end() {
        let noise = SaltAndPepper { rate: 0.4.try_into().unwrap() };
        let facts = SampleFacts::new(SampleShape::Vector(1), Some((-1.0, 2.0)));
        let mut samples = vec![0.5; 100_000];
        noise.corrupt(&mut samples, &facts, &mut Streams::new(1).stream("test"));
        let share = |of: f32| samples.iter().filter(|value| **value == of).count() as f64 / 1e5;
        for (of, right) in [(-1.0, 0.2), (2.0, 0.2), (0.5, 0.6)] {
            assert!((share(of) - right).abs() < 0.008, "{of}: {}", share(of));
        }
    }
}
