//! Datasets: numbered samples of one shape.

mod digits;
mod idx;
mod sparse_dictionary;
