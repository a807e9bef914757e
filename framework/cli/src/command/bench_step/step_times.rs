//! Warm-up and timing.

use std::time::{Duration, Instant};

use framework::engine::Minibatch;
use framework::model::Step;
use framework::plugin::{Corruption, SampleFacts, SampleShape};
use framework::random::Streams;
use framework::train::Trainer;

use super::STEP;
use super::activity::{Fired, Shares};
use super::samples::BATCHES;

/// Least number of warm-up steps, and the least time that they take.
const WARM_UP: (usize, Duration) = (BATCHES, Duration::from_millis(100));

/// Measured steps.
pub struct StepTimes {
    /// Time of each step.
    pub milliseconds: Vec<f64>,
    /// Mean L0 over the timed steps.
    pub l0: f64,
    /// Share of the latents that fired in none of the timed steps, where `--dead` asks for it.
    pub dead: Option<f64>,
}

impl StepTimes {
    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.milliseconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    /// Returns the median, in milliseconds.
    pub fn median(&self) -> f64 {
        let sorted = self.sorted();
        let middle = sorted.len() / 2;
        if sorted.len().is_multiple_of(2) {
            (sorted[middle - 1] + sorted[middle]) / 2.0
        } else {
            sorted[middle]
        }
    }

    /// Returns the fastest and the slowest step, in milliseconds.
    pub fn range(&self) -> (f64, f64) {
        let sorted = self.sorted();
        (sorted[0], sorted[sorted.len() - 1])
    }
}

/// What a corruption puts on samples of normal numbers. As in a run, that of the next step is made while a step
/// takes its time, which ends when both are done.
pub struct NormalNoise<'a> {
    corruption: &'a dyn Corruption,
    facts: SampleFacts,
}

impl<'a> NormalNoise<'a> {
    /// Noise for samples of a shape; `None` if the corruption changes nothing.
    pub fn new(shape: SampleShape, corruption: &'a dyn Corruption) -> Option<Self> {
        // Few normal numbers are further from 0.
        let facts = SampleFacts::new(shape, Some((-4.0, 4.0)));
        corruption.is_any().then_some(Self { corruption, facts })
    }

    fn put_on(&self, x: &[f32], step: usize, noisy: &mut Vec<f32>) {
        noisy.clear();
        noisy.extend_from_slice(x);
        let mut random = Streams::new(0).stream(&format!("corruption/{step}"));
        self.corruption.corrupt(noisy, &self.facts, &mut random);
    }
}

/// Warms up and times steps; `None` if the loss is not finite, since such a step learns nothing.
pub fn time(
    trainer: &mut Trainer<'_>,
    batches: &[Vec<f32>],
    classes: &[u32],
    shares: &Shares,
    steps: usize,
    noise: Option<&NormalNoise<'_>>,
) -> Option<StepTimes> {
    let at = Step { labels: Some(classes), ..STEP };
    let mut step = 0;
    let (mut noisy, mut following) = (Vec::new(), Vec::new());
    if let Some(noise) = noise {
        noise.put_on(&batches[0], 0, &mut noisy);
    }
    let mut next = |fired: Option<&mut Fired>| {
        let x = &batches[step % BATCHES];
        step += 1;
        shares.prepare(trainer, x);
        if let Some(fired) = fired {
            fired.see(trainer, x);
        }
        let started = Instant::now();
        let loss = match noise {
            None => trainer.step(Minibatch::clean(x), at, 1.0),
            Some(noise) => {
                let loss = rayon::in_place_scope(|scope| {
                    let x_after = &batches[step % BATCHES];
                    let following = &mut following;
                    scope.spawn(move |_| noise.put_on(x_after, step, following));
                    trainer.step(Minibatch { sample: &noisy, target: x }, at, 1.0)
                });
                std::mem::swap(&mut noisy, &mut following);
                loss
            }
        };
        let elapsed = started.elapsed();
        loss.total.is_finite().then_some((elapsed, loss.l0))
    };
    let (mut done, mut spent) = (0, Duration::ZERO);
    while done < WARM_UP.0 || spent < WARM_UP.1 {
        spent += next(None)?.0;
        done += 1;
    }
    let mut fired = shares.asks_for_dead().then(|| shares.none_fired());
    let mut timed = StepTimes { milliseconds: Vec::with_capacity(steps), l0: 0.0, dead: None };
    for _ in 0..steps {
        let (elapsed, l0) = next(fired.as_mut())?;
        timed.milliseconds.push(elapsed.as_nanos() as f64 / 1e6);
        timed.l0 += l0;
    }
    timed.l0 /= steps as f64;
    timed.dead = fired.map(|fired| fired.dead_share());
    Some(timed)
}
