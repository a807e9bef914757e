//! What a step learns, level by level.

use super::Fused;
use super::buffers::{Buffers, CodePlace};
use super::kernels::Update;
use super::layers::Layers;
use super::learn::{
    BatchCode, Given, GradientUse, KeepGradients, Lesson, RowGradient, RowTask, RowUse, learn_own,
    learn_rows,
};
use super::moments::Moments;
use super::outer::Decoded;
use super::pass::Backward;
use super::tensors::Tensors;
use crate::model::Side;
use crate::plugin::{BatchClasses, PerColumn};

/// What the code of a batch has to say to a step.
#[derive(Clone, Copy)]
pub(super) struct CodeLesson<'a> {
    /// Where the code is.
    pub kept: CodePlace,
    /// What is known of the terms of the code.
    pub backward: Backward,
    /// What their derivatives are multiplied by.
    pub weight: f32,
    /// Terms of each latent's values in the batch, with their weights in the loss over the number of samples.
    pub columns: &'a [(f32, &'a dyn PerColumn)],
    /// The classes in the batch.
    pub classes: &'a BatchClasses,
    /// Where the prefixes of the code end that have rows of derivatives.
    pub prefixes: &'a [usize],
}

impl Fused {
    /// Whether derivatives by what the core's maps gave are made before it learns.
    pub(super) fn has_back(&self) -> bool {
        !self.outer.is_empty() || self.layered.noise.is_some()
    }

