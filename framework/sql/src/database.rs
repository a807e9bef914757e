//! Database in memory: what it lets a query do, and how it is filled with tables.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Connection, Statement, ToSql};
use tables::{ColumnKind, Stack, Table, Values};

use crate::QueryError;
use crate::names::{self, quoted, unique};

/// Tables in which SQLite keeps the names of tables.
const SCHEMA: [&str; 2] = ["sqlite_schema", "sqlite_master"];

/// Functions that reach into the process.
const REFUSED: [&str; 2] = ["load_extension", "fts3_tokenizer"];

/// Number of bytes of the longest text.
const TEXT: i32 = 256 << 20;

/// A database that a query runs on.
pub struct Database(Connection);

/// Tables that a query may read, by their lower-case names, and the columns that it does read.
#[derive(Clone)]
pub struct Access(Arc<Mutex<HashMap<String, BTreeSet<String>>>>);

impl Access {
    /// Allows reading these tables.
    pub fn of(tables: &[(&str, Stack)]) -> Self {
        let unread = tables.iter().map(|(name, _)| (name.to_ascii_lowercase(), BTreeSet::new()));
        Self(Arc::new(Mutex::new(unread.collect())))
    }

    /// Columns of a table that a prepared query may need; `None` if it does not name the table. SQLite
    /// does not report columns that tables are joined by (USING, NATURAL), so every column counts whose
    /// name is in the query.
    pub fn needed(&self, name: &str, stack: &Stack, sql: &str) -> Option<BTreeSet<String>> {
        let words = names::Words::of(sql);
        if !words.may_name(name) {
            return None;
        }
        let is_natural = words.may_name("natural");
        let named =
            columns_of(stack).into_iter().filter(|column| is_natural || words.may_name(column));
        let tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let read = tables.get(&name.to_ascii_lowercase()).into_iter().flatten().cloned();
        Some(named.chain(read).collect())
    }

    fn authorize(&self, action: AuthAction<'_>) -> Authorization {
        let is_allowed = match action {
            AuthAction::Select | AuthAction::Recursive => true,
            AuthAction::Read { table_name, .. } if SCHEMA.contains(&table_name) => true,
            AuthAction::Read { table_name, column_name } => {
                let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                let table = tables.get_mut(&table_name.to_ascii_lowercase());
                let is_table = table.is_some();
                if let Some(read) = table {
                    read.insert(column_name.to_owned());
                }
                // If rows are only counted, no column is named, and they may be those of a sub-query.
                is_table || column_name.is_empty()
            }
            AuthAction::Function { function_name } => !REFUSED.contains(&function_name),
            _ => false,
        };
        if is_allowed { Authorization::Allow } else { Authorization::Deny }
    }
}

impl Database {
    /// Makes an empty database, for which SQLite may take this many bytes of memory.
    pub fn new(memory: u64) -> Result<Self, QueryError> {
        let database = Connection::open_in_memory()?;
        database.query_row(&format!("PRAGMA hard_heap_limit = {memory}"), [], |_| Ok(()))?;
        database.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        // Otherwise an unknown name in double quotes would silently be a text.
        database.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
        database.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
        database.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
        database.set_limit(Limit::SQLITE_LIMIT_LENGTH, TEXT)?;
        Ok(Self(database))
    }

    /// Names of the functions that a query may call.
    pub fn functions(&self) -> Result<Vec<String>, QueryError> {
        let mut statement = self.0.prepare("SELECT DISTINCT name FROM pragma_function_list")?;
        let names =
            statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
        Ok(names.into_iter().filter(|name| !REFUSED.contains(&name.as_str())).collect())
    }

    /// Makes an empty table with the columns of `stack`.
    pub fn create(&self, name: &str, stack: &Stack) -> Result<(), QueryError> {
        let columns: Vec<String> = columns_of(stack)
            .iter()
            .zip(&stack.shape().0)
            .map(|(name, field)| format!("{} {}", quoted(name), declared(field.kind)))
            .collect();
        let sql = format!("CREATE TABLE {} ({})", quoted(name), columns.join(", "));
        Ok(self.0.execute_batch(&sql)?)
    }

    /// Lets later statements only read what `access` allows.
    pub fn limit_to(&mut self, access: &Access) -> Result<(), QueryError> {
        let access = access.clone();
        let authorize = move |context: AuthContext<'_>| access.authorize(context.action);
        Ok(self.0.authorizer(Some(authorize))?)
    }

    /// Lets later statements do anything.
    pub fn unlimited(&mut self) -> Result<(), QueryError> {
        Ok(self.0.authorizer(None::<fn(AuthContext<'_>) -> Authorization>)?)
    }

    /// Prepares a query.
    pub fn prepare(&self, sql: &str) -> Result<Statement<'_>, QueryError> {
        let statement = self.0.prepare(sql)?;
        match statement.readonly() && statement.column_count() > 0 {
            true => Ok(statement),
            false => Err(QueryError::more_than_reads()),
        }
    }

    /// Fills a table with its rows; columns that are not asked for are null.
    pub fn load(
        &mut self,
        name: &str,
        stack: &Stack,
        columns: &BTreeSet<String>,
    ) -> Result<(), QueryError> {
        let all = columns_of(stack).into_iter().zip(&stack.shape().0);
        let wanted: Vec<_> = all.filter(|(name, _)| columns.contains(name)).collect();
        let names: Vec<String> = wanted.iter().map(|(name, _)| quoted(name)).collect();
        let fields: Vec<&str> = wanted.iter().map(|(_, field)| field.name.as_str()).collect();
        let transaction = self.0.transaction()?;
        let sql = match names.is_empty() {
            true => format!("INSERT INTO {} DEFAULT VALUES", quoted(name)),
            false => {
                let places = vec!["?"; names.len()].join(", ");
                format!("INSERT INTO {} ({}) VALUES ({places})", quoted(name), names.join(", "))
            }
        };
        let mut insert = transaction.prepare(&sql)?;
        stack.read(&fields, |table, rows| insert_rows(&mut insert, &table, rows))?;
        drop(insert);
        Ok(transaction.commit()?)
    }
}

fn insert_rows(insert: &mut Statement<'_>, table: &Table, rows: usize) -> Result<(), QueryError> {
    for row in 0..rows {
        for (at, column) in table.columns().iter().enumerate() {
            let value: &dyn ToSql = match &column.values {
                Values::Text(values) => &values[row],
                Values::Number(values) => &values[row],
                Values::Whole(values) => &values[row],
                Values::Flag(values) => &values[row],
            };
            insert.raw_bind_parameter(at + 1, value)?;
        }
        insert.raw_execute()?;
    }
    Ok(())
}

/// Names of a table's columns in SQLite, for which capitals make no difference.
fn columns_of(stack: &Stack) -> Vec<String> {
    unique(stack.shape().0.iter().map(|field| field.name.as_str()), str::to_ascii_lowercase)
}

/// Declared type of a column; it also says how values are compared.
const fn declared(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Text => "TEXT",
        ColumnKind::Number => "REAL",
        ColumnKind::Whole => "INTEGER",
        ColumnKind::Flag => crate::answer::FLAG,
    }
}
