//! Numbers: gradients are right, both engines compute the same, the same run gives the same bits on any
//! number of threads, and metrics mean what their names say.

mod analytic;
mod batch_selection;
mod bench_step;
mod convolution;
mod convolutional;
mod cpu;
mod deep;
mod denoising;
mod determinism;
mod determinism_cli;
mod engines;
mod equal_methods;
mod frozen;
mod gated;
mod gradient_check;
mod gradients;
mod jacobian;
mod jump_relu;
mod metrics;
mod mnist;
mod mutations;
mod preferred_input;
mod recovery;
mod signed_codes;
mod variational;
