//! Figures as SVG and PNG, drawn from plain data.
//!
//! - plotters draws `plot`, and `heat` writes its SVG itself. `axis` places the ticks, and `palette` has
//!   colours and shapes that colour-blind readers can tell apart.
//! - `picture` draws tiles of numbers, with `digits` above them; `raster` turns an SVG into a PNG.

pub mod axis;
mod digits;
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
