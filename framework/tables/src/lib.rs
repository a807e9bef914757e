//! Tables of results: named columns, united under an explicit schema, written to Parquet and read back.
//!
//! Only this crate uses polars: nothing else in the workspace names one of its types. It takes and
//! returns bytes; callers decide where they are kept.

// Tests make and look at files, and print, as they need.
#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_macros))]

mod groups;
mod guard;
#[cfg(feature = "lazy")]
mod lazy;
mod quiet;
mod shape;
mod stack;
mod thrift;

use std::fmt;
use std::io::Cursor;
use std::sync::Arc;

use polars::prelude::{
    Column as PolarsColumn, CompatLevel, DataFrame, DataType, NamedFrom, ParallelStrategy,
    ParquetReader, PolarsError, SchemaExt, SerReader, Series,
};
use polars_parquet::parquet::metadata::FileMetadata;
use polars_parquet::write::{
    CompressionOptions, Encoding, FileWriter, RowGroupIterator, StatisticsOptions, Version,
    WriteOptions, get_dtype_encoding,
};

pub use groups::{TableRows, join};
pub use guard::memory_bound;
#[cfg(feature = "lazy")]
pub use lazy::{File, scan};
#[cfg(feature = "lazy")]
pub use polars::prelude::LazyFrame;
pub use shape::{ColumnKind, Field, Shape};
pub use stack::Stack;

/// The values of a column; `None` is null.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Text.
    Text(Vec<Option<String>>),
    /// Numbers.
    Number(Vec<Option<f64>>),
    /// Whole numbers.
    Whole(Vec<Option<i64>>),
    /// True or false.
    Flag(Vec<Option<bool>>),
}

/// A named column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Name of the column.
    pub name: String,
    /// Values of the column.
    pub values: Values,
}

/// Columns of equal length with unique names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    columns: Vec<Column>,
}

/// A table that could not be written or read.
#[derive(Debug)]
pub struct TableError(String);

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TableError {}

impl From<PolarsError> for TableError {
    fn from(error: PolarsError) -> Self {
        Self(error.to_string())
    }
}

impl Values {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(values) => values.len(),
            Self::Number(values) => values.len(),
            Self::Whole(values) => values.len(),
            Self::Flag(values) => values.len(),
        }
    }

    /// Returns whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `len` nulls of the same type.
    fn nulls(&self, len: usize) -> Self {
        match self {
            Self::Text(_) => Self::Text(vec![None; len]),
            Self::Number(_) => Self::Number(vec![None; len]),
            Self::Whole(_) => Self::Whole(vec![None; len]),
            Self::Flag(_) => Self::Flag(vec![None; len]),
        }
    }

    /// Adds the values of another column; where types differ, whole numbers become numbers and
    /// anything else becomes text. A column of nulls takes any type.
    fn append(self, other: Self) -> Self {
        match (self, other) {
            (Self::Text(mut all), Self::Text(more)) => {
                all.extend(more);
                Self::Text(all)
            }
            (Self::Number(mut all), Self::Number(more)) => {
                all.extend(more);
                Self::Number(all)
            }
            (Self::Whole(mut all), Self::Whole(more)) => {
                all.extend(more);
                Self::Whole(all)
            }
            (Self::Flag(mut all), Self::Flag(more)) => {
                all.extend(more);
                Self::Flag(all)
            }
            (all, more) if all.is_null() => more.nulls(all.len()).append(more),
            (all, more) if more.is_null() => {
                let nulls = all.nulls(more.len());
                all.append(nulls)
            }
            (Self::Whole(all), more @ Self::Number(_)) => Self::Number(numbers(all)).append(more),
            (all @ Self::Number(_), Self::Whole(more)) => all.append(Self::Number(numbers(more))),
            (all, more) => Self::Text(all.texts()).append(Self::Text(more.texts())),
        }
    }

    fn is_null(&self) -> bool {
        match self {
            Self::Text(values) => values.iter().all(Option::is_none),
            Self::Number(values) => values.iter().all(Option::is_none),
            Self::Whole(values) => values.iter().all(Option::is_none),
            Self::Flag(values) => values.iter().all(Option::is_none),
        }
    }

    /// Returns the values as text.
    pub fn texts(&self) -> Vec<Option<String>> {
        fn shown<T: ToString>(values: &[Option<T>]) -> Vec<Option<String>> {
            values.iter().map(|value| value.as_ref().map(T::to_string)).collect()
        }
        match self {
            Self::Text(values) => values.clone(),
            Self::Number(values) => shown(values),
            Self::Whole(values) => shown(values),
            Self::Flag(values) => shown(values),
        }
    }
}

