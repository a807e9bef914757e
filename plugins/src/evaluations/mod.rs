//! Evaluations: what is measured on a model.

mod budget;
mod probe;
mod reconstruction;
mod recovery;
mod sparsity;
