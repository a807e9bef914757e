//! Plugins of a foreign crate: penalties, an architecture, a corruption, a dataset and evaluations, one
//! file each. The rest of the program does not know the crate, so the traits must stay open.

mod drop_out;
mod faulty;
mod nudge;
mod peak;
mod salt;
mod slow;
mod soft_threshold;
mod straight_jump;
mod two_layer;
mod waves;
