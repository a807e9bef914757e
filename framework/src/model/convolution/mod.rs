//! Convolution in two dimensions, and its transpose, as operations on the tape: dfdx's own need a nightly
//! compiler.
//!
//! A convolution here is a cross-correlation with zeros around each map, (kernel − 1) / 2 of them, an odd kernel
//! and any stride. Its transpose is its adjoint without bias: ⟨convolution of x, y⟩ = ⟨x, transpose of y⟩. It
//! comes out at exactly the size that the convolution reads, so where a stride does not divide that size, the
//! last rows and columns hold what the last coarse pixels spread over them.
//!
//! A sample stays one row of numbers, channel by channel, as encoders and activations and the engines have it,
//! and the sizes stand in a [`Convolution`]. Its two sides have names, [`Fine`] and [`Coarse`], and so have their
//! channels: to convolve what only the transpose can read, or with kernels whose channels are swapped, does not
//! compile. One layer's coarse side is the next one's fine side, which its caller says by
//! `reshape_like(&(batch, next.fine_dim()))`. It moves no number.

mod geometry;
mod kernel;

use dfdx::prelude::{HasShape, PutTape, ReshapeTo, Shape, SplitTape, Tape};
use dfdx::tensor::Tensor;

use super::{Real, tensor};
use crate::dims::{Batch, Coarse, CoarseChannel, Fine, FineChannel, KernelSide};
pub use geometry::{Convolution, Maps};
use kernel::fill_maps;

/// Kernels, on a tape of type `T`.
type Kernels<E, T> =
    Tensor<(CoarseChannel, FineChannel, KernelSide, KernelSide), E, <E as Real>::Device, T>;

/// One number a channel, on a tape of type `T`.
type Bias<C, E, T> = Tensor<(C,), E, <E as Real>::Device, T>;

/// The samples of a batch on one side, on a tape of type `T`.
type Samples<S, E, T> = Tensor<(Batch, S), E, <E as Real>::Device, T>;

impl Convolution {
    /// The convolution of `x` with `kernels`, [out, in, k, k], plus a bias for each channel that it writes.
    ///
    /// ```
    /// use framework::dims::{Batch, CoarseChannel};
    /// use framework::model::{Convolution, Maps, tensor, values};
    ///
    /// let convolution = Convolution::new(Maps { channels: 1, height: 5, width: 5 }, 2, 3, 2)?;
    /// let x = tensor(vec![1.0_f32; 25], (Batch(1), convolution.fine_dim()));
    /// let kernels = tensor(vec![1.0; 2 * 3 * 3], convolution.kernel_dims());
    /// let bias = tensor(vec![0.0; 2], (CoarseChannel(2),));
    /// let y = convolution.convolve(x, kernels, bias);
    /// assert_eq!(values(&y)[..9], [4.0, 6.0, 4.0, 6.0, 9.0, 6.0, 4.0, 6.0, 4.0]);
    /// # Ok::<(), String>(())
    /// ```
    ///
    /// It does not read what it wrote:
    ///
    /// ```compile_fail
    /// # use framework::dims::{Batch, CoarseChannel};
    /// # use framework::model::{Convolution, Maps, tensor, values};
    /// # let convolution = Convolution::new(Maps { channels: 1, height: 5, width: 5 }, 2, 3, 2)?;
    /// # let kernels = tensor(vec![1.0; 2 * 3 * 3], convolution.kernel_dims());
    /// # let bias = tensor(vec![0.0; 2], (CoarseChannel(2),));
    /// let y = tensor(vec![1.0_f32; 18], (Batch(1), convolution.coarse_dim()));
    /// convolution.convolve(y, kernels, bias);
    /// # Ok::<(), String>(())
    /// ```
    ///
    /// # Panics
    /// If the sizes are not those of this convolution.
    pub fn convolve<E: Real, T: Tape<E, E::Device>>(
        &self,
        x: Samples<Fine, E, T>,
        kernels: Kernels<E, T>,
        bias: Bias<CoarseChannel, E, T>,
    ) -> Samples<Coarse, E, T> {
        let samples = x.shape().0;
        assert_eq!(x.shape().1, self.fine_dim(), "convolve: wrong size of samples");
        assert_eq!(*kernels.shape(), self.kernel_dims(), "convolve: wrong shape of kernels");
        assert_eq!(bias.shape().0.0, self.coarse.channels, "convolve: wrong size of the bias");
        let (this, pixels) = (*self, self.coarse.pixels());
        let ((x, tape), (kernels, of_kernels)) = (flat(x), flat(kernels));
        let (bias, of_bias) = flat(bias);
        let mut tape = tape.merge(of_kernels).merge(of_bias);

        let mut y = vec![E::of(0.0); samples.0 * self.coarse.numbers()];
        fill_maps(&numbers(&bias), pixels, &mut y);
        self.gather(&numbers(&x), &numbers(&kernels), &mut y);
        let y = tensor(y, (samples, self.coarse_dim()));
        let written = y.clone();
        tape.add_backward_op(move |gradients| {
            let of_y = gradients.get_or_alloc_mut(&written)?.to_vec();
            this.scatter(&of_y, &numbers(&kernels), gradients.get_or_alloc_mut(&x)?);
            this.correlate(&of_y, &numbers(&x), gradients.get_or_alloc_mut(&kernels)?);
            this.sum_coarse(&of_y, gradients.get_or_alloc_mut(&bias)?);
            Ok(())
        });
        y.put_tape(tape)
    }

