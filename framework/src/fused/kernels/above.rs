//! Selection of the largest values of a whole batch, exactly and without a sort.
//!
//! Blocks of samples collect what is above a bound, each in the order of samples and latents. The least value that is
//! kept is then found digit by digit: how many values have each leading digit says which digit it has.

use super::select::{PIECE, is_above, is_any_above, order, value};

/// The digits of the order of a number that is not negative, from the first: where each starts, and its bits.
const DIGITS: [(u32, u32); 3] = [(20, 11), (10, 10), (0, 10)];

/// What is above a bound of the codes of some samples, sample by sample, latents ascending.
#[derive(Default)]
pub struct Above {
    orders: Vec<i32>,
    latents: Vec<u32>,
    /// Number of values of each sample.
    lengths: Vec<usize>,
    len: usize,
}

impl Above {
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.lengths.clear();
        self.len = 0;
    }

    /// Sees the code of the next sample. The bound is at least 0; NaN counts as larger than every number.
    #[inline(always)]
    pub fn see(&mut self, code: &[f32], bound: f32) {
        let end = self.len + code.len();
        if self.orders.len() < end {
            let room = end.next_power_of_two();
            self.orders.resize(room, 0);
            self.latents.resize(room, 0);
        }
        let (orders, latents) = (&mut self.orders[self.len..end], &mut self.latents[self.len..end]);
        let mut taken = 0;
        for (at, piece) in code.chunks(PIECE).enumerate() {
            if is_any_above::<false>(piece, bound) {
                for (lane, value) in piece.iter().enumerate() {
                    // Written always, kept if above: no branch to be predicted.
                    orders[taken] = order(*value);
                    latents[taken] = (at * PIECE + lane) as u32;
                    taken += usize::from(is_above(*value, bound));
                }
            }
        }
        self.len += taken;
        self.lengths.push(taken);
    }

    /// Number of values of each sample.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The latent of each value.
    pub fn latents(&self) -> &[u32] {
        &self.latents[..self.len]
    }

    /// The values.
    pub fn values(&self) -> impl Iterator<Item = f32> + '_ {
        self.orders().iter().map(|order| value(*order))
    }

    fn orders(&self) -> &[i32] {
        &self.orders[..self.len]
    }

    /// Leaves what is above `least`, and as many of those at it as there are ties left.
    fn keep(&mut self, least: i32, ties: &mut usize) {
        let (mut seen, mut kept) = (0, 0);
        for length in &mut self.lengths {
            let (start, end) = (kept, seen + *length);
            for at in seen..end {
                let order = self.orders[at];
                let is_tie = order == least && *ties > 0;
                *ties -= usize::from(is_tie);
                (self.orders[kept], self.latents[kept]) = (order, self.latents[at]);
                kept += usize::from(order > least || is_tie);
            }
            (seen, *length) = (end, kept - start);
        }
        self.len = kept;
    }
}

/// Leaves the `count` largest values of a batch, the first ones of those that tie, and returns the least of them.
pub fn keep_largest(blocks: &mut [Above], count: usize) -> Option<f32> {
    if blocks.iter().map(Above::len).sum::<usize>() > count {
        let (least, mut ties) = if count == 0 { (i32::MAX, 0) } else { nth_largest(blocks, count) };
        blocks.iter_mut().for_each(|block| block.keep(least, &mut ties));
    }
    blocks.iter().flat_map(Above::orders).min().map(|order| value(*order))
}

/// The order of the `count`-th largest of more values than that, and how many of those at it are among them.
fn nth_largest(blocks: &[Above], count: usize) -> (i32, usize) {
    let (mut least, mut left) = (0, count);
    for (shift, bits) in DIGITS {
        let digits = 1_usize << bits;
        let mut counts = vec![0_usize; digits];
        for order in blocks.iter().flat_map(Above::orders) {
            if order >> shift >> bits == least >> shift >> bits {
                counts[(order >> shift) as usize & (digits - 1)] += 1;
            }
        }
        let mut digit = digits - 1;
        while counts[digit] < left {
            left -= counts[digit];
            digit -= 1;
        }
        least |= (digit << shift) as i32;
    }
    (least, left)
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::random::Streams;

    /// Wrong if another value than a sort finds were kept, if ties were broken otherwise, or if blocks mattered.
    #[test]
    fn the_largest_of_a_batch_are_those_a_sort_finds_in_any_blocks() {
        let mut random = Streams::new(8).stream("test");
        for round in 0..300 {
            let (samples, latents) = (random.random_range(1..9), random.random_range(1..70));
            let code: Vec<f32> = (0..samples * latents)
                .map(|_| match round % 3 {
                    0 => (random.random::<f32>() - 0.5).max(0.0),
                    1 => (random.random_range(0..5) as f32 - 2.0).max(0.0) * 0.25,
                    _ => random.random::<f32>().powi(40),
                })
                .collect();
            let count = random.random_range(0..=code.len() + 3);
            let mut right: Vec<usize> = (0..code.len()).filter(|at| code[*at] > 0.0).collect();
            right.sort_by(|a, b| code[*b].total_cmp(&code[*a]).then(a.cmp(b)));
            right.truncate(count);
            let least = right.last().map(|at| code[*at]);
            right.sort_unstable();
            for block in [1, 2, samples] {
                let mut blocks = Vec::new();
                for codes in code.chunks(block * latents) {
                    let mut own = Above::default();
                    own.see(&[9.0], 0.0);
                    own.clear();
                    codes.chunks(latents).for_each(|code| own.see(code, 0.0));
                    blocks.push(own);
                }
                assert_eq!(keep_largest(&mut blocks, count), least, "round {round}");
                let mut found = Vec::new();
                let (mut sample, mut values) = (0, Vec::new());
                for block in &blocks {
                    let mut of_block = block.latents().iter();
                    for length in block.lengths() {
                        let own = of_block.by_ref().take(*length);
                        found.extend(own.map(|latent| sample * latents + *latent as usize));
                        sample += 1;
                    }
                    values.extend(block.values());
                }
                assert_eq!(found, right, "round {round}");
                assert!(found.iter().zip(values).all(|(at, value)| code[*at] == value));
            }
        }
    }

    /// Wrong if what diverged were lost.
    #[test]
    fn nan_is_above_every_bound() {
        let mut blocks = [Above::default()];
        blocks[0].see(&[1.0, f32::NAN, 3.0], 2.0);
        assert_eq!(blocks[0].latents(), [1, 2]);
        assert!(keep_largest(&mut blocks, 1).unwrap().is_nan());
    }
}
