//! The documentation is tested: the README's commands run, its TOML is a valid experiment, its Rust is
//! the text of files that compile, and every column of the results is explained.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use framework::spec::Experiment;
use tables::Table;

use crate::support::skipped::skipped;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

/// The code blocks of a language, each with the line before it.
pub fn blocks(language: &str) -> Vec<(String, String)> {
    blocks_of(&readme(), language)
}

/// The same of another page.
pub fn blocks_of(page: &str, language: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = page.lines().collect();
    let mut blocks = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        if lines[at] == format!("```{language}") {
            let end = (at + 1..lines.len()).find(|end| lines[*end] == "```").unwrap();
            blocks.push((lines[at - 1].to_owned(), lines[at + 1..end].join("\n") + "\n"));
            at = end;
        }
        at += 1;
    }
    blocks
}

/// The main command works as it stands: exit code 0, a summary, a row a run, and an explanation for every
/// column. Wrong if a newcomer's first command failed.
#[test]
fn the_main_command_does_what_the_readme_says() {
    let commands: Vec<String> = blocks("sh")
        .iter()
        .flat_map(|(_, text)| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let ci = fs::read_to_string(root().join(".ci/run")).unwrap();
    let mut tests = commands.iter().filter(|command| command.starts_with("cargo test")).peekable();
    assert!(tests.peek().is_some(), "the README has no test command");
    tests.for_each(|test| assert!(ci.contains(test), "CI does not run the README's `{test}`"));
    let file = commands.iter().find_map(|command| command.strip_prefix("cargo run -- "));
    let file = root().join(file.expect("the README runs an experiment"));
    let name = file.file_stem().unwrap().to_str().unwrap();

    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_saegrid"))
        .arg(&file)
        .current_dir(folder.path())
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        shown.contains("test_mse") && shown.contains(&format!("results/{name}/runs.parquet")),
        "{shown}"
    );

    let results = folder.path().join("results").join(name);
    let runs = Table::from_parquet(&fs::read(results.join("runs.parquet")).unwrap()).unwrap();
    let experiment = Experiment::read(&file, &[]).unwrap_or_else(|problems| panic!("{problems:?}"));
    let grid = experiment.runs().unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(runs.rows(), grid.len(), "a row a run");
    let columns = fs::read_to_string(root().join("results/README.md")).unwrap();
    let sections = ["dataset_", "architecture_", "penalty_", "train_"];
    for name in ["runs", "history", "latents"] {
        let bytes = fs::read(results.join(format!("{name}.parquet"))).unwrap();
        for column in Table::from_parquet(&bytes).unwrap().columns() {
            let setting = sections.iter().any(|section| column.name.starts_with(section))
                && !column.name.starts_with("train_loss");
            // A column of a number of latents is explained as one of M.
            let of_m = column.name.trim_end_matches(|digit: char| digit.is_ascii_digit());
            let names = [column.name.clone(), format!("{of_m}M")];
            let explained = names.iter().any(|name| columns.contains(&format!("`{name}`")));
            assert!(setting || explained, "results/README.md does not explain `{}`", column.name);
        }
    }
    python_reads(folder.path());
}

