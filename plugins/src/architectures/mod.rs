//! Architectures: how a sample becomes a code, and a code a sample.

mod convolutional;
mod dense;
mod variational;
