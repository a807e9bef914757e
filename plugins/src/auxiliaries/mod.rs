//! Auxiliaries: what trains beside the one penalty.

mod auxk;
mod contractive;
mod resample;
mod weight_decay;
