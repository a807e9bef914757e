//! Figures as SVG and PNG: plain data in, text and bytes out.
//!
//! - `plot` and `heat` are drawn by plotters; `axis` places their ticks and `palette` has colours and
//!   shapes that colour-blind readers can tell apart.
//! - `picture` makes tiles of numbers; `raster` makes a PNG of an SVG.

pub mod axis;
pub mod figure;
mod heat;
pub mod palette;
pub mod picture;
mod plot;
pub mod raster;

pub use figure::{Drawing, Figure};
pub use heat::Heat;
pub use picture::Picture;
pub use plot::{Plot, PlotPoint, Series};
