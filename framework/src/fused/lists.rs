//! Sparse codes as lists of (latent, value) by sample, and the same entries by latent.

use std::ops::Range;

use crate::plugin::OwnedCodes;

/// The sparse codes of a batch.
#[derive(Default)]
pub struct Lists {
    /// Where each sample's entries start; one more than there are samples.
    starts: Vec<usize>,
    /// How many each has, at most the room before the next one's start.
    pub lengths: Vec<u32>,
    /// The latent of each entry, ascending within a sample.
    pub latents: Vec<u32>,
    /// The value of each entry.
    pub values: Vec<f32>,
    /// The penalty's derivative by each value, where it has one.
    pub gradients: Vec<f32>,
    /// Where each latent's entries start in `samples`; one more than there are latents.
    latent_starts: Vec<u32>,
    /// By latent, the sample of each entry, ascending.
    samples: Vec<u32>,
    /// By latent, where each entry is in `values`.
    places: Vec<u32>,
    /// By latent, the row of the derivatives that each entry learns from; empty where that is its sample's.
    rows: Vec<u32>,
}

/// The lists of some samples, to be filled.
pub struct Room<'a> {
    /// For each sample, where its entries start in the slices below.
    pub starts: &'a [usize],
    /// How many each has.
    pub lengths: &'a mut [u32],
    /// The latents of the entries.
    pub latents: &'a mut [u32],
    /// Their values.
    pub values: &'a mut [f32],
    /// The penalty's derivatives.
    pub gradients: &'a mut [f32],
}

impl Room<'_> {
    /// The range of the entries of the sample `at` of these, all the room it has.
    #[inline(always)]
    pub fn range(&self, at: usize) -> Range<usize> {
        self.starts[at] - self.starts[0]..self.starts[at + 1] - self.starts[0]
    }
}

impl Lists {
    /// Makes room for samples of at most so many entries each.
    pub fn make_room(&mut self, entries: impl Iterator<Item = usize>) {
        self.starts.clear();
        self.starts.push(0);
        let mut end = 0;
        self.starts.extend(entries.map(|entries| {
            end += entries;
            end
        }));
        self.lengths.clear();
        self.lengths.resize(self.starts.len() - 1, 0);
        if self.values.len() < end {
            self.latents.resize(end, 0);
            self.values.resize(end, 0.0);
            self.gradients.resize(end, 0.0);
        }
    }

    /// The room of each block of `samples` samples.
    pub fn blocks(&mut self, samples: usize) -> impl Iterator<Item = Room<'_>> + Send {
        let mut latents = self.latents.as_mut_slice();
        let mut values = self.values.as_mut_slice();
        let mut gradients = self.gradients.as_mut_slice();
        let starts = &self.starts;
        self.lengths.chunks_mut(samples).enumerate().map(move |(at, lengths)| {
            let starts = &starts[at * samples..=at * samples + lengths.len()];
            let size = starts[lengths.len()] - starts[0];
            Room {
                starts,
                lengths,
                latents: split(&mut latents, size),
                values: split(&mut values, size),
                gradients: split(&mut gradients, size),
            }
        })
    }

    /// The range of a sample's entries.
    pub fn range(&self, sample: usize) -> Range<usize> {
        let start = self.starts[sample];
        start..start + self.lengths[sample] as usize
    }

    /// The lists of this batch, of codes of `latents` latents.
    pub fn to_codes(&self, latents: usize) -> OwnedCodes {
        let end = self.starts.last().copied().unwrap_or_default();
        OwnedCodes::Sparse {
            latents,
            starts: self.starts.clone(),
            lengths: self.lengths.clone(),
            indices: self.latents[..end].to_vec(),
            values: self.values[..end].to_vec(),
        }
    }

    /// Sorts the entries by latent: two passes over them. Of a marked code, entries of 0 stand behind the others of
    /// each sample, and so they do of each latent.
    pub fn sort_by_latent(&mut self, latents: usize, is_marked: bool) {
        self.rows.clear();
        self.latent_starts.clear();
        self.latent_starts.resize(latents + 1, 0);
        for sample in 0..self.lengths.len() {
            for latent in &self.latents[self.range(sample)] {
                self.latent_starts[*latent as usize] += 1;
            }
        }
        let mut sum = 0;
        for start in &mut self.latent_starts {
            (*start, sum) = (sum, sum + *start);
        }
        if self.samples.len() < sum as usize {
            self.samples.resize(sum as usize, 0);
            self.places.resize(sum as usize, 0);
        }
        let samples = 0..self.lengths.len();
        if is_marked {
            let end = |lists: &Self, sample: usize| {
                let range = lists.range(sample);
                range.start + lists.values[range].partition_point(|value| *value != 0.0)
            };
            samples.clone().for_each(|sample| {
                self.scatter(sample, self.range(sample).start..end(self, sample));
            });
            samples.for_each(|sample| {
                self.scatter(sample, end(self, sample)..self.range(sample).end);
            });
        } else {
            samples.for_each(|sample| self.scatter(sample, self.range(sample)));
        }
        // Each start has moved to the next one's place.
        self.latent_starts.copy_within(..latents, 1);
        self.latent_starts[0] = 0;
    }

    /// Writes some entries of a sample to the places that come next of their latents.
    fn scatter(&mut self, sample: usize, places: Range<usize>) {
        for place in places {
            let next = &mut self.latent_starts[self.latents[place] as usize];
            self.samples[*next as usize] = sample as u32;
            self.places[*next as usize] = place as u32;
            *next += 1;
        }
    }

    /// Has entries, once they are sorted, learn from the row of the first prefix that their latent is in, where each
    /// sample has a row for each of the prefixes that end there.
    pub fn spread_over_prefixes(&mut self, ends: &[usize]) {
        let (mut first, mut rows) = (0, std::mem::take(&mut self.rows));
        rows.clear();
        for (prefix, end) in ends.iter().enumerate() {
            let samples = &self.samples[self.places_of_latents(first..*end)];
            rows.extend(samples.iter().map(|sample| sample * ends.len() as u32 + prefix as u32));
            first = *end;
        }
        self.rows = rows;
    }

    /// The rows of the derivatives that the entries of a latent learn from.
    #[inline(always)]
    pub fn rows_of_latent(&self, latent: usize) -> &[u32] {
        let rows = if self.rows.is_empty() { &self.samples } else { &self.rows };
        &rows[self.places_of_latent(latent)]
    }

    /// How many latents the entries were sorted by.
    pub fn latents(&self) -> usize {
        self.latent_starts.len() - 1
    }

    /// The number of entries, once they are sorted.
    pub fn entries(&self) -> usize {
        self.latent_starts.last().map_or(0, |end| *end as usize)
    }

    /// Numbers that entries by sample have room in.
    pub fn room(&self) -> usize {
        self.starts.last().copied().unwrap_or_default()
    }

    /// Where the entries of a latent are among all, by latent.
    #[inline(always)]
    pub fn places_of_latent(&self, latent: usize) -> Range<usize> {
        self.places_of_latents(latent..latent + 1)
    }

    /// The same of neighbouring latents.
    #[inline(always)]
    pub fn places_of_latents(&self, latents: Range<usize>) -> Range<usize> {
        self.latent_starts[latents.start] as usize..self.latent_starts[latents.end] as usize
    }

    /// Shows each entry: its place by latent, and in `values`.
    pub fn each_place(&self, mut see: impl FnMut(usize, usize)) {
        let places = &self.places[..self.entries()];
        places.iter().enumerate().for_each(|(entry, place)| see(entry, *place as usize));
    }

    /// The entries of a latent: the sample of each, and where it is in `values`.
    #[inline(always)]
    pub fn of_latent(&self, latent: usize) -> (&[u32], &[u32]) {
        let range = self.places_of_latent(latent);
        (&self.samples[range.clone()], &self.places[range])
    }
}

