//! The tensors of a level in the layout of the fused engine: one row a latent, of the encoder as of the decoder,
//! so that gradients of few latents are few contiguous rows. What a latent is to the level that makes the code, a
//! unit of a hidden layer, or a channel of a convolution, is to a level around it.

use super::kernels::Matrix;
use super::learn::normalize;
use crate::model::{Parameter, Side};
use crate::plugin::{Activation, LayerNames, LayeredForm, Level, LevelMap, WeightTerm};

/// A level as its steps need to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelForm {
    /// What follows the encoder's affine map.
    pub activation: Activation,
    /// Whether the decoder's matrix is the encoder's transpose.
    pub tied: bool,
    /// What follows the decoder's affine map.
    pub decoder_activation: Activation,
    /// Whether the decoder's bias is subtracted from the input before it is encoded.
    pub subtract_decoder_bias: bool,
    /// Whether each decoder row has norm 1.
    pub unit_norm: bool,
}

impl LevelForm {
    /// That of one level of an autoencoder.
    pub fn of(form: &LayeredForm, level: &Level) -> Self {
        Self {
            activation: level.activation,
            tied: level.tied,
            decoder_activation: level.decoder_activation,
            subtract_decoder_bias: form.subtract_decoder_bias,
            unit_norm: form.unit_norm,
        }
    }
}

/// Parameters that are taken over one by one, so that there are never two of all.
pub struct Taken(pub Vec<Parameter<f32>>);

impl Taken {
    /// Takes the parameter of a name.
    ///
    /// # Panics
    /// If there is none: an error of the architecture's plugin.
    fn take(&mut self, name: &str) -> Parameter<f32> {
        let at = self.0.iter().position(|entry| entry.declaration.name == name);
        at.map(|at| self.0.swap_remove(at)).unwrap_or_else(|| {
            panic!(
                "the layers of the architecture have a parameter `{name}` that it does not declare"
            )
        })
    }

    /// Takes a tensor whose first dimension counts rows.
    fn rows(&mut self, name: &str) -> Matrix {
        let Parameter { declaration, values } = self.take(name);
        let columns = match &*declaration.shape {
            [size] => *size,
            [_, others @ ..] => others.iter().product(),
            [] => 1,
        };
        Matrix::from_rows(&values, columns)
    }

    /// Takes a matrix whose columns become rows.
    fn columns(&mut self, name: &str) -> Matrix {
        let Parameter { declaration, values } = self.take(name);
        Matrix::from_columns(&values, declaration.shape.last().copied().unwrap_or_default())
    }
}

/// Four tensors of a level: its parameters, or their moments.
#[derive(Clone, Default)]
pub struct Layers {
    /// [latents, inputs]: of a dense level the transpose of its matrix.
    pub encoder: Matrix,
    /// [1, latents].
    pub b_enc: Matrix,
    /// [latents, inputs]; none if tied.
    pub decoder: Option<Matrix>,
    /// [1, inputs], or of a convolution a number for each channel.
    pub b_dec: Matrix,
}

impl Layers {
    /// Takes the parameters of a level.
    pub fn take(level: &Level, all: &mut Taken) -> Self {
        let encoder = match level.map {
            LevelMap::Dense => all.columns(&level.encoder.weights),
            LevelMap::Convolution { .. } => all.rows(&level.encoder.weights),
        };
        let decoder = (!level.tied).then(|| all.rows(&level.decoder.weights));
        let (b_enc, b_dec) = (all.rows(&level.encoder.bias), all.rows(&level.decoder.bias));
        Self { encoder, b_enc, decoder, b_dec }
    }

    /// Takes the parameters of an affine map without a mirror.
    pub fn take_map(names: &LayerNames, all: &mut Taken) -> Self {
        let (encoder, b_enc) = (all.columns(&names.weights), all.rows(&names.bias));
        Self { encoder, b_enc, ..Self::default() }
    }

    /// The values of the parameter of a name in the layout of its declaration, if it is one of the level.
    pub fn values(&self, level: &Level, name: &str) -> Option<Vec<f32>> {
        if level.map != LevelMap::Dense && name == level.encoder.weights {
            return Some(self.encoder.to_rows());
        }
        if let found @ Some(_) = self.values_of_map(&level.encoder, name) {
            return found;
        }
        if name == level.decoder.bias {
            return Some(self.b_dec.to_rows());
        }
        self.decoder.as_ref().filter(|_| name == level.decoder.weights).map(Matrix::to_rows)
    }

    /// The same of an affine map without a mirror.
    pub fn values_of_map(&self, names: &LayerNames, name: &str) -> Option<Vec<f32>> {
        if name == names.weights {
            return Some(self.encoder.to_columns());
        }
        (name == names.bias).then(|| self.b_enc.to_rows())
    }

    /// The rows of these latents alone; without the decoder's bias, which no latent owns.
    pub fn of_latents(&self, latents: &[usize]) -> Self {
        let rows = |matrix: &Matrix| {
            let rows = latents.iter().flat_map(|latent| &matrix.row(*latent)[..matrix.columns()]);
            Matrix::from_rows(&rows.copied().collect::<Vec<_>>(), matrix.columns())
        };
        let biases: Vec<f32> = latents.iter().map(|latent| self.b_enc.row(0)[*latent]).collect();
        Self {
            encoder: rows(&self.encoder),
            b_enc: Matrix::from_rows(&biases, biases.len()),
            decoder: self.decoder.as_ref().map(rows),
            b_dec: Matrix::default(),
        }
    }