    /// What the core learns from a batch.
    pub(super) fn lesson<'a, U>(
        &self,
        buffers: &'a Buffers,
        x: &'a [f32],
        of_code: CodeLesson<'a>,
        uses: RowUse<'a, U>,
    ) -> Lesson<'a, U> {
        let Buffers { x: copy, outer, code, constrained, lists, rows, gradients, .. } = buffers;
        let CodeLesson { kept, backward, weight, columns, classes, prefixes } = of_code;
        let code = match kept {
            CodePlace::Lists => BatchCode::Lists { lists, term: backward.own },
            CodePlace::Dense => {
                let gradients = backward.own.then_some(gradients);
                BatchCode::Dense { code, before: code, gradients, whole: false }
            }
            CodePlace::Constrained if buffers.gates.is_decoded => {
                let gradients = backward.own.then_some(gradients);
                BatchCode::Dense { code: constrained, before: code, gradients, whole: false }
            }
            CodePlace::Constrained => {
                let gradients = Some(gradients);
                BatchCode::Dense { code: constrained, before: code, gradients, whole: true }
            }
        };
        Lesson {
            arch: self.arch,
            form: self.form,
            x: self.core_input(copy, outer, x),
            g: rows.first_rows(x.len() / self.inputs * buffers.prefixes),
            code,
            slopes: if backward.slopes { &buffers.term_slopes } else { &[] },
            weight,
            columns,
            classes,
            prefixes,
            given: self.has_back().then_some(Given(&buffers.back)),
            dead: buffers.dead.predictions(),
            gates: buffers.gates.lesson(rows, x.len() / self.inputs),
            has_own: self.has_own,
            jump: buffers.jump.lesson(),
            inputs: rows.columns(),
            uses,
        }
    }

    /// Makes the derivatives by what every map of the encoder gave. Returns the sum of each term of columns.
    pub(super) fn back(
        &self,
        buffers: &mut Buffers,
        x: &[f32],
        of_code: CodeLesson<'_>,
    ) -> Vec<f64> {
        let samples = x.len() / self.inputs;
        let mut back = std::mem::take(&mut buffers.back);
        let mut scratches = std::mem::take(&mut buffers.scratches);
        let uses = RowUse { weight_terms: &[], shrinks: &[], lr: 0.0, update: KeepGradients };
        let lesson = Lesson { given: None, ..self.lesson(buffers, x, of_code, uses) };
        let has_outer = !self.outer.is_empty();
        let sums = lesson.back(&self.tensors.core, has_outer, &mut back, &mut scratches);
        let mut noise = std::mem::take(&mut buffers.noise);
        if noise.is_drawn {
            self.back_through_noise(&mut noise, &mut back.dense, samples);
        }
        (buffers.back, buffers.scratches) = (back, scratches);
        if !self.outer.is_empty() {
            self.back_to_outer(buffers, &noise, of_code.kept, samples);
            self.back_through_encoders(buffers, x);
        }
        buffers.noise = noise;
        sums
    }

    /// Moves all parameters one step. Returns the sum of each term of the weights before it.
    pub(super) fn learn(
        &mut self,
        buffers: &mut Buffers,
        moments: &mut Moments,
        x: &[f32],
        of_code: CodeLesson<'_>,
        uses: RowUse<'_, Update>,
    ) -> Vec<f64> {
        let found = match self.clip_norm {
            Some(limit) => self.learn_clipped(buffers, moments, x, of_code, (limit, uses)),
            None => {
                let Moments { first, second, .. } = moments;
                self.learn_all(buffers, (first, second), x, of_code, uses)
            }
        };
        found[1..].to_vec()
    }

    /// Makes the gradients of all parameters and uses them. Returns what the use sums, then the sum of each term of
    /// the weights, and of each term of columns that the core takes while it learns, before the step.
    pub(super) fn learn_all<U: GradientUse>(
        &mut self,
        buffers: &mut Buffers,
        (first, second): (&mut Tensors, &mut Tensors),
        x: &[f32],
        of_code: CodeLesson<'_>,
        uses: RowUse<'_, U>,
    ) -> Vec<f64> {
        let mut sums = std::mem::take(&mut buffers.sums);
        let mut scratches = std::mem::take(&mut buffers.scratches);
        let mut tensors = std::mem::take(&mut self.tensors);
        let mut narrow = self.narrow.take();
        let core = (&mut tensors.core, &mut first.core, &mut second.core);
        let lesson = self.lesson(buffers, x, of_code, uses);
        let mut found = lesson.learn(core, narrow.as_mut(), &mut sums, &mut scratches);
        let places = (&mut *first.own, &mut *second.own);
        found[0] += learn_own(self.arch, &uses, &sums.own, &mut tensors.own, places);
        // What dead latents decoded besides, of each level.
        let dead = buffers.dead.predictions();
        let of_level = |level| dead.iter().map(move |dead| dead.decoded(level)).collect();
        let of_dead: Vec<Vec<_>> = (0..self.outer.len()).map(of_level).collect();
        let tasks = self.tasks(buffers, x, &of_dead, &mut tensors, first, second);
        if !tasks.is_empty() {
            let of_others = learn_rows(self.arch, &uses, tasks, &mut scratches);
            found.iter_mut().zip(of_others).for_each(|(sum, more)| *sum += more);
        }
        (buffers.sums, buffers.scratches) = (sums, scratches);
        (self.tensors, self.narrow) = (tensors, narrow);
        found
    }

    /// The tensors beside the core's that are to learn.
    fn tasks<'a>(
        &self,
        buffers: &'a Buffers,
        x: &'a [f32],
        of_dead: &'a [Vec<Decoded<'a>>],
        tensors: &'a mut Tensors,
        first: &'a mut Tensors,
        second: &'a mut Tensors,
    ) -> Vec<RowTask<'a>> {
        let Buffers { x: copy, outer, noise, .. } = buffers;
        let samples = x.len() / self.inputs;
        let mut tasks = Vec::new();
        // SGD has no second moments.
        let seconds = second.outer.iter_mut().map(Some).chain(std::iter::repeat_with(|| None));
        let all = tensors.outer.iter_mut().zip(&mut first.outer).zip(seconds);
        for (at, ((values, first), second)) in all.enumerate() {
            let x = match at.checked_sub(1) {
                None => self.input(copy, x).view(self.inputs),
                Some(around) => outer[around].hidden_view(samples),
            };
            let own = (&outer[at], buffers.prefixes);
            tasks.extend(self.outer[at].tasks(own, x, &of_dead[at], (values, first, second)));
        }
        if let (Some(values), Some(first)) = (&mut tensors.log_variance, &mut first.log_variance) {
            let x = self.core_input(copy, outer, x).view(values.inputs());
            let back = noise.back.view(samples);
            let (weights, bias) = match &mut second.log_variance {
                Some(Layers { encoder, b_enc, .. }) => (Some(encoder), Some(b_enc)),
                None => (None, None),
            };
            let task = |gradient, values, first, second| RowTask {
                gradient,
                values,
                first,
                second,
                side: Side::Encoder,
                unit: false,
            };
            let products = RowGradient::Products([Some((back, x)), None], &[]);
            tasks.push(task(products, &mut values.encoder, &mut first.encoder, weights));
            let sums = RowGradient::ColumnSums(back);
            tasks.push(task(sums, &mut values.b_enc, &mut first.b_enc, bias));
        }
        tasks
    }
}