fn numbers(whole: Vec<Option<i64>>) -> Vec<Option<f64>> {
    whole.into_iter().map(|value| value.map(|value| value as f64)).collect()
}

impl Table {
    /// Adds a column, or replaces the one of its name.
    ///
    /// # Panics
    /// If it is not as long as the others.
    pub fn set(&mut self, name: impl Into<String>, values: Values) {
        let name = name.into();
        let fits = self.columns.iter().all(|column| column.values.len() == values.len());
        assert!(
            fits,
            "column `{name}` has {} values, the table {} rows",
            values.len(),
            self.rows()
        );
        match self.columns.iter_mut().find(|column| column.name == name) {
            Some(column) => column.values = values,
            None => self.columns.push(Column { name, values }),
        }
    }

    /// Columns in their order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Values of a column.
    pub fn get(&self, name: &str) -> Option<&Values> {
        self.columns.iter().find(|column| column.name == name).map(|column| &column.values)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, |column| column.values.len())
    }

    /// Puts tables one below the other. The schema is the union of theirs: columns in the order of their
    /// first appearance, nulls where a table lacks one.
    pub fn union(tables: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self::default();
        let mut rows = 0;
        for table in tables {
            let more = table.rows();
            let mut unmatched = all.columns.len();
            for Column { name, values } in table.columns {
                match all.columns.iter_mut().find(|column| column.name == name) {
                    Some(column) => {
                        let known = std::mem::replace(&mut column.values, Values::Flag(Vec::new()));
                        column.values = known.append(values);
                        unmatched -= 1;
                    }
                    None => {
                        let values = values.nulls(rows).append(values);
                        all.columns.push(Column { name, values });
                    }
                }
            }
            rows += more;
            if unmatched > 0 {
                for column in &mut all.columns {
                    let missing = rows - column.values.len();
                    let known = std::mem::replace(&mut column.values, Values::Flag(Vec::new()));
                    let nulls = known.nulls(missing);
                    column.values = known.append(nulls);
                }
            }
        }
        all
    }

    /// Returns the table as a Parquet file that [`Table::from_parquet`] reads.
    ///
    /// # Errors
    /// If polars cannot write it, or it holds almost only nulls.
    pub fn to_parquet(&self) -> Result<Vec<u8>, TableError> {
        let frame = self.frame()?;
        let bytes = write_frame(&frame, frame.height() >= LARGE)?;
        // Equal values can be packed so well that `guard` refuses the file.
        if frame.height() < LARGE || guard::check(&bytes).is_ok() {
            return Ok(bytes);
        }
        let bytes = write_frame(&frame, false)?;
        guard::check(&bytes).map(|_| bytes)
    }

    /// Returns the table as a frame of polars.
    fn frame(&self) -> Result<DataFrame, TableError> {
        let columns: Vec<PolarsColumn> = self
            .columns
            .iter()
            .map(|Column { name, values }| {
                let name = name.as_str().into();
                match values {
                    Values::Text(values) => Series::new(name, values),
                    Values::Number(values) => Series::new(name, values),
                    Values::Whole(values) => Series::new(name, values),
                    Values::Flag(values) => Series::new(name, values),
                }
                .into()
            })
            .collect();
        Ok(DataFrame::new(self.rows(), columns)?)
    }

    /// Reads a Parquet file that [`Table::to_parquet`] wrote. Callers check its digest before. But any
    /// bytes are read or refused within [`memory_bound`].
    ///
    /// # Errors
    /// If it is no such file.
    pub fn from_parquet(bytes: &[u8]) -> Result<Self, TableError> {
        quiet::caught(|| {
            let metadata = guard::check(bytes)?;
            Self::from_checked_parquet(bytes, metadata)
        })
        .unwrap_or_else(|| Err(TableError("this is no whole Parquet file of a table".to_owned())))
    }

    fn from_checked_parquet(bytes: &[u8], metadata: FileMetadata) -> Result<Self, TableError> {
        let mut reader = ParquetReader::new(Cursor::new(bytes));
        reader.set_metadata(Arc::new(metadata));
        Self::read(reader, bytes.len())
    }

    /// Reads a file of `size` bytes that was checked.
    fn read(reader: ParquetReader<Cursor<&[u8]>>, size: usize) -> Result<Self, TableError> {
        // One thread is enough for columns this short; polars would start a pool for more.
        let frame = reader.read_parallel(ParallelStrategy::None).set_rechunk(false).finish()?;
        // A short file can declare a long text in every row.
        let mut text_left = guard::unpacked_of(size);
        for column in frame.columns().iter().filter(|column| *column.dtype() == DataType::String) {
            let text = column.as_materialized_series().str()?;
            let length = text.iter().flatten().map(str::len).sum();
            text_left = text_left.checked_sub(length).ok_or_else(|| {
                TableError("it declares more text than its size can hold".to_owned())
            })?;
        }
        Self::of_columns(frame.height(), frame.columns())
    }

    /// Makes a table of polars' columns. An error if one has a type that tables do not have.
    fn of_columns(rows: usize, columns: &[PolarsColumn]) -> Result<Self, TableError> {
        let mut table = Self::default();
        for column in columns {
            let series = column.as_materialized_series();
            let values = match series.dtype() {
                DataType::String => {
                    let text = series.str()?;
                    Values::Text(text.iter().map(|value| value.map(str::to_owned)).collect())
                }
                DataType::Float64 => Values::Number(series.f64()?.iter().collect()),
                DataType::Int64 => Values::Whole(series.i64()?.iter().collect()),
                DataType::Boolean => Values::Flag(series.bool()?.iter().collect()),
                other => {
                    return Err(TableError(format!(
                        "column `{}` is {other}, which no table has",
                        series.name()
                    )));
                }
            };
            let name = series.name().to_string();
            if table.get(&name).is_some() || values.len() != rows {
                return Err(TableError(format!("column `{name}` is there twice, or is not whole")));
            }
            table.columns.push(Column { name, values });
        }
        Ok(table)
    }
}

