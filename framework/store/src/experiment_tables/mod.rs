//! Tables of all runs of an experiment: `runs.parquet`, `history.parquet`, `latents.parquet` and
//! `stability.parquet`. They are derived: deleting them loses nothing.
//!
//! - [`compact`] makes them and keeps them up to date, with the help of [`index`].
//! - [`stability`] keeps the table that compares seeds.
//! - [`load`] opens them; `lazy` opens them as lazy frames.

pub mod compact;
pub mod index;
#[cfg(feature = "lazy")]
pub mod lazy;
pub mod load;
pub mod stability;
