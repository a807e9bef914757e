//! Learning from codes in lists: one latent after another.

use pulp::{Simd, WithSimd};

use super::columns::{LatentRows, add_multiple};
use super::{GradientUse, LatentTile, Lesson};
use crate::fused::buffers::Scratch;
use crate::fused::dead::DeadRow;
use crate::fused::jump::before_marks;
use crate::fused::kernels::weighted_sum;
use crate::fused::lists::Lists;
use crate::model::Side;

pub struct LearnLists<'a, U> {
    pub lesson: &'a Lesson<'a, U>,
    pub lists: &'a Lists,
    pub term: bool,
    pub tile: LatentTile<'a>,
    pub scratch: &'a mut Scratch,
}

impl<U: GradientUse> WithSimd for LearnLists<'_, U> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { lesson, lists, term, mut tile, scratch } = self;
        let Lesson { form, x, g, .. } = *lesson;
        let stride = x.stride();
        tile.pull.fill(0.0);
        let Scratch { values, row: pre_gradients, bias, gradient, columns, .. } = scratch;
        let (gradient, more) = gradient.get(2 * stride).split_at_mut(stride);
        bias.clear();
        bias.resize(tile.b_enc.values.len(), 0.0);
        let count = (tile.encoder.values.len() / stride).min(lesson.latents() - tile.first);
        for (at, bias) in bias.iter_mut().enumerate().take(count) {
            let latent = tile.first + at;
            let (samples, places) = lists.of_latent(latent);
            values.clear();
            values.extend(places.iter().map(|place| lists.values[*place as usize]));
            let dictionary = if form.tied { &tile.encoder } else { &tile.decoder };
            let atom = &dictionary.values[at * stride..(at + 1) * stride];
            let (pre_gradients, factors) = match lesson.given {
                Some(given) => given.of_latent(lists, latent),
                None => {
                    pre_gradients.clear();
                    pre_gradients.resize(samples.len(), 0.0);
                    let encoder = &tile.encoder.values[at * stride..(at + 1) * stride];
                    let rows = LatentRows { encoder, decoder: atom };
                    let sums = &mut tile.sums[1 + lesson.uses.weight_terms.len()..];
                    let entries = (lists, term, latent);
                    let numbers = (&**values, &mut **pre_gradients);
                    let factors = lesson.back_of_list(simd, entries, rows, numbers, columns, sums);
                    (&**pre_gradients, factors)
                }
            };
            pre_gradients.iter().for_each(|pre| *bias += *pre);
            lesson.dead.iter().for_each(|dead| *bias += dead.by_bias(latent));
            if form.subtract_decoder_bias {
                let row = &tile.encoder.values[at * stride..(at + 1) * stride];
                tile.pull.iter_mut().zip(row).for_each(|(sum, value)| *sum += *bias * value);
            }
            if let Some(own) = tile.own.get_mut(at) {
                *own = factors.own;
                *bias -= factors.past_bias;
            }
            // Marks add nothing to rows.
            let end = before_marks(lesson.jump, values);
            let (values, pre_gradients) = (&values[..end], &pre_gradients[..end]);
            let (samples, rows) = (&samples[..end], &lists.rows_of_latent(latent)[..end]);
            weighted_sum(simd, g, rows, values, None, gradient);
            lesson.add_dead(latent, DeadRow::Decoder, gradient, columns);
            if factors.decoder != 0.0 {
                add_multiple(gradient, factors.decoder, atom);
            }
            if form.tied {
                weighted_sum(simd, x, samples, pre_gradients, Some(gradient), more);
                lesson.add_dead(latent, DeadRow::Encoder(x), more, columns);
                let row = tile.encoder.row(at, stride);
                if factors.encoder != 0.0 {
                    add_multiple(more, factors.encoder, row.values);
                }
                lesson.take(simd, more, row, Some(Side::Both), tile.sums);
            } else {
                let row = tile.decoder.row(at, stride);
                lesson.take(simd, gradient, row, Some(Side::Decoder), tile.sums);
                weighted_sum(simd, x, samples, pre_gradients, None, more);
                lesson.add_dead(latent, DeadRow::Encoder(x), more, columns);
                let row = tile.encoder.row(at, stride);
                if factors.encoder != 0.0 {
                    add_multiple(more, factors.encoder, row.values);
                }
                lesson.take(simd, more, row, Some(Side::Encoder), tile.sums);
            }
            if let Some(narrow) = &mut tile.narrow {
                narrow.update(at, &tile.encoder.values[at * stride..(at + 1) * stride]);
            }
        }
        lesson.take(simd, bias, tile.b_enc, None, tile.sums);
    }
}
