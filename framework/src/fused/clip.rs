//! Steps whose gradients are scaled where all of them together are too long: gradients are kept until their norm is
//! known, and used then.

use super::Fused;
use super::buffers::Buffers;
use super::kernels::{Matrix, Update};
use super::layers::Layers;
use super::learn::{
    KeepGradients, LIST_TILE, RowGradient, RowTask, RowUse, ScaledGradients, learn_rows,
};
use super::lesson::CodeLesson;
use super::moments::Moments;
use super::parallel::parallel;
use super::tensors::{OwnTensor, Tensors};
use crate::model::Side;

impl Fused {
    /// Moves all parameters one step, along gradients that are scaled where their norm is above `limit`. Returns the
    /// sum of each term of the weights, and of each term of columns that the core takes while it learns, before it.
    pub(super) fn learn_clipped(
        &mut self,
        buffers: &mut Buffers,
        moments: &mut Moments,
        x: &[f32],
        of_code: CodeLesson<'_>,
        (limit, uses): (f64, RowUse<'_, Update>),
    ) -> Vec<f64> {
        let mut kept = buffers.kept.take().unwrap_or_else(|| self.tensors.zeros_like());
        let places = (&mut kept, &mut Tensors::default());
        let found = self.learn_all(buffers, places, x, of_code, uses.to(KeepGradients));
        let norm = found[0].sqrt();
        let mut tasks = Vec::new();
        let Moments { first, second, .. } = moments;
        tasks_of(&kept, &mut self.tensors, (first, second), self.form.unit_norm, &mut tasks);
        // What terms of the weights add is in what was kept.
        let uses = RowUse { weight_terms: &[], ..uses };
        let scratches = &mut buffers.scratches;
        if norm > limit {
            let factor = (limit / norm) as f32;
            let scaled = uses.to(ScaledGradients { update: uses.update, factor });
            learn_rows(self.arch, &scaled, tasks, scratches);
        } else {
            learn_rows(self.arch, &uses, tasks, scratches);
        }
        self.tensors.own.iter_mut().for_each(OwnTensor::enforce);
        if let Some(narrow) = &mut self.narrow {
            let encoder = &self.tensors.core.encoder;
            parallel(scratches, narrow.chunks(LIST_TILE).enumerate(), |_, (at, mut rows)| {
                let first = at * LIST_TILE;
                let last = encoder.rows().min(first + LIST_TILE);
                (first..last).for_each(|row| rows.update(row - first, encoder.row(row)));
            });
        }
        buffers.kept = Some(kept);
        found
    }
}

/// Adds a task for each tensor that has a gradient in `kept`. The core's decoder rows may have norm 1.
fn tasks_of<'a>(
    kept: &'a Tensors,
    tensors: &'a mut Tensors,
    (first, second): (&'a mut Tensors, &'a mut Tensors),
    unit_norm: bool,
    tasks: &mut Vec<RowTask<'a>>,
) {
    // SGD has no second moments.
    let seconds = second.outer.iter_mut().map(Some).chain(std::iter::repeat_with(|| None));
    let outer = kept.outer.iter().zip(&mut tensors.outer).zip(&mut first.outer).zip(seconds);
    for (((kept, values), first), second) in outer {
        tasks_of_layers(kept, values, (first, second), false, tasks);
    }
    let has_second = second.core.latents() > 0;
    let core = (&mut first.core, has_second.then_some(&mut second.core));
    tasks_of_layers(&kept.core, &mut tensors.core, core, unit_norm, tasks);
    if let (Some(kept), Some(values), Some(first)) =
        (&kept.log_variance, &mut tensors.log_variance, &mut first.log_variance)
    {
        tasks_of_layers(kept, values, (first, second.log_variance.as_mut()), false, tasks);
    }
    let seconds = second.own.iter_mut().map(Some).chain(std::iter::repeat_with(|| None));
    let own = kept.own.iter().zip(&mut tensors.own).zip(&mut first.own).zip(seconds);
    for (((kept, values), first), second) in own {
        let second = second.map(|own| &mut own.values);
        let places = (&mut values.values, &mut first.values, second);
        tasks.extend(bias_task(&kept.values, places));
    }
}

/// Adds the tasks of a level.
fn tasks_of_layers<'a>(
    kept: &'a Layers,
    layers: &'a mut Layers,
    (first, second): (&'a mut Layers, Option<&'a mut Layers>),
    unit_norm: bool,
    tasks: &mut Vec<RowTask<'a>>,
) {
    let side = layers.encoder_side();
    let (of_encoder, of_b_enc, of_decoder, of_b_dec) = match second {
        Some(Layers { encoder, b_enc, decoder, b_dec }) => {
            (Some(encoder), Some(b_enc), decoder.as_mut(), Some(b_dec))
        }
        None => (None, None, None, None),
    };
    let Layers { encoder, b_enc, decoder, b_dec } = layers;
    let rows = |gradient, values, first, second, side| {
        let unit = unit_norm && side != Side::Encoder;
        RowTask { gradient: RowGradient::Given(gradient), values, first, second, side, unit }
    };
    tasks.push(rows(&kept.encoder, encoder, &mut first.encoder, of_encoder, side));
    if let (Some(kept), Some(values), Some(first)) = (&kept.decoder, decoder, &mut first.decoder) {
        tasks.push(rows(kept, values, first, of_decoder, Side::Decoder));
    }
    tasks.extend(bias_task(&kept.b_enc, (b_enc, &mut first.b_enc, of_b_enc)));
    tasks.extend(bias_task(&kept.b_dec, (b_dec, &mut first.b_dec, of_b_dec)));
}

/// The task of a bias; none where the level has none.
fn bias_task<'a>(
    kept: &'a Matrix,
    (values, first, second): (&'a mut Matrix, &'a mut Matrix, Option<&'a mut Matrix>),
) -> Option<RowTask<'a>> {
    (kept.rows() > 0).then(|| {
        let gradient = RowGradient::GivenBias(kept.row(0));
        // Which half a bias belongs to is not asked.
        RowTask { gradient, values, first, second, side: Side::Encoder, unit: false }
    })
}
