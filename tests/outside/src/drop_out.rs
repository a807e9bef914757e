//! Drop-out with a memory: each latent is silenced at random for a whole batch, in evaluation too
//! (Monte Carlo drop-out), and the code of the others is drawn, at strength `lambda`, towards the
//! running mean that the batches before have left. What it does at a step depends on a random stream
//! and on running state: neither may be lost between steps.

use dfdx::prelude::{BroadcastTo, HasShape, Rank0, SumTo};
use framework::dims::{Batch, Latent};
use framework::linkme::distributed_slice;
use framework::model::{Mode, Pass, Real, State, Traced, tensor, values};
use framework::plugin::{PENALTIES, Penalize, Penalty, Plugin, Term};
use framework::rand::RngExt;
use framework::spec::numbers::{Rate, Strength};
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DropOut {
    /// Weight of the penalty in the loss.
    lambda: Strength,
    /// The probability that a latent is silenced.
    #[serde(default = "fifth")]
    rate: Rate,
}

fn fifth() -> Rate {
    Rate::try_from(0.2).expect("a fifth is a rate")
}

#[distributed_slice(PENALTIES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Penalty> = Plugin {
    name: "drop-out",
    about: "silences latents at random and draws the others to their running mean",
    example: "lambda = 0.1",
    build: |settings| Ok(Box::new(settings.read::<DropOut>()?)),
    schema: schema_of::<DropOut>,
};

/// How much of the running mean a batch leaves.
const KEEP: f64 = 0.75;

impl<E: Real> Penalize<E> for DropOut {
    fn constrain(
        &self,
        code: Traced<(Batch, Latent), E>,
        pass: &Pass<'_, E>,
    ) -> Traced<(Batch, Latent), E> {
        let shape = *code.shape();
        let mut random = pass.random();
        let keep = |is_kept: bool| E::of(if is_kept { 1.0 / (1.0 - self.rate.get()) } else { 0.0 });
        // In f32, so that a step of an odd number of latents takes an odd number of words.
        let mask = (0..shape.1.0)
            .map(|_| keep(f64::from(random.random::<f32>()) >= self.rate.get()))
            .collect();
        let mask = tensor(mask, (shape.1,)).broadcast_like(&shape);
        code * mask
    }

    fn penalize(&self, code: Traced<(Batch, Latent), E>, pass: &Pass<'_, E>) -> Vec<Term<E>> {
        let (Batch(batch), Latent(latents)) = *code.shape();
        let mut mean = pass.state("mean");
        let before = mean.iter().map(|mean| E::of(*mean)).collect();
        if pass.step.mode == Mode::Train {
            mean.iter_mut().for_each(|mean| *mean *= KEEP);
            for row in values(&code).chunks_exact(latents) {
                let shares = row.iter().map(|value| (1.0 - KEEP) * value.f64() / batch as f64);
                mean.iter_mut().zip(shares).for_each(|(mean, share)| *mean += share);
            }
        }
        let before = tensor(before, (Latent(latents),)).broadcast_like(code.shape());
        let value = (code - before).square().sum::<Rank0, _>() * E::of(1.0 / batch as f64);
        vec![Term::new("drop_out", value, self.lambda.get())]
    }
}

impl Penalty for DropOut {
    fn is_of_code_alone(&self) -> bool {
        true
    }

    fn state(&self, Latent(latents): Latent) -> State {
        State::from([("mean".to_owned(), vec![0.0; latents])])
    }
}
