//! Tables and pictures of evaluations: stored with the run, shown in the report, and read back with caution.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value as Json, json};
use tables::{Table, Values};

use crate::support::program::{HELD, Place, columns, numbers};
use crate::support::under_way::{Running, wait_until};

/// An experiment with the evaluation `nudge`, twice.
fn text(more: &str) -> String {
    format!(
        "name = \"x\"\n[dataset]\nkind = \"waves\"\ninputs = 6\n[architecture]\nkind = \"dense\"\nlatents = 5\n\
         {more}\n[evaluate]\nkinds = [\"reconstruction\", \"sparsity\", \
         {{ kind = \"nudge\", corruption = {{ kind = \"salt\", rate = 0.3 }} }}, \
         {{ kind = \"nudge\", name = \"far\", samples = 30, corruption = {{ kind = \"gaussian\", sigma = 0.5 }} }}]\n"
    )
}

/// The folder of the only run.
fn run(place: &Place) -> PathBuf {
    place.path("results/x/runs").join(place.run_ids("x").remove(0))
}

/// The exhibits that the manifest of the only run lists.
fn listed(place: &Place) -> Vec<Json> {
    place.json(run(place).join("manifest.json"))["exhibits"].as_array().cloned().unwrap_or_default()
}

/// The files of the exhibits, by name.
fn files(place: &Place) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(run(place).join("exhibits"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

const FILES: [&str; 4] =
    ["codes_far.png", "codes_nudge.png", "far_distances.parquet", "nudge_distances.parquet"];

fn names(place: &Place) -> Vec<String> {
    files(place).into_iter().map(|(name, _)| name).collect()
}

/// Wrong if a table or a picture were not stored under its name, were lost, or were not seen in the report.
#[test]
fn tables_and_pictures_are_stored_and_shown_under_their_names() {
    let place = Place::with(&text("[train]\nepochs = 1"));
    place.run_outside(["x.toml"]).exits(0);
    let runs = place.table("x/runs");
    let found = columns(&runs);
    for column in
        ["test_nudge_distance", "test_error", "test_far_distance", "test_far_error", "test_mse"]
    {
        assert!(found.contains(&column.to_owned()), "{column} in {found:?}");
        assert!(numbers(&runs, column)[0].unwrap() > 0.0, "{column}");
    }
    assert_eq!(names(&place), ["codes.png", FILES[0], FILES[2], FILES[3]]);
    let listed = listed(&place);
    assert_eq!(listed.len(), 4);
    for entry in &listed {
        let file = entry["file"].as_str().unwrap();
        let bytes = fs::read(run(&place).join("exhibits").join(file)).unwrap();
        assert_eq!(entry["digest"], json!(blake3::hash(&bytes).to_hex().as_str()), "{file}");
        let of = if file.contains("far") { "far" } else { "nudge" };
        assert_eq!(entry["evaluation"], json!(of), "{file}");
    }
    let bytes = fs::read(run(&place).join("exhibits").join(FILES[2])).unwrap();
    let table = Table::from_parquet(&bytes).unwrap();
    let Some(Values::Text(notes)) = table.get("<b>note</b>") else { panic!("no notes") };
    assert_eq!((table.rows(), notes[0].as_deref().unwrap().starts_with("row ")), (30, true));

    let said = place.run_outside(["report", "results/x", "--output", "page.html"]).exits(0);
    assert_eq!(said.err, "");
    let page = place.read("page.html");
    assert!(page.contains("<h2>Tables and pictures</h2>"));
    assert_eq!(page.matches("Codes of the moved samples").count(), 4, "each as caption and as alt");
    assert_eq!(page.matches("How far the code of each sample moved.").count(), 2);
    assert_eq!(page.matches("&lt;b&gt;note&lt;/b&gt;").count(), 2, "text stays text");
    let said = ["The first 20 of 30 rows", "exhibits/far_distances.parquet has all"];
    assert!(said.iter().all(|words| page.contains(words)), "what is left out is said");
    assert!(page.contains("data:image/png;base64,"));
}

/// Wrong if a run that was killed had other tables or pictures, or if a run that never had any got a folder.
#[test]
#[cfg(target_os = "linux")]
fn a_killed_run_has_the_same_tables_and_pictures() {
    let text = text(&format!("{HELD}[train]\nepochs = 2\n[run]\ncheckpoint = 0"));
    let undisturbed = Place::with(&text);
    undisturbed.run(["x.toml"]).exits(0);

    let place = Place::with(&text);
    place.hold();
    let running = Running::start(&place, place.command(["x.toml", "-j", "1"]));
    running.wait_for("progress", 1);
    let has_checkpoint = || {
        let attempts = fs::read_dir(place.path("results/x/work")).into_iter().flatten();
        let files = attempts.flatten().flat_map(|run| fs::read_dir(run.path().join("1")));
        files
            .flatten()
            .flatten()
            .any(|file| file.file_name().to_string_lossy().contains("checkpoint-"))
    };
    wait_until("a checkpoint", has_checkpoint);
    drop(running);
    place.let_go();
    place.run(["x.toml"]).exits(0);
    let manifest = place.json(run(&place).join("manifest.json"));
    assert!(manifest["attempt"].as_u64() > Some(1), "it was taken over");
    assert_eq!(files(&place), files(&undisturbed));
    assert_eq!(listed(&place), listed(&undisturbed));
}

/// Wrong if a stored model that is measured again lost the tables and pictures of other evaluations, kept old
/// ones, or got others than a run that had them from the start.
#[test]
fn a_stored_model_gets_them_and_keeps_them() {
    let all = text("[train]\nepochs = 1");
    let first = all.split(", { kind = \"nudge\", name").next().unwrap().to_owned() + "]\n";
    let place = Place::with(&first);
    place.run_outside(["x.toml"]).exits(0);
    assert_eq!(names(&place), ["codes.png", FILES[3]]);
    let before = files(&place);

    place.write("x.toml", &all);
    place.run_outside(["x.toml"]).exits(0);
    let fresh = Place::with(&all);
    fresh.run_outside(["x.toml"]).exits(0);
    assert_eq!(files(&place), files(&fresh));
    assert!(before.iter().all(|file| files(&place).contains(file)));
    let metric = |place: &Place| numbers(&place.table("x/runs"), "test_far_error");
    assert_eq!(metric(&place), metric(&fresh), "the random stream is the same");

    place.write("x.toml", all.replace("samples = 30", "samples = 31"));
    let status = place.run_outside(["status", "results/x"]);
    place.run_outside(["x.toml"]).exits(0);
    assert_eq!(names(&place), names(&fresh), "{status}");
    let changed: Vec<bool> =
        files(&place).iter().zip(files(&fresh)).map(|(now, then)| *now != then).collect();
    assert_eq!(changed, [false, true, true, false]);
    let dry = place.run_outside(["x.toml"]).exits(0);
    assert!(!dry.err.contains("measures"), "nothing is left: {dry}");
}

/// Wrong if a lost or damaged picture counted as whole, or a link were followed.
#[test]
fn a_run_without_one_of_them_is_not_complete() {
    let text = text("[train]\nepochs = 1");
    let place = Place::with(&text);
    place.run_outside(["x.toml"]).exits(0);
    let before = files(&place);
    let picture = || run(&place).join("exhibits/codes.png");
    let damages: [&dyn Fn(); 3] = [
        &|| fs::remove_file(picture()).unwrap(),
        &|| fs::write(picture(), "no picture").unwrap(),
        &|| {
            fs::rename(picture(), place.path("codes.png")).unwrap();
            std::os::unix::fs::symlink(place.path("codes.png"), picture()).unwrap();
        },
    ];
    for damage in damages {
        damage();
        let said = place.run_outside(["report", "results/x", "--output", "page.html"]).exits(0);
        assert!(said.err.contains("codes.png"), "{said}");
        let page = place.read("page.html");
        assert_eq!(page.matches("Codes of the moved samples").count(), 2, "the other is there");
        assert!(page.contains("Not shown: codes.png"));
        place.run_outside(["x.toml"]).exits(0);
        assert_eq!(files(&place), before, "it was made again");
    }
}

/// Wrong if a picture that somebody else made reached the page as it is, or a bad one cost the page.
#[test]
fn pictures_of_strangers_are_written_anew_or_left_out() {
    let place = Place::with(&text("[train]\nepochs = 1"));
    place.run_outside(["x.toml"]).exits(0);
    let path = run(&place).join("exhibits/codes.png");
    let plain = fs::read(&path).unwrap();
    let mut longer = plain.clone();
    longer.extend_from_slice(b"<script>alert(1)</script>");
    for (bytes, is_shown) in [(longer, true), (b"<svg onload=alert(1)>".to_vec(), false)] {
        fs::write(&path, &bytes).unwrap();
        seal(&place, &bytes);
        let said = place.run_outside(["report", "results/x", "--output", "page.html"]).exits(0);
        assert_eq!(said.err.is_empty(), is_shown, "{said}");
        let page = place.read("page.html");
        assert_eq!(
            page.matches("Codes of the moved samples").count(),
            if is_shown { 4 } else { 2 }
        );
        let foreign = base64(&bytes);
        assert!(!page.contains(&foreign[..foreign.len() - 4]), "it is there as it was");
    }
}

/// Has the manifest of the only run say that its picture has these bytes.
fn seal(place: &Place, bytes: &[u8]) {
    let path = run(place).join("manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    let mut manifest: store::Manifest = store::Manifest::from_bytes(text.as_bytes()).unwrap();
    let exhibit = manifest.exhibits.iter_mut().find(|one| one.file == "codes.png").unwrap();
    exhibit.digest = blake3::hash(bytes).to_hex().to_string();
    fs::write(path, manifest.to_bytes().unwrap()).unwrap();
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let whole = bytes.chunks_exact(3);
    let number = |three: &[u8]| three.iter().fold(0_u32, |all, byte| all << 8 | u32::from(*byte));
    let digits = whole.map(number).flat_map(|number| [18, 12, 6, 0].map(|at| number >> at & 63));
    digits.map(|digit| char::from(DIGITS[digit as usize])).collect()
}
