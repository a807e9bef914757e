//! In which order a run sees its samples.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::random::Streams;

/// The batches of a run: each epoch has all rows in a fresh order, and its last batch may be short.
/// The order depends on the seed and the epoch alone.
#[derive(Clone)]
pub struct Batches {
    streams: Streams,
    rows: usize,
    batch: usize,
    epoch: usize,
    order: Vec<usize>,
    /// The rows of each class, where each is to be spread evenly.
    classes: Vec<Vec<usize>>,
}

impl Batches {
    /// Batches of at most `batch` of `rows` rows: each epoch is a shuffle of them.
    pub fn new(streams: Streams, rows: usize, batch: usize) -> Self {
        Self::of_classes(streams, rows, batch, Vec::new())
    }

    /// Batches of at most `batch` of the rows with these labels: each class is spread evenly over the
    /// batches of an epoch. How many of a class two full batches have differs by at most one.
    pub fn stratified(streams: Streams, labels: &[u32], batch: usize) -> Self {
        let mut classes = BTreeMap::<u32, Vec<usize>>::new();
        for (row, label) in labels.iter().enumerate() {
            classes.entry(*label).or_default().push(row);
        }
        Self::of_classes(streams, labels.len(), batch, classes.into_values().collect())
    }

    fn of_classes(streams: Streams, rows: usize, batch: usize, classes: Vec<Vec<usize>>) -> Self {
        let mut batches = Self { streams, rows, batch, epoch: 0, order: Vec::new(), classes };
        batches.shuffle(0);
        batches
    }

    /// How many batches an epoch has.
    pub fn per_epoch(&self) -> usize {
        self.rows.div_ceil(self.batch)
    }

    /// The rows of the batch that step `step` of the run takes, counted from 0.
    pub fn rows_of(&mut self, step: usize) -> &[usize] {
        let (epoch, within) = (step / self.per_epoch(), step % self.per_epoch());
        if epoch != self.epoch {
            self.shuffle(epoch);
        }
        let start = within * self.batch;
        &self.order[start..(start + self.batch).min(self.rows)]
    }

    fn shuffle(&mut self, epoch: usize) {
        self.epoch = epoch;
        let mut random = self.streams.stream(&format!("shuffling/{epoch}"));
        if self.classes.is_empty() {
            self.order = (0..self.rows).collect();
            self.order.shuffle(&mut random);
        } else {
            self.order = self.dealt(&mut random);
        }
    }

    /// The rows, one class after another, each shuffled, dealt to the batches in turn. A round gives every
    /// full batch one row; the short one takes part in so many rounds as it has rows, evenly spaced.
    fn dealt(&self, random: &mut ChaCha8Rng) -> Vec<usize> {
        let batch = self.batch.min(self.rows);
        let (full, short) = (self.rows / batch, self.rows % batch);
        // In a round, neighbours are far apart: so rows of a rare class are spread over the epoch.
        let stride = spreading_stride(full);
        let start = random.random_range(0..full.max(1));
        let mut batches = vec![Vec::with_capacity(batch); full];
        batches.push(Vec::with_capacity(short));
        let round = |at: usize| {
            let takes_part = (at + 1) * short / batch > at * short / batch;
            let fulls = (0..full).map(move |turn| (start + turn * stride) % full);
            fulls.chain(takes_part.then_some(full))
        };
        let mut turns = (0..batch).flat_map(round);
        for class in &self.classes {
            let mut rows = class.clone();
            rows.shuffle(random);
            for (row, turn) in rows.into_iter().zip(&mut turns) {
                batches[turn].push(row);
            }
        }
        // The place in a batch says nothing of the class.
        batches.iter_mut().for_each(|batch| batch.shuffle(random));
        batches.concat()
    }
}

/// A step through `count` places that comes to each once, and whose next places fill the gaps between the
/// ones before: near the golden section of `count`, without a divisor of it.
fn spreading_stride(count: usize) -> usize {
    let golden = (count as f64 * 0.618) as usize;
    (golden.max(1)..).find(|stride| greatest_common_divisor(*stride, count) == 1).unwrap_or(1)
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(batch: &[usize], labels: &[u32]) -> Vec<usize> {
        (0..4).map(|class| batch.iter().filter(|row| labels[**row] == class).count()).collect()
    }

    /// Wrong if a row were missing or came twice, a batch had another size than a shuffled one, a class came
    /// twice as often in one full batch as in another, a rare class all at once, or epochs were alike.
    #[test]
    fn stratified_batches_have_each_class_evenly_and_each_row_once_an_epoch() {
        for (rows, batch) in [(100, 10), (103, 10), (64, 7), (9, 4), (5, 8), (6, 1), (240, 2)] {
            // Classes of very different sizes, in blocks, as sorted files have them.
            let class = |row: usize| [0, 0, 0, 0, 1, 1, 1, 2, 2, 3][row * 10 / rows];
            let labels: Vec<u32> = (0..rows).map(class).collect();
            let mut batches = Batches::stratified(Streams::new(3), &labels, batch);
            let shuffled = Batches::new(Streams::new(3), rows, batch);
            assert_eq!(batches.per_epoch(), shuffled.per_epoch());
            let mut epoch = |epoch: usize| -> Vec<Vec<usize>> {
                let first = epoch * shuffled.per_epoch();
                (first..first + shuffled.per_epoch())
                    .map(|step| batches.rows_of(step).to_vec())
                    .collect()
            };
            let (first, second) = (epoch(0), epoch(1));
            let mut all = first.concat();
            assert!(rows < 10 || all != second.concat(), "epochs differ");
            all.sort_unstable();
            assert_eq!(all, (0..rows).collect::<Vec<_>>());
            let full: Vec<_> = first.iter().filter(|rows| rows.len() == batch).collect();
            assert_eq!(full.len(), rows / batch);
            for class in 0..4 {
                let of = full.iter().map(|rows| counts(rows, &labels)[class]);
                let (least, most) = (of.clone().min(), of.max());
                assert!(most <= least.map(|least| least + 1), "{rows} {batch} {least:?} {most:?}");
            }
            let halves = full.len() / 2;
            if halves >= 50 {
                let early =
                    full[..halves].iter().map(|rows| counts(rows, &labels)[3]).sum::<usize>();
                assert!((10..=14).contains(&early), "{early} of 24 rare rows in the first half");
            }
        }
    }

    #[test]
    fn an_epoch_sees_every_row_once_the_last_batch_is_kept_and_epochs_differ() {
        let mut batches = Batches::new(Streams::new(3), 10, 4);
        let mut epoch = |first: usize| {
            let sizes: Vec<usize> =
                (first..first + 3).map(|step| batches.rows_of(step).len()).collect();
            assert_eq!(sizes, [4, 4, 2]);
            (first..first + 3).flat_map(|step| batches.rows_of(step).to_vec()).collect::<Vec<_>>()
        };
        let (first, second) = (epoch(0), epoch(3));
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        assert_ne!(first, second);
    }
}
