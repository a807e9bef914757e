//! A run that resumes from a checkpoint equals the run that was never stopped, bit for bit; and bytes that
//! are no checkpoint of the run are refused.

mod cases;
mod ends;
mod pretraining;
mod refuse;
mod resume;

use std::collections::BTreeMap;

use framework::train::{Checkpoint, Ended, Progress, Trained, Watch, Wish, train};

use crate::support::models::{data, runs};

/// Plan of a watch for one attempt, and its outcome.
struct Plan {
    /// Step at which it makes a checkpoint.
    keep: usize,
    /// Step at which the attempt ends, and the way.
    end: (usize, Wish),
    /// Step at which it pauses instead.
    pause: Option<usize>,
    kept: Option<(usize, Vec<u8>)>,
    curve: BTreeMap<usize, [u64; 2]>,
    steps: usize,
}

impl Plan {
    fn new(keep: usize, end: (usize, Wish)) -> Self {
        Self { keep, end, pause: None, kept: None, curve: BTreeMap::new(), steps: 0 }
    }

    fn to_the_end() -> Self {
        Self::new(0, (0, Wish::GoOn))
    }
}

impl Watch for Plan {
    fn step(&mut self, progress: &Progress) -> Wish {
        self.steps = progress.steps;
        self.curve.insert(progress.step, [progress.loss, progress.l0].map(f64::to_bits));
        match progress.step {
            step if step == self.end.0 => self.end.1,
            step if step == self.keep => Wish::Checkpoint,
            _ => Wish::GoOn,
        }
    }

    fn pauses_at(&self, step: usize, _: usize) -> bool {
        self.pause == Some(step)
    }

    fn keep(&mut self, step: usize, bytes: Vec<u8>) -> Result<(), String> {
        assert_eq!(Checkpoint::read(&bytes)?.step(), step);
        self.kept = Some((step, bytes));
        Ok(())
    }
}

/// An attempt at the only run of an experiment, which is read anew: only the bytes tell it of earlier
/// attempts.
fn attempt<R>(
    text: &str,
    from: Option<Vec<u8>>,
    watch: &mut dyn Watch,
    see: impl FnOnce(Ended<'_>) -> R,
) -> R {
    let (experiment, runs) = runs(text);
    let [run] = &*runs else { panic!("one run, not {}", runs.len()) };
    see(train(run, &*data(run), &experiment.evaluate, from, watch))
}

fn done(ended: Ended<'_>) -> Box<Trained<'_>> {
    match ended {
        Ended::Done(trained) => trained,
        Ended::Refused(why) | Ended::Failed(why) | Ended::NotKept { reason: why, .. } => {
            panic!("{why}")
        }
        _ => panic!("the run did not go to its end"),
    }
}

/// A small run with all that a checkpoint can hold, and its checkpoint at a step.
fn small(engine: &str, rest: &str) -> String {
    format!(
        "name = \"checkpoints\"\n{rest}\n[dataset]\nkind = \"waves\"\ninputs = 5\ntrain = 12\ntest = 4\n\
         [architecture]\nkind = \"dense\"\nlatents = 6\n[penalty]\nkind = \"drop-out\"\nlambda = 0.1\n\
         [train]\nsteps = 8\nbatch = 4\nengine = \"{engine}\"\n[evaluate]\nkinds = [\"peak\"]\nevery = 2\n"
    )
}

fn checkpoint_at(text: &str, step: usize) -> Vec<u8> {
    let mut plan = Plan::new(0, (step, Wish::Stop));
    attempt(text, None, &mut plan, |ended| assert!(matches!(ended, Ended::Stopped { .. })));
    plan.kept.unwrap().1
}

/// The bytes with another last character of the part of the header that reads `text`.
fn patched(bytes: &[u8], text: &str, last: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = bytes.windows(text.len()).position(|part| part == text.as_bytes());
    bytes[at.unwrap() + text.len() - 1] = last;
    bytes
}
