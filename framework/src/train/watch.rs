//! Who looks on while a run trains, and has it go on, be kept or stop.

use std::time::Duration;

/// How far a running run is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Steps done.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// The loss of the last step.
    pub loss: f64,
    /// Mean number of active latents of the last step's samples.
    pub l0: f64,
    /// The time that earlier attempts took to come as far as this one started from.
    pub earlier: Duration,
}

/// What is to become of a run at a step boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// It goes on.
    GoOn,
    /// It is kept, and goes on.
    Checkpoint,
    /// It is kept, and ends.
    Stop,
    /// It ends as it is: somebody else has it now.
    Abandon,
}

/// Looks on. A closure that only listens is one.
pub trait Watch {
    /// What is to become of the run after a step, its row of the history included if it has one.
    fn step(&mut self, progress: &Progress) -> Wish;

    /// What is to become of a run after a step of pretraining: of `progress.steps` steps that are taken before the
    /// first one of the run itself. It cannot be kept there: it is kept right after pretraining, and a run that
    /// stops before starts anew.
    fn pretraining(&mut self, progress: &Progress) -> Wish {
        let _ = progress;
        Wish::GoOn
    }

    /// Whether a run of so many steps is to be measured after one of them, kept, and to end there. Asked
    /// before the first step too, with 0, and where a run goes on.
    fn pauses_at(&self, step: usize, steps: usize) -> bool {
        let _ = (step, steps);
        false
    }

    /// Keeps the bytes of a checkpoint that was wished for, at which so many steps are done.
    ///
    /// # Errors
    /// Why it could not: the run ends.
    fn keep(&mut self, step: usize, bytes: Vec<u8>) -> Result<(), String>;
}

impl<F: FnMut(&Progress)> Watch for F {
    fn step(&mut self, progress: &Progress) -> Wish {
        self(progress);
        Wish::GoOn
    }

    fn keep(&mut self, _: usize, _: Vec<u8>) -> Result<(), String> {
        Ok(())
    }
}
