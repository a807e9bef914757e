//! ‖∂h/∂x‖²_F of each sample, where `h` is what layers make of it, on the tape.

use dfdx::prelude::{
    Axes2, Axes3, Axis, BroadcastTo, HasShape, PermuteTo, ReshapeTo, Shape, SumTo, TryMatMul,
    WithEmptyTape,
};
use framework::dims::{Batch, Input, Latent};
use framework::model::{Real, Traced, tensor, values};
use framework::plugin::Activation;

use super::layers::Width;

framework::dim! {
    /// Rows of the matrices of all samples, one sample after another.
    SampleRow
}

/// A dense layer, and what it makes of samples.
pub struct LayerOnTape<E: Real> {
    /// [in, out].
    pub w: Traced<(Width, Width), E>,
    pub activation: Activation,
    /// What follows the activation.
    pub code: Traced<(Batch, Width), E>,
}

/// The slope of an activation where it gives `h`: 1[h > 0], h(1 − h), 1 − h². `None` stands for 1, the slope of
/// identity.
fn slopes<S: Shape, E: Real>(h: Traced<S, E>, activation: Activation) -> Option<Traced<S, E>> {
    match activation {
        Activation::Identity => None,
        Activation::Relu => {
            let is_open = |h: E| E::of(f64::from(u8::from(h.f64() > 0.0)));
            let open = values(&h).into_iter().map(is_open).collect();
            Some(tensor(open, *h.shape()).retaped())
        }
        Activation::Sigmoid => Some(h.with_empty_tape() * (h.negate() + E::of(1.0))),
        Activation::Tanh => Some(h.square().negate() + E::of(1.0)),
    }
}

/// The norm where `h` is the code of a single dense layer: Σⱼ φ'(zⱼ)² ‖wⱼ‖², wⱼ the latent's column of the layer's
/// matrix.
///
/// Source: Rifai et al. 2011, Contractive Auto-Encoders, section 3.
pub fn jacobian_of_one_layer<E: Real>(
    w_enc: Traced<(Input, Latent), E>,
    h: Traced<(Batch, Latent), E>,
    activation: Activation,
) -> Traced<(Batch,), E> {
    let norms = w_enc.square().sum::<(Latent,), Axis<0>>().broadcast_like(h.shape());
    let of_columns = match slopes(h, activation) {
        None => norms,
        Some(slopes) => norms * slopes.square(),
    };
    of_columns.sum::<(Batch,), Axis<1>>()
}

/// The norm where `h` is the code of `last`, behind at least one hidden layer: in whichever order costs
/// less.
pub fn jacobian_of_layers<E: Real>(
    hidden: Vec<LayerOnTape<E>>,
    last: LayerOnTape<E>,
) -> Traced<(Batch,), E> {
    let hidden = match <[LayerOnTape<E>; 1]>::try_from(hidden) {
        Ok([hidden]) if last.activation == Activation::Identity => return of_linear(hidden, last),
        Ok(hidden) => hidden.into(),
        Err(hidden) => hidden,
    };
    let matrices = hidden.iter().map(|layer| layer.w.shape()).chain([last.w.shape()]);
    let sizes: Vec<(usize, usize)> = matrices.map(|(from, to)| (from.0, to.0)).collect();
    if cost_from_samples(&sizes) < cost_from_code(&sizes) {
        from_samples(hidden, last)
    } else {
        from_code(hidden, last)
    }
}

/// The norm behind one hidden layer where the code has no activation: Σⱼₖ φ'(zⱼ) φ'(zₖ) (W₁ᵀW₁)ⱼₖ (W₂W₂ᵀ)ⱼₖ. No sample
/// needs a matrix of its own.
fn of_linear<E: Real>(hidden: LayerOnTape<E>, last: LayerOnTape<E>) -> Traced<(Batch,), E> {
    let (batch, width) = *hidden.code.shape();
    let rows = last.w.permute::<(Width, Width), Axes2<1, 0>>();
    let products = products_of_columns(hidden.w) * products_of_columns(rows);
    let slopes = slopes(hidden.code, hidden.activation)
        .unwrap_or_else(|| tensor(vec![E::of(1.0); batch.0 * width.0], (batch, width)).retaped());
    let again = slopes.with_empty_tape();
    (slopes.matmul(products) * again).sum::<(Batch,), Axis<1>>()
}

/// How many multiplications a number costs that is multiplied alone, as by a slope, in the time of those of a matrix
/// product.
const ALONE: f64 = 32.0;

