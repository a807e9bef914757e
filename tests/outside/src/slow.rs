//! Slow: adds nothing and waits, without using a processor. Tests use it for runs that must last, however busy
//! the machine is.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use framework::dims::{Batch, Latent};
use framework::linkme::distributed_slice;
use framework::model::{Mode, Pass, Real, Traced};
use framework::plugin::{PENALTIES, Penalize, Penalty, Plugin, Term};
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Slow {
    /// How long each step of training takes at least.
    milliseconds: u64,
    /// A file. If it is named, steps take that long only while it is there.
    only_while: Option<PathBuf>,
}

#[distributed_slice(PENALTIES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Penalty> = Plugin {
    name: "slow",
    about: "adds nothing and takes its time",
    example: "milliseconds = 1",
    build: |settings| Ok(Box::new(settings.read::<Slow>()?)),
    schema: schema_of::<Slow>,
};

impl<E: Real> Penalize<E> for Slow {
    fn penalize(&self, _: Traced<(Batch, Latent), E>, pass: &Pass<'_, E>) -> Vec<Term<E>> {
        let is_there = self.only_while.as_ref().is_none_or(|file| file.exists());
        if pass.step.mode == Mode::Train && is_there {
            sleep(Duration::from_millis(self.milliseconds));
        }
        Vec::new()
    }
}

impl Penalty for Slow {
    fn is_of_code_alone(&self) -> bool {
        true
    }
}
