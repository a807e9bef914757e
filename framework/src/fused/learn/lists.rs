//! Learning from codes in lists: one latent after another.

use pulp::{Simd, WithSimd};

use super::columns::{LatentRows, RowFactors, add_multiple};
use super::{GradientUse, LatentTile, Lesson};
use crate::fused::buffers::Scratch;
use crate::fused::kernels::{dots, slope, weighted_sum};
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
        let Lesson { form, x, g, weight, .. } = *lesson;
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
            pre_gradients.clear();
            pre_gradients.resize(samples.len(), 0.0);
            let dictionary = if form.tied { &tile.encoder } else { &tile.decoder };
            let atom = &dictionary.values[at * stride..(at + 1) * stride];
            dots(simd, g, samples, atom, pre_gradients);
            let mut factors = RowFactors::default();
            if !lesson.columns.is_empty() {
                let encoder = &tile.encoder.values[at * stride..(at + 1) * stride];
                let rows = LatentRows { encoder, decoder: atom };
                let sums = &mut tile.sums[1 + lesson.weight_terms.len()..];
                let numbers = (&**values, &mut **pre_gradients);
                factors = lesson.column_of_list(numbers, samples, rows, columns, sums);
            }
            let more_slope = lesson.slopes.get(latent).map_or(0.0, |slope| slope * weight);
            for ((pre, value), place) in pre_gradients.iter_mut().zip(&*values).zip(places) {
                let own = if term { lists.gradients[*place as usize] * weight } else { 0.0 };
                *pre = (*pre + more_slope + own) * slope(form.activation, *value);
                *bias += *pre;
            }
            if form.subtract_decoder_bias {
                let row = &tile.encoder.values[at * stride..(at + 1) * stride];
                tile.pull.iter_mut().zip(row).for_each(|(sum, value)| *sum += *bias * value);
            }
            weighted_sum(simd, g, samples, values, None, gradient);
            if factors.decoder != 0.0 {
                add_multiple(gradient, factors.decoder, atom);
            }
            if form.tied {
                weighted_sum(simd, x, samples, pre_gradients, Some(gradient), more);
                let row = tile.encoder.row(at, stride);
                if factors.encoder != 0.0 {
                    add_multiple(more, factors.encoder, row.values);
                }
                lesson.take(simd, more, row, Some(Side::Both), tile.sums);
            } else {
                let row = tile.decoder.row(at, stride);
                lesson.take(simd, gradient, row, Some(Side::Decoder), tile.sums);
                weighted_sum(simd, x, samples, pre_gradients, None, more);
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