/// Runs the README's Python snippets where Python has polars, beside the results of a second experiment. Wrong if
/// experiments with other settings could not be read together.
fn python_reads(folder: &Path) {
    let Some(python) = python_with("polars") else {
        skipped("there is no Python with polars for the README's Python snippets");
        return;
    };
    let other = root().join("experiments/l1_sweep.toml");
    let output = Command::new(env!("CARGO_BIN_EXE_saegrid"))
        .arg(other)
        .args(["--set", "train.epochs=1", "--set", "seeds=[0]"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let snippets = blocks("python");
    assert!(snippets.len() > 1, "the README reads one experiment, and two");
    for (_, snippet) in snippets {
        let output =
            Command::new(&python).args(["-c", &snippet]).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{snippet}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The Python that tests run, if it has a package.
pub fn python_with(package: &str) -> Option<String> {
    let python = std::env::var("SAEGRID_TEST_PYTHON").unwrap_or("python3".to_owned());
    let import = Command::new(&python).args(["-c", &format!("import {package}")]).output();
    import.is_ok_and(|output| output.status.success()).then_some(python)
}

#[test]
fn the_toml_in_the_readme_is_a_valid_experiment() {
    let blocks = blocks("toml");
    assert!(!blocks.is_empty());
    let whole = blocks[0].1.clone();
    for (_, text) in blocks {
        // A part of an experiment continues the first block.
        let text = if text.starts_with("name") { text } else { format!("{whole}{text}") };
        let runs = Experiment::parse("README.md".into(), root(), text.clone(), &[])
            .and_then(|experiment| experiment.runs());
        assert!(runs.is_ok(), "{text}\n{:?}", runs.err());
    }
}

#[test]
fn the_rust_in_the_readme_is_that_of_files_that_compile() {
    let blocks = blocks("rust");
    assert!(blocks.len() >= 2);
    for (before, text) in blocks {
        let file = before.strip_prefix("<!-- file: ").and_then(|rest| rest.strip_suffix(" -->"));
        let file = file.expect("a Rust block is preceded by the name of its file");
        assert_eq!(fs::read_to_string(root().join(file)).unwrap(), text, "{file} has changed");
    }
}

#[test]
fn every_experiment_is_right_and_says_what_it_shows() {
    for entry in fs::read_dir(root().join("experiments")).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("schema.json") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let rest = text.strip_prefix("#:schema ./schema.json\n");
        let rest = rest.unwrap_or_else(|| panic!("{} does not name its schema", path.display()));
        assert!(rest.starts_with("# "), "{} does not say what it shows", path.display());
        let experiment =
            Experiment::read(&path, &[]).unwrap_or_else(|problems| panic!("{problems:?}"));
        assert_eq!(Some(experiment.name.as_str()), path.file_stem().and_then(|stem| stem.to_str()));
        assert!(!experiment.runs().unwrap_or_else(|problems| panic!("{problems:?}")).is_empty());
    }
}

/// Wrong if a newcomer could not find an experiment, or looked for one that is gone.
#[test]
fn the_list_of_experiments_is_complete() {
    let text = readme();
    let (_, list) = text.split_once("| file | question |\n|---|---|\n").expect("there is a list");
    let rows = list.lines().take_while(|line| line.starts_with('|'));
    let names = rows.flat_map(|row| row.split('|').nth(1).unwrap().split(", "));
    let mut listed: Vec<String> = names.map(|name| name.trim().trim_matches('`').into()).collect();
    let files =
        fs::read_dir(root().join("experiments")).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|end| end == "toml"));
    let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let mut there: Vec<String> = files.map(stem).collect();
    listed.sort();
    there.sort();
    assert_eq!(listed, there);
}

/// Each test that the page on faults names exists. Wrong if a promise had lost its test.
#[test]
fn every_promise_about_faults_has_its_test() {
    let page = fs::read_to_string(root().join("docs/faults.md")).unwrap();
    let mut count = 0;
    for line in page.lines().filter(|line| line.starts_with("| ") && line.contains("::")) {
        let shown = line.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        for name in shown.split('`').filter(|name| name.contains("::")) {
            let (folder, path) = match name.split_once(": ") {
                Some(("saegrid-framework", path)) => ("framework/src".to_owned(), path),
                Some(("saegrid-plugins", path)) => ("plugins/src".to_owned(), path),
                Some((other, path)) => {
                    let room = other.strip_prefix("saegrid-");
                    let room = room.unwrap_or_else(|| panic!("no crate {other}"));
                    (format!("framework/{room}/src"), path)
                }
                None => ("tests/all".to_owned(), name),
            };
            let (module, test) = path.rsplit_once("::").unwrap();
            let file = root().join(folder).join(module.replace("::", "/"));
            let text = ["", "_tests"].map(|end| {
                fs::read_to_string(format!("{}{end}.rs", file.display())).unwrap_or_default()
            });
            let found = text.concat().contains(&format!("fn {test}("));
            assert!(found, "no test {name}");
            count += 1;
        }
    }
    assert!(count > 20, "the table was not read");
}
