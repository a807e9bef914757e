//! What `[init]` makes of the parameters that a run starts with, besides those it takes from a stored model.

use super::{Model, Normalizer, median};
use crate::model::{Declaration, Parameters, Side};
use crate::plugin::{Architecture, Data, Offer, SampleShape, Split};
use crate::spec::{InitBias, InitEncoder, RunSpec};

/// Training rows that a bias starts at the mean or median of, at most.
const ROWS: usize = 10_000;

/// Where a bias before a sigmoid starts: what it makes of it lies between this and 1 less this.
const SIGMOID_MARGIN: f64 = 0.01;

/// Which parameters of an architecture `[init]` changes, by their place among its own.
#[derive(Clone, Debug)]
pub struct InitPlaces {
    declared: Vec<Declaration>,
    /// The decoder's matrix with a row for each latent; with tied weights, the encoder's with a column.
    dictionary: Option<usize>,
    /// The encoder's matrix with a column for each latent, where it is not the dictionary.
    encoder: Option<usize>,
    /// The decoder's last bias, one number an input.
    bias: Option<usize>,
    ends_in_sigmoid: bool,
}

impl InitPlaces {
    /// Those of an architecture that sees samples of this shape.
    pub fn of(architecture: &dyn Architecture, sample: SampleShape) -> Self {
        let declared = architecture.parameters(sample);
        let has_dictionary = architecture.offers().contains(&Offer::Dictionary);
        let of_latents = |side: Side| {
            let is_it = |one: &Declaration| {
                one.shape.len() == 2 && one.latent_axis.is_some() && one.side == Some(side)
            };
            declared.iter().position(is_it).filter(|_| has_dictionary)
        };
        let dictionary = of_latents(Side::Decoder).or_else(|| of_latents(Side::Both));
        let is_bias = |one: &Declaration| one.shape.len() == 1 && one.side == Some(Side::Decoder);
        let bias = declared.iter().rposition(is_bias);
        Self {
            dictionary,
            encoder: of_latents(Side::Encoder),
            bias: bias.filter(|at| declared[*at].shape == [sample.inputs()]),
            ends_in_sigmoid: architecture.ends_in_sigmoid(),
            declared,
        }
    }

    /// Returns why the rows of the dictionary cannot start with this norm.
    pub(crate) fn norm_misfit(&self, norm: f64) -> Option<String> {
        let Some(at) = self.dictionary else { return Some(self.needs_dictionary()) };
        (self.declared[at].constraint.is_some() && norm != 1.0).then(|| {
            format!(
                "with `unit_norm`, rows have norm 1 from the start, and cannot start with {norm}"
            )
        })
    }

    /// Returns why the encoder cannot start as the transpose of the dictionary.
    pub(crate) fn encoder_misfit(&self) -> Option<String> {
        let Some(dictionary) = self.dictionary else { return Some(self.needs_dictionary()) };
        if self.declared[dictionary].side == Some(Side::Both) {
            return Some("the weights are tied: the encoder is the dictionary's transpose".into());
        }
        let turned = |at: usize| {
            let [rows, columns] = *self.declared[at].shape.as_slice() else { return None };
            Some([columns, rows])
        };
        let fits = self.encoder.is_some_and(|encoder| {
            turned(encoder).is_some_and(|shape| shape == *self.declared[dictionary].shape)
        });
        (!fits)
            .then(|| "no matrix of the encoder has the sizes of the dictionary's transpose".into())
    }

    /// Returns why the decoder's bias cannot start at a mean of samples.
    pub(crate) fn bias_misfit(&self) -> Option<String> {
        let message = "it needs a decoder whose last bias is one number an input, which this architecture does not \
                       have";
        self.bias.is_none().then(|| message.into())
    }

    fn needs_dictionary(&self) -> String {
        format!("it needs {}, which this architecture does not have", Offer::Dictionary.words())
    }

