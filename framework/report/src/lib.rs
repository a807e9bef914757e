//! Reports as one file: figures as SVG and PNG, and a page of HTML that opens without a network.
//!
//! Everything here is pure: plain data in, text and bytes out. Nothing knows of experiments, tables of
//! results or disks; whoever has those says what is to be seen in a [`Page`].
//!
//! - [`page`] is the document: sections of words, tables, figures and pictures.
//! - [`plot`] and [`heat`] are the figures, drawn by plotters; [`axis`] places their ticks and
//!   [`palette`] has colours and shapes that colour-blind readers can tell apart.
//! - [`picture`] makes tiles of numbers; [`raster`] makes a PNG of an SVG.
//! - [`pca`] finds the two directions in which codes differ most.

// Tests make and look at files, and print, as they need.
#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_macros))]

pub mod axis;
mod escape;
pub mod figure;
pub mod heat;
pub mod page;
pub mod palette;
pub mod pca;
pub mod picture;
pub mod plot;
pub mod raster;

pub use escape::escape;
pub use figure::{Drawing, Figure};
pub use heat::Heat;
pub use page::{Block, Page, Section, Table};
pub use picture::Picture;
pub use plot::{Plot, Point, Series};
