//! Mistakes are found before anything trains: exit code 2 and no folder of results. Output that cannot be
//! written is exit code 74. `mistakes` has the message of each mistake in an experiment file; here are
//! mistakes that need other files, other plugins or a command.

use std::fs;

use crate::support::program::{Place, TINY, idx};
use crate::support::skipped::skipped;

/// The tiny experiment with one change.
#[track_caller]
fn changed(from: &str, to: &str) -> String {
    assert!(TINY.contains(from), "the tiny experiment has no `{from}`");
    TINY.replace(from, to)
}

/// The tiny experiment with more at its end.
fn with(more: &str) -> String {
    format!("{TINY}{more}\n")
}

/// `run` refuses `text`, the message has all `parts`, and nothing is written.
#[track_caller]
fn refused(text: &str, parts: &[&str]) {
    refused_in(&Place::with(text), parts);
}

#[track_caller]
fn refused_in(place: &Place, parts: &[&str]) {
    let said = place.run(["x.toml"]).exits(2).complains(parts.iter().copied());
    assert!(!place.has_results(), "something was written:\n{said}");
    assert!(said.out.is_empty(), "standard output is for results:\n{said}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let place = Place::new();
    for command in [&["gone.toml"][..], &["run", "gone.toml"], &["list", "gone.toml"]] {
        place.run(command).exits(2).complains(["cannot read the experiment `gone.toml`"]);
    }
    place.run(["check", "."]).exits(2).complains(["cannot read the experiment `.`"]);
    assert!(!place.has_results());
}

/// Wrong if a command continued after a mistake, or showed only some of the mistakes.
#[test]
fn mistakes_end_every_command_before_anything_is_written() {
    let text = changed("lambda", "lamda").replace("digits", "digit");
    let parts = ["x.toml:4:8", "x.toml:12:1", "2 errors; nothing was run"];
    refused(&text, &parts);
    let place = Place::with(&text);
    for command in ["run", "list", "check"] {
        place.run([command, "x.toml"]).exits(2).complains(parts);
    }
    assert!(!place.has_results());
    let place = Place::with(TINY);
    let said = place.run(["x.toml", "--set", "penalty.lambda=-1"]).exits(2);
    said.complains(["--set penalty.lambda=-1:1:16"]);
    assert!(!place.has_results());
}

/// Editors of other systems write these.
#[test]
fn byte_order_marks_and_carriage_returns_are_no_mistakes() {
    let windows = format!("\u{feff}{}", TINY.replace('\n', "\r\n"));
    Place::with(&windows).run(["check", "x.toml"]).exits(0);
}

#[test]
fn names_that_are_no_folders_are_refused() {
    let long = "a".repeat(201);
    for name in ["", ".", "..", "a/b", "../a", ".hidden", "-a", "a b", "ä", "a\\\\b", "a\\n", &long]
    {
        refused(&changed("tiny", name), &["x.toml:1:8", "is no name for a folder of results"]);
    }
    for name in ["a", "0", "a.b_c-d", "K2"] {
        Place::with(&changed("tiny", name)).run(["check", "x.toml"]).exits(0);
    }
}

/// A place with six images of 1 x 2 pixels, and their labels.
fn images(dataset: &str) -> Place {
    let dataset = format!("kind = \"idx\"\n{dataset}");
    let place = Place::with(&changed("kind = \"digits\"", &dataset));
    let pixels: Vec<u8> = (0..12).collect();
    place.write("six", idx(&[6, 1, 2], &pixels));
    place.write("labels", idx(&[6], &[0, 1, 2, 0, 1, 2]));
    place.write("two-labels", idx(&[2], &[0, 1]));
    place.write("short", &idx(&[6, 1, 2], &pixels)[..20]);
    place.write("png", b"\x89PNG\r\n\x1a\n and so on");
    place.write("floats", [0, 0, 0x0d, 1, 0, 0, 0, 1, 0, 0, 0, 0]);
    place.write("none", b"");
    place
}

#[test]
fn data_files_that_are_missing_or_malformed_are_refused_at_the_line_that_names_them() {
    let good = images("images = \"six\"\nlabels = \"labels\"\ntrain = 4\ntest = 2");
    good.run(["check", "x.toml"]).exits(0);
    let cases = [
        ("images = \"gone\"\ntrain = 4", "x.toml:5:10", "gone` cannot be opened"),
        ("images = \".\"\ntrain = 4", "x.toml:5:10", "cannot be"),
        ("images = \"short\"\ntrain = 4", "x.toml:5:10", "short` is cut short: expected 12 bytes"),
        (
            "images = \"png\"\ntrain = 4",
            "x.toml:5:10",
            "is not an IDX file: it starts with the bytes [89 50 4e 47]",
        ),
        ("images = \"floats\"\ntrain = 4", "x.toml:5:10", "holds 32-bit floats"),
        ("images = \"none\"\ntrain = 4", "x.toml:5:10", "is not an IDX file"),
        ("images = \"six\"\nlabels = \"gone\"\ntrain = 4", "x.toml:6:10", "gone` cannot be opened"),
        (
            "images = \"six\"\nlabels = \"two-labels\"\ntrain = 4",
            "x.toml:6:10",
            "2 labels, expected one for each of the 6 samples",
        ),
        ("images = \"six\"\ntrain = 4\ntest = 3", "x.toml:7:8", "overlap: `images` has 6"),
        ("images = \"six\"\ntrain = 7", "x.toml:6:9", "at most the 6 rows of `images`, got 7"),
        ("images = \"six\"", "x.toml:5:10", "give `train` and `test`"),
        ("images = \"six\"\ntrain = 0", "x.toml:6:9", "at least 1, got 0"),
        ("train = 3", "x.toml:4:8", "`images` is missing"),
    ];
    for (dataset, at, message) in cases {
        refused_in(&images(dataset), &[at, message, "dataset `idx`"]);
    }
}

/// Paths in a file start from the file, paths of `--set` from the current folder.
#[test]
fn a_relative_path_starts_from_the_file_it_is_written_in() {
    let place = images("images = \"six\"\ntrain = 4");
    fs::create_dir(place.path("sub")).unwrap();
    fs::rename(place.path("x.toml"), place.path("sub/x.toml")).unwrap();
    place.run(["check", "sub/x.toml"]).exits(2).complains(["sub/x.toml:5:10", "sub/six`"]);
    place.run(["list", "sub/x.toml", "--set", "dataset.images=six"]).exits(0);
    let said = place.run(["list", "sub/x.toml", "--set", "dataset.images=seven"]).exits(2);
    said.complains(["--set dataset.images=seven:1:16", "seven` cannot be opened"]);
}

#[test]
fn evaluations_that_need_what_the_data_has_not_are_refused() {
    let evaluate = "\n[evaluate]\nkinds = [\"sparsity\", \"probe\", \"recovery\"]\n";
    let place = images("images = \"six\"\ntrain = 4");
    place.write("x.toml", place.read("x.toml") + evaluate);
    refused_in(&place, &["x.toml:20:22", "a probe learns labels", "x.toml:20:31", "recovery"]);
    refused(
        &with("[evaluate]\nkinds = [\"recovery\"]"),
        &["x.toml:17:10", "evaluation `recovery`"],
    );
}

/// An engine that does not cover a run is refused at the setting that names it, with the reason.
#[test]
fn an_engine_that_does_not_cover_the_run_is_refused() {
    refused(
        &with("engine = \"reference\"\nprecision = \"bf16\""),
        &["x.toml:17:13", "train: precision: the reference engine trains in `f32` only"],
    );
    let axis = with("precision = \"bf16\"\n[grid]\n\"train.engine\" = [\"fused\", \"reference\"]");
    refused(&axis, &["x.toml:16:13", "the reference engine trains in `f32` only"]);

    let penalty = changed("\"l1\"", "\"soft-threshold\"");
    let architecture = changed("\"dense\"", "\"two-layer\"");
    for (text, reason) in [
        (penalty, "the fused engine trains penalties of the code alone"),
        (architecture, "the fused engine trains architectures of dense layers and convolutions"),
    ] {
        for (setting, place, and) in [
            (
                "engine = \"fused\"",
                "x.toml:16:10",
                "`auto` takes the reference engine for this run",
            ),
            ("precision = \"bf16\"", "x.toml:16:13", "the reference engine trains in `f32` only"),
        ] {
            let place_of = Place::with(&format!("{text}{setting}\n"));
            let said = place_of.run_outside(["x.toml"]).exits(2).complains([place, reason, and]);
            assert!(!place_of.has_results(), "something was written:\n{said}");
        }
        let axis = format!("{text}[grid]\n\"train.engine\" = [\"reference\", \"fused\"]\n");
        let place = Place::with(&axis);
        place.run_outside(["x.toml"]).exits(2).complains(["x.toml:17:1", reason]);
        for setting in ["", "engine = \"reference\""] {
            let place = Place::with(&format!("{text}{setting}\n"));
            place.run_outside(["check", "x.toml"]).exits(0);
        }
    }
}

#[test]
fn a_number_in_the_data_that_is_none_is_refused_with_its_row() {
    let text = |nan: &str| changed("\"digits\"", &format!("\"waves\"{nan}"));
    let place = Place::with(&text("\nnan_at = 5"));
    let parts = ["x.toml:4:8", "the training sample 5 holds NaN at input 0"];
    place.run_outside(["x.toml"]).exits(2).complains(parts);
    assert!(!place.has_results());
    Place::with(&text("")).run_outside(["check", "x.toml"]).exits(0);
}

#[test]
fn the_command_line_is_checked() {
    let place = Place::with(TINY);
    for words in [
        &["x.toml", "--job", "2"][..],
        &["x.toml", "-j", "0"],
        &["x.toml", "--threads-per-run", "none"],
        &["x.toml", "--progress", "loud"],
        &["x.toml", "extra"],
        &["status"],
    ] {
        let said = place.run(words).exits(2);
        assert!(said.err.contains("error: ") && said.out.is_empty(), "{said}");
    }
    place.run(["x.toml", "--rerun", "0123"]).exits(2).complains(["--rerun 0123"]);
    place.run(["plugins", "penalti"]).exits(2).complains(["did you mean `penalty`?"]);
    place.run(["plugins", "penalty", "L1"]).exits(2).complains(["did you mean `l1`?"]);
    let none: [&str; 0] = [];
    assert!(!place.run(none).err.is_empty(), "short help where nothing is asked for");
    assert!(place.run(["--help"]).exits(0).out.contains("Example: saegrid"));
    assert!(place.run(["--version"]).exits(0).out.starts_with("saegrid "));
}

#[test]
fn output_that_cannot_be_written_is_named() {
    let place = Place::with(TINY);
    place.write("file", "");
    for folder in ["file", "file/below"] {
        let said = place.run(["x.toml", "--output-dir", folder]).exits(74);
        said.complains([format!("`{folder}/tiny").as_str()]);
    }
    fs::create_dir_all(place.path("taken/tiny")).unwrap();
    place.write("taken/tiny/runs", "");
    place.run(["x.toml", "--output-dir", "taken"]).exits(74).complains(["taken/tiny/runs"]);
    let events = place.run(["x.toml", "--events", "no/such/folder"]).exits(74);
    events.complains(["no/such/folder"]);
    assert_eq!(place.read("file"), "");
    let status = place.run(["status", "nowhere"]).exits(74);
    status.complains(["`nowhere` is no experiment folder"]);
}

/// Wrong if who named an experiment's file or its name alone was not told where its results are.
#[test]
fn results_are_asked_for_by_their_folder() {
    let place = Place::with(TINY);
    place.run(["x.toml"]).exits(0);
    for words in [
        &["compare", "x.toml"][..],
        &["report", "x.toml"],
        &["status", "x.toml"],
        &["stability", "x.toml"],
        &["features", "x.toml", "0"],
        &["query", "x.toml", "SELECT 1"],
    ] {
        place.run(words).exits(74).complains(["no experiment folder", "such as `results/tiny`"]);
    }
    place.run(["status", "tiny"]).exits(74).complains(["did you mean `results/tiny`?"]);
    place.run(["status", "none.toml"]).exits(74).complains(["such as `results/NAME`"]);
}

/// A system folder that not even root can write to. Where there is none, a folder without the right to write,
/// which stops everybody but root.
#[test]
#[cfg(target_os = "linux")]
fn a_folder_that_is_read_only_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::with(TINY);
    let said = place.run(["x.toml", "--output-dir", "/proc/sys/results"]).exits(74);
    said.complains(["/proc/sys/results"]);

    let locked = place.path("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(locked.join("probe"), "").is_ok() {
        skipped("this user (root?) may write to a folder without the right to write");
        return;
    }
    let said = place.run(["x.toml", "--output-dir", "locked"]).exits(74);
    said.complains(["locked/tiny", "Permission denied"]);
}

/// Results of a newer version stay unchanged, and no command misreads them.
#[test]
fn a_folder_of_a_newer_format_is_left_alone() {
    let place = Place::with(TINY);
    place.run(["x.toml"]).exits(0);
    let invocation =
        place.read("results/tiny/invocation.json").replace("\"format\": 1", "\"format\": 2");
    place.write("results/tiny/invocation.json", &invocation);
    place.run(["x.toml"]).exits(75).complains(["newer version", "results/tiny"]);
    place.run(["status", "results/tiny"]).exits(75);
    assert_eq!(place.read("results/tiny/invocation.json"), invocation);
}
