//! The levels around the one that makes the code: their passes in both directions.
//!
//! A level maps x, which the level around it gives or which is the sample, to what the level inside it maps; and in
//! the decoder what comes from inside to what the level around it maps back, or to the reconstruction. Dense levels
//! are products tile by tile; convolutions make their patches tile by tile for the same products.

mod maps;
mod passes;

use super::kernels::{Mat, Matrix, PaddedRows};
use super::layers::{Layers, LevelForm};
use super::learn::{RowGradient, RowTask};
use crate::model::{Convolution, Maps, Side};
use crate::plugin::{LayeredForm, LevelMap, SampleShape};

/// A level around others.
pub struct Outer {
    form: LevelForm,
    /// What it is a convolution of, if it is one.
    convolution: Option<Convolution>,
}

/// What the decoder's map of a level maps, [samples, out], and the derivatives by what it gave, [samples, in].
pub type Decoded<'a> = (Mat<'a>, Mat<'a>);

/// What a pass writes of an outer level.
pub struct OuterBuffers {
    /// What the encoder gives, [samples, out].
    hidden: Matrix,
    /// Derivatives by what the encoder's map gave before its activation, [samples, out].
    back: Matrix,
    /// What the decoder's map maps, [samples, out]; of each sample a row for each prefix of its code.
    decoded: Matrix,
    /// What the decoder's map makes of it: of the outermost level the reconstructions; or the derivatives by what
    /// it gave before what follows it, [samples, in].
    pub rows: Matrix,
    /// The gradients of kernels, and of the biases of channels.
    kernels: KernelGradients,
}

/// The gradients of a convolution and of its mirror.
#[derive(Default)]
struct KernelGradients {
    encoder: Matrix,
    decoder: Matrix,
    b_enc: Vec<f32>,
    b_dec: Vec<f32>,
}

/// The levels around the one that makes the code, for samples of this shape, with their buffers.
///
/// # Panics
/// If a convolution does not fit the samples: such runs are refused before anything is made.
pub fn outer_levels(
    form: &LayeredForm,
    sample: SampleShape,
    layers: &[Layers],
) -> (Vec<Outer>, Vec<OuterBuffers>) {
    let mut fine = Maps::of(sample);
    let levels = form.levels.iter().zip(layers);
    let outer = levels.map(|(level, layers)| {
        let convolution = match level.map {
            LevelMap::Dense => None,
            LevelMap::Convolution { channels, kernel, stride } => {
                let made = Convolution::new(fine, channels, kernel, stride);
                Some(made.expect("a convolution fits the samples of a run that was checked"))
            }
        };
        fine = convolution.map_or(fine, |made| made.coarse());
        let sides = convolution.map(|made| (made.fine().numbers(), made.coarse().numbers()));
        let (inputs, outputs) = sides.unwrap_or((layers.inputs(), layers.latents()));
        let [hidden, back, decoded] = [(); 3].map(|()| Matrix::zeros(0, outputs));
        let (rows, kernels) = (Matrix::zeros(0, inputs), KernelGradients::default());
        let buffers = OuterBuffers { hidden, back, decoded, rows, kernels };
        (Outer { form: LevelForm::of(form, level), convolution }, buffers)
    });
    outer.unzip()
}

impl Outer {
    /// The tensors of the level that are to learn, from the derivatives in its buffers, of so many rows of the decoder
    /// a sample, and from what its encoder mapped, `x`; `of_dead` is what dead latents decoded besides.
    pub fn tasks<'a>(
        &self,
        (buffers, rows_of_sample): (&'a OuterBuffers, usize),
        x: Mat<'a>,
        of_dead: &'a [Decoded<'a>],
        (layers, first, second): (&'a mut Layers, &'a mut Layers, Option<&'a mut Layers>),
    ) -> impl Iterator<Item = RowTask<'a>> {
        let samples = x.row_count();
        let OuterBuffers { back, decoded, rows, kernels, .. } = buffers;
        let decoded_rows = samples * rows_of_sample;
        let is_kernel = self.convolution.is_some();
        let (encoder, decoder, b_enc, b_dec);
        if is_kernel {
            (encoder, decoder) =
                (RowGradient::Given(&kernels.encoder), RowGradient::Given(&kernels.decoder));
            (b_enc, b_dec) =
                (RowGradient::GivenBias(&kernels.b_enc), RowGradient::GivenBias(&kernels.b_dec));
        } else {
            let of_encoder = Some((back.view(samples), x));
            let of_decoder = Some((decoded.view(decoded_rows), rows.view(decoded_rows)));
            let tied = of_decoder.filter(|_| self.form.tied);
            let more = if self.form.tied { of_dead } else { &[] };
            encoder = RowGradient::Products([of_encoder, tied], more);
            decoder = RowGradient::Products([of_decoder, None], of_dead);
            b_enc = RowGradient::ColumnSums(back.view(samples));
            b_dec = RowGradient::ColumnSums(rows.view(decoded_rows));
        }
        let encoder_side = layers.encoder_side();
        let Layers { encoder: w_enc, b_enc: own_b_enc, decoder: w_dec, b_dec: own_b_dec } = layers;
        let (of_second, of_decoder) = match second {
            Some(Layers { encoder, b_enc, decoder, b_dec }) => {
                ([Some(encoder), Some(b_enc), Some(b_dec)], decoder.as_mut())
            }
            None => ([None, None, None], None),
        };
        let [second_encoder, second_b_enc, second_b_dec] = of_second;
        let task = |gradient, values, first, second, side| RowTask {
            gradient,
            values,
            first,
            second,
            side,
            unit: false,
        };
        let of_decoder = w_dec
            .as_mut()
            .zip(first.decoder.as_mut())
            .map(|(values, first)| task(decoder, values, first, of_decoder, Side::Decoder));
        [
            task(encoder, w_enc, &mut first.encoder, second_encoder, encoder_side),
            task(b_enc, own_b_enc, &mut first.b_enc, second_b_enc, Side::Encoder),
            task(b_dec, own_b_dec, &mut first.b_dec, second_b_dec, Side::Decoder),
        ]
        .into_iter()
        .chain(of_decoder)
    }
}

impl OuterBuffers {
    /// Buffers of the same widths.
    pub fn like(&self) -> Self {
        let like = |matrix: &Matrix| Matrix::zeros(0, matrix.columns());
        let [hidden, back, decoded, rows] =
            [&self.hidden, &self.back, &self.decoded, &self.rows].map(like);
        Self { hidden, back, decoded, rows, kernels: KernelGradients::default() }
    }

    /// What the decoder's map mapped of so many samples, and the derivatives by what it gave.
    pub fn decoded(&self, samples: usize) -> Decoded<'_> {
        (self.decoded.view(samples), self.rows.view(samples))
    }

    /// What the encoder gives for so many samples, padded.
    pub fn hidden(&self, samples: usize) -> PaddedRows<'_> {
        self.hidden.first_rows(samples)
    }

    /// The same without padding.
    pub fn hidden_view(&self, samples: usize) -> Mat<'_> {
        self.hidden.view(samples)
    }
}
