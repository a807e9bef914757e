//! Datasets: numbered samples of one shape.
