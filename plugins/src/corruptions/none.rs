//! No corruption.

use framework::linkme::distributed_slice;
use framework::plugin::{CORRUPTIONS, Corruption, Plugin, SampleFacts};
use framework::random::ChaCha8Rng;
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Samples are encoded as they are.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Clean {}

#[distributed_slice(CORRUPTIONS)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Corruption> = Plugin {
    name: "none",
    about: "no corruption",
    example: "",
    build: |settings| Ok(Box::new(settings.read::<Clean>()?)),
    schema: schema_of::<Clean>,
};

impl Corruption for Clean {
    fn is_any(&self) -> bool {
        false
    }

    fn corrupt(&self, _: &mut [f32], _: &SampleFacts, _: &mut ChaCha8Rng) {}
}
