//! The pass of dead latents: from their pre-codes and the error to the terms, and to what they learn from.

use pulp::{Simd, WithSimd};

use super::{DeadBuffers, DeadTerms, Prediction, make_room};
use crate::fused::Fused;
use crate::fused::buffers::{Buffers, Scratch};
use crate::fused::decode::{DecodeGoal, block_size, dense_block, sum_from_behind};
use crate::fused::kernels::{
    Matrix, SelectScratch as Selection, activate_in_place, k_largest_of_row, weighted_sum,
};
use crate::fused::lists::Room;
use crate::fused::objective::{RowObjective, squared_distance};
use crate::fused::parallel::parallel;
use crate::fused::pass::Decode;
use crate::fused::products::each_row;
use crate::model::LossTerm;
use crate::plugin::{Activation, DeadPrediction, KeptBy};

impl Fused {
    /// Takes the terms of dead latents. With targets, some are dead and the rows of the outermost level hold
    /// reconstructions: they become the derivatives by what the decoder gave, as those of a pass without such terms
    /// are, and everything is made that dead latents learn from.
    pub(in crate::fused) fn pass_dead(
        &self,
        buffers: &mut Buffers,
        samples: usize,
        share: f32,
        targets: Option<&[f32]>,
        terms: &DeadTerms,
    ) -> Vec<LossTerm> {
        let Some(targets) = targets else { return terms.measured(&[]) };
        let mut dead = std::mem::take(&mut buffers.dead);
        self.keep_errors(buffers, &mut dead, samples, share, targets);
        if !self.outer.is_empty() {
            self.back_to_core(buffers, samples);
        }
        let squares = dead.squares.iter().sum();
        dead.count = terms.terms.len();
        dead.predictions.resize_with(dead.count.max(dead.predictions.len()), Prediction::default);
        let mut predictions = std::mem::take(&mut dead.predictions);
        let mut values = Vec::with_capacity(dead.count);
        for (term, own) in terms.terms.iter().zip(&mut predictions) {
            let DeadPrediction { k, weight, .. } = term.about;
            let scale = term.about.scale(squares, samples, dead.latents.len());
            self.predict(buffers, &mut dead, own, k, samples);
            let error = self.compare(buffers, &dead.errors, own, (2.0 * weight * scale) as f32);
            let has_outer = !self.outer.is_empty();
            own.back(self.arch, &self.tensors.core, has_outer, &mut buffers.scratches);
            values.push(error * scale);
        }
        dead.predictions = predictions;
        buffers.dead = dead;
        terms.measured(&values)
    }

    /// Keeps what reconstructions leave of the targets, and turns them into derivatives.
    fn keep_errors(
        &self,
        buffers: &mut Buffers,
        dead: &mut DeadBuffers,
        samples: usize,
        share: f32,
        targets: &[f32],
    ) {
        let DeadBuffers { errors, squares, .. } = dead;
        let Buffers { rows, outer, scratches, prefixes, .. } = buffers;
        let (prefixes, is_core) = (*prefixes, outer.is_empty());
        let rows = outer.first_mut().map_or(rows, |outermost| &mut outermost.rows);
        make_room(errors, samples, self.inputs);
        squares.clear();
        squares.resize(samples, 0.0);
        let (block, stride) = (dense_block(samples), rows.stride());
        let size = block * stride;
        let blocks = rows.as_mut_slice()[..samples * prefixes * stride]
            .chunks_mut(size * prefixes)
            .zip(errors.as_mut_slice()[..samples * stride].chunks_mut(size))
            .zip(squares.chunks_mut(block))
            .zip(targets.chunks(block * self.inputs));
        let (arch, inputs, objective) = (self.arch, self.inputs, self.row_objective());
        parallel(scratches, blocks, |_, (((rows, errors), squares), targets)| {
            let of = (objective, share);
            arch.dispatch(KeepErrors { of, inputs, is_core, rows, errors, squares, targets });
        });
    }

    /// Has the k largest dead latents of each sample decoded, to the rows of the prediction's outermost level.
    fn predict(
        &self,
        buffers: &mut Buffers,
        dead: &mut DeadBuffers,
        own: &mut Prediction,
        k: usize,
        samples: usize,
    ) {
        let dictionary = self.tensors.core.dictionary();
        let all = dictionary.rows();
        let DeadBuffers { latents, pre_codes, .. } = dead;
        let pre_codes = &*pre_codes.get(latents.len() * samples);
        let k = k.min(latents.len());
        make_room(&mut own.rows, samples, dictionary.columns());
        own.errors.clear();
        own.errors.resize(samples, 0.0);
        own.lists.make_room(std::iter::repeat_n(k, samples));
        let (block, stride) = (block_size(samples, buffers.scratches.len()), own.rows.stride());
        let rows = own.rows.as_mut_slice()[..samples * stride].chunks_mut(block * stride);
        let blocks = own.lists.blocks(block).zip(rows).enumerate();
        let activation = match self.outer.is_empty() {
            true => Activation::Identity,
            false => self.form.decoder_activation,
        };
        let arch = self.arch;
        parallel(&mut buffers.scratches, blocks, |scratch, (at, (room, rows))| {
            let Scratch { selection, values, .. } = scratch;
            let codes = (&**latents, pre_codes);
            let sizes = [at * block, samples, all];
            let of = FillLists { codes, sizes, k, dictionary, activation, room, rows };
            arch.dispatch(FillWith { of, selection, values });
        });
        if self.outer.is_empty() {
            return;
        }
        if own.outer.is_empty() {
            own.outer = buffers.outer.iter().map(|level| level.like()).collect();
        }
        let goal = DecodeGoal::WithoutBias;
        let decode = Decode { goal, ..Decode::RECONSTRUCT };
        own.exchanged(buffers, |buffers| {
            self.decode_outer(buffers, samples, decode);
            buffers.rows.reserve_rows(samples);
        });
    }

