//! No penalty.

use framework::linkme::distributed_slice;
use framework::model::{Real, Step};
use framework::plugin::{FusedPenalty, PENALTIES, Penalize, Penalty, Plugin};
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nothing is added to the loss: the plain autoencoder that the sparse ones are compared with.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct None {}

#[distributed_slice(PENALTIES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Penalty> = Plugin {
    name: "none",
    about: "no penalty",
    example: "",
    build: |settings| Ok(Box::new(settings.read::<None>()?)),
    schema: schema_of::<None>,
};

impl<E: Real> Penalize<E> for None {}
impl Penalty for None {
    fn fused(&self, _: &Step<'_>, _: usize) -> Option<FusedPenalty<'_>> {
        Some(FusedPenalty::Nothing)
    }
}
