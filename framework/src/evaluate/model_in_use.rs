//! A model in the hands of an evaluation: everything is in the units of the data.

use std::cell::OnceCell;

use rayon::prelude::*;

use super::jacobian::EncoderJacobian;
use super::prior::CodePrior;
use crate::model::Step;
use crate::plugin::{Coder, Codes, Data, EvaluatedBatch, OwnedCodes, When};
use crate::train::{Model, Noise};

/// A model that evaluations encode and decode samples of their own with.
pub struct ModelInUse<'a> {
    model: &'a Model<'a>,
    data: &'a dyn Data,
    /// Samples that are passed at once: what comes of a sample must not depend on free memory.
    batch: usize,
    /// The decoder's rows, copied out of the model when an evaluation first asks for them.
    dictionary: OnceCell<Option<Vec<f32>>>,
    /// The noise of its run, with its settings.
    noise: Option<&'a (Noise<'a>, &'a str)>,
    jacobian: EncoderJacobian,
    prior: CodePrior,
}

impl<'a> ModelInUse<'a> {
    /// The model on `data`, which passes `batch` samples at once, and the noise of its run.
    pub fn new(
        model: &'a Model<'a>,
        data: &'a dyn Data,
        batch: usize,
        noise: Option<&'a (Noise<'a>, &'a str)>,
    ) -> Self {
        let (dictionary, jacobian) = (OnceCell::new(), EncoderJacobian::default());
        Self { model, data, batch, dictionary, noise, jacobian, prior: CodePrior::default() }
    }

    /// Returns the settings of the run's corruption, if it has one.
    pub fn corruption(&self) -> Option<&'a str> {
        self.noise.map(|(_, settings)| *settings)
    }

    /// Returns the model itself.
    pub fn model(&self) -> &'a Model<'a> {
        self.model
    }

    /// Returns samples as the model sees them.
    fn scaled(&self, x: &[f32]) -> Vec<f32> {
        assert!(x.len().is_multiple_of(self.model.input.0), "whole samples are encoded");
        let mut scaled = x.to_vec();
        self.model.normalizer.apply(&mut scaled);
        scaled
    }

    /// Passes scaled samples through the model, batch by batch.
    fn pass(&self, scaled: &[f32], mut see: impl FnMut(OwnedCodes, Vec<f32>)) {
        for scaled in scaled.chunks((self.batch * self.model.input.0).max(1)) {
            let forward = self.model.forward(scaled, Step::EVALUATE);
            see(forward.code, forward.x_hat);
        }
    }

    /// Returns the reconstructions of scaled samples in the units of the data.
    fn reconstruct_scaled(&self, scaled: &[f32]) -> Vec<f32> {
        let mut all = Vec::with_capacity(scaled.len());
        self.pass(scaled, |_, x_hat| all.extend(x_hat));
        self.model.normalizer.undo(&mut all);
        all
    }
}

impl Coder for ModelInUse<'_> {
    fn encode(&self, x: &[f32]) -> OwnedCodes {
        let mut parts = Vec::new();
        self.pass(&self.scaled(x), |code, _| parts.push(code));
        OwnedCodes::join(self.model.latents(), parts)
    }

    fn reconstruct(&self, x: &[f32]) -> Vec<f32> {
        self.reconstruct_scaled(&self.scaled(x))
    }

    fn reconstruct_corrupted(&self, x: &[f32], first: usize) -> Option<Vec<f32>> {
        let (noise, _) = self.noise?;
        let mut scaled = self.scaled(x);
        let samples = scaled.par_chunks_mut(self.model.input.0.max(1)).enumerate();
        samples.for_each(|(at, sample)| noise.put_on_test(sample, first + at));
        Some(self.reconstruct_scaled(&scaled))
    }

    fn decode(&self, codes: Codes<'_>) -> Vec<f32> {
        let mut all = Vec::with_capacity(codes.rows() * self.model.input.0);
        for code in codes.to_dense().chunks((self.batch * self.model.latents()).max(1)) {
            all.extend(self.model.decode(code.to_vec()));
        }
        self.model.normalizer.undo(&mut all);
        all
    }

    fn dictionary(&self) -> Option<&[f32]> {
        let dictionary = self.dictionary.get_or_init(|| {
            let mut dictionary = self.model.dictionary()?;
            self.model.normalizer.undo_direction(&mut dictionary);
            Some(dictionary)
        });
        dictionary.as_deref()
    }

    fn group_size(&self) -> Option<usize> {
        self.model.definition.group_size()
    }

    fn jacobian_norms(&self, batch: &EvaluatedBatch<'_>, when: When) -> Option<Vec<f64>> {
        let of_part = self.data.rows(batch.split);
        self.jacobian.norms(self.model, batch, of_part, when, |x| self.scaled(x))
    }

    fn kl_prior(&self, batch: &EvaluatedBatch<'_>) -> Option<Vec<f64>> {
        self.prior.divergences(self.model, || self.scaled(batch.x))
    }

    fn whole(&self) -> Option<&Model<'_>> {
        Some(self.model)
    }
}
