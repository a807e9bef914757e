//! The backward pass and the optimiser, one tile of latents at a time: the gradients of a latent's
//! rows are made, used and forgotten while they are in cache.

use pulp::{Arch, Simd, WithSimd};

use super::kernels::{
    Mat, MatMut, Matrix, Rows, Update, dot, dots, matmul, slope, through, weighted_sum,
};
use super::layers::Layers;
use super::lists::Lists;
use super::narrow::{Narrow, NarrowRows};
use super::parallel::parallel;
use super::{Moments, Scratch};
use crate::plugin::DenseForm;

/// What a step learns from.
#[derive(Clone, Copy)]
pub struct Lesson<'a> {
    /// Which instruction set there is.
    pub arch: Arch,
    /// The form of the model.
    pub form: DenseForm,
    /// What was encoded, [samples, inputs].
    pub x: Rows<'a>,
    /// The derivatives by what the decoder's affine map gave, [samples, inputs].
    pub g: Rows<'a>,
    /// The codes.
    pub code: Code<'a>,
    /// The derivative of the penalty by every value of a latent; empty for zeros.
    pub slopes: &'a [f32],
    /// What the slopes, and the terms' derivatives in `code`, are multiplied by.
    pub weight: f32,
    /// The optimiser at this step.
    pub update: Update,
}

/// The codes of a batch and the penalty's derivatives by them.
#[derive(Clone, Copy)]
pub enum Code<'a> {
    /// Lists, with the derivatives in them if `term` is set.
    Lists {
        /// The entries, sorted by latent.
        lists: &'a Lists,
        /// Whether the derivatives in the lists count.
        term: bool,
    },
    /// All values, [samples, latents].
    Dense {
        /// What was decoded.
        code: &'a Matrix,
        /// What the activation gave; the same unless a penalty constrained it.
        before: &'a Matrix,
        /// The penalty's derivatives by them, where there are such.
        gradients: Option<&'a Matrix>,
        /// Whether `gradients` are those of the whole loss already.
        whole: bool,
    },
}

/// Latents a task where codes are lists: small, so that threads end together.
const LIST_TILE: usize = 32;

/// Latents a task where codes are dense: large enough for the products to be efficient.
const DENSE_TILE: usize = 256;

/// The parameters and moments of some latents, rows padded.
struct Tile<'a> {
    first: usize,
    encoder: Tensor<'a>,
    b_enc: Tensor<'a>,
    decoder: Tensor<'a>,
    /// The encoder's rows in bf16, if that is the precision.
    narrow: Option<NarrowRows<'a>>,
    /// The sum over these latents of b_enc's derivative times the encoder's row.
    pull: &'a mut [f32],
}

/// Values and moments.
struct Tensor<'a> {
    values: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
}

impl Tensor<'_> {
    #[inline(always)]
    fn row(&mut self, at: usize, stride: usize) -> Tensor<'_> {
        let range = at * stride..(at + 1) * stride;
        Tensor {
            values: &mut self.values[range.clone()],
            first: &mut self.first[range.clone()],
            second: if self.second.is_empty() { &mut [] } else { &mut self.second[range] },
        }
    }
}

/// The chunks of a matrix's numbers, and empty ones after the last.
fn chunks(matrix: Option<&mut Matrix>, size: usize) -> impl Iterator<Item = &mut [f32]> + Send {
    let values = matrix.map(Matrix::as_mut_slice).unwrap_or_default();
    values.chunks_mut(size.max(1)).chain(std::iter::repeat_with(Default::default))
}

/// Values and moments of one tensor, in chunks of `size` numbers.
fn tensors<'a>(
    values: Option<&'a mut Matrix>,
    first: Option<&'a mut Matrix>,
    second: Option<&'a mut Matrix>,
    size: usize,
) -> impl Iterator<Item = Tensor<'a>> + Send {
    chunks(values, size)
        .zip(chunks(first, size))
        .zip(chunks(second, size))
        .map(|((values, first), second)| Tensor { values, first, second })
}

