//! The plugins that come with saegrid: one file each, in the folder of its kind.
//!
//! A binary has them by saying `use plugins as _;`: they register themselves.

mod architectures;
mod auxiliaries;
mod corruptions;
mod datasets;
mod evaluations;
mod penalties;
mod support;
mod words;
