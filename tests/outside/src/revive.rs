//! Revival: every so many steps, each dead latent starts again as a sample of the step's batch.

use std::num::NonZeroUsize;

use framework::engine::AfterStep;
use framework::linkme::distributed_slice;
use framework::model::{Parameter, Real, Step};
use framework::plugin::{AUXILIARIES, Auxiliary, AuxiliaryTerms, FusedAuxiliary, Plugin};
use framework::rand::RngExt;
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Revive {
    /// Number of steps between revivals.
    every: NonZeroUsize,
}

#[distributed_slice(AUXILIARIES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Auxiliary> = Plugin {
    name: "revive",
    about: "dead latents start again as samples",
    example: "every = 3",
    build: |settings| Ok(Box::new(settings.read::<Revive>()?)),
    schema: schema_of::<Revive>,
};

impl<E: Real> AuxiliaryTerms<E> for Revive {}

impl Auxiliary for Revive {
    fn watches_activity(&self) -> bool {
        true
    }

    fn fused(&self, _: &Step<'_>, _: usize) -> Option<FusedAuxiliary<'_>> {
        Some(FusedAuxiliary::Nothing)
    }

    fn after_step(&self, after: &mut AfterStep<'_>) {
        let dead = after.dead();
        if !after.steps_taken().is_multiple_of(self.every.get()) || dead.is_empty() {
            return;
        }
        let mut parameters = after.of_latents(&dead);
        let Some(dictionary) = after.dictionary() else { return };
        let inputs = dictionary.len() / after.latents;
        let samples = after.batch.sample.len() / inputs;
        for at in 0..dead.len() {
            let row = after.random().random_range(0..samples);
            let sample = &after.batch.sample[row * inputs..(row + 1) * inputs];
            let norm = sample.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-6);
            for Parameter { declaration, values } in &mut parameters.entries {
                // A bias has one number a latent, a row or a column as many as there are inputs.
                let places: Vec<usize> = declaration.of_latent(at).collect();
                let is_row = places.len() == inputs;
                for (place, x) in places.into_iter().zip(sample) {
                    values[place] = if is_row { x / norm } else { 0.0 };
                }
            }
        }
        after.restart(&dead, &parameters);
    }
}
