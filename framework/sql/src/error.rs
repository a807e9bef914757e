//! Errors of a query, in SQLite's words or plainer ones.

use std::fmt;

use rusqlite::ErrorCode;

/// Reason why a query has no answer.
#[derive(Debug)]
pub enum QueryError {
    /// The query is wrong.
    Query(Problem),
    /// A table cannot be read.
    Read(tables::TableError),
}

/// Problem in a query.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    /// Description in one line.
    pub message: String,
    /// Place of the problem: a byte of the query.
    pub at: Option<usize>,
}

/// Unknown name in a query.
#[derive(Debug, PartialEq, Eq)]
pub enum Unknown<'a> {
    /// Name of a table.
    Table(&'a str),
    /// Name of a column, without its table.
    Column(&'a str),
    /// Name of a function.
    Function(&'a str),
}

impl Problem {
    /// Returns the unknown name, if that is the problem.
    pub fn unknown(&self) -> Option<Unknown<'_>> {
        let (what, name) = self.message.strip_prefix("no such ")?.split_once(": ")?;
        // SQLite adds a hint to a name in double quotes.
        let name = name.split(" - ").next()?.rsplit('.').next()?.trim_matches('"');
        match what {
            "table" => Some(Unknown::Table(name)),
            "column" => Some(Unknown::Column(name)),
            "function" => Some(Unknown::Function(name)),
            _ => None,
        }
    }
}

/// Message about a query that does more than read.
const READS: &str =
    "it does more than read the tables: it writes, opens, loads or changes settings";

impl QueryError {
    pub(crate) fn query(message: impl Into<String>) -> Self {
        Self::Query(Problem { message: message.into(), at: None })
    }

    pub(crate) fn more_than_reads() -> Self {
        Self::query(READS)
    }
}

impl From<rusqlite::Error> for QueryError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as Sqlite;
        let (code, message, at) = match error {
            Sqlite::SqlInputError { error, msg, offset, .. } => {
                (error.code, msg, usize::try_from(offset).ok())
            }
            Sqlite::SqliteFailure(error, message) => {
                (error.code, message.unwrap_or_else(|| error.to_string()), None)
            }
            Sqlite::MultipleStatement => {
                return Self::query("more than one statement; a query is one");
            }
            other => return Self::query(other.to_string()),
        };
        match code {
            ErrorCode::AuthorizationForStatementDenied => Self::more_than_reads(),
            ErrorCode::OutOfMemory => Self::query(
                "it needs more memory than there is for a query; name fewer columns, or add WHERE or LIMIT",
            ),
            _ => Self::Query(Problem { message, at }),
        }
    }
}

impl From<tables::TableError> for QueryError {
    fn from(error: tables::TableError) -> Self {
        Self::Read(error)
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query(problem) => f.write_str(&problem.message),
            Self::Read(error) => write!(f, "cannot read the tables: {error}"),
        }
    }
}

impl std::error::Error for QueryError {}
