//! SQL over tables. Only this crate uses SQLite: nothing else in the workspace names one of its types.
//!
//! A query is prepared twice. The first time the tables are empty, and SQLite says which columns it would
//! read. These, and those that the query names, are then loaded into a database in memory. So a query
//! costs only the columns it names, and cannot reach a file, another database or the network.

// Tests make and look at files, and print, as they need.
#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_macros))]

mod answer;
mod database;
mod error;
mod names;

use database::{Access, Database};
pub use error::{Problem, QueryError, Unknown};
use tables::{Stack, Table};

/// Memory that a query may take, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Limit for loaded columns, sorting and intermediate results. It holds for the whole process: later
    /// queries can only lower that of the first.
    pub work: u64,
    /// Limit for the answer.
    pub answer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { work: 4 << 30, answer: 2 << 30 }
    }
}

/// Answers one query over tables of these names. Columns of the same name get different names in the
/// answer, as in SQLite's sub-queries: the second `seed` is `seed:1`.
///
/// # Errors
/// If it is not a query, uses an unknown name, does more than read, needs more memory than allowed, or a
/// table cannot be read.
pub fn query(tables: &[(&str, Stack)], sql: &str, limits: Limits) -> Result<Table, QueryError> {
    let mut database = Database::new(limits.work)?;
    for (name, stack) in tables {
        database.create(name, stack)?;
    }
    let access = Access::of(tables);
    database.limit_to(&access)?;
    database.prepare(sql)?;
    database.unlimited()?;
    for (name, stack) in tables {
        if let Some(columns) = access.needed(name, stack, sql) {
            database.load(name, stack, &columns)?;
        }
    }
    database.limit_to(&access)?;
    answer::of(&mut database.prepare(sql)?, limits.answer)
}

/// Names of the functions that a query may call.
///
/// # Errors
/// If SQLite does not list them.
pub fn functions() -> Result<Vec<String>, QueryError> {
    Database::new(Limits::default().work)?.functions()
}

#[cfg(test)]
mod tests;
