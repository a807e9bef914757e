//! Codes of which the largest of a whole batch are kept, or what is above a threshold that follows them.

use pulp::Arch;

use super::Fused;
use super::buffers::{Buffers, CodePlace, Scratch};
use super::decode::{EntrySource, block_size};
use super::kernels::{Above, Matrix, keep_largest};
use super::lists::Lists;
use super::parallel::parallel;
use super::pass::Decode;
use crate::model::{Mode, Owner, PassAt, follow_threshold, kept_of_batch};

/// Share of the least value that was kept last, above which values are looked for first. Batches of one model are
/// alike, so there are seldom too few above it; then all are looked at.
const NEAR_LAST: f32 = 0.9;

/// What is kept of the codes of a batch.
#[derive(Default)]
pub struct Chosen {
    blocks: Vec<Above>,
    /// The least value kept last: what it is changes how long a choice takes, and nothing else.
    least: f32,
}

impl Fused {
    /// Encodes, and decodes the largest codes of the batch, `k` of a sample on average. In training, the state
    /// `threshold` follows the least of them.
    pub(super) fn keep_of_batch(
        &self,
        buffers: &mut Buffers,
        x: &[f32],
        (k, threshold): (f64, &str),
        at: PassAt<'_>,
        decode: Decode<'_>,
    ) -> CodePlace {
        let samples = x.len() / self.inputs;
        let all = samples * self.tensors.core.latents();
        let kept = self.encode_dense(buffers, x, &[]);
        let count = kept_of_batch(k, samples);
        let least = self.choose(buffers, samples, count);
        if at.step.mode == Mode::Train {
            let mut state = Owner::Penalty.state_in(at.state, threshold);
            follow_threshold(&mut state[0], least.map(f64::from));
        }
        if count >= all && decode.prefixes.is_empty() {
            // Nothing was to be left out: the same step as without a penalty, bit for bit.
            self.decode_kept(buffers, kept, samples, decode);
            return kept;
        }
        self.fill_lists(buffers, samples, decode, |_| EntrySource::Filled);
        CodePlace::Lists
    }

    /// Encodes, and decodes the codes above the state `threshold`.
    pub(super) fn keep_above(
        &self,
        buffers: &mut Buffers,
        x: &[f32],
        threshold: &str,
        at: PassAt<'_>,
        decode: Decode<'_>,
    ) -> CodePlace {
        let samples = x.len() / self.inputs;
        let kept = self.encode_dense(buffers, x, &[]);
        let threshold = Owner::Penalty.state_in(at.state, threshold)[0];
        if threshold <= 0.0 {
            self.decode_kept(buffers, kept, samples, decode);
            return kept;
        }
        let Buffers { code, lists, chosen, scratches, .. } = &mut *buffers;
        // The same f32 values are above the largest f32 up to the threshold.
        let nearest = threshold as f32;
        let is_beyond = f64::from(nearest) > threshold;
        let bound = if is_beyond { nearest.next_down() } else { nearest };
        collect(self.arch, code, samples, bound, &mut chosen.blocks, scratches);
        fill(lists, &chosen.blocks);
        self.fill_lists(buffers, samples, decode, |_| EntrySource::Filled);
        CodePlace::Lists
    }

    /// Puts the `count` largest codes above 0 into the lists, and returns the least of them.
    fn choose(&self, buffers: &mut Buffers, samples: usize, count: usize) -> Option<f32> {
        let Buffers { code, lists, chosen, scratches, .. } = buffers;
        let Chosen { blocks, least } = chosen;
        let bound = NEAR_LAST * *least;
        let bound = if bound.is_finite() { bound } else { 0.0 };
        collect(self.arch, code, samples, bound, blocks, scratches);
        if bound > 0.0 && blocks.iter().map(Above::len).sum::<usize>() < count {
            collect(self.arch, code, samples, 0.0, blocks, scratches);
        }
        let found = keep_largest(blocks, count);
        *least = found.unwrap_or(0.0);
        fill(lists, blocks);
        found
    }
}

/// Collects the codes above a bound, a block of samples a task.
fn collect(
    arch: Arch,
    code: &Matrix,
    samples: usize,
    bound: f32,
    blocks: &mut Vec<Above>,
    scratches: &mut [Scratch],
) {
    let (latents, block) = (code.columns(), block_size(samples, scratches.len()));
    blocks.resize_with(samples.div_ceil(block), Above::default);
    parallel(scratches, blocks.iter_mut().enumerate(), |_, (at, own)| {
        own.clear();
        arch.dispatch(|| {
            for sample in at * block..((at + 1) * block).min(samples) {
                own.see(&code.row(sample)[..latents], bound);
            }
        });
    });
}

/// Puts what was collected into lists.
fn fill(lists: &mut Lists, blocks: &[Above]) {
    lists.make_room(blocks.iter().flat_map(Above::lengths).copied());
    let Some(block) = blocks.first().map(|block| block.lengths().len()) else { return };
    for (room, own) in lists.blocks(block).zip(blocks) {
        for (to, length) in room.lengths.iter_mut().zip(own.lengths()) {
            *to = *length as u32;
        }
        room.latents.copy_from_slice(own.latents());
        room.values.iter_mut().zip(own.values()).for_each(|(to, value)| *to = value);
    }
}
