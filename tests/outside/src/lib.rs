//! Plugins of somebody else's: penalties, an architecture, a dataset and an evaluation, each in
//! one file, in a crate that the rest of the program does not know. What keeps the traits open.

mod drop_out;
mod faulty;
mod peak;
mod slow;
mod soft_threshold;
mod two_layer;
mod waves;
