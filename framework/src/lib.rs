//! What an experiment is, what plugins are, and how a run is trained and measured.
//!
//! - [`printable`]: text of others, safe for a terminal.
//! - [`diagnostics`]: problems a user can mend, with their place in the file.
//! - [`spec`]: an experiment file as a grid of runs: pure data, checked before anything trains.
//! - [`fit`]: opens the data of runs and refuses runs whose parts do not fit together.
//! - [`plugin`]: the traits and registries of architectures, penalties, datasets and evaluations.
//! - [`dims`] and [`model`]: typed tensors, parameters and the loss, on dfdx; the definition.
//! - [`engine`]: what takes steps and passes: [`reference`] on dfdx, the definition, and [`fused`], the step of
//!   dense models by hand; [`cpu`]: with which instructions.
//! - [`train`]: the loop: batches, schedules, checkpoints.
//! - [`evaluate`]: a model measured on its data.
//! - [`search`]: the search for the strength of a penalty that leads to a certain L0.
//! - [`random`]: the named random streams of a run.
//! - [`files`]: opens the files that a user names, regular ones only.
//! - [`shared`]: data that the processes of one machine have in memory once.
//!
//! No plugin is named here. This crate touches no disk but to read an experiment file or data, and knows
//! nothing of workers and tables: the crates beside it do.

// Tests make and look at files, and print, as they need.
#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_macros))]

pub mod cpu;
pub mod diagnostics;
pub mod dims;
pub mod engine;
pub mod evaluate;
pub mod files;
pub mod fit;
pub mod fused;
pub mod model;
pub mod plugin;
pub mod printable;
pub mod random;
pub mod reference;
pub mod search;
pub mod shared;
pub mod spec;
pub mod train;

// What plugins need, in the versions that the traits are made of.
pub use dfdx;
pub use linkme;
pub use rand;
pub use rand_chacha;
