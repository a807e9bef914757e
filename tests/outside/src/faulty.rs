//! Faulty: does nothing, and panics once a share of the training is done: what a bug in a plugin
//! may do to its own run, and must not do to others.

use framework::dims::{Batch, Latent};
use framework::linkme::distributed_slice;
use framework::model::{Mode, Pass, Real, Traced};
use framework::plugin::{PENALTIES, Penalize, Penalty, Plugin, Term};
use framework::spec::numbers::Share;
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Faulty {
    /// The share of the training steps after which it panics; 1 is never.
    after: Share,
}

#[distributed_slice(PENALTIES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Penalty> = Plugin {
    name: "faulty",
    about: "panics in the middle of training",
    example: "after = 1.0",
    build: |settings| Ok(Box::new(settings.read::<Faulty>()?)),
    schema: schema_of::<Faulty>,
};

impl<E: Real> Penalize<E> for Faulty {
    fn penalize(&self, _: Traced<(Batch, Latent), E>, pass: &Pass<'_, E>) -> Vec<Term<E>> {
        let on_time = pass.step.mode == Mode::Evaluate || pass.step.progress < self.after.get();
        assert!(on_time, "a bug in a plugin");
        Vec::new()
    }
}

impl Penalty for Faulty {}
