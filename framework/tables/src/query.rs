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
        Ok(context.execute(&pointed(sql))?.collect()?)
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

/// The same SQL with a point in every number: to polars, one without is whole, and `1e-3`, as settings are
/// often written, is none.
fn pointed(sql: &str) -> String {
    let (mut all, mut quote, mut word) = (String::with_capacity(sql.len()), None, Word::None);
    let mut rest = sql.chars();
    while let Some(char) = rest.next() {
        if let Some(begun) = quote {
            quote = (char != begun).then_some(begun);
        } else if matches!(char, '\'' | '"' | '`') {
            (quote, word) = (Some(char), Word::None);
        } else if char.is_ascii_digit() && word != Word::Other {
            word = Word::Digits;
        } else if char.is_alphanumeric() || matches!(char, '_' | '.') {
            let after = rest.as_str();
            let power = after.strip_prefix(['+', '-']).unwrap_or(after);
            let is_power =
                matches!(char, 'e' | 'E') && power.starts_with(|c: char| c.is_ascii_digit());
            if word == Word::Digits && is_power {
                all.push_str(".0");
            }
            word = Word::Other;
        } else {
            word = Word::None;
        }
        all.push(char);
    }
    all
}

/// What stands before a character of SQL.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    /// No part of a word.
    None,
    /// Digits with nothing before them.
    Digits,
    /// A name, or a number that has a point.
    Other,
}

/// The names of the columns; none if they cannot be told.
pub fn columns_of(frame: &LazyFrame) -> Vec<String> {
    let schema = frame.clone().collect_schema();
    schema.map_or(Vec::new(), |schema| schema.iter_names().map(ToString::to_string).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if a number were another one, or anything but a number were touched.
    #[test]
    fn numbers_with_a_power_get_a_point() {
        for (sql, wanted) in [
            ("x < 1e-3 AND y=2E+5", "x < 1.0e-3 AND y=2.0E+5"),
            ("(10e2)", "(10.0e2)"),
            ("1.5e3 + .5e1 + 7 + 0.1", "1.5e3 + .5e1 + 7 + 0.1"),
            ("a1e3, _1e3, t.x2e5", "a1e3, _1e3, t.x2e5"),
            ("'1e3' = \"1e3\" AND `2e1`", "'1e3' = \"1e3\" AND `2e1`"),
            ("'it''s 1e3', 1e3", "'it''s 1e3', 1.0e3"),
            ("1e, 1else, é1e3", "1e, 1else, é1e3"),
        ] {
            assert_eq!(pointed(sql), wanted);
        }
    }
}
