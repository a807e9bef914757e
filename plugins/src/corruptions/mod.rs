//! Corruptions: noise on the samples that are encoded in training.

mod block;
mod gaussian;
mod masking;
mod none;
mod salt_and_pepper;
