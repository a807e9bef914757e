//! Evaluations: what is measured on a model.

mod reconstruction;
mod sparsity;
