//! Tables for programs that compute with them: polars' lazy frames over Parquet files. The program itself
//! needs none, so they are behind the feature `lazy`.

use std::path::PathBuf;

use polars::prelude::{LazyFrame, PlRefPath, ScanArgsParquet, UnionArgs, concat_lf_diagonal, lit};

use crate::Error;

/// One table out of several files, one below the other: it has the columns of all, and nulls where a
/// file lacks one. Each file comes with a name that stands in the column `label`, unless it has one.
///
/// # Errors
/// If a file cannot be read.
pub fn scan(files: &[(String, PathBuf)], label: &str) -> Result<LazyFrame, Error> {
    let open = |(name, path): &(String, PathBuf)| -> Result<LazyFrame, Error> {
        let path = PlRefPath::try_from_path(path)?;
        let mut frame = LazyFrame::scan_parquet(path, ScanArgsParquet::default())?;
        let is_labelled = frame.collect_schema()?.contains(label);
        Ok(if is_labelled { frame } else { frame.with_column(lit(name.as_str()).alias(label)) })
    };
    let frames: Vec<LazyFrame> = files.iter().map(open).collect::<Result<_, _>>()?;
    match <[LazyFrame; 1]>::try_from(frames) {
        Ok([frame]) => Ok(frame),
        Err(frames) => {
            let args = UnionArgs { to_supertypes: true, ..UnionArgs::default() };
            Ok(concat_lf_diagonal(frames, args)?)
        }
    }
}
