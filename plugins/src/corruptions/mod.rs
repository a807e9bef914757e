//! Corruptions: noise on the samples that are encoded in training.

mod gaussian;
mod none;
