//! The loops of the fused engine, each one portable source that is compiled for several instruction
//! sets and chosen when the program runs.

mod above;
mod activate;
mod bf16;
mod gemm;
mod matrix;
mod rows;
mod select;
mod update;

pub use above::{Above, keep_largest};
pub use activate::{activate, activate_in_place, differentiate, exp, slope, through};
pub use bf16::{BackEnd, Bf16Inputs, Bf16Product};
pub use gemm::{Multipliable, matmul, matmul_of, part_size};
pub use matrix::{Buffer, Mat, MatMut, Matrix, PaddedRows, padded};
pub use rows::{dot, dots, weighted_sum, weighted_sums};
pub use select::{Candidates, SelectScratch, k_largest, k_largest_of_row};
pub use update::Update;

/// Runs a kernel once for each instruction set of this machine, and without any.
#[cfg(test)]
fn on_every_instruction_set<K: pulp::WithSimd>(
    kernel: impl Fn() -> K,
    mut check: impl FnMut(K::Output),
) {
    use pulp::Simd;
    check(pulp::Scalar::new().vectorize(kernel()));
    #[cfg(target_arch = "x86_64")]
    {
        use pulp::x86::{V3, V4};
        V3::try_new().map(|simd| Simd::vectorize(simd, kernel())).into_iter().for_each(&mut check);
        V4::try_new().map(|simd| Simd::vectorize(simd, kernel())).into_iter().for_each(&mut check);
    }
}