/// Number of rows from which a table is packed; smaller ones are written as plainly as the format allows.
/// Estimating which columns are worth a dictionary and setting up compression take 100 µs a column, ten
/// times as long as writing a small one: most of the time that it takes to store a short run.
const LARGE: usize = 4096;

/// Writes a frame as Parquet. polars' own writer has no setting for the encoding, so this does the same
/// one level lower. It writes no statistics and no Arrow schema: columns of four types can be read
/// without them.
fn write_frame(frame: &DataFrame, is_packed: bool) -> Result<Vec<u8>, TableError> {
    let schema = frame.schema().to_arrow(CompatLevel::newest());
    let options = WriteOptions {
        statistics: StatisticsOptions::empty(),
        version: Version::V1,
        compression: if is_packed {
            CompressionOptions::Zstd(None)
        } else {
            CompressionOptions::Uncompressed
        },
        data_page_size: None,
    };
    let encodings = schema.iter_values().map(|field| {
        if is_packed { get_dtype_encoding(&field.dtype) } else { vec![Encoding::Plain] }
    });
    let batches = frame.iter_chunks(CompatLevel::newest(), false).map(Ok);
    let groups = RowGroupIterator::try_new(batches, &schema, options, encodings.collect())?;
    let mut bytes = Vec::new();
    let mut writer = FileWriter::try_new(&mut bytes, schema.clone(), options)?;
    for group in groups {
        writer.write(frame.height() as u64, group?)?;
    }
    writer.end(Some(Vec::new()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(columns: &[(&str, Values)]) -> Table {
        let mut table = Table::default();
        columns.iter().for_each(|(name, values)| table.set(*name, values.clone()));
        table
    }

    #[test]
    fn a_table_comes_back_from_parquet_as_it_went() {
        let table = table(&[
            ("run_id", Values::Text(vec![Some("a".into()), None])),
            ("test_mse", Values::Number(vec![None, Some(0.1)])),
            ("seed", Values::Whole(vec![Some(1), Some(-2)])),
            ("in_experiment", Values::Flag(vec![Some(true), None])),
        ]);
        assert_eq!(Table::from_parquet(&table.to_parquet().unwrap()).unwrap(), table);
    }

    #[test]
    fn a_table_without_rows_keeps_its_columns() {
        let table = table(&[("latent", Values::Whole(Vec::new()))]);
        assert_eq!(Table::from_parquet(&table.to_parquet().unwrap()).unwrap(), table);
    }

    #[test]
    fn a_large_table_comes_back_too_and_takes_less_space() {
        let rows = 3 * LARGE;
        let table = table(&[
            ("run_id", Values::Text(vec![Some("0123456789abcdef".into()); rows])),
            ("latent", Values::Whole((0..rows as i64).map(Some).collect())),
            ("firing_rate", Values::Number((0..rows).map(|at| Some(at as f64 / 7.0)).collect())),
            ("is_dead", Values::Flag((0..rows).map(|at| (at % 3 > 0).then_some(true)).collect())),
        ]);
        let bytes = table.to_parquet().unwrap();
        assert!(bytes.len() < rows * 16, "{} bytes", bytes.len());
        assert_eq!(Table::from_parquet(&bytes).unwrap(), table);
    }

    #[test]
    fn a_large_table_of_equal_values_is_not_packed_beyond_belief() {
        let rows = 300_000;
        let table = table(&[
            ("run_id", Values::Text(vec![Some("0123456789abcdef".into()); rows])),
            ("firing_rate", Values::Number(vec![Some(0.0); rows])),
            ("decoder_norm", Values::Number(vec![None; rows])),
        ]);
        assert_eq!(Table::from_parquet(&table.to_parquet().unwrap()).unwrap(), table);
    }

    #[test]
    fn a_union_has_all_columns_and_nulls_where_a_table_lacks_one() {
        let l1 = table(&[
            ("run_id", Values::Text(vec![Some("a".into())])),
            ("penalty_lambda", Values::Number(vec![Some(0.3)])),
        ]);
        let k_sparse = table(&[
            ("run_id", Values::Text(vec![Some("b".into())])),
            ("penalty_k", Values::Whole(vec![Some(25)])),
        ]);
        let all = Table::union([l1.clone(), k_sparse, l1]);
        assert_eq!(all.rows(), 3);
        assert_eq!(all.get("penalty_k"), Some(&Values::Whole(vec![None, Some(25), None])));
        assert_eq!(
            all.get("penalty_lambda"),
            Some(&Values::Number(vec![Some(0.3), None, Some(0.3)]))
        );
    }

    #[test]
    fn types_widen_and_nulls_take_any_type() {
        let whole = table(&[("x", Values::Whole(vec![Some(1)]))]);
        let number = table(&[("x", Values::Number(vec![Some(0.5)]))]);
        let text = table(&[("x", Values::Text(vec![Some("adam".into())]))]);
        let null = table(&[("x", Values::Text(vec![None]))]);
        let united = |tables: &[&Table]| {
            Table::union(tables.iter().map(|table| (*table).clone())).get("x").unwrap().clone()
        };
        assert_eq!(united(&[&whole, &number]), Values::Number(vec![Some(1.0), Some(0.5)]));
        assert_eq!(united(&[&number, &whole]), Values::Number(vec![Some(0.5), Some(1.0)]));
        assert_eq!(united(&[&null, &whole, &null]), Values::Whole(vec![None, Some(1), None]));
        assert_eq!(
            united(&[&whole, &text]),
            Values::Text(vec![Some("1".into()), Some("adam".into())])
        );
    }

    #[test]
    fn what_is_no_parquet_is_an_error() {
        assert!(Table::from_parquet(b"PAR1 and nothing more PAR1").is_err());
        assert!(Table::from_parquet(b"").is_err());
    }
}
