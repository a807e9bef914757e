//! In which order a run sees its samples.

use rand::seq::SliceRandom;

use crate::random::Streams;

/// The batches of a run: each epoch is a fresh shuffle of all rows, and its last batch may be
/// short. The order depends on the seed and the epoch alone.
#[derive(Clone)]
pub struct Batches {
    streams: Streams,
    rows: usize,
    batch: usize,
    epoch: usize,
    order: Vec<usize>,
}

impl Batches {
    /// Batches of at most `batch` of `rows` rows.
    pub fn new(streams: Streams, rows: usize, batch: usize) -> Self {
        let mut batches = Self { streams, rows, batch, epoch: 0, order: Vec::new() };
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
        self.order = (0..self.rows).collect();
        self.order.shuffle(&mut self.streams.stream(&format!("shuffling/{epoch}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