    /// Changes what a run starts with as its `[init]` says. Parameters that were taken from a stored model stay.
    ///
    /// # Errors
    /// If the data cannot be read.
    pub fn apply<'a>(
        &self,
        run: &RunSpec,
        data: &dyn Data,
        model: Model<'a>,
        taken: &[String],
    ) -> Result<Model<'a>, String> {
        let initial = &run.init.value;
        let is_own = |at: &usize| !taken.contains(&self.declared[*at].name);
        let (dictionary, encoder) = (self.dictionary, self.encoder.filter(is_own));
        let norm = initial.decoder_norm.zip(dictionary.filter(is_own));
        let encoder = encoder.filter(|_| initial.encoder == InitEncoder::Decoder);
        let bias = self.bias.filter(is_own).filter(|_| initial.bias != InitBias::Zero);
        if norm.is_none() && encoder.is_none() && bias.is_none() {
            return Ok(model);
        }
        let mut parameters = model.parameters().into_owned();
        if let Some((norm, at)) = norm {
            self.scale_latents(&mut parameters, at, norm);
        }
        if let Some((encoder, dictionary)) = encoder.zip(dictionary) {
            let rows =
                parameters.get(&self.declared[dictionary].name).map(|one| one.values.clone());
            let latents = self.declared[dictionary].shape[0];
            let (rows, columns) = (rows.unwrap_or_default(), self.values(&mut parameters, encoder));
            for (at, value) in columns.iter_mut().enumerate() {
                *value = rows[(at % latents) * (rows.len() / latents) + at / latents];
            }
        }
        if let Some(at) = bias {
            let center = self.center(initial.bias, data, &model.normalizer)?;
            self.values(&mut parameters, at).copy_from_slice(&center);
        }
        Ok(model.with_parameters(parameters))
    }

    /// Gives what belongs to each latent this norm, in one parameter; what is 0 stays 0.
    fn scale_latents(&self, parameters: &mut Parameters<f32>, at: usize, norm: f64) {
        let declaration = &self.declared[at];
        let latents = declaration.latent_axis.map_or(0, |axis| declaration.shape[axis]);
        let values = self.values(parameters, at);
        for latent in 0..latents {
            let square: f64 =
                declaration.of_latent(latent).map(|at| f64::from(values[at]).powi(2)).sum();
            let factor = if square > 0.0 { norm / square.sqrt() } else { 0.0 };
            declaration
                .of_latent(latent)
                .for_each(|at| values[at] = (f64::from(values[at]) * factor) as f32);
        }
    }

    /// Values of a parameter of the architecture among all of a run.
    fn values<'p>(&self, parameters: &'p mut Parameters<f32>, at: usize) -> &'p mut [f32] {
        let name = &self.declared[at].name;
        let mut entries = parameters.entries.iter_mut();
        let entry = entries.find(|entry| entry.declaration.name == *name);
        &mut entry.expect("a model has the parameters of its architecture").values
    }

    /// The bias from which the first training rows are reconstructed at their mean or median.
    fn center(&self, bias: InitBias, data: &dyn Data, to: &Normalizer) -> Result<Vec<f32>, String> {
        let numbers = data.shape().inputs();
        let rows: Vec<usize> = (0..data.rows(Split::Train).min(ROWS)).collect();
        let mut samples = vec![0.0; rows.len() * numbers];
        data.gather(Split::Train, &rows, &mut samples)?;
        to.apply(&mut samples);
        let center = match bias {
            InitBias::Zero => vec![0.0; numbers],
            InitBias::Mean => median::mean(&samples, numbers),
            InitBias::Median => median::geometric_median(&samples, numbers),
        };
        let before_sigmoid = |value: f64| {
            let value = value.clamp(SIGMOID_MARGIN, 1.0 - SIGMOID_MARGIN);
            (value / (1.0 - value)).ln()
        };
        let bias = |value: f64| if self.ends_in_sigmoid { before_sigmoid(value) } else { value };
        Ok(center.into_iter().map(|value| bias(value) as f32).collect())
    }
}
