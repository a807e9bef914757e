//! Experiments that include other files: what is merged, where mistakes are shown, and that results hold all
//! that is needed to read them again.

use std::fs;

use proptest::prelude::*;

use crate::support::program::{Place, TINY, idx, with};
use crate::support::strategies::config;

/// A place with these files and their folders.
fn place(files: &[(&str, &str)]) -> Place {
    let place = Place::new();
    for (name, text) in files {
        fs::create_dir_all(place.path(name).parent().unwrap()).unwrap();
        place.write(name, text);
    }
    place
}

/// Ids of the runs of x.toml, in the order of the list.
#[track_caller]
fn ids(place: &Place, sets: &[&str]) -> Vec<String> {
    let words = ["list", "x.toml", "--json"];
    let sets = sets.iter().flat_map(|set| ["--set", set]);
    let listed = place.run(words.into_iter().chain(sets)).exits(0).json();
    let runs = listed["runs"].as_array().unwrap().iter();
    runs.map(|run| run["run_id"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn ids_of(text: &str) -> Vec<String> {
    ids(&Place::with(text), &[])
}

#[test]
fn what_is_written_later_wins() {
    let base = TINY.replace("name = \"tiny\"", "name = \"base\"\nseeds = [0, 1]");
    let place = place(&[
        ("base.toml", &base),
        ("deeper/batch.toml", "include = [\"../base.toml\"]\n[train]\nbatch = 32\nepochs = 7\n"),
        ("deeper/epochs.toml", "train.epochs = 2\n"),
        (
            "x.toml",
            "include = [\"deeper/batch.toml\", \"deeper/epochs.toml\"]\nname = \"x\"\nseeds = [3]\n",
        ),
    ]);
    let plain = TINY.replace("epochs = 1", "epochs = 2\nbatch = 32");
    assert_eq!(ids(&place, &[]), ids_of(&format!("seeds = [3]\n{plain}")));
    let set = plain.replace("epochs = 2", "epochs = 5");
    assert_eq!(ids(&place, &["train.epochs=5"]), ids_of(&format!("seeds = [3]\n{set}")));
    place.run(["check", "x.toml", "base.toml"]).exits(0);
}

/// A file that two others include ranks below both of them, and is read once.
#[test]
fn two_files_may_include_the_same_one() {
    let place = place(&[
        ("base.toml", TINY),
        ("one.toml", "include = [\"base.toml\"]\n[train]\nbatch = 32\n"),
        ("two.toml", "include = [\"./base.toml\", \"base.toml\"]\n[penalty]\nlambda = 0.2\n"),
        ("x.toml", "include = [\"one.toml\", \"two.toml\"]\n"),
    ]);
    let plain = TINY.replace("epochs = 1", "epochs = 1\nbatch = 32").replace("0.1", "0.2");
    assert_eq!(ids(&place, &[]), ids_of(&plain));
}

#[test]
fn a_section_of_another_kind_and_an_axis_replace_those_below() {
    let base = format!("{TINY}[grid]\n\"penalty.lambda\" = [0.1, 0.2]\ntrain.batch = [8, 16]\n");
    let place = place(&[
        ("base.toml", &base),
        (
            "x.toml",
            "include = [\"base.toml\"]\n[grid]\npenalty.lambda = { log = [1, 10], points = 2 }\n",
        ),
    ]);
    let plain = format!("{TINY}[grid]\ntrain.batch = [8, 16]\npenalty.lambda = [1, 10]\n");
    assert_eq!(ids(&place, &[]), ids_of(&plain));
    place.write("base.toml", TINY);
    place.write("x.toml", "include = [\"base.toml\"]\npenalty = { kind = \"k-sparse\", k = 4 }\n");
    let plain = TINY.replace("kind = \"l1\"\nlambda = 0.1", "kind = \"k-sparse\"\nk = 4");
    assert_eq!(ids(&place, &[]), ids_of(&plain));
}

/// Mistakes are shown in the file that has them.
#[test]
fn mistakes_are_shown_where_they_stand() {
    let x = "include = [\"sub/base.toml\"]\nname = \"tiny\"\n";
    let wrong = |text: &str| place(&[("sub/base.toml", text), ("x.toml", x)]);
    let check = |place: &Place, parts: &[&str]| {
        for words in [&["check", "x.toml"][..], &["list", "x.toml"], &["x.toml"]] {
            place.run(words).exits(2).complains(parts.iter().copied());
        }
        assert!(!place.has_results());
    };
    for (from, to, parts) in [
        ("lambda = 0.1", "lambda = -1", &["sub/base.toml:12:10", "penalty `l1`: lambda"][..]),
        ("lambda = 0.1", "lamda = 0.1", &["sub/base.toml:12:1", "did you mean `lambda`?"]),
        ("[train]", "[trian]", &["sub/base.toml:14:2", "an experiment has no `trian`"]),
        ("epochs = 1", "epochs = = 1", &["sub/base.toml:15:10"]),
        ("epochs = 1", "[grid]\n\"penalty.lambda\" = []", &["sub/base.toml:16:20", "is empty"]),
        (
            "kind = \"digits\"",
            "kind = \"idx\"\nimages = \"gone\"\ntrain = 3",
            &["sub/base.toml:5:10", "sub/gone"],
        ),
        ("name = \"tiny\"", "include = \"a.toml\"", &["sub/base.toml:1:11", "is a list of files"]),
        ("name = \"tiny\"", "include = [\"a.toml\", 3]", &["sub/base.toml:1:22", "by a string"]),
        (
            "name = \"tiny\"",
            "include = [\"a.toml\"]",
            &[
                "sub/base.toml:1:12",
                "cannot read the included file `sub/a.toml`",
                "from the folder",
            ],
        ),
        ("name = \"tiny\"", "include = [\".\"]", &["sub/base.toml:1:12", "it is a folder"]),
    ] {
        assert!(TINY.contains(from));
        check(&wrong(&TINY.replace(from, to)), parts);
    }
    let files = wrong(TINY);
    files.write("sub/base.toml", b"name = \"\xff\"");
    check(&files, &["sub/base.toml:1:9", "is not UTF-8 text: byte 8 is not"]);
    files.write("sub/base.toml", TINY);
    let set = files.run(["check", "x.toml", "--set", "include=[\"y.toml\"]"]);
    assert_ne!(set.code, Some(0));
    let set = files.run(["list", "x.toml", "--set", "include=[\"y.toml\"]"]).exits(2);
    set.complains(["`include` stands in a file", "--set include"]);
    // Mistakes that two files make together, each at its place.
    files.write("x.toml", format!("{x}[train]\nsteps = 4\n"));
    check(&files, &["x.toml:4:1", "sub/base.toml:15:1", "`epochs` and `steps`"]);
}

#[test]
fn files_that_include_themselves_are_refused_with_the_way_around() {
    let around = place(&[
        ("x.toml", "include = [\"sub/a.toml\"]\n"),
        ("sub/a.toml", "name = \"a\"\ninclude = [\"b.toml\"]\n"),
        ("sub/b.toml", "include = [\"../sub/a.toml\"]\n"),
        ("self.toml", "include = [\"./self.toml\"]\n"),
    ]);
    let said = around.run(["check", "x.toml"]).exits(2);
    said.complains([
        "this file includes itself: sub/a.toml → sub/b.toml → sub/a.toml",
        "sub/b.toml:1:12",
        "sub/a.toml:2:12",
    ]);
    let said = around.run(["check", "self.toml"]).exits(2);
    said.complains(["this file includes itself: self.toml → self.toml", "self.toml:1:12"]);
    let deep: Vec<(String, String)> = (0..99)
        .map(|at| (format!("{at}.toml"), format!("include = [\"{}.toml\"]\n", at + 1)))
        .collect();
    let deep: Vec<(&str, &str)> = deep.iter().map(|(name, text)| (&**name, &**text)).collect();
    let said = place(&deep).run(["check", "0.toml"]).exits(2);
    said.complains(["more than 20 files include each other in a row", "20.toml:1:12"]);
}

/// Wrong if results could not be read without the included files, or if a worker read something else than the
/// command that started it.
#[test]
fn results_hold_what_was_included() {
    let data = "[dataset]\nkind = \"idx\"\nimages = \"six\"\ntrain = 4\n";
    let base = TINY.replace("[dataset]\nkind = \"digits\"\n", data);
    let place = place(&[("sub/base.toml", &base), ("x.toml", "include = [\"sub/base.toml\"]\n")]);
    place
        .write("sub/six", idx(&[6, 1, 2], &[0, 50, 100, 150, 200, 250, 30, 60, 90, 120, 180, 210]));
    place.run(["x.toml"]).exits(0);
    let found = place.run_ids("tiny");
    assert_eq!(
        (found.len(), place.read("results/tiny/experiment.toml")),
        (1, place.read("x.toml"))
    );
    assert_eq!(place.json("results/tiny/invocation.json")["included"][0]["name"], "sub/base.toml");

    // The same settings in one file are the same run, and so are those of an included file that says
    // something new in a comment.
    place.write("one.toml", base.replace("\"six\"", "\"six\" # here"));
    place.write("six", fs::read(place.path("sub/six")).unwrap());
    let said = place.run(["one.toml"]).exits(0);
    assert!(said.err.contains("nothing to do"), "{said}");
    assert!(!place.json("results/tiny/invocation.json").to_string().contains("included"));
    place.write("sub/base.toml", format!("# new\n{base}"));
    let said = place.run(["x.toml"]).exits(0);
    assert!(said.err.contains("nothing to do"), "{said}");
    let kept = || fs::read_dir(place.path("results/tiny/included")).unwrap();
    assert_eq!(kept().count(), 2, "what was included earlier is kept");

    // The folder of results alone tells what is in it, from anywhere.
    fs::remove_dir_all(place.path("sub")).unwrap();
    let status = || {
        let mut command = place.command(["status", place.path("results/tiny").to_str().unwrap()]);
        command.current_dir("/").output().unwrap()
    };
    let said = status();
    assert!(String::from_utf8_lossy(&said.stdout).contains("1 done"), "{said:?}");
    kept().for_each(|file| fs::write(file.unwrap().path(), "changed").unwrap());
    let said = status();
    assert_eq!(said.status.code(), Some(74));
    assert!(String::from_utf8_lossy(&said.stderr).contains("missing or damaged"), "{said:?}");
}

proptest! {
    #![proptest_config(config(40))]

    /// The place of a setting is no part of a run: each line of a section may stand in an included file as
    /// well.
    #[test]
    fn moving_settings_to_an_included_file_changes_no_id(
        moved in prop::collection::vec(any::<bool>(), 32),
        deep in any::<bool>(),
    ) {
        let whole = with(
            "batch = 9\noptimizer = { kind = \"adam\", lr = 0.01 }\n[grid]\n\"train.steps\" = [1, 2]\n\
             architecture.latents = [8, 16]\n[[grid.zip]]\npenalty.lambda = [1, 2]\n\
             architecture.tied = [true, false]",
        )
        .replace("epochs = 1\n", "");
        let (mut here, mut there) = (String::new(), String::new());
        let mut moved = moved.into_iter();
        let mut is_block = false;
        for line in whole.lines() {
            if line.starts_with('[') {
                is_block = line.starts_with("[[");
                here += &format!("{line}\n");
                there += if is_block { "" } else { line };
                there += "\n";
            } else if !is_block && moved.next().unwrap() {
                there += &format!("{line}\n");
            } else {
                here += &format!("{line}\n");
            }
        }
        let include = if deep { "middle/in.toml" } else { "base.toml" };
        let place = place(&[
            ("base.toml", &there),
            ("middle/in.toml", "include = [\"../base.toml\"]\n"),
            ("x.toml", &format!("include = [{include:?}]\n{here}")),
        ]);
        let mut found = ids(&place, &[]);
        let mut expected = ids_of(&whole);
        prop_assert_eq!(found.len(), 8);
        // The order of the axes may differ.
        found.sort();
        expected.sort();
        prop_assert_eq!(found, expected, "{}\n---\n{}", here, there);
    }
}

/// Wrong if a stranger's experiment could print the text of any file that the user can read. Earlier versions
/// showed the faulty line of a file that is no TOML, and the values of a file that is.
#[test]
fn nothing_of_a_file_outside_the_folder_of_the_experiment_is_shown() {
    let x = "include = [\"../secret\"]\nname = \"tiny\"\n";
    for (secret, at) in [
        ("root:hunter2:19000:0:99999\nname:hunter2\n", "e/../secret:1:"),
        ("[dataset]\nkind = \"hunter2 hunter2\"\n", "e/../secret:2:8"),
        ("hunter2 = 1\n", "e/../secret:1:1"),
        ("seeds = [0, \"hunter2\"]\n", "e/../secret:1:13"),
        ("[penalty]\nkind = \"hunter2\"\n", "e/../secret:2:8"),
    ] {
        let files = [("secret", secret), ("e/x.toml", x), ("e/inside", secret)];
        let place = place(&files);
        let said = place.run(["check", "e/x.toml"]).exits(2).complains([at]);
        assert!(!said.err.contains("hunter2"), "{said}");
        // A link to the file counts as the file.
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("../secret", place.path("e/link")).unwrap();
            place.write("e/x.toml", x.replace("../secret", "link"));
            let said = place.run(["check", "e/x.toml"]).exits(2).complains(["e/link:"]);
            assert!(!said.err.contains("hunter2"), "{said}");
        }
        place.write("e/x.toml", x.replace("../secret", "inside"));
        let said = place.run(["check", "e/x.toml"]).exits(2).complains(["e/inside:"]);
        assert!(said.err.contains("hunter2"), "what lies inside is shown\n{said}");
    }
}

/// Wrong if a command waited for a writer of a FIFO, or read a device or a huge file until the memory is
/// full. Earlier versions hung, or grew without end.
#[cfg(target_os = "linux")]
#[test]
fn experiments_are_read_from_regular_files_of_a_sane_size() {
    let place = place(&[("x.toml", "include = [\"base.toml\"]\n")]);
    let refused = |path: &str, what: &str| {
        place.run(["check", path]).exits(2).complains([what]);
    };
    let fifo = |name: &str| {
        let made = std::process::Command::new("mkfifo").arg(place.path(name)).status();
        assert!(made.is_ok_and(|made| made.success()));
    };
    fifo("fifo");
    refused("fifo", "cannot read the experiment `fifo`: it is a pipe (FIFO)");
    fifo("base.toml");
    refused("x.toml", "x.toml:1:12");
    std::fs::remove_file(place.path("base.toml")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", place.path("base.toml")).unwrap();
    refused("x.toml", "cannot read the included file `base.toml`: it is a device");
    std::os::unix::fs::symlink("/dev/zero", place.path("zero")).unwrap();
    refused("zero", "cannot read the experiment `zero`: it is a device");
    std::fs::File::create(place.path("large")).unwrap().set_len((16 << 20) + 1).unwrap();
    refused("large", "it holds more than 16.0 MiB, the most that is read");
}
