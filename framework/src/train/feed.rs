//! The batches of a run as its steps take them: gathered, scaled, and where that takes a while,
//! ready before they are asked for.

use std::mem;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use super::noise::Noise;
use super::{Batches, Normalizer};
use crate::engine::Minibatch;
use crate::plugin::{Data, Split};

/// A batch that takes longer to gather than this is gathered by another thread, while the one before
/// it trains. Taking a batch over costs 15 µs, as another thread has to be woken for the next one,
/// 35 µs where all cores are at work and more where other programs are. 128 of the digits are
/// gathered in 2 µs and 128 images of MNIST in 20: there is nothing to gain.
const WORTH_A_THREAD: Duration = Duration::from_micros(100);

/// Batches that are gathered and timed before that is decided; the fastest counts, as the first ones
/// find nothing in any cache.
const TIMED: usize = 4;

/// The samples of a step.
#[derive(Default)]
pub struct Batch {
    /// [rows, inputs], in the units of the model: what is reconstructed.
    x: Vec<f32>,
    /// The same with noise, where the run has some: what is encoded.
    noisy: Vec<f32>,
    is_noisy: bool,
    /// How many samples.
    pub rows: usize,
    labels: Vec<u32>,
    is_labeled: bool,
}

impl Batch {
    /// The samples and their targets.
    pub fn minibatch(&self) -> Minibatch<'_> {
        Minibatch { sample: if self.is_noisy { &self.noisy } else { &self.x }, target: &self.x }
    }

    /// The class of each sample, where the data has labels.
    pub fn labels(&self) -> Option<&[u32]> {
        self.is_labeled.then_some(&self.labels)
    }
}

/// Makes the batches of a run, one after another.
#[derive(Clone)]
pub struct Gatherer<'a> {
    data: &'a dyn Data,
    batches: Batches,
    normalizer: Normalizer,
    noise: Option<Noise<'a>>,
    inputs: usize,
    step: usize,
}

impl<'a> Gatherer<'a> {
    /// The batches of the training part, from the first step on.
    pub fn new(data: &'a dyn Data, batches: Batches, normalizer: Normalizer) -> Self {
        let inputs = data.shape().inputs();
        Self { data, batches, normalizer, noise: None, inputs, step: 0 }
    }

    /// The same with noise on the samples, if there is any.
    pub fn with_noise(self, noise: Option<Noise<'a>>) -> Self {
        Self { noise, ..self }
    }

    /// The same from a step on, counted from 0.
    pub fn starting_at(self, step: usize) -> Self {
        Self { step, ..self }
    }

    fn fill(&mut self, batch: &mut Batch) -> Result<(), String> {
        let rows = self.batches.rows_of(self.step);
        batch.rows = rows.len();
        batch.x.resize(rows.len() * self.inputs, 0.0);
        self.data.gather(Split::Train, rows, &mut batch.x)?;
        self.normalizer.apply(&mut batch.x);
        batch.is_noisy = self.noise.is_some();
        if let Some(noise) = &self.noise {
            noise.put_on(&batch.x, self.step, &mut batch.noisy);
        }
        self.step += 1;
        batch.labels.clear();
        let labels = self.data.labels(Split::Train);
        batch.is_labeled = labels.is_some();
        batch
            .labels
            .extend(labels.into_iter().flat_map(|labels| rows.iter().map(|row| labels[*row])));
        Ok(())
    }
}

/// Hands out batches. What is handed out does not depend on which thread gathers it.
pub struct Feed<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    steps: usize,
    source: Gathering<'scope>,
    current: Batch,
}

enum Gathering<'scope> {
    Here(TimedGather<'scope>),
    Ahead(Ahead<'scope>),
}

/// This thread gathers.
struct TimedGather<'scope> {
    gatherer: Gatherer<'scope>,
    /// What each of the first batches took.
    times: Vec<Duration>,
}

/// Another thread gathers, one batch ahead. Two batches go to and fro.
struct Ahead<'scope> {
    empty: SyncSender<Batch>,
    full: Receiver<Result<Batch, String>>,
    thread: Option<ScopedJoinHandle<'scope, ()>>,
}

impl<'scope, 'env> Feed<'scope, 'env> {
    /// The batches of a run of so many steps.
    pub fn new(
        scope: &'scope Scope<'scope, 'env>,
        gatherer: Gatherer<'scope>,
        steps: usize,
    ) -> Self {
        let source = Gathering::Here(TimedGather { gatherer, times: Vec::new() });
        Self { scope, steps, source, current: Batch::default() }
    }

    /// The batch of the next step; there are as many as steps.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn next(&mut self) -> Result<&Batch, String> {
        match &mut self.source {
            Gathering::Here(timed) => {
                timed.gather(&mut self.current)?;
                if timed.is_worth_a_thread() {
                    let gatherer = timed.gatherer.clone();
                    self.source = Gathering::Ahead(Ahead::start(self.scope, gatherer, self.steps));
                }
            }
            Gathering::Ahead(ahead) => ahead.gather(&mut self.current)?,
        }
        Ok(&self.current)
    }
}

