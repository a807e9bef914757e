//! The loops of the fused engine, each one portable source that is compiled for several instruction
//! sets and chosen when the program runs.

mod activate;
mod bf16;
mod gemm;
mod matrix;
mod rows;
mod select;
mod update;

pub use activate::{activate, sigmoid, slope, through};
pub use bf16::{BackEnd, Bf16Inputs, Bf16Product};
pub use gemm::matmul;
pub use matrix::{Buffer, Mat, MatMut, Matrix, Rows};
pub use rows::{dot, dots, weighted_sum};
pub use select::{Candidates, Scratch, k_largest};
pub use update::Update;