impl Lesson<'_> {
    /// Moves all parameters one step.
    pub fn learn(
        &self,
        layers: &mut Layers,
        moments: &mut Moments,
        narrow: Option<&mut Narrow>,
        pulls: &mut Matrix,
        bias: &mut Matrix,
        scratches: &mut [Scratch],
    ) {
        let (latents, stride) = (layers.latents(), layers.encoder.stride());
        let width = match self.code {
            Code::Lists { .. } => LIST_TILE,
            Code::Dense { .. } => DENSE_TILE.min(latents.div_ceil(4).next_multiple_of(16)),
        };
        let tiles = latents.div_ceil(width);
        let pulling = self.form.subtract_decoder_bias;
        if pulling {
            pulls.reserve_rows(tiles);
        }
        let Moments { first, second, .. } = moments;
        let rows = width * stride;
        let encoders = tensors(
            Some(&mut layers.encoder),
            Some(&mut first.encoder),
            Some(&mut second.encoder),
            rows,
        );
        let decoders =
            tensors(layers.decoder.as_mut(), first.decoder.as_mut(), second.decoder.as_mut(), rows);
        let biases = tensors(
            Some(&mut layers.b_enc),
            Some(&mut first.b_enc),
            Some(&mut second.b_enc),
            width,
        );
        let narrow = narrow.into_iter().flat_map(|narrow| narrow.chunks(width)).map(Some);
        let narrow = narrow.chain(std::iter::repeat_with(|| None));
        let tasks = (0..tiles)
            .zip(encoders)
            .zip(decoders)
            .zip(biases)
            .zip(chunks(pulling.then_some(&mut *pulls), stride))
            .zip(narrow)
            .map(|(((((at, encoder), decoder), b_enc), pull), narrow)| Tile {
                first: at * width,
                encoder,
                b_enc,
                decoder,
                narrow,
                pull,
            });
        parallel(scratches, tasks, |scratch, tile| match self.code {
            Code::Lists { lists, term } => {
                self.arch.dispatch(LearnLists { lesson: self, lists, term, tile, scratch });
            }
            Code::Dense { code, before, gradients, whole } => {
                self.learn_dense([code, before], gradients, whole, tile, scratch);
            }
        });
        let pulls = pulling.then_some((&*pulls, tiles));
        self.arch.dispatch(LearnBias {
            lesson: self,
            pulls,
            gradient: bias.row_mut(0),
            tensor: Tensor {
                values: layers.b_dec.row_mut(0),
                first: first.b_dec.row_mut(0),
                second: second.b_dec.as_mut_slice(),
            },
        });
    }

    fn learn_dense(
        &self,
        [code, before]: [&Matrix; 2],
        gradients: Option<&Matrix>,
        whole: bool,
        tile: Tile<'_>,
        scratch: &mut Scratch,
    ) {
        let (samples, stride) = (self.x.len(), self.x.stride());
        let latents = code.columns();
        let count = (tile.encoder.values.len() / stride).min(latents - tile.first);
        let dictionary = if self.form.tied { &tile.encoder } else { &tile.decoder };
        let dictionary = Rows::new(&dictionary.values[..count * stride], stride);

        let width = count.next_multiple_of(16);
        let Scratch { tile: back, gradient, row: bias, values: more, .. } = scratch;
        let back = back.get(samples * width);
        if !whole {
            let mut out = MatMut::new(back, samples, width, width);
            matmul(self.g.view(stride), dictionary.view(stride).t(), &mut out, false);
        }
        bias.clear();
        bias.resize(width, 0.0);
        more.clear();
        more.resize(count, 0.0);
        self.arch.dispatch(ThroughActivation {
            lesson: self,
            code: before,
            gradients,
            whole,
            first: tile.first,
            count,
            back: &mut *back,
            bias: &mut *bias,
            more: &mut *more,
        });

        let code = code.view(samples).columns(tile.first, count);
        let back = Mat::new(back, samples, count, width);
        let gradient = gradient.get(count * stride);
        let product = |gradient: &mut [f32], codes: Mat<'_>, rows: Rows<'_>, add| {
            let mut out = MatMut::new(gradient, count, stride, stride);
            matmul(codes.t(), rows.view(stride), &mut out, add);
        };
        let Tile { mut encoder, b_enc, mut decoder, mut narrow, pull, .. } = tile;
        self.arch.dispatch(Pull { bias, encoder: encoder.values, stride, pull });
        product(gradient, code, self.g, false);
        if !self.form.tied {
            let unit = self.form.unit_norm;
            self.arch.dispatch(UpdateRows {
                lesson: self,
                gradient: &mut *gradient,
                tensor: &mut decoder,
                stride,
                unit,
            });
        }
        product(gradient, back, self.x, self.form.tied);
        let unit = self.form.unit_norm && self.form.tied;
        self.arch.dispatch(UpdateRows {
            lesson: self,
            gradient,
            tensor: &mut encoder,
            stride,
            unit,
        });
        if let Some(narrow) = &mut narrow {
            (0..count).for_each(|at| narrow.update(at, &encoder.values[at * stride..][..stride]));
        }
        self.arch.dispatch(UpdateAll { lesson: self, gradient: bias, tensor: b_enc });
    }

    /// Moves one row; with `unit` it has norm 1 before and after.
    #[inline(always)]
    fn update_row<S: Simd>(&self, simd: S, gradient: &mut [f32], row: Tensor<'_>, unit: bool) {
        if unit {
            let along = dot(simd, gradient, row.values);
            gradient.iter_mut().zip(&*row.values).for_each(|(g, value)| *g -= along * value);
        }
        self.update.apply(simd, gradient, row.values, row.first, row.second);
        if unit {
            // In f64: the square of a small f32 is none.
            let square = row.values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>();
            if square > 0.0 {
                let scale = 1.0 / square.sqrt();
                row.values.iter_mut().for_each(|value| *value = (f64::from(*value) * scale) as f32);
            }
        }
    }
}

struct LearnLists<'a> {
    lesson: &'a Lesson<'a>,
    lists: &'a Lists,
    term: bool,
    tile: Tile<'a>,
    scratch: &'a mut Scratch,
}

