//! Texts of strangers on a terminal: whatever files say, no command prints a character that a terminal obeys
//! or that hides.

use std::fs;

use framework::printable;
use serde_json::{Value as Json, json};
use store::{Manifest, Status};

use crate::support::program::{Place, Said, TINY, with};

/// C0, DEL and C1, with a line feed that would begin a new line; changes of the reading direction; a line
/// separator; characters without width.
const EVIL: &str = "\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\r\u{7f}\u{202e}\u{2066}\u{2028}\u{200b}\u{feff}\nerror: forged";

/// Wrong if printed text could do more than be read, or if a text of a file began a new line.
#[track_caller]
fn is_shown(said: &Said) {
    for text in [&said.out, &said.err] {
        let bad = text.chars().find(|c| !matches!(c, '\n' | '\t') && !printable::is_shown(*c));
        assert_eq!(bad, None, "{text:?}");
        assert!(!text.lines().any(|line| line.starts_with("error: forged")), "{text}");
    }
}

/// Three seeds: one done, one recorded as failed, and one that other workers claim.
fn prepared() -> Place {
    let place = Place::with(&format!("seeds = [0, 1, 2]\n{TINY}"));
    place.run(["x.toml", "--set", "seeds=[0, 1]"]).exits(0);
    let listed = place.run(["list", "x.toml", "--json"]).exits(0).json();
    let id = |seed: usize| listed["runs"][seed]["run_id"].as_str().unwrap().to_owned();
    let name = format!("results/tiny/runs/{}/manifest.json", id(1));
    let mut manifest = Manifest::from_bytes(&fs::read(place.path(&name)).unwrap()).unwrap();
    (manifest.status, manifest.reason) = (Status::Failed, Some(EVIL.to_owned()));
    place.write(&name, manifest.to_bytes().unwrap());
    let attempt = format!("results/tiny/work/{}/1", id(2));
    fs::create_dir_all(place.path(&attempt)).unwrap();
    let process = json!({
        "host": EVIL, "pid": 7, "start": 1, "machine": EVIL, "boot": EVIL, "namespace": EVIL
    });
    let claim = json!({
        "attempt": 1, "process": process, "worker": 0, "lease": 1e19, "since": EVIL, "crashes": 0,
        "released": false
    });
    place.write(&format!("{attempt}/claim.json"), claim.to_string());
    place
}

/// Wrong if a reason, a host, a time or a name in an experiment folder moved the cursor, set the title, hid
/// or forged a line; or if JSON changed it.
#[test]
fn nothing_in_a_folder_is_obeyed_by_a_terminal() {
    let place = prepared();
    for words in [
        &["status", "results/tiny"][..],
        &["status", "results/tiny", "--all"],
        &["status", "results/tiny", "--json"],
        &["list", "x.toml"],
        &["list", "x.toml", "--json"],
        &["query", "results/tiny", "SELECT run_id, status, reason FROM runs"],
        &["query", "results/tiny", "SELECT reason FROM runs", "--json"],
        &["compare", "results/tiny"],
        &["report", "results/tiny"],
        &["stability", "results/tiny"],
        &["features", "results/tiny", "0"],
        &["x.toml", "--rerun", "all"],
    ] {
        is_shown(&place.run(words));
    }
    let said = place.run(["status", "results/tiny"]).exits(5);
    assert!(said.out.contains("\\u{1b}[2J\\u{1b}]0;x\\u{7}\\u{9b}31m"), "{said}");
    let status = place.run(["status", "results/tiny", "--json"]).exits(5);
    assert!(status.out.contains("\\u009b31m"), "{status}");
    let runs = status.json()["runs"].as_array().unwrap().clone();
    assert!(runs.iter().any(|run| run["reason"] == EVIL), "it means the same: {status}");
    assert!(runs.iter().any(|run| run["attempt"]["host"] == EVIL), "{status}");
    let page = fs::read_to_string(place.path("results/tiny/report.html")).unwrap();
    let bad = |c: char| matches!(c, '\u{1b}' | '\u{9b}' | '\u{202e}' | '\u{2066}' | '\u{200b}');
    assert!(!page.contains(bad));
}

/// Wrong if a terminal obeyed a column or a cell of a table, or if data for other programs were changed.
#[test]
fn cells_are_shown_and_data_stays_data() {
    let place = Place::with(TINY);
    place.run(["x.toml"]).exits(0);
    let sql = "SELECT 'a\u{9b}2J\u{202e}\nb' AS \"c\u{1b}[31m\u{9b}\" FROM runs";
    let said = place.run(["query", "results/tiny", sql]).exits(0);
    is_shown(&said);
    assert!(said.out.contains("a\\u{9b}2J\\u{202e} b"), "{said}");
    let said = place.run(["query", "results/tiny", sql, "--json"]).exits(0);
    is_shown(&said);
    let row: Json = serde_json::from_str(&said.out).unwrap();
    assert_eq!(row["c\u{1b}[31m\u{9b}"], "a\u{9b}2J\u{202e}\nb");
    let csv = place.run(["query", "results/tiny", sql, "--format", "csv"]).exits(0);
    assert_eq!(
        csv.out, "c\u{1b}[31m\u{9b}\n\"a\u{9b}2J\u{202e}\nb\"\n",
        "a pipe gets what is there"
    );
}

/// Wrong if a terminal obeyed a name on the command line, the name of a file, or a word in a file.
#[test]
fn nothing_in_names_and_words_is_obeyed_by_a_terminal() {
    let place = Place::with(TINY);
    let name = format!("evil{}.toml", EVIL.replace('/', ""));
    place.write(&name, with("x").replace("l1", &format!("l2\\u009b31m\\u202e{}", "\u{9b}")));
    for words in [
        &["check", &name][..],
        &["check", &format!("missing{name}")],
        &[EVIL],
        &["status", &format!("no{EVIL}")],
        &["status", "x", EVIL],
        &["x.toml", &format!("--option{EVIL}")],
        &["x.toml", "--set", &format!("penalty.kind='{EVIL}'")],
        &["x.toml", "--set", &format!("a{EVIL}=1")],
        &["plugins", EVIL],
        &["plugins", "penalty", EVIL],
        &["submit", "x.toml", "--slurm", &format!("job-name{EVIL}=x")],
        &["query", "results/tiny", &format!("SELECT {EVIL}")],
    ] {
        let said = place.run(words);
        assert!(!said.err.is_empty(), "{words:?}");
        is_shown(&said);
    }
}

/// Wrong if a stranger's claim held a run for longer than an hour, or if the message gave no way out.
#[test]
fn a_claim_that_blocks_its_run_says_until_when_and_the_way_out() {
    let place = prepared();
    let listed = place.run(["list", "x.toml", "--json"]).exits(0).json();
    let id = listed["runs"][2]["run_id"].as_str().unwrap();
    let said = place.run(["x.toml", "--rerun", id]).exits(75);
    let folder = format!("remove the folder `results/tiny/work/{id}`");
    said.complains([format!("a live worker has run {id}").as_str(), "within 1h", &folder]);
    fs::remove_dir_all(place.path(format!("results/tiny/work/{id}"))).unwrap();
    place.run(["x.toml", "--rerun", id]).exits(100);
}