    /// The transposed convolution of `y` with `kernels`, [in, out, k, k], plus a bias for each channel that it
    /// writes.
    ///
    /// # Panics
    /// If the sizes are not those of this convolution.
    pub fn convolve_transposed<E: Real, T: Tape<E, E::Device>>(
        &self,
        y: Samples<Coarse, E, T>,
        kernels: Kernels<E, T>,
        bias: Bias<FineChannel, E, T>,
    ) -> Samples<Fine, E, T> {
        let samples = y.shape().0;
        let (wrong, sizes) = ("convolve_transposed: wrong", self.kernel_dims());
        assert_eq!(y.shape().1, self.coarse_dim(), "{wrong} size of samples");
        assert_eq!(*kernels.shape(), sizes, "{wrong} shape of kernels");
        assert_eq!(bias.shape().0.0, self.fine.channels, "{wrong} size of the bias");
        let (this, pixels) = (*self, self.fine.pixels());
        let ((y, tape), (kernels, of_kernels)) = (flat(y), flat(kernels));
        let (bias, of_bias) = flat(bias);
        let mut tape = tape.merge(of_kernels).merge(of_bias);

        let mut x = vec![E::of(0.0); samples.0 * self.fine.numbers()];
        fill_maps(&numbers(&bias), pixels, &mut x);
        self.scatter(&numbers(&y), &numbers(&kernels), &mut x);
        let x = tensor(x, (samples, self.fine_dim()));
        let written = x.clone();
        tape.add_backward_op(move |gradients| {
            let of_x = gradients.get_or_alloc_mut(&written)?.to_vec();
            this.gather(&of_x, &numbers(&kernels), gradients.get_or_alloc_mut(&y)?);
            this.correlate(&numbers(&y), &of_x, gradients.get_or_alloc_mut(&kernels)?);
            this.sum_fine(&of_x, gradients.get_or_alloc_mut(&bias)?);
            Ok(())
        });
        x.put_tape(tape)
    }
}

/// A tensor whose numbers, and those of its gradient, lie row by row, and its tape.
fn flat<S: Shape, E: Real, T: Tape<E, E::Device>>(
    tensor: Tensor<S, E, E::Device, T>,
) -> (Tensor<S, E, E::Device>, T) {
    tensor.contiguous().split_tape()
}

/// The numbers of a tensor that lie row by row.
fn numbers<S: Shape, E: Real>(flat: &Tensor<S, E, E::Device>) -> Vec<E> {
    let mut numbers = vec![E::of(0.0); flat.shape().num_elements()];
    flat.copy_into(&mut numbers);
    numbers
}
