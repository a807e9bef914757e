//! What a query may take, in a process of its own: SQLite's limit holds for a whole process.

use sql::{Limits, QueryError, query};

const LIMITS: Limits = Limits { work: 16 << 20, answer: 1 << 20 };

/// Wrong if a query without end took memory without end, or ended the process.
#[test]
fn a_query_that_needs_too_much_memory_is_refused() {
    let numbers = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)";
    for (sql, said) in [
        // An answer, intermediate rows, and rows to be sorted, without end; and a text that is too long.
        (format!("{numbers} SELECT x FROM c"), "its answer is larger than 1 MiB"),
        (
            "WITH RECURSIVE c(x) AS (SELECT 1 UNION SELECT x + 1 FROM c) SELECT max(x) FROM c"
                .into(),
            "more memory",
        ),
        (format!("{numbers} SELECT x FROM c ORDER BY -x LIMIT 1 OFFSET 99999999"), "more memory"),
        ("SELECT zeroblob(900000000)".into(), "too big"),
    ] {
        match query(&[], &sql, LIMITS) {
            Err(QueryError::Query(problem)) => {
                assert!(problem.message.contains(said), "{sql}: {problem:?}")
            }
            other => panic!("{sql}: {other:?}"),
        }
    }
    // What is small is still answered.
    assert_eq!(query(&[], "SELECT 1 AS x", LIMITS).unwrap().rows(), 1);
}
