//! Plugins of a foreign crate: architectures, penalties, auxiliaries, a corruption, a dataset and evaluations,
//! one file each. The rest of the program does not know the crate, so the traits must stay open.

mod all_seeing;
mod batch_largest;
mod cauchy_decay;
mod drop_out;
mod faulty;
mod noisy_code;
mod nudge;
mod peak;
mod revive;
mod salt;
mod slow;
mod soft_threshold;
mod straight_jump;
mod two_layer;
mod waves;