    /// Writes the slices of these latents of a parameter, if it is one of the level; rows that the form keeps at
    /// norm 1 are scaled to it.
    pub fn set_latents(
        &mut self,
        level: &Level,
        form: &LevelForm,
        latents: &[usize],
        parameter: &Parameter<f32>,
    ) {
        self.set_latents_of_map(&level.encoder, latents, parameter);
        let (name, unit) = (&parameter.declaration.name, form.unit_norm);
        match &mut self.decoder {
            None if unit && *name == level.encoder.weights => {
                latents.iter().for_each(|latent| normalize(self.encoder.row_mut(*latent)));
            }
            Some(decoder) if *name == level.decoder.weights => {
                write_rows(decoder, latents, parameter);
                if unit {
                    latents.iter().for_each(|latent| normalize(decoder.row_mut(*latent)));
                }
            }
            _ => {}
        }
    }

    /// The same of an affine map without a mirror.
    pub fn set_latents_of_map(
        &mut self,
        names: &LayerNames,
        latents: &[usize],
        parameter: &Parameter<f32>,
    ) {
        if parameter.declaration.name == names.weights {
            write_rows(&mut self.encoder, latents, parameter);
        } else if parameter.declaration.name == names.bias {
            let bias = self.b_enc.row_mut(0);
            let slices = latents.iter().zip(&parameter.values);
            slices.for_each(|(latent, value)| bias[*latent] = *value);
        }
    }

    /// Sets the rows of these latents to 0.
    pub fn clear_latents(&mut self, latents: &[usize]) {
        for latent in latents.iter().copied() {
            self.encoder.row_mut(latent).fill(0.0);
            self.b_enc.row_mut(0)[latent] = 0.0;
            self.decoder.iter_mut().for_each(|decoder| decoder.row_mut(latent).fill(0.0));
        }
    }

    /// The value of each term of the weights.
    pub fn values_of(&self, terms: &[(f32, &dyn WeightTerm)]) -> Vec<f64> {
        let mut matrices = vec![(self.encoder_side(), &self.encoder)];
        matrices.extend(self.decoder.as_ref().map(|decoder| (Side::Decoder, decoder)));
        let inputs = self.inputs();
        let mut gradient = vec![0.0; inputs];
        let value = |(_, term): &(f32, &dyn WeightTerm)| {
            let own = matrices.iter().filter(|(side, _)| term.side().is_of(*side));
            let rows = own.flat_map(|(_, matrix)| (0..matrix.rows()).map(|row| matrix.row(row)));
            rows.map(|row| term.value(&row[..inputs], 0.0, &mut gradient)).sum()
        };
        terms.iter().map(value).collect()
    }

    /// Zeros of the same sizes.
    pub fn zeros_like(&self) -> Self {
        let zeros = |matrix: &Matrix| Matrix::zeros(matrix.rows(), matrix.columns());
        Self {
            encoder: zeros(&self.encoder),
            b_enc: zeros(&self.b_enc),
            decoder: self.decoder.as_ref().map(zeros),
            b_dec: zeros(&self.b_dec),
        }
    }

    /// All numbers by name, padding included.
    pub fn arrays(&mut self) -> impl Iterator<Item = (&'static str, &mut [f32])> {
        let arrays = [
            ("encoder", Some(&mut self.encoder)),
            ("b_enc", Some(&mut self.b_enc)),
            ("decoder", self.decoder.as_mut()),
            ("b_dec", Some(&mut self.b_dec)),
        ];
        arrays.into_iter().filter_map(|(name, matrix)| Some((name, matrix?.as_mut_slice())))
    }

    /// The half of the autoencoder that the encoder's rows belong to.
    pub fn encoder_side(&self) -> Side {
        let is_tied = self.decoder.is_none() && self.b_dec.rows() > 0;
        if is_tied { Side::Both } else { Side::Encoder }
    }

    /// The decoder's rows, [latents, inputs].
    pub fn dictionary(&self) -> &Matrix {
        self.decoder.as_ref().unwrap_or(&self.encoder)
    }

    /// How many latents there are.
    pub fn latents(&self) -> usize {
        self.encoder.rows()
    }

    /// How many numbers a sample has.
    pub fn inputs(&self) -> usize {
        self.encoder.columns()
    }

    /// Whether every number is finite.
    pub fn is_finite(&self) -> bool {
        [Some(&self.encoder), Some(&self.b_enc), self.decoder.as_ref(), Some(&self.b_dec)]
            .into_iter()
            .flatten()
            .all(|matrix| is_finite(matrix.as_slice()))
    }
}

/// Writes the slices of these latents of a parameter to their rows.
fn write_rows(matrix: &mut Matrix, latents: &[usize], parameter: &Parameter<f32>) {
    let Parameter { declaration, values } = parameter;
    for (at, latent) in latents.iter().enumerate() {
        let own = declaration.of_latent(at).map(|at| values[at]);
        matrix.row_mut(*latent).iter_mut().zip(own).for_each(|(to, from)| *to = from);
    }
}

/// Whether every number is finite; the pieces have no early exit, so that they are vectorised.
fn is_finite(values: &[f32]) -> bool {
    let mut pieces = values.chunks(4096);
    pieces.all(|piece| piece.iter().fold(true, |finite, value| finite & value.is_finite()))
}
