//! A folder of results that a stranger prepared: nothing outside it changes, nothing hangs, and files that
//! the program did not make stay.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::sync::LazyLock;
use std::time::Duration;

use framework::rand::RngExt;
use framework::random::Streams;

use crate::parsers::folder::{Template, folder};
use crate::support::program::{Place, TINY};

/// A finished experiment `tiny`, with a folder beside it that no command may touch.
struct Prepared {
    place: Place,
    id: String,
}

const PRECIOUS: &str = "precious";

fn prepared() -> Prepared {
    let place = Place::with(TINY);
    place.run(["run", "x.toml"]).exits(0);
    let id = place.run_ids("tiny")[0].clone();
    fs::create_dir_all(place.path("outside/1")).unwrap();
    for name in ["claim.json", "log.txt", "model.safetensors", "notes", "1/log.txt"] {
        place.write(&format!("outside/{name}"), PRECIOUS);
    }
    Prepared { place, id }
}

impl Prepared {
    fn folder(&self, name: &str) -> PathBuf {
        self.place.path("results/tiny").join(name.replace("ID", &self.id))
    }

    /// Removes the results of the run, so that it is executed again.
    fn undo(&self) {
        fs::remove_dir_all(self.folder("runs/ID")).unwrap();
    }

    /// A link below the experiment folder, `up` folders deep in it, to something in `outside`.
    fn link(&self, name: &str, target: &str) {
        let path = self.folder(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&path);
        let up = "../".repeat(2 + name.matches('/').count());
        symlink(format!("{up}outside/{target}"), path).unwrap();
    }

