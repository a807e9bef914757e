//! Architectures: how a sample becomes a code, and a code a sample.

mod convolutional;
mod deep;
mod dense;
mod variational;