/// What [`from_code`] takes of each sample, in multiplications, given the sizes of the layers' matrices. What is the
/// same of every sample is found once.
fn cost_from_code(matrices: &[(usize, usize)]) -> f64 {
    let latents = matrices.last().map_or(0, |(_, latents)| *latents) as f64;
    let mut cost = 0.0;
    for (at, (from, to)) in matrices.iter().enumerate() {
        let (from, to) = (*from as f64, *to as f64);
        let product = if at + 1 < matrices.len() { from * to } else { 0.0 };
        cost += latents * (product + ALONE * from);
    }
    cost
}

/// The same of [`from_samples`].
fn cost_from_samples(matrices: &[(usize, usize)]) -> f64 {
    let mut cost = 0.0;
    for (at, (from, to)) in matrices.iter().enumerate() {
        let (from, to) = (*from as f64, *to as f64);
        let is_last = at + 1 == matrices.len();
        cost += if at > 0 { from * from * to } else { 0.0 };
        cost += if at > 0 && !is_last { from * to * to } else { 0.0 };
        cost += ALONE * if is_last { from * to } else { 2.0 * to * to };
    }
    cost
}

/// The norm of the product of the layers' Jacobians, multiplied from the code outward: of each sample a matrix with
/// a row for each latent.
fn from_code<E: Real>(hidden: Vec<LayerOnTape<E>>, last: LayerOnTape<E>) -> Traced<(Batch,), E> {
    let ((batch, latents), (from, _)) = (*last.code.shape(), *last.w.shape());
    let shape = (batch, latents, from);
    let w = last.w.permute::<(Width, Width), Axes2<1, 0>>();
    let mut product = w.broadcast_like::<_, Axis<0>>(&shape);
    if let Some(slopes) = slopes(last.code, last.activation) {
        product = product * slopes.broadcast_like::<_, Axis<2>>(&shape);
    }
    for layer in hidden.into_iter().rev() {
        let w = layer.w.permute::<(Width, Width), Axes2<1, 0>>();
        if let Some(slopes) = slopes(layer.code, layer.activation) {
            let shape = *product.shape();
            product = product * slopes.broadcast_like::<_, Axis<1>>(&shape);
        }
        product = each_by(product, w);
    }
    product.square().sum::<(Batch,), Axes2<1, 2>>()
}

/// The same norm from samples inward: of each sample the products of the rows of the Jacobian so far with each
/// other, Sᵢ = Dᵢ Wᵢᵀ Sᵢ₋₁ Wᵢ Dᵢ, where D has the slopes; the norm is the trace of the last one.
fn from_samples<E: Real>(hidden: Vec<LayerOnTape<E>>, last: LayerOnTape<E>) -> Traced<(Batch,), E> {
    let mut products = None;
    for layer in hidden {
        let (batch, width) = *layer.code.shape();
        let (shape, w) = ((batch, width, width), layer.w);
        let next = match products {
            None => products_of_columns(w).broadcast_like::<_, Axis<0>>(&shape),
            Some(products) => {
                let columns = each_by(products, w.with_empty_tape());
                each_by(columns.permute::<(Batch, Width, Width), Axes3<0, 2, 1>>(), w)
            }
        };
        products = Some(match slopes(layer.code, layer.activation) {
            None => next,
            Some(slopes) => {
                let of_rows = slopes.with_empty_tape().broadcast_like::<_, Axis<2>>(&shape);
                next * slopes.broadcast_like::<_, Axis<1>>(&shape) * of_rows
            }
        });
    }
    let products = each_by(products.expect("there is a hidden layer"), last.w.with_empty_tape());
    let w = last.w.broadcast_like::<_, Axis<0>>(products.shape());
    let squares = (products * w).sum::<(Batch, Width), Axis<1>>();
    let squares = match slopes(last.code, last.activation) {
        None => squares,
        Some(slopes) => squares * slopes.square(),
    };
    squares.sum::<(Batch,), Axis<1>>()
}

/// WᵀW.
fn products_of_columns<E: Real>(w: Traced<(Width, Width), E>) -> Traced<(Width, Width), E> {
    // dfdx multiplies no tensor by itself.
    let same = w.with_empty_tape() * E::of(1.0);
    same.permute::<(Width, Width), Axes2<1, 0>>().matmul(w)
}

/// The products of each sample's matrix with the same one.
fn each_by<E: Real>(
    matrices: Traced<(Batch, Width, Width), E>,
    w: Traced<(Width, Width), E>,
) -> Traced<(Batch, Width, Width), E> {
    let ((batch, rows, inner), (_, to)) = (*matrices.shape(), *w.shape());
    let rows_of_all = matrices.reshape_like(&(SampleRow(batch.0 * rows.0), inner));
    rows_of_all.matmul(w).reshape_like(&(batch, rows, to))
}

