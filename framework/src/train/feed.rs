//! The batches of a run as its steps take them: gathered, scaled, and where that takes a while,
//! ready before they are asked for.

use std::mem;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use super::{Batches, Normalizer};
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
    /// [rows, inputs], as the model sees them.
    pub x: Vec<f32>,
    /// How many samples.
    pub rows: usize,
    labels: Vec<u32>,
    is_labeled: bool,
}

impl Batch {
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
    inputs: usize,
    step: usize,
}

impl<'a> Gatherer<'a> {
    /// The batches of the training part, from the first step on.
    pub fn new(data: &'a dyn Data, batches: Batches, normalizer: Normalizer) -> Self {
        Self { data, batches, normalizer, inputs: data.shape().inputs(), step: 0 }
    }

    /// The same from a step on, counted from 0.
    pub fn starting_at(self, step: usize) -> Self {
        Self { step, ..self }
    }

    fn fill(&mut self, batch: &mut Batch) -> Result<(), String> {
        let rows = self.batches.rows_of(self.step);
        self.step += 1;
        batch.rows = rows.len();
        batch.x.resize(rows.len() * self.inputs, 0.0);
        self.data.gather(Split::Train, rows, &mut batch.x)?;
        self.normalizer.apply(&mut batch.x);
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

    use super::*;
    use crate::plugin::SampleShape;
    use crate::random::Streams;

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
