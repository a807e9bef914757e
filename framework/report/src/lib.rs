//! Writes the page about an experiment: one HTML file that opens without a network.
//!
//! - [`page()`] makes the [`Page`] about an [`ExperimentView`]. `sections` has one file for each part of
//!   it: the verdict, fronts, curves over budgets, pairs of settings, all runs, learning curves, latents,
//!   stability, models, settings and provenance. The crate `analysis` computes the numbers.
//! - `page` is the document: words, tables, figures and pictures, written as HTML.
//! - [`figures`] draws plots, heat maps and pictures as SVG and PNG, from plain data.

// Tests create and read files, and print.
#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_macros))]

mod escape;
pub mod figures;
mod page;
mod sections;
mod subject;

pub use escape::escape;
pub use figures::{Drawing, Figure, Heat, Picture, Plot, PlotPoint, Series};
pub use page::{Block, Page, PageSection, PageTable, StoredPicture};
pub use sections::page;
pub use subject::ExperimentView;