    #[track_caller]
    fn is_untouched(&self) {
        let mut names: Vec<String> = fs::read_dir(self.place.path("outside"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["1", "claim.json", "log.txt", "model.safetensors", "notes"]);
        for name in ["claim.json", "log.txt", "model.safetensors", "notes", "1/log.txt"] {
            assert_eq!(self.place.read(format!("outside/{name}")), PRECIOUS, "{name}");
        }
        assert_eq!(fs::read_dir(self.place.path("outside/1")).unwrap().count(), 1);
    }
}

/// Wrong if `run` emptied the target of a link in the place of a run's attempts.
#[test]
fn a_link_in_the_place_of_attempts_is_put_aside_and_the_run_is_done() {
    let prepared = prepared();
    prepared.undo();
    prepared.link("work/ID", "");
    prepared.place.run(["run", "x.toml"]).exits(0);
    prepared.is_untouched();
    assert!(prepared.folder("replaced/ID.1").is_symlink(), "nothing is lost, not even the link");
    assert!(prepared.folder("runs/ID/manifest.json").is_file());
    // The run has ended, and the folder of its attempts is not cleaned further.
    prepared.link("work/ID", "");
    prepared.place.run(["run", "x.toml"]).exits(0);
    prepared.place.run(["run", "x.toml", "--rerun", "all"]).exits(0);
    prepared.is_untouched();
}

/// Wrong if the output of a run were appended to the target of a link in the place of its log, if that target
/// were cut, or if its last line became the reason of the run.
#[test]
fn a_link_in_the_place_of_a_log_is_replaced() {
    for hard in [false, true] {
        let prepared = prepared();
        prepared.undo();
        let log = prepared.folder("work/ID/1/log.txt");
        prepared.link("work/ID/1/log.txt", "log.txt");
        if hard {
            fs::remove_file(&log).unwrap();
            fs::hard_link(prepared.place.path("outside/log.txt"), &log).unwrap();
        }
        prepared.place.run(["run", "x.toml"]).exits(0);
        prepared.is_untouched();
        assert!(prepared.folder("runs/ID/manifest.json").is_file());
    }
}

/// Wrong if a page or a figure overwrote the target of a link.
#[test]
fn pages_and_figures_are_not_written_through_links() {
    let prepared = prepared();
    for name in ["report.html", "report.html.part"] {
        prepared.link(name, "notes");
    }
    prepared.place.run(["report", "results/tiny"]).exits(0);
    assert!(prepared.place.read("results/tiny/report.html").contains("<html"));
    fs::create_dir(prepared.folder("figures")).unwrap();
    prepared.place.run(["report", "results/tiny", "--figures", "results/tiny/figures"]).exits(0);
    let figures: Vec<PathBuf> = fs::read_dir(prepared.folder("figures"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(!figures.is_empty());
    for figure in &figures {
        let name = figure.file_name().unwrap().to_str().unwrap();
        for name in [name.to_owned(), format!("{name}.part")] {
            prepared.link(&format!("figures/{name}"), "notes");
        }
    }
    prepared.place.run(["report", "results/tiny", "--figures", "results/tiny/figures"]).exits(0);
    assert!(figures.iter().all(|figure| !figure.is_symlink()));
    fs::remove_dir_all(prepared.folder("figures")).unwrap();
    prepared.link("figures", "");
    let words = ["report", "results/tiny", "--figures", "results/tiny/figures"];
    prepared.place.run(words).exits(74).complains(["figures", "symbolic link"]);
    prepared.is_untouched();
}

/// Wrong if a link in the place of an attempt had files in its target overwritten and renamed, or if results
/// went outside through a link in the place of `runs`.
#[test]
fn links_in_the_place_of_an_attempt_or_of_the_runs_lead_nowhere() {
    let prepared = prepared();
    prepared.undo();
    prepared.link("work/ID/1", "1");
    prepared.place.run(["run", "x.toml"]).exits(0);
    prepared.is_untouched();
    assert!(prepared.folder("replaced/ID.1").is_symlink());
    // A run that is a link is damaged, and is executed again.
    prepared.undo();
    prepared.link("runs/ID", "1");
    let said = prepared.place.run(["status", "results/tiny"]).exits(5);
    assert!(said.out.contains("damaged") && said.out.contains("symbolic link"), "{said}");
    prepared.place.run(["run", "x.toml"]).exits(0);
    assert!(prepared.folder("runs/ID/manifest.json").is_file());
    for name in ["runs", "work"] {
        fs::remove_dir_all(prepared.folder(name)).unwrap();
        prepared.link(name, "");
        prepared.place.run(["run", "x.toml", "--rerun", "all"]).exits(74).complains([
            &*format!("tiny/{name}"),
            "symbolic link",
            "only the experiment folder itself may be a link",
        ]);
        fs::remove_file(prepared.folder(name)).unwrap();
    }
    prepared.place.run(["run", "x.toml"]).exits(0);
    prepared.is_untouched();
}

/// Wrong if a command waited for ever for a pipe in the place of a file, or filled its memory from a device.
#[test]
fn pipes_and_devices_in_the_place_of_files_are_not_read() {
    let prepared = prepared();
    let pipe = |name: &str| {
        let path = prepared.folder(name);
        let _ = fs::remove_file(&path);
        assert!(Process::new("mkfifo").arg(path).status().unwrap().success());
    };
    pipe("runs/ID/manifest.json");
    let said = prepared.place.run(["status", "results/tiny"]).exits(5);
    assert!(said.out.contains("damaged") && said.out.contains("no regular file"), "{said}");
    for name in ["invocation.json", "experiment.toml"] {
        pipe(name);
        prepared
            .place
            .run(["status", "results/tiny"])
            .exits(74)
            .complains([name, "no regular file"]);
        prepared.place.run(["run", "x.toml"]).exits(0);
    }
    fs::remove_dir_all(prepared.folder("runs")).unwrap();
    pipe("runs");
    for words in [["worker", "results/tiny"], ["run", "x.toml"]] {
        prepared.place.run(words).exits(74).complains(["tiny/runs"]);
    }
    fs::remove_file(prepared.folder("runs")).unwrap();
    prepared.place.run(["run", "x.toml"]).exits(0);
    for name in ["tables.json", "runs.parquet"] {
        let path = prepared.folder(name);
        fs::remove_file(&path).unwrap();
        symlink("/dev/zero", &path).unwrap();
        prepared.place.run(["compare", "results/tiny"]);
        assert!(path.is_file() && !path.is_symlink(), "{name}");
    }
}

/// Wrong if cleaning up after a run removed a file that somebody put into its folder.
#[test]
fn what_the_program_has_not_made_is_not_removed() {
    let prepared = prepared();
    prepared.undo();
    fs::create_dir_all(prepared.folder("work/ID/notes")).unwrap();
    fs::create_dir_all(prepared.folder("work/ID/1/mine")).unwrap();
    for name in ["work/ID/notes.txt", "work/ID/notes/deep.txt", "work/ID/1/mine/deep.txt"] {
        fs::write(prepared.folder(name), PRECIOUS).unwrap();
    }
    prepared.place.run(["run", "x.toml"]).exits(0);
    for name in ["work/ID/notes.txt", "work/ID/notes/deep.txt", "runs/ID/mine/deep.txt"] {
        assert_eq!(fs::read_to_string(prepared.folder(name)).unwrap(), PRECIOUS, "{name}");
    }
}

/// The folder that the user names is the experiment folder, link or not.
#[test]
fn the_experiment_folder_itself_may_be_a_link() {
    let place = Place::with(TINY);
    fs::create_dir_all(place.path("elsewhere")).unwrap();
    fs::create_dir(place.path("results")).unwrap();
    symlink("../elsewhere", place.path("results/tiny")).unwrap();
    place.run(["run", "x.toml"]).exits(0);
    assert!(place.path("elsewhere/runs.parquet").is_file());
    place.run(["compare", "results/tiny"]).exits(0);
}

/// Folders of links, pipes, sockets, devices, huge files and odd names: see `fuzz/src/folder.rs`. More of
/// them are tried with `SAEGRID_FOLDERS`.
#[test]
fn no_command_does_harm_whatever_stands_in_the_folder() {
    static TEMPLATE: LazyLock<Template> =
        LazyLock::new(|| Template::new(Path::new(env!("CARGO_BIN_EXE_saegrid"))));
    let wanted = std::env::var("SAEGRID_FOLDERS").ok().and_then(|count| count.parse().ok());
    for number in 0..wanted.unwrap_or(12) {
        eprintln!("folder {number}");
        let mut random = Streams::new(number).stream("folders");
        let bytes: Vec<u8> = (0..3 * random.random_range(1..=8)).map(|_| random.random()).collect();
        // Only a command that hangs takes this long, however slow the machine is.
        folder(&TEMPLATE, &bytes, Duration::from_secs(60));
    }
}
