//! Tables of finished runs as polars' lazy frames.

use std::path::Path;

pub use store::Results;
pub use store::exit::Failure as Error;

/// Loads the results in the experiment folder `dir`, such as `results/methods`: `runs` has a row a run,
/// `history` a row an evaluation point and `latents` a row a latent. `results/README.md` explains their
/// columns. First brings the tables in the folder up to date with the runs that are there.
///
/// # Errors
/// If `dir` is not an experiment folder, or its tables can be neither read nor made.
pub fn load(dir: impl AsRef<Path>) -> Result<Results, Error> {
    store::load(&[dir])
}

/// Loads the results of several experiments together; the column `experiment` tells them apart.
///
/// # Errors
/// As for [`load`].
pub fn load_all<P: AsRef<Path>>(dirs: &[P]) -> Result<Results, Error> {
    store::load(dirs)
}
