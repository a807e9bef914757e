//! Turns the rows of an answer into a table. In SQLite each value has its own type, in a table each
//! column.

use rusqlite::Statement;
use rusqlite::types::ValueRef;
use tables::{Table, Values};

use crate::{QueryError, names};

/// Declared type of a column of truth values. SQLite has no such type: it stores 0 and 1.
pub const FLAG: &str = "BOOLEAN";

/// A value of the answer.
enum Cell {
    Null,
    Whole(i64),
    Number(f64),
    Text(String),
}

/// Runs a statement. More than `limit` bytes of answer are an error.
pub fn of(statement: &mut Statement<'_>, limit: usize) -> Result<Table, QueryError> {
    let columns: Vec<_> = statement.columns().collect();
    let declared: Vec<Option<String>> =
        columns.iter().map(|column| column.decl_type().map(str::to_uppercase)).collect();
    let names = names::unique(columns.iter().map(|column| column.name()), str::to_owned);
    drop(columns);
    let mut cells: Vec<Vec<Cell>> = names.iter().map(|_| Vec::new()).collect();
    let mut bytes = 0_usize;
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        for (at, cells) in cells.iter_mut().enumerate() {
            let cell = Cell::of(row.get_ref(at)?);
            bytes += size_of::<Cell>() + cell.length();
            cells.push(cell);
        }
        if bytes > limit {
            let most = limit >> 20;
            return Err(QueryError::query(format!(
                "its answer is larger than {most} MiB; add LIMIT"
            )));
        }
    }
    let mut table = Table::default();
    for ((name, cells), declared) in names.into_iter().zip(cells).zip(declared) {
        table.set(name, values(cells, declared.as_deref()));
    }
    Ok(table)
}

impl Cell {
    fn of(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(whole) => Self::Whole(whole),
            ValueRef::Real(number) => Self::Number(number),
            ValueRef::Text(bytes) => Self::Text(String::from_utf8_lossy(bytes).into_owned()),
            ValueRef::Blob(bytes) => Self::Text(hexadecimal(bytes)),
        }
    }

    fn length(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            _ => 0,
        }
    }

    fn into_text(self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Whole(whole) => Some(whole.to_string()),
            Self::Number(number) => Some(number.to_string()),
            Self::Text(text) => Some(text),
        }
    }

    /// Returns the number, unless it is a text or loses digits as a floating-point number.
    fn as_number(&self) -> Option<f64> {
        match self {
            Self::Whole(whole) => {
                let number = *whole as f64;
                (number as i128 == i128::from(*whole)).then_some(number)
            }
            Self::Number(number) => Some(*number),
            Self::Null | Self::Text(_) => None,
        }
    }
}

/// Returns bytes as SQL writes them.
fn hexadecimal(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    format!("x'{digits}'")
}

/// Makes a column: truth values if it was declared so; else whole numbers, numbers, or anything else as
/// text. Without any value, the declaration decides.
fn values(cells: Vec<Cell>, declared: Option<&str>) -> Values {
    let all =
        |is: fn(&Cell) -> bool| cells.iter().all(|cell| is(cell) || matches!(cell, Cell::Null));
    if all(|_| false) {
        let nulls = cells.len();
        return match declared {
            Some(FLAG) => Values::Flag(vec![None; nulls]),
            Some("INTEGER") => Values::Whole(vec![None; nulls]),
            Some("REAL") => Values::Number(vec![None; nulls]),
            _ => Values::Text(vec![None; nulls]),
        };
    }
    if declared == Some(FLAG) && all(|cell| matches!(cell, Cell::Whole(0 | 1))) {
        let flag = |cell| match cell {
            Cell::Whole(whole) => Some(whole == 1),
            _ => None,
        };
        return Values::Flag(cells.into_iter().map(flag).collect());
    }
    if all(|cell| matches!(cell, Cell::Whole(_))) {
        let whole = |cell| match cell {
            Cell::Whole(whole) => Some(whole),
            _ => None,
        };
        return Values::Whole(cells.into_iter().map(whole).collect());
    }
    if all(|cell| cell.as_number().is_some()) {
        return Values::Number(cells.iter().map(Cell::as_number).collect());
    }
    Values::Text(cells.into_iter().map(Cell::into_text).collect())
}
