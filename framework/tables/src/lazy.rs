//! Opens Parquet files as polars' lazy frames, for programs that compute with them. The program itself
//! needs none, so this is behind the feature `lazy`.

use std::io::Cursor;
use std::path::PathBuf;

use polars::prelude::{
    IntoLazy, LazyFrame, ParquetReader, PlRefPath, ScanArgsParquet, SerReader, UnionArgs,
    concat_lf_diagonal, lit,
};

use crate::TableError;

/// A Parquet file.
pub enum File {
    /// On disk; only the parts that are needed are read.
    Path(PathBuf),
    /// In memory.
    Bytes(Vec<u8>),
}

/// Makes one table out of several files, one below the other: it has the columns of all, and nulls where
/// a file lacks one. Each file comes with a name for the column `label`, unless it has that column.
///
/// # Errors
/// If a file cannot be read.
pub fn scan(files: &[(String, File)], label: &str) -> Result<LazyFrame, TableError> {
    let open = |(name, file): &(String, File)| -> Result<LazyFrame, TableError> {
        let mut frame = match file {
            File::Path(path) => {
                let path = PlRefPath::try_from_path(path)?;
                LazyFrame::scan_parquet(path, ScanArgsParquet::default())?
            }
            File::Bytes(bytes) => {
                ParquetReader::new(Cursor::new(bytes.as_slice())).finish()?.lazy()
            }
        };
        let is_labeled = frame.collect_schema()?.contains(label);
        Ok(if is_labeled { frame } else { frame.with_column(lit(name.as_str()).alias(label)) })
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
