//! Convolutions between padded matrices: samples lie without padding there, where their size is whole vectors, and
//! are copied where it is not.

use std::borrow::Cow;

use super::OuterBuffers;
use crate::fused::kernels::{Mat, Matrix};
use crate::fused::layers::Layers;
use crate::model::Convolution;

/// The two directions of a map.
#[derive(Clone, Copy)]
pub(super) enum Direction {
    /// Towards the code: of a convolution, from its fine side to the coarse one.
    Inward,
    /// Away from it.
    Outward,
}

/// Maps samples in one direction, without a bias.
pub(super) fn convolve(
    convolution: &Convolution,
    direction: Direction,
    from: Mat<'_>,
    kernels: &Matrix,
    to: &mut Matrix,
) {
    let kernels = kernels.to_rows();
    to.reserve_rows(from.row_count());
    with_flat(to, from.row_count(), |to| {
        to.fill(0.0);
        match direction {
            Direction::Inward => convolution.gather(&from.flat(), &kernels, to),
            Direction::Outward => convolution.scatter(&from.flat(), &kernels, to),
        }
    });
}

/// A channel's bias for each of its pixels.
pub(super) fn spread(bias: &[f32], pixels: usize) -> Vec<f32> {
    bias.iter().flat_map(|bias| std::iter::repeat_n(*bias, pixels)).collect()
}

/// Shows the first `samples` rows without padding.
fn with_flat(matrix: &mut Matrix, samples: usize, see: impl FnOnce(&mut [f32])) {
    let (columns, stride) = (matrix.columns(), matrix.stride());
    if columns == stride {
        return see(&mut matrix.as_mut_slice()[..samples * columns]);
    }
    let mut flat = vec![0.0; samples * columns];
    see(&mut flat);
    for (sample, row) in flat.chunks_exact(columns).enumerate() {
        matrix.row_mut(sample)[..columns].copy_from_slice(row);
    }
}

impl OuterBuffers {
    /// Makes the gradients of a convolution's kernels and biases, and of its mirror's, which has so many rows a
    /// sample, where `x` is what it mapped.
    pub(super) fn correlate(
        &mut self,
        convolution: &Convolution,
        x: Mat<'_>,
        rows_of_sample: usize,
    ) {
        let (samples, decoded_rows) = (x.row_count(), x.row_count() * rows_of_sample);
        let Self { back, decoded, rows, kernels, .. } = self;
        let (back, decoded, rows) =
            (back.view(samples), decoded.view(decoded_rows), rows.view(decoded_rows));
        let (back, decoded, rows): (Cow<'_, [f32]>, _, _) =
            (back.flat(), decoded.flat(), rows.flat());
        let (channels, patch) = (convolution.coarse().channels, convolution.patch());
        let gradient = |coarse: &[f32], fine: &[f32]| {
            let mut gradient = vec![0.0; channels * patch];
            convolution.correlate(coarse, fine, &mut gradient);
            Matrix::from_rows(&gradient, patch)
        };
        kernels.encoder = gradient(&back, &x.flat());
        kernels.decoder = gradient(&decoded, &rows);
        kernels.b_enc = vec![0.0; channels];
        convolution.sum_coarse(&back, &mut kernels.b_enc);
        kernels.b_dec = vec![0.0; convolution.fine().channels];
        convolution.sum_fine(&rows, &mut kernels.b_dec);
    }
}

/// The biases of a level for each number that its two maps give.
pub(super) fn biases(convolution: Option<&Convolution>, layers: &Layers) -> [Vec<f32>; 2] {
    let (b_enc, b_dec) = (layers.b_enc.to_rows(), layers.b_dec.to_rows());
    match convolution {
        None => [b_enc, b_dec],
        Some(made) => {
            [spread(&b_enc, made.coarse().pixels()), spread(&b_dec, made.fine().pixels())]
        }
    }
}
