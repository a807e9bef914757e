//! Auxiliaries: what trains beside the one penalty.

mod contractive;
mod weight_decay;
