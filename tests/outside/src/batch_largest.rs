//! Batch largest: of all values of a batch, the `k` times as many largest as it has samples stay. Evaluation
//! keeps what exceeds a threshold: the running mean of the least value that training kept.

use std::num::NonZeroUsize;

use dfdx::prelude::HasShape;
use framework::dims::{Batch, Latent};
use framework::linkme::distributed_slice;
use framework::model::{Mode, Pass, Real, State, Traced, tensor, values};
use framework::plugin::{PENALTIES, Penalize, Penalty, Plugin, StrengthKey};
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BatchLargest {
    /// Number of latents kept of a sample, as a mean over the batch.
    k: NonZeroUsize,
}

#[distributed_slice(PENALTIES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Penalty> = Plugin {
    name: "batch-largest",
    about: "keeps the largest values of a batch, and in evaluation what exceeds a running threshold",
    example: "k = 2",
    build: |settings| Ok(Box::new(settings.read::<BatchLargest>()?)),
    schema: schema_of::<BatchLargest>,
};

/// How much of the running mean a batch leaves.
const KEEP: f64 = 0.9;

impl<E: Real> Penalize<E> for BatchLargest {
    fn constrain(
        &self,
        code: Traced<(Batch, Latent), E>,
        pass: &Pass<'_, E>,
    ) -> Traced<(Batch, Latent), E> {
        let (shape, all) = (*code.shape(), values(&code));
        let mut threshold = pass.state("threshold");
        let mut kept = vec![false; all.len()];
        if pass.step.mode == Mode::Train {
            let mut order: Vec<usize> = (0..all.len()).collect();
            order.sort_by(|a, b| all[*b].f64().total_cmp(&all[*a].f64()));
            order.truncate(self.k.get() * shape.0.0);
            order.iter().for_each(|at| kept[*at] = true);
            let least = order.iter().map(|at| all[*at].f64()).filter(|value| *value > 0.0);
            if let Some(least) = least.reduce(f64::min) {
                let [mean, batches] = threshold[..] else { panic!("two numbers are declared") };
                let mean = if batches == 0.0 { least } else { KEEP * mean + (1.0 - KEEP) * least };
                threshold.copy_from_slice(&[mean, batches + 1.0]);
            }
        } else {
            kept.iter_mut().zip(&all).for_each(|(kept, value)| *kept = value.f64() > threshold[0]);
        }
        let mask = kept.iter().map(|kept| E::of(f64::from(u8::from(*kept)))).collect();
        code * tensor(mask, shape)
    }
}

impl Penalty for BatchLargest {
    fn strength(&self) -> Option<StrengthKey> {
        Some(StrengthKey::Count("k"))
    }

    fn is_of_code_alone(&self) -> bool {
        true
    }

    fn leaves_zeros(&self) -> bool {
        true
    }

    fn state(&self, _: Latent) -> State {
        State::from([("threshold".to_owned(), vec![0.0; 2])])
    }
}
