//! The tables of finished runs as polars' lazy frames.

use std::path::Path;

pub use store::Results;
pub use store::exit::Failure as Error;

/// The results in the experiment folder `dir`, as in `results/methods`: `runs` has a row a run,
/// `history` a row an evaluation point and `latents` a row a latent; `results/README.md` explains
/// their columns. The tables in the folder are brought up to date first, with the runs that are there.
///
/// # Errors
/// If `dir` is no folder of an experiment, or its tables can be neither read nor made.
pub fn load(dir: impl AsRef<Path>) -> Result<Results, Error> {
    store::load(&[dir])
}

/// The results of several experiments together; their column `experiment` tells them apart.
///
/// # Errors
/// As for [`load`].
pub fn load_all<P: AsRef<Path>>(dirs: &[P]) -> Result<Results, Error> {
    store::load(dirs)
}
