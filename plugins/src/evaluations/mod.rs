//! Evaluations: what is measured on a model.

mod probe;
mod reconstruction;
mod recovery;
mod sparsity;
