//! Norms of the decoder's rows, as terms of codes are weighed by them.

use dfdx::prelude::{Axis, HasShape, SumTo};
use framework::dims::{Input, Latent};
use framework::model::{Real, Tensor, Traced, tensor, values};

/// The norm of each row. A bare root has no gradient at a row of zeros, where this has 0.
pub fn row_norms<E: Real>(rows: Traced<(Latent, Input), E>) -> Traced<(Latent,), E> {
    let squares = rows.square().sum::<(Latent,), Axis<1>>();
    let latents = *squares.shape();
    let is_zero = |square: E| E::of(f64::from(square.f64() == 0.0));
    let is_zero = values(&squares).into_iter().map(is_zero).collect();
    let is_zero: Tensor<(Latent,), E> = tensor(is_zero, latents);
    (squares + is_zero.clone()).sqrt() * (is_zero.negate() + E::of(1.0))
}