impl WithSimd for LearnLists<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { lesson, lists, term, mut tile, scratch } = self;
        let Lesson { form, x, g, weight, .. } = *lesson;
        let stride = x.stride();
        tile.pull.fill(0.0);
        let Scratch { values, row: pre_gradients, bias, gradient, .. } = scratch;
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
            if form.tied {
                weighted_sum(simd, x, samples, pre_gradients, Some(gradient), more);
                lesson.update_row(simd, more, tile.encoder.row(at, stride), form.unit_norm);
            } else {
                lesson.update_row(simd, gradient, tile.decoder.row(at, stride), form.unit_norm);
                weighted_sum(simd, x, samples, pre_gradients, None, more);
                lesson.update_row(simd, more, tile.encoder.row(at, stride), false);
            }
            if let Some(narrow) = &mut tile.narrow {
                narrow.update(at, &tile.encoder.values[at * stride..(at + 1) * stride]);
            }
        }
        let Tensor { values, first, second } = tile.b_enc;
        lesson.update.apply(simd, bias, values, first, second);
    }
}

impl Lesson<'_> {
    fn latents(&self) -> usize {
        match self.code {
            Code::Lists { lists, .. } => lists.latents(),
            Code::Dense { code, .. } => code.columns(),
        }
    }
}

/// From derivatives by the code to derivatives by the pre-code, and their sums for the bias.
struct ThroughActivation<'a> {
    lesson: &'a Lesson<'a>,
    code: &'a Matrix,
    gradients: Option<&'a Matrix>,
    whole: bool,
    first: usize,
    count: usize,
    back: &'a mut [f32],
    bias: &'a mut [f32],
    more: &'a mut [f32],
}

impl WithSimd for ThroughActivation<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { lesson, code, gradients, whole, first, count, back, bias, more } = self;
        let width = bias.len();
        let columns = first..first + count;
        let weight = lesson.weight;
        if !lesson.slopes.is_empty() {
            let slopes = &lesson.slopes[columns.clone()];
            more.iter_mut().zip(slopes).for_each(|(more, slope)| *more = weight * slope);
        }
        for (sample, back) in back.chunks_exact_mut(width).take(lesson.x.len()).enumerate() {
            let back = &mut back[..count];
            let code = &code.row(sample)[columns.clone()];
            match gradients.map(|gradients| &gradients.row(sample)[columns.clone()]) {
                Some(gradients) if whole => back.copy_from_slice(gradients),
                Some(gradients) => {
                    back.iter_mut().zip(gradients).for_each(|(back, own)| *back += weight * own);
                }
                None => {}
            }
            through(lesson.form.activation, code, more, back);
            bias.iter_mut().zip(&*back).for_each(|(sum, value)| *sum += value);
        }
    }
}

struct Pull<'a> {
    bias: &'a [f32],
    encoder: &'a [f32],
    stride: usize,
    pull: &'a mut [f32],
}

impl WithSimd for Pull<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { bias, encoder, stride, pull } = self;
        pull.fill(0.0);
        if !pull.is_empty() {
            for (bias, row) in bias.iter().zip(encoder.chunks_exact(stride)) {
                pull.iter_mut().zip(row).for_each(|(sum, value)| *sum += bias * value);
            }
        }
    }
}

struct UpdateRows<'a, 'b> {
    lesson: &'a Lesson<'a>,
    gradient: &'a mut [f32],
    tensor: &'a mut Tensor<'b>,
    stride: usize,
    unit: bool,
}

impl WithSimd for UpdateRows<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (at, gradient) in self.gradient.chunks_exact_mut(self.stride).enumerate() {
            let row = self.tensor.row(at, self.stride);
            self.lesson.update_row(simd, gradient, row, self.unit);
        }
    }
}

struct UpdateAll<'a> {
    lesson: &'a Lesson<'a>,
    gradient: &'a [f32],
    tensor: Tensor<'a>,
}

impl WithSimd for UpdateAll<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Tensor { values, first, second } = self.tensor;
        let size = values.len();
        self.lesson.update.apply(simd, &self.gradient[..size], values, first, second);
    }
}

/// The decoder's bias: the sum of the derivatives over samples, less what subtracting it from the
/// input does.
struct LearnBias<'a> {
    lesson: &'a Lesson<'a>,
    pulls: Option<(&'a Matrix, usize)>,
    gradient: &'a mut [f32],
    tensor: Tensor<'a>,
}

impl WithSimd for LearnBias<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { lesson, pulls, gradient, tensor } = self;
        gradient.fill(0.0);
        for sample in 0..lesson.g.len() {
            let row = lesson.g.row(sample);
            gradient.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        if let Some((pulls, tiles)) = pulls {
            for tile in 0..tiles {
                let row = pulls.row(tile);
                gradient.iter_mut().zip(row).for_each(|(sum, value)| *sum -= value);
            }
        }
        let Tensor { values, first, second } = tensor;
        lesson.update.apply(simd, gradient, values, first, second);
    }
}
