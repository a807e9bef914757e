//! Tables that are computed with only when somebody asks: polars' lazy frames over Parquet files, and
//! SQL over them.

use std::path::PathBuf;

use polars::prelude::{
    DataType, LazyFrame, PlRefPath, ScanArgsParquet, UnionArgs, concat_lf_diagonal, lit,
};
use polars::sql::SQLContext;

use crate::{Error, Table, quiet};

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

/// What SQL says over these tables. It reads; nothing is changed.
///
/// # Errors
/// In polars' words, if it is no SQL, or speaks of what is not there.
pub fn query(frames: Vec<(&str, LazyFrame)>, sql: &str) -> Result<Table, Error> {
    let answer = || {
        let mut context = SQLContext::new();
        for (name, frame) in frames {
            context.register(name, frame);
        }
        Ok(context.execute(sql)?.collect()?)
    };
    let frame = quiet::caught(answer)
        .unwrap_or_else(|| Err(Error("polars gave up on this query".to_owned())))?;
    // What is counted, ranked or listed is of other types than tables have.
    let columns = frame.columns().iter().map(|column| {
        let dtype = match column.dtype() {
            known @ (DataType::String | DataType::Boolean) => known.clone(),
            number if number.is_integer() => DataType::Int64,
            number if number.is_float() => DataType::Float64,
            _ => DataType::String,
        };
        Ok(column.cast(&dtype)?)
    });
    let columns = columns.collect::<Result<Vec<_>, Error>>()?;
    Table::of_columns(frame.height(), &columns)
}

/// The names of the columns; none if they cannot be told.
pub fn columns_of(frame: &LazyFrame) -> Vec<String> {
    let schema = frame.clone().collect_schema();
    schema.map_or(Vec::new(), |schema| schema.iter_names().map(ToString::to_string).collect())
}
