//! Salt: some inputs become the greatest value that the training part has.

use framework::linkme::distributed_slice;
use framework::plugin::{CORRUPTIONS, Corruption, Plugin, SampleFacts, SampleShape, Unfit};
use framework::rand::RngExt;
use framework::random::ChaCha8Rng;
use framework::spec::numbers::Rate;
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Each input becomes the greatest value of the training part at random.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Salt {
    /// Probability that an input becomes the greatest value.
    rate: Rate,
}

#[distributed_slice(CORRUPTIONS)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Corruption> = Plugin {
    name: "salt",
    about: "inputs become the greatest value at random",
    example: "rate = 0.2",
    build: |settings| Ok(Box::new(settings.read::<Salt>()?)),
    schema: schema_of::<Salt>,
};

impl Corruption for Salt {
    fn fits(&self, shape: &SampleShape) -> Result<(), Unfit> {
        match shape.inputs() {
            1 => Err(Unfit::new("rate", "salt: a sample of one number would be all salt")),
            _ => Ok(()),
        }
    }

    fn needs_range(&self) -> bool {
        true
    }

    fn corrupt(&self, samples: &mut [f32], facts: &SampleFacts, random: &mut ChaCha8Rng) {
        let (_, greatest) = facts.range();
        for value in samples {
            if random.random::<f64>() < self.rate.get() {
                *value = greatest;
            }
        }
    }
}
