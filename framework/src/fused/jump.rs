//! Codes that stay where they exceed a threshold of their latent, and what thresholds learn: from the codes in a box
//! around them, of which those below are 0.
//!
//! Where derivatives are wanted, a code of −0.0 says that the pre-code was below its threshold and in the box: it is a
//! 0 in every product and every count, and no second matrix is needed. In lists such marks stand behind the codes that
//! are not 0, of each sample and, once they are sorted, of each latent.

use super::Fused;
use super::buffers::{Buffers, CodePlace};
use super::pass::Decode;
use super::penalties::CountOf;
use crate::model::LossTerm;

/// A code that is 0 though its pre-code was in the box of its threshold.
const MARK: f32 = -0.0;

/// What a pass knows of thresholds.
#[derive(Default)]
pub struct JumpBuffers {
    /// The threshold of each latent; empty where the penalty has none.
    theta: Vec<f32>,
    /// The width of the box.
    width: f32,
    /// Whether codes in the box are marked.
    is_marked: bool,
    /// The active latents of each sample in each tile, [tiles, samples].
    active: Vec<u32>,
    /// The derivative of the loss by the number of active latents of the batch.
    by_count: f32,
}

/// The thresholds of a tile of latents, and room for its counts.
pub struct JumpTile<'a> {
    theta: &'a [f32],
    /// Half the width of the box; less than 0 where nothing is marked.
    half: f32,
    /// The active latents of each sample.
    active: &'a mut [u32],
}

impl JumpBuffers {
    /// The parts of tiles of `width` latents; `None` for each where there are no thresholds.
    pub fn tiles(
        &mut self,
        width: usize,
        samples: usize,
    ) -> impl Iterator<Item = Option<JumpTile<'_>>> + Send {
        let tiles = self.theta.len().div_ceil(width);
        self.active.clear();
        self.active.resize(tiles * samples, 0);
        let half = if self.is_marked { self.width / 2.0 } else { -1.0 };
        let all = self.theta.chunks(width).zip(self.active.chunks_mut(samples));
        let all = all.map(move |(theta, active)| Some(JumpTile { theta, half, active }));
        all.chain(std::iter::repeat_with(|| None))
    }

    /// Whether the penalty has thresholds.
    pub fn is_there(&self) -> bool {
        !self.theta.is_empty()
    }

    /// Whether the codes of the last pass are marked.
    pub fn is_marked(&self) -> bool {
        self.is_there() && self.is_marked
    }

    /// What thresholds learn from, if there are any.
    pub fn lesson(&self) -> Option<JumpLesson<'_>> {
        let Self { theta, width, by_count, .. } = self;
        self.is_there().then_some(JumpLesson { theta, width: *width, by_count: *by_count })
    }
}

impl JumpTile<'_> {
    /// Sets what is not above its threshold to 0, of the sample `at`. Returns the number of codes that are active or
    /// marked.
    #[inline(always)]
    pub fn take(&mut self, at: usize, row: &mut [f32]) -> u32 {
        let half = self.half;
        let (mut active, mut marked) = (0, 0);
        for (code, theta) in row.iter_mut().zip(self.theta) {
            let is_near = (*code - theta).abs() < half;
            // NaN stays NaN, so that a run that diverged is seen to.
            let is_off = *code <= *theta;
            active += u32::from(!is_off);
            marked += u32::from(is_off & is_near);
            *code = if is_off { if is_near { MARK } else { 0.0 } } else { *code };
        }
        self.active[at] = active;
        active + marked
    }
}

impl Fused {
    /// Encodes, and decodes what is above its threshold.
    pub(super) fn keep_above_thresholds(
        &self,
        buffers: &mut Buffers,
        x: &[f32],
        (width, is_marked): (f64, bool),
        decode: Decode<'_>,
    ) -> CodePlace {
        let samples = x.len() / self.inputs;
        let [theta] = &*self.tensors.own else {
            panic!("thresholds are the one parameter of their penalty")
        };
        let own = &mut buffers.jump;
        own.theta.clear();
        own.theta.extend_from_slice(&theta.values.row(0)[..self.tensors.core.latents()]);
        (own.width, own.is_marked) = (width as f32, is_marked);
        let kept = self.encode_dense(buffers, x, &[]);
        self.decode_kept(buffers, kept, samples, decode);
        if kept == CodePlace::Dense {
            // Marks needed no room, and are not active.
            std::mem::swap(&mut buffers.counts, &mut buffers.jump.active);
        }
        kept
    }

    /// The term of the mean number of active latents of a sample; thresholds learn from its slope.
    pub(super) fn count_term(
        &self,
        buffers: &mut Buffers,
        kept: CodePlace,
        samples: usize,
        count: CountOf<'_>,
    ) -> LossTerm {
        let active = buffers.active(kept, samples, self.l0_rule);
        let (raw, slope) = count.term.value(active as f64 / samples as f64);
        buffers.jump.by_count = (count.weight * slope / samples as f64) as f32;
        count.measured(raw)
    }
}

/// What thresholds learn from.
#[derive(Clone, Copy)]
pub struct JumpLesson<'a> {
    theta: &'a [f32],
    width: f32,
    by_count: f32,
}

