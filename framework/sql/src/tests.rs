//! Queries on small tables: which columns they load, what types columns have, and which functions there are.

use tables::{Stack, Table, Values};

use super::*;

fn table(columns: &[(&str, Values)]) -> Vec<u8> {
    let mut table = Table::default();
    columns.iter().for_each(|(name, values)| table.set(*name, values.clone()));
    table.to_parquet().unwrap()
}

fn stack(files: Vec<Vec<u8>>) -> Stack {
    let labeled = files.into_iter().zip(["x", "y"]).map(|(file, name)| (name.to_owned(), file));
    Stack::open(labeled.collect(), "experiment").unwrap()
}

fn ask(tables: &[(&str, Stack)], sql: &str) -> Vec<Values> {
    let answer = query(tables, sql, Limits::default());
    let answer = answer.unwrap_or_else(|error| panic!("{sql}: {error}"));
    answer.columns().iter().map(|column| column.values.clone()).collect()
}

fn whole(values: &[i64]) -> Values {
    Values::Whole(values.iter().copied().map(Some).collect())
}

/// Wrong if a column that a query needs were left out because SQLite does not ask for it, or its name is
/// written in another way: then it would be null.
#[test]
fn every_column_that_is_named_in_any_way_is_loaded() {
    let left = table(&[
        ("id", whole(&[1, 2, 3])),
        ("a \"b\"]`", whole(&[5, 6, 7])),
        ("Größe", whole(&[1, 1, 2])),
    ]);
    let right = table(&[("id", whole(&[2, 3, 4])), ("Größe", whole(&[1, 2, 3]))]);
    let tables = [("runs", stack(vec![left])), ("history", stack(vec![right]))];
    for (sql, n) in [
        ("SELECT count(*) FROM runs JOIN history USING (id)", 2),
        ("SELECT count(*) FROM runs JOIN history USING (ID)", 2),
        ("SELECT count(*) FROM runs JOIN history USING ([id])", 2),
        ("SELECT count(*) FROM runs JOIN history USING (`id`)", 2),
        ("SELECT count(*) FROM runs JOIN history USING (\"Größe\")", 3),
        ("SELECT count(*)FROM\"runs\"JOIN[history]USING(\"id\")", 2),
        ("SELECT count(*) FROM runs NATURAL JOIN history", 2),
        ("SELECT count(*) FROM runs NaTuRaL LEFT JOIN history", 3),
        ("SELECT count(*) FROM RUNS FULL JOIN \"history\" USING (id)", 4),
        ("SELECT sum(\"a \"\"b\"\"]`\") FROM runs", 18),
        ("SELECT count(*) FROM (SELECT id FROM runs INTERSECT SELECT id FROM history)", 2),
        ("SELECT sum(r) FROM (SELECT rowid AS r FROM runs)", 6),
    ] {
        assert_eq!(ask(&tables, sql), [whole(&[n])], "{sql}");
    }
}

/// Wrong if columns of files were put below others, or lost their type where one file has none of it.
#[test]
fn files_of_different_columns_are_one_table() {
    let text = |value: Option<&str>| Values::Text(vec![value.map(str::to_owned)]);
    let one = table(&[
        ("a", whole(&[1])),
        ("b", text(None)),
        ("c", Values::Flag(vec![Some(true)])),
        ("d", whole(&[7])),
    ]);
    let two = table(&[
        ("c", Values::Flag(vec![None])),
        ("b", Values::Number(vec![Some(0.5)])),
        ("a", Values::Number(vec![Some(2.5)])),
        ("d", text(Some("seven"))),
        ("experiment", text(Some("own"))),
    ]);
    let tables = [("runs", stack(vec![one, two]))];
    let all = ask(&tables, "SELECT * FROM runs");
    let texts = |one: &str, two: &str| Values::Text(vec![Some(one.into()), Some(two.into())]);
    assert_eq!(
        all,
        [
            Values::Number(vec![Some(1.0), Some(2.5)]),
            Values::Number(vec![None, Some(0.5)]),
            Values::Flag(vec![Some(true), None]),
            texts("7", "seven"),
            texts("x", "own"),
        ]
    );
    assert_eq!(ask(&tables, "SELECT count(*) FROM runs"), [whole(&[2])]);
    assert_eq!(ask(&tables, "SELECT experiment FROM runs"), [texts("x", "own")]);
}

/// Wrong if two columns whose names differ by their capitals alone, which SQLite takes for the same, kept
/// every query from being answered.
#[test]
fn capitals_make_no_column_of_its_own() {
    let tables = [("runs", stack(vec![table(&[("a", whole(&[1])), ("A", whole(&[2]))])]))];
    assert_eq!(ask(&tables, "SELECT a, \"A:1\" FROM runs"), [whole(&[1]), whole(&[2])]);
}

/// Wrong if values of several types in one column were lost.
#[test]
fn a_column_takes_the_type_that_holds_all_its_values() {
    let number = |values: &[Option<f64>]| Values::Number(values.to_vec());
    let text = |values: &[&str]| Values::Text(values.iter().map(|v| Some((*v).into())).collect());
    for (sql, wanted) in [
        ("VALUES (1), (2)", whole(&[1, 2])),
        ("VALUES (1), (0.5), (NULL)", number(&[Some(1.0), Some(0.5), None])),
        ("VALUES (1), ('a')", text(&["1", "a"])),
        ("VALUES (9007199254740993), (0.5)", text(&["9007199254740993", "0.5"])),
        ("VALUES (x'00ff')", text(&["x'00FF'"])),
        ("VALUES (NULL)", Values::Text(vec![None])),
        ("SELECT CAST(x'41ff' AS TEXT)", text(&["A\u{fffd}"])),
        ("SELECT 1e999", number(&[Some(f64::INFINITY)])),
    ] {
        assert_eq!(ask(&[], sql), [wanted], "{sql}");
    }
}

/// Wrong if SQLite had been compiled without what the help promises: see `.cargo/config.toml`.
#[test]
fn functions_of_mathematics_and_medians_are_there() {
    let known = functions().unwrap();
    for name in ["sqrt", "ln", "pow", "median", "percentile", "row_number", "strftime"] {
        assert!(known.iter().any(|known| known == name), "{name}");
    }
    assert!(!known.iter().any(|known| known == "load_extension"));
}
