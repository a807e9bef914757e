//! The parameters of a dense model in the layout of the fused engine: one row a latent, of the
//! encoder as of the decoder, so that gradients of few latents are few contiguous rows.

use super::kernels::Matrix;
use super::learn::normalize;
use crate::model::{Declaration, Parameter, Parameters, Side};
use crate::plugin::{Activation, LayeredForm, LevelMap, WeightTerm};

/// A level as its steps need to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DenseForm {
    /// What follows the encoder's affine map.
    pub activation: Activation,
    /// Whether the decoder's matrix is the encoder's transpose.
    pub tied: bool,
    /// Whether a sigmoid follows the decoder's affine map.
    pub sigmoid_decoder: bool,
    /// Whether the decoder's bias is subtracted from the input before it is encoded.
    pub subtract_decoder_bias: bool,
    /// Whether each decoder row has norm 1.
    pub unit_norm: bool,
}

impl DenseForm {
    /// That of an autoencoder of one dense level.
    pub fn of(form: &LayeredForm) -> Option<Self> {
        let [level] = &*form.levels else { return None };
        if level.map != LevelMap::Dense || form.noise.is_some() {
            return None;
        }
        Some(Self {
            activation: level.activation,
            tied: level.tied,
            sigmoid_decoder: level.decoder_activation == Activation::Sigmoid,
            subtract_decoder_bias: form.subtract_decoder_bias,
            unit_norm: form.unit_norm,
        })
    }
}

/// Four tensors of a dense model: its parameters, or their moments.
#[derive(Clone, Default)]
pub struct Layers {
    /// [latents, inputs]: the transpose of `w_enc`.
    pub encoder: Matrix,
    /// [1, latents].
    pub b_enc: Matrix,
    /// [latents, inputs]; none if tied.
    pub decoder: Option<Matrix>,
    /// [1, inputs].
    pub b_dec: Matrix,
}

impl Layers {
    /// Takes the parameters over, freeing each as it is copied: there are never two of all.
    ///
    /// # Panics
    /// If they are not those of the form: an error of the architecture's plugin.
    pub fn take(form: &DenseForm, parameters: Parameters<f32>) -> (Self, Vec<Declaration>) {
        let declarations: Vec<_> =
            parameters.entries.iter().map(|entry| entry.declaration.clone()).collect();
        let mut entries = parameters.entries;
        let mut take = |name: &str| {
            let at = entries.iter().position(|entry| entry.declaration.name == name);
            at.map(|at| entries.swap_remove(at)).unwrap_or_else(|| {
                panic!("a dense architecture declares the parameter `{name}`, this one does not")
            })
        };
        let by_row = |entry: Parameter<f32>| {
            let columns = entry.declaration.shape.last().copied().unwrap_or_default();
            Matrix::from_rows(&entry.values, columns)
        };
        let w_enc = take("w_enc");
        let latents = w_enc.declaration.shape[1];
        let encoder = Matrix::from_columns(&w_enc.values, latents);
        drop(w_enc);
        let decoder = (!form.tied).then(|| by_row(take("w_dec")));
        let layers =
            Self { encoder, b_enc: by_row(take("b_enc")), decoder, b_dec: by_row(take("b_dec")) };
        (layers, declarations)
    }

    /// The parameters in the order and layout of their declarations.
    pub fn to_parameters(&self, declarations: &[Declaration]) -> Parameters<f32> {
        let values = |name: &str| match name {
            "w_enc" => self.encoder.to_columns(),
            "b_enc" => self.b_enc.to_rows(),
            "b_dec" => self.b_dec.to_rows(),
            _ => self.dictionary().to_rows(),
        };
        let parameter = |declaration: &Declaration| Parameter {
            values: values(&declaration.name),
            declaration: declaration.clone(),
        };
        Parameters { entries: declarations.iter().map(parameter).collect() }
    }

    /// The parameters of these latents alone, in the layout of their declarations.
    pub fn of_latents(&self, declarations: &[Declaration], latents: &[usize]) -> Parameters<f32> {
        let rows = |matrix: &Matrix| {
            let rows = latents.iter().flat_map(|latent| &matrix.row(*latent)[..matrix.columns()]);
            Matrix::from_rows(&rows.copied().collect::<Vec<_>>(), matrix.columns())
        };
        let biases: Vec<f32> = latents.iter().map(|latent| self.b_enc.row(0)[*latent]).collect();
        let few = Self {
            encoder: rows(&self.encoder),
            b_enc: Matrix::from_rows(&biases, biases.len()),
            decoder: self.decoder.as_ref().map(rows),
            b_dec: Matrix::default(),
        };
        let of_latents = declarations.iter().filter_map(|declaration| {
            let mut declaration = declaration.clone();
            declaration.shape[declaration.latent_axis?] = latents.len();
            Some(declaration)
        });
        few.to_parameters(&of_latents.collect::<Vec<_>>())
    }

    /// Writes the parameters of these latents; rows that the form keeps at norm 1 are scaled to it.
    pub fn set_latents(
        &mut self,
        latents: &[usize],
        parameters: &Parameters<f32>,
        form: &DenseForm,
    ) {
        for Parameter { declaration, values } in &parameters.entries {
            let write = |matrix: &mut Matrix, unit: bool| {
                for (at, latent) in latents.iter().enumerate() {
                    let row = matrix.row_mut(*latent);
                    let own = declaration.of_latent(at).map(|at| values[at]);
                    row.iter_mut().zip(own).for_each(|(to, from)| *to = from);
                    if unit {
                        normalize(row);
                    }
                }
            };
            match (declaration.name.as_str(), &mut self.decoder) {
                ("w_enc", decoder) => write(&mut self.encoder, form.unit_norm && decoder.is_none()),
                ("w_dec", Some(decoder)) => write(decoder, form.unit_norm),
                ("b_enc", _) => {
                    let bias = self.b_enc.row_mut(0);
                    latents.iter().zip(values).for_each(|(latent, value)| bias[*latent] = *value);
                }
                _ => {}
            }
        }
    }

    /// The value of each term of the weights.
    pub fn values_of(&self, terms: &[(f32, &dyn WeightTerm)]) -> Vec<f64> {
        let matrices = match &self.decoder {
            Some(decoder) => vec![(Side::Encoder, &self.encoder), (Side::Decoder, decoder)],
            None => vec![(Side::Both, &self.encoder)],
        };
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

/// Whether every number is finite; the pieces have no early exit, so that they are vectorised.
fn is_finite(values: &[f32]) -> bool {
    let mut pieces = values.chunks(4096);
    pieces.all(|piece| piece.iter().fold(true, |finite, value| finite & value.is_finite()))
}
