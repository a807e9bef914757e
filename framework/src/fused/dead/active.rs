//! Which latents a batch had active.

use pulp::{Simd, WithSimd};

use crate::fused::Fused;
use crate::fused::buffers::{Buffers, CodePlace};
use crate::fused::kernels::Matrix;
use crate::fused::parallel::{parallel, worth};
use crate::plugin::L0Rule;

/// Latents a task: few cache lines of flags, and of each sample's code.
const BLOCK: usize = 512;

/// Samples after which it is seen whether all of a block were active.
const SAMPLES: usize = 16;

/// Multiplications in the time that a number takes that is looked at.
const OF_A_NUMBER: usize = 8;

impl Fused {
    /// Sets the flag of each latent that was active in a sample of the last pass.
    pub(in crate::fused) fn mark_active(&self, active: &mut [bool]) {
        let buffers = &mut *self.buffers.borrow_mut();
        let Some((kept, samples)) = buffers.last else { return };
        let Buffers { code, constrained, lists, scratches, .. } = buffers;
        let rule = self.l0_rule;
        let code = match kept {
            CodePlace::Dense => &*code,
            CodePlace::Constrained => &*constrained,
            CodePlace::Lists => {
                for place in (0..samples).flat_map(|sample| lists.range(sample)) {
                    active[lists.latents[place] as usize] |= rule.is_active(lists.values[place]);
                }
                return;
            }
        };
        let scratches = worth(scratches, samples * active.len() * OF_A_NUMBER);
        let (arch, blocks) = (self.arch, active.chunks_mut(BLOCK).enumerate());
        parallel(scratches, blocks, |_, (at, active)| {
            arch.dispatch(MarkBlock { rule, code, samples, first: at * BLOCK, active });
        });
    }
}

struct MarkBlock<'a> {
    rule: L0Rule,
    code: &'a Matrix,
    samples: usize,
    first: usize,
    active: &'a mut [bool],
}

impl WithSimd for MarkBlock<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { rule, code, samples, first, active } = self;
        for sample in 0..samples {
            if sample % SAMPLES == 0 && active.iter().all(|active| *active) {
                break;
            }
            let values = &code.row(sample)[first..first + active.len()];
            let all = active.iter_mut().zip(values);
            // A loop for each rule, so that each is vectorised.
            match rule {
                L0Rule::Nonzero => {
                    all.for_each(|(active, h)| *active |= L0Rule::Nonzero.is_active(*h));
                }
                L0Rule::Above => {
                    all.for_each(|(active, h)| *active |= L0Rule::Above.is_active(*h));
                }
                L0Rule::Magnitude => {
                    all.for_each(|(active, h)| *active |= L0Rule::Magnitude.is_active(*h));
                }
            }
        }
    }
}