impl TimedGather<'_> {
    fn gather(&mut self, batch: &mut Batch) -> Result<(), String> {
        let started = Instant::now();
        self.gatherer.fill(batch)?;
        if self.times.len() < TIMED {
            self.times.push(started.elapsed());
        }
        Ok(())
    }

    fn is_worth_a_thread(&self) -> bool {
        self.times.len() == TIMED && self.times.iter().all(|time| *time > WORTH_A_THREAD)
    }
}

impl<'scope> Ahead<'scope> {
    fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        mut gatherer: Gatherer<'scope>,
        steps: usize,
    ) -> Self {
        let (empty, empties) = sync_channel::<Batch>(1);
        let (fulls, full) = sync_channel(1);
        // Nobody has hung up: both ends are here.
        let _ = empty.send(Batch::default());
        let thread = scope.spawn(move || {
            while gatherer.step < steps {
                // The run is over when nobody is at the other end.
                let Ok(mut batch) = empties.recv() else { return };
                let filled = gatherer.fill(&mut batch);
                if fulls.send(filled.map(|()| batch)).is_err() {
                    return;
                }
            }
        });
        Self { empty, full, thread: Some(thread) }
    }

    /// Takes the batch that is ready, and gives the one that was used back.
    fn gather(&mut self, batch: &mut Batch) -> Result<(), String> {
        let Ok(next) = self.full.recv() else {
            let ended = self.thread.take().map(ScopedJoinHandle::join);
            let Some(Err(panic)) = ended else { unreachable!("there are as many as steps") };
            resume_unwind(panic)
        };
        // After the last one, nobody takes it any more.
        let _ = self.empty.send(mem::replace(batch, next?));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use rand::RngExt;

    use super::*;
    use crate::plugin::{Corruption, SampleFacts, SampleShape};
    use crate::random::{ChaCha8Rng, Streams};

    type Fault = fn() -> Result<(), String>;

    /// Ten labelled rows of two numbers, which take their time.
    struct SlowRows {
        time: Duration,
        /// How many batches are gathered before something happens, and what.
        fault: Option<(usize, Fault)>,
        gathered: AtomicUsize,
    }

    fn rows(time: Duration) -> SlowRows {
        SlowRows { time, fault: None, gathered: AtomicUsize::new(0) }
    }

    impl Data for SlowRows {
        fn shape(&self) -> SampleShape {
            SampleShape::Vector(2)
        }

        fn rows(&self, _: Split) -> usize {
            10
        }

        fn gather(&self, _: Split, rows: &[usize], out: &mut [f32]) -> Result<(), String> {
            thread::sleep(self.time);
            let gathered = self.gathered.fetch_add(1, Ordering::Relaxed);
            if let Some((_, fault)) = self.fault.filter(|(after, _)| *after == gathered) {
                fault()?;
            }
            for (row, out) in rows.iter().zip(out.chunks_exact_mut(2)) {
                out.copy_from_slice(&[*row as f32, 0.5]);
            }
            Ok(())
        }

        fn labels(&self, _: Split) -> Option<&[u32]> {
            Some(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
        }
    }

    const STEPS: usize = 4 * 5;

    /// A step's samples and labels, or why there are none, and whether they were gathered ahead.
    type Fed = (Result<(Vec<f32>, Vec<u32>), String>, bool);

    /// What the first `steps` steps are fed, in batches of at most 3.
    fn fed(data: &SlowRows, steps: usize) -> Vec<Fed> {
        let batches = Batches::new(Streams::new(1), 10, 3);
        let normalizer = Normalizer { mean: vec![0.0, 0.5], scale: Vec::new() };
        let gatherer = Gatherer::new(data, batches, normalizer);
        thread::scope(|scope| {
            let mut feed = Feed::new(scope, gatherer, STEPS);
            let mut fed: Vec<Fed> = Vec::new();
            while fed.len() < steps && fed.last().is_none_or(|(last, _)| last.is_ok()) {
                let is_ahead = matches!(feed.source, Gathering::Ahead(_));
                let next = feed.next().map(|batch| {
                    assert_eq!(batch.x.len(), 2 * batch.rows);
                    assert_eq!(batch.minibatch().sample, batch.x, "no noise");
                    (batch.x.clone(), batch.labels().unwrap().to_vec())
                });
                fed.push((next, is_ahead));
            }
            fed
        })
    }

    const QUICK: Duration = Duration::ZERO;
    const SLOW: Duration = Duration::from_micros(200);

    #[test]
    fn the_same_is_fed_from_here_and_from_ahead_and_every_epoch_sees_each_row_once() {
        let (here, ahead) = (fed(&rows(QUICK), STEPS), fed(&rows(SLOW), STEPS));
        assert!(here.iter().all(|(_, is_ahead)| !is_ahead));
        assert!(ahead[..TIMED].iter().all(|(_, is_ahead)| !is_ahead));
        assert!(ahead[TIMED..].iter().all(|(_, is_ahead)| *is_ahead));
        let batches = |fed: Vec<Fed>| -> Vec<_> {
            fed.into_iter().map(|(batch, _)| batch.unwrap()).collect()
        };
        let here = batches(here);
        assert_eq!(here, batches(ahead));
        for epoch in here.chunks(4) {
            let (x, labels): (Vec<_>, Vec<_>) = epoch.iter().cloned().unzip();
            let (x, mut labels) = (x.concat(), labels.concat());
            let rows = x.chunks_exact(2).zip(&labels);
            rows.for_each(|(x, label)| assert_eq!(*x, [*label as f32, 0.0], "scaled"));
            labels.sort_unstable();
            assert_eq!(labels, (0..10).collect::<Vec<u32>>());
        }
    }

    /// Adds a number between 0 and 1 to each input, and 100 times the greatest value of the training part.
    struct Shift;

    impl Corruption for Shift {
        fn needs_range(&self) -> bool {
            true
        }

        fn corrupt(&self, samples: &mut [f32], facts: &SampleFacts, random: &mut ChaCha8Rng) {
            let (_, greatest) = facts.range();
            samples
                .iter_mut()
                .for_each(|value| *value += random.random::<f32>() + 100.0 * greatest);
        }
    }

    /// What steps see from `first` on: noise and clean samples.
    fn noisy(data: &SlowRows, seed: u64, first: usize) -> Vec<(Vec<f32>, Vec<f32>)> {
        let normalizer = Normalizer { mean: vec![4.0, 0.5], scale: Vec::new() };
        let noise = Noise::new(&Shift, data, &normalizer, Streams::new(seed)).unwrap();
        let batches = Batches::new(Streams::new(1), 10, 3);
        let gatherer = Gatherer::new(data, batches, normalizer).with_noise(noise);
        thread::scope(|scope| {
            let mut feed = Feed::new(scope, gatherer.starting_at(first), STEPS);
            let step = |_| {
                let Minibatch { sample, target } = feed.next().unwrap().minibatch();
                let noise = sample.iter().zip(target).map(|(noisy, clean)| noisy - clean);
                (noise.collect(), target.to_vec())
            };
            (first..STEPS).map(step).collect()
        })
    }

    /// Wrong if noise depended on who gathers or on where a run resumed, came again in another epoch, reached
    /// the target, or saw the range in other units than the encoder's.
    #[test]
    fn noise_depends_on_the_seed_and_the_step_alone() {
        let whole = noisy(&rows(QUICK), 5, 0);
        assert_eq!(whole, noisy(&rows(SLOW), 5, 0), "gathered ahead");
        assert_eq!(whole[7..], noisy(&rows(QUICK), 5, 7), "resumed");
        let other = noisy(&rows(QUICK), 6, 0);
        let clean = fed(&rows(QUICK), STEPS);
        let mut seen = Vec::new();
        for (((noise, target), (other, _)), (clean, _)) in whole.iter().zip(&other).zip(clean) {
            assert_ne!(noise, other, "of another seed");
            let (clean, _) = clean.unwrap();
            let clean: Vec<f32> =
                clean.chunks_exact(2).flat_map(|row| [row[0] - 4.0, row[1]]).collect();
            assert_eq!(*target, clean);
            assert!(noise.iter().all(|noise| (499.9..501.1).contains(noise)), "{noise:?}");
            assert!(!seen.contains(noise), "twice the same noise");
            seen.push(noise.clone());
        }
    }

    #[test]
    fn what_cannot_be_read_is_said_at_its_step() {
        for time in [QUICK, SLOW] {
            let fault: fn() -> _ = || Err("the disk is gone".to_owned());
            let fed = fed(&SlowRows { fault: Some((TIMED + 3, fault)), ..rows(time) }, STEPS);
            assert_eq!(fed.len(), TIMED + 4);
            assert_eq!(fed[TIMED + 3].0, Err("the disk is gone".to_owned()));
            assert!(fed[..TIMED + 3].iter().all(|(batch, _)| batch.is_ok()));
        }
    }

    #[test]
    fn a_run_may_end_early_and_a_panic_ahead_is_passed_on_as_it_was() {
        assert_eq!(fed(&rows(SLOW), TIMED + 2).len(), TIMED + 2);
        let fault: fn() -> _ = || panic!("a bug in a dataset");
        let broken = SlowRows { fault: Some((TIMED + 1, fault)), ..rows(SLOW) };
        let panic = catch_unwind(AssertUnwindSafe(|| fed(&broken, STEPS))).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"a bug in a dataset"));
    }
}
