//! The definition of a model: its tensors, its parameters and its loss, on dfdx.
//!
//! Everything here is generic over the dtype: f32 trains, and f64 is checked against finite
//! differences.

pub mod activity;
mod batch_selection;
mod convolution;
mod held;
mod loss;
mod objective;
mod parameters;
mod pass;
mod tensor;
mod weights;

pub use batch_selection::{follow_threshold, kept_of_batch};
pub use convolution::{Convolution, Maps};
pub use held::Held;
pub(crate) use loss::Terms;
pub use loss::{Definition, Loss, LossTerm, TermOwner, loss, rank0};
pub use objective::objective_of_sample;
pub use parameters::{Constraint, Declaration, Init, Parameter, Parameters, Side};
pub(crate) use pass::Owner;
pub use pass::{EncoderPass, Mode, OwnState, Pass, PassAt, State, Step};
pub use tensor::{Real, Tensor, Traced, tensor, values};
pub use weights::Weights;
