//! Datasets: numbered samples of one shape.

mod digits;