    /// Compares predictions with the error: they become derivatives, `factor` times the difference. Returns the sum
    /// of the squares of the differences.
    fn compare(
        &self,
        buffers: &mut Buffers,
        errors: &Matrix,
        own: &mut Prediction,
        factor: f32,
    ) -> f64 {
        let inputs = self.inputs;
        let samples = own.errors.len();
        let Prediction { rows, outer, errors: found, .. } = own;
        let predicted = outer.first_mut().map_or(rows, |outermost| &mut outermost.rows);
        let see = |sample: usize, _: usize, row: &mut [f32], found: &mut f64| {
            let (row, padding) = row.split_at_mut(inputs);
            let error = &errors.row(sample)[..inputs];
            *found = squared_distance(row, error);
            row.iter_mut().zip(error).for_each(|(value, error)| *value = factor * (*value - error));
            padding.fill(0.0);
        };
        each_row(self.arch, predicted, &mut buffers.scratches, see, found);
        if !self.outer.is_empty() {
            own.exchanged(buffers, |buffers| self.back_through_decoders(buffers, samples));
        }
        own.errors.iter().sum()
    }
}

impl Prediction {
    /// Does some work on buffers in which the prediction stands in the place of the reconstruction.
    fn exchanged(&mut self, buffers: &mut Buffers, work: impl FnOnce(&mut Buffers)) {
        let mut exchange = |buffers: &mut Buffers| {
            std::mem::swap(&mut self.rows, &mut buffers.rows);
            std::mem::swap(&mut self.outer, &mut buffers.outer);
            std::mem::swap(&mut self.errors, &mut buffers.errors);
        };
        exchange(buffers);
        work(buffers);
        exchange(buffers);
    }
}

/// Errors of some samples, and the derivatives of their objective.
struct KeepErrors<'a> {
    /// The objective and what its derivatives are multiplied by.
    of: (RowObjective, f32),
    inputs: usize,
    /// Whether the rows are what the core decodes, where each prefix takes part in all that follow.
    is_core: bool,
    /// Of each sample a row for each prefix.
    rows: &'a mut [f32],
    errors: &'a mut [f32],
    squares: &'a mut [f64],
    targets: &'a [f32],
}

impl WithSimd for KeepErrors<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { of: (objective, share), inputs, is_core, rows, errors, squares, targets } = self;
        let [stride, of_sample] = [errors.len(), rows.len()].map(|all| all / squares.len());
        let all = rows.chunks_exact_mut(of_sample).zip(errors.chunks_exact_mut(stride));
        for (((rows, error), square), target) in all.zip(squares).zip(targets.chunks_exact(inputs))
        {
            let whole = &rows[of_sample - stride..][..inputs];
            *square = squared_distance(whole, target);
            let error = error.iter_mut().zip(whole).zip(target);
            error.for_each(|((error, value), target)| *error = target - value);
            for row in rows.chunks_exact_mut(stride) {
                objective.slopes(&mut row[..inputs], target, share);
            }
            if is_core {
                sum_from_behind(rows, stride);
            }
        }
    }
}

/// The lists of some samples, and what the level that makes the code decodes of them.
struct FillLists<'a> {
    /// The dead latents, and their pre-codes.
    codes: (&'a [u32], &'a [f32]),
    /// The first sample, the number of samples in all and that of latents.
    sizes: [usize; 3],
    k: usize,
    dictionary: &'a Matrix,
    activation: Activation,
    room: Room<'a>,
    rows: &'a mut [f32],
}

struct FillWith<'a> {
    of: FillLists<'a>,
    selection: &'a mut Selection,
    values: &'a mut Vec<f32>,
}

impl WithSimd for FillWith<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { of, selection, values: pre_codes } = self;
        let FillLists { codes, sizes, k, dictionary, activation, room, rows } = of;
        let [first, samples, all] = sizes;
        let stride = dictionary.stride();
        let atoms = dictionary.first_rows(dictionary.rows());
        for (at, row) in rows.chunks_exact_mut(stride).enumerate() {
            DeadBuffers::gather(codes, [first + at, samples, all], pre_codes);
            let range = room.range(at);
            let (latents, values) = (&mut room.latents[range.clone()], &mut room.values[range]);
            // What relu makes zero has neither a value nor a gradient.
            let of = (k, 0.0, KeptBy::Value);
            let length = k_largest_of_row(pre_codes, of, selection, latents, values);
            room.lengths[at] = length as u32;
            let (latents, values) = (&mut latents[..length], &values[..length]);
            latents.iter_mut().for_each(|place| *place = codes.0[*place as usize]);
            weighted_sum(simd, atoms, latents, values, None, row);
            activate_in_place(activation, row);
        }
    }
}
