//! `saegrid query`: its answers are those of SQLite with the same rows loaded by another path, and it
//! does nothing but read.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use rusqlite::Connection;
use rusqlite::types::{Value, ValueRef};
use serde_json::{Value as Json, json};
use store::Status;
use tables::Table;

use crate::finished::Finished;
use crate::support::program::{Place, Said, TINY};

const TABLES: [&str; 4] = ["runs", "history", "latents", "stability"];

/// Folders to query, below `results`.
const FOLDERS: [&str; 2] = ["finished", "tiny"];

/// Two experiments with other columns each: 40 made-up runs, of which some diverged, and two that were
/// trained and compared.
fn two_experiments() -> Place {
    let place = Place::with(TINY);
    place.run(["x.toml", "--set", "seeds=[0, 1]"]).exits(0);
    place.run(["stability", "results/tiny"]).exits(0);
    let finished = Finished::new(10, 6, 3);
    let folder = place.path("results/finished");
    fs::create_dir_all(&folder).unwrap();
    let folder = finished.open(&folder);
    for (at, run) in finished.runs.iter().enumerate() {
        let status = if at % 7 == 3 { Status::Diverged } else { Status::Done };
        finished.write(&folder, run, at % 3, status);
    }
    place
}

/// The answer as one JSON object a line.
fn asked(place: &Place, folders: &[&str], sql: &str) -> Vec<Json> {
    let folders = folders.iter().map(|name| format!("results/{name}"));
    let words = ["query".to_owned()].into_iter().chain(folders);
    let words = words.chain([sql.to_owned(), "--json".to_owned()]);
    let said = place.run(words).exits(0);
    said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// SQLite with the rows of the tables in these folders, read by the crate `parquet` and inserted one by
/// one.
fn reference(place: &Place, folders: &[&str]) -> Connection {
    let database = Connection::open_in_memory().unwrap();
    for table in TABLES {
        let mut known: Vec<String> = Vec::new();
        for folder in folders {
            let path = place.path(format!("results/{folder}/{table}.parquet"));
            if path.exists() {
                insert(&database, table, folder, &path, &mut known);
            }
        }
    }
    database
}

fn insert(database: &Connection, table: &str, folder: &str, path: &Path, known: &mut Vec<String>) {
    let reader = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    let fields = reader.metadata().file_metadata().schema().get_fields().to_vec();
    let mut columns: Vec<(String, &str)> = fields
        .iter()
        .map(|field| {
            let kind = match field.get_physical_type() {
                parquet::basic::Type::DOUBLE => "REAL",
                parquet::basic::Type::INT64 => "INTEGER",
                parquet::basic::Type::BOOLEAN => "BOOLEAN",
                _ => "TEXT",
            };
            (field.name().to_owned(), kind)
        })
        .collect();
    let is_labeled = columns.iter().any(|(name, _)| name == "experiment");
    if !is_labeled {
        columns.push(("experiment".to_owned(), "TEXT"));
    }
    for (name, kind) in &columns {
        if known.is_empty() {
            database.execute_batch(&format!("CREATE TABLE {table} (\"{name}\" {kind})")).unwrap();
        } else if !known.contains(name) {
            let sql = format!("ALTER TABLE {table} ADD COLUMN \"{name}\" {kind}");
            database.execute_batch(&sql).unwrap();
        }
        if !known.contains(name) {
            known.push(name.clone());
        }
    }
    let names: Vec<String> = columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let places = vec!["?"; names.len()].join(",");
    let sql = format!("INSERT INTO {table} ({}) VALUES ({places})", names.join(","));
    for row in reader.get_row_iter(None).unwrap() {
        let mut values: Vec<Value> = row
            .unwrap()
            .get_column_iter()
            .map(|(_, field)| match field {
                Field::Null => Value::Null,
                Field::Bool(flag) => Value::Integer(i64::from(*flag)),
                Field::Long(whole) => Value::Integer(*whole),
                Field::Double(number) => Value::Real(*number),
                Field::Str(text) => Value::Text(text.clone()),
                other => panic!("no table has {other:?}"),
            })
            .collect();
        if !is_labeled {
            values.push(Value::Text(folder.to_owned()));
        }
        database.execute(&sql, rusqlite::params_from_iter(values)).unwrap();
    }
}

/// SQLite's own answer: rows of JSON values.
fn expected(database: &Connection, sql: &str) -> Vec<Vec<Json>> {
    let mut statement = database.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let width = statement.column_count();
    let rows = statement.query_map([], |row| {
        (0..width)
            .map(|at| {
                Ok(match row.get_ref(at)? {
                    ValueRef::Null => Json::Null,
                    ValueRef::Integer(whole) => json!(whole),
                    // Through text once, as the answer of the program.
                    ValueRef::Real(number) => {
                        serde_json::from_str(&json!(number).to_string()).unwrap()
                    }
                    ValueRef::Text(text) => json!(String::from_utf8(text.to_vec()).unwrap()),
                    ValueRef::Blob(_) => panic!("{sql} has bytes in its answer"),
                })
            })
            .collect()
    });
    rows.unwrap().map(|row| row.unwrap()).collect()
}

/// Truth values as SQLite has them, and whole numbers as such: where a column has others too, they are
/// written as floating-point numbers or, with texts, as text.
fn is_same(ours: &Json, theirs: &Json) -> bool {
    match (ours, theirs) {
        (Json::Bool(flag), theirs) => *theirs == json!(i64::from(*flag)),
        (Json::Number(one), Json::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Json::String(text), Json::Number(number)) => *text == number.to_string(),
        (ours, theirs) => ours == theirs,
    }
}

/// Wrong if an answer differed from SQLite's own for the same rows: in one folder, in two, over one
/// table or several.
#[test]
fn answers_are_those_of_sqlite() {
    let place = two_experiments();
    let queries = include_str!("queries.sql").lines().filter(|line| !line.starts_with("--"));
    let queries: Vec<&str> = queries.collect();
    assert!(queries.len() >= 150, "there are {} queries", queries.len());
    for folders in [&FOLDERS[..], &["tiny"]] {
        // The first query of the program makes the tables.
        asked(&place, folders, "SELECT 1");
        let database = reference(&place, folders);
        for sql in queries.iter().filter(|sql| folders.len() == 2 || !sql.contains("penalty_k")) {
            let ours = asked(&place, folders, sql);
            let theirs = expected(&database, sql);
            assert_eq!(ours.len(), theirs.len(), "{sql}: rows of {folders:?}");
            for (ours, theirs) in ours.iter().zip(&theirs) {
                let ours: Vec<&Json> = ours.as_object().unwrap().values().collect();
                assert_eq!(ours.len(), theirs.len(), "{sql}: columns");
                let is_same = ours.iter().zip(theirs).all(|(ours, theirs)| is_same(ours, theirs));
                assert!(is_same, "{sql}:\n{ours:?}\n{theirs:?}");
            }
        }
    }
}

/// Wrong if a sum over two folders were that of one row, as in an earlier version.
#[test]
fn sums_and_counts_go_over_all_rows_of_all_folders() {
    let place = two_experiments();
    let both = "SELECT sum(1) AS a, count(*) AS b FROM runs";
    assert_eq!(asked(&place, &FOLDERS, both), [json!({ "a": 42, "b": 42 })]);
    assert_eq!(asked(&place, &["finished"], both), [json!({ "a": 40, "b": 40 })]);
    let latents = "SELECT count(*) AS n FROM latents";
    assert_eq!(asked(&place, &FOLDERS, latents), [json!({ "n": 34 * 6 + 32 })]);
}

/// Wrong if a folder that is named twice, by whatever path, counted twice.
#[test]
fn a_folder_that_is_named_twice_counts_once() {
    let place = two_experiments();
    let count = "SELECT count(*) AS n FROM runs";
    for other in ["tiny", "tiny/", "../results/tiny", "finished/../tiny"] {
        assert_eq!(asked(&place, &["tiny", other], count), [json!({ "n": 2 })], "{other}");
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(place.path("results/tiny"), place.path("results/link")).unwrap();
        assert_eq!(asked(&place, &["link", "tiny"], count), [json!({ "n": 2 })]);
        let twice = place.run(["compare", "results/link", "results/tiny", "--json"]).exits(0);
        let once = place.run(["compare", "results/tiny", "--json"]).exits(0);
        assert_eq!(twice.out, once.out);
    }
}

/// Wrong if a truth value became a number, or a number a truth value: in any format, through sub-queries,
/// with nulls, and without rows.
#[test]
fn truth_values_stay_what_they_are() {
    let place = two_experiments();
    let ask = |sql: &str, more: &[&str]| -> Said {
        let words = ["query", "results/tiny", "results/finished", sql];
        place.run(words.iter().chain(more)).exits(0)
    };
    let direct =
        "SELECT in_experiment AS a, seed = 0 AS b FROM runs WHERE experiment = 'tiny' AND seed = 0";
    assert_eq!(ask(direct, &["--json"]).out, "{\"a\":true,\"b\":1}\n");
    assert_eq!(ask(direct, &["--format", "csv"]).out, "a,b\ntrue,1\n");
    assert!(ask(direct, &[]).out.contains("| true | 1 |"));
    let inner =
        "WITH t AS (SELECT in_experiment AS x FROM runs LIMIT 1) SELECT x FROM (SELECT * FROM t)";
    assert_eq!(ask(inner, &["--json"]).out, "{\"x\":true}\n");
    let outer =
        "SELECT r.in_experiment AS x FROM history h LEFT JOIN runs r ON r.run_id = 'none' LIMIT 1";
    assert_eq!(ask(outer, &["--json"]).out, "{\"x\":null}\n");
    let union = "SELECT in_experiment AS x FROM runs WHERE run_id = 'none' UNION ALL SELECT 7";
    assert_eq!(ask(union, &["--json"]).out, "{\"x\":7}\n");
}

/// Wrong if an answer without rows lost its columns, or their types.
#[test]
fn an_empty_answer_keeps_its_columns() {
    let place = two_experiments();
    let sql = "SELECT run_id, seed, test_mse, in_experiment FROM runs WHERE seed > 1000";
    let ask = |more: &[&str]| -> Said {
        place.run(["query", "results/tiny", sql].iter().chain(more)).exits(0)
    };
    assert_eq!(ask(&["--format", "csv"]).out, "run_id,seed,test_mse,in_experiment\n");
    assert!(ask(&[]).out.starts_with("| run_id | seed | test_mse | in_experiment |"));
    assert_eq!(ask(&["--json"]).out, "");
    ask(&["--format", "parquet", "--output", "a.parquet"]);
    let answer = Table::from_parquet(&fs::read(place.path("a.parquet")).unwrap()).unwrap();
    let kinds: Vec<String> =
        answer.columns().iter().map(|column| format!("{:?}", column.values.kind())).collect();
    assert_eq!(kinds, ["Text", "Whole", "Number", "Flag"]);
}

/// Wrong if one of two columns of a name were lost.
#[test]
fn columns_of_one_name_are_told_apart() {
    let place = two_experiments();
    let sql = "SELECT a.seed, b.seed, a.seed FROM runs a, runs b WHERE a.seed < b.seed";
    let answer = asked(&place, &["tiny"], sql);
    assert_eq!(answer, [json!({ "seed": 0, "seed:1": 1, "seed:2": 0 })]);
}

/// Wrong if a query could do anything but read the tables: change or make something, open a file, load
/// code, or change how SQLite works.
#[test]
fn a_query_does_nothing_but_read() {
    let place = two_experiments();
    fs::write(place.path("secret.csv"), "a\nsecret\n").unwrap();
    // Makes the tables.
    asked(&place, &["tiny"], "SELECT 1");
    let before = crate::support::program::changes(place.path("").as_path());
    for sql in [
        "ATTACH 'new.db' AS other",
        "DETACH main",
        "VACUUM",
        "VACUUM INTO 'new.db'",
        "PRAGMA writable_schema = 1",
        "PRAGMA hard_heap_limit = 0",
        "PRAGMA table_info(runs)",
        "SELECT * FROM pragma_table_info('runs')",
        "SELECT * FROM pragma_database_list",
        "SELECT * FROM dbstat",
        "INSERT INTO runs (seed) VALUES (1)",
        "INSERT INTO runs (seed) VALUES (1) RETURNING seed",
        "UPDATE runs SET seed = 1",
        "DELETE FROM runs",
        "WITH x AS (SELECT 1) DELETE FROM runs",
        "WITH x AS (SELECT 1) INSERT INTO runs (seed) SELECT * FROM x",
        "REPLACE INTO runs (seed) VALUES (1)",
        "DROP TABLE runs",
        "ALTER TABLE runs ADD COLUMN x",
        "CREATE TABLE t (a)",
        "CREATE TEMP TABLE t AS SELECT * FROM runs",
        "CREATE VIEW v AS SELECT 1",
        "CREATE TRIGGER t AFTER INSERT ON runs BEGIN SELECT 1; END",
        "CREATE VIRTUAL TABLE t USING fts5(a)",
        "CREATE INDEX i ON runs (seed)",
        "REINDEX",
        "ANALYZE",
        "BEGIN",
        "COMMIT",
        "SAVEPOINT a",
        "SELECT load_extension('libm.so')",
        "SELECT fts3_tokenizer('simple')",
        "SELECT readfile('secret.csv')",
        "SELECT writefile('new.txt', 'a')",
        "SELECT edit('a')",
        "SELECT * FROM read_csv('secret.csv')",
        "SELECT * FROM read_parquet('results/tiny/runs.parquet')",
        "SELECT * FROM read_parquet('http://127.0.0.1:9/x.parquet')",
        "SELECT * FROM 'secret.csv'",
        "SELECT * FROM generate_series(1, 3)",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE runs",
        "SHOW TABLES",
        "COPY runs TO 'new.csv'",
        "",
        "   ",
        ";",
        "/* nothing */",
    ] {
        let said = place.run(["query", "results/tiny", sql]).exits(2).complains(["the query"]);
        assert!(said.out.is_empty() && !said.err.contains("secret\n"), "{sql}: {said}");
        assert!(!said.err.contains("Sql") && !said.err.contains("panic"), "{sql}: {said}");
    }
    assert_eq!(crate::support::program::changes(place.path("").as_path()), before);
}

/// Wrong if the message for a mistake did not say where it is and what was probably meant.
#[test]
fn a_wrong_query_is_shown_its_place_and_what_was_meant() {
    let place = two_experiments();
    for (sql, said) in [
        (
            "SELECT test_mze FROM runs",
            &["SQL:1:8", "no such column", "did you mean `test_mse`?"][..],
        ),
        ("SELECT r.test_mze FROM runs r", &["did you mean `test_mse`?"]),
        ("SELECT \"test_mze\" FROM runs", &["did you mean `test_mse`?"]),
        ("SELECT * FROM latent", &["no such table", "did you mean `latents`?"]),
        ("SELECT * FROM nowhere", &["no such table", "SELECT * FROM runs LIMIT 1 shows columns"]),
        ("SELECT roud(seed) FROM runs", &["no such function", "did you mean `round`?"]),
        ("SELECT\n  seed\nFORM runs", &["SQL:3:6", "near \"runs\": syntax error"]),
        ("SELECT seed FROM runs WHERE", &["incomplete input"]),
        ("SELECT 'l1 FROM runs", &["unrecognized token"]),
        ("SELECT penalty FROM runs WHERE penalty = \"l1\"", &["single-quotes"]),
        ("SELECT seed FROM runs a, runs b", &["ambiguous column name: seed"]),
        ("SELECT sum(9223372036854775807) FROM runs", &["integer overflow"]),
        ("SHOW TABLES", &["begins with SELECT", "tables are runs, history, latents"]),
        ("DELETE FROM runs", &["does more than read", "begins with SELECT"]),
        ("ATTACH 'a.db' AS a", &["does more than read", "begins with SELECT"]),
        ("SELECT 1; SELECT 2", &["more than one statement"]),
        ("SELECT printf('%.*c', 900000000, 'x')", &["too big"]),
    ] {
        place.run(["query", "results/tiny", sql]).exits(2).complains(said.iter().copied());
    }
}

/// Wrong if Ctrl-C could not end a query that never ends.
#[cfg(unix)]
#[test]
fn a_query_without_end_is_interrupted() {
    use std::os::unix::process::ExitStatusExt;
    let place = two_experiments();
    for sql in [
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c",
        "SELECT count(*) FROM latents a, latents b, latents c, latents d, latents e, latents f, latents g",
    ] {
        let mut query = place.command(["query", "results/tiny", sql]);
        let mut query = query.stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_secs(1));
        assert!(query.try_wait().unwrap().is_none(), "{sql} has ended");
        let asked = Instant::now();
        let kill = Command::new("kill").args(["-TERM", &query.id().to_string()]).status().unwrap();
        assert!(kill.success());
        let status = query.wait().unwrap();
        assert!(asked.elapsed() < Duration::from_secs(5), "{sql}");
        assert_eq!((status.signal(), status.code()), (Some(15), None), "{sql}");
    }
}