/// Takes the first `size` numbers off a slice.
fn split<'a, T>(rest: &mut &'a mut [T], size: usize) -> &'a mut [T] {
    let (first, others) = std::mem::take(rest).split_at_mut(size);
    *rest = others;
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_by_latent_are_the_entries_by_sample() {
        let mut lists = Lists::default();
        lists.make_room([2, 3, 1].into_iter());
        for (room, (lengths, latents)) in
            lists.blocks(2).zip([(vec![2, 1], vec![1, 4, 1, 9, 9]), (vec![1], vec![0])])
        {
            room.lengths.copy_from_slice(&lengths);
            room.latents.copy_from_slice(&latents);
            assert_eq!(room.range(lengths.len() - 1).end, room.latents.len());
        }
        lists.sort_by_latent(5, false);
        assert_eq!(lists.of_latent(0), (&[2][..], &[5][..]));
        assert_eq!(lists.of_latent(1), (&[0, 1][..], &[0, 2][..]));
        assert_eq!(lists.of_latent(2), (&[][..], &[][..]));
        assert_eq!(lists.of_latent(4), (&[0][..], &[1][..]));
        assert_eq!(lists.rows_of_latent(1), [0, 1]);
        // Prefixes of one, of four and of all five latents.
        lists.spread_over_prefixes(&[1, 4, 5]);
        assert_eq!(lists.rows_of_latent(0), [6]);
        assert_eq!(lists.rows_of_latent(1), [1, 4]);
        assert_eq!(lists.rows_of_latent(4), [2]);
        lists.sort_by_latent(5, false);
        assert_eq!(lists.rows_of_latent(0), [2]);
    }

    /// Wrong if a mark stood before an active entry of its latent, or samples were out of order.
    #[test]
    fn marks_stand_behind_the_entries_of_each_latent() {
        let mut lists = Lists::default();
        lists.make_room([3, 2, 2].into_iter());
        let latents = [[0, 2, 1].as_slice(), &[1, 2], &[2, 1]];
        let values = [[1.0, 2.0, 0.0].as_slice(), &[3.0, 0.0], &[4.0, 0.0]];
        for ((room, latents), values) in lists.blocks(1).zip(latents).zip(values) {
            room.lengths[0] = latents.len() as u32;
            room.latents.copy_from_slice(latents);
            room.values.copy_from_slice(values);
        }
        lists.sort_by_latent(3, true);
        assert_eq!(lists.of_latent(0).0, [0]);
        assert_eq!(lists.of_latent(1).0, [1, 0, 2], "the marks of samples 0 and 2 stand behind");
        assert_eq!(lists.of_latent(2).0, [0, 2, 1]);
        lists.sort_by_latent(3, false);
        assert_eq!(lists.of_latent(1).0, [0, 1, 2]);
    }
}
