//! Auxiliaries: what trains beside the one penalty.

mod weight_decay;
