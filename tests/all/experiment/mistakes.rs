//! Mistakes in experiment files, and the message for each: `tests/golden/mistakes` has a file with the
//! mistake, `NAME.toml`, and the text, `NAME.txt`. A text ends with the exit code and says whether the JSON
//! Schema sees the mistake too, as an editor would mark it. `{every penalty}` in a text stands for the names
//! of all penalties (the same for the other kinds): a new plugin changes no text.
//!
//! To add a mistake, add a file. Its first lines may be overrides: `# --set penalty.lambda=-1`. Then this
//! command writes the texts anew; read them before you commit them:
//!
//!     SAEGRID_GOLDEN=write cargo test --test all mistakes
//!
//! [`made`] makes the mistakes that need very large files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cli::read_experiment;
use framework::diagnostics::{Diagnostic, Severity};
use framework::plugin::kinds;
use framework::spec::Override;
use store::exit::{Exit, Failure};

use super::schema::Validator;
use crate::support::program::TINY;

/// Folder of the mistakes, relative to the workspace, where tests run.
const FOLDER: &str = "tests/golden/mistakes";

/// Large mistakes, by their name.
fn made() -> Vec<(&'static str, String)> {
    let line = format!("# {}\n", "x".repeat(98));
    let deep =
        |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    vec![
        ("large_ten_megabytes", format!("{}{}", line.repeat(100_000), TINY.replace("l1", "L1"))),
        (
            "large_one_line",
            format!("{}{TINY}", line.replace('\n', "").repeat(10_000) + "\nseed = 1\n"),
        ),
        ("large_value", TINY.replace("\"l1\"", &format!("\"{}\"", "l".repeat(100_000)))),
        ("large_nesting", format!("seeds = {}\n{TINY}", deep("[", "]"))),
        (
            "large_nesting_of_tables",
            format!("{TINY}x = {}\n", deep("{a=", "}").replace("=}", "=1}")),
        ),
        ("large_nesting_of_keys", format!("{TINY}x{} = 1\n", ".a".repeat(100_000))),
    ]
}

/// Every mistake: its name, its file and the overrides.
fn mistakes(made_in: &Path) -> Vec<(String, PathBuf, Vec<Override>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(FOLDER).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "toml") {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            let sets = text.lines().map_while(|line| line.strip_prefix("# --set "));
            let sets = sets.map(|set| Override::new(set, ".")).collect();
            all.push((name, path, sets));
        }
    }
    for (name, text) in made() {
        let path = made_in.join(format!("{name}.toml"));
        fs::write(&path, text).unwrap();
        all.push((name.to_owned(), path, Vec::new()));
    }
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

/// Diagnostics of `check` for a file, and its exit code.
fn told(path: &Path, overrides: &[Override]) -> (Vec<Diagnostic>, Exit) {
    let mut said = Vec::new();
    let exit = match read_experiment(path, overrides, |warnings| said.extend_from_slice(warnings)) {
        Ok(_) => Exit::Done,
        Err(failure) => {
            let exit = failure.exit();
            match failure {
                Failure::Problems(problems) => said.extend(problems),
                Failure::NoRuns(problem) => said.push(problem),
                Failure::Io(message) | Failure::Busy(message) => panic!("{message}"),
            }
            exit
        }
    };
    (said, exit)
}

/// The text with `{every penalty}` in place of the names of all penalties; the same for other kinds.
fn without_names(mut text: String) -> String {
    for (kind, rows) in kinds() {
        let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
        text = text.replace(&format!(": {}\n", names.join(", ")), &format!(": {{every {kind}}}\n"));
    }
    text
}

/// Whether the schema sees the mistake; `None` for a mistake of overrides, or a file that is no TOML.
fn is_marked(validator: &Validator, path: &Path, overrides: &[Override]) -> Option<bool> {
    let text = String::from_utf8(fs::read(path).unwrap()).ok()?;
    let is_toml = overrides.is_empty() && toml::from_str::<toml::Table>(&text).is_ok();
    is_toml.then(|| validator.complaint(&text).is_some())
}

/// Wrong if a message changed unseen or did not name its place, or if an editor began to miss a mistake.
#[test]
fn every_mistake_is_told_as_it_was_reviewed() {
    let write = std::env::var_os("SAEGRID_GOLDEN").is_some_and(|word| word == "write");
    let (validator, folder) = (Validator::new(), tempfile::tempdir().unwrap());
    let mut wrong = BTreeMap::new();
    let (mut count, mut marked) = (0, 0);
    for (name, path, overrides) in mistakes(folder.path()) {
        let started = Instant::now();
        let (said, exit) = told(&path, &overrides);
        let took = started.elapsed();
        assert!(took < Duration::from_secs(5), "{name} took {took:?}");
        assert!(!said.is_empty(), "{name}: nothing was said");
        for problem in &said {
            assert!(problem.origin.is_some(), "{name}: no place: {problem}");
            let expected = if exit == Exit::Done { Severity::Warning } else { Severity::Error };
            assert_eq!(problem.severity, expected, "{name}: {problem}");
        }
        let is_marked = is_marked(&validator, &path, &overrides);
        let editors = match is_marked {
            Some(true) => "; the schema sees it",
            Some(false) => "; the schema does not see it",
            None => "",
        };
        let shown: String = said.iter().map(|problem| problem.render(false) + "\n\n").collect();
        let folder = path.parent().unwrap().display().to_string() + "/";
        let text = format!("{shown}exit code {}{editors}\n", exit as u8).replace(&folder, "");
        let text = without_names(text);
        let golden = Path::new(FOLDER).join(format!("{name}.txt"));
        if write {
            fs::write(&golden, &text).unwrap();
        } else if fs::read_to_string(&golden).ok().as_deref() != Some(&text) {
            wrong.insert(name, text);
        }
        count += 1;
        marked += usize::from(is_marked == Some(true));
    }
    assert!(count > 130 && marked > 60, "{count} mistakes, of which the schema sees {marked}");
    for (name, text) in &wrong {
        println!("--- {name} is told otherwise than {FOLDER}/{name}.txt has it:\n{text}");
    }
    assert!(
        wrong.is_empty(),
        "read them, then write them anew as this file says: {:?}",
        wrong.keys()
    );
}

/// Each text belongs to a mistake.
#[test]
fn no_text_is_left_over() {
    let made = made();
    for entry in fs::read_dir(FOLDER).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let has_mistake =
            path.with_extension("toml").exists() || made.iter().any(|of| of.0 == name);
        assert!(has_mistake, "{} has no mistake", path.display());
    }
}
