//! Architectures: how a sample becomes a code, and a code a sample.

mod deep;
mod dense;