#[cfg(test)]
mod tests {
    use dfdx::prelude::{Backward, Rank0};
    use framework::model::Tensor;

    use super::*;
    use crate::support::layers::activated;
    use crate::support::testing::uneven;

    type Matrix = Tensor<(Width, Width), f64>;

    /// What layers make of samples; the last one has the tape.
    fn codes(
        x: &Tensor<(Batch, Width), f64>,
        layers: &[(Matrix, Activation)],
    ) -> Vec<Traced<(Batch, Width), f64>> {
        let (mut below, mut codes) = (x.retaped(), Vec::new());
        for (w, activation) in layers {
            let w: Traced<_, f64> = w.retaped();
            let code = activated(below.matmul(w), *activation);
            codes.push(code.with_empty_tape());
            below = code;
        }
        codes.pop();
        codes.push(below);
        codes
    }

    /// Wrong if two orders of the product had another value or another gradient.
    #[test]
    fn the_norm_is_the_same_in_every_order() {
        let all = [Activation::Identity, Activation::Relu, Activation::Sigmoid, Activation::Tanh];
        let pairs = all.iter().flat_map(|one| all.map(|other| (*one, other)));
        let forms: [&[usize]; 4] = [&[6, 3, 5], &[4, 7, 4], &[6, 4, 5, 6], &[3, 5, 4, 6, 5]];
        for ((of_hidden, of_code), widths) in pairs.flat_map(|pair| forms.map(|form| (pair, form)))
        {
            let what = format!("{of_hidden:?}, {of_code:?}, {widths:?}");
            let numbers: Vec<f64> = uneven(200).into_iter().map(f64::from).collect();
            let depth = widths.len() - 1;
            let layers: Vec<(Matrix, Activation)> = (0..depth)
                .map(|at| {
                    let (from, to) = (widths[at], widths[at + 1]);
                    let w = numbers[at * 40..at * 40 + from * to].to_vec();
                    let activation = if at + 1 < depth { of_hidden } else { of_code };
                    (tensor(w, (Width(from), Width(to))), activation)
                })
                .collect();
            let x = numbers[160..160 + 4 * widths[0]].to_vec();
            let x = tensor(x, (Batch(4), Width(widths[0])));
            let by = |order: fn(Vec<LayerOnTape<f64>>, LayerOnTape<f64>) -> _| {
                let on_tape = |((w, activation), code): (&(Matrix, _), _)| LayerOnTape {
                    w: w.retaped(),
                    activation: *activation,
                    code,
                };
                let (last, hidden) = layers.split_last().unwrap();
                let code = codes(&x, &layers).pop().unwrap();
                let hidden = hidden.iter().zip(codes(&x, hidden)).map(on_tape).collect();
                let norms: Traced<(Batch,), f64> = order(hidden, on_tape((last, code)));
                let mut found = values(&norms);
                let gradients = norms.sum::<Rank0, _>().backward();
                layers.iter().for_each(|(w, _)| found.extend(gradients.get(w).as_vec()));
                found
            };
            let right = by(from_code);
            // Behind narrow layers of relu, all may be silent.
            let may_be_silent = [of_hidden, of_code].contains(&Activation::Relu);
            let is_silent = right[..4].iter().all(|norm| *norm < 1e-8);
            assert!(may_be_silent || !is_silent, "{what}: {right:?}");
            for found in [by(from_samples), by(jacobian_of_layers)] {
                assert_eq!(found.len(), right.len());
                let is_near = |(one, other): (&f64, &f64)| (one - other).abs() < 1e-11;
                assert!(right.iter().zip(&found).all(is_near), "{what}: {found:?}, not {right:?}");
            }
        }
    }

    /// Wrong if the dearer order were taken where one takes several times the other.
    #[test]
    fn the_cheaper_order_is_taken() {
        let is_from_samples =
            |matrices: &[(usize, usize)]| cost_from_samples(matrices) < cost_from_code(matrices);
        assert!(!is_from_samples(&[(784, 512), (512, 32)]));
        assert!(is_from_samples(&[(784, 512), (512, 1024)]));
        assert!(!is_from_samples(&[(784, 512), (512, 128), (128, 32)]));
        assert!(is_from_samples(&[(784, 512), (512, 128), (128, 1024)]));
    }
}
