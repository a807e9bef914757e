//! Commands that only read answer from a folder that they cannot write to, even if its tables are behind.

use std::fs;
use std::path::Path;

#[cfg(target_os = "linux")]
use super::disk::with_mounts;
use crate::support::program::{Place, TINY};

/// Two settings of two seeds.
fn grid() -> String {
    format!("seeds = [0, 1]\n{TINY}[grid]\n\"penalty.lambda\" = [0.1, 0.3]\n")
}

/// Commands that read, each with the end of its answer's name.
const ASKED: &str = "
    ask() { \"$SAEGRID\" query results/tiny \"SELECT r.run_id, r.test_mse, count(*) FROM runs r
            JOIN latents l ON r.run_id = l.run_id GROUP BY r.run_id ORDER BY 1\" > $1.query 2> $1.query.said
        \"$SAEGRID\" compare results/tiny --json > $1.compare 2> $1.compare.said
        \"$SAEGRID\" stability results/tiny --json > $1.stability 2> $1.stability.said
        \"$SAEGRID\" report results/tiny --output $1.html --figures $1.figures > $1.report 2> $1.report.said
        \"$SAEGRID\" status results/tiny > $1.status 2> $1.status.said || true
        \"$SAEGRID\" features results/tiny \"$(ls results/tiny/runs | head -n 1)\" > $1.features 2> $1.features.said
        \"$SAEGRID\" list x.toml > $1.list 2> $1.list.said; }
    ";

/// Commands that answer from tables.
const DERIVED: [&str; 4] = ["query", "compare", "stability", "report"];

/// Wrong if a reader without the right to write, on a read-only disk or on a full one got an error, an
/// outdated answer or none, or was not told once why it takes longer.
#[test]
#[cfg(target_os = "linux")]
fn a_folder_that_cannot_be_written_to_is_read_though_its_tables_are_behind() {
    let place = Place::with(&grid());
    let script = format!(
        "{ASKED}
        mount -t tmpfs -o size=16m none results
        \"$SAEGRID\" x.toml
        ask whole
        derived='runs history latents stability'
        cd results/tiny; mkdir ../none; mv *.parquet tables.json ../none; cd ../..
        mount -o remount,ro results; ask none
        code=0; \"$SAEGRID\" report results/tiny 2> refused || code=$?; echo $code > code
        mount -o remount,rw results
        run=$(ls results/tiny/runs | tail -n 1)
        mv results/tiny/runs/$run results/run; \"$SAEGRID\" query results/tiny 'SELECT 1'
        mv results/run results/tiny/runs/$run
        mount -o remount,ro results; ask behind
        mount -o remount,rw results
        head -c 100M /dev/zero > results/ballast || true
        ask full
        rm results/ballast; ask again"
    );
    let Some(said) = with_mounts(&place, &script) else { return };
    said.exits(0);
    for state in ["none", "behind", "full", "again"] {
        for command in ["query", "compare", "stability", "status", "features", "list"] {
            let (got, want) = (format!("{state}.{command}"), format!("whole.{command}"));
            let said = place.read(format!("{got}.said"));
            assert!(!said.lines().any(|line| line.starts_with("error")), "{got}: {said}");
            // The existing tables know how long runs took.
            if command == "list" && state != "again" {
                continue;
            }
            assert_eq!(place.read(&got), place.read(&want), "{got}: {said}");
        }
        assert!(place.read(format!("{state}.html")).contains("</html>"));
        assert!(fs::read_dir(place.path(format!("{state}.figures"))).unwrap().count() > 0);
        let why = match state {
            "again" => "",
            "full" => "No space left on device",
            _ => "Read-only file system",
        };
        for command in DERIVED {
            let said = place.read(format!("{state}.{command}.said"));
            let lines = said.lines().filter(|line| line.contains("cannot write"));
            let tables: Vec<&str> = lines.filter(|line| line.contains("runs.parquet")).collect();
            match why {
                "" => assert!(tables.is_empty(), "{state} {command}: {said}"),
                _ => assert!(
                    matches!(tables[..], [line] if line.contains("warning: ") && line.contains(why)),
                    "{state} {command}: {said}"
                ),
            }
        }
    }
    let refused = place.read("refused");
    assert_eq!(place.read("code"), "74\n", "{refused}");
    assert!(refused.contains("cannot write `results/tiny/report.html`"), "{refused}");
    assert!(refused.contains("`--output FILE` writes the page elsewhere"), "{refused}");
}

/// Puts a folder that is not empty in the place of a file: nobody can write or remove the file then.
fn block(file: &Path) {
    let _ = fs::remove_file(file);
    fs::create_dir(file).unwrap();
    fs::write(file.join("x"), "").unwrap();
}

/// Wrong if a reading command failed over a file that it makes only for the next command, or if a command
/// that makes results did not fail.
#[test]
fn what_is_derived_may_be_impossible_to_write_but_for_those_who_make_results() {
    let place = Place::with(&grid());
    place.run(["x.toml"]).exits(0);
    let select = ["query", "results/tiny", "SELECT count(*) AS n FROM latents", "--json"];
    let commands: [&[&str]; 4] = [
        &select,
        &["compare", "results/tiny", "--json"],
        &["stability", "results/tiny", "--json"],
        &["report", "results/tiny", "--output", "page.html"],
    ];
    let want = commands.map(|words| place.run(words).exits(0).out);
    for name in ["runs.parquet", "history.parquet", "latents.parquet", "stability.parquet"] {
        let folder = place.path("results/tiny");
        for derived in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if derived.extension().is_some_and(|kind| kind == "parquet") {
                fs::remove_file(derived).unwrap();
            }
        }
        block(&folder.join(name));
        for (words, want) in commands.iter().zip(&want) {
            let said = place.run(*words).exits(0);
            assert_eq!(said.out, *want, "{name}: {words:?}: {said}");
            let warning = format!("warning: cannot write `results/tiny/{name}`");
            let told = said.err.matches(&warning).count();
            let is_needed =
                name != "stability.parquet" || ["stability", "report"].contains(&words[0]);
            assert_eq!(told, usize::from(is_needed), "{name}: {words:?}: {said}");
        }
        let code = if name == "stability.parquet" { 0 } else { 74 };
        place.run(["x.toml"]).exits(code);
        fs::remove_dir_all(folder.join(name)).unwrap();
    }
}