impl JumpLesson<'_> {
    /// The derivative of the loss by a latent's threshold, from its entries in the lists and the derivatives by them;
    /// those that do not reach pre-codes become 0.
    #[inline(always)]
    pub fn of_list(self, latent: usize, values: &[f32], back: &mut [f32]) -> f32 {
        let (theta, half) = (self.theta[latent], self.width / 2.0);
        let mut sum = 0.0;
        for (value, back) in values.iter().zip(back) {
            let is_active = *value != 0.0;
            let is_near = !is_active | (*value - theta < half);
            sum += if is_near { theta * *back + self.by_count } else { 0.0 };
            *back = if is_active { *back } else { 0.0 };
        }
        -sum / self.width
    }

    /// Adds what a sample says of the thresholds from `first` on to their sums: `back` are the derivatives by its
    /// codes.
    #[inline(always)]
    pub fn add_row(self, first: usize, code: &[f32], back: &[f32], sums: &mut [f32]) {
        let half = self.width / 2.0;
        let all = code.iter().zip(back).zip(&self.theta[first..]).zip(sums);
        for (((code, back), theta), sum) in all {
            let is_marked = code.to_bits() == MARK.to_bits();
            let is_near = is_marked | ((*code != 0.0) & (*code - theta < half));
            *sum += if is_near { theta * back + self.by_count } else { 0.0 };
        }
    }

    /// The derivative by a threshold from its sum.
    #[inline(always)]
    pub fn of_sum(self, sum: f32) -> f32 {
        -sum / self.width
    }
}

/// Number of entries of a latent that are not 0: of thresholds, marks stand behind them.
#[inline(always)]
pub fn before_marks(jump: Option<JumpLesson<'_>>, values: &[f32]) -> usize {
    match jump {
        Some(_) => values.partition_point(|value| *value != 0.0),
        None => values.len(),
    }
}

/// Writes where the marks of a row are, each with the value 0, as long as there is room; returns how many.
#[inline(always)]
pub fn marks(row: &[f32], latents: &mut [u32], values: &mut [f32]) -> usize {
    let mut count = 0;
    for (at, value) in row.iter().enumerate() {
        if count == values.len() {
            break;
        }
        latents[count] = at as u32;
        count += usize::from(value.to_bits() == MARK.to_bits());
    }
    values[..count].fill(0.0);
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if a code on its threshold stayed, a code on the edge of the box were in it, a NaN were hidden, or marks
    /// were counted as active.
    #[test]
    fn codes_above_thresholds_stay_and_those_below_in_the_box_are_marked() {
        let codes = [0.75, 0.5, 0.25, 0.3, -0.1, 2.0, f32::NAN];
        let right = [0.75, MARK, 0.0, MARK, 0.0, 2.0, f32::NAN];
        let theta = vec![0.5; codes.len()];
        for is_marked in [true, false] {
            let mut jump =
                JumpBuffers { theta: theta.clone(), width: 0.5, is_marked, ..Default::default() };
            let mut row = codes;
            let mut tile = jump.tiles(16, 1).next().flatten().unwrap();
            assert_eq!(tile.take(0, &mut row), if is_marked { 5 } else { 3 });
            assert_eq!(tile.active, [3]);
            for (got, right) in row.iter().zip(right) {
                let right = if is_marked { right } else { right + 0.0 };
                assert_eq!(
                    got.to_bits(),
                    right.to_bits(),
                    "{is_marked}: {got} in place of {right}"
                );
            }
        }
        let none = JumpBuffers::default();
        assert!(!none.is_marked() && none.lesson().is_none());
    }

    /// Wrong if dense codes taught a threshold otherwise than the same codes in a list, by hand.
    #[test]
    fn a_threshold_learns_the_same_from_a_list_and_from_dense_codes() {
        let theta = [9.0, 0.5];
        let lesson = JumpLesson { theta: &theta, width: 0.5, by_count: 0.25 };
        // Above in the box, beyond it, marked, off.
        let (code, slopes) = ([0.7, 1.5, MARK, 0.0], [3.0, 5.0, -2.0, 7.0]);
        let right = -((0.5 * 3.0 + 0.25) + (0.5 * -2.0 + 0.25)) / 0.5;
        let (values, mut back) = ([0.7, 1.5, 0.0], [3.0, 5.0, -2.0]);
        assert_eq!(lesson.of_list(1, &values, &mut back), right);
        assert_eq!(back, [3.0, 5.0, 0.0]);
        assert_eq!(before_marks(Some(lesson), &values), 2);
        assert_eq!(before_marks(None, &values), 3);
        let mut sums = [0.0];
        code.iter().zip(slopes).for_each(|(code, slope)| {
            lesson.add_row(1, &[*code], &[slope], &mut sums);
        });
        assert_eq!(lesson.of_sum(sums[0]), right);
    }

    /// Wrong if a zero that is no mark were taken for one, or more were written than there is room for.
    #[test]
    fn marks_are_found_by_their_sign() {
        let row = [0.0, MARK, 1.0, MARK, -1.0, MARK];
        let (mut latents, mut values) = ([9; 3], [5.0; 3]);
        assert_eq!(marks(&row, &mut latents, &mut values), 3);
        assert_eq!((latents, values.map(f32::to_bits)), ([1, 3, 5], [0; 3]));
        assert_eq!(marks(&row, &mut latents[..2], &mut values[..2]), 2);
        assert_eq!(marks(&row, &mut [], &mut []), 0);
    }
}
