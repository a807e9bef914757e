//! dfdx tensors as this program uses them: on the CPU, in f32 or f64, with an owned tape.

use std::ops::DerefMut;

use crate::fused::Multipliable;
use crate::plugin::{Architecture, Autoencoder, Auxiliary, AuxiliaryTerms, Penalize, Penalty};
use dfdx::prelude::{Cpu, Device, Dtype, NoneTape, OwnedTape, Shape, Storage};

/// A dtype that models are written for: f32 or f64.
pub trait Real: Dtype + Multipliable {
    /// The CPU, with the promise that it has every operation for this dtype, and gradients that can be written
    /// to.
    type Device: Device<Self> + Storage<Self, Vec: DerefMut<Target = Vec<Self>>>;

    /// A setting or a constant in this dtype.
    fn of(value: f64) -> Self;

    /// The number as f64.
    fn f64(self) -> f64;

    /// An architecture's definition in this dtype.
    fn autoencoder(architecture: &dyn Architecture) -> &dyn Autoencoder<Self>;

    /// A penalty's definition in this dtype.
    fn penalize(penalty: &dyn Penalty) -> &dyn Penalize<Self>;

    /// An auxiliary's definition in this dtype.
    fn auxiliary(auxiliary: &dyn Auxiliary) -> &dyn AuxiliaryTerms<Self>;
}

impl Real for f32 {
    type Device = Cpu;

    fn of(value: f64) -> Self {
        value as f32
    }

    fn f64(self) -> f64 {
        f64::from(self)
    }

    fn autoencoder(architecture: &dyn Architecture) -> &dyn Autoencoder<Self> {
        architecture
    }

    fn penalize(penalty: &dyn Penalty) -> &dyn Penalize<Self> {
        penalty
    }

    fn auxiliary(auxiliary: &dyn Auxiliary) -> &dyn AuxiliaryTerms<Self> {
        auxiliary
    }
}

impl Real for f64 {
    type Device = Cpu;

    fn of(value: f64) -> Self {
        value
    }

    fn f64(self) -> f64 {
        self
    }

    fn autoencoder(architecture: &dyn Architecture) -> &dyn Autoencoder<Self> {
        architecture
    }

    fn penalize(penalty: &dyn Penalty) -> &dyn Penalize<Self> {
        penalty
    }

    fn auxiliary(auxiliary: &dyn Auxiliary) -> &dyn AuxiliaryTerms<Self> {
        auxiliary
    }
}

/// A tensor without a tape: operations on it are not recorded.
pub type Tensor<S, E> = dfdx::tensor::Tensor<S, E, <E as Real>::Device, NoneTape>;

/// A tensor on the tape: what is computed from it can be differentiated.
pub type Traced<S, E> =
    dfdx::tensor::Tensor<S, E, <E as Real>::Device, OwnedTape<E, <E as Real>::Device>>;

/// A tensor of the given values, row-major.
///
/// # Panics
/// If there are not as many values as the shape holds.
pub fn tensor<S: Shape, E: Real>(values: Vec<E>, shape: S) -> Tensor<S, E> {
    assert_eq!(
        values.len(),
        shape.num_elements(),
        "tensor: {shape:?} and its values differ in size"
    );
    use dfdx::tensor::TensorFromVec;
    E::Device::default().tensor_from_vec(values, shape)
}

/// The values of a tensor, row-major.
pub fn values<S: Shape, E: Real, T>(tensor: &dfdx::tensor::Tensor<S, E, E::Device, T>) -> Vec<E> {
    tensor.as_vec()
}
